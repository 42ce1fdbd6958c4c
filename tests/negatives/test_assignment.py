"""The assignment itself: against every possible one on small graphs, and against scipy's solver on larger ones."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from genocontrast.negatives.assignment import Neighbours, assign

CALIPER = 1.0


def graph(rng, rows, columns, density, levels):
    """Random edges within the caliper; few levels make many ties, and costs of zero."""
    costs, lists = rng.integers(0, levels + 1, (rows, columns)) / levels, []
    here = rng.random((rows, columns)) < density
    for row in range(rows):
        mine = np.flatnonzero(here[row])
        lists.append(mine[np.argsort(costs[row, mine], kind="stable")])
    first = np.concatenate([[0], np.cumsum([len(mine) for mine in lists])]).astype(np.int64)
    column = np.concatenate(lists).astype(np.int64) if first[-1] else np.zeros(0, np.int64)
    cost = np.concatenate([costs[row, mine] for row, mine in enumerate(lists)])
    return Neighbours(first, column, cost)


def edges_of(edges, row):
    mine = slice(edges.first[row], edges.first[row + 1])
    return dict(zip(edges.column[mine].tolist(), edges.cost[mine].tolist(), strict=True))


def total(edges, chosen):
    """Cost of an assignment; a KeyError where it uses an edge that does not exist."""
    taken = [column for column in chosen if column >= 0]
    assert len(taken) == len(set(taken)), "a column was taken twice"
    return sum(edges_of(edges, row)[column] if column >= 0 else CALIPER for row, column in enumerate(chosen))


def least(edges):
    """Over all assignments without replacement."""
    choices = product(*[[-1, *edges_of(edges, row)] for row in range(len(edges))])
    valid = (choice for choice in choices if len({c for c in choice if c >= 0}) == sum(c >= 0 for c in choice))
    return min(total(edges, choice) for choice in valid)


@settings(deadline=None, max_examples=150)
@given(st.integers(1, 5), st.integers(1, 5), st.floats(0.1, 1), st.sampled_from([1, 2, 5, 1000]), st.integers(0, 10**6))
def test_it_is_the_best_of_all(rows, columns, density, levels, seed):
    edges = graph(np.random.default_rng(seed), rows, columns, density, levels)
    found = assign(edges, columns, CALIPER)
    assert total(edges, found.column.tolist()) == pytest.approx(least(edges))


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 60), st.integers(1, 60), st.floats(0.05, 0.6), st.integers(0, 10**6))
def test_prices_prove_that_nothing_better_exists(rows, columns, density, seed):
    """Weak duality: rows' prices less what columns charge bound every assignment's cost from below."""
    edges = graph(np.random.default_rng(seed), rows, columns, density, 1000)
    found = assign(edges, columns, CALIPER)
    charge = np.zeros(columns)
    for row, column in enumerate(found.column):
        if column >= 0:
            charge[column] = found.price[row] - edges_of(edges, row)[column]
    assert (charge >= -1e-9).all()
    assert (found.price <= CALIPER + 1e-9).all()
    for row in range(rows):
        for column, cost in edges_of(edges, row).items():
            assert found.price[row] - charge[column] <= cost + 1e-9
    assert total(edges, found.column.tolist()) == pytest.approx(found.price.sum() - charge.sum())


@pytest.mark.parametrize("columns", [400, 900])
def test_it_costs_what_scipys_assignment_costs(columns):
    edges = graph(np.random.default_rng(columns), 500, columns, 0.03, 10**6)
    found = assign(edges, columns, CALIPER)
    rows = np.repeat(np.arange(500), edges.counts)
    # scipy wants every row assigned, and reads zeros as absent: a dummy column a row, and 1 more for every edge
    weights = 1 + np.concatenate([edges.cost, np.full(500, CALIPER)])
    places = (np.concatenate([rows, np.arange(500)]), np.concatenate([edges.column, columns + np.arange(500)]))
    whole = csr_array((weights, places), shape=(500, columns + 500))
    theirs = whole[min_weight_full_bipartite_matching(whole)].sum() - 500
    assert total(edges, found.column.tolist()) == pytest.approx(theirs)
    assert (found.column >= 0).sum() > 300, "the case must not be trivial"


@settings(deadline=None, max_examples=80)
@given(st.integers(1, 5), st.integers(1, 5), st.floats(0.1, 1), st.integers(0, 10**6))
def test_the_loss_of_the_greedy_one_is_stated(rows, columns, density, seed):
    edges = graph(np.random.default_rng(seed), rows, columns, density, 1000)
    greedy = assign(edges, columns, CALIPER, "greedy")
    loss = total(edges, greedy.column.tolist()) - least(edges)
    assert -1e-9 <= loss <= greedy.excess + 1e-9


def test_the_greedy_one_serves_scarce_rows_first():
    # Row 0 may have either column and would rather have the first; row 1 has no other choice.
    edges = Neighbours(np.array([0, 2, 3]), np.array([0, 1, 0]), np.array([0.1, 0.2, 0.9]))
    assert assign(edges, 2, CALIPER, "greedy").column.tolist() == [1, 0]


def test_a_row_that_costs_others_too_much_is_left_out():
    # Two rows want one column: the nearer one has it.
    edges = Neighbours(np.array([0, 1, 2]), np.array([0, 0]), np.array([0.2, 0.1]))
    found = assign(edges, 1, CALIPER)
    assert found.column.tolist() == [-1, 0]
    assert found.price.tolist() == pytest.approx([1.0, 0.9])
