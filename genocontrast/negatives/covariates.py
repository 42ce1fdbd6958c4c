"""What promoters and decoys are compared on: composition and openness of each window."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.errors import ShapeError
from genocontrast.genome.fasta import Genome
from genocontrast.genome.signal import Signal
from genocontrast.sequence import cpg_ratio, gc_fraction

CHUNK = 50_000
"""Windows held in memory at a time."""


def accessibility(regions: pd.DataFrame, signal: Signal) -> NDArray[np.float64]:
    """log(1 + total signal) of each window; for ATAC fragments the total is the number of Tn5 cuts. shape=(n,)."""
    width = (regions["end"] - regions["start"]).to_numpy()
    total = signal.mean(regions) * width
    if not np.isfinite(total).all() or (total < 0).any():
        bad = int((~np.isfinite(total) | (total < 0)).sum())
        raise ShapeError(
            f"the accessibility signal is negative or not a number in {bad} windows",
            remedy="give counts or fold changes, not log ratios",
        )
    return np.log1p(total)


def _by_sequence(function: Callable[[NDArray[np.uint8]], NDArray[np.float64]]) -> Callable[..., NDArray[np.float64]]:
    def compute(regions: pd.DataFrame, genome: Genome, signal: Signal | None) -> NDArray[np.float64]:
        chunks = [function(genome.codes(regions.iloc[i : i + CHUNK])) for i in range(0, len(regions), CHUNK)]
        return np.concatenate(chunks) if chunks else np.zeros(0)

    return compute


def _accessibility(regions: pd.DataFrame, genome: Genome, signal: Signal | None) -> NDArray[np.float64]:
    if signal is None:
        raise ShapeError("matching on accessibility needs a signal", remedy="pass signal=gct.Signal('atac.bw')")
    return accessibility(regions, signal)


def _repeat(regions: pd.DataFrame, genome: Genome, signal: Signal | None) -> NDArray[np.float64]:
    return genome.masked(regions)


COVARIATES: dict[str, Callable[..., NDArray[np.float64]]] = {
    "gc": _by_sequence(gc_fraction),
    "cpg": _by_sequence(cpg_ratio),
    "accessibility": _accessibility,
    "repeat": _repeat,
}
"""gc: fraction of G and C; cpg: CpG observed/expected; accessibility: log(1 + total signal); repeat: soft-masked."""


def measure(regions: pd.DataFrame, genome: Genome, names: Sequence[str], signal: Signal | None = None) -> pd.DataFrame:
    """Covariates of windows of one width.

    Parameters
    ----------
    regions : DataFrame
        chrom, start, end; n rows.
    genome : Genome
    names : sequence of str
        Keys of `COVARIATES`.
    signal : Signal, optional
        Needed for accessibility.

    Returns
    -------
    DataFrame, shape=(n, len(names)), float64

    Raises
    ------
    ShapeError
        At an unknown name, or a signal that is negative or not a number.
    """
    unknown = [name for name in names if name not in COVARIATES]
    if unknown:
        raise ShapeError(f"unknown covariate '{unknown[0]}'", remedy=f"known: {', '.join(COVARIATES)}")
    return pd.DataFrame({name: COVARIATES[name](regions, genome, signal) for name in names}, index=regions.index)
