"""Files of scores by extension: TSV, Parquet and BED, written chunk by chunk, whole or not at all."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd

from genocontrast.artefacts import PathLike, atomic
from genocontrast.errors import FileFormatError

Add = Callable[[pd.DataFrame], None]
"""Writes one chunk more."""


@contextmanager
def score_file(path: PathLike, record: Mapping[str, Any]) -> Iterator[Add]:
    """A function that adds chunks to a file, which appears under its name when all is written.

    Parameters
    ----------
    path : path
        .tsv, .tsv.gz, .parquet or .bed.
    record : mapping
        Provenance: in the metadata of Parquet, as a comment at the head of BED. TSV has no room for it.

    Raises
    ------
    FileFormatError
        At another extension.
    """
    write = _WRITERS[extension(path)]
    with atomic(path) as temporary, write(temporary, record) as add:
        yield add


def extension(path: PathLike) -> str:
    """Which of the kinds of files `path` names; a FileFormatError where it is none."""
    kind = next((kind for kind in _WRITERS if Path(path).name.lower().endswith(kind)), None)
    if kind is None:
        remedy = f"name a file that ends in {', '.join(_WRITERS)}"
        raise FileFormatError("scores cannot be written in this format", path=path, remedy=remedy)
    return kind


@contextmanager
def _tsv(path: Path, record: Mapping[str, Any]) -> Iterator[Add]:
    with open(path, "w", newline="") as handle:
        yield _rows(handle)


@contextmanager
def _tsv_gz(path: Path, record: Mapping[str, Any]) -> Iterator[Add]:
    # Neither time nor name: the same scores give the same bytes.
    with (
        open(path, "wb") as raw,
        gzip.GzipFile("", "wb", mtime=0, fileobj=raw) as packed,
        io.TextIOWrapper(packed, newline="") as handle,
    ):
        yield _rows(handle)


def _rows(handle: TextIO) -> Add:
    first = True

    def add(frame: pd.DataFrame) -> None:
        nonlocal first
        frame.to_csv(handle, sep="\t", index=False, header=first, lineterminator="\n", float_format="%.6g")
        first = False

    return add


@contextmanager
def _parquet(path: Path, record: Mapping[str, Any]) -> Iterator[Add]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer: Any = None

    def add(frame: pd.DataFrame) -> None:
        nonlocal writer
        table = pa.Table.from_pandas(frame, preserve_index=False, schema=writer and writer.schema)
        if writer is None:
            metadata = {**(table.schema.metadata or {}), b"genocontrast": json.dumps(record, sort_keys=True).encode()}
            table = table.replace_schema_metadata(metadata)
            writer = pq.ParquetWriter(path, table.schema)
        writer.write_table(table)

    try:
        yield add
    finally:
        if writer is not None:
            writer.close()


@contextmanager
def _bed(path: Path, record: Mapping[str, Any]) -> Iterator[Add]:
    with open(path, "w", newline="") as handle:
        handle.write(f"# genocontrast {json.dumps(record, sort_keys=True)}\n")
        yield lambda frame: bed_rows(frame).to_csv(handle, sep="\t", index=False, header=False, lineterminator="\n")


def bed_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Six columns of BED; column 5 is the probability in thousandths.

    Parameters
    ----------
    frame : DataFrame
        start, end, name, probability, and chrom and strand where they are known; a sequence of a FASTA file is its own
        chromosome.
    """
    rows = frame[["start", "end", "name"]].assign(score=np.rint(1000 * frame["probability"]).astype("int64"))
    rows.insert(0, "chrom", frame.get("chrom", frame["name"]))
    return rows.assign(strand=frame.get("strand", "."))


_WRITERS: dict[str, Callable[[Path, Mapping[str, Any]], AbstractContextManager[Add]]] = {
    ".tsv": _tsv,
    ".tsv.gz": _tsv_gz,
    ".parquet": _parquet,
    ".bed": _bed,
}
