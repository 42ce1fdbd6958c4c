"""The pool of candidate decoys: open windows that are known not to be promoters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.errors import PoolError, RegionError, ShapeError
from genocontrast.genome.assemblies import advice
from genocontrast.genome.fasta import Genome
from genocontrast.genome.intervals import overlaps

Exclusions = Mapping[str, pd.DataFrame] | Sequence[pd.DataFrame]
Layout = tuple[pd.DataFrame, int | None]


@dataclass(frozen=True)
class Pool:
    """Candidate decoys and what each rule removed.

    Attributes
    ----------
    windows : DataFrame
        chrom, start, end, name, strand; 0-based half-open, all of one width.
    removed : dict of str to int
        Windows that each rule removed, in the order of the rules.
    cleared_by : tuple of str
        Names of the evidence that no window comes near.
    evidence : DataFrame
        A row per exclusion: rule; touched, the candidate windows that it overlaps; alone, those of them that no
        other exclusion overlaps.
    """

    windows: pd.DataFrame
    removed: dict[str, int] = field(default_factory=dict)
    cleared_by: tuple[str, ...] = ()
    evidence: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["rule", "touched", "alone"]))

    def __repr__(self) -> str:
        return f"Pool({len(self.windows):,} windows; removed: {describe(self.removed)})"


class Sieve:
    """Remove rows rule by rule and count what each rule removed; nothing is dropped silently."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.rows = rows.reset_index(drop=True)
        self.removed: dict[str, int] = {}

    def drop(self, rule: str, bad: NDArray[np.bool_]) -> None:
        """Remove the rows that are `bad`, shape=(rows,), under the name of `rule`."""
        self.removed[rule] = self.removed.get(rule, 0) + int(bad.sum())
        self.rows = self.rows.loc[~bad].reset_index(drop=True)


def summit_windows(open_chromatin: pd.DataFrame, width: int) -> pd.DataFrame:
    """Windows of `width` bp centred on each region's summit (its centre where no summit is known)."""
    centre = (open_chromatin["start"] + open_chromatin["end"]) // 2
    if "summit" in open_chromatin:
        centre = open_chromatin["summit"].where(open_chromatin["summit"] >= 0, centre)
    return _windows(open_chromatin["chrom"].to_numpy(), centre.to_numpy() - width // 2, width)


def tiled_windows(regions: pd.DataFrame, width: int, stride: int) -> pd.DataFrame:
    """Windows of `width` bp every `stride` bp that lie whole within each region."""
    count = np.maximum((regions["end"] - regions["start"] - width).to_numpy() // stride + 1, 0)
    first = np.repeat(regions["start"].to_numpy(), count)
    step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return _windows(np.repeat(regions["chrom"].to_numpy(), count), first + step * stride, width)


def _windows(chrom: NDArray, start: NDArray, width: int) -> pd.DataFrame:
    frame = pd.DataFrame({"chrom": chrom, "start": start.astype(np.int64), "end": start.astype(np.int64) + width})
    frame["name"] = "."
    frame["strand"] = "+"
    return frame.drop_duplicates(["chrom", "start"], ignore_index=True)


def whole_chromosomes(sizes: Mapping[str, int]) -> pd.DataFrame:
    """Each chromosome as one region: chrom, start, end."""
    return pd.DataFrame({"chrom": list(sizes), "start": 0, "end": list(sizes.values())}).astype({"chrom": object})


def candidate_pool(
    genome: Genome,
    open_chromatin: pd.DataFrame,
    exclude: Exclusions,
    width: int,
    stride: int | None = None,
    max_n_fraction: float = 0.05,
    summits: bool | None = None,
) -> Pool:
    """Windows on open chromatin that touch nothing in `exclude`.

    Parameters
    ----------
    genome : Genome
    open_chromatin : DataFrame
        chrom, start, end, optionally summit (-1: the centre).
    exclude : mapping of str to DataFrame, or sequence of DataFrame
        Regions that no decoy may overlap: promoters and other evidence, already widened, and the blacklist. The
        name states the rule in the counts.
    width : int
        Width of the windows, bp.
    stride : int, optional
        Tile each open region with windows this many bp apart.
    max_n_fraction : float
        Windows with a larger fraction of N are removed.
    summits : bool, optional
        Put a window on each summit; by default where there is no stride. With a stride and True: both.

    Returns
    -------
    Pool
        Its windows may overlap one another; matching thins them.

    Raises
    ------
    PoolError
        When no window is left, with the count that each rule removed.
    """
    layouts: list[Layout] = [(open_chromatin, None)] if summits or (summits is None and stride is None) else []
    layouts += [(open_chromatin, stride)] if stride is not None else []
    return lay_out(genome, layouts, exclude, width, max_n_fraction)


def lay_out(
    genome: Genome, layouts: Sequence[Layout], exclude: Exclusions, width: int, max_n_fraction: float = 0.05
) -> Pool:
    """Windows on each of several kinds of regions; see `candidate_pool`.

    Parameters
    ----------
    layouts : sequence of (DataFrame, int or None)
        Regions, and the step, bp, of the windows that tile them; None: one window on each summit.
    """
    if width < 1:
        raise ShapeError("the width of a window must be positive", value=width)
    rules = _named(exclude)
    for rule, regions in [("open chromatin", peaks) for peaks, _ in layouts] + list(rules.items()):
        _refuse_other_assembly(rule, regions, genome)
    by_rule = {rule: _by_chromosome(regions) for rule, regions in rules.items()}
    by_layout = [(_by_chromosome(regions), regions[:0], stride) for regions, stride in layouts]
    pools = []
    for chrom in dict.fromkeys(chrom for groups, _, _ in by_layout for chrom in groups):
        windows = pd.concat([_windows_on(groups.get(chrom, none), width, stride) for groups, none, stride in by_layout])
        here = {rule: groups.get(chrom, windows[:0]) for rule, groups in by_rule.items()}
        pools.append(_sieved(genome, windows.drop_duplicates(["chrom", "start"]), here, max_n_fraction))
    pool = join(pools, tuple(rules))
    if pool.windows.empty:
        total = pool.removed.get("candidate windows", 0)
        raise PoolError(
            f"no candidate decoy is left of {total:,} windows; removed: {describe(pool.removed, 'candidate windows')}",
            remedy="relax the rule that removes most (genome.evidence, negatives.tss_buffer), give more peaks, and "
            "check that evidence and blacklist are of the genome's assembly",
        )
    return pool


def _named(exclude: Exclusions) -> dict[str, pd.DataFrame]:
    if isinstance(exclude, pd.DataFrame):
        raise ShapeError("exclude is a single table", remedy="pass {'the rule in words': table}, or a list of tables")
    if isinstance(exclude, Mapping):
        return dict(exclude)
    tables = [exclude] if isinstance(exclude, str) else exclude  # a path is no table, and refused as such
    return {f"excluded regions {number}": regions for number, regions in enumerate(tables, 1)}


def _by_chromosome(regions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(chrom): rows for chrom, rows in regions.groupby("chrom", sort=False, observed=True)}


def _refuse_other_assembly(rule: str, regions: pd.DataFrame, genome: Genome) -> None:
    """Regions on sequences that the genome lacks, or past their ends, exclude nothing where they should."""
    if not isinstance(regions, pd.DataFrame):
        raise ShapeError(f"{rule}: no table of regions", value=regions, remedy="read it with gct.read_regions(path)")
    size = regions["chrom"].astype(object).map(genome.sizes)
    bad = (size.isna() | (regions["start"] >= size)).to_numpy()
    if bad.any():
        chrom, start, end = regions.loc[bad, ["chrom", "start", "end"]].iloc[0]
        raise RegionError(
            f"{rule}: {bad.sum():,} of {len(bad):,} regions lie outside the genome",
            value=f"{chrom}:{start}-{end}",
            remedy="take all files from one assembly" + advice(regions, genome.sizes),
        )


def _windows_on(regions: pd.DataFrame, width: int, stride: int | None) -> pd.DataFrame:
    if stride is None:
        return summit_windows(regions, width)
    if stride < 1:
        raise ShapeError("the step between tiled windows must be positive", value=stride)
    return tiled_windows(regions, width, stride)


def _sieved(genome: Genome, windows: pd.DataFrame, exclude: Mapping[str, pd.DataFrame], max_n_fraction: float) -> Pool:
    """The pool of one chromosome: a tiled human genome has 60 million windows, too many to hold at once."""
    sieve = Sieve(windows)
    outside = (sieve.rows["start"] < 0) | (sieve.rows["end"] > sieve.rows["chrom"].map(genome.sizes))
    sieve.drop("beyond the chromosome's end", outside.to_numpy())
    touched = {rule: overlaps(sieve.rows, regions) for rule, regions in exclude.items()}
    hits = np.sum(list(touched.values()), axis=0, dtype=np.int64)
    evidence = [
        {"rule": rule, "touched": int(mine.sum()), "alone": int((mine & (hits == 1)).sum())}
        for rule, mine in touched.items()
    ]
    left = np.ones(len(sieve.rows), dtype=bool)
    for rule, mine in touched.items():
        sieve.drop(rule, mine[left])
        left &= ~mine
    sieve.drop("too many N", n_fraction(genome, sieve.rows) > max_n_fraction)
    counts = {"candidate windows": len(windows), **sieve.removed}
    return Pool(sieve.rows, counts, tuple(exclude), pd.DataFrame(evidence, columns=["rule", "touched", "alone"]))


def join(pools: Sequence[Pool], rules: tuple[str, ...]) -> Pool:
    """Pools of different chromosomes as one."""
    removed: dict[str, int] = {}
    for pool in pools:
        for rule, count in pool.removed.items():
            removed[rule] = removed.get(rule, 0) + count
    windows = [pool.windows for pool in pools if len(pool.windows)]
    empty = pd.DataFrame(columns=["chrom", "start", "end", "name", "strand"]).astype({"start": int, "end": int})
    evidence = pd.concat([pool.evidence for pool in pools]) if pools else Pool(empty).evidence
    return Pool(
        pd.concat(windows, ignore_index=True) if windows else empty,
        removed,
        rules,
        evidence.groupby("rule", sort=False)[["touched", "alone"]].sum().reset_index(),
    )


def n_fraction(genome: Genome, regions: pd.DataFrame) -> NDArray[np.float64]:
    """Fraction of N in each region, shape=(n,)."""
    return 1 - genome.counts(regions).called / (regions["end"] - regions["start"]).to_numpy()


def describe(counts: Mapping[str, int], *but: str) -> str:
    """Counts in words: 'blacklist 12, too many N 3'."""
    return ", ".join(f"{rule} {count:,}" for rule, count in counts.items() if rule not in but) or "nothing"
