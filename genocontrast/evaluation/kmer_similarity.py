"""How near k-mers are to one another: by vectors, by rows of co-occurrence, by their letters; and which share bases."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genocontrast.compiled import compiled
from genocontrast.sequence import canonical_table

Similarity = NDArray[np.float32]
"""shape=(n_tokens, n_tokens), in token order; larger is nearer."""


def cosine(vectors: ArrayLike) -> Similarity:
    """Cosine of the rows of a table, shape=(n_tokens, dim); 0 beside a row of zeros."""
    table = np.asarray(vectors, dtype=np.float32)
    unit = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    return unit @ unit.T


def ppmi_cosine(pairs: NDArray[np.float64]) -> Similarity:
    """Cosine of rows of positive pointwise mutual information: what the counts say before anything is fitted.

    Parameters
    ----------
    pairs : float64, shape=(n_tokens, n_tokens)
        Symmetric counts of ordered pairs.
    """
    share = (pairs.sum(1) / pairs.sum()).astype(np.float64)
    expected = pairs.sum() * share[:, None] * share
    ratio = np.divide(pairs, expected, out=np.ones_like(expected), where=pairs > 0)
    return cosine(np.log(ratio).clip(min=0))


def edit_distance(k: int) -> NDArray[np.int8]:
    """Levenshtein distance of all pairs of tokens, the smaller over both strands, shape=(n_tokens, n_tokens)."""
    forward = letters(k)
    mirrored = np.ascontiguousarray(3 - forward[:, ::-1])
    out = np.zeros((len(forward), len(forward)), np.int8)
    compiled(_levenshtein)(forward, mirrored, out)
    return out


def shares_overlap(k: int, min_overlap: int | None = None) -> NDArray[np.bool_]:
    """Which two tokens can stand on the same bases, shifted: at least `min_overlap` of them at the end of one are the
    beginning of the other, on either strand.

    Parameters
    ----------
    k : int
        Letters of a k-mer.
    min_overlap : int, optional
        Shared bases from which on two k-mers count as overlapping; default: k - 2. Fewer are shared by chance: at
        k = 6, three bases by one of sixteen pairs.

    Returns
    -------
    bool, shape=(n_tokens, n_tokens)
        Symmetric. A k-mer can overlap itself (AAAAAA); k-mers that share no shifted base may differ in one letter.
    """
    least = k - 2 if min_overlap is None else min_overlap
    canonical = canonical_table(k)[1]
    mirrored = (3 - letters(k)[:, ::-1]).astype(np.int64) @ 4 ** np.arange(k - 1, -1, -1)
    found = np.zeros((len(canonical),) * 2, dtype=bool)
    for shared in range(least, k):
        for other in (canonical, mirrored):
            tail, head = canonical % 4**shared, other // 4 ** (k - shared)
            found |= tail[:, None] == head
            tail, head = other % 4**shared, canonical // 4 ** (k - shared)
            found |= head[:, None] == tail
    return found


def letters(k: int) -> NDArray[np.int8]:
    """Codes of each token's canonical k-mer, shape=(n_tokens, k)."""
    return (canonical_table(k)[1][:, None] >> 2 * np.arange(k - 1, -1, -1) & 3).astype(np.int8)


def _levenshtein(forward: Any, mirrored: Any, out: Any) -> None:
    """Fill `out` by the textbook recurrence, a row at a time; compiled."""
    n, k = forward.shape
    row = np.zeros(k + 1, np.int64)
    for i in range(n):
        for j in range(i):
            best = k
            for strand in range(2):
                other = forward[j] if strand == 0 else mirrored[j]
                for b in range(k + 1):
                    row[b] = b
                for a in range(k):
                    diagonal = row[0]
                    row[0] = a + 1
                    for b in range(k):
                        cost = diagonal + (forward[i, a] != other[b])
                        diagonal = row[b + 1]
                        row[b + 1] = min(cost, diagonal + 1, row[b] + 1)
                best = min(best, row[k])
            out[i, j] = best
            out[j, i] = best
