"""bedGraph tracks: disjoint intervals with a value each."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike
from genocontrast.errors import FileFormatError, GenocontrastWarning
from genocontrast.genome.formats import parse_bed
from genocontrast.genome.tables import read_columns
from genocontrast.genome.tracks import (
    Floats,
    Ints,
    Track,
    by_name,
    by_sequence,
    fast_table,
    joined,
    offsets,
    ragged,
    refuse_beyond,
)

if TYPE_CHECKING:
    from genocontrast.genome.fasta import Genome


_OVERHANG = 1_000
"""bp by which a last interval may pass the end of its chromosome: pile-ups of extended reads do."""


class BedGraph(Track):
    """Disjoint intervals with a value each."""

    def __init__(self, path: PathLike, genome: Genome | None) -> None:
        super().__init__(path, genome)
        table = _read_bedgraph(path)
        chroms = by_sequence(table, self, genome)
        if genome is not None:
            table = _clipped(table, chroms, self, genome)
        columns = {chrom: table.iloc[rows].sort_values("start", kind="stable") for chrom, rows in chroms.items()}
        self._intervals = {
            chrom: tuple(part[name].to_numpy() for name in ("start", "end", "value")) for chrom, part in columns.items()
        }
        self.chroms = self._intervals

    def runs(self, chrom: str, threshold: float) -> tuple[Ints, Ints, float]:
        """Maximal runs of bases with at least a value, starts and ends, shape=(n,); and the chromosome's highest."""
        starts, ends, values = self._intervals[chrom]
        reached = values >= threshold
        return *joined(starts[reached], ends[reached]), float(values.max())

    def _sums(self, chrom: str, starts: Ints, ends: Ints) -> Floats:
        return self._area(chrom, ends) - self._area(chrom, starts)

    def _area(self, chrom: str, places: Ints) -> Floats:
        """Summed values of all bases before each place."""
        starts, ends, values = self._intervals[chrom]
        before = np.concatenate([[0.0], np.cumsum(values * (ends - starts))])
        row = np.searchsorted(starts, places, side="right") - 1
        inside = values[row] * (np.minimum(places, ends[row]) - starts[row])
        return np.where(row < 0, 0.0, before[row] + inside)

    def _profile(self, chrom: str, starts: Ints, ends: Ints) -> Floats:
        firsts, lasts, values = self._intervals[chrom]
        low, high = np.searchsorted(lasts, starts, side="right"), np.searchsorted(firsts, ends)
        rows, widths = ragged(low, high), ends - starts
        start, end, shift = (np.repeat(of, high - low) for of in (starts, ends, offsets(widths) - starts))
        edges = np.stack([np.maximum(firsts[rows], start) + shift, np.minimum(lasts[rows], end) + shift], axis=1)
        # Runs of nothing and of a value take turns, nothing first and last.
        lengths = np.diff(edges.ravel(), prepend=0, append=int(widths.sum()))
        runs = np.zeros(len(lengths))
        runs[1::2] = values[rows]
        return np.repeat(runs, lengths)


def _clipped(table: pd.DataFrame, groups: Mapping[str, NDArray[np.intp]], track: Track, genome: Genome) -> pd.DataFrame:
    """The rows cut at their chromosome's end, with a warning; those wholly past it are refused."""
    inside = (table["end"] - table["start"]).to_numpy() - 1
    over = refuse_beyond(table, groups, track, genome, np.minimum(_OVERHANG, inside))
    rows = np.flatnonzero(over)
    if not len(rows):
        return table
    chrom, start, end, value = table.iloc[rows[0]][["chrom", "start", "end", "value"]]
    message = (
        f"{track.path}: {len(rows)} of {len(table)} rows end past their chromosome and were cut there, "
        f"the first {chrom}:{start}-{end} (value {value})"
    )
    warnings.warn(message, GenocontrastWarning, stacklevel=5)
    return table.assign(end=table["end"].to_numpy() - over)


def _read_bedgraph(path: PathLike) -> pd.DataFrame:
    """chrom, start, end, value; the careful reader takes over where there is something to complain about."""
    types = {"chrom": "category", "start": "int64", "end": "int64", "value": "float64"}
    table = fast_table(path, types)
    if table is not None and np.isfinite(table["value"]).all() and _overlap(table) is None:
        return table
    text = read_columns(path, most=4)
    if text.empty:
        raise FileFormatError("no intervals in this file", path=path, remedy="leave it out of the configuration")
    if text.shape[1] < 4:
        remedy = "separate chrom, start, end and value by tabs"
        raise FileFormatError("a bedGraph has four columns", path=path, line=int(text.index[0]), remedy=remedy)
    table = parse_bed(text, path).assign(value=pd.to_numeric(text[3], errors="coerce"))
    bad = ~np.isfinite(table["value"].to_numpy(np.float64))
    if bad.any():
        line, value = int(table.index[bad][0]), text[3][bad].iloc[0]
        remedy = "leave out the intervals without a value"
        raise FileFormatError("the value is not a finite number", path=path, line=line, value=value, remedy=remedy)
    _refuse_overlap(table, path)
    return table


def _overlap(table: pd.DataFrame) -> tuple[int, int] | None:
    """Positions of two rows that share a base, in the file's order; None where none do."""
    starts, ends = table["start"].to_numpy(), table["end"].to_numpy()
    for rows in by_name(table).values():
        order = rows[np.argsort(starts[rows], kind="stable")]
        overlapping = starts[order][1:] < ends[order][:-1]
        if overlapping.any():
            first, second = sorted(order[int(np.argmax(overlapping)) :][:2].tolist())
            return first, second
    return None


def _refuse_overlap(table: pd.DataFrame, path: PathLike) -> None:
    found = _overlap(table)
    if found is None:
        return
    chrom, start, end = table.iloc[found[1]][["chrom", "start", "end"]]
    first, second = (int(table.index[row]) for row in found)
    raise FileFormatError(
        f"the interval overlaps that of line {first}",
        path=path,
        line=second,
        value=f"{chrom}:{start}-{end}",
        remedy="give each base one value (one strand and one sample per file)",
    )
