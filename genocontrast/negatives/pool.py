"""The pool of candidate decoys: open windows that are known not to be promoters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.errors import PoolError, ShapeError
from genocontrast.genome.fasta import Genome
from genocontrast.genome.intervals import overlaps
from genocontrast.sequence import N_CODE


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
    """

    windows: pd.DataFrame
    removed: dict[str, int] = field(default_factory=dict)
    cleared_by: tuple[str, ...] = ()


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


def candidate_pool(
    genome: Genome,
    open_chromatin: pd.DataFrame,
    exclude: Mapping[str, pd.DataFrame],
    width: int,
    stride: int | None = None,
    max_n_fraction: float = 0.05,
) -> Pool:
    """Windows on open chromatin that touch nothing in `exclude`.

    Parameters
    ----------
    genome : Genome
    open_chromatin : DataFrame
        Regions: chrom, start, end[, summit].
    exclude : mapping of str to DataFrame
        Named regions that no window may overlap (widened TSS, evidence of promoters, blacklist, positives); the
        name states the rule in the counts.
    width : int
        Width of the windows, bp.
    stride : int, optional
        Tile each open region with windows this many bp apart; by default one window on each summit.
    max_n_fraction : float
        Windows with a larger fraction of N are removed.

    Returns
    -------
    Pool

    Raises
    ------
    PoolError
        When no window is left, with the count that each rule removed.
    """
    if width < 1:
        raise ShapeError("the width of a window must be positive", value=width)
    windows = summit_windows(open_chromatin, width) if stride is None else tiled_windows(open_chromatin, width, stride)
    sieve = Sieve(windows)
    size = sieve.rows["chrom"].map(genome.sizes).to_numpy()
    sieve.drop("beyond the chromosome's end", ((sieve.rows["start"] < 0) | (sieve.rows["end"] > size)).to_numpy())
    for rule, regions in exclude.items():
        sieve.drop(rule, overlaps(sieve.rows, regions))
    sieve.drop("too many N", n_fraction(genome, sieve.rows) > max_n_fraction)
    if sieve.rows.empty:
        raise PoolError(
            f"no candidate decoy is left of {len(windows)} windows; removed: {describe(sieve.removed)}",
            remedy="relax the rule that removes most (genome.evidence, negatives.tss_buffer), or give more peaks",
        )
    return Pool(sieve.rows, {"candidate windows": len(windows), **sieve.removed}, tuple(exclude))


def n_fraction(genome: Genome, regions: pd.DataFrame) -> NDArray[np.float64]:
    """Fraction of N in each region of one width, shape=(n,)."""
    return (genome.codes(regions) == N_CODE).mean(1) if len(regions) else np.zeros(0)


def describe(counts: Mapping[str, int]) -> str:
    """Counts in words: 'blacklist 12, too many N 3'."""
    return ", ".join(f"{rule} {count:,}" for rule, count in counts.items()) or "nothing"
