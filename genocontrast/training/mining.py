"""Mining: decoys chosen anew by a trained model, as the windows that it takes most readily for promoters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.errors import ModelError, PoolError, ShapeError, SplitError
from genocontrast.examples import COLUMNS, HARD, covariate_columns, sort_examples
from genocontrast.genome.intervals import overlaps
from genocontrast.negatives.balance import compare, two_sample_auroc
from genocontrast.negatives.covariates import chunks
from genocontrast.negatives.decoys import decoy_rows
from genocontrast.negatives.pairing import rematch
from genocontrast.negatives.pool import Sieve
from genocontrast.sequence import Codes
from genocontrast.training.data import flanked_codes, pair_rows

if TYPE_CHECKING:
    from genocontrast.genome import Genome

Rows = NDArray[np.int64]
Vectors = NDArray[np.float32]

TIER = "mined"
CAP_QUANTILE = 0.99
"""Of the training promoters' similarities to their nearest other one: what is more like a promoter may be one."""
DRIFT = 0.02
"""Difference of the classes' means, in standard deviations, that mining may leave in a matched covariate; of fewer
than 625 promoters half of their mean's standard error."""
BLOCK = 2048
"""Windows whose similarities to all promoters are held in memory at a time."""
_PLACE = ["chrom", "start", "end"]


class Embeds(Protocol):
    """What mining asks of a model."""

    def embed_codes(self, codes: Codes) -> Vectors:
        """Embeddings of length 1, uint8 codes of shape=(n, length) -> (n, dim)."""


@dataclass(frozen=True)
class Mined:
    """Promoters of the training split with the decoys that a model confuses with them.

    Attributes
    ----------
    examples : DataFrame
        Examples table of the tier "mined": pair ids, promoters and columns are those of the matched tier.
    record : dict
        promoters, pairs, decoys: counts; of the decoys `new` are others than the promoter had, `same` were found again
        and `kept` stay because none was found; `left` promoters have none any more. candidates: windows that could be
        chosen; removed: by rule; cut_short: promoters of which only the nearest candidates were looked at. cap: see
        `mine_negatives`. similarity: mean cosine of decoys to their promoters before and after. balance: SMD, variance
        ratio and KS of each covariate after mining; two_sample: AUROC of telling the classes by the matched ones.
    """

    examples: pd.DataFrame
    record: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Mined({self.record['pairs']:,} pairs, {self.record['new']:,} new decoys)"


def mine_negatives(
    model: Embeds,
    examples: pd.DataFrame,
    pool: pd.DataFrame,
    genome: Genome,
    scale: Mapping[str, float],
    caliper: float,
    *,
    matched: Sequence[str] | None = None,
    keys: Sequence[str] = (),
    cap: float | None = None,
    seed: int = 0,
) -> Mined:
    """Match the training promoters anew, to the candidates nearest in a model's embedding.

    Which candidates a promoter may have is settled as before: those within the caliper in the matched covariates. Of
    these the assignment, without replacement, makes the sum of 1 - cosine least, with covariates priced so that the
    classes' means stay the same (see `rematch`). A promoter that finds fewer decoys
    than it had keeps those of its own that nobody has taken; one that has none at all leaves the round.

    Parameters
    ----------
    model : Model
        Whatever has its `embed_codes`. Candidates are read on the pool's strand.
    examples : DataFrame
        Examples table; only the training split of the tier "hard" is looked at.
    pool : DataFrame
        Disjoint candidates that are clear of all evidence (results/negatives/pool.parquet): chrom, start, end, split,
        covariates and `keys`; only the training split is looked at.
    genome : Genome
    scale : mapping of str to float
        Standard deviation of each covariate to compare.
    caliper : float
        Largest Euclidean distance between the two of a pair, in standard deviations.
    matched : sequence of str, optional
        Covariates of `scale` to which the caliper applies; default: all.
    keys : sequence of str
        Columns of examples and pool in which promoter and decoy must agree.
    cap : float, optional
        A candidate whose cosine to any training promoter is larger may be an unknown promoter: it is left out, also
        where it was a decoy before. Default: the 99th percentile of each training promoter's similarity to its nearest
        other training promoter.
    seed : int
        Seed of the balance statistics' folds.

    Returns
    -------
    Mined

    Raises
    ------
    ShapeError
        Where a column is missing, or windows differ in width.
    FileFormatError
        Where a pair is not one promoter and its decoys.
    SplitError, PoolError
        Where there is no training promoter, or none of them has a decoy.
    ModelError
        Where an embedding is not finite.
    BalanceError
        Where the pairs are too few to measure their balance.
    """
    names = list(scale if matched is None else matched)
    unknown = [name for name in names if name not in scale]
    if not names or unknown:
        problem = f"the covariate '{unknown[0]}' has no standard deviation" if unknown else "no covariate to compare"
        raise ShapeError(
            f"mining: {problem}", remedy="take both from match_negatives: record['scale'] and what it matched"
        )
    sides = _gather(model, examples, pool, genome, [*scale, *keys])
    if cap is None:
        cap = float(np.quantile(_closest(sides.ours, sides.ours, others=True), CAP_QUANTILE))
    barred = _closest(sides.theirs, sides.ours) > cap
    choice = _Choice(sides.of, sides.own, ~barred)
    _choose(choice, sides, {name: scale[name] for name in names}, caliper, keys)
    if not len(choice.promoter):
        raise PoolError(
            f"mining left no decoy to any of {len(sides.promoters):,} promoters ({int(barred.sum()):,} of "
            f"{len(barred):,} candidates are more like a promoter than the cap of {cap:.3f})",
            remedy="set training.mined_rounds lower",
        )
    mined = _examples(sides, choice, [key for key in keys if key not in COLUMNS])
    record = {
        "promoters": len(sides.promoters),
        **choice.record(),
        "candidates": int((~barred).sum()),
        "removed": {**sides.removed, "too like a promoter": int(barred.sum())},
        "cap": cap,
        "similarity": {
            "before": sides.mean_cosine(sides.of, sides.own),
            "after": sides.mean_cosine(choice.promoter, choice.window),
        },
        **_balance(mined, scale, names, seed),
    }
    return Mined(mined, record)


@dataclass(frozen=True)
class _Sides:
    """Promoters and windows, row by row with their embeddings.

    Attributes
    ----------
    promoters, windows, old : DataFrame
        Training promoters; what may become a decoy; the decoys of before.
    of, own : int64, shape=(old decoys,)
        The promoter of each decoy of before, and its row among the windows.
    ours, theirs : float32, shape=(promoters, dim) and (windows, dim)
    removed : dict
        Windows of the pool that each rule removed.
    """

    promoters: pd.DataFrame
    windows: pd.DataFrame
    old: pd.DataFrame
    of: Rows
    own: Rows
    ours: Vectors
    theirs: Vectors
    removed: dict[str, int]

    def mean_cosine(self, promoter: Rows, window: Rows) -> float:
        """Mean cosine of pairs of a promoter and a window."""
        return float(np.einsum("nd,nd->n", self.ours[promoter], self.theirs[window]).mean(dtype=np.float64))


def _gather(
    model: Embeds, examples: pd.DataFrame, pool: pd.DataFrame, genome: Genome, columns: Sequence[str]
) -> _Sides:
    """What there is of the training split; no window of another one is read."""
    training = examples[(examples["split"] == "train") & (examples["tier"] == HARD)]
    if training.empty:
        raise SplitError(f"no promoter of the tier '{HARD}' lies in the split 'train'", remedy="give it chromosomes")
    _check({"examples": training, "pool": pool}, [*_PLACE, "split", *covariate_columns(training), *columns])
    training = training.sort_values(["pair_id", "start"], kind="stable").reset_index(drop=True)
    promoter_of, decoys = pair_rows(training)
    first, of = np.unique(promoter_of, return_inverse=True)
    promoters, old = (training.iloc[rows].reset_index(drop=True) for rows in (first, decoys))
    sieve = Sieve(pool[pool["split"] == "train"])
    sieve.drop("overlaps a promoter", overlaps(sieve.rows, promoters))
    place = pd.MultiIndex.from_frame(old[_PLACE])
    absent = ~place.isin(pd.MultiIndex.from_frame(sieve.rows[_PLACE]))
    windows = pd.concat([sieve.rows, old[absent]], ignore_index=True)
    own = pd.MultiIndex.from_frame(windows[_PLACE]).get_indexer(place).astype(np.int64)
    ours, theirs = (_embeddings(model, rows, genome) for rows in (promoters, windows))
    return _Sides(promoters, windows, old, of, own, ours, theirs, sieve.removed)


def _check(tables: Mapping[str, pd.DataFrame], columns: Sequence[str]) -> None:
    widths: set[int] = set()
    for name, table in tables.items():
        missing = [column for column in columns if column not in table]
        if missing:
            raise ShapeError(f"mining: {name} has no column '{missing[0]}'", remedy="run the negatives stage again")
        widths |= {int(width) for width in (table["end"] - table["start"]).unique()}
    if len(widths) > 1:
        raise ShapeError("mining: the windows differ in width", value=sorted(widths))


class _Choice:
    """Which windows the promoters have taken so far.

    Parameters
    ----------
    of, own : int64, shape=(old decoys,)
        The promoter of each decoy of before, and its row among the windows.
    free : bool, shape=(windows,)
        Windows that may be taken.
    """

    def __init__(self, of: Rows, own: Rows, free: NDArray[np.bool_]) -> None:
        self.of, self.own, self.free = of, own, free
        self.wanted = np.bincount(of)
        self.promoter, self.window = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self.kept = self.cut_short = 0

    def take(self, promoter: Rows, window: Rows, cut_short: int = 0) -> None:
        self.promoter = np.concatenate([self.promoter, promoter])
        self.window = np.concatenate([self.window, window])
        self.free[window] = False
        self.cut_short += cut_short

    def keep_old(self) -> None:
        """Promoters with fewer decoys than before keep those that they had, as far as these are free."""
        missing = self.wanted - np.bincount(self.promoter, minlength=len(self.wanted))
        free = np.flatnonzero(self.free[self.own])
        rank = pd.Series(self.of[free]).groupby(self.of[free]).cumcount().to_numpy()
        kept = free[rank < missing[self.of[free]]]
        self.kept = len(kept)
        self.take(self.of[kept], self.own[kept])

    def record(self) -> dict[str, int]:
        had = pd.MultiIndex.from_arrays([self.of, self.own])
        same = int(pd.MultiIndex.from_arrays([self.promoter, self.window]).isin(had).sum())
        pairs = len(np.unique(self.promoter))
        return {
            "pairs": pairs,
            "left": len(self.wanted) - pairs,
            "decoys": len(self.promoter),
            "new": len(self.promoter) - same,
            "same": same - self.kept,
            "kept": self.kept,
            "cut_short": self.cut_short,
        }


def _embeddings(model: Embeds, windows: pd.DataFrame, genome: Genome) -> Vectors:
    found = np.concatenate([model.embed_codes(flanked_codes(rows, genome, flank=0)) for rows in chunks(windows)])
    bad = int((~np.isfinite(found).all(1)).sum())
    if bad:
        raise ModelError(
            f"the model's embedding of {bad:,} of {len(found):,} windows is not finite", remedy="train again"
        )
    return found


def _closest(vectors: Vectors, promoters: Vectors, others: bool = False) -> NDArray[np.float64]:
    """Largest cosine of each vector to a promoter, shape=(n,); with `others`, to one of another row."""
    largest = np.empty(len(vectors))
    for start in range(0, len(vectors), BLOCK):
        cosine = vectors[start : start + BLOCK] @ promoters.T
        if others:
            rows = np.arange(len(cosine))
            cosine[rows, start + rows] = -1.0
        largest[start : start + BLOCK] = cosine.max(1)
    return largest


def _groups(promoters: pd.DataFrame, windows: pd.DataFrame, keys: Sequence[str]) -> Iterator[tuple[Rows, Rows]]:
    """Rows of promoters and of windows that agree in all keys."""
    if not keys:
        yield np.arange(len(promoters)), np.arange(len(windows))
        return
    both = pd.concat([promoters[list(keys)], windows[list(keys)]], ignore_index=True).astype(str)
    ours, theirs = np.split(both.groupby(list(keys)).ngroup().to_numpy(), [len(promoters)])
    for group in np.unique(ours):
        yield np.flatnonzero(ours == group), np.flatnonzero(theirs == group)


def _choose(choice: _Choice, sides: _Sides, scale: Mapping[str, float], caliper: float, keys: Sequence[str]) -> None:
    """As many decoys as each promoter had: the first of all are settled before the second ones."""
    unit = np.array(list(scale.values()))
    here, there = (rows[list(scale)].to_numpy() / unit for rows in (sides.promoters, sides.windows))
    for turn in range(int(choice.wanted.max(initial=0))):
        for mine, offered in _groups(sides.promoters, sides.windows, keys):
            mine, offered = mine[choice.wanted[mine] > turn], offered[choice.free[offered]]
            drift = max(DRIFT, 0.5 / np.sqrt(max(len(mine), 1)))
            found, cut = rematch(here[mine], there[offered], caliper, sides.ours[mine], sides.theirs[offered], drift)
            has = found.column >= 0
            choice.take(mine[has], offered[found.column[has]], cut if turn == 0 else 0)
    choice.keep_old()


def _examples(sides: _Sides, choice: _Choice, extra: Sequence[str]) -> pd.DataFrame:
    columns = sides.promoters.columns.drop(extra)
    theirs = sides.promoters.iloc[choice.promoter]
    # one pool, cleared of one list of evidence: what was said of the old decoys holds for all of it
    cleared_by = sides.old["evidence"].iloc[:1]
    decoys = decoy_rows(sides.windows.iloc[choice.window], theirs, theirs["pair_id"].to_numpy(), list(cleared_by))
    has = sides.promoters.iloc[np.unique(choice.promoter)]
    return sort_examples(pd.concat([has[columns], decoys.assign(tier=TIER)[columns]]).assign(tier=TIER))


def _balance(mined: pd.DataFrame, scale: Mapping[str, float], matched: Sequence[str], seed: int) -> dict[str, Any]:
    ours, theirs = (mined[mined["label"] == label] for label in (1, 0))
    value, low, high = two_sample_auroc(mined, matched, seed)
    return {
        "balance": [
            {"covariate": name, "matched": name in matched, **compare(ours[name], theirs[name], spread)}
            for name, spread in scale.items()
        ],
        "two_sample": {"auroc": value, "low": low, "high": high},
    }
