"""Pair each promoter with the decoy most like it: exact assignment on a sparse graph, without replacement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

from genocontrast.config import NegativesConfig
from genocontrast.errors import PoolError, ShapeError, SplitError
from genocontrast.examples import sort_examples
from genocontrast.genome.fasta import Genome
from genocontrast.genome.signal import Signal
from genocontrast.genome.splits import Splits
from genocontrast.negatives.balance import Balance, measure_balance
from genocontrast.negatives.covariates import measure
from genocontrast.negatives.pool import Pool

_DEFAULTS = NegativesConfig()
NEIGHBOURS = 64
"""Edges per promoter in the graph that the assignment is optimal on."""


def match_pairs(
    positives: NDArray[np.float64], candidates: NDArray[np.float64], caliper: float, neighbours: int = NEIGHBOURS
) -> NDArray[np.int64]:
    """Assign a candidate to each positive so that the sum of distances is least, without replacement.

    Leaving a positive out costs the caliper, so whom to leave out is part of the optimum: a pair that would force
    its neighbours into worse ones is not made. Optimal on the graph of each positive's nearest candidates.

    Parameters
    ----------
    positives, candidates : float64, shape=(n, c) and (m, c)
        Covariates in units of their standard deviation.
    caliper : float
        Largest Euclidean distance between the two of a pair.
    neighbours : int
        Candidates that each positive may choose from.

    Returns
    -------
    int64, shape=(n,)
        Row of the candidate of each positive; -1 where it has none.
    """
    n, m = len(positives), len(candidates)
    if not np.isfinite(positives).all() or not np.isfinite(candidates).all():
        raise ShapeError("covariates hold values that are not finite", remedy="check the signal and the sequences")
    if n == 0 or m == 0:
        return np.full(n, -1)
    # k as a list keeps the answer two-dimensional when there is a single candidate
    nearest = np.arange(1, min(neighbours, m) + 1)
    distance, column = cKDTree(candidates).query(positives, k=nearest, distance_upper_bound=np.nextafter(caliper, 9e9))
    row, edge = np.nonzero(np.isfinite(distance))
    # a dummy column of its own for each positive; +1 keeps exact matches from being read as absent edges
    weights = 1 + np.concatenate([distance[row, edge], np.full(n, caliper)])
    rows = np.concatenate([row, np.arange(n)])
    columns = np.concatenate([column[row, edge], m + np.arange(n)])
    graph = csr_array((weights, (rows, columns)), shape=(n, m + n))
    matched_rows, matched_columns = min_weight_full_bipartite_matching(graph)
    chosen = np.full(n, -1)
    chosen[matched_rows] = np.where(matched_columns < m, matched_columns, -1)
    return chosen


@dataclass(frozen=True)
class Matched:
    """Promoters with their matched decoys.

    Attributes
    ----------
    examples : DataFrame
        The examples table (see `genocontrast.examples`), two rows a pair.
    dropped : DataFrame
        Promoters for which the pool had no decoy within the caliper, with their covariates.
    balance : Balance
        How alike the two classes are.
    """

    examples: pd.DataFrame
    dropped: pd.DataFrame
    balance: Balance

    def __repr__(self) -> str:
        pairs = len(self.examples) // 2
        return f"Matched({pairs:,} pairs, {len(self.dropped):,} promoters dropped, {self.balance.verdict})"


def match_negatives(
    positives: pd.DataFrame,
    pool: Pool,
    genome: Genome,
    covariates: Sequence[str] = ("gc", "cpg", "accessibility"),
    signal: Signal | None = None,
    caliper: float = _DEFAULTS.caliper,
    max_smd: float = _DEFAULTS.max_smd,
    splits: Splits | None = None,
    seed: int = 0,
) -> Matched:
    """Match decoys to promoters within each split, without replacement.

    Parameters
    ----------
    positives : DataFrame
        Promoter windows: chrom, start, end, name, strand; all of the pool's width.
    pool : Pool
        Candidate decoys, see `candidate_pool`; they must not overlap one another.
    genome : Genome
    covariates : sequence of str
        What to match on: gc, cpg, accessibility, repeat.
    signal : Signal, optional
        Accessibility; needed where it is matched on.
    caliper : float
        Largest Euclidean distance between the two of a pair, each covariate in standard deviations of the training
        split's promoters.
    max_smd : float
        Largest absolute standardised mean difference that the balance gate lets pass.
    splits : Splits, optional
        The split of each window, see `assign_splits`; by default all is training data. Windows that lie wholly in
        none are left out.
    seed : int
        Seed of the balance statistics' folds.

    Returns
    -------
    Matched

    Raises
    ------
    SplitError, PoolError
        Where a split has no promoter, or no pair at all.
    """
    if splits is None:
        splits = Splits.of_chromosomes(dict.fromkeys(genome.sizes, "train"), genome.sizes)
    promoters = _with_split(positives, splits)
    candidates = _with_split(pool.windows, splits)
    for frame in (promoters, candidates):
        frame[list(covariates)] = measure(frame, genome, covariates, signal)
    scale = _scale(promoters, covariates)
    decoy = np.full(len(promoters), -1)
    for split in sorted(set(splits.table["split"])):
        wanted = np.flatnonzero(promoters["split"] == split)
        offered = np.flatnonzero(candidates["split"] == split)
        if not len(wanted):
            raise SplitError(
                f"no promoter lies in the split '{split}'",
                remedy="give it more chromosomes in genome.splits, or lower negatives.min_accessibility",
            )
        found = match_pairs(
            promoters.iloc[wanted][list(covariates)].to_numpy() / scale,
            candidates.iloc[offered][list(covariates)].to_numpy() / scale,
            caliper,
        )
        if (found < 0).all():
            raise PoolError(
                f"no promoter of the split '{split}' has a decoy within the caliper of {caliper} SD "
                f"({len(wanted):,} promoters, {len(offered):,} candidates)",
                remedy="raise negatives.caliper, relax the pool's rules, or give the split more chromosomes",
            )
        decoy[wanted] = np.where(found < 0, -1, offered[found])
    return _assemble(promoters, candidates, decoy, pool, covariates, max_smd, seed)


def _with_split(windows: pd.DataFrame, splits: Splits) -> pd.DataFrame:
    rows = windows[["chrom", "start", "end", "name", "strand"]].copy()
    rows["split"] = splits.of(windows)
    return rows[rows["split"].notna()].reset_index(drop=True)


def _scale(promoters: pd.DataFrame, covariates: Sequence[str]) -> NDArray[np.float64]:
    """Standard deviation of each covariate over the training promoters; 1 where it is constant."""
    training = promoters.loc[promoters["split"] == "train", list(covariates)]
    if len(training) < 2:
        raise PoolError("fewer than two promoters lie in the training split", value=len(training))
    spread = training.std(ddof=1).to_numpy()
    return np.where(spread > 1e-12, spread, 1.0)


def _assemble(
    promoters: pd.DataFrame,
    candidates: pd.DataFrame,
    decoy: NDArray[np.int64],
    pool: Pool,
    covariates: Sequence[str],
    max_smd: float,
    seed: int,
) -> Matched:
    kept = decoy >= 0
    positive = promoters[kept].reset_index(drop=True).assign(label=1, evidence="")
    negative = candidates.iloc[decoy[kept]].reset_index(drop=True)
    negative = negative.assign(label=0, strand=positive["strand"], evidence=";".join(pool.cleared_by))
    negative["name"] = "decoy_" + negative["chrom"] + "_" + negative["start"].astype(str)
    pairs = pd.concat([rows.assign(pair_id=np.arange(len(rows))) for rows in (positive, negative)])
    examples = sort_examples(pairs.assign(tier="hard", log_q=0.0))
    balance = measure_balance(examples, promoters, candidates, list(covariates), max_smd, seed)
    return Matched(examples, promoters[~kept].reset_index(drop=True), balance)
