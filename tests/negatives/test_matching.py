"""Pairs of arrays of covariates: the closest within a caliper, several rounds, and the largest balanced choice."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast.errors import PoolError, ShapeError
from genocontrast.negatives import cardinality, pairing
from genocontrast.negatives.cardinality import largest_balanced
from genocontrast.negatives.pairing import match_pairs, pair


def total_cost(distance, choice, caliper):
    return sum(distance[i, j] if j >= 0 else caliper for i, j in enumerate(choice))


def distances(positives, candidates):
    return np.sqrt(((positives[:, None] - candidates[None]) ** 2).sum(-1))


def least_cost(distance, caliper):
    """Over all assignments without replacement, in which leaving a positive out costs the caliper."""
    n, m = distance.shape
    choices = set(permutations([*range(m), *[-1] * n], n))
    return min(total_cost(distance, choice, caliper) for choice in choices)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 3), st.integers(0, 4), st.integers(1, 3), st.floats(0.1, 2), st.integers(0, 10_000))
def test_the_sum_of_distances_is_least(n, m, covariates, caliper, seed):
    rng = np.random.default_rng(seed)
    positives, candidates = rng.normal(size=(n, covariates)), rng.normal(size=(m, covariates))
    found, _ = match_pairs(positives, candidates, caliper)
    distance = distances(positives, candidates)
    kept = np.flatnonzero(found.column >= 0)
    assert (distance[kept, found.column[kept]] <= caliper).all()
    assert len(set(found.column[kept])) == len(kept), "a decoy was used twice"
    assert total_cost(distance, found.column, caliper) == pytest.approx(least_cost(distance, caliper))


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 60), st.floats(0.2, 3), st.integers(0, 10_000))
def test_few_neighbours_at_first_lose_nothing(n, m, caliper, seed):
    rng = np.random.default_rng(seed)
    positives, candidates = rng.normal(size=(n, 2)), rng.normal(size=(m, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairing, "FEW", 1)
        few, uncertified = match_pairs(positives, candidates, caliper)
        patch.setattr(pairing, "FEW", 64)
        all_, _ = match_pairs(positives, candidates, caliper)
    distance = distances(positives, candidates)
    assert uncertified == 0
    assert total_cost(distance, few.column, caliper) == pytest.approx(total_cost(distance, all_.column, caliper))


def test_a_search_that_was_cut_short_is_counted_and_goes_on_among_what_is_free(monkeypatch):
    monkeypatch.setattr(pairing, "FEW", 1)
    monkeypatch.setattr(pairing, "MANY", 1)
    monkeypatch.setattr(pairing, "GRAPH", 1)
    positives, candidates = np.zeros((3, 1)), np.array([[0.0], [0.1], [0.2]])
    found, uncertified = match_pairs(positives, candidates, 0.5)
    assert sorted(found.column) == [0, 1, 2]
    assert uncertified > 0, "all three looked at the same candidate first"


@pytest.mark.parametrize("method", ["caliper", "greedy", "cardinality"])
def test_nobody_is_left_out_for_being_like_many_others(monkeypatch, method):
    monkeypatch.setattr(pairing, "FEW", 2)
    monkeypatch.setattr(pairing, "MANY", 8)
    monkeypatch.setattr(pairing, "GRAPH", 1)
    found = pair(np.zeros((60, 1)), np.zeros((200, 1)), 0.5, method)
    assert len(set(found.chosen[0])) == 60
    assert found.chosen.min() >= 0
    assert found.excess == pytest.approx(0, abs=1e-6)


def test_ties_are_no_reason_to_look_further():
    found, uncertified = match_pairs(np.zeros((2000, 2)), np.zeros((9000, 2)), 0.5)
    assert (found.column >= 0).all()
    assert uncertified == 0


def test_greedy_leaves_nobody_out_who_has_a_free_candidate():
    rng = np.random.default_rng(0)
    positives, candidates = rng.normal(0, 0.05, (80, 1)), rng.normal(0, 0.05, (300, 1))
    found = pair(positives, candidates, 0.2, "greedy")
    free = np.setdiff1d(np.arange(300), found.chosen)
    apart = distances(positives, candidates)
    for row in np.flatnonzero(found.chosen[0] < 0):
        assert apart[row, free].min() > 0.2
    assert (found.chosen >= 0).sum() > 70
    total = np.where(found.chosen[0] >= 0, apart[np.arange(80), found.chosen[0]], 0.2).sum()
    exact = total_cost(apart, pair(positives, candidates, 0.2).chosen[0], 0.2)
    assert exact - 1e-6 <= total <= exact + found.excess + 1e-6


def test_a_pair_at_the_caliper_is_allowed():
    found, _ = match_pairs(np.zeros((1, 1)), np.array([[0.5]]), 0.5)
    assert found.column.tolist() == [0]
    found, _ = match_pairs(np.zeros((1, 1)), np.array([[0.5001]]), 0.5)
    assert found.column.tolist() == [-1]


def test_identical_candidates_are_not_read_as_absent():
    same = np.zeros((3, 2))
    assert sorted(match_pairs(same, same, 0.5)[0].column) == [0, 1, 2]


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ShapeError, match="not finite"):
        match_pairs(np.array([[np.nan]]), np.zeros((2, 1)), 0.5)


def test_order_of_the_candidates_does_not_change_the_pairs():
    rng = np.random.default_rng(3)
    positives, candidates = rng.normal(size=(200, 3)), rng.normal(size=(500, 3))
    mixed = rng.permutation(500)
    straight, shuffled = match_pairs(positives, candidates, 0.6)[0], match_pairs(positives, candidates[mixed], 0.6)[0]
    chosen = np.where(shuffled.column >= 0, mixed[shuffled.column], -1)
    assert (chosen == straight.column).all()


@pytest.mark.parametrize("method", ["caliper", "greedy", "cardinality"])
def test_several_decoys_each_and_none_twice(method):
    rng = np.random.default_rng(0)
    positives, candidates = rng.normal(size=(80, 2)), rng.normal(size=(400, 2))
    found = pair(positives, candidates, 0.7, method, 0.05, ratio=3)
    taken = found.chosen[found.chosen >= 0]
    assert len(set(taken)) == len(taken) > 150
    held = found.chosen >= 0
    assert (held[:-1] | ~held[1:]).all(), "a second decoy without a first one"
    apart = distances(positives, candidates)
    farthest = max(apart[i, j] for row in found.chosen for i, j in enumerate(row) if j >= 0)
    assert (farthest <= 0.7) == (method != "cardinality"), "cardinality matching has no caliper"
    assert np.isnan(found.nearest[held[0]]).all()
    assert found.nearest[~held[0]] == pytest.approx(apart.min(1)[~held[0]])


def test_a_first_decoy_for_everybody_comes_before_a_second_one():
    found = pair(np.array([[0.0], [1.0]]), np.array([[0.0], [0.6]]), 0.7, ratio=2)
    assert (found.chosen[0] >= 0).all()
    assert (found.chosen[1] < 0).all()


def shifted(n=600, m=900, seed=0):
    """Positives whose upper third has hardly any candidate."""
    rng = np.random.default_rng(seed)
    return rng.normal(0.8, 1, (n, 2)), rng.normal(0, 1, (m, 2))


def test_cardinality_matching_keeps_more_and_is_balanced():
    positives, candidates = shifted()
    few = (pair(positives, candidates, 0.3).chosen[0] >= 0).sum()
    rows, columns = largest_balanced(positives, candidates, 0.01)
    assert len(rows) > 1.1 * few
    assert abs(len(rows) - len(columns)) <= 20
    ours, theirs = positives[rows], candidates[columns]
    assert np.abs(ours.mean(0) - theirs.mean(0)).max() < 0.03
    assert np.abs(ours.std(0) / theirs.std(0) - 1).max() < 0.05
    assert abs(np.corrcoef(ours.T)[0, 1] - np.corrcoef(theirs.T)[0, 1]) < 0.05
    for level in np.quantile(positives[:, 0], cardinality.LEVELS):
        assert abs((ours[:, 0] <= level).mean() - (theirs[:, 0] <= level).mean()) < 0.04


def test_cardinality_matching_leaves_out_what_nobody_is_like():
    rng = np.random.default_rng(1)
    candidates = rng.normal(size=(300, 2))
    positives = np.concatenate([candidates[:100] + 1e-3, np.full((20, 2), 50.0)])
    rows, _ = largest_balanced(positives, candidates, 0.001)
    assert not (rows >= 100).any()
    assert len(rows) > 80


def test_cardinality_matching_of_too_many_is_refused(monkeypatch):
    monkeypatch.setattr(cardinality, "LARGEST", 100)
    with pytest.raises(PoolError, match=r"60 promoters and 90 candidates(?s:.)*method to caliper"):
        largest_balanced(*shifted(60, 90), 0.01)


def test_nobody_is_paired_where_there_is_no_candidate():
    found = pair(np.zeros((2, 1)), np.zeros((0, 1)), 0.5)
    assert (found.chosen == -1).all()
    assert np.isinf(found.nearest).all()
