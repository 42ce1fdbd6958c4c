"""Thin windows to disjoint ones, keeping those that serve best."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def disjoint(regions: pd.DataFrame, priority: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which regions of one width to keep so that no two overlap: highest priority first, then by position.

    The result is maximal: no further region fits in.
    """
    keep = np.zeros(len(regions), dtype=bool)
    position = np.arange(len(regions))
    for _, rows in regions.groupby("chrom", sort=True):
        index = position[regions.index.get_indexer(rows.index)]
        start, end = rows["start"].to_numpy(), rows["end"].to_numpy()
        by_start = np.argsort(start, kind="stable")
        start, end, index = start[by_start], end[by_start], index[by_start]
        taken = np.zeros(len(index), dtype=bool)
        blocked = np.zeros(len(index), dtype=bool)
        for i in np.lexsort((start, -priority[index])):
            if not blocked[i]:
                taken[i] = True
                # one width: neighbours in order of start are neighbours in order of end
                left = np.searchsorted(end, start[i], side="right")
                right = np.searchsorted(start, end[i], side="left")
                blocked[left:right] = True
        keep[index[taken]] = True
    return keep


def likeness(promoters: pd.DataFrame, windows: pd.DataFrame, train: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How much each window looks like a promoter by its covariates alone: the log odds of a logistic regression.

    Of windows that overlap, the likeliest one is the decoy that is hardest to come by; to keep it leaves more
    promoters with a match than to keep the most open one.

    Parameters
    ----------
    promoters, windows : DataFrame
        Covariates, one column each; n and m rows. `promoters` holds training promoters only.
    train : bool, shape=(m,)
        Windows of the training split; nothing is fitted on the others.

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
    model = make_pipeline(
        StandardScaler(), PolynomialFeatures(2, include_bias=False), LogisticRegression(max_iter=1000)
    )
    model.fit(np.concatenate([promoters, shown]), np.repeat([1, 0], [len(promoters), len(shown)]))
    return model.decision_function(windows.to_numpy())
