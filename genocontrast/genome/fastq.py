"""FASTQ in blocks, and what is wrong in a file that is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from genocontrast.artefacts import PathLike
from genocontrast.errors import FileFormatError
from genocontrast.genome.read_batches import MAX_PHRED, SUPPORTED, TRANSLATION, ReadBatch, Tally, phred
from genocontrast.genome.tables import reading
from genocontrast.sequence import ENCODING

_FOUR_LINES = "a read is four lines: @name, sequence, + and qualities"
_BLOCK = 1 << 22
"""Bytes that are parsed at a time."""
_LONGEST_RECORD = 1 << 28
_PHRED_OFFSET = 33
_RETURN = b"\r"


def read_fastq(path: Path, tally: Tally) -> Iterator[ReadBatch]:
    """All reads of a FASTQ file, in blocks; the first read that is malformed raises, with its line."""
    rest, line = b"", 1
    with reading(path) as handle:
        while True:
            more = handle.read(max(_BLOCK, len(rest)))
            text = rest + more
            lines = text.split(b"\n")
            if not more and (lines[-1] or _ends_in_an_empty_read(lines)):
                lines.append(b"")
            complete = _complete(lines)
            if complete:
                batch = _parse(lines[:complete], tally)
                if batch is None:
                    raise explain(path, lines[:complete], line)
                yield batch
            rest, line = b"\n".join(lines[complete:]), line + complete
            if not more and rest.strip(b"\n"):
                raise explain(path, lines[complete:-1], line)
            if not more:
                return
            if len(rest) > _LONGEST_RECORD:
                problem = f"no read ends within {_LONGEST_RECORD >> 20} MiB"
                raise FileFormatError(problem, path=path, line=line, remedy=_FOUR_LINES)


def _ends_in_an_empty_read(lines: list[bytes]) -> bool:
    """Whether only the line end of the last read's empty qualities is missing."""
    if len(lines) % 4:
        return False
    header, sequence, plus, quality = lines[-4:]
    return header[:1] == b"@" and plus[:1] == b"+" and not sequence and not quality


def _complete(lines: list[bytes]) -> int:
    """How many lines belong to complete records; the last is what follows the last line end, blank ones are none."""
    complete = (len(lines) - 1) // 4 * 4
    headers = lines[:complete:4]
    if b"" in headers:
        first = 4 * headers.index(b"")
        if not any(lines[first:]):
            return first
    return complete


def _parse(lines: list[bytes], tally: Tally) -> ReadBatch | None:
    """Complete records, or None where one is malformed and `explain` must say how."""
    headers, sequences, pluses, qualities = (lines[row::4] for row in range(4))
    lengths = [len(sequence) for sequence in sequences]
    letters, quality = b"".join(sequences), np.frombuffer(b"".join(qualities), np.uint8)
    codes = letters.translate(TRANSLATION)
    lowest, highest = int(quality.min(initial=255)), int(quality.max(initial=0))
    if (
        any(header[:1] != b"@" or not header[1:2].strip() or b"\r" in header for header in headers)
        or any(plus != b"+" and not _repeats(plus, header) for plus, header in zip(pluses, headers, strict=True))
        or lengths != [len(line) for line in qualities]
        or b"\xff" in codes
        or lowest < _PHRED_OFFSET
        or highest > _PHRED_OFFSET + MAX_PHRED
    ):
        return None
    tally.qualities += len(quality)
    tally.lowest, tally.highest = min(tally.lowest, lowest), max(tally.highest, highest)
    offsets = np.append(0, np.cumsum(lengths))
    names = [header[1:].split(None, 1)[0].decode("utf-8", "replace") for header in headers]
    return ReadBatch(names, np.frombuffer(codes, np.uint8), offsets, phred(quality - _PHRED_OFFSET, offsets))


def _repeats(plus: bytes, header: bytes) -> bool:
    """Whether a '+' line repeats the '@' line or its name."""
    return plus[:1] == b"+" and plus[1:] in (header[1:], header[1:].split(None, 1)[0])


def explain(path: PathLike, lines: Sequence[bytes], first: int) -> FileFormatError:
    """What is wrong in the first malformed record of `lines`; `first` is the line of the file that they begin with."""
    for at in range(0, len(lines), 4):
        flaw = _flaw(lines[at : at + 4])
        if flaw is not None:
            row, problem, value, remedy = flaw
            return FileFormatError(problem, path=path, line=first + at + row, value=value, remedy=remedy)
    return FileFormatError("not readable as FASTQ", path=path, line=first, remedy=_FOUR_LINES)


_Flaw = tuple[int, str, str | None, str]


def _flaw(record: Sequence[bytes]) -> _Flaw | None:
    """Row within the record, problem, value and remedy; None for a sound record."""
    for row, line in enumerate(record):
        if line.endswith(b"\r"):
            return row, "the line ends as on Windows (CRLF)", None, "convert it with dos2unix"
        if b"\r" in line:
            problem = f"a carriage return inside the line, column {line.index(_RETURN) + 1}"
            return row, problem, None, "end lines as on Linux: mac2unix does, or tr '\\r' '\\n'"
    return _header_flaw(record[0]) or _sequence_flaw(record) or _quality_flaw(record)


def _shown(line: bytes) -> str:
    return line[:30].decode("ascii", "replace")


def _header_flaw(header: bytes) -> _Flaw | None:
    if not header:
        return 0, "an empty line in place of a read's '@name'", None, "remove it"
    if header[:1] == b">":
        return 0, "a FASTA record: it has no qualities", _shown(header), SUPPORTED
    if header[:1] != b"@":
        return 0, "the read's first line does not begin with '@'", _shown(header), _FOUR_LINES
    if not header[1:2].strip():
        return 0, "the read has no name", None, "name it right after '@'"
    return None


def _sequence_flaw(record: Sequence[bytes]) -> _Flaw | None:
    sequence, plus = record[1] if len(record) > 1 else b"", record[2] if len(record) > 2 else b"+"
    column = _first_foreign(sequence)
    if column is not None:
        problem, remedy = f"not a DNA letter, column {column + 1}", "give DNA in IUPAC letters; N is an unknown base"
        if sequence[column : column + 1] == b".":
            remedy = "write N for an unknown base: sed '2~4s/[.]/N/g'"
        return 1, problem, _shown(sequence[column : column + 1]), remedy
    if plus[:1] == b"+":
        return None
    if plus and _first_foreign(plus) is None:
        problem = "the sequence goes on in a second line, or the '+' line is missing"
        return 2, problem, _shown(plus), f"{_FOUR_LINES}; seqtk seq -l0 joins longer records"
    return 2, "the '+' line is missing", _shown(plus), _FOUR_LINES


def _first_foreign(sequence: bytes) -> int | None:
    foreign = np.flatnonzero(ENCODING[np.frombuffer(sequence, np.uint8)] == 255)
    return int(foreign[0]) if len(foreign) else None


def _quality_flaw(record: Sequence[bytes]) -> _Flaw | None:
    if len(record) < 4:
        return 0, "the file ends inside the read that begins here", _shown(record[0]), "copy or download it again"
    header, sequence, plus, quality = record
    if len(plus) > 1 and not _repeats(plus, header):
        return 2, "the '+' line names another read than the '@' line", _shown(plus), _FOUR_LINES
    if len(sequence) != len(quality):
        problem = f"{len(sequence)} bases but {len(quality)} qualities"
        return 3, problem, None, f"{_FOUR_LINES}; the file may be cut or damaged"
    for column, byte in enumerate(quality, start=1):
        if not 0 <= byte - _PHRED_OFFSET <= MAX_PHRED:
            problem = f"not a Phred+33 quality ('!' to '~'), column {column}"
            return 3, problem, _shown(bytes([byte])), "give Phred+33 qualities"
    return None
