"""What a model without motifs can do: regularised logistic regression on covariates, on 4-mer frequencies and on pooled
k-mer vectors.

Each one is tuned as a competitor would tune it: fitted on the training split, its regularisation chosen on the
validation split. Second-order terms let a covariate count whose spread, and not only its mean, differs between classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from genocontrast.config import SPLITS, Split
from genocontrast.evaluation.metrics import auroc
from genocontrast.evaluation.resamples import Floats
from genocontrast.examples import covariate_columns
from genocontrast.sequence import Codes, cpg_ratio, gc_fraction, kmer_frequencies

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from genocontrast.kmers import KmerEmbedding

REGULARISATION = tuple(10.0**power for power in range(-4, 4))
"""Inverse strengths (C of scikit-learn) tried on the validation split."""
BASELINE_K = 4
_SINGLE = {"GC only": "gc", "CpG only": "cpg", "accessibility only": "accessibility"}


@dataclass(frozen=True)
class Baseline:
    """A fitted baseline: its promoter probability for every example, and the regularisation that was chosen."""

    name: str
    scores: Floats
    regularisation: float


def baseline_features(
    examples: pd.DataFrame, codes: Codes, embedding: KmerEmbedding | None = None
) -> dict[str, Floats]:
    """Features of each baseline, name -> shape=(n, features); GC and CpG of the window where no column has them."""
    covariates = {column: examples[column].to_numpy(np.float64) for column in covariate_columns(examples)}
    covariates.setdefault("gc", gc_fraction(codes))
    covariates.setdefault("cpg", cpg_ratio(codes))
    single = {name: covariates[key][:, None] for name, key in _SINGLE.items() if key in covariates}
    together = np.column_stack([covariates[key] for key in sorted(covariates)])
    frequencies = {f"{BASELINE_K}-mer": kmer_frequencies(codes, BASELINE_K)}
    return {**single, "covariates": together, **frequencies, **_pooled(codes, embedding)}


def _pooled(codes: Codes, embedding: KmerEmbedding | None) -> dict[str, Floats]:
    """The vectors of a window's k-mers as one: their mean, and weighted so that frequent k-mers count less (SIF)."""
    if embedding is None:
        return {}
    name = f"{embedding.k}-mer vectors"
    return {f"{name} (mean)": embedding.embed(codes), f"{name} (SIF)": embedding.embed(codes, pool="sif")}


def fit_baselines(examples: pd.DataFrame, codes: Codes, embedding: KmerEmbedding | None = None) -> list[Baseline]:
    """Fit every baseline on the training split, tune it on the validation split, score all examples.

    Parameters
    ----------
    examples : DataFrame
        Examples table of n rows with the splits train and validation.
    codes : numpy.ndarray of uint8, shape=(n, length)
        The windows of the examples.
    embedding : KmerEmbedding, optional
        Vectors fitted on the training split's sequence, for the baselines of pooled k-mer vectors.

    Returns
    -------
    list of Baseline
        In the order GC, CpG, accessibility (where there is such a column), covariates, 4-mer, k-mer vectors.
    """
    labels = examples["label"].to_numpy()
    rows: dict[Split, np.ndarray] = {split: (examples["split"] == split).to_numpy() for split in SPLITS}
    features = baseline_features(examples, codes, embedding)
    # squares and products of 136 frequencies, or of as many dimensions, would be fitted to noise
    return [fit_baseline(name, x, labels, rows, 1 if "-mer" in name else 2) for name, x in features.items()]


def fit_baseline(
    name: str, x: Floats, labels: np.ndarray, rows: Mapping[Split, np.ndarray], degree: int = 1
) -> Baseline:
    """Logistic regression fitted on the training split, with the regularisation of highest validation AUROC.

    Parameters
    ----------
    name : str
    x : array, shape=(n, features)
        Of all examples; they are standardised.
    labels : array, shape=(n,)
    rows : mapping of split to array of bool, shape=(n,)
    degree : int
        2 adds squares and products of the features.

    Returns
    -------
    Baseline
        Of equally good ones the most regularised.
    """
    classifier, c = _tuned(x, labels, rows, degree)
    return Baseline(name, 1 / (1 + np.exp(-classifier.decision_function(x))), c)


def kmer_scorer(examples: pd.DataFrame, codes: Codes) -> Callable[[Codes], Floats]:
    """The 4-mer baseline as a function of windows, for scans: its promoter probability, shape=(m, length) -> (m,).

    Parameters
    ----------
    examples, codes
        As in `fit_baselines`.
    """
    labels = examples["label"].to_numpy()
    rows: dict[Split, np.ndarray] = {split: (examples["split"] == split).to_numpy() for split in SPLITS}
    classifier, _ = _tuned(kmer_frequencies(codes, BASELINE_K), labels, rows, 1)
    return lambda windows: classifier.predict_proba(kmer_frequencies(windows, BASELINE_K))[:, 1]


def _tuned(x: Floats, labels: np.ndarray, rows: Mapping[Split, np.ndarray], degree: int) -> tuple[Pipeline, float]:
    """The classifier of highest validation AUROC, and its C; of equals the most regularised one."""
    best: tuple[float, Pipeline, float] | None = None
    for c in REGULARISATION:
        classifier = _classifier(c, degree).fit(x[rows["train"]], labels[rows["train"]])
        scores = classifier.decision_function(x[rows["validation"]])
        reached = auroc(labels[rows["validation"]], scores)
        if best is None or reached > best[0]:
            best = (reached, classifier, c)
    assert best is not None
    return best[1], best[2]


def _classifier(c: float, degree: int) -> Pipeline:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    steps = [StandardScaler()]
    if degree > 1:
        steps += [PolynomialFeatures(degree, include_bias=False), StandardScaler()]
    # a few hundred features at most: its Hessian is small, and a handful of exact steps end at the optimum
    return make_pipeline(*steps, LogisticRegression(C=c, max_iter=1000, solver="newton-cholesky"))
