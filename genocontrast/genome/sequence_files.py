"""Files of sequences, row by row: CSV and TSV tables, folders of one sequence a file, FASTA."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genocontrast.errors import FileFormatError
from genocontrast.genome.encoding import read_packed
from genocontrast.genome.tables import reading, suffix
from genocontrast.sequence import CODE_BITS, decode

FASTA = (".fa", ".fasta", ".fna")
HEADER = "begin the file with a line `sequence,label`; commas or tabs, more columns are ignored"


class SequenceRow(NamedTuple):
    """A sequence as it stands in a file, and where; label and line are None where the file has none."""

    sequence: str
    label: str | None
    name: str
    path: Path
    line: int | None


def stem(path: Path) -> str:
    """A file's lower-case name up to its first dot."""
    return path.name.split(".")[0].lower()


def sequence_rows(source: Path, labelled: bool) -> Iterator[SequenceRow]:
    """Rows of a CSV, TSV or FASTA file or of a folder with one part for each class; see `read_sequences`.

    Raises
    ------
    FileFormatError
        With file, line, value and remedy; `labelled` refuses files without labels.
    """
    if source.is_dir():
        yield from _classes(source)
    elif suffix(source) not in FASTA:
        yield from _lines(source, labelled)
    elif labelled:
        remedy = "put one FASTA file for each class, positive.fa and negative.fa, into a folder and name that"
        raise FileFormatError("a FASTA file has no labels", path=source, remedy=remedy)
    else:
        yield from _records(source, None)


def _classes(folder: Path) -> Iterator[SequenceRow]:
    """Rows of a folder that has a folder of .txt files, or a FASTA file, for each class."""
    classes = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() or suffix(entry) in FASTA]
    classes = [entry for entry in classes if not entry.name.startswith(".")]
    if len(classes) != 2:
        raise FileFormatError(
            f"{len(classes)} classes in this folder; expected 2, or splits called train, dev or test",
            path=folder,
            value=[entry.name for entry in classes][:4],
            remedy="give it folders of .txt files, or FASTA files, called positive and negative",
        )
    for entry in classes:
        yield from _texts(entry) if entry.is_dir() else _records(entry, entry.name.split(".")[0])


def _texts(folder: Path) -> Iterator[SequenceRow]:
    """One sequence a file; the folder's name is their label."""
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise FileFormatError("no .txt file in this folder", path=folder, remedy="give it one sequence a file")
    for file in files:
        lines = file.read_text("utf-8", "replace").splitlines()
        if any(line.strip() for line in lines[1:]):
            raise FileFormatError("more than one line", path=file, line=2, remedy="give it one sequence a file")
        yield SequenceRow(lines[0].strip() if lines else "", folder.name, f"{folder.name}/{file.stem}", file, 1)


def _records(path: Path, label: str | None) -> Iterator[SequenceRow]:
    """Records of a FASTA file; `read_packed` has refused whatever is odd."""
    pieces: dict[str, list[bytes]] = {}
    for name, packed in read_packed(path):
        pieces.setdefault(name, []).append(packed)
    for name, parts in pieces.items():
        codes = np.frombuffer(b"".join(parts), np.uint8) & CODE_BITS
        yield SequenceRow(decode(codes), label, name, path, None)


def _lines(path: Path, labelled: bool) -> Iterator[SequenceRow]:
    """Rows of a CSV or TSV file."""
    line = 1
    with reading(path) as handle, io.TextIOWrapper(handle, "utf-8-sig", newline="") as text:
        try:
            first = text.readline()
            delimiter = "\t" if "\t" in first else ","
            columns = _columns(first, delimiter, path, labelled)
            reader = csv.reader(text, delimiter=delimiter, strict=True)
            for fields in reader:
                line = reader.line_num + 1
                if fields:
                    yield _row(fields, columns, path, line)
                line += 1
        except UnicodeDecodeError:
            raise FileFormatError("not UTF-8 text", path=path, remedy="save the table as UTF-8") from None
        except csv.Error as error:
            remedy = "close or remove the quotation mark; a sequence may have 131,072 bp"
            raise FileFormatError(f"not a table: {error}", path=path, line=line, remedy=remedy) from None


def _columns(first: str, delimiter: str, path: Path, labelled: bool) -> list[str]:
    """Lower-case names of the columns."""
    if not first.strip():
        raise FileFormatError("the file is empty", path=path, line=1, remedy=HEADER)
    columns = [column.strip().lower() for column in next(csv.reader([first], delimiter=delimiter))]
    for column in ("sequence", "label")[: 2 if labelled else 1]:
        if column not in columns:
            raise FileFormatError(f"no column '{column}'", path=path, line=1, value=columns[:8], remedy=HEADER)
    twice = next((column for column in columns if columns.count(column) > 1), None)
    if twice is not None:
        raise FileFormatError("two columns of one name", path=path, line=1, value=twice, remedy="rename one of them")
    return columns


def _row(fields: list[str], columns: list[str], path: Path, line: int) -> SequenceRow:
    if len(fields) != len(columns):
        problem = f"{len(fields)} fields; the header has {len(columns)}"
        raise FileFormatError(problem, path=path, line=line, value=fields[:3], remedy="give each row as many")
    values = dict(zip(columns, (field.strip() for field in fields), strict=True))
    if values["sequence"].lower() == "sequence":
        remedy = "where tables were joined, keep the first header only"
        raise FileFormatError("the header stands here again", path=path, line=line, remedy=remedy)
    name = values.get("name") or values.get("id") or f"{stem(path)}_{line}"
    return SequenceRow(values["sequence"], values.get("label"), name, path, line)
