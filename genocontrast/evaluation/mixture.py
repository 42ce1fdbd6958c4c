"""Clusters of sites that are two motifs: a network may read the half that they share and tell nothing of the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genocontrast.sequence import N_CODE, Codes, one_hot

CORE = 16
"""Positions in the middle that are looked at: beside a site its neighbour may lie at one distance or another."""
MIN_PART = 15
"""Sites of each part of a cluster that is split."""
DIFFERENT = 0.5
"""Largest difference of a base's probability at one position that two positions at least must show."""
_ROUNDS = 50
_DEPTH = 3


def split(sites: Codes, background: NDArray[np.float64], depth: int = _DEPTH) -> list[NDArray[np.int64]]:
    """Split aligned sites into motifs, where a mixture of two matrices describes them better than one.

    Each position of a site is drawn from the matrix of its motif; two motifs are better than one where the Bayesian
    information criterion says so, both have enough sites, and they differ in several positions. Parts are split
    again.

    Parameters
    ----------
    sites : numpy.ndarray of uint8, shape=(n, length)
        Aligned sites.
    background : numpy.ndarray, shape=(4,)
        Frequencies of the bases, as pseudo-counts.

    Returns
    -------
    list of numpy.ndarray of int64
        Rows of each part, the largest part first; together all rows.
    """
    everything = np.arange(len(sites))
    if depth == 0 or len(sites) < 2 * MIN_PART:
        return [everything]
    middle = sites[:, (sites.shape[1] - CORE) // 2 : (sites.shape[1] + CORE) // 2]
    bases = one_hot(middle, np.float64).reshape(len(sites), -1)  # (n, 4 * CORE)
    weight = _mixture(bases, background)
    second = weight[:, 1] > 0.5
    parts = sorted((everything[~second], everything[second]), key=len, reverse=True)
    if len(parts[1]) < MIN_PART or not _differ(middle, parts) or _gain(bases, parts, background) <= 0:
        return [everything]
    return sorted(
        (part[inner] for part in parts for inner in split(sites[part], background, depth - 1)), key=len, reverse=True
    )


def _mixture(bases: NDArray[np.float64], background: NDArray[np.float64]) -> NDArray[np.float64]:
    """Membership of sites in two motifs by expectation maximisation, shape=(n, 2).

    It begins on the two sides of the sites' first principal component.
    """
    centred = bases - bases.mean(0)
    axis = np.linalg.svd(centred, full_matrices=False)[2][0]
    score = centred @ axis
    score *= np.sign(axis[np.abs(axis).argmax()])
    weight = np.stack([score <= np.median(score), score > np.median(score)], axis=1).astype(np.float64)
    for _ in range(_ROUNDS):
        logs = np.stack([bases @ _log_matrix(bases, column, background) for column in weight.T], axis=1)
        logs += np.log(weight.mean(0) + 1e-12)
        weight = np.exp(logs - logs.max(1, keepdims=True))
        weight /= weight.sum(1, keepdims=True)
    return weight


def _log_matrix(
    bases: NDArray[np.float64], weight: NDArray[np.float64], background: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Log probabilities of the weighted sites, with one pseudo-count of the background, shape=(4 * length,)."""
    counts = (weight @ bases).reshape(4, -1) + background[:, None]
    return np.log(counts / counts.sum(0)).ravel()


def _gain(bases: NDArray[np.float64], parts: list[NDArray[np.int64]], background: NDArray[np.float64]) -> float:
    """Gain in log likelihood of two motifs less the penalty of their parameters (half of the BIC's difference)."""
    one = (bases @ _log_matrix(bases, np.ones(len(bases)), background)).sum()
    two = sum(
        (bases[part] @ _log_matrix(bases[part], np.ones(len(part)), background)).sum()
        + len(part) * np.log(len(part) / len(bases))
        for part in parts
    )
    return float(two - one - 0.5 * (3 * bases.shape[1] / 4 + 1) * np.log(len(bases)))


def _differ(sites: Codes, parts: list[NDArray[np.int64]]) -> bool:
    shares = [one_hot(sites[part], np.float64).sum(0) / np.maximum((sites[part] < N_CODE).sum(0), 1) for part in parts]
    return bool((np.abs(shares[0] - shares[1]).max(0) >= DIFFERENT).sum() >= 2)
