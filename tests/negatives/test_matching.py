from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast.errors import ShapeError
from genocontrast.negatives.matching import match_pairs


def brute_force(positives, candidates, caliper):
    """Most pairs first, then the least sum of distances, over all assignments."""
    n, m = len(positives), len(candidates)
    difference = np.abs(positives[:, None] - candidates[None])
    allowed = (difference <= caliper).all(-1)
    distance = np.sqrt((difference**2).sum(-1))
    best = (0, 0.0)
    slots = [*range(m), *[-1] * n]
    for choice in set(permutations(slots, n)):
        if any(j >= 0 and not allowed[i, j] for i, j in enumerate(choice)):
            continue
        pairs = sum(j >= 0 for j in choice)
        cost = sum(distance[i, j] for i, j in enumerate(choice) if j >= 0)
        best = min(best, (-pairs, cost))
    return -best[0], best[1]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 3), st.integers(0, 4), st.integers(1, 3), st.floats(0.1, 2), st.integers(0, 10_000))
def test_assignment_is_optimal(n, m, covariates, caliper, seed):
    rng = np.random.default_rng(seed)
    positives, candidates = rng.normal(size=(n, covariates)), rng.normal(size=(m, covariates))
    chosen = match_pairs(positives, candidates, caliper)
    kept = np.flatnonzero(chosen >= 0)
    difference = np.abs(positives[kept] - candidates[chosen[kept]])
    assert (difference <= caliper).all()
    assert len(set(chosen[kept])) == len(kept), "a decoy was used twice"
    pairs, cost = brute_force(positives, candidates, caliper)
    assert len(kept) == pairs
    assert np.sqrt((difference**2).sum(-1)).sum() == pytest.approx(cost)


def test_identical_candidates_are_not_read_as_absent():
    same = np.zeros((3, 2))
    assert sorted(match_pairs(same, same, 0.5)) == [0, 1, 2]


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ShapeError, match="not finite"):
        match_pairs(np.array([[np.nan]]), np.zeros((2, 1)), 0.5)
