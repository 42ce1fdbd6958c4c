"""How alike decoys and promoters are, and whom they overlap: one measure for whoever made them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from genocontrast import Genome, Signal
from genocontrast.sequence import cpg_ratio, gc_fraction

COVARIATES = ("gc", "cpg", "accessibility", "open_fraction", "repeat")
_CHUNK = 20_000
"""Windows held in memory at a time."""


def measure(windows: pd.DataFrame, genome: Genome, signal: Signal, peaks: pd.DataFrame) -> pd.DataFrame:
    """The five covariates of windows of one width.

    gc: fraction; cpg: observed/expected; accessibility: log(1 + total signal); open_fraction: part of the window that
    peaks cover; repeat: soft-masked fraction.
    """
    windows = windows[["chrom", "start", "end"]].reset_index(drop=True)
    codes = [genome.codes(windows.iloc[at : at + _CHUNK]) for at in range(0, len(windows), _CHUNK)]
    total = signal.mean(windows) * (windows["end"] - windows["start"]).to_numpy()
    return pd.DataFrame(
        {
            "gc": np.concatenate([gc_fraction(its) for its in codes]),
            "cpg": np.concatenate([cpg_ratio(its) for its in codes]),
            "accessibility": np.log1p(total),
            "open_fraction": open_fraction(windows, peaks),
            "repeat": genome.masked(windows),
        }
    )


def open_fraction(windows: pd.DataFrame, peaks: pd.DataFrame) -> NDArray[np.float64]:
    """Part of each window that is covered by peaks, which may overlap one another; shape=(n,)."""
    covered = np.zeros(len(windows))
    for rows, its, others in _by_chrom(windows, peaks):
        start, end = others["start"].to_numpy(), np.maximum.accumulate(others["end"].to_numpy())
        # A peak counts from where those before it end: what is covered up to a place then rises in steps and ramps.
        start = np.maximum(start, np.concatenate([[0], end[:-1]]))
        edges = np.column_stack([start, np.maximum(start, end)]).reshape(-1)
        height = np.cumsum(np.where(np.arange(len(edges)) % 2, np.diff(edges, prepend=0), 0))
        covered[rows] = np.interp(its["end"], edges, height) - np.interp(its["start"], edges, height)
    return covered / (windows["end"] - windows["start"]).to_numpy()


def touched(windows: pd.DataFrame, others: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether each window overlaps any of the others, shape=(n,)."""
    hit = np.zeros(len(windows), dtype=bool)
    for rows, its, theirs in _by_chrom(windows, others):
        reach = np.maximum.accumulate(theirs["end"].to_numpy())
        before = np.searchsorted(theirs["start"].to_numpy(), its["end"].to_numpy())
        hit[rows] = (before > 0) & (reach[np.maximum(before - 1, 0)] > its["start"].to_numpy())
    return hit


def self_overlapping(windows: pd.DataFrame) -> int:
    """Windows that overlap another one of the same set; one that is there twice overlaps itself."""
    count = 0
    for _, its in windows.sort_values(["start", "end"], kind="stable").groupby("chrom"):
        start, reach = its["start"].to_numpy(), np.maximum.accumulate(its["end"].to_numpy())
        left = np.concatenate([[False], start[1:] < reach[:-1]])
        right = np.concatenate([start[1:] < its["end"].to_numpy()[:-1], [False]])
        count += int((left | right).sum())
    return count


def _by_chrom(
    windows: pd.DataFrame, others: pd.DataFrame
) -> Iterator[tuple[NDArray[np.intp], pd.DataFrame, pd.DataFrame]]:
    """Rows and windows of each chromosome, and the others on it in order of start; none where there are no others."""
    sorted_others = others.sort_values(["start", "end"], kind="stable")
    theirs = sorted_others.groupby("chrom").indices
    for chrom, rows in windows.groupby("chrom").indices.items():
        if chrom in theirs:
            yield np.asarray(rows), windows.iloc[rows], sorted_others.iloc[theirs[chrom]]


def quality(
    positives: pd.DataFrame, decoys: pd.DataFrame, covariates: dict[str, pd.DataFrame], scale: pd.Series
) -> dict[str, Any]:
    """Balance and overlaps.

    Parameters
    ----------
    positives, decoys : DataFrame
        chrom, start, end; n and m rows.
    covariates : dict of str to DataFrame
        Under "positives" and "decoys": what `measure` gives for them.
    scale : Series
        Standard deviation of each covariate over all positives.
    """
    near, far = covariates["positives"], covariates["decoys"]
    smd = (near.mean() - far.mean()) / scale.where(scale > 1e-12, 1.0)
    ks = {name: float(ks_2samp(near[name], far[name], method="asymp").statistic) for name in COVARIATES}
    return {
        "positives": len(positives),
        "decoys": len(decoys),
        "smd": {name: float(smd[name]) for name in COVARIATES},
        "ks": ks,
        "self_overlapping": self_overlapping(decoys),
        "overlap_positives": int(touched(decoys, positives).sum()),
    }
