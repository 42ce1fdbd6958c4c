"""Cardinality matching: the most promoters that the pool can balance, before anybody is paired."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genocontrast.errors import PoolError

Floats = NDArray[np.float64]
LEVELS = np.arange(0.1, 1.0, 0.1)
"""Quantiles of each covariate at which the cumulatives of both classes are held together."""
LARGEST = 100_000
"""Promoters and candidates of a split that the linear programme is given, at most; each stands in 50 rows of it."""


def largest_balanced(
    positives: Floats, candidates: Floats, tolerance: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose as many positives and as many candidates as possible with alike distributions of the covariates.

    Means, squares and products of the covariates differ by at most `tolerance` of their standard deviations, and
    the cumulatives of each covariate by at most twice that at its deciles.

    Parameters
    ----------
    positives, candidates : float64, shape=(n, c) and (m, c)
        Covariates in units of their standard deviation.
    tolerance : float

    Returns
    -------
    int64, shape=(k,) and (about k,)
        Rows of the positives and of the candidates, ascending.

    Notes
    -----
    Zubizarreta, Paredes and Rosenbaum (Annals of Applied Statistics 2014) solve it over the integers. Here each row is
    chosen by a weight between 0 and 1 in a linear programme; at its vertices all weights but as many as there are
    constraints are 0 or 1, and those are rounded.
    """
    from scipy.optimize import linprog

    n, m = len(positives), len(candidates)
    if n + m > LARGEST:
        raise PoolError(
            f"cardinality matching of {n:,} promoters and {m:,} candidates would take too long",
            value=n + m,
            remedy=f"set negatives.method to caliper, or keep promoters and candidates of a split below {LARGEST:,}",
        )
    if not n or not m:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    moments, allowed = _moments(positives, candidates, tolerance)
    cumulatives = _cumulatives(positives, candidates)
    difference = np.concatenate([moments, cumulatives])
    slack = np.concatenate([allowed, np.full(len(cumulatives), 2 * tolerance)])[:, None]
    count = np.concatenate([np.ones(n), np.zeros(m)])
    bound = np.concatenate([difference - slack * count, -difference - slack * count])
    solved = linprog(
        -count, A_ub=bound, b_ub=np.zeros(len(bound)), A_eq=np.where(count > 0, 1.0, -1.0)[None], b_eq=[0.0],
        bounds=(0, 1), method="highs",
    )  # fmt: skip
    chosen = solved.x > 0.5
    return np.flatnonzero(chosen[:n]), np.flatnonzero(chosen[n:])


def _moments(positives: Floats, candidates: Floats, tolerance: float) -> tuple[Floats, Floats]:
    """Means, squares and products, positives +, candidates -, shape=(moments, n + m); and what each may differ by."""
    centre = positives.mean(0)
    first, second = np.triu_indices(positives.shape[1])

    def features(values: Floats) -> Floats:
        centred = values - centre
        return np.concatenate([centred, centred[:, first] * centred[:, second]], axis=1)

    ours = features(positives)
    return np.concatenate([ours, -features(candidates)]).T, tolerance * ours.std(0)


def _cumulatives(positives: Floats, candidates: Floats) -> Floats:
    """Whether each row lies at or below each decile of each covariate, as +1 and -1, shape=(c * deciles, n + m)."""
    rows = []
    for column in range(positives.shape[1]):
        for level in np.unique(np.quantile(positives[:, column], LEVELS)):
            below = [(values[:, column] <= level).astype(np.float64) for values in (positives, candidates)]
            rows.append(np.concatenate([below[0], -below[1]]))
    return np.stack(rows)
