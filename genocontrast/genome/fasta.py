"""The genome: a FASTA file read once into an encoded, memory-mapped cache."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike, checksum
from genocontrast.errors import FileFormatError, NamingError, RegionError, ShapeError
from genocontrast.genome.cache import CODE_BITS, MASKED, cache_folder, read_cache, write_cache
from genocontrast.genome.regions import check_within, resize
from genocontrast.genome.tables import reading, refuse_truncated
from genocontrast.sequence import ENCODING, Codes, decode, one_hot, reverse_complement

_log = logging.getLogger(__name__)
_LOWER_CASE = np.array([chr(byte).islower() for byte in range(128)] + [False] * 128)
_PACKED = np.where(_LOWER_CASE & (ENCODING != 255), ENCODING | MASKED, ENCODING).astype(np.uint8)


class Genome:
    """A genome: sequences by name, windows as arrays.

    Parameters
    ----------
    path : path
        FASTA file: plain, gzip or bgzip. It is read once; later uses map the encoded copy in the cache folder
        (GENOCONTRAST_CACHE, or genocontrast/ in XDG_CACHE_HOME or ~/.cache), 1 byte per base, kept by the
        checksum of the file's content.

    Attributes
    ----------
    path : Path
    checksum : str
        SHA-256 of the FASTA file.
    sizes : dict of str to int
        Length of each sequence, bp, in the file's order.

    Raises
    ------
    FileFormatError
        Where the file is missing, truncated or no FASTA, or has a duplicate name, an empty record or a letter
        outside the IUPAC alphabet; with its line.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self.checksum = checksum(path)
        cached = cache_folder() / f"{self.checksum}.codes"
        content = read_cache(cached)
        if content is None:
            _log.info("reading %s", path)
            write_cache(cached, _parse(self.path))
            content = read_cache(cached)
        if content is None:
            raise FileFormatError("the genome cache is damaged", path=cached, remedy="delete it and try again")
        self.sizes, self._packed = content
        ends = np.cumsum(list(self.sizes.values()))
        self._offsets = {chrom: int(end) - size for (chrom, size), end in zip(self.sizes.items(), ends, strict=True)}

    def __repr__(self) -> str:
        return f"Genome({self.path.name!r}: {len(self.sizes)} sequences, {sum(self.sizes.values()):,} bp)"

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
        if width is not None:
            regions = resize(regions, width)
        lengths = (regions["end"] - regions["start"]).unique()
        if len(lengths) > 1:
            raise ShapeError(
                f"the regions have {len(lengths)} different lengths", value=sorted(lengths)[:3], remedy="give a width"
            )
        if not len(lengths):
            return np.zeros((0, width or 0), dtype=np.uint8)
        windows = self._windows(regions, int(lengths[0]))
        windows &= CODE_BITS
        if "strand" in regions:
            reverse = regions["strand"].to_numpy() == "-"
            windows[reverse] = reverse_complement(windows[reverse])
        return windows

    def one_hot(self, regions: pd.DataFrame, width: int | None = None) -> NDArray[np.float32]:
        """One-hot windows, channels A C G T, float32, shape=(n, 4, width); see `codes`."""
        return one_hot(self.codes(regions, width))

    def masked(self, regions: pd.DataFrame) -> NDArray[np.float64]:
        """Fraction of soft-masked bases of each region, shape=(n,); lengths may differ."""
        fractions = np.zeros(len(regions))
        lengths = (regions["end"] - regions["start"]).to_numpy()
        for length in np.unique(lengths):
            rows = lengths == length
            fractions[rows] = ((self._windows(regions[rows], int(length)) & MASKED) != 0).mean(1)
        return fractions

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
        offset = self._offsets[chrom]
        return self._packed[offset : offset + self.sizes[chrom]]

    def _windows(self, regions: pd.DataFrame, length: int) -> Codes:
        """Packed bases of regions that all have one length, shape=(n, length)."""
        check_within(regions, self.sizes)
        offsets = regions["chrom"].astype(object).map(self._offsets)
        starts = (offsets + regions["start"]).to_numpy(np.int64)
        # Rows of a strided view: the copy is the only array, no index of every base is built.
        return np.asarray(sliding_window_view(self._packed, length)[starts])


def _parse(path: Path) -> Iterator[tuple[str, Codes]]:
    """Name and packed codes of each record; on anything odd, the slow scan names the line."""
    refuse_truncated(path)
    _refuse_other_format(path)
    seen: set[str] = set()
    # The messages of htslib on standard error would say the same less well.
    verbosity = pysam.set_verbosity(0)
    try:
        with pysam.FastxFile(str(path), persist=False) as records:
            for record in records:
                name, codes = record.name, _PACKED[np.frombuffer((record.sequence or "").encode(), dtype=np.uint8)]
                if not name or not len(codes) or name in seen or record.quality or (codes == 255).any():
                    raise _explain(path)
                seen.add(name)
                yield name, codes
    except (ValueError, OSError):
        raise _explain(path) from None
    finally:
        pysam.set_verbosity(verbosity)


def _refuse_other_format(path: Path) -> None:
    with reading(path) as handle:
        start = handle.read(1 << 16).lstrip()
    if not start.startswith(b">"):
        raise FileFormatError(
            "not FASTA: the first line does not begin with '>'" if start else "the file is empty",
            path=path,
            line=1,
            value=start[:20].decode("ascii", "replace") or None,
            remedy="give a FASTA file (plain, gzip or bgzip)",
        )


def _explain(path: Path) -> FileFormatError:
    """Find the line of what is wrong with a FASTA file; `reading` itself raises where it is truncated."""
    lines_of: dict[str, int] = {}
    name, header, length, line = "", 0, 1, 0
    with reading(path) as handle:
        for line, raw in enumerate(handle, start=1):
            text = raw.decode("latin-1").rstrip()
            if text.startswith(">"):
                if not length:
                    break
                name, header, length = (text[1:].split() or [""])[0], line, 0
                if not name:
                    return FileFormatError("the record has no name", path=path, line=line, remedy="name it after '>'")
                if name in lines_of:
                    problem = f"two records have the name {name!r}; the first is in line {lines_of[name]}"
                    return FileFormatError(problem, path=path, line=line, remedy="give each record its own name")
                lines_of[name] = line
                continue
            length += len(text)
            column = next((at for at, letter in enumerate(text) if ENCODING[ord(letter)] == 255), None)
            if column is not None:
                problem = f"not a DNA letter, column {column + 1}"
                remedy = "give DNA in IUPAC letters; N stands for an unknown base"
                return FileFormatError(problem, path=path, line=line, value=text[column], remedy=remedy)
    if not length:
        return FileFormatError(f"the record {name!r} is empty", path=path, line=header, remedy="remove it")
    return FileFormatError("not readable as FASTA", path=path, line=line or None)
