"""Accessibility tracks: what every kind answers and shares."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

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
