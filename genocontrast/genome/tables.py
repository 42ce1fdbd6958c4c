"""Text files of genomics as they come: plain, gzip or bgzip, with comments, `track` lines and blank lines."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pandas as pd

from genocontrast.artefacts import PathLike, existing
from genocontrast.errors import FileFormatError

_GZIP_MAGIC = b"\x1f\x8b"
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_CHUNK = 200_000
"""Rows held in memory at a time."""
_BLOCK = 1 << 20
"""Bytes looked through at a time."""
_ANNOTATION = {".gff", ".gff3", ".gtf"}
_SKIPPED = r"#|track(?:\s|$)|browser(?:\s|$)|\s*$"


def is_gzip(path: PathLike) -> bool:
    """Whether a file is gzip (or bgzip) by its first bytes, whatever its name."""
    with open(existing(path), "rb") as handle:
        return handle.read(2) == _GZIP_MAGIC


def is_bgzip(path: PathLike) -> bool:
    """Whether a file is bgzip by its first bytes, whatever its name."""
    with open(existing(path), "rb") as handle:
        head = handle.read(18)
    return head[:4] == b"\x1f\x8b\x08\x04" and head[12:14] == b"BC"


def refuse_truncated(path: PathLike) -> None:
    """Raise a FileFormatError for a bgzip file without its end mark: cut at a block's edge it would read as whole."""
    if not is_bgzip(path):
        return
    with open(path, "rb") as handle:
        handle.seek(0, io.SEEK_END)
        handle.seek(-min(len(_BGZIP_END), handle.tell()), io.SEEK_END)
        if handle.read() != _BGZIP_END:
            raise truncated(path)


def truncated(path: PathLike) -> FileFormatError:
    """The error for a file that ends too early."""
    remedy = "copy or download it again; where it was joined from several files, compress it anew"
    return FileFormatError("the file is truncated or damaged", path=path, remedy=remedy)


@contextmanager
def reading(path: PathLike) -> Iterator[BinaryIO]:
    """Open a plain, gzip or bgzip file as bytes; a FileFormatError where it is missing, truncated or damaged."""
    found = existing(path)
    refuse_truncated(found)
    try:
        with gzip.open(found, "rb") if is_gzip(found) else open(found, "rb") as handle:
            yield cast(BinaryIO, handle)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise truncated(path) from None


def suffix(path: PathLike) -> str:
    """The lower-case last extension of a file but for that of compression: '.gff3' of 'genes.GFF3.gz', or ''."""
    parts = [part.lower() for part in Path(path).suffixes if part.lower() not in (".gz", ".bgz")]
    return parts[-1] if parts else ""


def is_annotation(path: PathLike) -> bool:
    """Whether a file is GFF3 or GTF, by its extension."""
    return suffix(path) in _ANNOTATION


def circular_sequences(path: PathLike) -> set[str]:
    """Sequences that a GFF3 file calls circular."""
    with reading(path) as handle:
        return {line.split(b"\t", 1)[0].decode("utf-8", "replace") for line in handle if b"Is_circular=true" in line}


def _width(path: PathLike) -> int:
    """Columns of the widest row, wherever it stands; a zero byte is refused, since it would end its row."""
    width = tabs = lines = 0
    with reading(path) as handle:
        while block := handle.read(_BLOCK):
            zero = block.find(b"\0")
            if zero >= 0:
                line = lines + block.count(b"\n", 0, zero) + 1
                raise FileFormatError("not a text file: a zero byte", path=path, line=line, remedy="copy it again")
            lines += block.count(b"\n")
            letters = np.frombuffer(block, dtype=np.uint8)
            before = np.cumsum(letters == ord("\t"))
            # A bare carriage return ends a row as well.
            edges = before[(letters == ord("\n")) | (letters == ord("\r"))]
            within = np.diff(edges, prepend=0, append=before[-1])
            # The first of them continues the row that the block before broke off.
            within[0] += tabs
            tabs = int(within[-1])
            width = max(width, int(within.max()) + 1)
    return width


def read_columns(path: PathLike, most: int, keep: Mapping[int, Collection[str]] | None = None) -> pd.DataFrame:
    """The data rows of a tab-separated file as text.

    Parameters
    ----------
    path : path
        Plain, gzip or bgzip.
    most : int
        Columns beyond this number are ignored.
    keep : mapping of int to collection of str, optional
        Only rows whose column holds one of these values; the others are never held in memory together.

    Returns
    -------
    pandas.DataFrame
        Columns 0, 1, ... of str up to the last one that any row has, '' where a row is short; the index is the 1-based
        line of the file. Comments, `track`, `browser` and blank lines are left out, and so is all that follows the
        ``##FASTA`` of a GFF.
    """
    columns = list(range(min(_width(path), most)))
    if not columns:
        raise FileFormatError("the file is empty", path=path, remedy="leave it out of the configuration")
    parts = []
    with reading(path) as handle:
        # Quotes are letters like any other here, and every physical line is a row, so that the index counts lines.
        chunks = pd.read_csv(
            handle, sep="\t", header=None, names=columns, usecols=columns, index_col=False, dtype=str,
            quoting=csv.QUOTE_NONE, skip_blank_lines=False, na_filter=False, encoding_errors="replace",
            low_memory=False, chunksize=_CHUNK,
        )  # fmt: skip
        for chunk in chunks:
            sequences = chunk[0].str.startswith(("##FASTA", ">")) if is_annotation(path) else np.zeros(len(chunk), bool)
            rows = chunk[: int(np.argmax(sequences))] if np.any(sequences) else chunk
            rows = rows[~_is_no_row(rows)]
            for column, values in (keep or {}).items():
                rows = rows[rows[column].isin(values)] if column in rows else rows
            parts.append(rows)
            if np.any(sequences):
                break
    table = pd.concat(parts)
    table.index += 1
    width = max((column + 1 for column in columns if table[column].any()), default=0)
    return table[columns[:width]]


def _is_no_row(rows: pd.DataFrame) -> pd.Series:
    """Comments, headings of browsers and blank lines; a row without its first column is a row, and wrong."""
    odd = by_value(rows[0], lambda names: names.str.match(_SKIPPED))
    blank = by_value(rows[0], lambda names: names.str.strip() == "")
    if blank.any():
        odd &= ~blank | (rows[blank].apply(lambda column: column.str.strip()) == "").all(axis=1).reindex(rows.index)
    return odd


def by_value(column: pd.Series, look: Callable[[pd.Series], pd.Series]) -> pd.Series:
    """What `look` says of each row, asked once for each of the values: columns of names hold few."""
    codes, values = pd.factorize(column)
    return pd.Series(look(pd.Series(values, dtype=object)).to_numpy()[codes], index=column.index)
