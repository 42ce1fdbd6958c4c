"""Surrogates: sequences with a window's own dinucleotide composition and, but for chance, none of its motifs."""

from __future__ import annotations

import numpy as np

from genocontrast.sequence import N_CODE, Codes


def surrogates(codes: Codes, rng: np.random.Generator) -> Codes:
    """Draw one surrogate of each window from the first-order Markov chain of the window's own dinucleotides.

    Parameters
    ----------
    codes : numpy.ndarray of uint8, shape=(n, length)
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray of uint8, shape=(n, length)
        N where the window has N.
    """
    cumulative = _transitions(codes).cumsum(2)
    rows, drawn = np.arange(len(codes)), rng.random(codes.shape)
    chain = np.empty_like(codes)
    state = np.where(codes[:, 0] < N_CODE, codes[:, 0], rng.integers(0, 4, len(codes)))
    for position in range(codes.shape[1]):
        # the last threshold is 1 but for rounding: three of them tell four bases apart
        state = (drawn[:, position, None] >= cumulative[rows, state, :3]).sum(1)
        chain[:, position] = state
    chain[codes == N_CODE] = N_CODE
    return chain


def _transitions(codes: Codes) -> np.ndarray:
    """Probability of each base after each base, shape=(n, 4, 4); uniform after a base that the window lacks."""
    before, after = codes[:, :-1].astype(np.int64), codes[:, 1:]
    called = (before < N_CODE) & (after < N_CODE)
    pair = np.where(called, before * 4 + after, 16) + 17 * np.arange(len(codes))[:, None]
    counts = np.bincount(pair.ravel(), minlength=17 * len(codes)).reshape(-1, 17)[:, :16].reshape(-1, 4, 4)
    totals = counts.sum(2, keepdims=True)
    return np.where(totals > 0, counts / np.maximum(totals, 1), 0.25)
