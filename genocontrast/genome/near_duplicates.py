"""Windows that nearly repeat others, on either strand, by the k-mers that they share."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from genocontrast.sequence import Codes, kmer_ids, reverse_complement

WORD = 12
"""Length of the k-mers: random windows of some hundred bp share next to none of them."""
CONTAINMENT = 0.5
"""Part of a window's k-mers in one other window from which it counts as nearly repeated: half of it is
identical, or all of it at about 94 % identity (0.94 ** 12 = 0.5)."""
_BASES = 1 << 22
"""Bases whose words are built, and bases of the others that are compared, at a time: it bounds the memory."""
_ENTRIES = 1 << 22
"""Entries (pairs of windows that share a word) of one product, at most, but for a single window's."""


def nearly_repeats(windows: Codes, others: Codes) -> NDArray[np.bool_]:
    """Whether a single one of the others holds at least `CONTAINMENT` of each window's canonical 12-mers.

    Parameters
    ----------
    windows, others : uint8, shape=(n, length) and (m, length)

    Returns
    -------
    bool, shape=(n,)
    """
    if not len(windows) or not len(others):
        return np.zeros(len(windows), dtype=bool)
    return containment(windows, others) >= CONTAINMENT


def containment(windows: Codes, others: Codes, k: int = WORD) -> NDArray[np.float64]:
    """Largest part of each window's distinct canonical k-mers that a single other window holds.

    Parameters
    ----------
    windows, others : uint8, shape=(n, length) and (m, length)
    k : int
        Length of the k-mers, bp.

    Returns
    -------
    float64, shape=(n,)
        0 for a window without a k-mer, which is too short or all N.
    """
    words = _words(windows, k)
    first = _first(words)
    # Column of each word that a window holds, from 1; 0 for the rest, whose pages of memory are never touched.
    known = np.unique(words[first])
    column = np.zeros(4**k, dtype=np.int32)
    column[known] = np.arange(1, len(known) + 1, dtype=np.int32)
    ours = _presence(words, first, column, len(known))
    distinct, shared = first.sum(1), np.zeros(len(windows), dtype=np.int32)
    for part in _parts(others):
        theirs = _words(part, k)
        _raise_to_largest(shared, ours, _presence(theirs, _first(theirs), column, len(known)))
    return shared / np.maximum(distinct, 1)


def _parts(codes: Codes) -> Iterator[Codes]:
    """Windows in parts of about `_BASES` bases."""
    rows = max(_BASES // max(codes.shape[1], 1), 1)
    for start in range(0, len(codes), rows):
        yield codes[start : start + rows]


def _words(codes: Codes, k: int) -> NDArray[np.int32]:
    """Canonical k-mers of each window in ascending order, -1 where one holds an N, shape=(n, length - k + 1).

    A canonical k-mer is the smaller id of itself and its reverse complement.
    """
    words = np.empty((len(codes), max(codes.shape[1] - k + 1, 0)), dtype=np.int32)
    row = 0
    for part in _parts(codes):
        mirrored = kmer_ids(reverse_complement(part), k)[:, ::-1]
        words[row : row + len(part)] = np.minimum(kmer_ids(part, k), mirrored)
        row += len(part)
    words.sort(axis=1)
    return words


def _first(words: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which of the sorted words are called and not the same as the one before."""
    first = words >= 0
    first[:, 1:] &= words[:, 1:] != words[:, :-1]
    return first


def _presence(words: NDArray[np.int32], first: NDArray[np.bool_], column: NDArray[np.int32], columns: int) -> csr_array:
    """Which of the words that have a column each window holds, as ones, shape=(windows, columns)."""
    at = column[words]
    held = first & (at > 0)
    ends = np.concatenate([[0], np.cumsum(held.sum(1))])
    indices = at[held] - 1
    return csr_array((np.ones(len(indices), np.int32), indices, ends), shape=(len(words), columns))


def _raise_to_largest(shared: NDArray[np.int32], ours: csr_array, theirs: csr_array) -> None:
    """Raise each entry of `shared`, shape=(n,), to the most words that its window shares with one of theirs."""
    by_word = theirs.T.tocsr()
    # No window has more entries in the product than there are others, or than they hold of its words.
    entries = np.minimum(ours @ np.bincount(theirs.indices, minlength=theirs.shape[1]), theirs.shape[0])
    ends = np.cumsum(entries)
    cuts = np.searchsorted(ends, np.arange(_ENTRIES, entries.sum(), _ENTRIES), side="right")
    for start, stop in pairwise(np.unique([0, *cuts, len(ends)]).tolist()):
        product = ours[start:stop] @ by_word
        if product.nnz:
            np.maximum(shared[start:stop], product.max(axis=1).toarray().ravel(), out=shared[start:stop])
