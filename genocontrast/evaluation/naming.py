"""Names of learned motifs: TOMTOM's p-values against a database of known ones, corrected for its size."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from genocontrast.evaluation.database import KnownMotif
from genocontrast.extras import require

FALSE_DISCOVERY = 0.05
"""q below which a match is a name."""
GAP, GAP_BITS = 4, 0.3
SHORTEST = 5
"""Positions of a part that is compared alone."""


@dataclass(frozen=True)
class Matches:
    """What a motif matches in a database, the best first; all share its order.

    `p` is TOMTOM's, of the best offset and strand; `q` is Benjamini and Hochberg's over the motifs of the database.
    """

    motifs: list[KnownMotif]
    p: NDArray[np.float64]
    q: NDArray[np.float64]

    @property
    def named(self) -> bool:
        """Whether the best match is more than chance."""
        return bool(self.q[0] < FALSE_DISCOVERY)

    @property
    def label(self) -> str | None:
        """Name and identifier of the best match, None where it may be chance."""
        return self.motifs[0].label if self.named else None

    def significant(self) -> list[str]:
        """Identifiers of all matches that are more than chance, the best first."""
        return [motif.identifier for motif, q in zip(self.motifs, self.q, strict=True) if q < FALSE_DISCOVERY]


def match_motifs(matrices: Sequence[NDArray[np.float64]], database: Sequence[KnownMotif]) -> list[Matches]:
    """Compare motifs with known ones by TOMTOM.

    Parameters
    ----------
    matrices : sequence of numpy.ndarray, shape=(length, 4)
        Probabilities of A, C, G, T.
    database : sequence of KnownMotif
        Its columns are TOMTOM's background too: of few motifs, the p-values depend on which these are.

    Returns
    -------
    list of Matches
        One for each matrix, by its clearest part (`core`).

    Notes
    -----
    Source: Gupta et al., Genome Biol 2007; the implementation is memelite's, compiled at its first use.
    """
    if not matrices:
        return []
    require("report")
    from memelite import tomtom
    from scipy.stats import false_discovery_control

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "tomtom was given")  # a small database is the user's choice
        found = tomtom(
            [np.ascontiguousarray(core(matrix).T, dtype=np.float64) for matrix in matrices],
            [np.ascontiguousarray(known.matrix.T) for known in database],
        )
    p_values, scores = np.clip(found[0], 0, 1), found[1]
    matches = []
    for p, score in zip(p_values, scores, strict=True):
        q = false_discovery_control(p)
        order = np.lexsort((-score, p))
        matches.append(Matches([database[index] for index in order], p[order], q[order]))
    return matches


def core(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The most informative part of a matrix that no gap runs through; of a pair of sites, the clearer one.

    A gap is GAP or more positions below GAP_BITS bits; the whole matrix where the part is too short to compare.
    """
    bits = 2 + (matrix * np.log2(np.maximum(matrix, 1e-12))).sum(1)
    telling = np.flatnonzero(bits >= GAP_BITS)
    if not len(telling):
        return matrix
    parts = np.split(telling, np.flatnonzero(np.diff(telling) > GAP) + 1)
    best = max(parts, key=lambda part: bits[part].sum())
    return matrix[best[0] : best[-1] + 1] if best[-1] - best[0] + 1 >= SHORTEST else matrix


@lru_cache(maxsize=1)
def families() -> dict[str, str]:
    """JASPAR's family of transcription factors of each shipped motif that has one, by identifier."""
    source = resources.files("genocontrast").joinpath("resources/jaspar_families.tsv")
    with source.open() as handle:
        lines = (line for line in handle if not line.startswith("#"))
        return {row["identifier"]: row["family"] for row in csv.DictReader(lines, delimiter="\t") if row["family"]}
