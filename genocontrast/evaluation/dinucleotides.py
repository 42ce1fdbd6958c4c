"""Shuffles that keep a window's dinucleotides: the neutral sequence that attributions and insertions start from."""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from genocontrast.sequence import Codes

_LETTERS = 5
"""A, C, G, T and N, which is shuffled like a base."""


def shuffle(codes: Codes, rng: np.random.Generator) -> Codes:
    """Shuffle each window so that every dinucleotide occurs as often as before; all such sequences are equally likely.

    A window is a walk along its dinucleotides, which are edges between letters; another walk that uses each edge
    once is a shuffle. The edges by which a walk leaves each letter for the last time form a tree towards the last
    letter: that tree is drawn first, among all of them, then the order of the other edges.

    Parameters
    ----------
    codes : numpy.ndarray of uint8, shape=(n, length)
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray of uint8, shape=(n, length)
        First and last base as they were.

    Notes
    -----
    Source: Altschul and Erickson, Mol Biol Evol 1985; Kandel et al., Discrete Appl Math 1996.
    """
    n, length = codes.shape
    if length < 3 or not n:
        return codes.copy()
    before, after = codes[:, :-1].astype(np.int64), codes[:, 1:].astype(np.int64)
    last = _last_edges(_counts(before, after), codes[:, -1], rng)
    keys = rng.random(before.shape)
    rows = np.arange(n)
    for letter in range(_LETTERS):
        is_last = (before == letter) & (after == last[:, letter, None])
        # of equal edges any one may be the last
        keys[rows[is_last.any(1)], is_last.argmax(1)[is_last.any(1)]] = 2
    order = np.argsort(before * 4 + keys, axis=1, kind="stable")  # by letter, then at random, the last edge last
    targets = np.take_along_axis(after, order, axis=1)
    leaving = (before[:, :, None] == np.arange(_LETTERS)).sum(1)
    place = np.cumsum(leaving, axis=1) - leaving
    shuffled, state = codes.copy(), codes[:, 0].astype(np.int64)
    for position in range(1, length):
        edge = place[rows, state]
        place[rows, state] += 1
        state = targets[rows, edge]
        shuffled[:, position] = state
    return shuffled


def _counts(before: NDArray[np.int64], after: NDArray[np.int64]) -> NDArray[np.int64]:
    """Dinucleotides of each window, shape=(n, length - 1) twice -> (n, letters, letters)."""
    n, size = len(before), _LETTERS**2
    pair = before * _LETTERS + after + size * np.arange(n)[:, None]
    return np.bincount(pair.ravel(), minlength=n * size).reshape(n, _LETTERS, _LETTERS)


@lru_cache(maxsize=_LETTERS)
def _trees(root: int) -> NDArray[np.int64]:
    """All ways in which every other letter can point at one so that all lead to the root, shape=(trees, letters)."""
    points = np.array(list(itertools.product(range(_LETTERS), repeat=_LETTERS)))
    points = points[points[:, root] == root]
    reached = np.tile(np.arange(_LETTERS), (len(points), 1))
    for _ in range(_LETTERS):
        reached = np.take_along_axis(points, reached, axis=1)
    return points[(reached == root).all(1)]


def _last_edges(counts: NDArray[np.int64], final: Codes, rng: np.random.Generator) -> NDArray[np.int64]:
    """The letter after the last occurrence of each letter, shape=(n, letters); -1 where it has none."""
    drawn, found = rng.random(len(counts)), np.full((len(counts), _LETTERS), -1)
    for root in range(_LETTERS):
        rows = np.flatnonzero(final == root)
        trees, weights = _trees(root), counts[rows].astype(np.float64)
        absent = weights.sum(2) == 0
        weights[absent, root] = 1  # a letter that the window lacks may point at the root: one way
        weights[:, root] = 1
        ways = weights[:, np.arange(_LETTERS), trees].prod(2).cumsum(1)  # (rows, trees)
        chosen = (drawn[rows, None] * ways[:, -1:] >= ways).sum(1)
        found[rows] = np.where(absent, -1, trees[chosen])
        found[rows, root] = -1
    return found
