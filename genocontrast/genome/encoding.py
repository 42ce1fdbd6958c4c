"""FASTA and 2bit files as packed bases, in one pass: what the genome's cache is made from."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Literal

import numpy as np

from genocontrast.artefacts import PathLike, existing
from genocontrast.errors import FileFormatError
from genocontrast.genome.tables import reading, refuse_truncated, truncated
from genocontrast.sequence import ENCODING, MASKED

_LOWER_CASE = np.array([chr(byte).islower() for byte in range(128)] + [False] * 128)
_PACKED = np.where(_LOWER_CASE & (ENCODING != 255), ENCODING | MASKED, ENCODING).astype(np.uint8).tobytes()
_NOT_DNA = b"\xff"
_TWO_BIT = (struct.pack("<I", 0x1A412743), struct.pack(">I", 0x1A412743))
_NEWLINE = ord("\n")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLOCK = 1 << 22
_LONGEST_HEADER = 1 << 20


def read_packed(path: PathLike) -> Iterator[tuple[str, bytes]]:
    """Name and packed bases of each record, in pieces that follow one another.

    Parameters
    ----------
    path : path
        FASTA (plain, gzip or bgzip) or 2bit.

    Yields
    ------
    (str, bytes)
        One byte per base: code 0-4 (see `genocontrast.sequence`), | 0x08 where lower-case.

    Raises
    ------
    FileFormatError
        Where the file is truncated, or has a duplicate name, an empty record, Windows line ends or a letter
        outside the IUPAC alphabet; with its line.
    """
    return _two_bit(path) if is_two_bit(path) else _fasta(path)


def is_two_bit(path: PathLike) -> bool:
    """Whether a file is 2bit by its first bytes, whatever its name."""
    with open(existing(path), "rb") as handle:
        return handle.read(4) in _TWO_BIT


def _two_bit(path: PathLike) -> Iterator[tuple[str, bytes]]:
    from Bio.SeqIO.TwoBitIO import TwoBitIterator

    with open(path, "rb") as handle:
        order: Literal["little", "big"] = "little" if handle.read(4) == _TWO_BIT[0] else "big"
        version, count = (int.from_bytes(handle.read(4), order) for _ in range(2))
        if version:
            problem = "a 2bit file of version 1, with 64-bit offsets"
            raise FileFormatError(problem, path=path, remedy="convert it to FASTA with twoBitToFa")
        handle.seek(0)
        try:
            sequences = TwoBitIterator(handle).sequences
            if not sequences or len(sequences) != count:
                problem = f"the index announces {count} records and names {len(sequences)}"
                raise FileFormatError(problem, path=path, remedy="give each record its own name")
            for name, record in sequences.items():
                packed = bytes(record).translate(_PACKED)
                if not packed:
                    raise FileFormatError(f"the record {name!r} is empty", path=path, remedy="remove it")
                if _NOT_DNA in packed:
                    raise truncated(path)
                yield name, packed
        except (ValueError, OSError, EOFError, RuntimeError, OverflowError, MemoryError):
            raise truncated(path) from None


def _fasta(path: PathLike) -> Iterator[tuple[str, bytes]]:
    """On anything odd the slow scan says what and where, so that this loop need not know."""
    refuse_truncated(path)
    _refuse_other_format(path)
    seen: set[str] = set()
    length = 0
    for is_header, text in _parts(path):
        if is_header:
            name = _name(text)
            odd = not name or name in seen or (seen and not length) or b"\r" in text or not text.isascii()
            seen.add(name)
            length = 0
        else:
            packed = text.translate(_PACKED, b"\n")
            odd = _NOT_DNA in packed
            length += len(packed)
        if odd:
            raise _explain(path)
        if not is_header:
            yield name, packed
    if not length:
        raise _explain(path)


def _parts(path: PathLike) -> Iterator[tuple[bool, bytes]]:
    """Headers without their '>' (True), and what stands between them (False), cut at no particular place."""
    header = b""
    line_starts = True
    with reading(path) as handle:
        while block := handle.read(_BLOCK):
            block, header, at = header + block, b"", 0
            while at < len(block):
                if line_starts and block.startswith(b">", at):
                    end = block.find(b"\n", at) + 1
                    if not end:
                        header = block[at:]
                        break
                    yield True, block[at + 1 : end - 1]
                else:
                    # One byte is searched for much faster than two; a '>' inside a line is left to be refused.
                    end = block.find(b">", at)
                    if end < 0:
                        end = len(block)
                    elif end == at or block[end - 1] != _NEWLINE:
                        end += 1
                    yield False, block[at:end]
                    line_starts = block.endswith(b"\n", at, end)
                at = end
            if len(header) > _LONGEST_HEADER:
                raise _explain(path)
    if header:
        yield True, header[1:]


def _name(header: bytes) -> str:
    return (header.decode("latin-1").split() or [""])[0]


def _refuse_other_format(path: PathLike) -> None:
    with reading(path) as handle:
        start = handle.read(1 << 16).lstrip(b"\n")
    if start.startswith(_BYTE_ORDER_MARK):
        problem, remedy = "the file begins with a byte-order mark", "save it without one: sed '1s/^\\xef\\xbb\\xbf//'"
        raise FileFormatError(problem, path=path, line=1, remedy=remedy)
    if not start.startswith(b">"):
        raise FileFormatError(
            "not FASTA: the first line does not begin with '>'" if start else "the file is empty",
            path=path,
            line=1,
            value=start[:20].decode("ascii", "replace") or None,
            remedy="give a FASTA file (plain, gzip or bgzip) or a 2bit file",
        )


def _explain(path: PathLike) -> FileFormatError:
    """Find the line of what is wrong with a FASTA file; `reading` itself raises where it is truncated."""
    lines_of: dict[str, int] = {}
    name, header, length, line = "", 0, 1, 0
    with reading(path) as handle:
        for line, raw in enumerate(handle, start=1):
            text = raw.rstrip(b"\n")
            problem, value, remedy = _odd_line(text)
            if problem:
                return FileFormatError(problem, path=path, line=line, value=value, remedy=remedy)
            if not text.startswith(b">"):
                length += len(text)
                continue
            if not length:
                break
            name, header, length = _name(text[1:]), line, 0
            if name in lines_of:
                problem = f"two records have the name {name!r}; the first is in line {lines_of[name]}"
                return FileFormatError(problem, path=path, line=line, remedy="give each record its own name")
            lines_of[name] = line
    if not length:
        return FileFormatError(f"the record {name!r} is empty", path=path, line=header, remedy="remove it")
    return FileFormatError("not readable as FASTA", path=path, line=line or None)


def _odd_line(text: bytes) -> tuple[str, str | None, str]:
    """What is wrong with one line of FASTA: problem ('' if nothing), value and remedy."""
    if b"\r" in text:
        windows = "the line ends in a carriage return, as Windows writes it"
        return windows, None, "convert the line ends: dos2unix, or sed 's/\\r$//'"
    if not text.isascii():
        column = next(at for at, byte in enumerate(text) if byte > 127)
        return f"not ASCII, column {column + 1}", chr(text[column]), "write names and sequence in plain ASCII"
    if text.startswith(b">"):
        return ("", None, "") if _name(text[1:]) else ("the record has no name", None, "name it after '>'")
    column = text.translate(_PACKED).find(_NOT_DNA)
    if column >= 0:
        remedy = "give DNA in IUPAC letters; N stands for an unknown base"
        return f"not a DNA letter, column {column + 1}", chr(text[column]), remedy
    return "", None, ""
