"""Windows that nearly repeat others, on either strand, by the k-mers that they share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from genocontrast.sequence import Codes, kmer_ids, reverse_complement

WORD = 12
"""Length of the k-mers: random windows of some hundred bp share next to none of them."""
CONTAINMENT = 0.5
"""Part of a window's k-mers in one other window from which it counts as nearly repeated: half of it is
identical, or all of it at about 94 % identity (0.94 ** 12 = 0.5)."""
_ROWS = 1000
"""Windows compared at a time."""


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
    words = [_canonical(codes, k) for codes in (windows, others)]
    known = np.unique(np.concatenate([ids[ids >= 0] for ids in words]))
    ours, theirs = (_presence(ids, known) for ids in words)
    distinct = np.asarray(ours.sum(1))
    shared = np.zeros(len(windows))
    for start in range(0, len(windows), _ROWS):
        rows = ours[start : start + _ROWS] @ theirs.T
        shared[start : start + _ROWS] = rows.max(axis=1).toarray().ravel() if rows.nnz else 0
    return shared / np.maximum(distinct, 1)


def _canonical(codes: Codes, k: int) -> NDArray[np.int64]:
    """The smaller id of each k-mer and its reverse complement; -1 where it holds an N."""
    forward = kmer_ids(codes, k)
    return np.minimum(forward, kmer_ids(reverse_complement(codes), k)[:, ::-1])


def _presence(ids: NDArray[np.int64], known: NDArray[np.int64]) -> csr_array:
    """Which of the known k-mers each window holds, as ones, shape=(windows, known)."""
    row, place = np.nonzero(ids >= 0)
    column = np.searchsorted(known, ids[row, place])
    found = csr_array((np.ones(len(row), np.int32), (row, column)), shape=(len(ids), len(known)))
    found.sum_duplicates()
    found.data[:] = 1
    return found
