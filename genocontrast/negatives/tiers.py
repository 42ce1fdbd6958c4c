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
from genocontrast.genome.intervals import overlaps
from genocontrast.genome.near_duplicates import nearly_repeats
from genocontrast.genome.splits import Splits
from genocontrast.negatives.covariates import Covariates
from genocontrast.negatives.decoys import decoy_rows
from genocontrast.negatives.pairing import match_pairs
from genocontrast.negatives.pool import Pool, Sieve, candidate_pool, n_fraction

Rows = NDArray[np.int64]

PER_DECOY = 5
"""Windows of the genome that are drawn for each decoy, so that the tier `gc` has a choice."""
REACH = 8
"""Widths of a window, beyond the buffer, within which a neighbour of a promoter is looked for."""
CALIPERS = (0.1, 1.0, 10.0, 1e6)
"""Limits of the difference in GC, in standard deviations, tried one after the other until every decoy is found."""


@dataclass(frozen=True)
class Tiers:
    """Decoys of all tiers but the matched one.

    Attributes
    ----------
    examples : DataFrame
        Examples table of the tiers, with the same promoters, pair ids and splits as the matched one.
    record : dict
        For each tier the number of pairs, of how many, and what the rules removed of its candidate windows.
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
    makers: dict[Tier, Callable[[], tuple[pd.DataFrame, Pool]]] = {}
    slots = _Slots(hard)
    background = cache(lambda: _background(slots, genome, splits, exclude, max_n_fraction, rng))
    makers["random"] = lambda: (slots.drawn(background().windows, rng), background())
    makers["gc"] = lambda: (slots.nearest(background().windows, genome), background())
    makers["open"] = lambda: (slots.drawn(open_pool, rng), Pool(open_pool, {"candidate windows": len(open_pool)}))
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
        removed = source.removed | {"not needed": len(source.windows) - len(decoys)}
        record[tier] = {"pairs": len(promoters), "of": slots.promoters, "removed": removed}
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

    def filled(self, slots: Rows, windows: pd.DataFrame, drawn_from: int = 0) -> pd.DataFrame:
        """Examples of windows, row by row, in some of the slots.

        log q is that of a window chosen for its promoter, or drawn with the promoter's others from so many windows.
        """
        pair_id = self.rows["pair_id"].to_numpy()[slots]
        each = pd.Series(pair_id).map(pd.Series(pair_id).value_counts()).to_numpy()
        log_q = np.log(each / drawn_from) if drawn_from else 0.0
        rows = decoy_rows(windows[["chrom", "start", "end"]], self.of.iloc[slots], pair_id, (), log_q)
        return rows.assign(split=self.rows["split"].to_numpy()[slots])

    def drawn(self, windows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        """Windows of the slot's split, each as likely as any other."""
        parts = []
        for split, slots in self.by_split.items():
            offered = _offered(windows, split, len(slots))
            chosen = rng.permutation(len(offered))[: len(slots)]
            parts.append(self.filled(slots, offered.iloc[chosen], len(offered)))
        return pd.concat(parts, ignore_index=True)

    def nearest(self, windows: pd.DataFrame, genome: Genome) -> pd.DataFrame:
        """Windows of nearest GC: an assignment within a small difference, then of who is left within a larger one."""
        ruler = Covariates(["gc"], genome)
        unit = max(float(self.hard.loc[self.hard["label"] == 1, "gc"].std()) if "gc" in self.hard else 0.05, 1e-3)
        parts = []
        for split, slots in self.by_split.items():
            offered = _offered(windows, split, len(slots))
            here = ruler.measure(self.of.iloc[slots])[["gc"]].to_numpy() / unit
            there = ruler.measure(offered)[["gc"]].to_numpy() / unit
            parts.append(self.filled(slots, offered.iloc[_all_matched(here, there)]))
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
    calipers = iter(CALIPERS)
    caliper = CALIPERS[-1]
    while (chosen < 0).any():  # the last one leaves nobody out but for want of neighbours, and so always finds some
        caliper = next(calipers, caliper)
        left, free = np.flatnonzero(chosen < 0), np.setdiff1d(np.arange(len(there)), chosen)
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
        segments = segments[segments["end"] - segments["start"] >= width]
        room = (segments["end"] - segments["start"] - width).to_numpy()
        first = segments["start"].to_numpy() + rng.integers(0, np.minimum(room + 1, width))
        count = (segments["end"].to_numpy() - first) // width
        number = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        start = np.repeat(first, count) + number * width
        tiles = pd.DataFrame({"chrom": np.repeat(segments["chrom"].to_numpy(), count), "start": start})
        # Some of what is drawn falls to the rules: twice as many as are to be left.
        drawn = np.sort(rng.permutation(len(tiles))[: 2 * PER_DECOY * len(mine)])
        parts.append(tiles.iloc[drawn].assign(end=lambda rows: rows["start"] + width))
    pool = candidate_pool(genome, pd.concat(parts, ignore_index=True), exclude, width, None, max_n_fraction)
    windows = pool.windows.assign(split=splits.of(pool.windows))
    sieve = Sieve(windows.iloc[rng.permutation(len(windows))])
    sieve.removed = dict(pool.removed)
    number = sieve.rows.groupby("split").cumcount()
    wanted = sieve.rows["split"].map({split: PER_DECOY * len(mine) for split, mine in slots.by_split.items()})
    sieve.drop("more than needed", (number >= wanted).to_numpy())
    sieve.drop("nearly repeats a training window", _repeats(sieve.rows, slots, genome))
    return Pool(sieve.rows, sieve.removed, pool.cleared_by)


def _repeats(windows: pd.DataFrame, slots: _Slots, genome: Genome) -> NDArray[np.bool_]:
    """Which windows of other splits nearly repeat a training one, among themselves or of the matched tier."""
    train = (windows["split"] == "train").to_numpy()
    matched = slots.hard[slots.hard["split"] == "train"]
    known = pd.concat([rows[["chrom", "start", "end"]] for rows in (windows[train], matched)])
    found = ~train
    found[found] = nearly_repeats(genome.codes(windows[found]), genome.codes(known))
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
    sieve.removed["candidate windows"] = len(windows)
    size = sieve.rows["chrom"].map(genome.sizes)
    sieve.drop("beyond the chromosome's end", ((sieve.rows["start"] < 0) | (sieve.rows["end"] > size)).to_numpy())
    for rule, regions in exclude.items():
        sieve.drop(rule, overlaps(sieve.rows, regions))
    sieve.drop("too many N", n_fraction(genome, sieve.rows) > max_n_fraction)
    sieve.rows["split"] = splits.of(sieve.rows)
    own = slots.rows["split"].to_numpy()[sieve.rows["slot"]]
    sieve.drop("in another split than the promoter", sieve.rows["split"].to_numpy() != own)
    repeats = np.ones(1, dtype=bool)
    while repeats.any():  # a window that goes makes room for the promoter's next one
        filled, blocked = _nearest_first(sieve.rows, width)
        repeats = ~(filled | blocked)
        repeats[repeats] = _repeats(sieve.rows[repeats], slots, genome)
        sieve.drop("nearly repeats a training window", repeats)
    sieve.drop("a nearer one was found", filled)
    sieve.drop("overlaps another's neighbour", blocked[~filled])
    if sieve.rows.empty:
        raise PoolError("no promoter has a clear neighbour", remedy="leave the tier out, or keep smaller buffers")
    sieve.rows = sieve.rows.sort_values("slot", ignore_index=True)
    return slots.filled(sieve.rows["slot"].to_numpy(), sieve.rows), Pool(sieve.rows, sieve.removed)


def _nearest_first(windows: pd.DataFrame, width: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which windows their slot does not need, having a nearer one, and which overlap what another slot took before.

    Neighbours of neighbouring promoters compete for the same bases: the nearer one has them, and the other one takes
    the next that is free. The windows lie in the order in which they are to be given out.
    """
    filled, blocked = np.zeros((2, len(windows)), dtype=bool)
    slots: set[int] = set()
    taken: dict[tuple[object, int], int] = {}  # at most one start in each stretch of a window's width
    for row, (chrom, start, slot) in enumerate(zip(windows["chrom"], windows["start"], windows["slot"], strict=True)):
        here = start // width
        if slot in slots:
            filled[row] = True
        elif any(abs(taken.get((chrom, place), start + width) - start) < width for place in range(here - 1, here + 2)):
            blocked[row] = True
        else:
            slots.add(slot)
            taken[chrom, here] = start
    return filled, blocked
