"""Labelled sequences as benchmarks publish them: `sequence,label` tables, folders of one sequence a file, FASTA."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from genocontrast.artefacts import PathLike
from genocontrast.config import SPLITS, Split
from genocontrast.errors import FileFormatError, SplitError
from genocontrast.examples import check_sequences
from genocontrast.genome.fasta import Genome
from genocontrast.genome.sequence_files import HEADER, SequenceRow, sequence_rows, stem
from genocontrast.sequence import ALPHABET, ENCODING, decode

_log = logging.getLogger(__name__)
SPLIT_NAMES: dict[str, Split] = {
    "train": "train", "training": "train", "dev": "validation", "val": "validation", "valid": "validation",
    "validation": "validation", "test": "test",
}  # fmt: skip
"""What data sets call their splits."""
_FOREIGN = b"?"
_CLEANED = bytes(ord(ALPHABET[code]) if code < len(ALPHABET) else ord(_FOREIGN) for code in ENCODING)
_LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "negative": 0, "positive": 1}


def read_sequences(
    path: PathLike, split: Split | None = None, *, positive: str | None = None, labelled: bool = True
) -> pd.DataFrame:
    """Read sequences and their labels.

    Parameters
    ----------
    path : path
        One of: a CSV or TSV file with the columns `sequence` and `label`, plain or gzip (as GUE has them); a FASTA
        file; a folder with a folder of .txt files, one sequence each, or a FASTA file for either class (`positive`,
        `negative`, as Genomic Benchmarks has them); a folder of such files or folders called train, dev and test.
    split : {"train", "validation", "test"}, optional
        Of a folder of splits, the one to read; anything else is given this name. Default: all splits of a folder; a
        file or a folder of classes by its own name, "test" where that is none of a split.
    positive : str, optional
        The label, file or folder of the positive class, where labels are not 0 and 1.
    labelled : bool
        Whether labels must be there, and both of them in each split.

    Returns
    -------
    pandas.DataFrame
        sequence (upper-case A C G T N), label (int8; absent where there is none), split, name: columns `name` or `id`
        of a table, else file and line. In the order of the files.

    Raises
    ------
    FileFormatError, SplitError
        With file, line, value and remedy.
    """
    source = Path(path)
    splits = _splits(source) if source.is_dir() else {}
    if splits and split is not None and split not in splits:
        remedy = "add one, or name a file or folder"
        raise SplitError(f"no split '{split}' in this folder", path=path, value=sorted(splits), remedy=remedy)
    if splits:
        wanted = [split] if split else [name for name in SPLITS if name in splits]
        return pd.concat([_table(splits[name], name, positive, labelled) for name in wanted], ignore_index=True)
    return _table(source, split or SPLIT_NAMES.get(stem(source), "test"), positive, labelled)


def with_sequences(regions: pd.DataFrame, genome: Genome) -> pd.DataFrame:
    """The regions (chrom, start, end[, strand]), of any lengths, with a column `sequence`, on their strand."""
    sequences = np.empty(len(regions), dtype=object)
    for rows in regions.groupby((regions["end"] - regions["start"]).to_numpy()).indices.values():
        sequences[rows] = [decode(codes) for codes in genome.codes(regions.iloc[rows])]
    return regions.assign(sequence=sequences)


def _splits(folder: Path) -> dict[Split, Path]:
    """The files or folders of a folder that are called as splits are."""
    found: dict[Split, Path] = {}
    for entry in sorted(folder.iterdir()):
        split = SPLIT_NAMES.get(stem(entry))
        if split is None:
            continue
        if split in found:
            raise FileFormatError(
                f"two data sets for the split '{split}': {found[split].name} and {entry.name}",
                path=folder,
                remedy="remove one of them, or name the file that is meant",
            )
        found[split] = entry
    return found


def _table(source: Path, split: Split, positive: str | None, labelled: bool) -> pd.DataFrame:
    """The sequences of one file, or of a folder of classes."""
    rows = list(sequence_rows(source, labelled))
    if not rows:
        raise FileFormatError("no sequence in this file", path=source, remedy=HEADER)
    table = pd.DataFrame({"sequence": _sequences(rows, source), "split": split, "name": [row.name for row in rows]})
    labels = _labels([row for row in rows if row.label is not None], positive)
    if labels:
        table.insert(1, "label", pd.Series(labels, dtype="int8"))
    lengths = table["sequence"].str.len()
    kinds = f" ({sum(labels):,} positive)" if labels else ""
    span = " to ".join(f"{length:,}" for length in sorted({lengths.min(), lengths.max()}))
    _log.info("%s: %d sequences%s of %s bp", source, len(table), kinds, span)
    return check_sequences(table, source) if labelled else table


def _sequences(rows: Sequence[SequenceRow], source: Path) -> list[str]:
    """The sequences in upper case; a line says how many ambiguous bases became N."""
    cleaned = [_cleaned(row) for row in rows]
    found = [after.count("N") - row.sequence.upper().count("N") for row, after in zip(rows, cleaned, strict=True)]
    if any(found):
        message = "%s: %d ambiguous bases (IUPAC codes) in %d sequences are read as N"
        _log.info(message, source, sum(found), sum(number > 0 for number in found))
    return cleaned


def _cleaned(row: SequenceRow) -> str:
    if not row.sequence:
        remedy = "remove the row, or give its sequence"
        raise FileFormatError("the sequence is empty", path=row.path, line=row.line, remedy=remedy)
    letters = row.sequence.encode("latin-1", "replace").translate(_CLEANED)
    at = letters.find(_FOREIGN)
    if at >= 0:
        problem, remedy = f"not a DNA letter, position {at + 1} of the sequence", "give DNA in IUPAC letters"
        raise FileFormatError(problem, path=row.path, line=row.line, value=row.sequence[at], remedy=remedy)
    return letters.decode()


def _labels(rows: Sequence[SequenceRow], positive: str | None) -> list[int]:
    """Labels as 1 and 0."""
    values = sorted({str(row.label) for row in rows})
    listed = ", ".join(repr(value) for value in values[:4]) + (", ..." if len(values) > 4 else "")
    if positive is not None:
        if len(values) > 2 or (len(values) == 2 and positive not in values):
            raise _bad_label(rows[0], f"the labels are {listed}; expected {positive!r} and one other")
        return [int(row.label == positive) for row in rows]
    unknown = [row for row in rows if str(row.label).lower() not in _LABELS]
    if unknown and len(values) == 2 and all(values):
        raise _bad_label(unknown[0], f"the labels are {listed}; which one is positive is not known")
    if unknown:
        raise _bad_label(unknown[0], "the label is neither 0 nor 1")
    return [_LABELS[str(row.label).lower()] for row in rows]


def _bad_label(row: SequenceRow, problem: str) -> FileFormatError:
    remedy = "write 1 and 0; or of two labels name the positive one: --positive LABEL, positive=LABEL in Python"
    return FileFormatError(problem, path=row.path, line=row.line, value=row.label, remedy=remedy)
