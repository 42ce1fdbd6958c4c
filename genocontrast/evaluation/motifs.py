"""Motifs that a model uses: stretches of high attribution (seqlets), clustered and aligned into matrices.

The idea of seqlets and of clustering them by their contributions is TF-MoDISco's (Shrikumar et al., arXiv 2018); the
clustering here is a plain greedy one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genocontrast.evaluation.database import similarity
from genocontrast.evaluation.mixture import split
from genocontrast.sequence import N_CODE, Codes, one_hot, reverse_complement

Floats = NDArray[np.float32]

CORE = 8
"""Positions whose contributions are summed to find a seqlet, bp."""
FLANK = 6
"""Positions beside the core that belong to a seqlet, bp."""
SEQLET = CORE + 2 * FLANK
MAX_SHIFT = 6
"""Largest offset at which two seqlets are compared, bp."""
CLUSTERED = 1500
"""Seqlets that are compared with each other at a time, the strongest first; all others are compared with clusters."""
MAX_ROUNDS = 8
"""Of clustering what resembles no cluster so far."""
FALSE_DISCOVERY = 0.2
"""Loose, because clustering discards what does not recur."""
SIMILARITY = 0.6
"""Correlation at which a seqlet joins a cluster."""
MERGE = 0.7
"""Correlation at which two clusters, or the matrices made of them, are one."""
MIN_SITES = 20
MIN_LENGTH = 5
MIN_INFORMATION = 0.3
"""Outer positions of a matrix with less information (bits, against the windows' composition) are trimmed."""
_ROUNDS = 3


@dataclass(frozen=True)
class Seqlets:
    """Stretches of high attribution, shape=(n,) each; `start` may lie outside the window by up to FLANK bp."""

    window: NDArray[np.int64]
    start: NDArray[np.int64]
    contribution: Floats
    matrices: Floats
    """Contribution of the base at each position, shape=(n, 4, SEQLET)."""


@dataclass(frozen=True)
class LearnedMotif:
    """A cluster of seqlets: probabilities of A, C, G, T, shape=(length, 4), and where its sites lie."""

    matrix: NDArray[np.float64]
    sites: int
    contribution: float

    @property
    def consensus(self) -> str:
        """The base of each position that holds most of the probability, N where none does."""
        return "".join("ACGT"[row.argmax()] if row.max() >= 0.5 else "N" for row in self.matrix)


def learn_motifs(effects: Floats, codes: Codes, count: int, seed: int) -> list[LearnedMotif]:
    """Motifs of windows from the attribution of their bases, the largest total contribution first.

    Parameters
    ----------
    effects : numpy.ndarray of float32, shape=(n, 4, length)
        Effect of each base at each position (`attribute`).
    codes : numpy.ndarray of uint8, shape=(n, length)
        The windows.
    count : int
        Largest number of motifs.
    seed : int
        Seed of the shuffled background.

    Returns
    -------
    list of LearnedMotif
        Empty where no stretch stands out from the background.
    """
    seqlets = find_seqlets(effects, codes, seed)
    if len(seqlets.start) < MIN_SITES:
        return []
    background = np.bincount(codes[codes < N_CODE], minlength=4) / max((codes < N_CODE).sum(), 1)
    centroids = _merged(_all_clusters(seqlets.matrices))
    found = []
    cluster, shift, flipped = _assigned(seqlets.matrices, centroids)
    for index in range(len(centroids)):
        members = np.flatnonzero(cluster == index)
        if len(members) < MIN_SITES:
            continue
        sites = _site_codes(codes, seqlets, members, shift[members], flipped[members])
        for part in split(sites, background):
            matrix = _trimmed(_probabilities(sites[part], background), background)
            if len(matrix) >= MIN_LENGTH:
                found.append(LearnedMotif(matrix, len(part), float(seqlets.contribution[members[part]].sum())))
    return _distinct(sorted(found, key=lambda motif: -abs(motif.contribution)))[:count]


def find_seqlets(effects: Floats, codes: Codes, seed: int) -> Seqlets:
    """Disjoint stretches whose summed contribution exceeds what shuffled positions reach, the strongest first."""
    present = effects * one_hot(codes)
    contribution = present.sum(1)
    shuffled = np.random.default_rng(seed).permuted(contribution, axis=1)
    sums, background = _window_sums(contribution), _window_sums(shuffled)
    strength = np.zeros_like(sums)
    for sign in (1, -1):
        threshold = _threshold(sign * sums.ravel(), sign * background.ravel())
        strength = np.where(sign * sums >= threshold, np.abs(sums), strength)
    window, peak = _peaks(strength)
    order = np.argsort(-strength[window, peak], kind="stable")
    window, start = window[order], peak[order] - FLANK
    return Seqlets(window, start, sums[window, peak[order]], _cut(present, window, start))


def _window_sums(values: Floats) -> Floats:
    """Sums over CORE neighbouring positions, shape=(n, length) -> (n, length - CORE + 1)."""
    total = np.cumsum(np.pad(values.astype(np.float64), ((0, 0), (1, 0))), axis=1)
    return (total[:, CORE:] - total[:, :-CORE]).astype(np.float32)


def _threshold(observed: Floats, background: Floats) -> float:
    """The smallest positive sum above which the background holds few enough; infinite where there is none."""
    candidates = np.quantile(observed, np.linspace(0.5, 0.9999, 400))
    candidates = candidates[candidates > 0]
    real = len(observed) - np.searchsorted(np.sort(observed), candidates)
    false = len(background) - np.searchsorted(np.sort(background), candidates)
    passing = candidates[false <= FALSE_DISCOVERY * real]
    return float(passing[0]) if len(passing) else np.inf


def _peaks(strength: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Windows and positions of local maxima, none nearer than CORE to a stronger one."""
    left, rows = strength.copy(), np.arange(len(strength))
    positions = np.arange(strength.shape[1])
    found = []
    while len(rows):
        peak = left[rows].argmax(1)
        alive = left[rows, peak] > 0
        rows, peak = rows[alive], peak[alive]
        found.append((rows, peak))
        left[rows] = np.where(np.abs(positions - peak[:, None]) < CORE, 0, left[rows])
    window, peak = (np.concatenate(part) for part in zip(*found, strict=True))
    return window, peak


def _cut(values: Floats, window: NDArray[np.int64], start: NDArray[np.int64]) -> Floats:
    """Stretches of SEQLET positions, zeros outside the window, shape=(n, 4, SEQLET)."""
    padded = np.pad(values, ((0, 0), (0, 0), (SEQLET, SEQLET)))
    columns = start[:, None] + SEQLET + np.arange(SEQLET)
    return padded[window[:, None], :, columns].transpose(0, 2, 1)


def _similarity(seqlets: Floats, others: Floats) -> tuple[Floats, NDArray[np.int64], NDArray[np.bool_]]:
    """Best correlation of each seqlet with each other over offsets and orientations, shape=(n, m) each.

    Returns the correlation, the shift (the other begins that many positions after the seqlet) and whether the seqlet
    had to be reverse-complemented.
    """
    best = np.full((len(seqlets), len(others)), -2, dtype=np.float32)
    shift, flipped = np.zeros(best.shape, dtype=np.int64), np.zeros(best.shape, dtype=bool)
    unit, target = _unit(seqlets), _unit(others)
    for flip in (False, True):
        turned = unit[:, ::-1, ::-1] if flip else unit
        for offset in range(-MAX_SHIFT, MAX_SHIFT + 1):
            part = turned[:, :, max(offset, 0) : SEQLET + min(offset, 0)].reshape(len(unit), -1)
            other = target[:, :, max(-offset, 0) : SEQLET - max(offset, 0)].reshape(len(target), -1)
            # rounded, so that the rounding of another machine does not decide between equal shifts
            correlation = np.round(part @ other.T, 4)
            better = correlation > best
            best[better], shift[better], flipped[better] = correlation[better], offset, flip
    return best, shift, flipped


def _unit(matrices: Floats) -> Floats:
    norm = np.sqrt((matrices**2).sum((1, 2), keepdims=True))
    return matrices / np.maximum(norm, 1e-12)


def _aligned(matrices: Floats, shift: NDArray[np.int64], flipped: NDArray[np.bool_]) -> Floats:
    """Seqlets moved by their shifts and turned to their cluster's orientation, zeros where nothing is left."""
    turned = np.where(flipped[:, None, None], matrices[:, ::-1, ::-1], matrices)
    return _cut(turned, np.arange(len(matrices)), shift)


def _all_clusters(matrices: Floats) -> Floats:
    """Centroids of clusters, found in rounds: first among the strongest seqlets, then among those left over.

    A motif whose sites all contribute less than those of other motifs is found in a later round.
    """
    found = np.empty((0, 4, SEQLET), np.float32)
    left = np.arange(len(matrices))
    for _ in range(MAX_ROUNDS):
        chosen = left[:CLUSTERED]
        new = _clustered(matrices[chosen])
        found = np.concatenate([found, new])
        cluster = _assigned(matrices[left], found)[0]
        # what the strongest left over did not cluster with will not cluster in the next round either
        left = left[(cluster < 0) & ~np.isin(left, chosen)]
        if len(left) < MIN_SITES:
            break
    return _refined(matrices, found)


def _clustered(matrices: Floats) -> Floats:
    """Centroids of clusters: the seqlet with the most similar free ones takes them, until too few are left."""
    correlation, shift, flipped = _similarity(matrices, matrices)
    near = np.where(correlation >= SIMILARITY, correlation, 0)
    free = np.ones(len(matrices), dtype=bool)
    centroids = []
    while True:
        support = np.where(free, near[free].sum(0), 0)
        seed = int(support.argmax())
        members = np.flatnonzero(free & (near[:, seed] > 0))
        if len(members) < MIN_SITES:
            break
        centroids.append(_unit(_aligned(matrices[members], shift[members, seed], flipped[members, seed])).mean(0))
        free[members] = False
    return np.array(centroids, dtype=np.float32).reshape(-1, 4, SEQLET)


def _assigned(matrices: Floats, centroids: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Cluster of each seqlet (-1: none is similar), its shift and its orientation."""
    if not len(centroids):
        return np.full(len(matrices), -1), np.zeros(len(matrices), dtype=np.int64), np.zeros(len(matrices), dtype=bool)
    correlation, shift, flipped = _similarity(matrices, centroids)
    rows, cluster = np.arange(len(matrices)), correlation.argmax(1)
    shift, flipped = shift[rows, cluster], flipped[rows, cluster]
    return np.where(correlation[rows, cluster] >= SIMILARITY, cluster, -1), shift, flipped


def _refined(matrices: Floats, centroids: Floats) -> Floats:
    """Centroids after some rounds of assigning every seqlet to its best cluster; clusters that shrink are dropped."""
    for _ in range(_ROUNDS):
        cluster, shift, flipped = _assigned(matrices, centroids)
        members = [np.flatnonzero(cluster == index) for index in range(len(centroids))]
        kept = [m for m in members if len(m) >= MIN_SITES]
        means = [_unit(_aligned(matrices[m], shift[m], flipped[m])).mean(0) for m in kept]
        centroids = np.array(means, dtype=np.float32).reshape(-1, 4, SEQLET)
    return centroids


def _merged(centroids: Floats) -> Floats:
    """Without the clusters that resemble an earlier (better supported) one: their seqlets join it."""
    kept: list[int] = []
    for index in range(len(centroids)):
        if not kept or _similarity(centroids[[index]], centroids[kept])[0].max() < MERGE:
            kept.append(index)
    return centroids[kept]


def _distinct(motifs: list[LearnedMotif]) -> list[LearnedMotif]:
    """Without motifs that resemble an earlier one at any offset, further than clusters are shifted."""
    kept: list[LearnedMotif] = []
    for motif in motifs:
        if all(similarity(motif.matrix, other.matrix) < MERGE for other in kept):
            kept.append(motif)
    return kept


def _site_codes(
    codes: Codes, seqlets: Seqlets, members: NDArray[np.int64], shift: NDArray[np.int64], flipped: NDArray[np.bool_]
) -> Codes:
    """Aligned sequences of a cluster's seqlets with FLANK more bases on each side, shape=(n, SEQLET + 2 * FLANK)."""
    length = SEQLET + 2 * FLANK
    # on a turned seqlet the shift runs the other way
    start = seqlets.start[members] + np.where(flipped, -shift, shift) - FLANK
    padded = np.pad(codes, ((0, 0), (length, length)), constant_values=N_CODE)
    sites = padded[seqlets.window[members][:, None], start[:, None] + length + np.arange(length)]
    return np.where(flipped[:, None], reverse_complement(sites), sites)


def _probabilities(sites: Codes, background: NDArray[np.float64]) -> NDArray[np.float64]:
    """Base probabilities of aligned sites with one pseudo-count of the background, shape=(length, 4)."""
    counts = one_hot(sites, np.float64).sum(0).T + background
    return counts / counts.sum(1, keepdims=True)


def _trimmed(matrix: NDArray[np.float64], background: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without the outer positions that say little beyond the background."""
    information = (matrix * np.log2(matrix / np.maximum(background, 1e-9))).sum(1)
    telling = np.flatnonzero(information >= MIN_INFORMATION)
    return matrix[telling[0] : telling[-1] + 1] if len(telling) else matrix[:0]
