"""AUROC, AUPRC and MCC with bootstrap intervals, and the paired difference of two scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genocontrast.config import Split
from genocontrast.errors import ShapeError, SplitError
from genocontrast.evaluation.resamples import Estimate, Floats, PairResamples
from genocontrast.training.calibration import check_prevalence

CURVE_POINTS = 200


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


def expected_precision(true_rate: Floats, false_rate: Floats, prevalence: float | Floats) -> Floats:
    """Precision to expect of a point of the ROC curve where promoters have another prevalence; 0 without any call.

    Parameters
    ----------
    true_rate, false_rate : array, shape=(...)
        Shares of promoters and of decoys that are called.
    prevalence : float or array
        Share of promoters among the windows.
    """
    right, wrong = prevalence * true_rate, (1 - prevalence) * false_rate
    return right / np.maximum(right + wrong, 1e-300)


def _auprc(promoters: Floats, decoys: Floats, prevalence: float | None = None) -> Floats:
    """Average precision (the sum over thresholds of recall gained times precision); shape=(resamples,).

    At the prevalence of each resample, or at another one.
    """
    all_promoters, all_decoys = promoters[:, -1:], decoys[:, -1:]
    share = all_promoters / (all_promoters + all_decoys) if prevalence is None else np.float64(prevalence)
    recall = promoters / all_promoters
    precision = expected_precision(recall, decoys / all_decoys, share)
    return (np.diff(recall, axis=1, prepend=0.0) * precision).sum(1)


def _precision(labels: NDArray[np.bool_], calls: NDArray[np.bool_], weights: Floats, prevalence: float) -> Floats:
    """Precision to expect of calls at a prevalence; shape=(resamples,)."""
    true_rate, false_rate = (weights @ (side & calls) / (weights @ side) for side in (labels, ~labels))
    return expected_precision(true_rate, false_rate, prevalence)


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


def auprc(labels: ArrayLike, scores: ArrayLike, prevalence: float | None = None) -> float:
    """Average precision at the examples' prevalence or, from the ROC points, as expected at another one.

    Few decoys flatter a small prevalence: promoters above the best decoy count with a precision of 1.

    Raises
    ------
    ShapeError, SplitError
        At a prevalence that is not between 0 and 1, scores that are not finite, or a single class.
    """
    truth, values = check_classes(labels, scores)
    share = None if prevalence is None else check_prevalence(prevalence)
    return float(_auprc(*_cumulated(truth, values, np.ones((1, len(truth)))), share)[0])


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
    """The metrics of one score on one set of pairs.

    Attributes
    ----------
    auroc, auprc, mcc : Estimate
    threshold : float
        Scores at or above it are called promoters.
    prevalence : float
        Share of promoters among the examples, which is the AUPRC of guessing.
    expected : tuple of (float, Estimate, Estimate) or None
        Another prevalence, the AUPRC and the precision of the calls to expect there.
    resampled : float64, shape=(bootstraps,)
        The AUROC in each resample.
    """

    auroc: Estimate
    auprc: Estimate
    mcc: Estimate
    threshold: float
    prevalence: float
    expected: tuple[float, Estimate, Estimate] | None
    resampled: Floats

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """The assessment as it stands in metrics.json: AUPRC beside its prevalence, MCC beside its threshold."""
        figures: dict[str, dict[str, Any]] = {
            "auroc": self.auroc.as_dict(),
            "auprc": {**self.auprc.as_dict(), "prevalence": self.prevalence},
            "mcc": {**self.mcc.as_dict(), "threshold": self.threshold},
        }
        if self.expected is not None:
            prevalence, area, precision = self.expected
            figures["expected"] = {"prevalence": prevalence, "auprc": area.as_dict(), "precision": precision.as_dict()}
        return figures


def assess(
    labels: ArrayLike,
    scores: ArrayLike,
    threshold: float,
    resamples: PairResamples,
    prevalence: float | None = None,
) -> Assessment:
    """AUROC, AUPRC and MCC with 95 % intervals over what the resamples draw.

    Parameters
    ----------
    labels : array, shape=(n,)
        1 for a promoter, 0 for a decoy.
    scores : array, shape=(n,)
        Larger for promoters.
    threshold : float
        Scores at or above it are called promoters, for MCC and precision.
    resamples : PairResamples
        Resamples of the pairs of these examples.
    prevalence : float, optional
        Another share of promoters, for which the AUPRC and the precision of the calls are to be given, too.

    Raises
    ------
    ShapeError, SplitError
        At scores that are not finite, a single class, a pair of a single class, or a prevalence out of range.
    """
    truth, values = check_classes(labels, scores, "the test examples")
    resamples.check_whole(truth)
    other = None if prevalence is None else check_prevalence(prevalence)

    def figures(weights: Floats) -> Floats:
        sides, calls = _cumulated(truth, values, weights), values >= threshold
        found = [_auroc(*sides), _auprc(*sides), _mcc(truth, calls, weights)]
        if other is not None:
            found += [_auprc(*sides, other), _precision(truth, calls, weights, other)]
        return np.stack(found)  # (3 or 5, resamples)

    point = figures(np.ones((1, len(truth))))[:, 0]
    resampled = np.concatenate([figures(weights) for weights in resamples.weights()], axis=1)
    area, precision, correlation, *rest = (Estimate.of(*pair) for pair in zip(point, resampled, strict=True))
    expected = None if other is None else (other, rest[0], rest[1])
    share = float(truth.mean())
    return Assessment(area, precision, correlation, float(threshold), share, expected, resampled[0])


def assess_tuned(
    labels: NDArray,
    scores: Floats,
    split: Mapping[Split, NDArray[np.bool_]],
    resamples: PairResamples,
    prevalence: float | None = None,
) -> Assessment:
    """Assess the scores of the test split; the threshold of the calls is chosen on the validation split.

    Parameters
    ----------
    labels, scores : array, shape=(n,)
        Of all examples; scores of the training split are not looked at.
    split : mapping of split to array of bool, shape=(n,)
    resamples : PairResamples
        Of the test examples' pairs.
    prevalence : float, optional
        As for `assess`.
    """
    validation, test = split["validation"], split["test"]
    threshold = best_threshold(labels[validation], scores[validation])
    return assess(labels[test], scores[test], threshold, resamples, prevalence)


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
