"""Where a motif stands in windows, how much more often in promoters, and what the score loses without it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from genocontrast.sequence import N_CODE, Codes

Floats = NDArray[np.float64]

HIT_PROBABILITY = 1e-4
"""Chance of a hit at one position and strand of background sequence; sets a motif's threshold."""
MAX_WINDOWS = 150
"""Windows, drawn at random from those with a site, that an effect is averaged over."""
REPLACEMENTS = 2
"""Random replacements of the sites of each."""
_BIN = 0.01
_PSEUDO = 0.01


def composition(codes: Codes) -> Floats:
    """Frequencies of the base pairs on both strands, in the order A, C, G, T, shape=(4,); never 0."""
    counts = np.bincount(codes[codes < N_CODE], minlength=4)[:4] + 1.0
    counts = counts + counts[::-1]
    return counts / counts.sum()


def log_odds(matrix: Floats, background: Floats) -> Floats:
    """Position weight matrix in bits, shape=(length, 4)."""
    smoothed = (matrix + _PSEUDO * background) / (1 + _PSEUDO)
    return np.log2(smoothed / background)


def hit_threshold(weights: Floats, background: Floats, probability: float = HIT_PROBABILITY) -> float:
    """The score that background sequence reaches with the given probability, or the best score where none is so rare.

    The distribution of scores is convolved position by position on a grid of 0.01 bits.
    Source: Staden, Comput Appl Biosci 1989.
    """
    steps = np.rint((weights - weights.min(1, keepdims=True)) / _BIN).astype(int)
    chance = np.ones(1)
    for row in steps:
        wider = np.zeros(len(chance) + row.max())
        for step, frequency in zip(row, background, strict=True):
            wider[step : step + len(chance)] += frequency * chance
        chance = wider
    tail = np.cumsum(chance[::-1])[::-1]
    rare = np.flatnonzero(tail <= probability)
    index = rare[0] if len(rare) else len(chance) - 1
    # rounding moves a score by half a bin per position at most
    return float(weights.min(1).sum() + (index - len(weights) / 2) * _BIN)


def find_sites(codes: Codes, matrix: Floats, background: Floats) -> NDArray[np.bool_]:
    """Where a motif begins on either strand, shape=(n, length) -> (n, length - motif + 1); no site holds an N."""
    weights = log_odds(matrix, background)
    threshold = hit_threshold(weights, background)
    return np.maximum(_scores(codes, weights), _scores(codes, weights[::-1, ::-1])) >= threshold


def _scores(codes: Codes, weights: Floats) -> NDArray[np.float32]:
    table = np.column_stack([weights, np.full(len(weights), -np.inf)]).astype(np.float32)  # N scores -inf
    places = codes.shape[1] - len(weights) + 1
    total = np.zeros((len(codes), max(places, 0)), dtype=np.float32)
    for offset, row in enumerate(table):
        total += row[codes[:, offset : offset + total.shape[1]]]
    return total


def enrichment(promoters_with: int, promoters: int, decoys_with: int, decoys: int) -> float:
    """log2 odds ratio of having the motif, promoters against decoys, with half a count added to each cell."""
    odds = [
        (with_ + 0.5) / (total - with_ + 0.5) for with_, total in ((promoters_with, promoters), (decoys_with, decoys))
    ]
    return float(np.log2(odds[0] / odds[1]))


def replace_sites(codes: Codes, sites: NDArray[np.bool_], length: int, rng: np.random.Generator) -> Codes:
    """The windows with each site replaced by bases drawn from the whole window, so that the motif goes.

    Permuting a site's own bases would leave a site of one base, such as a run of T, as it is.
    """
    replaced = codes.copy()
    for row, start in zip(*np.nonzero(sites), strict=True):
        replaced[row, start : start + length] = rng.choice(codes[row], length)
    return replaced


def effect(
    score: Callable[[Codes], NDArray], codes: Codes, sites: NDArray[np.bool_], length: int, rng: np.random.Generator
) -> float | None:
    """Mean drop of the score when a motif's sites are replaced, over the windows that have one; None where none has.

    Parameters
    ----------
    score : callable
        Windows, shape=(n, length) -> scores, shape=(n,).
    codes : numpy.ndarray of uint8, shape=(n, length)
        Windows.
    sites : numpy.ndarray of bool
        Where sites begin (`find_sites`).
    length : int
        Length of the motif, bp.
    rng : numpy.random.Generator
        For the choice of windows and the replacements.
    """
    rows = rng.permutation(np.flatnonzero(sites.any(1)))[:MAX_WINDOWS]
    if not len(rows):
        return None
    before = np.asarray(score(codes[rows]), dtype=np.float64)
    after = [np.asarray(score(replace_sites(codes[rows], sites[rows], length, rng))) for _ in range(REPLACEMENTS)]
    return float((before - np.mean(after, axis=0, dtype=np.float64)).mean())
