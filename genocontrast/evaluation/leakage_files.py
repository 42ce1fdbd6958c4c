"""The leakage audit of any two data sets: tables of sequences, FASTA, or regions of a genome."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Console

from genocontrast.artefacts import PathLike, provenance, write_json, write_table
from genocontrast.config import Split
from genocontrast.errors import FileFormatError, GenocontrastWarning, LeakageError
from genocontrast.evaluation.leakage import LeakageAudit, leakage_audit
from genocontrast.examples import window_codes
from genocontrast.genome.check import blank_table
from genocontrast.genome.fasta import Genome
from genocontrast.genome.regions import read_regions
from genocontrast.genome.sequence_tables import read_sequences, with_sequences
from genocontrast.genome.tables import is_annotation, suffix

if TYPE_CHECKING:
    from rich.table import Table

_log = logging.getLogger(__name__)
_BED = (".bed", ".narrowpeak", ".broadpeak")
_HEADINGS = {
    "windows": "test examples",
    "overlapping": "overlap",
    "overlapping_same_class": "same class",
    "exact_repeats": "repeat",
    "exact_repeats_same_class": "same class",
    "near_duplicates": "nearly repeat",
    "leaking": "any of these",
}


def audit_files(
    train: Path,
    test: Path,
    genome: Path | None = None,
    json: Path | None = None,
    out: Path | None = None,
    *,
    positive: str | None = None,
    strict: bool = False,
    console: Console | None = None,
) -> LeakageAudit:
    """Audit two data sets; print the counts of each class, and write what is named.

    Parameters
    ----------
    train, test : Path
        See `read_data_set`.
    genome : Path, optional
        FASTA or 2bit file that regions lie on.
    json, out : Path, optional
        Files for the audit and, tab-separated, for the test examples that were seen.
    positive : str, optional
        The positive label where labels are not 0 and 1.
    strict : bool
        Whether to end with an error where any test example was seen.

    Raises
    ------
    LeakageError
        If `strict`, after all is written.
    """
    opened = None if genome is None else Genome(genome)
    tables: dict[Split, pd.DataFrame] = {
        "train": read_data_set(train, "train", opened, positive),
        "test": read_data_set(test, "test", opened, positive),
    }
    if opened is not None and not any("chrom" in table for table in tables.values()):
        warnings.warn("neither data set has places: the genome is not used", GenocontrastWarning, stacklevel=2)
    codes = window_codes(pd.concat(tables.values(), ignore_index=True))
    learnt, tested = tables["train"], tables["test"]
    _log.info("comparing %d test with %d training examples, both strands", len(tested), len(learnt))
    audit = leakage_audit(tested, learnt, codes[len(learnt) :], codes[: len(learnt)])
    (console or Console(markup=False, emoji=False, highlight=False)).print(_shown(audit, train.name, test.name))
    inputs = {"train": train, "test": test} | ({} if genome is None else {"genome": genome})
    if json is not None:
        write_json(json, {"provenance": provenance("evaluation", {"positive": positive}, inputs), **audit.as_dict()})
    if out is not None:
        write_table(out, _offending(tested, audit))
    if strict and audit.leaking.any():
        remedy = "leave what --out lists out of the test; or what it repeats out of training, and train again"
        raise LeakageError(audit.reason(), path=test, remedy=remedy)
    return audit


def read_data_set(
    path: PathLike, split: Split, genome: Genome | None = None, positive: str | None = None
) -> pd.DataFrame:
    """Examples that carry their sequence, with or without labels, and where they are regions with their places.

    Parameters
    ----------
    path : path
        Whatever `read_sequences` reads; a BED, narrowPeak, broadPeak, GFF3 or GTF file; or a folder with such a file
        for either class, `positive.bed` and `negative.bed`.
    split : {"train", "validation", "test"}
        Which one to take where the path is a folder of splits; the name that its rows get.
    genome : Genome, optional
        Where regions lie.
    positive : str, optional
        The positive label, or file, where they are not called as above.

    Returns
    -------
    pandas.DataFrame
        sequence, split, name[, label][, chrom, start, end, strand].
    """
    files = _region_files(Path(path), positive or "positive")
    if not files:
        return read_sequences(path, split, positive=positive, labelled=False)
    if genome is None:
        remedy = "name the FASTA or 2bit file that they lie on: --genome"
        raise FileFormatError("these are regions, and no genome is given", path=path, remedy=remedy)
    tables = []
    for file, label in files.items():
        regions = read_regions(file, genome)[["chrom", "start", "end", "name", "strand"]]
        _log.info("%s: %d regions", file, len(regions))
        tables.append(regions if label is None else regions.assign(label=label))
    return with_sequences(pd.concat(tables, ignore_index=True), genome).assign(split=split)


def _region_files(path: Path, positive: str) -> Mapping[Path, int | None]:
    """Files of regions and their labels; none where the path is something else."""
    if not path.is_dir():
        return {path: None} if _has_regions(path) else {}
    files = {entry.name.split(".")[0]: entry for entry in sorted(path.iterdir()) if _has_regions(entry)}
    if files and (len(files) != 2 or positive not in files):
        remedy = "give it positive.bed and negative.bed, or name the positive one of two: --positive NAME"
        raise FileFormatError("expected a file for each of two classes", path=path, value=list(files), remedy=remedy)
    return {file: int(name == positive) for name, file in files.items()}


def _has_regions(path: Path) -> bool:
    return suffix(path) in _BED or is_annotation(path)


def _offending(test: pd.DataFrame, audit: LeakageAudit) -> pd.DataFrame:
    """The test examples that were seen, with a column of 0 and 1 for each way."""
    columns = [column for column in ("name", "chrom", "start", "end", "strand", "label", "sequence") if column in test]
    return pd.concat([test[columns].reset_index(drop=True), audit.leaks.astype("int8")], axis=1)[audit.leaking]


def _shown(audit: LeakageAudit, train: str, test: str) -> Table:
    """The counts for a terminal, with shares of the class."""
    rows: list[dict[str, Any]] = audit.by_class()
    kinds = [kind for kind in _HEADINGS if kind in rows[0]]
    table = blank_table(f"{test}: what training on {train} has seen", ["class"], [_HEADINGS[kind] for kind in kinds])
    for row in rows:
        shares = [f"{row[kind]:,} ({row[kind] / max(row['windows'], 1):.1%})" for kind in kinds[1:]]
        table.add_row(row["class"], f"{row['windows']:,}", *shares)
    return table
