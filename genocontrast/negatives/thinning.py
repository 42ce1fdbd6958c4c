"""Thin windows to disjoint ones, keeping those that serve best."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.compiled import compiled

SHOWN = 20_000
"""Windows that the likeness is fitted on, at most."""


def overlap_one_another(regions: pd.DataFrame) -> bool:
    """Whether any two of the regions share a base."""
    sorted_ = regions.sort_values(["chrom", "start"], kind="stable")
    same = sorted_["chrom"].to_numpy()[1:] == sorted_["chrom"].to_numpy()[:-1]
    return bool((same & (sorted_["start"].to_numpy()[1:] < sorted_["end"].to_numpy()[:-1])).any())


def disjoint(regions: pd.DataFrame, priority: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which regions of one width to keep so that no two overlap: highest priority first, then by position.

    The result is maximal: no further region fits in.
    """
    keep = np.zeros(len(regions), dtype=bool)
    starts, ends = regions["start"].to_numpy(np.int64), regions["end"].to_numpy(np.int64)
    for group in regions.reset_index(drop=True).groupby("chrom", sort=True, observed=True).indices.values():
        rows = np.asarray(group)[np.argsort(starts[group], kind="stable")]
        order = np.lexsort((starts[rows], -priority[rows]))
        keep[rows] = compiled(_highest_first)(starts[rows], ends[rows], order)
    return keep


def _highest_first(starts: NDArray[np.int64], ends: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Take windows in an order and block what overlaps them; windows lie sorted by start, and so by end."""
    taken, blocked = np.zeros(len(starts), dtype=np.bool_), np.zeros(len(starts), dtype=np.bool_)
    for i in order:
        if blocked[i]:
            continue
        taken[i] = True
        j = i
        while j >= 0 and ends[j] > starts[i]:
            blocked[j] = True
            j -= 1
        j = i + 1
        while j < len(starts) and starts[j] < ends[i]:
            blocked[j] = True
            j += 1
    return taken


def likeness(
    promoters: pd.DataFrame, windows: pd.DataFrame, train: NDArray[np.bool_], seed: int = 0
) -> NDArray[np.float64]:
    """How much each window looks like a promoter by its covariates alone: the log odds of a logistic regression.

    Of windows that overlap, the likeliest one is the decoy that is hardest to come by; to keep it leaves more
    promoters with a match than to keep the most open one.

    Parameters
    ----------
    promoters, windows : DataFrame
        Covariates, one column each; n and m rows. `promoters` holds training promoters only.
    train : bool, shape=(m,)
        Windows of the training split; nothing is fitted on the others.
    seed : int
        Chooses the windows to fit on where there are more than `SHOWN`.

    Returns
    -------
    float64, shape=(m,)
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    shown = windows[train]
    if promoters.empty or shown.empty:
        return np.zeros(len(windows))
    if len(shown) > SHOWN:
        shown = shown.sample(SHOWN, random_state=seed)
    classifier = LogisticRegression(max_iter=1000, solver="newton-cholesky")
    model = make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False), StandardScaler(), classifier)
    model.fit(np.concatenate([promoters, shown]), np.repeat([1, 0], [len(promoters), len(shown)]))
    return model.decision_function(windows.to_numpy())
