"""A flat view of an embedding: two principal components, or UMAP; the same picture for the same vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genocontrast.errors import ConfigError
from genocontrast.report.wording import percent

LIMIT = 3000
"""Points of a drawing at most; the components are those of all rows."""
MAP_LIMIT = 20_000
"""Points of an interactive map at most."""


@dataclass(frozen=True)
class Projection:
    """Coordinates of the rows that are drawn.

    Attributes
    ----------
    rows : int64, shape=(drawn,)
        Rows of the embedding, in the order of drawing.
    points : float64, shape=(drawn, 2)
    explained : tuple of float, or None
        Share of the variance on each component; None of a view that is not one of components.
    """

    rows: NDArray[np.int64]
    points: NDArray[np.float64]
    explained: tuple[float, float] | None

    @property
    def columns(self) -> tuple[str, str]:
        """Names of the coordinates in tables."""
        return ("pc1", "pc2") if self.explained else ("umap1", "umap2")

    @property
    def titles(self) -> tuple[str, str]:
        """Names of the axes."""
        if self.explained is None:
            return "UMAP 1", "UMAP 2"
        return f"PC1 \u00b7 {percent(self.explained[0])} of variance", f"PC2 \u00b7 {percent(self.explained[1])}"

    def first(self, count: int) -> Projection:
        """The first `count` of its points, which are as random a choice as any."""
        return Projection(self.rows[:count], self.points[:count], self.explained)


def project(values: NDArray[np.float64], seed: int, limit: int = LIMIT) -> Projection:
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
    return arrange(centred @ top, explained, seed, limit)


def arrange(plane: NDArray[np.float64], explained: tuple[float, float], seed: int, limit: int = LIMIT) -> Projection:
    """Points of a plane, shape=(n, 2), in random order, so that no class hides another, and no more than `limit`."""
    rows = np.random.default_rng(seed).permutation(len(plane))[:limit]
    return Projection(rows, np.round(plane[rows], 4), explained)


def project_umap(values: NDArray[np.float64], seed: int, limit: int = LIMIT) -> Projection:
    """UMAP of rows, shape=(n, dim), of no more than `limit` of them; the same seed gives the same map.

    Source: McInnes, Healy and Melville, arXiv 1802.03426.

    Raises
    ------
    ConfigError
        Where umap-learn is not installed.
    """
    try:
        from umap import UMAP
    except ImportError:
        raise ConfigError(
            "report.projection asks for UMAP, which is not installed",
            value="umap",
            remedy="pip install 'genocontrast[umap]', or set report.projection to pca",
        ) from None
    rows = np.random.default_rng(seed).permutation(len(values))[:limit]
    neighbours = min(15, len(rows) - 1)
    # one thread: several of them would give another map each time
    plane = UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1).fit_transform(values[rows])
    return Projection(rows, np.round(plane, 4), None)
