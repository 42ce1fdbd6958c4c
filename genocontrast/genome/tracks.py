"""Accessibility tracks: what every kind answers and shares, and bigWig."""

from __future__ import annotations

import os
import struct
import warnings
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyBigWig
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike, existing
from genocontrast.errors import FileFormatError, GenocontrastWarning, NamingError, RegionError
from genocontrast.genome.assemblies import advice
from genocontrast.genome.names import MAX_LOST, reconcile
from genocontrast.genome.tables import reading, truncated

if TYPE_CHECKING:
    from genocontrast.genome.fasta import Genome

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BIGWIG_MAGIC = 0x888FFC26
_BLOCK = 1 << 21
"""bp of a bigWig held in memory at a time."""
_GAP = 50_000
"""Windows further apart than this are read one by one: asking a bigWig costs as much as reading that many bp."""
_HEADINGS: tuple[list[bytes], ...] = ([], [b"track"], [b"browser"])


class Track(ABC):
    """One replicate. With a genome, a chromosome that the file lacks has no signal; without one it is an error.

    Attributes
    ----------
    rows, kept : int or None
        Rows (or reads) of the file and those that are used; None for bigWig.
    renamed : dict of str to str
        Chromosome names of the file that the genome spells otherwise.
    removed : dict of str to int
        Rows that are not used, by the rule that removed them.
    chroms : collection of str
        Chromosomes with signal, in the genome's naming.
    """

    rows: int | None = None
    kept: int | None = None
    chroms: Collection[str]

    def __init__(self, path: PathLike, genome: Genome | None) -> None:
        self.path, self._strict = path, genome is None
        self.renamed: dict[str, str] = {}
        self.removed: dict[str, int] = {}
        self._sizes: dict[str, int] = {}

    def sums(self, chrom: str, starts: Ints, ends: Ints) -> Floats:
        """Summed signal of windows in any order, shape=(n,)."""
        return self._sums(chrom, starts, ends) if self._has(chrom, ends) else np.zeros(len(starts))

    def profile(self, chrom: str, starts: Ints, ends: Ints) -> Floats:
        """Signal of each base of disjoint, ascending windows, laid end to end, shape=(sum of widths,)."""
        return self._profile(chrom, starts, ends) if self._has(chrom, ends) else np.zeros(int((ends - starts).sum()))

    def _has(self, chrom: str, ends: Ints) -> bool:
        if self._strict and chrom not in self.chroms:
            remedy = f"give a genome; the file has {', '.join(list(self.chroms)[:5])}"
            raise NamingError(f"no sequence {chrom!r} in this file", path=self.path, remedy=remedy)
        if self._strict and chrom in self._sizes and ends.max() > self._sizes[chrom]:
            problem = f"outside {chrom}, which has {self._sizes[chrom]} bp"
            raise RegionError(problem, path=self.path, value=int(ends.max()))
        return chrom in self.chroms

    @abstractmethod
    def _sums(self, chrom: str, starts: Ints, ends: Ints) -> Floats: ...

    @abstractmethod
    def _profile(self, chrom: str, starts: Ints, ends: Ints) -> Floats: ...


class BigWig(Track):
    """A bigWig file, opened for each question so that nothing stays open."""

    def __init__(self, path: PathLike, genome: Genome | None) -> None:
        super().__init__(path, genome)
        _refuse_cut_bigwig(path)
        with self._handle() as handle:
            sizes: dict[str, int] = handle.chroms()
        names, self.renamed = same_sequences(sizes, genome, path)
        self._names = {new: old for old, new in names.items()}
        self._sizes = {new: sizes[old] for old, new in names.items()}
        self.chroms = self._names.keys()

    def _handle(self) -> pyBigWig.bigWigFile:
        try:
            handle = pyBigWig.open(str(self.path))
        except RuntimeError:
            raise truncated(self.path) from None
        if not handle.isBigWig():
            raise FileFormatError("not a bigWig file", path=self.path)
        return handle

    def _read(self, handle: pyBigWig.bigWigFile, chrom: str, start: int, end: int) -> NDArray[np.float32]:
        try:
            values: NDArray[np.float32] = handle.values(self._names[chrom], start, end, numpy=True)
        except RuntimeError:
            raise truncated(self.path) from None
        np.copyto(values, 0, where=np.isnan(values))
        if not np.isfinite(values.sum(dtype=np.float64)):
            where = start + int(np.argmax(np.isinf(values)))
            raise FileFormatError("an infinite value", path=self.path, value=f"{chrom}:{where}-{where + 1}")
        return values

    def _sums(self, chrom: str, starts: Ints, ends: Ints) -> Floats:
        sums = np.zeros(len(starts))
        with self._handle() as handle:
            for rows in _clusters(starts, ends):
                first, last = int(starts[rows].min()), int(ends[rows].max())
                for begin in range(first, last, _BLOCK):
                    end = min(begin + _BLOCK, last)
                    values = self._read(handle, chrom, begin, end)
                    sums[rows] += _window_sums(values, starts[rows] - begin, ends[rows] - begin)
        return sums

    def _profile(self, chrom: str, starts: Ints, ends: Ints) -> Floats:
        pieces: list[NDArray[np.float32]] = []
        with self._handle() as handle:
            for rows in _clusters(starts, ends):
                first = int(starts[rows[0]])
                values = self._read(handle, chrom, first, int(ends[rows[-1]]))
                spans = zip(starts[rows] - first, ends[rows] - first, strict=True)
                pieces.extend(values[begin:end] for begin, end in spans)
        return np.concatenate(pieces, dtype=np.float64)


def _clusters(starts: Ints, ends: Ints) -> list[NDArray[np.intp]]:
    """Rows of windows, by start, that are read at one go: those near each other in one block."""
    order = np.argsort(starts, kind="stable")
    begins, reached = starts[order], np.maximum.accumulate(ends[order])
    apart = (begins[1:] > reached[:-1] + _GAP) | (np.diff(begins // _BLOCK) > 0)
    return np.split(order, np.flatnonzero(apart) + 1)


def _window_sums(values: NDArray[np.float32], starts: Ints, ends: Ints) -> Floats:
    """Sums over windows, each cut to the block of values, shape=(n,)."""
    edges, places = np.unique(np.clip([starts, ends], 0, len(values)), return_inverse=True)
    running = np.zeros(len(edges))
    if len(edges) > 1:
        # One sum between neighbouring edges, so that windows that overlap cost no more than those that do not.
        np.cumsum(np.add.reduceat(values[: edges[-1]], edges[:-1], dtype=np.float64), out=running[1:])
    first, last = running[places.reshape(2, -1)]
    return last - first


def _refuse_cut_bigwig(path: PathLike) -> None:
    """A bigWig begins and ends with the same number; pyBigWig opens one that lacks its end."""
    with open(existing(path), "rb") as handle:
        head = handle.read(4)
        handle.seek(-4, os.SEEK_END) if len(head) == 4 else None
        tail = handle.read(4)
    if head not in (struct.pack("<I", _BIGWIG_MAGIC), struct.pack(">I", _BIGWIG_MAGIC)):
        raise FileFormatError("not a bigWig file", path=path, remedy="give a bigWig file, or fragments as .bed.gz")
    if tail != head:
        raise truncated(path)


def fast_table(path: PathLike, types: Mapping[str, str]) -> pd.DataFrame | None:
    """The first columns by the typed parser, or None where any row needs the careful one (for its message)."""
    with reading(path) as handle:
        heading = 0
        while (line := handle.readline()) and (line.split()[:1] in _HEADINGS or line.startswith(b"#")):
            heading += 1
    with reading(path) as handle:
        try:
            table = pd.read_csv(
                handle, sep="\t", header=None, comment="#", names=list(types), usecols=range(len(types)),
                dtype=dict(types), index_col=False, na_filter=False, skiprows=heading,
            )  # fmt: skip
        except (ValueError, pd.errors.ParserError):
            return None
    valid = (table["start"] >= 0) & (table["start"] < table["end"])
    return table if len(table) and valid.all() else None


def by_name(table: pd.DataFrame) -> dict[str, NDArray[np.intp]]:
    """Positions of the rows of each chromosome, as the table spells it."""
    groups = table.reset_index(drop=True).groupby("chrom", sort=False, observed=True).indices
    return {str(chrom): np.asarray(rows) for chrom, rows in groups.items()}


def by_sequence(table: pd.DataFrame, track: Track, genome: Genome | None) -> dict[str, NDArray[np.intp]]:
    """Rows of each chromosome in the genome's naming; what was renamed and left out is noted on the track."""
    groups = by_name(table)
    track.rows = track.kept = len(table)
    if genome is None:
        return groups
    renaming = reconcile({chrom: len(rows) for chrom, rows in groups.items()}, genome.sizes, track.path)
    track.renamed = renaming.renamed
    if renaming.dropped:
        track.removed = {"unknown_sequence": sum(renaming.dropped.values())}
        track.kept -= track.removed["unknown_sequence"]
    ends = table["end"].to_numpy()
    for old, new in renaming.names.items():
        if ends[groups[old]].max() > genome.sizes[new]:
            raise RegionError(
                f"a row ends beyond {new}, which has {genome.sizes[new]} bp",
                path=track.path,
                value=int(ends[groups[old]].max()),
                remedy="use a file of the same assembly as the genome" + advice(table, genome.sizes),
            )
    return {new: groups[old] for old, new in renaming.names.items()}


def same_sequences(
    sizes: dict[str, int], genome: Genome | None, path: PathLike
) -> tuple[dict[str, str], dict[str, str]]:
    """A header's names in the genome's naming, those of another size left out, and those among them that change.

    Chromosomes of another size belong to another assembly: many are refused, few are warned of.
    """
    if genome is None:
        return {name: name for name in sizes}, {}
    renaming = reconcile(sizes, genome.sizes, path, unit="bp")
    names = {old: new for old, new in renaming.names.items() if sizes[old] == genome.sizes[new]}
    differ = {old: sizes[old] for old in renaming.names if old not in names}
    if differ:
        name, size = next(iter(differ.items()))
        problem = f"{name} has {size} bp in this file and {genome.sizes[renaming.names[name]]} bp in the genome"
        if sum(differ.values()) > MAX_LOST * sum(sizes.values()):
            remedy = "use a track of the same assembly as the genome" + advice(sizes, genome.sizes)
            raise RegionError(problem, path=path, remedy=remedy)
        warnings.warn(f"{path}: {problem}; it counts as without signal", GenocontrastWarning, stacklevel=5)
    return names, renaming.renamed


def offsets(widths: Ints) -> Ints:
    """Where each of several pieces begins when they are laid end to end, shape=(n,)."""
    return np.cumsum(widths) - widths


def ragged(low: NDArray[np.integer], high: NDArray[np.integer]) -> Ints:
    """The numbers from each `low` up to its `high`, end to end, shape=(sum of high - low,)."""
    counts = high - low
    return np.arange(counts.sum()) + np.repeat(low - offsets(counts), counts)
