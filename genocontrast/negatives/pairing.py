"""Pair rows of covariates: the closest pairs within a caliper, without replacement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from genocontrast.config import NegativesConfig
from genocontrast.errors import ShapeError
from genocontrast.negatives.assignment import Assignment, Method, Neighbours, assign
from genocontrast.negatives.cardinality import largest_balanced

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

_DEFAULTS = NegativesConfig()
FEW, MANY = 16, 1024
"""Nearest candidates that are looked at first, and at most where there are many positives."""
TIE = 1e-9
"""Standard deviations by which values are moved to tell ties apart."""
GRAPH = 1 << 22
"""Pairs that may be looked at in any case: of a few thousand positives and candidates, all."""
LEFT_OUT = 3.0
"""What leaving a positive out costs in `rematch`: more than any pair does."""
KEPT = 0.99
"""Of the positives that `rematch` could pair, the part that is paired in any case."""
ROUNDS, STEP = 20, 0.5
"""Of `rematch`: how often prices are changed at most, and by how much (1 - cosine) per SD^2 of excess at first."""
BLOCK, EDGES = 2048, 1 << 17
"""Positives whose candidates, and pairs whose vectors, are held in memory at a time."""


class _Graph:
    """Edges from each positive to its nearest candidates within the caliper, more of them on demand."""

    def __init__(self, positives: Floats, candidates: Floats, caliper: float) -> None:
        self.positives, self.tree = positives, cKDTree(candidates)
        # a pair at the very caliper counts, whatever rounding and `_untied` did to it
        self.caliper, self.cut = caliper, caliper + 8 * TIE * (1 + positives.shape[1])
        self.counts = np.zeros(len(positives), dtype=np.int64)
        self.row, self.column, self.cost = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)

    def look(self, rows: Rows, count: int) -> None:
        """Give some rows their `count` nearest candidates."""
        # k as a list keeps the answer two-dimensional when there is a single candidate
        nearest = np.arange(1, min(count, self.tree.n) + 1)
        distance, column = self.tree.query(self.positives[rows], k=nearest, distance_upper_bound=self.cut)
        row, edge = np.nonzero(np.isfinite(distance))
        others = ~np.isin(self.row, rows)
        self.row = np.concatenate([self.row[others], rows[row]])
        self.column = np.concatenate([self.column[others], column[row, edge].astype(np.int64)])
        self.cost = np.concatenate([self.cost[others], np.minimum(distance[row, edge], self.caliper)])
        self.counts[rows] = count

    def neighbours(self) -> Neighbours:
        """All edges, row by row."""
        order = np.argsort(self.row, kind="stable")
        ends = np.cumsum(np.bincount(self.row, minlength=len(self.counts)))
        return Neighbours(np.concatenate([[0], ends]), self.column[order], self.cost[order])


def neighbours(positives: Floats, candidates: Floats, caliper: float, count: int) -> Neighbours:
    """The `count` nearest candidates of each positive, of those within the caliper."""
    graph = _Graph(positives, candidates, caliper)
    graph.look(np.arange(len(positives)), count)
    return graph.neighbours()


def match_pairs(
    positives: Floats, candidates: Floats, caliper: float, method: Method = "exact"
) -> tuple[Assignment, int]:
    """Assign a candidate to each positive so that the sum of distances is least, without replacement.

    Leaving a positive out costs the caliper, so whom to leave out is part of the optimum: a pair that would force
    its neighbours into worse ones is not made. Each positive's nearest candidates are looked at first; the dual
    prices then tell whose farther ones could matter, and only theirs are added.

    Parameters
    ----------
    positives, candidates : float64, shape=(n, c) and (m, c)
        Covariates in units of their standard deviation.
    caliper : float
        Largest Euclidean distance between the two of a pair.
    method : {"exact", "greedy"}

    Returns
    -------
    Assignment
        `column` is the row of the candidate of each positive, -1 where it has none.
    int
        Positives whose farther candidates could still improve the sum; 0: it is the least one of all pairs within
        the caliper, not only of the graph.
    """
    n, m = len(positives), len(candidates)
    if not np.isfinite(positives).all() or not np.isfinite(candidates).all():
        raise ShapeError("covariates hold values that are not finite", remedy="check the signal and the sequences")
    if n == 0 or m == 0:
        return Assignment(np.full(n, -1), np.full(n, caliper), 0.0), 0
    graph, rows, count = _Graph(_untied(positives, 0), _untied(candidates, 1), caliper), np.arange(n), FEW
    most = max(MANY, GRAPH // n)
    while True:
        graph.look(rows, count)
        edges = graph.neighbours()
        # a pair at the very caliper is better than none
        found = assign(edges, m, np.nextafter(caliper, np.inf), method)
        cut_short = (edges.counts == graph.counts) & (graph.counts < m)
        last = np.full(n, np.inf)
        last[cut_short] = edges.cost[edges.first[1:][cut_short] - 1]
        open_ = last < found.price
        rows = np.flatnonzero(open_ & (graph.counts < most))
        if method == "greedy" or not len(rows):
            break
        count = min(16 * count, most)
    left = np.flatnonzero((found.column < 0) & cut_short)
    return _completed(found, left, positives, candidates, caliper, method), int(open_.sum() * (method == "exact"))


def _completed(
    found: Assignment, left: Rows, positives: Floats, candidates: Floats, caliper: float, method: Method
) -> Assignment:
    """Those `left` without a candidate, of whose candidates not all were looked at, choose among what is free."""
    free = np.setdiff1d(np.arange(len(candidates)), found.column)
    if not len(left) or not len(free):
        return found
    more, _ = match_pairs(positives[left], candidates[free], caliper, method)
    has = more.column >= 0
    column, price = found.column.copy(), found.price.copy()
    column[left[has]] = free[more.column[has]]
    price[left[has]] = more.price[has]
    apart = np.linalg.norm(positives[left[has]] - candidates[column[left[has]]], axis=1)
    return Assignment(column, price, max(found.excess - float((caliper - apart).sum()), 0.0))


def _untied(values: Floats, seed: int) -> Floats:
    """The values, moved by next to nothing, so that of many equal ones each looks at others of its like."""
    return values + np.random.default_rng(seed).uniform(-TIE, TIE, values.shape)


def rematch(
    positives: Floats,
    candidates: Floats,
    caliper: float,
    queries: NDArray[np.float32],
    keys: NDArray[np.float32],
    drift: float = np.inf,
) -> tuple[Assignment, int]:
    """Assign to each positive the candidate most like it in other terms, of those that the caliper allows.

    Each pair within the caliper may be a little off, and all of them in the same direction. So each covariate has a
    price per standard deviation by which a candidate exceeds its positive, raised and lowered until the two classes
    have the same mean (the dual of a balance constraint). It costs a few rounds, a little similarity, and where the
    candidates are scarce some positives, 1 % at most.

    Parameters
    ----------
    positives, candidates : float64, shape=(n, c) and (m, c)
        Covariates in units of their standard deviation.
    caliper : float
        Largest Euclidean distance between the covariates of the two.
    queries, keys : float32, shape=(n, d) and (m, d)
        Vectors of length 1 of positives and candidates: a pair costs 1 - cosine.
    drift : float
        Difference of the two means that may stay in each covariate, standard deviations. Where no prices bring it
        about that leave 99 % of the positives that could be paired, those that come nearest are taken.

    Returns
    -------
    Assignment
        Least sum of costs at the prices found, without replacement; leaving a positive out costs `LEFT_OUT`, more than
        any pair does.
    int
        Positives with more candidates within the caliper than the `MANY` nearest, which alone are looked at.
    """
    n, m = len(positives), len(candidates)
    if not n or not m:
        return Assignment(np.full(n, -1), np.full(n, LEFT_OUT), 0.0), 0
    edges = _unlikeness(positives, candidates, caliper, queries, keys)
    price, best, least = np.zeros(positives.shape[1]), (np.inf, Assignment(np.full(n, -1), np.zeros(n), 0.0)), 0.0
    step, before = np.full_like(price, STEP), np.zeros_like(price)
    for _ in range(ROUNDS):
        offered, left_out = _priced(edges, candidates @ price, positives @ price)
        found = assign(offered, m, left_out)
        has = found.column >= 0
        least = least or KEPT * has.sum()
        excess = (candidates[found.column[has]] - positives[has]).mean(0) if has.any() else np.zeros_like(price)
        if np.abs(excess).max() < best[0] and has.sum() >= least:
            best = float(np.abs(excess).max()), found
        if best[0] <= drift:
            break
        # longer steps as long as they lead the same way, shorter ones where they went too far
        step *= np.where(excess * before > 0, 1.5, np.where(excess * before < 0, 0.5, 1.0))
        price, before = price + step * excess, excess
    return best[1], int((edges.counts == MANY).sum()) if m > MANY else 0


def _unlikeness(
    positives: Floats, candidates: Floats, caliper: float, queries: NDArray[np.float32], keys: NDArray[np.float32]
) -> Neighbours:
    """The nearest candidates of each positive within the caliper; an edge costs 1 - cosine."""
    counts, columns, costs = [], [], []
    positives, candidates = _untied(positives, 0), _untied(candidates, 1)
    for start in range(0, len(positives), BLOCK):
        mine = slice(start, start + BLOCK)
        near = neighbours(positives[mine], candidates, caliper, MANY)
        row = np.repeat(np.arange(len(near)), near.counts)
        cost = np.empty(len(row))
        for at in range(0, len(row), EDGES):
            edge = slice(at, at + EDGES)
            cost[edge] = 1.0 - np.einsum("ed,ed->e", queries[mine][row[edge]], keys[near.column[edge]])
        counts.append(near.counts)
        columns.append(near.column)
        # rounding must not make a cost negative: the search for paths relies on it
        costs.append(cost.clip(0.0, 2.0))
    first = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    return Neighbours(first, np.concatenate(columns), np.concatenate(costs))


def _priced(edges: Neighbours, candidates: Floats, positives: Floats) -> tuple[Neighbours, float]:
    """Edges in order, dearer by what the candidate's price exceeds the positive's; and what leaving one out costs."""
    row = np.repeat(np.arange(len(edges)), edges.counts)
    price = candidates[edges.column] - positives[row]
    # The same for every edge and for leaving out: it changes nothing but the sign.
    lowest = price.min(initial=0.0)
    cost = edges.cost + price - lowest
    order = np.lexsort((edges.column, cost, row))
    return Neighbours(edges.first, edges.column[order], cost[order]), LEFT_OUT + price.max(initial=0.0) - lowest


def _diameter(positives: Floats, candidates: Floats) -> float:
    """A distance that no pair exceeds."""
    both = np.concatenate([positives, candidates])
    return float(np.linalg.norm(np.ptp(both, axis=0)))


@dataclass(frozen=True)
class Pairing:
    """Candidates of each positive.

    Attributes
    ----------
    chosen : int64, shape=(ratio, n)
        -1 where there is none; the first row is settled before the second one.
    nearest : float64, shape=(n,)
        Of those left out: distance to the nearest candidate, whoever has it, or inf; NaN of the others.
    excess : float
        Upper bound of what the sum of distances exceeds the least one on the graphs; 0 of exact matching.
    uncertified : int
        Positives whose farther candidates, beyond the graph, could improve the sum.
    """

    chosen: Rows
    nearest: Floats
    excess: float = 0.0
    uncertified: int = 0


def pair(
    positives: Floats,
    candidates: Floats,
    caliper: float,
    method: str = "caliper",
    tolerance: float = _DEFAULTS.tolerance,
    ratio: int = 1,
) -> Pairing:
    """Pair positives with `ratio` candidates each, without replacement.

    Parameters
    ----------
    positives, candidates : float64, shape=(n, c) and (m, c)
        Covariates in units of their standard deviation.
    caliper, method, tolerance, ratio
        As in the configuration.
    """
    n, m = len(positives), len(candidates)
    chosen = np.full((ratio, n), -1)
    if not n or not m:
        return Pairing(chosen, np.full(n, np.inf))
    wanted, free = np.arange(n), np.arange(m)
    excess, uncertified = 0.0, 0
    for turn in range(ratio):
        offered = free
        if method == "cardinality":
            picked, balanced = largest_balanced(positives[wanted], candidates[free], tolerance)
            wanted, offered = wanted[picked], free[balanced]
            # the choice is what is balanced: whom a caliper then dropped would spoil it
            caliper = 1 + _diameter(positives, candidates)
        found, open_ = match_pairs(
            positives[wanted], candidates[offered], caliper, "greedy" if method == "greedy" else "exact"
        )
        paired = found.column >= 0
        chosen[turn, wanted[paired]] = offered[found.column[paired]]
        excess, uncertified = excess + found.excess, uncertified + open_
        wanted, free = wanted[paired], np.setdiff1d(free, chosen[turn])
    out, nearest = chosen[0] < 0, np.full(n, np.nan)
    nearest[out] = cKDTree(candidates).query(positives[out])[0]
    return Pairing(chosen, nearest, excess, uncertified)
