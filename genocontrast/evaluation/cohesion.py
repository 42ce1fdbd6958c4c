"""Whether k-mers that belong together are nearer to each other than to k-mers of the same composition.

For two k-mers a and b of a set, the controls are all k-mers outside of the set that are composed as b: the same count
of G and C, CpG or none, and the same quarter of the frequencies of such k-mers. The share of the controls that are less
near to a than b is (ties count half) is the AUROC of one pair against controls of the same anchor; a set's figure
is the mean over its ordered pairs. Chance gives 0.5.

Three views of the pairs:

- `all` of them;
- `apart`: pairs (and controls) that do not overlap, see `kmer_similarity.shares_overlap`;
- `alike`: besides, only controls at the same edit distance from a as b, so that the letters alone tell nothing.

The p-value permutes k-mers within their class of composition, the same way for all sets at once: each set becomes a
random one of the same composition, and sets that share k-mers go on to share them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genocontrast.compiled import compiled
from genocontrast.evaluation.kmer_similarity import Similarity, edit_distance, letters, shares_overlap
from genocontrast.evaluation.resamples import Estimate
from genocontrast.sequence import count_bases

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

VIEWS = ("all", "apart", "alike")
QUARTERS, LEAST_CLASS = 4, 20
"""Frequency classes of a composition, and the least number of k-mers in each: rarer compositions have fewer classes."""
BOOTSTRAPS = 1000


@dataclass(frozen=True, eq=False)
class Cohesion:
    """What was found for n sets in each of the three views.

    Attributes
    ----------
    auroc : float64, shape=(n, 3)
        NaN where a set has no pair with a control.
    p : float64, shape=(n, 3)
        (r + 1) / (permutations + 1), where r permutations reach the figure; NaN like the figure.
    pairs, without_control : int64, shape=(n, 3)
        Ordered pairs that were compared, and pairs of the view that had no control.
    pooled_p : float64, shape=(3,)
        Of the mean over the sets.
    """

    auroc: Floats
    p: Floats
    pairs: Ints
    without_control: Ints
    pooled_p: Floats

    def mean(self, view: int, seed: int) -> Estimate | None:
        """Mean over the sets of a view, with its bootstrap interval over sets; None where no set has a figure."""
        return _bootstrapped(self.auroc[:, view], seed)

    def gain(self, other: Cohesion, view: int, seed: int) -> Estimate | None:
        """Mean of what this similarity reaches above another one on the same sets, with its interval over sets."""
        return _bootstrapped(self.auroc[:, view] - other.auroc[:, view], seed)


def _bootstrapped(values: Floats, seed: int) -> Estimate | None:
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    drawn = np.random.default_rng(seed).integers(len(values), size=(BOOTSTRAPS, len(values)))
    return Estimate.of(float(values.mean()), values[drawn].mean(1))


def composition_classes(k: int, occurrences: Ints) -> Ints:
    """Class of each token by count of G and C, CpG or none, and frequency; shape=(n_tokens,), -1: does not occur.

    Parameters
    ----------
    k : int
        Letters of a k-mer.
    occurrences : int64, shape=(n_tokens,)
        How often each token occurs.
    """
    bases = count_bases(letters(k).astype(np.uint8))
    composition = 2 * (bases.c + bases.g) + (bases.cpg > 0)
    classes = np.full(len(occurrences), -1, np.int64)
    for value in np.unique(composition):
        here = np.flatnonzero((composition == value) & (occurrences > 0))
        parts = min(max(len(here) // LEAST_CLASS, 1), QUARTERS)
        ranked = here[np.argsort(occurrences[here], kind="stable")]
        classes[ranked] = value * QUARTERS + np.arange(len(here)) * parts // max(len(here), 1)
    return classes


def relations(k: int) -> NDArray[np.int8]:
    """Edit distance of all pairs of tokens, -1 where they overlap; shape=(n_tokens, n_tokens)."""
    found = edit_distance(k)
    found[shares_overlap(k)] = -1
    return found


def cohesion(
    similarity: Similarity,
    sets: Sequence[Ints],
    classes: Ints,
    relation: NDArray[np.int8],
    permutations: int,
    seed: int,
) -> Cohesion:
    """How much nearer the k-mers of each set are to each other than to k-mers of the same composition.

    Parameters
    ----------
    similarity : float32, shape=(n_tokens, n_tokens)
        Larger is nearer.
    sets : sequence of int64 arrays
        Tokens of each set, none twice.
    classes : int64, shape=(n_tokens,)
        Composition, see `composition_classes`; tokens of class -1 are neither members nor controls.
    relation : int8, shape=(n_tokens, n_tokens)
        See `relations`.
    permutations : int
        Random sets of the same composition for the p-values.
    seed : int
        Seed of the permutations.
    """
    # tokens in the order of their classes: the controls of a k-mer are neighbours in memory
    order = np.argsort(classes, kind="stable")
    place, ranked = np.argsort(order), classes[order]
    used = [place[one[classes[one] >= 0]] for one in sets]
    bounds = np.stack([np.searchsorted(ranked, ranked, side) for side in ("left", "right")], axis=1)
    drawn = _permuted(ranked, permutations, seed)
    members = np.concatenate([*used, np.zeros(0, np.int64)])
    ends = np.cumsum([0, *(len(one) for one in used)])
    total = np.zeros((len(drawn), len(sets), len(VIEWS)))
    pairs, without = (np.zeros(total.shape, np.int64) for _ in range(2))
    square = np.ix_(order, order)
    nearness = np.asarray(similarity, np.float32)[square]
    compiled(_compare)(nearness, relation[square], bounds, drawn, members, ends, total, pairs, without)
    figures = np.divide(total, pairs, out=np.full(total.shape, np.nan), where=pairs > 0)
    return _summary(figures, pairs[0], without[0])


def _permuted(ranked: Ints, permutations: int, seed: int) -> Ints:
    """Permutations within sorted classes, shape=(1 + permutations, n_tokens); the first one changes nothing."""
    rng = np.random.default_rng(seed)
    drawn = np.empty((1 + permutations, len(ranked)), np.int64)
    drawn[0] = np.arange(len(ranked))
    for row in drawn[1:]:
        row[:] = np.lexsort((rng.random(len(ranked)), ranked))
    return drawn


def _summary(figures: Floats, pairs: Ints, without: Ints) -> Cohesion:
    """Observed figures against those of the permutations, shape=(1 + permutations, sets, views)."""
    observed, chance = figures[0], figures[1:]
    known = np.isfinite(observed)
    # a random set without any comparison counts against us
    reached = (np.nan_to_num(chance, nan=1.0) >= observed).sum(0)
    p = np.where(known, (reached + 1) / (len(chance) + 1), np.nan)
    pooled = np.full(len(VIEWS), np.nan)
    for view in np.flatnonzero(known.any(0)):
        of_sets = figures[:, known[:, view], view]  # (1 + permutations, sets)
        means = np.nanmean(np.where(np.isfinite(of_sets).any(1, keepdims=True), of_sets, 1.0), axis=1)
        pooled[view] = ((means[1:] >= means[0]).sum() + 1) / len(means)
    return Cohesion(observed, p, pairs, without, pooled)


def _compare(
    nearness: Any, relation: Any, bounds: Any, drawn: Any, members: Any, ends: Any, total: Any, pairs: Any, without: Any
) -> None:
    """Add up, for each draw, set and view, the shares of controls that are less near; compiled."""
    outside = np.ones(len(bounds), np.int32)
    for draw in range(len(drawn)):
        for one in range(len(ends) - 1):
            mine = drawn[draw][members[ends[one] : ends[one + 1]]]
            outside[mine] = 0
            for a in mine:
                for b in mine:
                    if a == b:
                        continue
                    near, kind = nearness[a, b], np.int32(relation[a, b])
                    first, last = bounds[b, 0], bounds[b, 1]
                    row, kinds, allowed = nearness[a, first:last], relation[a, first:last], outside[first:last]
                    less, less_apart, less_alike = np.int32(0), np.int32(0), np.int32(0)
                    n, n_apart, n_alike = np.int32(0), np.int32(0), np.int32(0)
                    for c in range(last - first):  # no branches, so that eight controls are compared at once
                        below = (np.int32(row[c] < near) + np.int32(row[c] <= near)) * allowed[c]  # a tie is half
                        apart = np.int32(kinds[c] >= 0) * allowed[c]
                        alike = np.int32(kinds[c] == kind) * allowed[c]
                        less += below
                        less_apart += below * apart
                        less_alike += below * alike
                        n += allowed[c]
                        n_apart += apart
                        n_alike += alike
                    found = ((less, n), (less_apart, n_apart), (less_alike, n_alike))
                    for view in range(3 if kind >= 0 else 1):
                        if found[view][1]:
                            total[draw, one, view] += 0.5 * found[view][0] / found[view][1]
                            pairs[draw, one, view] += 1
                        else:
                            without[draw, one, view] += 1
            outside[mine] = 1
