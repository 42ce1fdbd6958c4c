"""Accessibility along the genome: bigWig tracks, or ATAC fragments counted at their two Tn5 cuts."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd
import pyBigWig
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike, existing
from genocontrast.errors import FileFormatError, GenocontrastWarning, NamingError, RegionError
from genocontrast.genome.names import MAX_LOST, reconcile
from genocontrast.genome.regions import check_within, load_regions
from genocontrast.genome.tables import reading, suffixes, truncated

if TYPE_CHECKING:
    from genocontrast.genome.fasta import Genome

_BIGWIG = {".bw", ".bigwig"}
_FRAGMENTS = {".bed", ".bedpe", ".tsv"}
_BIGWIG_MAGIC = 0x888FFC26
_BLOCK = 1 << 24
"""bp of a bigWig held in memory at a time."""


class _Track(Protocol):
    """One replicate."""

    renamed: dict[str, str]
    rows: int | None
    kept: int | None

    def sums(self, chrom: str, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.float64]: ...


class Signal:
    """Accessibility of windows, averaged over replicates.

    Parameters
    ----------
    paths : path or sequence of paths
        One file per replicate: bigWig (.bw, .bigWig) or fragments (.bed, .bedpe, .tsv, each also .gz: chrom,
        start, end, already shifted for Tn5). Fragments count one cut at `start` and one at `end - 1`.
    genome : Genome, optional
        Chromosome names are brought into its naming. A chromosome of the genome that a file lacks has no signal;
        without a genome it is an error.

    Attributes
    ----------
    files : list of dict
        file, rows and kept (fragments; None for bigWig) and renamed of each replicate.

    Raises
    ------
    FileFormatError, NamingError, RegionError
        For a file that is missing, truncated, of an unknown kind or of another assembly.
    """

    def __init__(self, paths: PathLike | Sequence[PathLike], genome: Genome | None = None) -> None:
        listed: list[PathLike] = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
        if not listed:
            raise FileFormatError("no signal file", remedy="name at least one bigWig or fragments file")
        self._sizes = None if genome is None else genome.sizes
        self._tracks = [_open(path, genome) for path in listed]
        self.files = [
            {"file": Path(path).name, "rows": track.rows, "kept": track.kept, "renamed": track.renamed}
            for path, track in zip(listed, self._tracks, strict=True)
        ]

    def __repr__(self) -> str:
        return f"Signal({', '.join(str(entry['file']) for entry in self.files)})"

    def mean(self, regions: pd.DataFrame) -> NDArray[np.float64]:
        """Mean signal per base of each region, averaged over replicates; bases without data count as 0.

        Parameters
        ----------
        regions : pandas.DataFrame
            chrom, start, end; widths may differ.

        Returns
        -------
        numpy.ndarray of float64, shape=(n,)
        """
        if self._sizes is not None:
            check_within(regions, self._sizes)
        total = np.zeros(len(regions))
        starts, ends = (regions[column].to_numpy(np.int64) for column in ("start", "end"))
        for chrom, rows in regions.reset_index(drop=True).groupby("chrom", sort=False, observed=True).indices.items():
            for track in self._tracks:
                total[rows] += track.sums(str(chrom), starts[rows], ends[rows])
        return total / (np.maximum(ends - starts, 1) * len(self._tracks))


def _open(path: PathLike, genome: Genome | None) -> _Track:
    kinds = set(suffixes(path))
    if kinds & _BIGWIG:
        return _BigWig(path, genome)
    if kinds & _FRAGMENTS:
        return _Fragments(path, genome)
    raise FileFormatError(
        "unknown kind of signal file", path=path, remedy="give bigWig (.bw) or fragments (.bed, .bedpe, .tsv; .gz)"
    )


def _absent(chrom: str, path: PathLike, known: Iterable[str]) -> NamingError:
    names = ", ".join(list(known)[:5])
    return NamingError(f"no sequence {chrom!r} in this file", path=path, remedy=f"give a genome; the file has {names}")


class _Fragments:
    """Sorted cut positions of each chromosome."""

    def __init__(self, path: PathLike, genome: Genome | None) -> None:
        self.path, self._strict = path, genome is None
        _refuse_read_pairs(path)
        fragments = _fast_fragments(path)
        if fragments is None:
            fragments = load_regions(path).regions
        self.rows: int | None = len(fragments)
        groups = fragments.groupby("chrom", sort=False, observed=True)
        self.renamed: dict[str, str] = {}
        names = {str(chrom): str(chrom) for chrom in groups.indices}
        if genome is not None:
            renaming = reconcile({str(chrom): len(rows) for chrom, rows in groups.indices.items()}, genome.sizes, path)
            names, self.renamed = renaming.names, renaming.renamed
        self._cuts: dict[str, NDArray[np.int64]] = {}
        for old, rows in groups.indices.items():
            if str(old) not in names:
                continue
            chrom = names[str(old)]
            starts, ends = (fragments[column].to_numpy()[rows] for column in ("start", "end"))
            if genome is not None and ends.max() > genome.sizes[chrom]:
                raise RegionError(
                    f"a fragment ends beyond {chrom}, which has {genome.sizes[chrom]} bp",
                    path=path,
                    value=int(ends.max()),
                    remedy="use fragments of the same assembly as the genome",
                )
            self._cuts[chrom] = np.sort(np.concatenate([starts, ends - 1]))
        self.kept: int | None = sum(map(len, self._cuts.values())) // 2

    def sums(self, chrom: str, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.float64]:
        """Cuts in each window, shape=(n,)."""
        if chrom not in self._cuts:
            if self._strict:
                raise _absent(chrom, self.path, self._cuts)
            return np.zeros(len(starts))
        cuts = self._cuts[chrom]
        return (np.searchsorted(cuts, ends) - np.searchsorted(cuts, starts)).astype(np.float64)


def _refuse_read_pairs(path: PathLike) -> None:
    """The BEDPE of bedtools has two reads per row: its first interval is no fragment."""
    with reading(path) as handle:
        for line, raw in enumerate(handle.read(1 << 14).splitlines(), start=1):
            fields = raw.split(b"\t")
            if len(fields) >= 6 and fields[3] == fields[0] and fields[4].isdigit():
                raise FileFormatError(
                    "the rows hold two reads each, not a fragment",
                    path=path,
                    line=line,
                    remedy="write one fragment per row: chrom, start of the first read, end of the second",
                )


def _fast_fragments(path: PathLike) -> pd.DataFrame | None:
    """The three columns by the typed parser, or None where any row needs the careful one (for its message)."""
    with reading(path) as handle:
        try:
            fragments = pd.read_csv(
                handle, sep="\t", header=None, comment="#", names=["chrom", "start", "end"], usecols=[0, 1, 2],
                dtype={"chrom": "category", "start": "int64", "end": "int64"}, index_col=False, na_filter=False,
            )  # fmt: skip
        except (ValueError, pd.errors.ParserError):
            return None
    valid = (fragments["start"] >= 0) & (fragments["start"] < fragments["end"])
    return fragments if len(fragments) and valid.all() else None


class _BigWig:
    """A bigWig file, opened for each question so that nothing stays open."""

    rows: int | None = None
    kept: int | None = None

    def __init__(self, path: PathLike, genome: Genome | None) -> None:
        self.path = path
        _refuse_cut_bigwig(path)
        with self._handle() as handle:
            sizes: dict[str, int] = handle.chroms()
        self._strict = genome is None
        self._names = {chrom: chrom for chrom in sizes}
        self.renamed: dict[str, str] = {}
        if genome is not None:
            renaming = reconcile(sizes, genome.sizes, path, unit="bp")
            self.renamed = renaming.renamed
            _check_sizes(sizes, renaming.names, genome.sizes, path)
            self._names = {new: old for old, new in renaming.names.items() if sizes[old] == genome.sizes[new]}
        self._sizes = {new: sizes[old] for new, old in self._names.items()}

    def _handle(self) -> pyBigWig.bigWigFile:
        try:
            handle = pyBigWig.open(str(self.path))
        except RuntimeError:
            raise truncated(self.path) from None
        if not handle.isBigWig():
            raise FileFormatError("not a bigWig file", path=self.path)
        return handle

    def sums(self, chrom: str, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.float64]:
        """Summed values of each window, NaN as 0, shape=(n,)."""
        if chrom not in self._names:
            if self._strict:
                raise _absent(chrom, self.path, self._names)
            return np.zeros(len(starts))
        if self._strict and len(ends) and ends.max() > self._sizes[chrom]:
            raise RegionError(f"outside {chrom}, which has {self._sizes[chrom]} bp", value=int(ends.max()))
        sums = np.zeros(len(starts))
        blocks = starts // _BLOCK
        with self._handle() as handle:
            for block in np.unique(blocks):
                rows = blocks == block
                first, last = int(starts[rows].min()), int(ends[rows].max())
                try:
                    values = handle.values(self._names[chrom], first, last, numpy=True)
                except RuntimeError:
                    raise truncated(self.path) from None
                running = np.concatenate([[0.0], np.cumsum(np.nan_to_num(values), dtype=np.float64)])
                sums[rows] = running[ends[rows] - first] - running[starts[rows] - first]
        return sums


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


def _check_sizes(old: dict[str, int], names: dict[str, str], known: dict[str, int], path: PathLike) -> None:
    """Chromosomes of another size belong to another assembly: refuse many, warn of few."""
    differ = {name: size for name, size in old.items() if name in names and size != known[names[name]]}
    if not differ:
        return
    name, size = next(iter(differ.items()))
    problem = f"{name} has {size} bp in this file and {known[names[name]]} bp in the genome"
    if sum(differ.values()) > MAX_LOST * sum(old.values()):
        raise RegionError(problem, path=path, remedy="use a track of the same assembly as the genome")
    warnings.warn(f"{path}: {problem}; it counts as without signal", GenocontrastWarning, stacklevel=4)
