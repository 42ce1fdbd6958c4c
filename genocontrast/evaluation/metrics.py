"""AUROC, AUPRC and MCC with bootstrap intervals over pairs, and the paired difference of two scores.

A promoter and its decoys are drawn together, because they were chosen together: intervals over single examples would be
too narrow. A resample is a weight for each example, so that all resamples share one sort of the scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genocontrast.errors import ShapeError, SplitError

Floats = NDArray[np.float64]

CURVE_POINTS = 200
_INTERVAL = (0.025, 0.975)
_CHUNK_ELEMENTS = 2_000_000  # bounds the memory of a chunk of resamples: 16 MB per array


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % percentile bootstrap interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, resampled: Floats) -> Estimate:
        """The interval of a figure from its values in the resamples, shape=(bootstraps,)."""
        low, high = np.quantile(resampled, _INTERVAL)
        return cls(float(value), float(low), float(high))

    def as_dict(self) -> dict[str, float]:
        """The estimate as it stands in metrics.json."""
        return {"value": self.value, "low": self.low, "high": self.high}


def check_classes(
    labels: ArrayLike, scores: ArrayLike, where: str = "the examples"
) -> tuple[NDArray[np.bool_], Floats]:
    """Labels as booleans and scores as float64, or a named error.

    Raises
    ------
    ShapeError
        Where labels and scores differ in shape or a score is not finite.
    SplitError
        Where only one class is there: no metric is defined.
    """
    truth, values = np.asarray(labels).astype(bool), np.asarray(scores, dtype=np.float64)
    if truth.shape != values.shape or truth.ndim != 1:
        raise ShapeError(f"labels have shape {truth.shape}, scores {values.shape}; expected two vectors of one length")
    if not np.isfinite(values).all():
        raise ShapeError(f"{int((~np.isfinite(values)).sum())} of {len(values)} scores of {where} are not finite")
    if truth.all() or not truth.any():
        raise SplitError(
            f"{where} hold {'a single class' if len(truth) else 'no example'}: AUROC, AUPRC and MCC are not defined",
            remedy="give the split chromosomes with both promoters and decoys",
        )
    return truth, values


class PairResamples:
    """Bootstrap resamples of pairs, the same ones for every score that is assessed with them.

    Parameters
    ----------
    pair_ids : array, shape=(n,)
        Pair of each example; all examples of a pair are drawn together.
    bootstraps : int
        Number of resamples.
    seed : int
        Seed of the draws.
    """

    def __init__(self, pair_ids: ArrayLike, bootstraps: int, seed: int) -> None:
        pairs, self._pair = np.unique(np.asarray(pair_ids), return_inverse=True)
        drawn = np.random.default_rng(seed).integers(len(pairs), size=(bootstraps, len(pairs)))
        flat = np.arange(bootstraps)[:, None] * len(pairs) + drawn
        self._counts = np.bincount(flat.ravel(), minlength=bootstraps * len(pairs)).reshape(drawn.shape)
        self.pairs, self.bootstraps = len(pairs), bootstraps

    def check_whole(self, labels: NDArray[np.bool_]) -> None:
        """Refuse pairs of a single class: a resample of them could hold a single class, too."""
        sizes = np.bincount(self._pair, minlength=self.pairs)
        promoters = np.bincount(self._pair, weights=labels, minlength=self.pairs)
        torn = int(((promoters == 0) | (promoters == sizes)).sum())
        if torn:
            raise SplitError(f"{torn} of {self.pairs} pairs hold a promoter or a decoy only", remedy="keep pairs whole")

    def weights(self) -> Iterator[Floats]:
        """Times that each example is drawn, in chunks of resamples, shape=(chunk, n)."""
        step = max(1, _CHUNK_ELEMENTS // max(len(self._pair), 1))
        for first in range(0, self.bootstraps, step):
            yield self._counts[first : first + step, self._pair].astype(np.float64)


def _cumulated(labels: NDArray[np.bool_], scores: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weight of promoters and decoys at or above each distinct score, falling; both shape=(resamples, distinct)."""
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    last_of_ties = np.append(falling[1:] != falling[:-1], True)
    drawn = weights[:, order]
    promoters = np.cumsum(drawn * labels[order], axis=1)[:, last_of_ties]
    decoys = np.cumsum(drawn * ~labels[order], axis=1)[:, last_of_ties]
    return promoters, decoys


def _auroc(promoters: Floats, decoys: Floats) -> Floats:
    """Area under the ROC curve by trapezoids, so that ties count half; shape=(resamples,)."""
    width = np.diff(decoys, axis=1, prepend=0.0)
    height = promoters - np.diff(promoters, axis=1, prepend=0.0) / 2
    return (width * height).sum(1) / (promoters[:, -1] * decoys[:, -1])


def _auprc(promoters: Floats, decoys: Floats) -> Floats:
    """Average precision (the sum over thresholds of recall gained times precision); shape=(resamples,)."""
    precision = promoters / np.maximum(promoters + decoys, 1e-12)
    return (np.diff(promoters, axis=1, prepend=0.0) * precision).sum(1) / promoters[:, -1]


def _mcc(labels: NDArray[np.bool_], calls: NDArray[np.bool_], weights: Floats) -> Floats:
    """Matthews correlation of calls and labels; 0 where all calls are alike; shape=(resamples,)."""
    cells = [weights @ (a & b).astype(np.float64) for a in (labels, ~labels) for b in (calls, ~calls)]
    tp, fn, fp, tn = cells
    scale = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return (tp * tn - fp * fn) / np.where(scale > 0, scale, 1.0)


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve; a single class is a SplitError."""
    truth, values = check_classes(labels, scores)
    return float(_auroc(*_cumulated(truth, values, np.ones((1, len(truth)))))[0])


def best_threshold(labels: ArrayLike, scores: ArrayLike) -> float:
    """The threshold of highest MCC, midway between two neighbouring scores; choose it on validation examples."""
    truth, values = check_classes(labels, scores, "the validation examples")
    tp, fp = (side[0] for side in _cumulated(truth, values, np.ones((1, len(truth)))))
    fn, tn = tp[-1] - tp, fp[-1] - fp
    scale = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    mcc = (tp * tn - fp * fn) / np.where(scale > 0, scale, 1.0)
    distinct = np.unique(values)[::-1]
    best = int(np.argmax(mcc))
    return float((distinct[best] + distinct[min(best + 1, len(distinct) - 1)]) / 2)


@dataclass(frozen=True)
class Assessment:
    """The metrics of one score on one set of pairs; `resampled` holds its AUROC in each resample."""

    auroc: Estimate
    auprc: Estimate
    mcc: Estimate
    threshold: float
    resampled: Floats

    def as_dict(self) -> dict[str, dict[str, float]]:
        """The assessment as it stands in metrics.json; the threshold of the MCC stands beside it."""
        mcc = {**self.mcc.as_dict(), "threshold": self.threshold}
        return {"auroc": self.auroc.as_dict(), "auprc": self.auprc.as_dict(), "mcc": mcc}


def assess(labels: ArrayLike, scores: ArrayLike, threshold: float, resamples: PairResamples) -> Assessment:
    """AUROC, AUPRC and MCC with 95 % intervals over pairs.

    Parameters
    ----------
    labels : array, shape=(n,)
        1 for a promoter, 0 for a decoy.
    scores : array, shape=(n,)
        Larger for promoters.
    threshold : float
        Scores at or above it are called promoters, for the MCC.
    resamples : PairResamples
        Resamples of the pairs of these examples.

    Raises
    ------
    ShapeError, SplitError
        At scores that are not finite, a single class, or a pair of a single class.
    """
    truth, values = check_classes(labels, scores, "the test examples")
    resamples.check_whole(truth)

    def figures(weights: Floats) -> Floats:
        sides = _cumulated(truth, values, weights)
        return np.stack([_auroc(*sides), _auprc(*sides), _mcc(truth, values >= threshold, weights)])  # (3, resamples)

    point = figures(np.ones((1, len(truth))))[:, 0]
    resampled = np.concatenate([figures(weights) for weights in resamples.weights()], axis=1)
    area, precision, correlation = (Estimate.of(*pair) for pair in zip(point, resampled, strict=True))
    return Assessment(area, precision, correlation, float(threshold), resampled[0])


def difference(one: Assessment, other: Assessment) -> Estimate:
    """AUROC of one minus that of another in the same resamples: the paired interval of the difference."""
    return Estimate.of(one.auroc.value - other.auroc.value, one.resampled - other.resampled)


def curves(labels: ArrayLike, scores: ArrayLike) -> dict[str, dict[str, list[float]]]:
    """ROC (x false, y true positive rate) and PR (x recall, y precision) curves of at most 200 points each."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    truth, values = check_classes(labels, scores)
    false_rate, true_rate, _ = roc_curve(truth, values)
    precision, recall, _ = precision_recall_curve(truth, values)
    return {"roc": _thinned(false_rate, true_rate), "pr": _thinned(recall[::-1], precision[::-1])}


def _thinned(x: Floats, y: Floats) -> dict[str, list[float]]:
    keep = np.unique(np.linspace(0, len(x) - 1, CURVE_POINTS).round().astype(int))
    return {"x": [round(float(v), 5) for v in x[keep]], "y": [round(float(v), 5) for v in y[keep]]}
