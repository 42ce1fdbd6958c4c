"""Probabilities that mean what they say: a temperature fitted on validation windows, and the prevalence of a genome."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from genocontrast.errors import GenocontrastWarning, ShapeError, SplitError

if TYPE_CHECKING:
    from genocontrast.training.data import PairCodes
    from genocontrast.training.model import Model

Real = TypeVar("Real", np.float32, np.float64)

BOUNDS = (0.05, 20.0)
"""Temperatures to choose from."""
TRAINED_PREVALENCE = 0.5
"""Share of promoters in training, where each stands beside a decoy."""


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The temperature T whose probabilities, 1 / (1 + exp(-logit / T)), have the least log loss.

    Parameters
    ----------
    logits : array, shape=(n,)
        Log odds of examples that the model was not fitted on.
    labels : array, shape=(n,)
        1 for a promoter, 0 for a decoy.

    Returns
    -------
    float
        Within `BOUNDS`; above 1 where the model is too sure of itself. Logits that tell nothing have the upper bound:
        all probabilities are near one half.

    Raises
    ------
    ShapeError
        Where the two are not vectors of one length, or a logit is not finite.
    SplitError
        Where only one class is there.

    Warns
    -----
    GenocontrastWarning
        Where the logits separate the classes, so that no example says how sure is too sure.

    Notes
    -----
    Guo et al., ICML 2017. Of p promoters each counts as one with a probability of (p + 1) / (p + 2), of d decoys with
    1 / (d + 2) (Platt 1999). That moves the optimum by less than its standard error, and gives one to separated
    classes too, whose plain log loss falls without end.
    """
    values, truth = _checked(logits, labels)
    promoters, decoys = int(truth.sum()), int((~truth).sum())
    target = np.where(truth, (promoters + 1) / (promoters + 2), 1 / (decoys + 2))
    if values[truth].min() > values[~truth].max():
        warnings.warn(
            f"the validation logits separate {promoters} promoters from {decoys} decoys without an error: how sure the "
            "model may be of itself rests on their number alone",
            GenocontrastWarning,
            stacklevel=2,
        )

    def loss(log_temperature: float) -> float:
        scaled = values / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0, scaled) - target * scaled))

    # convex in 1 / T, so that the logarithm of T has a single valley
    found = minimize_scalar(loss, bounds=np.log(BOUNDS), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def _checked(logits: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values, truth = np.asarray(logits, np.float64), np.asarray(labels).astype(bool)
    if values.ndim != 1 or values.shape != truth.shape:
        raise ShapeError("logits and labels must be two vectors of one length", value=(values.shape, truth.shape))
    if not np.isfinite(values).all():
        raise ShapeError(f"{int((~np.isfinite(values)).sum())} of {len(values)} logits are not finite")
    if truth.all() or not truth.any():
        raise SplitError("a temperature needs promoters and decoys", value=f"{int(truth.sum())} of {len(truth)}")
    return values, truth


def validation_temperature(model: Model, validation: PairCodes) -> float:
    """The temperature of a model's logits of the validation windows; see `fit_temperature`."""
    windows, labels = validation.windows()
    return fit_temperature(model.logits_codes(windows), labels)


def calibrated_loss(logits: ArrayLike, labels: ArrayLike) -> float:
    """Log loss at the temperature that calibration will choose, the mean of the two classes' means.

    How well logits order windows and how far apart they put them are two things. Training goes on to sharpen them
    after their order is as good as it gets, or while it still improves; a temperature is fitted afterwards in any case,
    so that only what it cannot mend should decide which epoch is kept.

    Parameters and errors are those of `fit_temperature`.
    """
    values, truth = _checked(logits, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GenocontrastWarning)  # told once, of the model that is kept
        values = values / fit_temperature(values, truth)
    losses = np.logaddexp(0, np.where(truth, -values, values))
    return float((losses[truth].mean() + losses[~truth].mean()) / 2)


def calibrated(logits: NDArray[Real], temperature: float = 1.0, prevalence: float | None = None) -> NDArray[Real]:
    """Probabilities of logits at a temperature, shape=(n,), where promoters are as frequent as in training or as told.

    Raises
    ------
    ShapeError
        Where the prevalence is not between 0 and 1.
    """
    shift = 0.0 if prevalence is None else prior_shift(prevalence)
    return expit(logits / temperature + shift)


def rescale(
    probability: ArrayLike, prevalence: float, trained_prevalence: float = TRAINED_PREVALENCE
) -> NDArray[np.float64]:
    """Probabilities at another prevalence: their odds times the ratio of the two prevalences' odds.

    Right where promoters and other windows are each as they were in training, and only their numbers differ
    (Saerens et al., Neural Computation 2002). Windows of a genome are less like promoters than matched decoys are.

    Parameters
    ----------
    probability : array, shape=(...)
        Probabilities at `trained_prevalence`.
    prevalence, trained_prevalence : float
        Share of promoters among the windows, between 0 and 1.

    Returns
    -------
    numpy.ndarray of float64, shape=(...)

    Raises
    ------
    ShapeError
        Where a prevalence is not between 0 and 1, or a probability outside of 0 to 1.
    """
    values = np.asarray(probability, np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ShapeError("probabilities must lie in 0 to 1")
    return expit(logit(values) + prior_shift(prevalence, trained_prevalence))


def prior_shift(prevalence: float, trained_prevalence: float = TRAINED_PREVALENCE) -> float:
    """What another prevalence adds to the log odds of a promoter; see `rescale`."""
    ours, theirs = (check_prevalence(value) for value in (prevalence, trained_prevalence))
    return float(logit(ours) - logit(theirs))


def check_prevalence(prevalence: float) -> float:
    """The prevalence, or a ShapeError where it is not between 0 and 1."""
    if not 0 < prevalence < 1:
        raise ShapeError(
            "a prevalence must lie between 0 and 1",
            value=prevalence,
            remedy="give the share of promoters among the windows, such as 0.01",
        )
    return float(prevalence)
