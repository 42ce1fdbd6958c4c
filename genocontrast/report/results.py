"""What the earlier stages left for the report, read once; an optional part that is absent is None."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.artefacts import existing, read_json, read_parquet
from genocontrast.errors import FileFormatError
from genocontrast.examples import read_examples
from genocontrast.genome.splits import Splits
from genocontrast.report.soundness import sound_metrics, sound_predictions

REQUIRED = (
    "genome/genome.json",
    "negatives/balance.json",
    "negatives/examples.parquet",
    "training/history.json",
    "evaluation/metrics.json",
    "evaluation/predictions.parquet",
)
OPTIONAL = {
    "evaluation/embeddings.h5ad": "embeddings of the test examples",
    "evaluation/motifs.json": "motifs",
    "evaluation/errors.json": "the most confident errors",
    "evaluation/kmer_space.json": "what the k-mer vectors know of motifs",
    "evaluation/shortcut.json": "the shortcut audit",
    "evaluation/scan.json": "the genome scan",
    "kmers/kmers.h5ad": "k-mer vectors",
}
"""Files that may be absent, and what the report then lacks."""

TRACKS = {
    "genome/promoters.bed": "the promoters",
    "negatives/examples.bed": "promoters and decoys of all tiers",
    "evaluation/predictions.bed": "the test examples, coloured by class, with their scores (BED9)",
    "evaluation/scan.bed": "calls of the genome scan, with their scores",
    "evaluation/scan.bw": "the score along the test split (bigWig)",
}
"""Files for a genome browser."""


@dataclass(frozen=True)
class Vectors:
    """Rows of an embedding with what is known of each row.

    Attributes
    ----------
    values : float64, shape=(n, dim)
    rows : DataFrame
        n rows: `name`, and the columns that the stage wrote.
    plane : float64, shape=(n, 2), or None
        First two principal components, where the stage wrote them (fitted on the training examples).
    explained : tuple of float
        Their shares of the variance.
    """

    values: NDArray[np.float64]
    rows: pd.DataFrame
    plane: NDArray[np.float64] | None = None
    explained: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Results:
    """The artefacts of one data set, `folder` being results/<name>; the examples are of all tiers.

    `unusable` names what was left out because its figures are not numbers.
    """

    folder: Path
    genome: dict[str, Any]
    balance: dict[str, Any]
    examples: pd.DataFrame
    history: dict[str, Any]
    metrics: dict[str, Any]
    predictions: pd.DataFrame
    motifs: dict[str, Any] | None
    embeddings: Vectors | None
    kmers: Vectors | None
    kmer_space: dict[str, Any] | None = None
    shortcut: dict[str, Any] | None = None
    scan: dict[str, Any] | None = None
    errors: dict[str, Any] | None = None
    unusable: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """What the report lacks because a stage did not write it."""
        return [what for name, what in OPTIONAL.items() if not (self.folder / name).is_file()]

    @property
    def tracks(self) -> dict[str, str]:
        """Files for a genome browser that are there, by their path inside the results folder, and what they hold."""
        return {name: what for name, what in TRACKS.items() if (self.folder / name).is_file()}

    @property
    def splits(self) -> Splits:
        """Which parts of the genome train, validate and test."""
        return Splits.from_records(self.genome["segments"])

    def files(self) -> dict[str, Path]:
        """The artefacts that are there, by their path inside the results folder."""
        return {name: self.folder / name for name in (*REQUIRED, *OPTIONAL) if (self.folder / name).is_file()}


def read_results(folder: Path) -> Results:
    """Read the artefacts of results/<name>.

    Raises
    ------
    FileFormatError
        Where a stage's file is absent or damaged, naming the command that writes it.
    """
    for name in REQUIRED:
        if not (folder / name).is_file():
            stage = name.split("/")[0]
            raise FileFormatError("no such file", path=folder / name, remedy=f"run `genocontrast {stage} run` first")
    source = folder / "evaluation/metrics.json"
    metrics, lost = sound_metrics(read_json(source), source)
    predictions, unscored = sound_predictions(_read_predictions(folder / "evaluation/predictions.parquet"))
    return Results(
        folder,
        genome=read_json(folder / "genome/genome.json"),
        balance=read_json(folder / "negatives/balance.json"),
        examples=read_examples(folder / "negatives/examples.parquet"),
        history=read_json(folder / "training/history.json"),
        metrics=metrics,
        predictions=predictions,
        motifs=_read_optional(folder / "evaluation/motifs.json"),
        embeddings=_read_vectors(folder / "evaluation/embeddings.h5ad"),
        kmers=_read_vectors(folder / "kmers/kmers.h5ad"),
        kmer_space=_read_optional(folder / "evaluation/kmer_space.json"),
        shortcut=_read_optional(folder / "evaluation/shortcut.json"),
        scan=_read_optional(folder / "evaluation/scan.json"),
        errors=_read_optional(folder / "evaluation/errors.json"),
        unusable=(*lost, *unscored),
    )


def _read_optional(path: Path) -> dict[str, Any] | None:
    return read_json(path) if path.is_file() else None


def _read_predictions(path: Path) -> pd.DataFrame:
    predictions = read_parquet(path)[0]
    absent = [column for column in ("label", "score") if column not in predictions]
    if absent:
        raise FileFormatError(f"not a table of predictions: no column {', '.join(absent)}", path=path)
    return test_rows(predictions)


def test_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the test split; all rows where the table names no split."""
    return frame[(frame["split"] == "test").to_numpy()] if "split" in frame else frame


def _read_vectors(path: Path) -> Vectors | None:
    """Vectors of an AnnData file: X, with the principal components where there are any."""
    if not path.is_file():
        return None
    import anndata

    try:
        data = anndata.read_h5ad(existing(path))
    except (OSError, KeyError) as error:
        raise FileFormatError(f"not a readable AnnData file: {error}", path=path) from None
    values, rows = np.asarray(data.X, dtype=np.float64), data.obs.reset_index(names="name")
    if "X_pca" not in data.obsm or "pca" not in data.uns or data.obsm["X_pca"].shape[1] < 2:
        return _finite(Vectors(values, rows))
    first, second = (float(share) for share in data.uns["pca"]["variance_ratio"][:2])
    return _finite(Vectors(values, rows, np.asarray(data.obsm["X_pca"], dtype=np.float64)[:, :2], (first, second)))


def _finite(vectors: Vectors) -> Vectors:
    """The rows whose coordinates are numbers: others have no place on a map."""
    known = np.isfinite(vectors.values).all(1)
    plane = vectors.plane
    if plane is not None:
        known &= np.isfinite(plane).all(1)
    if known.all():
        return vectors
    rows = vectors.rows.loc[known].reset_index(drop=True)
    return replace(vectors, values=vectors.values[known], rows=rows, plane=None if plane is None else plane[known])
