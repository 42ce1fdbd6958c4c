"""The table in the middle: one row per example (a promoter or a decoy). Its one definition.

Examples lie on a genome (`COLUMNS`), or carry their own `sequence` (`SEQUENCE_COLUMNS`), as benchmark tables do.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from genocontrast.artefacts import PathLike, read_parquet
from genocontrast.config import SPLITS
from genocontrast.errors import BenchmarkError, FileFormatError, GenocontrastWarning, ShapeError, SplitError
from genocontrast.sequence import IUPAC, Codes, centred

COLUMNS: dict[str, str] = {
    "chrom": "object",
    "start": "int64",
    "end": "int64",
    "name": "object",
    "strand": "object",
    "label": "int8",
    "pair_id": "int32",
    "tier": "object",
    "split": "object",
    "log_q": "float32",
    "evidence": "object",
}
"""Columns and types; every further column is a covariate, float64.

label: 1 promoter, 0 decoy. pair_id: a promoter and its decoys, the same in every tier. tier: how the decoys were
chosen, `HARD` or easier (negatives/tiers.py), or mined (training/mining.py). log_q: log of the expected count of a
decoy among its promoter's negatives, for the correction of sampling: 0 for one that was chosen for that very promoter,
log(r / n) for each of the r that a promoter had drawn from n windows. Not applied to matched decoys: that would undo
the hardness which they were chosen for.
"""
SEQUENCE_COLUMNS = ("sequence", "label", "split")
"""Columns of examples that carry their sequence: DNA letters of either case, 1 promoter or 0 other, and the split."""
HARD = "hard"
"""The tier of the matched decoys."""
_ORDER = ["tier", "chrom", "start", "end", "label"]
_IDENTITY = ["tier", "split", "chrom", "start", "end", "strand", "label", "pair_id"]
"""What makes an example the one that it is: the measurements beside them may be rounded otherwise elsewhere."""


def covariate_columns(examples: pd.DataFrame) -> list[str]:
    """Names of the covariate columns of an examples table."""
    return [column for column in examples.columns if column not in COLUMNS]


def sort_examples(examples: pd.DataFrame) -> pd.DataFrame:
    """Give the table its types and its one order (tier, chrom, start, end, label)."""
    typed = examples.astype({column: kind for column, kind in COLUMNS.items() if kind != "object"})
    typed = typed[[*COLUMNS, *covariate_columns(typed)]]
    return typed.sort_values(_ORDER, kind="stable", ignore_index=True)


def check_examples(examples: pd.DataFrame, path: PathLike | None = None) -> pd.DataFrame:
    """Check an examples table: columns, labels, splits, and that pairs are whole and stay within a split.

    Raises
    ------
    FileFormatError, SplitError
        With the count and the first bad rows.
    """
    missing = [column for column in COLUMNS if column not in examples]
    if missing:
        raise FileFormatError(f"not an examples table: no column {', '.join(missing)}", path=path)
    _refuse(examples, ~examples["label"].isin([0, 1]), "label is neither 0 nor 1", path)
    _refuse(examples, ~examples["split"].isin(SPLITS), f"split is none of {', '.join(SPLITS)}", path)
    _refuse(examples, examples["start"].to_numpy() >= examples["end"].to_numpy(), "the window is empty", path)
    pairs = examples.groupby(["tier", "pair_id"])
    _refuse(examples, pairs["split"].transform("nunique") > 1, "the pair is torn between splits", path)
    promoters = pairs["label"].transform("sum")
    lonely = (promoters == 0) | (promoters == pairs["label"].transform("size"))
    _refuse(examples, lonely, "the pair has a promoter or a decoy only", path)
    _refuse(examples, promoters > 1, "the pair has several promoters", path)
    for split in SPLITS:
        classes = examples.loc[examples["split"] == split, "label"].nunique()
        if classes < 2:
            raise SplitError(
                f"the split '{split}' holds {'no example' if classes == 0 else 'a single class'}",
                path=path,
                remedy="give it more chromosomes in genome.splits, or widen the pool (negatives section)",
            )
    return examples


def check_sequences(examples: pd.DataFrame, path: PathLike | None = None) -> pd.DataFrame:
    """Check a table of examples that carry their sequence: columns, labels, letters, both classes in each split.

    Raises
    ------
    FileFormatError, SplitError
        With the count and the first bad rows.
    """
    missing = [column for column in SEQUENCE_COLUMNS if column not in examples]
    if missing:
        raise FileFormatError(f"not a table of sequences: no column {', '.join(missing)}", path=path)
    _refuse(examples, ~examples["label"].isin([0, 1]), "label is neither 0 nor 1", path, SEQUENCE_COLUMNS)
    dna = examples["sequence"].astype(str).str.fullmatch(f"(?i:[{IUPAC}]+)")
    _refuse(examples, ~dna, "the sequence is empty or has other letters than those of DNA", path, SEQUENCE_COLUMNS)
    classes = examples.groupby("split")["label"].nunique()
    for split in [*classes.index[classes < 2], *([] if len(examples) else ["train"])]:
        raise SplitError(
            f"the split '{split}' holds {'a single class' if len(examples) else 'no example'}",
            path=path,
            remedy="give sequences with label 1 and sequences with label 0",
        )
    return examples


def _refuse(
    examples: pd.DataFrame,
    bad: pd.Series | np.ndarray,
    problem: str,
    path: PathLike | None,
    columns: Sequence[str] = ("chrom", "start", "end", "label", "pair_id", "split"),
) -> None:
    if np.any(bad):
        rows = examples.loc[bad, list(columns)].head(3)
        raise FileFormatError(f"{int(np.sum(bad))} rows: {problem}; the first are\n{rows.to_string()}", path=path)


class Windows(Protocol):
    """What gives the codes of places: a `genocontrast.Genome`."""

    def codes(self, regions: pd.DataFrame, width: int | None = None) -> Codes:
        """Codes of regions, resized to a width around their centres where one is given, shape=(n, width)."""


def has_sequences(examples: pd.DataFrame) -> bool:
    """Whether examples carry their sequence; otherwise it is read from a genome."""
    return "sequence" in examples


def window_codes(examples: pd.DataFrame, genome: Windows | None = None, width: int | None = None) -> Codes:
    """Codes of the examples' windows, whether they carry their sequence or lie on a genome.

    Parameters
    ----------
    examples : pandas.DataFrame
        With `sequence`; or chrom, start, end and, if there is one, strand.
    genome : Genome, optional
        Where examples without a sequence lie.
    width : int, optional
        bp of all windows around their centres; default: the longest. Of a genome what lies around a shorter one is
        read. A shorter sequence gets N on both sides, a longer one is cut on both; where a width is given, a
        GenocontrastWarning counts them.

    Returns
    -------
    numpy.ndarray of uint8, shape=(n, width)

    Raises
    ------
    ShapeError
        Where there is neither a sequence nor a genome, or a letter is none of DNA.
    RegionError
        Where a window lies outside its chromosome.
    """
    if not has_sequences(examples):
        if genome is None:
            raise ShapeError("the examples carry no sequence, and no genome is given", value=list(examples.columns)[:8])
        longest = int((examples["end"] - examples["start"]).max()) if len(examples) else 0
        return genome.codes(examples, width or longest)
    sequences = examples["sequence"].tolist()
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    if width is not None:
        _warn_of_other_lengths(lengths, width)
    return centred(sequences, lengths.max(initial=0) if width is None else width)


def _warn_of_other_lengths(lengths: np.ndarray, width: int) -> None:
    longer, shorter = int((lengths > width).sum()), int((lengths < width).sum())
    said = [f"{longer:,} are longer and lose bases on both sides"] if longer else []
    said += [f"{shorter:,} are shorter and get N on both sides"] if shorter else []
    if said:
        message = f"of {len(lengths):,} sequences, read as {width} bp, {' and '.join(said)}"
        warnings.warn(message, GenocontrastWarning, stacklevel=3)


def read_examples(path: PathLike) -> pd.DataFrame:
    """Read and check an examples table."""
    return check_examples(read_parquet(path)[0], path)


def digest(examples: pd.DataFrame) -> str:
    """SHA-256 of windows, labels, pairs, tiers and splits, in whatever order, as hexadecimal text."""
    rows = examples[_IDENTITY].sort_values(_IDENTITY)
    return hashlib.sha256(rows.to_csv(sep="\t", index=False, lineterminator="\n").encode()).hexdigest()


def check_frozen(examples: pd.DataFrame, expected: str) -> None:
    """Refuse an examples table whose `digest` is another one.

    Raises
    ------
    BenchmarkError
    """
    found = digest(examples)
    if found != expected:
        raise BenchmarkError(
            f"the examples are not those that negatives.frozen names, {expected[:12]}...",
            value=f"{found[:12]}...",
            remedy="undo what changed inputs or settings; figures on other examples cannot be compared",
        )
