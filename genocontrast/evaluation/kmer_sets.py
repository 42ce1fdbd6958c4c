"""Sets of k-mers that belong together: those of a known motif's matrix, and those enriched at measured binding sites.

Membership in a motif. A window of k columns of the matrix counts where it holds at least one bit per base on average
(against the genome's composition): enough to choose among 2**k k-mers. A k-mer belongs to the motif where on either
strand it reaches 80 % of the highest log odds of such a window. A motif shorter than k lies inside of the k-mer, whose
other bases are free. At most 16 k-mers are taken, those of the largest share first, then in token order; a motif needs
three. The k-mers of a motif overlap one another by design, shifted along the matrix.

Membership by binding sites. A k-mer is counted in windows of 31 bp around the sites, and in equal windows 60 to 140 bp
away that are at least 60 bp from every site. It belongs to the factor where more windows hold it at sites than beside
them: one-sided hypergeometric test, Benjamini-Hochberg at 5 %, odds ratio 2 or more; the 16 of smallest p are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from genocontrast.evaluation.database import KnownMotif
from genocontrast.evaluation.scan import log_odds
from genocontrast.genome.fasta import Genome
from genocontrast.sequence import Codes, canonical_table, canonical_tokens

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SHARE = 0.8
"""Share of a window's highest log odds that a member reaches."""
BITS_PER_BASE = 1.0
"""Least information of a window of the matrix, bits per base."""
LARGEST, SMALLEST = 16, 3
"""K-mers of a set, at most and at least."""
REACH = 15
"""Bases on each side of a binding site that belong to its window."""
FLANKS = (-125, -75, 75, 125)
"""Centres of the windows that sites are compared with, bp from the site."""
CLEAR = 60
"""Least distance of such a centre from any site of the factor, bp."""
FALSE_DISCOVERY = 0.05
LEAST_ODDS = 2.0
REPEATED = 0.5
"""A set of which a larger share lies in one set before it is another reading of that one."""


@dataclass(frozen=True)
class KmerSet:
    """K-mers that belong together: identifier, name of the factor, tokens (int64, the strongest member first)."""

    identifier: str
    name: str
    tokens: Ints

    @property
    def label(self) -> str:
        """Name and, where it differs, identifier."""
        return self.name if self.name == self.identifier else f"{self.name} ({self.identifier})"


def motif_kmers(motifs: Sequence[KnownMotif], k: int, background: Floats) -> list[KmerSet]:
    """The k-mers of each motif, by the rule above.

    Parameters
    ----------
    motifs : sequence of KnownMotif
    k : int
        Letters of a k-mer.
    background : float64, shape=(4,)
        Frequencies of A, C, G, T in the genome.

    Returns
    -------
    list of KmerSet
        One for each motif, in their order; a set may be empty.
    """
    return [
        KmerSet(motif.identifier, motif.name, _strongest(best_shares(motif.matrix, k, background))) for motif in motifs
    ]


def best_shares(matrix: Floats, k: int, background: Floats) -> Floats:
    """Largest share of a window's highest log odds that each token reaches on either strand, shape=(n_tokens,).

    Minus infinity for all, where no window holds enough information.
    """
    weights = log_odds(matrix, background)  # (length, 4)
    beside = max(k - len(matrix), 0)  # a short motif may lie anywhere inside of the k-mer
    bits = np.pad((matrix * weights).sum(1), beside)
    weights = np.pad(weights, ((beside, beside), (0, 0)))
    token, canonical = canonical_table(k)
    letters = np.arange(4**k)[:, None] >> 2 * np.arange(k - 1, -1, -1) & 3  # (4**k, k)
    best = np.full(len(canonical), -np.inf)
    for start in np.flatnonzero(sliding_window_view(bits, k).sum(1) >= BITS_PER_BASE * k):
        window = weights[start : start + k]
        np.maximum.at(best, token, window[np.arange(k), letters].sum(1) / window.max(1).sum())
    return best


def _strongest(shares: Floats) -> Ints:
    members = np.flatnonzero(shares >= SHARE)
    return members[np.argsort(-shares[members], kind="stable")][:LARGEST]


def site_kmers(name: str, sites: pd.DataFrame, genome: Genome, segments: pd.DataFrame, k: int) -> KmerSet:
    """The k-mers enriched at a factor's binding sites, by the rule above.

    Parameters
    ----------
    name : str
        The factor.
    sites : DataFrame
        chrom, start, end; the centre of each row is the site.
    genome : Genome
    segments : DataFrame
        chrom, start, end: where sites are taken from, and nothing else is read.
    k : int
        Letters of a k-mer.
    """
    n_tokens = len(canonical_table(k)[1])
    at, beside = (_Windows(np.zeros(n_tokens, np.int64)) for _ in range(2))
    for chrom, parts in segments.groupby("chrom", sort=False):
        here = sites[sites["chrom"] == chrom]
        centres = np.unique((here["start"].to_numpy() + here["end"].to_numpy()) // 2)
        codes = genome.chromosome(str(chrom))
        for start, end in parts[["start", "end"]].itertuples(index=False):
            for windows, places in ((at, centres), (beside, _flanking(centres))):
                windows.add(codes, places[(places - REACH >= start) & (places + REACH < end)], k)
    return KmerSet(name, name, _enriched(at, beside) if at.n else np.zeros(0, np.int64))


@dataclass
class _Windows:
    """In how many windows each token stands at least once, shape=(n_tokens,), and their number."""

    holding: Ints
    n: int = 0

    def add(self, codes: Codes, centres: Ints, k: int) -> None:
        """Count the windows around these places."""
        tokens = canonical_tokens(codes[centres[:, None] + np.arange(-REACH, REACH + 1)], k)  # (n, 2 REACH + 2 - k)
        n_tokens = len(self.holding)
        window = np.arange(len(tokens))[:, None] * n_tokens
        present = np.unique((window + tokens)[tokens >= 0])
        self.holding += np.bincount(present % n_tokens, minlength=n_tokens)
        self.n += len(centres)


def _flanking(centres: Ints) -> Ints:
    """Places beside sites that are clear of every site."""
    places = np.unique(centres[:, None] + np.array(FLANKS))
    far = np.iinfo(np.int64).max // 2
    bounded = np.concatenate([[-far], centres, [far]])
    after = np.searchsorted(centres, places) + 1
    return places[np.minimum(bounded[after] - places, places - bounded[after - 1]) >= CLEAR]


def _enriched(at: _Windows, beside: _Windows) -> Ints:
    """Tokens that more windows hold at sites than beside them, smallest p first."""
    from scipy.stats import false_discovery_control, hypergeom

    # chance that as many of the windows with the token are at sites
    p = hypergeom.sf(at.holding - 1, at.n + beside.n, at.holding + beside.holding, at.n)
    odds = (at.holding + 0.5) * (beside.n - beside.holding + 0.5)
    odds = odds / ((at.n - at.holding + 0.5) * (beside.holding + 0.5))
    found = np.flatnonzero((false_discovery_control(p) <= FALSE_DISCOVERY) & (odds >= LEAST_ODDS))
    return found[np.lexsort((-odds[found], p[found]))][:LARGEST]


def distinct(sets: Sequence[KmerSet]) -> tuple[list[KmerSet], dict[str, int]]:
    """The sets to measure, and how many are not: too small, or mostly the k-mers of a set before.

    Databases hold many readings of one factor and of its relatives; each would count as evidence of its own.

    Returns
    -------
    kept : list of KmerSet
    counts : dict of str to int
        of, measured, too_few_kmers, repeated.
    """
    large = [one for one in sets if len(one.tokens) >= SMALLEST]
    kept: list[KmerSet] = []
    for one in large:
        if all(np.isin(one.tokens, other.tokens).mean() <= REPEATED for other in kept):
            kept.append(one)
    counts = {"of": len(sets), "measured": len(kept)}
    return kept, counts | {"too_few_kmers": len(sets) - len(large), "repeated": len(large) - len(kept)}
