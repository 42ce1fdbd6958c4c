from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast.errors import ShapeError
from genocontrast.negatives.matching import match_pairs


def total_cost(distance, choice, caliper):
    return sum(distance[i, j] if j >= 0 else caliper for i, j in enumerate(choice))


def least_cost(distance, caliper):
    """Over all assignments without replacement, in which leaving a positive out costs the caliper."""
    n, m = distance.shape
    choices = set(permutations([*range(m), *[-1] * n], n))
    return min(total_cost(distance, choice, caliper) for choice in choices)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 3), st.integers(0, 4), st.integers(1, 3), st.floats(0.1, 2), st.integers(0, 10_000))
def test_assignment_is_optimal(n, m, covariates, caliper, seed):
    rng = np.random.default_rng(seed)
    positives, candidates = rng.normal(size=(n, covariates)), rng.normal(size=(m, covariates))
    chosen = match_pairs(positives, candidates, caliper)
    distance = np.sqrt(((positives[:, None] - candidates[None]) ** 2).sum(-1))
    kept = np.flatnonzero(chosen >= 0)
    assert (distance[kept, chosen[kept]] <= caliper).all()
    assert len(set(chosen[kept])) == len(kept), "a decoy was used twice"
    assert total_cost(distance, chosen, caliper) == pytest.approx(least_cost(distance, caliper))


def test_identical_candidates_are_not_read_as_absent():
    same = np.zeros((3, 2))
    assert sorted(match_pairs(same, same, 0.5)) == [0, 1, 2]


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ShapeError, match="not finite"):
        match_pairs(np.array([[np.nan]]), np.zeros((2, 1)), 0.5)
