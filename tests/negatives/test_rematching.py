"""Pairs that a model confuses: the least unlike ones within the caliper, none of the classes leaning to one side."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from genocontrast.negatives.pairing import LEFT_OUT, rematch


def unit(rng, *shape):
    vectors = rng.normal(size=shape)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@settings(deadline=None, max_examples=60)
@given(n=st.integers(1, 4), m=st.integers(1, 5), seed=st.integers(0, 10_000), caliper=st.sampled_from([0.2, 0.6, 3.0]))
def test_rematching_equals_brute_force(n, m, seed, caliper):
    rng = np.random.default_rng(seed)
    here, there = rng.normal(size=(n, 2)), rng.normal(size=(m, 2))
    queries, keys = unit(rng, n, 3).astype(np.float32), unit(rng, m, 3).astype(np.float32)
    found, cut = rematch(here, there, caliper, queries, keys)
    distance = np.linalg.norm(here[:, None] - there[None], axis=2)
    cost = np.where(distance <= caliper, 1.0 - queries.astype(float) @ keys.T.astype(float), np.nan)
    least = np.hstack([np.nan_to_num(cost, nan=1e6), np.full((n, n), LEFT_OUT)])
    expected = least[linear_sum_assignment(least)].sum()
    paid = [LEFT_OUT if column < 0 else cost[row, column] for row, column in enumerate(found.column)]
    taken = found.column[found.column >= 0]
    assert len(set(taken)) == len(taken)
    assert cut == 0
    assert sum(paid) == pytest.approx(expected, abs=1e-5)


def drifting(rng, n=400, m=1600):
    """Candidates are the more alike, the higher their first covariate."""
    here, there = rng.normal(size=(n, 2)), rng.normal(size=(m, 2))
    queries = np.tile(unit(rng, 8), (n, 1))
    keys = unit(rng, m, 8) + 0.6 * there[:, :1] * queries[0]
    return here, there, queries.astype(np.float32), (keys / np.linalg.norm(keys, axis=1)[:, None]).astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_mined_pairs_do_not_all_lean_to_one_side(seed):
    here, there, queries, keys = drifting(np.random.default_rng(seed))
    free, kept = (rematch(here, there, 0.5, queries, keys, drift)[0].column for drift in (np.inf, 0.02))

    def excess(column):
        return np.abs((there[column] - here)[column >= 0].mean(0)).max()

    def cosine(column):
        return np.einsum("nd,nd->n", queries, keys[column])[column >= 0].mean()

    assert excess(free) > 0.1
    assert excess(kept) <= 0.02
    assert (kept >= 0).sum() >= 0.99 * (free >= 0).sum()
    assert len(set(kept[kept >= 0])) == (kept >= 0).sum()
    assert (np.linalg.norm(there[kept] - here, axis=1)[kept >= 0] <= 0.5).all()
    at_random = np.einsum("nd,nd->n", queries, keys[:400]).mean()
    assert cosine(kept) - at_random > 0.5 * (cosine(free) - at_random)


def test_where_no_prices_balance_the_classes_the_nearest_to_it_are_taken():
    rng = np.random.default_rng(0)
    here = rng.normal(size=(50, 1))
    there = here + rng.uniform(0.1, 0.3, size=(50, 1))  # all of them on one side
    vectors = unit(rng, 50, 8).astype(np.float32)
    free, kept = (rematch(here, there, 0.5, vectors, vectors, drift)[0].column for drift in (np.inf, 0.02))
    assert (kept >= 0).sum() >= 45
    assert abs((there[kept] - here)[kept >= 0].mean()) <= abs((there[free] - here)[free >= 0].mean())
