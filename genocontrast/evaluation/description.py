"""What a motif's sites say: who holds them, where they lie, what they do to a score alone, and which go together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genocontrast.evaluation.attribution import mean_logits
from genocontrast.evaluation.dinucleotides import shuffle
from genocontrast.sequence import Codes, reverse_complement

if TYPE_CHECKING:
    from genocontrast.training.model import Model

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

BINS = 10
"""Equal parts of a window that sites are counted in."""
LEAST_SITES = 20
"""Sites in each class, at least, for a test of where they lie."""
BACKGROUNDS = 100
"""Neutral windows that a motif is inserted in."""
STRATA = 5
"""Of GC content, within which motifs are counted together."""


def enrichment_p(promoters_with: int, promoters: int, decoys_with: int, decoys: int) -> float:
    """Two-sided p of Fisher's exact test: promoters with a site against decoys with one."""
    from scipy.stats import fisher_exact

    table = [[promoters_with, promoters - promoters_with], [decoys_with, decoys - decoys_with]]
    return float(fisher_exact(table).pvalue)


def own_decoy_contrast(promoter_sites: NDArray[np.int64], decoy_sites: NDArray[np.int64]) -> dict[str, Any]:
    """How promoters differ from their own matched decoys in one motif.

    Parameters
    ----------
    promoter_sites, decoy_sites : numpy.ndarray of int64, shape=(pairs,)
        Number of sites in each promoter and in its decoy.

    Returns
    -------
    dict
        Pairs; pairs in which only the promoter, or only the decoy, holds a site; exact two-sided p of McNemar's test;
        mean difference in the number of sites.
    """
    from scipy.stats import binomtest

    only_promoter = int(((promoter_sites > 0) & (decoy_sites == 0)).sum())
    only_decoy = int(((promoter_sites == 0) & (decoy_sites > 0)).sum())
    discordant = only_promoter + only_decoy
    return {
        "pairs": len(promoter_sites),
        "only_promoter": only_promoter,
        "only_decoy": only_decoy,
        "p": float(binomtest(only_promoter, discordant).pvalue) if discordant else 1.0,
        "difference": float((promoter_sites - decoy_sites).mean()) if len(promoter_sites) else None,
    }


def positional_preference(sites: tuple[Bools, Bools], length: int, anchor: int) -> dict[str, Any]:
    """Where sites lie relative to the start, on the promoter's strand, against where they lie in decoys.

    Parameters
    ----------
    sites : pair of numpy.ndarray of bool, shape=(n, places)
        Where sites begin in promoters and in decoys (`find_sites`), windows along their strand.
    length : int
        Of the motif, bp.
    anchor : int
        Position of the start in a window, bp.

    Returns
    -------
    dict
        edges : bounds of the bins, bp from the start; promoters, decoys : sites whose centre lies in each; peak :
        centre of the bin that holds the largest share of sites in promoters; p : of a chi-squared test of both
        classes having one distribution, None where either has too few sites.
    """
    from scipy.stats import chi2_contingency

    width = sites[0].shape[1] + length - 1
    edges = np.linspace(0, width, BINS + 1)
    counts = [np.histogram(np.nonzero(begins)[1] + length / 2, bins=edges)[0] for begins in sites]
    table = np.stack(counts)[:, np.sum(counts, axis=0) > 0]
    tested = min(table.sum(1)) >= LEAST_SITES and table.shape[1] > 1
    peak = int(counts[0].argmax())
    return {
        "edges": np.rint(edges - anchor).astype(int).tolist(),
        "promoters": counts[0].tolist(),
        "decoys": counts[1].tolist(),
        "peak": float((edges[peak] + edges[peak + 1]) / 2 - anchor) if counts[0].any() else None,
        "p": float(chi2_contingency(table).pvalue) if tested else None,
    }


def insertion_effect(
    model: Model, matrix: Floats, backgrounds: Codes, rng: np.random.Generator
) -> dict[str, float] | None:
    """Mean change of the logit when a site drawn from a motif is put into neutral windows (marginalisation).

    Parameters
    ----------
    model : Model
    matrix : numpy.ndarray, shape=(length, 4)
        Probabilities of the motif.
    backgrounds : numpy.ndarray of uint8, shape=(n, width)
        Windows without meaning (`neutral_windows`).
    rng : numpy.random.Generator
        Draws sites, their places and strands.

    Returns
    -------
    dict or None
        value, and low and high of a 95 % interval (Student's t over windows); None where the motif does not fit in.
    """
    from scipy.stats import t

    n, width = backgrounds.shape
    if len(matrix) > width or n < 2:
        return None
    bounds = np.cumsum(np.asarray(matrix), axis=1)[None, :, :3]
    sites = np.asarray((rng.random((n, len(matrix), 1)) > bounds).sum(2), dtype=np.uint8)
    sites = np.where(rng.random((n, 1)) < 0.5, sites, reverse_complement(sites))
    places = rng.integers(0, width - len(matrix) + 1, n)
    inserted = backgrounds.copy()
    inserted[np.arange(n)[:, None], places[:, None] + np.arange(len(matrix))] = sites
    change = mean_logits(model, inserted).astype(np.float64) - mean_logits(model, backgrounds)
    half = float(t.ppf(0.975, n - 1) * change.std(ddof=1) / np.sqrt(n))
    mean = float(change.mean())
    return {"value": mean, "low": mean - half, "high": mean + half}


def neutral_windows(decoys: Codes, rng: np.random.Generator) -> Codes:
    """Shuffles of some decoys that keep their dinucleotides, shape=(at most BACKGROUNDS, width)."""
    return shuffle(decoys[np.sort(rng.permutation(len(decoys))[:BACKGROUNDS])], rng)


def cooccurrence(holds: Bools, gc: Floats, names: Sequence[str]) -> list[dict[str, Any]]:
    """For each two motifs: promoters that hold both, against what chance would give at their GC content.

    Parameters
    ----------
    holds : numpy.ndarray of bool, shape=(promoters, motifs)
        Which promoter holds a site of which motif.
    gc : numpy.ndarray, shape=(promoters,)
        GC content; its quantiles make the strata.
    names : sequence of str
        Of the motifs.

    Returns
    -------
    list of dict
        motifs (two names), observed and expected promoters with both, odds_ratio (Mantel and Haenszel's, None where
        it is not finite), p (Cochran, Mantel and Haenszel's test) and q (over all pairs).
    """
    if holds.shape[1] < 2 or not len(holds):
        return []
    bounds = np.quantile(gc, np.linspace(0, 1, STRATA + 1)[1:-1])
    stratum = np.searchsorted(bounds, gc, side="right")
    rows = [
        {"motifs": [names[one], names[other]], **_together(holds[:, one], holds[:, other], stratum)}
        for one in range(len(names))
        for other in range(one + 1, len(names))
    ]
    return add_q(rows)


def _together(one: Bools, other: Bools, stratum: NDArray[np.int64]) -> dict[str, Any]:
    from scipy.stats import chi2

    parts = [(one[stratum == s], other[stratum == s]) for s in np.unique(stratum)]
    table = np.array([[(a & b).sum(), (a & ~b).sum(), (~a & b).sum(), (~a & ~b).sum()] for a, b in parts], np.float64)
    both, first, second, neither = table.T
    n = table.sum(1)
    with_one, with_other = both + first, both + second
    expected = with_one * with_other / n
    variance = (expected * (n - with_one) * (n - with_other) / (n * np.maximum(n - 1, 1))).sum()
    against = (first * second / n).sum()
    excess = max(abs((both - expected).sum()) - 0.5, 0)
    return {
        "observed": int(both.sum()),
        "expected": float(expected.sum()),
        "odds_ratio": float((both * neither / n).sum() / against) if against > 0 else None,
        "p": float(chi2.sf(excess**2 / variance, 1)) if variance > 0 else 1.0,
    }


def add_q(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with `q`, Benjamini and Hochberg's over those that have a `p`; None for the others."""
    q = q_values([row["p"] for row in rows])
    return [{**row, "q": value} for row, value in zip(rows, q, strict=True)]


def q_values(p: Sequence[float | None]) -> list[float | None]:
    """Benjamini and Hochberg's q of each p that there is, in the same order."""
    from scipy.stats import false_discovery_control

    there = [value for value in p if value is not None]
    corrected = iter(false_discovery_control(there).tolist() if there else [])
    return [None if value is None else next(corrected) for value in p]
