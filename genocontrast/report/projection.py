"""A flat view of an embedding: its first two principal components, the same picture for the same vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LIMIT = 3000
"""Points drawn at most; the components are those of all rows."""


@dataclass(frozen=True)
class Projection:
    """Coordinates of the rows that are drawn.

    Attributes
    ----------
    rows : int64, shape=(drawn,)
        Rows of the embedding, in the order of drawing.
    points : float64, shape=(drawn, 2)
    explained : tuple of float
        Share of the variance on each component.
    """

    rows: NDArray[np.int64]
    points: NDArray[np.float64]
    explained: tuple[float, float]


def project(values: NDArray[np.float64], seed: int) -> Projection:
    """First two principal components of rows; signs are set by each component's largest weight.

    Parameters
    ----------
    values : float64, shape=(n, dim)
        n >= 1, dim >= 2.
    seed : int
        Seed of the order of drawing.
    """
    centred = values - values.mean(0)
    spread, axes = np.linalg.eigh(centred.T @ centred)  # (dim,), (dim, dim), ascending
    top = axes[:, [-1, -2]]
    top = top * np.sign(top[np.abs(top).argmax(0), [0, 1]])
    total = max(float(spread.clip(0).sum()), 1e-12)
    explained = float(spread[-1].clip(0)) / total, float(spread[-2].clip(0)) / total
    return arrange(centred @ top, explained, seed)


def arrange(plane: NDArray[np.float64], explained: tuple[float, float], seed: int, limit: int = LIMIT) -> Projection:
    """Points of a plane, shape=(n, 2), in random order, so that no class hides another, and no more than `limit`."""
    rows = np.random.default_rng(seed).permutation(len(plane))[:limit]
    return Projection(rows, np.round(plane[rows], 4), explained)
