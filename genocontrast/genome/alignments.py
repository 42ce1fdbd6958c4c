"""BAM and CRAM files opened through htslib: checked first, its own messages off."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pysam

from genocontrast.artefacts import PathLike, existing
from genocontrast.errors import FileFormatError, GenocontrastError
from genocontrast.genome.tables import is_bgzip, is_gzip, reading, truncated

_CRAM_MAGIC, _BAM_MAGIC, _GZIP_MAGIC = b"CRAM", b"BAM\1", b"\x1f\x8b"
_CRAM_ENDS = {
    2: bytes.fromhex("0b000000ffffffff0fe0454f460000000001000001000606010001000100"),
    3: bytes.fromhex("0f000000ffffffff0fe0454f4600000000010005bdd94f0001000606010001000100ee63014b"),
}
"""The container that ends a file, by major version: CRAM 2.1, and 3.0 with all after it (hts-specs, CRAMv3)."""
_FIRST_WITH_END = (2, 1)
_CRAM_FIELDS, _NAME = 0x3E, 0x1
"""FLAG, RNAME, POS, MAPQ and CIGAR: without the bases no reference is needed, nor looked for in the network."""
_CHECKED_BYTES = 1 << 17


@contextmanager
def alignment_file(path: PathLike, *, named: bool = False) -> Iterator[pysam.AlignmentFile]:
    """Open a BAM or CRAM file, of CRAM only where reads lie and, if `named`, their names.

    Raises
    ------
    FileFormatError
        Where it is neither BAM nor CRAM, cut or damaged.
    """
    with open(existing(path), "rb") as raw:
        head = raw.read(6)
    is_cram = head.startswith(_CRAM_MAGIC)
    if is_cram:
        _refuse_cut_cram(path, (head[4], head[5]) if len(head) == 6 else (0, 0))
    elif not _is_bam(path):
        remedy = "samtools view -b turns SAM text into BAM"
        raise FileFormatError("not a BAM or CRAM file", path=path, remedy=remedy)
    elif is_bgzip(path):
        _refuse_wrong_first_block(path)
    try:
        with quiet():
            fields = [f"required_fields={_CRAM_FIELDS | _NAME * named:#x}"] if is_cram else None
            handle = pysam.AlignmentFile(str(path), check_sq=False, format_options=fields)
        with handle:
            yield handle
    except GenocontrastError:
        raise
    except (OSError, ValueError, NotImplementedError):
        raise truncated(path) from None


@contextmanager
def quiet() -> Iterator[None]:
    """The messages of htslib on standard error would say the same as our errors, less well."""
    verbosity = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(verbosity)


def _is_bam(path: PathLike) -> bool:
    if not is_gzip(path):
        return False
    with reading(path) as handle:
        # More than the first block: pysam complains on standard error where that one is damaged.
        return handle.read(_CHECKED_BYTES).startswith(_BAM_MAGIC)


def _refuse_wrong_first_block(path: PathLike) -> None:
    """A first block of a wrong length stops pysam so early that it complains on standard error as it closes."""
    with open(path, "rb") as handle:
        handle.seek(16)
        (last,) = struct.unpack("<H", handle.read(2))
        handle.seek(last + 1)
        if handle.read(2) != _GZIP_MAGIC:
            raise truncated(path)


def _refuse_cut_cram(path: PathLike, version: tuple[int, int]) -> None:
    """A CRAM file cut between two containers reads as whole, but for the container that ends a file."""
    end = _CRAM_ENDS.get(version[0])
    if end is None or version < _FIRST_WITH_END:
        return
    with open(path, "rb") as handle:
        size = handle.seek(0, io.SEEK_END)
        handle.seek(max(size - len(end), 0))
        found = bytearray(handle.read())
    # Writers differ in the upper half of this byte, the last of an integer that needs only the lower one.
    found[8:9] = bytes(byte & 0x0F for byte in found[8:9])
    if found != end:
        raise truncated(path)
