"""The genome: a FASTA or 2bit file read once into an encoded, memory-mapped cache."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from heapq import nlargest
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike, existing
from genocontrast.compiled import compiled
from genocontrast.display import Described, bases, listed
from genocontrast.errors import FileFormatError, NamingError, RegionError, ShapeError
from genocontrast.genome.assemblies import identify
from genocontrast.genome.cache import cache_folder, content_checksum, file_identity, read_cache, write_cache
from genocontrast.genome.encoding import is_two_bit, read_packed
from genocontrast.genome.regions import by_chromosome, check_columns, refuse_outside, resize
from genocontrast.genome.tables import is_bgzip, is_gzip
from genocontrast.sequence import (
    CODE_BITS,
    MASKED,
    N_CODE,
    BaseCounts,
    Codes,
    decode,
    one_hot,
    reverse_complement,
)

_log = logging.getLogger(__name__)
_CHUNK = 1 << 20
"""Bases turned at a time: they stay in the processor's cache from one step to the next."""

_TELLING = 100


class Genome(Described):
    """A genome: sequences by name, windows as arrays.

    Parameters
    ----------
    path : path
        FASTA file (plain, gzip or bgzip) or 2bit file. It is read once; later uses map the encoded copy in the
        cache folder (GENOCONTRAST_CACHE, or genocontrast/ in XDG_CACHE_HOME or ~/.cache), 1 byte per base, kept by
        the checksum of the file's content.

    Attributes
    ----------
    path : Path
    checksum : str
        SHA-256 of the file.
    cached : Path
        The encoded copy.
    sizes : dict of str to int
        Length of each sequence, bp, in the file's order.

    Raises
    ------
    FileFormatError
        Where the file is missing, truncated or no FASTA, or has a duplicate name, an empty record, Windows line
        ends, or a letter outside the IUPAC alphabet; with its line.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        before = file_identity(existing(path))
        self.checksum = content_checksum(path)
        self.cached = cache_folder() / f"{self.checksum}.codes"
        content = read_cache(self.cached)
        if content is None:
            _log.info("reading %s", path)
            write_cache(self.cached, _unchanged(self.path, before))
            content = read_cache(self.cached)
            _log.info("%s, %s", path, self.storage())
        if content is None:
            raise FileFormatError("the genome cache is damaged", path=self.cached, remedy="delete it and try again")
        self.sizes, self._packed = content
        self._number = {chrom: number for number, chrom in enumerate(self.sizes)}
        # The last entry, which number -1 finds, is that of a sequence which the genome does not have.
        self._size_of = np.array([*self.sizes.values(), -1], dtype=np.int64)
        self._offset_of = np.concatenate([[0], np.cumsum(self._size_of[:-1])])

    def __reduce__(self) -> tuple[type[Genome], tuple[Path]]:
        """Another process maps the cache itself: no base is sent to it."""
        return type(self), (self.path,)

    def facts(self) -> dict[str, str]:
        """What a notebook shows: file, assembly where it is a known one, sequences and size."""
        # a draft may have 200,000 contigs: the largest sequences tell an assembly
        known = identify({chrom: self.sizes[chrom] for chrom in nlargest(_TELLING, self.sizes, self.sizes.__getitem__)})
        return {
            "file": self.path.name,
            **({} if known is None else {"assembly": known.name}),
            "size": bases(sum(self.sizes.values())),
            "sequences": f"{len(self.sizes):,}: {listed(self.sizes)}",
        }

    def storage(self) -> str:
        """In words: the kind of the file, and where its encoded copy lies and how big it is."""
        size = self.cached.stat().st_size
        where = f"encoded once into {self.cached} ({size / 1e6:,.1f} MB)"
        if is_two_bit(self.path):
            return f"2bit: {where}"
        if is_bgzip(self.path):
            return f"bgzip FASTA: {where}"
        if is_gzip(self.path):
            return f"plain gzip FASTA, which no index can enter: {where}"
        return f"FASTA: {where}"

    def sequence(self, chrom: str, start: int, end: int, strand: str = "+") -> str:
        """The upper-case letters of [start, end), reverse-complemented on "-"; ambiguity codes read as N."""
        whole = self._chromosome(chrom)
        if not 0 <= start < end <= len(whole):
            raise RegionError(f"empty or outside {chrom}, which has {len(whole)} bp", value=f"{chrom}:{start}-{end}")
        if strand not in ("+", "-", "."):
            raise RegionError("the strand is none of + - .", value=strand)
        codes = whole[start:end] & CODE_BITS
        return decode(reverse_complement(codes) if strand == "-" else codes)

    def codes(self, regions: pd.DataFrame, width: int | None = None) -> Codes:
        """Integer codes of windows.

        Parameters
        ----------
        regions : pandas.DataFrame
            chrom, start, end and, if there is one, strand: rows on "-" come reverse-complemented.
        width : int, optional
            Resize each region around its centre; without it all regions must have one length.

        Returns
        -------
        numpy.ndarray of uint8, shape=(n, width)

        Raises
        ------
        ShapeError
            Where lengths differ and no width is given.
        RegionError
            Where a window is empty or outside its chromosome.
        """
        starts, reverse, length = self._rows(regions, width)
        windows = np.empty((len(starts), length), dtype=np.uint8)
        self._fill(windows, starts, reverse, lambda rows, codes: np.copyto(windows[rows], codes))
        return windows

    def one_hot(
        self, regions: pd.DataFrame, width: int | None = None, dtype: type = np.float32, threads: int = 1
    ) -> NDArray:
        """One-hot windows, channels A C G T; N is a column of zeros. See `codes`.

        Parameters
        ----------
        regions, width
            As for `codes`.
        dtype : type
            Type of the result; int8 needs a quarter of float32's memory.
        threads : int
            Threads that share the work, 1 or more.

        Returns
        -------
        numpy.ndarray of `dtype`, shape=(n, 4, width)
        """
        if threads < 1:
            raise ShapeError("threads must be 1 or more", value=threads)
        starts, reverse, length = self._rows(regions, width)
        hot: NDArray = np.empty((len(starts), 4, length), dtype=dtype)
        self._fill(hot, starts, reverse, lambda rows, codes: one_hot(codes, dtype, out=hot[rows]), threads)
        return hot

    def counts(self, regions: pd.DataFrame) -> BaseCounts:
        """Bases of each region, which may differ in length; all in one pass, without a copy of the windows.

        Parameters
        ----------
        regions : pandas.DataFrame
            chrom, start, end; a strand does not matter.
        """
        check_columns(regions)
        lengths = (regions["end"] - regions["start"]).to_numpy(np.int64)
        return BaseCounts(*compiled(_count)(self._packed, self._starts(regions), lengths))

    def masked(self, regions: pd.DataFrame) -> NDArray[np.float64]:
        """Fraction of soft-masked bases of each region, shape=(n,); lengths may differ."""
        return self.counts(regions).masked / (regions["end"] - regions["start"]).to_numpy()

    def chromosome(self, chrom: str) -> Codes:
        """Integer codes of a whole sequence, uint8, shape=(size,)."""
        return self._chromosome(chrom) & CODE_BITS

    def soft_mask(self, chrom: str) -> NDArray[np.bool_]:
        """Which bases of a sequence are soft-masked (lower-case), shape=(size,)."""
        return (self._chromosome(chrom) & MASKED) != 0

    def _chromosome(self, chrom: str) -> Codes:
        if chrom not in self.sizes:
            known = ", ".join(list(self.sizes)[:8])
            raise NamingError(f"no sequence {chrom!r}", path=self.path, remedy=f"the genome has {known} ...")
        offset = int(self._offset_of[self._number[chrom]])
        return self._packed[offset : offset + self.sizes[chrom]]

    def _starts(self, regions: pd.DataFrame) -> NDArray[np.int64]:
        """Where each region begins in the packed genome, shape=(n,)."""
        number = by_chromosome(regions, self._number, absent=-1)
        refuse_outside(regions, self._size_of[number], self.sizes)
        return self._offset_of[number] + regions["start"].to_numpy(np.int64)

    def _rows(self, regions: pd.DataFrame, width: int | None) -> tuple[NDArray[np.int64], NDArray[np.bool_], int]:
        """Where each window begins, whether it lies on "-", and the length of all."""
        check_columns(regions)
        if width is not None:
            regions = resize(regions, width)
        lengths = (regions["end"] - regions["start"]).unique()
        if len(lengths) > 1:
            raise ShapeError(
                f"the regions have {len(lengths)} different lengths", value=sorted(lengths)[:3], remedy="give a width"
            )
        reverse = np.zeros(len(regions), dtype=bool)
        if "strand" in regions:
            reverse = regions["strand"].to_numpy() == "-"
        return self._starts(regions), reverse, int(lengths[0]) if len(lengths) else width or 0

    def _fill(
        self,
        result: NDArray,
        starts: NDArray[np.int64],
        reverse: NDArray[np.bool_],
        write: Callable[[slice, Codes], object],
        threads: int = 1,
    ) -> None:
        """Read the windows chunk by chunk; `write` puts each into its rows of `result`, shape=(n, ..., length)."""
        length = result.shape[-1]
        if not result.size:
            return
        # Rows of a strided view: the copy is the only array, no index of every base is built.
        view = sliding_window_view(self._packed, length)
        step = max(_CHUNK // length, 1)

        def part(first: int) -> None:
            rows = slice(first, first + step)
            codes = view[starts[rows]]
            codes &= CODE_BITS
            if reverse[rows].any():
                codes[reverse[rows]] = reverse_complement(codes[reverse[rows]])
            write(rows, codes)

        chunks = range(0, len(starts), step)
        if threads == 1 or len(chunks) == 1:
            for first in chunks:
                part(first)
            return
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(part, chunks))


def _count(packed: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """C, G, CpG, called and masked bases of each window, shape=(5, n); plain loops, for numba."""
    found = np.zeros((5, len(starts)), dtype=np.int64)
    for row in range(len(starts)):
        # A slice and counters of 32 bits: several bases are looked at in one instruction.
        window = packed[starts[row] : starts[row] + lengths[row]]
        c, g, cpg, unknown, masked = np.int32(0), np.int32(0), np.int32(0), np.int32(0), np.int32(0)
        for base in window:
            c += np.int32(base & CODE_BITS == 1)
            g += np.int32(base & CODE_BITS == 2)
            unknown += np.int32(base & CODE_BITS == N_CODE)
            masked += np.int32(base & MASKED != 0)
        for at in range(1, len(window)):
            cpg += np.int32((window[at - 1] & CODE_BITS == 1) & (window[at] & CODE_BITS == 2))
        found[0, row], found[1, row], found[2, row] = c, g, cpg
        found[3, row], found[4, row] = lengths[row] - unknown, masked
    return found


def _unchanged(path: Path, before: list[int]) -> Iterator[tuple[str, bytes]]:
    """The records of a file, and an error behind the last one where the file is not what was hashed any more."""
    yield from read_packed(path)
    if file_identity(path) != before:
        problem = "the file was changed while it was read"
        raise FileFormatError(problem, path=path, remedy="try again once it is written")
