"""Match decoys to promoters: measure both, thin the candidates, pair them within each split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from genocontrast.config import NegativesConfig, parse_section
from genocontrast.errors import ShapeError
from genocontrast.genome.fasta import Genome
from genocontrast.genome.regions import check_within
from genocontrast.genome.signal import Signal
from genocontrast.genome.splits import Splits
from genocontrast.negatives.covariates import Covariates, columns_of
from genocontrast.negatives.decoys import Matched, Plan, match_measured
from genocontrast.negatives.pool import Pool
from genocontrast.negatives.thinning import thin

_DEFAULTS = NegativesConfig()


def match_negatives(
    positives: pd.DataFrame,
    pool: Pool,
    genome: Genome,
    covariates: Sequence[str] = tuple(_DEFAULTS.covariates),
    signal: Signal | None = None,
    caliper: float = _DEFAULTS.caliper,
    max_smd: float = _DEFAULTS.max_smd,
    splits: Splits | None = None,
    seed: int = 0,
    *,
    also_measured: Sequence[str] = (),
    tracks: Mapping[str, Signal] | None = None,
    sites: pd.DataFrame | None = None,
    exact: Sequence[str] = (),
    method: str = _DEFAULTS.method,
    tolerance: float = _DEFAULTS.tolerance,
    ratio: int = _DEFAULTS.ratio,
    min_retention: float = _DEFAULTS.min_retention,
) -> Matched:
    """Match decoys to promoters within each split, without replacement.

    Candidates that overlap a promoter are removed, and of candidates that overlap one another the likeliest to be
    needed is kept, so that no decoy overlaps another one or a promoter.

    Parameters
    ----------
    positives : DataFrame
        Promoter windows: chrom, start, end, and if there are name and strand; all of the pool's width.
    pool : Pool
        Candidate decoys, see `candidate_pool`.
    genome : Genome
    covariates : sequence of str
        What to match on, see `Covariates`.
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
    also_measured : sequence of str
        Covariates to compare and not to match on.
    tracks : mapping of str to Signal, optional
        Further covariates by name.
    sites : DataFrame, optional
        Every TSS: chrom, start, end; for the covariate tss_distance.
    exact : sequence of str
        Columns of positives and of the pool's windows in which promoter and decoy must agree: chrom, or others.
    method : {"caliper", "cardinality", "greedy"}
        See the configuration.
    tolerance : float
        Imbalance that cardinality matching may leave, in standard deviations.
    ratio : int
        Decoys per promoter.
    min_retention : float
        A pool with fewer candidates than this part of the promoters is refused: the gate could not pass.

    Returns
    -------
    Matched

    Raises
    ------
    SplitError, PoolError
        Where a split has no promoter, fewer candidates than promoters need, or no pair at all; where every covariate
        is constant.
    ShapeError
        At an unknown covariate, a signal that is negative or not a number, windows of several widths, or a promoter
        that is given twice.
    ConfigError
        At a caliper, method, tolerance, ratio or limit that is none.
    """
    settings = parse_section(
        NegativesConfig,
        {
            "caliper": caliper, "max_smd": max_smd, "method": method, "tolerance": tolerance, "ratio": ratio,
            "min_retention": min_retention,
        },
    )  # fmt: skip
    _check_names(covariates, also_measured, exact)
    if not 0 <= seed < 2**32:
        raise ShapeError("the seed must be at least 0 and less than 2**32", value=seed)
    _check_windows(positives, pool, genome)
    if splits is None:
        splits = Splits.of_chromosomes(dict.fromkeys(genome.sizes, "train"), genome.sizes)
    promoters, candidates = (with_split(windows, splits, exact) for windows in (positives, pool.windows))
    training = promoters[promoters["split"] == "train"]
    names = [*covariates, *(name for name in also_measured if name not in covariates)]
    ruler = Covariates(names, genome, signal, tracks, sites, training)
    clash = sorted({*exact} & {*ruler.columns})
    if clash:
        raise ShapeError(
            f"'{clash[0]}' is a covariate and cannot be a key in `exact`", remedy="call the column otherwise"
        )
    wanted = [column for name in dict.fromkeys(covariates) for column in columns_of(name)]
    # In one call: a track is decoded once for both.
    both = pd.concat([promoters, candidates], ignore_index=True)
    both = both.join(ruler.measure(both))
    promoters, candidates = both[: len(promoters)], both[len(promoters) :].reset_index(drop=True)
    thinned = thin(promoters, candidates, wanted)
    plan = Plan(
        wanted, [column for column in ruler.columns if column not in wanted], exact, settings.caliper, settings.method,
        settings.tolerance, settings.ratio, settings.max_smd, settings.min_retention, True, seed,
    )  # fmt: skip
    removed = {
        "promoters": {"in no split": len(positives) - len(promoters)},
        "pool": {**pool.removed, "in no split": len(pool.windows) - len(candidates), **thinned.removed},
    }
    return match_measured(promoters, thinned.rows, plan, pool.cleared_by, {"removed": removed, **ruler.fitted})


def _check_names(covariates: Sequence[str], also_measured: Sequence[str], exact: Sequence[str]) -> None:
    for what, names in (("covariates", covariates), ("also_measured", also_measured), ("exact", exact)):
        if isinstance(names, str):
            raise ShapeError(f"{what} is one name, not a list of names", value=names, remedy=f"pass ['{names}']")
    if not covariates:
        raise ShapeError("there is no covariate to match on", remedy="name one: covariates=['gc']")


def _check_windows(positives: pd.DataFrame, pool: Pool, genome: Genome) -> None:
    if not isinstance(positives, pd.DataFrame):
        raise ShapeError(
            "the promoters are no table of regions", value=type(positives).__name__, remedy="gct.read_regions reads one"
        )
    if not isinstance(pool, Pool):
        raise ShapeError(
            "pool is no Pool", value=type(pool).__name__, remedy="make it of open chromatin with gct.candidate_pool"
        )
    for windows in (positives, pool.windows):
        check_within(windows, genome.sizes)
    twice = positives.duplicated(["chrom", "start", "end"])
    if twice.any():
        first = positives[twice].iloc[0]
        raise ShapeError(
            f"{twice.sum():,} of {len(positives):,} promoters are given twice",
            value=f"{first['chrom']}:{first['start']}-{first['end']}",
            remedy="drop duplicates of chrom, start and end: a promoter has one decoy, or `ratio` of them",
        )
    widths = np.unique(np.concatenate([rows["end"] - rows["start"] for rows in (positives, pool.windows)]))
    if len(widths) > 1:
        raise ShapeError(
            "promoters and candidates must all be of one width, bp",
            value=", ".join(map(str, widths[:4])),
            remedy="centre the promoters' windows on their TSSs, as wide as the pool's",
        )


def with_split(windows: pd.DataFrame, splits: Splits, keys: Sequence[str] = ()) -> pd.DataFrame:
    """chrom, start, end, name, strand, split and `keys` of the windows that lie wholly in a split."""
    missing = [column for column in ("chrom", "start", "end", *keys) if column not in windows]
    if missing:
        raise ShapeError(f"the windows have no column '{missing[0]}'", remedy="give it to promoters and candidates")
    rows = windows[list(dict.fromkeys(["chrom", "start", "end", *keys]))].copy()
    rows["name"], rows["strand"] = windows.get("name", "."), windows.get("strand", "+")
    rows["split"] = splits.of(windows)
    return rows[rows["split"].notna()].reset_index(drop=True)
