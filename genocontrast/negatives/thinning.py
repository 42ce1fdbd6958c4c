"""Thin windows to disjoint ones, keeping those that serve best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.compiled import compiled
from genocontrast.genome.intervals import overlaps
from genocontrast.negatives.pool import Sieve

STEPS = 25
"""Newton steps of the likeness; it takes about eight."""


def overlap_one_another(regions: pd.DataFrame) -> bool:
    """Whether any two of the regions share a base."""
    sorted_ = regions.sort_values(["chrom", "start"], kind="stable")
    same = sorted_["chrom"].to_numpy()[1:] == sorted_["chrom"].to_numpy()[:-1]
    return bool((same & (sorted_["start"].to_numpy()[1:] < sorted_["end"].to_numpy()[:-1])).any())


def thin(promoters: pd.DataFrame, candidates: pd.DataFrame, columns: Sequence[str]) -> Sieve:
    """Candidates that overlap no promoter and not one another; what is likest to promoters stays.

    Parameters
    ----------
    promoters, candidates : DataFrame
        chrom, start, end, split and the covariates.
    """
    sieve = Sieve(candidates)
    sieve.drop("overlaps a promoter", overlaps(sieve.rows, promoters))
    if overlap_one_another(sieve.rows):
        training = promoters.loc[promoters["split"] == "train", list(columns)]
        train = (sieve.rows["split"] == "train").to_numpy()
        # rounded, so that the last bits, which differ with the number of threads, decide nothing
        priority = likeness(training, sieve.rows[list(columns)], train).round(6)
        sieve.drop("overlaps a window more like a promoter", ~disjoint(sieve.rows, priority))
    return sieve


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
    shown = windows.to_numpy()[train]
    if promoters.empty or not len(shown):
        return np.zeros(len(windows))
    both = np.concatenate([promoters.to_numpy(), shown])
    centre, unit = both.mean(0), np.maximum(both.std(0), 1e-12)
    weights = _logistic_weights(_terms((both - centre) / unit), np.arange(len(both)) < len(promoters))
    return _terms((windows.to_numpy() - centre) / unit) @ weights


def _terms(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A constant, the columns, and their squares and products."""
    first, second = np.triu_indices(values.shape[1])
    return np.concatenate([np.ones((len(values), 1)), values, values[:, first] * values[:, second]], axis=1)


def _logistic_weights(terms: NDArray[np.float64], labels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Logistic regression with a ridge of 1, by Newton's method.

    scikit-learn has it as well; a second and 60 MB to import it are more than all of the thinning takes.
    """
    weights = np.zeros(terms.shape[1])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(terms @ weights, -30, 30)))
        slope = terms.T @ (chance - labels) + weights
        curvature = (terms * (chance * (1 - chance))[:, None]).T @ terms + np.eye(len(weights))
        step = np.linalg.solve(curvature, slope)
        weights -= step
        if np.abs(step).max() < 1e-6:
            break
    return weights
