"""Easier decoys for the same promoters: what a model learns from them is compared with what matched ones teach."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.config import Tier
from genocontrast.errors import GenocontrastWarning, PoolError
from genocontrast.examples import covariate_columns, sort_examples
from genocontrast.genome.fasta import Genome
from genocontrast.genome.near_duplicates import nearly_repeats
from genocontrast.genome.splits import Splits
from genocontrast.negatives.covariates import Covariates
from genocontrast.negatives.decoys import decoy_rows
from genocontrast.negatives.pairing import match_pairs
from genocontrast.negatives.pool import Pool, Sieve, candidate_pool
from genocontrast.negatives.thinning import disjoint

Rows = NDArray[np.int64]

PER_DECOY = 5
"""Windows of the genome that are drawn for each decoy, so that the tier `gc` has a choice."""
REACH = 8
"""Widths of a window, beyond the buffer, within which a neighbour of a promoter is looked for."""
CALIPERS = (0.1, 1.0, 10.0, np.inf)
"""Limits of the difference in GC, in standard deviations, tried one after the other until every decoy is found."""


@dataclass(frozen=True)
class Tiers:
    """Decoys of all tiers but the matched one.

    Attributes
    ----------
    examples : DataFrame
        Examples table of the tiers, with the same promoters, pair ids and splits as the matched one.
    record : dict
        For each tier the number of pairs, and what the rules removed of the windows that it was drawn from.
    """

    examples: pd.DataFrame
    record: dict[str, dict[str, object]]


def build_tiers(
    wanted: Sequence[Tier],
    hard: pd.DataFrame,
    open_pool: pd.DataFrame,
    genome: Genome,
    covariates: Covariates,
    splits: Splits,
    exclude: Mapping[str, pd.DataFrame],
    buffer: int,
    max_n_fraction: float,
    seed: int,
) -> Tiers:
    """A decoy of each tier for every matched one: same promoter, same split, one by one.

    Parameters
    ----------
    wanted : sequence of {"random", "gc", "open", "nearby"}
        random: anywhere in the genome; gc: the same, of nearest GC; open: from the pool, unmatched; nearby: the
        nearest window beside the promoter. All are clear of all evidence, and of one tier none overlap. `nearby` has
        the promoters only that have such a window.
    hard : DataFrame
        Examples table of the matched tier.
    open_pool : DataFrame
        The disjoint candidates that were matched from, with their split.
    genome : Genome
    covariates : Covariates
        Measures the new decoys, in the columns of `hard`.
    splits : Splits
    exclude : mapping of str to DataFrame
        What no decoy may overlap, by rule.
    buffer : int
        bp from a promoter's window at which its neighbourhood begins.
    max_n_fraction : float
        Windows with a larger fraction of N are left out.
    seed : int

    Warns
    -----
    GenocontrastWarning
        Where a split has fewer windows than decoys: the tier is left out.
    """
    rng = np.random.default_rng(seed)
    makers: dict[Tier, Callable[[], tuple[pd.DataFrame, Pool | None]]] = {}
    slots = _Slots(hard)
    background = cache(lambda: _background(slots, genome, splits, exclude, max_n_fraction, rng))
    makers["random"] = lambda: (slots.drawn(background().windows, rng), background())
    makers["gc"] = lambda: (slots.nearest(background().windows, genome), background())
    makers["open"] = lambda: (slots.drawn(open_pool, rng), None)
    makers["nearby"] = lambda: _nearby(slots, genome, splits, exclude, buffer, max_n_fraction)
    parts: list[pd.DataFrame] = []
    record: dict[str, dict[str, object]] = {}
    for tier in dict.fromkeys(wanted):
        try:
            decoys, source = makers[tier]()
        except PoolError as error:
            warnings.warn(f"the tier '{tier}' is left out: {error}", GenocontrastWarning, stacklevel=2)
            record[tier] = {"pairs": 0, "of": slots.promoters, "removed": {}}
            continue
        decoys = decoys.drop(columns=covariate_columns(hard), errors="ignore")
        decoys["evidence"] = ";".join(exclude)
        decoys = decoys.join(covariates.measure(decoys)[covariate_columns(hard)])
        promoters = hard[(hard["label"] == 1) & hard["pair_id"].isin(decoys["pair_id"])]
        parts += [promoters.assign(tier=tier), decoys.assign(tier=tier)]
        record[tier] = {"pairs": len(promoters), "of": slots.promoters, "removed": source.removed if source else {}}
    examples = sort_examples(pd.concat(parts, ignore_index=True)[hard.columns]) if parts else hard[:0]
    return Tiers(examples, record)


class _Slots:
    """The places to fill: one for each matched decoy, which names promoter, split and strand."""

    def __init__(self, hard: pd.DataFrame) -> None:
        self.hard = hard
        self.promoters = int((hard["label"] == 1).sum())
        self.rows = hard[hard["label"] == 0].sort_values(["split", "pair_id", "start"]).reset_index(drop=True)
        promoter = hard[hard["label"] == 1].set_index("pair_id")
        self.of = promoter.loc[self.rows["pair_id"]].reset_index()
        self.by_split = {str(split): np.asarray(rows) for split, rows in self.rows.groupby("split").indices.items()}

    def filled(self, slots: Rows, windows: pd.DataFrame, log_q: float) -> pd.DataFrame:
        """Examples of windows, row by row, in some of the slots."""
        pair_id = self.rows["pair_id"].to_numpy()[slots]
        rows = decoy_rows(windows[["chrom", "start", "end"]], self.of.iloc[slots], pair_id, (), log_q)
        return rows.assign(split=self.rows["split"].to_numpy()[slots])

    def drawn(self, windows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        """Windows of the slot's split, each as likely as any other; log q is that of one draw."""
        parts = []
        for split, slots in self.by_split.items():
            offered = _offered(windows, split, len(slots))
            chosen = rng.permutation(len(offered))[: len(slots)]
            parts.append(self.filled(slots, offered.iloc[chosen], float(-np.log(len(offered)))))
        return pd.concat(parts, ignore_index=True)

    def nearest(self, windows: pd.DataFrame, genome: Genome) -> pd.DataFrame:
        """Windows of nearest GC, assigned so that the sum of differences is least."""
        ruler = Covariates(["gc"], genome)
        unit = max(float(self.hard.loc[self.hard["label"] == 1, "gc"].std()) if "gc" in self.hard else 0.05, 1e-3)
        parts = []
        for split, slots in self.by_split.items():
            offered = _offered(windows, split, len(slots))
            here = ruler.measure(self.of.iloc[slots])[["gc"]].to_numpy() / unit
            there = ruler.measure(offered)[["gc"]].to_numpy() / unit
            parts.append(self.filled(slots, offered.iloc[_all_matched(here, there)], 0.0))
        return pd.concat(parts, ignore_index=True)


def _offered(windows: pd.DataFrame, split: str, wanted: int) -> pd.DataFrame:
    offered = windows[windows["split"] == split]
    if len(offered) < wanted:
        raise PoolError(
            f"the split '{split}' has {len(offered):,} windows for {wanted:,} decoys of an easier tier",
            remedy="leave that tier out of negatives.tiers, or keep smaller buffers",
        )
    return offered


def _all_matched(here: NDArray[np.float64], there: NDArray[np.float64]) -> Rows:
    """A row of `there` for each of `here`, the closest first: what one caliper leaves, a wider one takes up."""
    chosen = np.full(len(here), -1)
    for caliper in CALIPERS:
        left, free = np.flatnonzero(chosen < 0), np.setdiff1d(np.arange(len(there)), chosen)
        if caliper == np.inf:
            order = np.argsort(there[free, 0], kind="stable")[: len(left)]
            chosen[left] = free[order]
        else:
            found, _ = match_pairs(here[left], there[free], caliper)
            has = found.column >= 0
            chosen[left[has]] = free[found.column[has]]
    return chosen


def _background(
    slots: _Slots,
    genome: Genome,
    splits: Splits,
    exclude: Mapping[str, pd.DataFrame],
    max_n_fraction: float,
    rng: np.random.Generator,
) -> Pool:
    """Disjoint windows drawn from all of the splits, clear of all evidence, with their split."""
    width = int(slots.rows["end"].iloc[0] - slots.rows["start"].iloc[0])
    parts = []
    for split, mine in slots.by_split.items():
        segments = splits.segments(split)
        segments = segments[segments["end"] - segments["start"] >= 2 * width]
        first = (segments["start"] + rng.integers(0, width, len(segments))).to_numpy()
        count = (segments["end"].to_numpy() - first) // width
        number = np.concatenate([np.arange(each) for each in count])
        start = np.repeat(first, count) + number * width
        tiles = pd.DataFrame({"chrom": np.repeat(segments["chrom"].to_numpy(), count), "start": start})
        # Some of what is drawn falls to the rules: twice as many as are to be left.
        drawn = np.sort(rng.permutation(len(tiles))[: 2 * PER_DECOY * len(mine)])
        parts.append(tiles.iloc[drawn].assign(end=lambda rows: rows["start"] + width))
    pool = candidate_pool(genome, pd.concat(parts, ignore_index=True), exclude, width, None, max_n_fraction)
    windows = pool.windows.assign(split=splits.of(pool.windows))
    kept = [rows.head(PER_DECOY * len(slots.by_split[str(split)])) for split, rows in _shuffled(windows, rng)]
    sieve = Sieve(pd.concat(kept))
    sieve.removed = dict(pool.removed)
    sieve.drop("nearly repeats a training window", _repeats(sieve.rows, slots, genome))
    return Pool(sieve.rows, sieve.removed, pool.cleared_by)


def _shuffled(windows: pd.DataFrame, rng: np.random.Generator) -> list[tuple[str, pd.DataFrame]]:
    mixed = windows.iloc[rng.permutation(len(windows))]
    return [(str(split), rows) for split, rows in mixed.groupby("split", sort=True)]


def _repeats(windows: pd.DataFrame, slots: _Slots, genome: Genome) -> NDArray[np.bool_]:
    """Which windows of other splits nearly repeat a training one, among themselves or of the matched tier."""
    train = (windows["split"] == "train").to_numpy()
    matched = slots.hard[slots.hard["split"] == "train"]
    known = np.concatenate([genome.codes(rows) for rows in (windows[train], matched) if len(rows)])
    found = ~train
    found[found] = nearly_repeats(genome.codes(windows[found]), known)
    return found


def _nearby(
    slots: _Slots,
    genome: Genome,
    splits: Splits,
    exclude: Mapping[str, pd.DataFrame],
    buffer: int,
    max_n_fraction: float,
) -> tuple[pd.DataFrame, Pool]:
    """The nearest clear window beside each promoter, on either side, outside of the buffer."""
    of, width = slots.of, int((slots.of["end"] - slots.of["start"]).iloc[0])
    steps = buffer + width * np.arange(REACH)
    start = np.concatenate(
        [of["end"].to_numpy()[:, None] + steps, of["start"].to_numpy()[:, None] - width - steps], axis=1
    )
    slot = np.repeat(np.arange(len(of)), start.shape[1])
    windows = pd.DataFrame({"chrom": of["chrom"].to_numpy()[slot], "start": start.ravel(), "slot": slot})
    windows["end"] = windows["start"] + width
    windows["away"] = np.tile(np.concatenate([steps, steps]), len(of))
    sieve = Sieve(windows.sort_values(["away", "start", "slot"], kind="stable"))
    size = sieve.rows["chrom"].map(genome.sizes)
    sieve.drop("beyond the chromosome's end", ((sieve.rows["start"] < 0) | (sieve.rows["end"] > size)).to_numpy())
    sieve.drop("nearer to another promoter", sieve.rows.duplicated(["chrom", "start"]).to_numpy())
    pool = candidate_pool(genome, sieve.rows, exclude, width, None, max_n_fraction)
    clear = pd.MultiIndex.from_frame(pool.windows[["chrom", "start"]])
    here = pd.MultiIndex.from_frame(sieve.rows[["chrom", "start"]])
    sieve.rows = sieve.rows[here.isin(clear)].reset_index(drop=True)
    outside = sieve.removed.pop("beyond the chromosome's end")
    sieve.removed |= pool.removed | {"candidate windows": len(windows), "beyond the chromosome's end": outside}
    sieve.rows["split"] = splits.of(sieve.rows)
    other = sieve.rows["split"].to_numpy() != slots.rows["split"].to_numpy()[sieve.rows["slot"]]
    sieve.drop("in another split than the promoter", other)
    # Neighbours of neighbouring promoters compete for the same bases: the nearer one has them.
    sieve.drop("overlaps a nearer neighbour", ~disjoint(sieve.rows, -sieve.rows["away"].to_numpy(np.float64)))
    sieve.drop("a nearer one was found", sieve.rows.duplicated("slot").to_numpy())
    sieve.drop("nearly repeats a training window", _repeats(sieve.rows, slots, genome))
    return slots.filled(sieve.rows["slot"].to_numpy(), sieve.rows, 0.0), Pool(sieve.rows, sieve.removed)
