"""Accessibility tracks: what every kind answers and shares."""

from __future__ import annotations

import csv
import io
import warnings
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike
from genocontrast.errors import GenocontrastWarning, NamingError, RegionError
from genocontrast.genome.assemblies import advice
from genocontrast.genome.names import MAX_LOST, reconcile
from genocontrast.genome.tables import reading

if TYPE_CHECKING:
    from genocontrast.genome.fasta import Genome

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

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

    @contextmanager
    def opened(self) -> Iterator[Self]:
        """The track for one question, of any number of chromosomes; what it opens is closed after it."""
        yield self

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


def fast_table(path: PathLike, types: Mapping[str, str]) -> pd.DataFrame | None:
    """The first columns by the typed parser, or None where any row needs the careful one (for its message)."""
    with reading(path) as handle:
        heading = 0
        while (line := handle.readline()) and (line.split()[:1] in _HEADINGS or line.startswith(b"#")):
            heading += 1
    with reading(path) as handle, warnings.catch_warnings():
        # A number too large for its type is a warning of numpy, not an error.
        warnings.simplefilter("error", RuntimeWarning)
        try:
            table = pd.read_csv(
                _TextOnly(handle), sep="\t", header=None, comment="#", names=list(types), usecols=range(len(types)),
                dtype=dict(types), index_col=False, na_filter=False, skiprows=heading, quoting=csv.QUOTE_NONE,
            )  # fmt: skip
        except (ValueError, OverflowError, RuntimeWarning, pd.errors.ParserError):
            return None
    valid = (table["start"] >= 0) & (table["start"] < table["end"])
    return table if len(table) and valid.all() else None


class _TextOnly(io.BufferedIOBase):
    """Bytes of a file, or a ValueError at a zero byte, which would end its row for the typed parser."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        found = self._handle.read(-1 if size is None else size)
        if b"\0" in found:
            raise ValueError("a zero byte")
        return found

    def read1(self, size: int = -1, /) -> bytes:
        return self.read(size)


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
    return {new: groups[old] for old, new in renaming.names.items()}


def refuse_beyond(
    table: pd.DataFrame, groups: Mapping[str, NDArray[np.intp]], track: Track, genome: Genome, most: int | Ints
) -> Ints:
    """How many bp of each row lie past the end of its chromosome, shape=(n,); more than `most` is a RegionError."""
    starts, ends = table["start"].to_numpy(), table["end"].to_numpy()
    over = np.zeros(len(table), dtype=np.int64)
    for chrom, rows in groups.items():
        over[rows] = np.maximum(ends[rows] - genome.sizes[chrom], 0)
    beyond = np.flatnonzero(over > most)
    if len(beyond):
        row = beyond[0]
        chrom = next(chrom for chrom, rows in groups.items() if row in rows)
        raise RegionError(
            f"a row ends beyond {chrom}, which has {genome.sizes[chrom]} bp",
            path=track.path,
            value=f"{table['chrom'].iloc[row]}:{starts[row]}-{ends[row]}",
            remedy="use a file of the same assembly as the genome, or cut it at the chromosomes' ends with bedClip or "
            "bedtools slop -b 0" + advice(table, genome.sizes),
        )
    return over


def same_sequences(
    sizes: dict[str, int], genome: Genome | None, path: PathLike
) -> tuple[dict[str, str], dict[str, str]]:
    """A header's names in the genome's naming, those of another size left out, and those among them that change."""
    if genome is None:
        return {name: name for name in sizes}, {}
    renaming = reconcile(sizes, genome.sizes, path, unit="bp")
    return same_sizes(sizes, renaming.names, genome, path), renaming.renamed


def same_sizes(
    sizes: Mapping[str, int], known: Mapping[str, str], genome: Genome | None, path: PathLike
) -> dict[str, str]:
    """Of the header's names that the genome has, those of the same size.

    Chromosomes of another size belong to another assembly: many are refused, few are warned of.
    """
    if genome is None:
        return dict(known)
    names = {old: new for old, new in known.items() if sizes[old] == genome.sizes[new]}
    differ = {old: sizes[old] for old in known if old not in names}
    if differ:
        name, size = next(iter(differ.items()))
        problem = f"{name} has {size} bp in this file and {genome.sizes[known[name]]} bp in the genome"
        if sum(differ.values()) > MAX_LOST * sum(sizes[old] for old in known):
            remedy = "use a track of the same assembly as the genome" + advice(sizes, genome.sizes)
            raise RegionError(problem, path=path, remedy=remedy)
        warnings.warn(f"{path}: {problem}; it counts as without signal", GenocontrastWarning, stacklevel=5)
    return names


def joined(starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Ascending, disjoint intervals, those that touch made one."""
    opens = np.ones(len(starts), dtype=bool)
    opens[1:] = starts[1:] != ends[:-1]
    return starts[opens], ends[np.roll(opens, -1)]


def offsets(widths: Ints) -> Ints:
    """Where each of several pieces begins when they are laid end to end, shape=(n,)."""
    return np.cumsum(widths) - widths


def ragged(low: NDArray[np.integer], high: NDArray[np.integer]) -> Ints:
    """The numbers from each `low` up to its `high`, end to end, shape=(sum of high - low,)."""
    counts = high - low
    return np.arange(counts.sum()) + np.repeat(low - offsets(counts), counts)
