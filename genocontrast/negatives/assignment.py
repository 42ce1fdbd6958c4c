"""Assignment without replacement on a sparse graph: exact by shortest augmenting paths, and greedy with its loss.

The graph is that of each row's nearest columns. Leaving a row out costs the caliper, so whom to leave out is part of
the optimum.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from genocontrast.compiled import compiled

Method = Literal["exact", "greedy"]


@dataclass(frozen=True)
class Neighbours:
    """Each row's columns in order of cost, all of them within the caliper.

    Attributes
    ----------
    first : int64, shape=(n + 1,)
        Row i has the edges first[i] to first[i + 1].
    column : int64, shape=(edges,)
    cost : float64, shape=(edges,)
        Ascending within a row.
    """

    first: NDArray[np.int64]
    column: NDArray[np.int64]
    cost: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.first) - 1

    @property
    def counts(self) -> NDArray[np.int64]:
        """Columns of each row, shape=(n,)."""
        return np.diff(self.first)


@dataclass(frozen=True)
class Assignment:
    """Who is assigned to whom.

    Attributes
    ----------
    column : int64, shape=(n,)
        -1 for a row that is left out.
    price : float64, shape=(n,)
        Dual price of each row: no column that costs it as much or more could improve the assignment.
    excess : float
        Upper bound of what the total cost exceeds that of the best assignment on the graph; 0 of an exact one.
    """

    column: NDArray[np.int64]
    price: NDArray[np.float64]
    excess: float


def assign(edges: Neighbours, columns: int, caliper: float, method: Method = "exact") -> Assignment:
    """Assign rows to columns so that the sum of costs, with the caliper for each row left out, is least.

    Parameters
    ----------
    edges : Neighbours
        n rows.
    columns : int
        Number of columns.
    caliper : float
        Cost of a row that is left out; no edge may cost more.
    method : {"exact", "greedy"}
        greedy: rows with fewest columns first, each takes its nearest free one.

    Notes
    -----
    Successive shortest paths with dual prices, which end at a free column or at a row that is better left out
    (Jonker and Volgenant, Computing 1987). Prices of columns never rise above zero, so that a row's edges need to be
    looked at only up to the length of the best path so far: the work stays local, and grows with n and not its square.
    """
    if method == "greedy":
        return _greedy(edges, columns, caliper)
    column, price = compiled(_shortest_paths)(edges.first, edges.column, edges.cost, columns, caliper)
    return Assignment(column, price, 0.0)


def _greedy(edges: Neighbours, columns: int, caliper: float) -> Assignment:
    taken = np.zeros(columns, dtype=bool)
    chosen, cost = np.full(len(edges), -1), np.full(len(edges), caliper)
    least = np.full(len(edges), caliper)
    held = edges.counts > 0
    least[held] = edges.cost[edges.first[:-1][held]]
    for row in np.argsort(edges.counts, kind="stable"):
        mine = slice(edges.first[row], edges.first[row + 1])
        free = np.flatnonzero(~taken[edges.column[mine]])
        if len(free):
            edge = mine.start + free[0]
            chosen[row], cost[row] = edges.column[edge], edges.cost[edge]
            taken[chosen[row]] = True
    # Nobody can do better than each row alone with its own nearest column.
    return Assignment(chosen, np.full(len(edges), caliper), float((cost - least).sum()))


def _shortest_paths(
    first: NDArray[np.int64],
    column: NDArray[np.int64],
    cost: NDArray[np.float64],
    columns: int,
    caliper: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Columns and prices of the rows; plain loops, for numba."""
    n = len(first) - 1
    of_row, paid = np.full(n, -1), np.full(n, caliper)
    of_column, price = np.full(columns, -1), np.zeros(columns)
    # Of the columns that the present path search has reached: length of the path, the row before, and the edge's cost.
    length, before, edge_cost = np.full(columns, np.inf), np.full(columns, -1), np.zeros(columns)
    done = np.zeros(columns, dtype=np.bool_)
    for start in range(n):
        best, end_row, end_column = caliper, start, -1
        heap = [(0.0, -1)]
        reached = [0 for _ in range(0)]
        while len(heap):
            base, at = heappop(heap)
            if base >= best:
                break
            if at >= 0:
                if done[at]:
                    continue
                done[at] = True
            row = start if at < 0 else of_column[at]
            worth = 0.0 if at < 0 else paid[row] - price[at]
            if base + caliper - worth < best:
                best, end_row, end_column = base + caliper - worth, row, -1
            for edge in range(first[row], first[row + 1]):
                if base + cost[edge] - worth >= best:
                    break
                j = column[edge]
                path = base + cost[edge] - worth - price[j]
                if path < length[j] and path < best and not done[j]:
                    if length[j] == np.inf:
                        reached.append(j)
                    length[j], before[j], edge_cost[j] = path, row, cost[edge]
                    if of_column[j] < 0:
                        best, end_row, end_column = path, row, j
                    else:
                        heappush(heap, (path, j))
        for j in reached:
            if done[j]:
                price[j] += length[j] - best
        # Every row on the path hands its column to the row before it.
        row, j, pays = end_row, end_column, caliper if end_column < 0 else edge_cost[end_column]
        while True:
            released = of_row[row]
            of_row[row], paid[row] = j, pays
            if j >= 0:
                of_column[j] = row
            if row == start:
                break
            j = released
            pays = edge_cost[j]
            row = before[j]
        for j in reached:
            length[j], done[j] = np.inf, False
    worths = np.full(n, caliper)
    for row in range(n):
        if of_row[row] >= 0:
            worths[row] = paid[row] - price[of_row[row]]
    return of_row, worths
