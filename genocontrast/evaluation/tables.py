"""Evaluation on a table of sequences and labels, such as a benchmark's test set: metrics and the strand audit."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from rich.console import Console

from genocontrast.artefacts import provenance, write_json, write_table
from genocontrast.config import EvaluationConfig
from genocontrast.evaluation.audits import CALL_THRESHOLD, strand_audit
from genocontrast.evaluation.metrics import Estimate, Floats, PairResamples, assess
from genocontrast.examples import check_sequences, window_codes
from genocontrast.genome.check import blank_table
from genocontrast.genome.sequence_tables import read_sequences

if TYPE_CHECKING:
    from rich.table import Table

    from genocontrast.training.model import Model

_log = logging.getLogger(__name__)
BOOTSTRAPS: int = EvaluationConfig.model_fields["bootstraps"].default
_CHUNK_ELEMENTS = 2_000_000  # bounds the memory of a chunk of resamples: 16 MB per array


class ClassResamples(PairResamples):
    """Bootstrap resamples of examples that are in no pairs, drawn within each class, so that neither can be absent.

    Intervals are those of a test set of the same prevalence.

    Parameters
    ----------
    labels : array, shape=(n,)
        1 or 0.
    bootstraps : int
        Number of resamples.
    seed : int
        Seed of the draws.
    """

    def __init__(self, labels: ArrayLike, bootstraps: int, seed: int) -> None:
        labels = np.asarray(labels)
        self._classes = [np.flatnonzero(labels == label) for label in (1, 0)]
        self.pairs, self.bootstraps, self._seed = len(labels), bootstraps, seed

    def check_whole(self, labels: NDArray[np.bool_]) -> None:
        """Nothing to refuse: each resample has both classes."""

    def weights(self) -> Iterator[Floats]:
        """Times that each example is drawn, in chunks of resamples, shape=(chunk, n); the same at each call."""
        rng, step = np.random.default_rng(self._seed), max(1, _CHUNK_ELEMENTS // self.pairs)
        for first in range(0, self.bootstraps, step):
            counts = np.zeros((min(step, self.bootstraps - first), self.pairs))
            for members in self._classes:
                drawn = rng.integers(len(members), size=(len(counts), len(members)))
                drawn += np.arange(len(counts))[:, None] * len(members)
                counts[:, members] = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
            yield counts


@dataclass(frozen=True)
class TableEvaluation:
    """What evaluation on a table found.

    Attributes
    ----------
    metrics : dict
        examples, prevalence, width; auroc and auprc; `calls`, the figures at a probability of 0.5; strand.
    predictions : DataFrame
        The examples' name and label with `probability` of being positive and the call at a probability of 0.5.
    """

    metrics: dict[str, Any]
    predictions: pd.DataFrame


def evaluate_table(
    model: Model, examples: pd.DataFrame, bootstraps: int = BOOTSTRAPS, seed: int = 1
) -> TableEvaluation:
    """Measure a model on examples that carry their sequence.

    Parameters
    ----------
    model : Model
    examples : DataFrame
        See `genocontrast.examples.check_sequences`. Sequences of another length than the model's windows are cut or
        get N on both sides, with a warning.
    bootstraps : int
        Resamples of the examples for the intervals.
    seed : int
        Seed of the bootstrap.

    Raises
    ------
    FileFormatError, SplitError
        Where a column is missing, a label or letter is none, or there is a single class.
    """
    examples = check_sequences(examples).reset_index(drop=True)
    codes, labels = window_codes(examples, width=model.width), examples["label"].to_numpy()
    _log.info("scoring %d sequences", len(codes))
    scores = model.score_codes(codes).astype(np.float64)
    resamples = ClassResamples(labels, bootstraps, seed)
    calls = {"threshold": CALL_THRESHOLD, **_call_figures(labels, scores, CALL_THRESHOLD, resamples)}
    ranked = assess(labels, scores, CALL_THRESHOLD, resamples)
    _log.info("reading both strands of %d sequences", len(codes))
    metrics = {
        "examples": len(examples),
        "prevalence": float(labels.mean()),
        "width": model.width,
        "auroc": ranked.auroc.as_dict(),
        "auprc": ranked.auprc.as_dict(),
        "calls": calls,
        "strand": strand_audit(model, codes).as_dict(),
    }
    names = examples["name"] if "name" in examples else examples.index.astype(str)
    predictions = pd.DataFrame({"name": names, "label": labels, "probability": scores})
    return TableEvaluation(metrics, predictions.assign(call=(scores >= CALL_THRESHOLD).astype(np.int8)))


def _call_figures(
    labels: NDArray[np.int8], scores: Floats, threshold: float, resamples: PairResamples
) -> dict[str, dict[str, float]]:
    """MCC, accuracy and F1 of the calls at a threshold, with intervals."""
    truth, called = labels == 1, scores >= threshold

    def figures(weights: Floats) -> Floats:
        right, hits = weights @ (truth == called), weights @ (truth & called)
        either = weights @ truth.astype(np.float64) + weights @ called.astype(np.float64)
        # never 0: each resample has positives
        return np.stack([right / weights.sum(1), 2 * hits / either])  # (2, resamples)

    point = figures(np.ones((1, len(truth))))[:, 0]
    resampled = np.concatenate([figures(weights) for weights in resamples.weights()], axis=1)
    accuracy, f1 = (Estimate.of(*pair).as_dict() for pair in zip(point, resampled, strict=True))
    return {"mcc": assess(labels, scores, threshold, resamples).mcc.as_dict(), "accuracy": accuracy, "f1": f1}


def evaluate_file(
    model: Path,
    data: Path,
    json: Path | None = None,
    predictions: Path | None = None,
    *,
    positive: str | None = None,
    bootstraps: int = BOOTSTRAPS,
    seed: int = 1,
    console: Console | None = None,
) -> TableEvaluation:
    """Measure a saved model on a file or folder of labelled sequences; print the figures, and write what is named.

    Parameters
    ----------
    model : Path
        Folder of the model.
    data : Path
        See `read_sequences`; of a folder of splits the test split is taken.
    json, predictions : Path, optional
        Files for the figures and, tab-separated, for the prediction of each sequence.
    positive : str, optional
        The positive label where labels are not 0 and 1.
    bootstraps, seed : int
        See `evaluate_table`.
    """
    from genocontrast.training.model import load_model

    found = evaluate_table(load_model(model), read_sequences(data, "test", positive=positive), bootstraps, seed)
    (console or Console(markup=False, emoji=False, highlight=False)).print(_shown(data.name, found.metrics))
    if json is not None:
        record = provenance("evaluation", {"bootstraps": bootstraps, "seed": seed}, {"model": model, "data": data})
        write_json(json, {"provenance": record, **found.metrics})
    if predictions is not None:
        write_table(predictions, found.predictions)
    return found


def _shown(name: str, metrics: dict[str, Any]) -> Table:
    """The figures for a terminal."""
    said = f"{metrics['examples']:,} sequences, {metrics['prevalence']:.1%} positive, read as {metrics['width']:,} bp"
    table = blank_table(f"{name}: {said}", ["figure"], ["value", "95 % interval"])

    def row(label: str, figure: dict[str, float]) -> None:
        table.add_row(label, f"{figure['value']:.4f}", f"{figure['low']:.4f} to {figure['high']:.4f}")

    row("AUROC", metrics["auroc"])
    row("AUPRC", metrics["auprc"])
    calls = metrics["calls"]
    for key, label in (("mcc", "MCC"), ("accuracy", "accuracy"), ("f1", "F1")):
        row(f"{label} at {calls['threshold']}", calls[key])
    strand = metrics["strand"]
    table.add_row("calls that the other strand flips", f"{strand['flips']:,}", "")
    table.add_row("largest difference between strands", f"{strand['max_difference']:.2g}", "")
    table.add_row("... of the network alone", f"{strand['network']['max_difference']:.2g}", "")
    return table
