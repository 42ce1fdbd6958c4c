"""What frozen embeddings know: probes that are fitted on the training split and measured on the test split.

All take embeddings as they are; no weight of the encoder is touched. Distances are cosines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genocontrast.config import Split
from genocontrast.errors import ShapeError
from genocontrast.evaluation.baselines import fit_baseline
from genocontrast.evaluation.metrics import Assessment, assess_tuned, auroc
from genocontrast.evaluation.resamples import Estimate, Floats, PairResamples

Vectors = NDArray[np.float32] | NDArray[np.float64]
Rows = Mapping[Split, NDArray[np.bool_]]

NEIGHBOURS = (1, 3, 5, 11, 21, 51, 101)
"""Neighbours tried on the validation split."""
RETRIEVED = 10
"""Windows that are retrieved."""
VIEW_SHIFT = 20
"""bp by which the view of a window is moved downstream that has to find its window."""
_CHUNK = 1024  # windows whose similarities to all others are held in memory at a time


@dataclass(frozen=True)
class Probe:
    """Scores of a tuned probe, shape=(n,) (NaN in the training split of k-NN), and what was chosen: C or k."""

    scores: Floats
    chosen: float


@dataclass(frozen=True)
class Probes:
    """What was found.

    Attributes
    ----------
    linear, knn : tuple of (Assessment, float)
        Logistic regression with its C, nearest neighbours with their k.
    retrieval : Estimate
        Share of promoters among the nearest other test windows of a test promoter; `retrieved` windows each, and
        `chance` is the share of promoters among all others.
    locus : dict of int to Estimate
        Recall at 1 and at k: whether a window is among the k nearest ones of its own moved view.
    windows : int
        Test windows that a locus is looked for in.
    alignment, uniformity : float
        Mean squared distance of windows and moved views; how evenly test windows spread (Wang and Isola, ICML 2020).
        Lower is better.
    """

    linear: tuple[Assessment, float]
    knn: tuple[Assessment, float]
    retrieval: Estimate
    retrieved: int
    chance: float
    locus: dict[int, Estimate]
    windows: int
    alignment: float
    uniformity: float

    def as_dict(self) -> dict[str, Any]:
        """The probes as they stand in metrics.json."""
        recall = [{"k": k, "chance": k / self.windows, **found.as_dict()} for k, found in self.locus.items()]
        return {
            "linear": {**self.linear[0].as_dict(), "regularisation": self.linear[1]},
            "knn": {**self.knn[0].as_dict(), "neighbours": int(self.knn[1])},
            "retrieval": {"k": self.retrieved, "prevalence": self.chance, **self.retrieval.as_dict()},
            "locus": {"shift": VIEW_SHIFT, "windows": self.windows, "recall": recall},
            "alignment": self.alignment,
            "uniformity": self.uniformity,
        }


def probe(
    vectors: Vectors, labels: NDArray, rows: Rows, views: Vectors, resamples: PairResamples, prevalence: float | None
) -> Probes:
    """Put all probes to the embeddings of a data set.

    Parameters
    ----------
    vectors : array, shape=(n, dim)
        Embeddings of the examples of all splits.
    labels : array, shape=(n,)
        1 for a promoter, 0 for a decoy.
    rows : mapping of split to array of bool, shape=(n,)
    views : array, shape=(test examples, dim)
        Embeddings of the test windows, moved by `VIEW_SHIFT`.
    resamples : PairResamples
        Of the test examples' pairs. The windows that are searched stay; what is drawn is what looks for them.
    prevalence : float or None
        As for `assess`.
    """
    test = vectors[rows["test"]]
    promoter = labels[rows["test"]] == 1
    k = min(RETRIEVED, len(test) - 1)
    linear, knn = linear_probe(vectors, labels, rows), knn_probe(vectors, labels, rows)
    ranks = locus_ranks(test, views)
    aligned, uniform = geometry(test, views)
    return Probes(
        linear=(assess_tuned(labels, linear.scores, rows, resamples, prevalence), linear.chosen),
        knn=(assess_tuned(labels, knn.scores, rows, resamples, prevalence), knn.chosen),
        retrieval=resamples.mean(promoters_retrieved(test, promoter, k), promoter),
        retrieved=k,
        chance=float((promoter.sum() - 1) / (len(promoter) - 1)),
        locus={at: resamples.mean(ranks <= at) for at in (1, k)},
        windows=len(test),
        alignment=aligned,
        uniformity=uniform,
    )


def linear_probe(vectors: Vectors, labels: NDArray, rows: Rows) -> Probe:
    """Logistic regression on embeddings, shape=(n, dim), fitted and tuned as the baselines are."""
    found = fit_baseline("linear probe", np.asarray(vectors, np.float64), labels, rows)
    return Probe(found.scores, found.regularisation)


def knn_probe(vectors: Vectors, labels: NDArray, rows: Rows) -> Probe:
    """Share of promoters among the k nearest training windows; k has the highest AUROC on the validation split.

    Parameters
    ----------
    vectors : array, shape=(n, dim)
    labels : array, shape=(n,)
    rows : mapping of split to array of bool, shape=(n,)

    Returns
    -------
    Probe
        Scores of validation and test, NaN in training; of equally good k the largest.
    """
    train, asked = rows["train"], rows["validation"] | rows["test"]
    tried = [k for k in NEIGHBOURS if k <= train.sum()]
    nearest = _nearest(vectors[train], tried[-1], vectors[asked])
    share = np.cumsum(labels[train][nearest] == 1, axis=1) / np.arange(1, tried[-1] + 1)  # (asked, largest k)
    scores = np.full((len(tried), len(labels)), np.nan)
    scores[:, asked] = share[:, np.array(tried) - 1].T
    validation = rows["validation"]
    reached = [auroc(labels[validation], each[validation]) for each in scores]
    best = len(tried) - 1 - int(np.argmax(reached[::-1]))
    return Probe(scores[best], tried[best])


def promoters_retrieved(vectors: Vectors, promoter: NDArray[np.bool_], k: int) -> Floats:
    """Share of promoters among the k nearest other windows of each window, shape=(n, dim) -> (n,)."""
    return promoter[_nearest(vectors, k)].mean(1)


def locus_ranks(windows: Vectors, views: Vectors) -> NDArray[np.int64]:
    """Place of each window among all windows, by cosine to its own view; 1 is the nearest, equals come before it.

    Parameters
    ----------
    windows, views : array, shape=(n, dim)
        Row i of both is one locus.

    Returns
    -------
    numpy.ndarray of int64, shape=(n,)
    """
    if windows.shape != views.shape:
        raise ShapeError("windows and views must be of one shape", value=(windows.shape, views.shape))
    windows, views = _unit(windows), _unit(views)
    ranks = []
    for first in range(0, len(views), _CHUNK):
        cosine = views[first : first + _CHUNK] @ windows.T  # (chunk, n)
        own = cosine[np.arange(len(cosine)), first + np.arange(len(cosine))]
        ranks.append((cosine >= own[:, None]).sum(1))
    return np.concatenate(ranks)


def geometry(vectors: Vectors, views: Vectors) -> tuple[float, float]:
    """Alignment of vectors with their views and uniformity of the vectors, both of shape=(n, dim)."""
    import torch

    from genocontrast.contrast.diagnostics import alignment, uniformity

    here, there = (torch.from_numpy(_unit(each)) for each in (vectors, views))
    return float(alignment(here, there)), float(uniformity(here))


def cosines(one: Vectors, other: Vectors) -> Floats:
    """Cosine of each vector with its opposite, shape=(n, dim) and (n, dim) -> (n,); 0 where one has no direction."""
    return np.einsum("nd,nd->n", _unit(one), _unit(other))


def _nearest(windows: Vectors, k: int, asked: Vectors | None = None) -> NDArray[np.int64]:
    """Rows of the k nearest windows of those asked for, or of each window itself leaving it out, nearest first."""
    from sklearn.neighbors import NearestNeighbors

    # of vectors of length 1 the nearest has the largest cosine
    index = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(_unit(windows))
    return index.kneighbors(None if asked is None else _unit(asked), return_distance=False)


def _unit(vectors: Vectors) -> Floats:
    from sklearn.preprocessing import normalize

    return normalize(np.asarray(vectors, np.float64))
