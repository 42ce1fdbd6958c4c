"""How far a probability can be believed: log loss, Brier score, expected calibration error and reliability curve.

The temperature that calibrates is fitted where models are (`genocontrast.training.calibration`); here its effect is
measured.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genocontrast.errors import ShapeError
from genocontrast.evaluation.metrics import check_classes
from genocontrast.evaluation.resamples import Estimate, Floats, PairResamples
from genocontrast.training.calibration import calibrated, fit_temperature, rescale

__all__ = [
    "Calibration",
    "ReliabilityBin",
    "assess_calibration",
    "expected_calibration_error",
    "fit_temperature",
    "reliability_curve",
    "rescale",
    "temperature_effect",
]

BINS = 10
_EPSILON = np.finfo(np.float64).eps  # a certain error costs 36 nats, as in scikit-learn, and not infinitely many


@dataclass(frozen=True)
class ReliabilityBin:
    """Examples of like probability: its mean, how many there are, which share are promoters, with a 95 % interval."""

    predicted: float
    observed: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Calibration:
    """How probabilities agree with what is.

    Attributes
    ----------
    log_loss, brier : Estimate
        Lower is better.
    ece : float
        Expected calibration error. It has no interval: it is above 0 for a calibrated model too, and resampling adds
        to that bias.
    curve : list of ReliabilityBin
        From low to high probability.
    """

    log_loss: Estimate
    brier: Estimate
    ece: float
    curve: list[ReliabilityBin]

    def as_dict(self) -> dict[str, Any]:
        """The figures as they stand in metrics.json."""
        return {
            "log_loss": self.log_loss.as_dict(),
            "brier": self.brier.as_dict(),
            "ece": self.ece,
            "curve": [asdict(each) for each in self.curve],
        }


def assess_calibration(
    labels: ArrayLike, probability: ArrayLike, resamples: PairResamples, bins: int = BINS
) -> Calibration:
    """Log loss and Brier score with 95 % intervals, calibration error and reliability curve.

    Parameters
    ----------
    labels : array, shape=(n,)
        1 for a promoter, 0 for a decoy.
    probability : array, shape=(n,)
        Of a promoter, at the prevalence of these examples.
    resamples : PairResamples
        Of the pairs of these examples.
    bins : int
        Points of the reliability curve.

    Raises
    ------
    ShapeError, SplitError
        At numbers that are no probabilities, or a single class.
    """
    truth, values = _checked(labels, probability)
    right = np.where(truth, values, 1 - values)
    curve = reliability_curve(truth, values, bins)
    return Calibration(
        resamples.mean(-np.log(np.maximum(right, _EPSILON))),
        resamples.mean((1 - right) ** 2),
        expected_calibration_error(curve),
        curve,
    )


def reliability_curve(labels: ArrayLike, probability: ArrayLike, bins: int = BINS) -> list[ReliabilityBin]:
    """Mean probability and share of promoters in bins of equally many examples.

    Parameters
    ----------
    labels, probability : array, shape=(n,)
    bins : int
        Equal probabilities stay in one bin, so that there may be fewer.

    Returns
    -------
    list of ReliabilityBin
        With Wilson's intervals, which take examples for independent.

    Raises
    ------
    ShapeError, SplitError
        At numbers that are no probabilities, or a single class.
    """
    from scipy.stats import binomtest

    truth, values = _checked(labels, probability)
    edges = np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1])
    members = np.searchsorted(edges, values)
    found = []
    for member in np.unique(members):
        here = members == member
        promoters, count = int(truth[here].sum()), int(here.sum())
        low, high = binomtest(promoters, count).proportion_ci(method="wilson")
        found.append(
            ReliabilityBin(float(values[here].mean()), promoters / count, max(float(low), 0.0), float(high), count)
        )
    return found


def expected_calibration_error(curve: list[ReliabilityBin]) -> float:
    """Mean distance of the curve from the diagonal, by examples (Naeini et al., AAAI 2015; here in equal counts)."""
    distance = [abs(each.observed - each.predicted) for each in curve]
    return float(np.average(distance, weights=[each.count for each in curve]))


def temperature_effect(labels: NDArray, logits: Floats, temperature: float, resamples: PairResamples) -> dict[str, Any]:
    """Calibration of test examples without and with the model's temperature, as it stands in metrics.json.

    Where a promoter has several decoys, the examples' prevalence is not that of training: the probabilities are
    rescaled to it first.

    Parameters
    ----------
    labels, logits : array, shape=(n,)
    temperature : float
    resamples : PairResamples
    """
    prevalence = float(np.mean(labels))
    return {
        "temperature": temperature,
        "fitted_on": "validation",
        "prevalence": prevalence,
        **{
            name: assess_calibration(labels, calibrated(logits, divisor, prevalence), resamples).as_dict()
            for name, divisor in (("before", 1.0), ("after", temperature))
        },
    }


def _checked(labels: ArrayLike, probability: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    truth, values = check_classes(labels, probability)
    if values.min() < 0 or values.max() > 1:
        raise ShapeError("probabilities must lie in 0 to 1", value=(float(values.min()), float(values.max())))
    return truth, values
