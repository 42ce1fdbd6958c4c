"""What a model reads: its motifs, their names, who has them, where they lie and what they do to the score."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike
from genocontrast.evaluation.attribution import GRADIENTS, REFERENCES, STEPS, Attribution, attribute
from genocontrast.evaluation.database import KnownMotif, write_meme
from genocontrast.evaluation.description import (
    add_q,
    cooccurrence,
    enrichment_p,
    insertion_effect,
    neutral_windows,
    own_decoy_contrast,
    positional_preference,
    q_values,
)
from genocontrast.evaluation.filters import filter_motifs
from genocontrast.evaluation.motifs import LearnedMotif, learn_motifs
from genocontrast.evaluation.naming import Matches, families, match_motifs
from genocontrast.evaluation.scan import composition, effect, enrichment, find_sites
from genocontrast.sequence import Codes, count_bases

if TYPE_CHECKING:
    from genocontrast.training.model import Model

Ints = NDArray[np.int64]
_log = logging.getLogger(__name__)

MAX_PROMOTERS = 1000
"""Promoters whose bases are attributed, with as many decoys; all windows are scanned."""


@dataclass(frozen=True)
class Windows:
    """Test windows: promoters and decoys, which decoy is a promoter's own, and where the start lies.

    Attributes
    ----------
    promoters, decoys : numpy.ndarray of uint8, shape=(n, width), shape=(m, width)
    own : numpy.ndarray of int64, shape=(n,)
        Row of each promoter's first decoy, -1 where it has none.
    anchor : int
        Position of the start in a window, bp.
    """

    promoters: Codes
    decoys: Codes
    own: Ints
    anchor: int


@dataclass(frozen=True)
class Motif:
    """A learned motif with all that is said of it; `figures` holds the rest of its entry in motifs.json."""

    id: str
    learned: LearnedMotif
    matches: Matches
    figures: dict[str, Any]

    @property
    def name(self) -> str | None:
        """Name and identifier of the known motif that it matches, None where the match may be chance."""
        return self.matches.label

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Probabilities of A, C, G, T, shape=(length, 4)."""
        return self.learned.matrix

    def as_dict(self) -> dict[str, Any]:
        """The motif as JSON holds it, rows of the matrix in the order of the site, columns A, C, G, T."""
        return {
            "id": self.id,
            "consensus": self.learned.consensus,
            "sites": self.learned.sites,
            "contribution": self.learned.contribution,
            "matrix": self.matrix.round(6).tolist(),
            **match_figures(self.matches),
            **self.figures,
        }


@dataclass(frozen=True)
class Reading:
    """The motifs of a model, the largest total contribution first, and the attributions that they come from.

    `rows` are the attributed promoters, `decoy_rows` the attributed decoys, in the order of `attribution`.
    """

    motifs: list[Motif]
    cooccurrence: list[dict[str, Any]]
    filters: list[dict[str, Any]]
    attribution: Attribution
    rows: Ints
    decoy_rows: Ints

    def as_dict(self) -> dict[str, Any]:
        """What motifs.json holds of it."""
        return {
            "motifs": [motif.as_dict() for motif in self.motifs],
            "cooccurrence": self.cooccurrence,
            "filters": self.filters,
            "attribution": {
                "method": self.attribution.method,
                "promoters": len(self.rows),
                "decoys": len(self.decoy_rows),
                "references": REFERENCES,
                "steps": STEPS if self.attribution.method == GRADIENTS else None,
                "relative_error": self.attribution.relative_error,
            },
        }


def find_motifs(model: Model, windows: Windows, database: Sequence[KnownMotif], count: int, seed: int) -> Reading:
    """Find and describe the motifs that a model uses, in promoters and, for what speaks against one, in decoys.

    Parameters
    ----------
    model : Model
        The trained model.
    windows : Windows
        Of the test split.
    database : sequence of KnownMotif
        Motifs to name the learned ones by.
    count : int
        Largest number of motifs.
    seed : int
        Seed of the choice of promoters, the shuffles, the background and the replaced sites.

    Returns
    -------
    Reading
        Without motifs where nothing stands out.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(windows.promoters))[:MAX_PROMOTERS])
    decoy_rows = np.unique(windows.own[rows][windows.own[rows] >= 0])
    codes = np.concatenate([windows.promoters[rows], windows.decoys[decoy_rows]])
    _log.info("attributing the scores of %d windows to their bases", len(codes))
    attribution = attribute(model, codes, seed=seed)
    learned = learn_motifs(attribution.effects, codes, count, seed)
    _log.info("describing the motifs found: %d", len(learned))
    filters = filter_motifs(model, windows.promoters, windows.decoys)
    matrices = [motif.matrix for motif in learned] + [row["matrix"] for row in filters]
    matches = match_motifs(matrices, database)
    motifs, together = _described(model, windows, learned, matches, rng)
    named = [
        {**row, "matrix": row["matrix"].round(6).tolist(), **match_figures(match)}
        for row, match in zip(filters, matches[len(learned) :], strict=True)
    ]
    return Reading(motifs, together, named, attribution, rows, decoy_rows)


def match_figures(matches: Matches) -> dict[str, Any]:
    """Name, and the best match with its p, q and family, named or not."""
    best = matches.motifs[0]
    return {
        "name": matches.label,
        "match": {
            "identifier": best.identifier,
            "name": best.name,
            "family": families().get(best.identifier),
            "p": float(matches.p[0]),
            "q": float(matches.q[0]),
        },
    }


def _described(
    model: Model, windows: Windows, learned: list[LearnedMotif], matches: list[Matches], rng: np.random.Generator
) -> tuple[list[Motif], list[dict[str, Any]]]:
    """The motifs with their figures, q-values over all of them, and their co-occurrence."""
    promoters, decoys = windows.promoters, windows.decoys
    background = composition(np.concatenate([promoters, decoys]))
    neutral = neutral_windows(decoys, rng)
    rows, holds = [], np.zeros((len(promoters), len(learned)), dtype=bool)
    for index, motif in enumerate(learned):
        sites = (find_sites(promoters, motif.matrix, background), find_sites(decoys, motif.matrix, background))
        holds[:, index] = sites[0].any(1)
        rows.append(
            {
                "effect": effect(model.score_codes, promoters, sites[0], len(motif.matrix), rng),
                "insertion": insertion_effect(model, motif.matrix, neutral, rng),
                **_shares(*(np.asarray(begins.any(1)) for begins in sites)),
                "own_decoy": _own_decoy(sites[0].sum(1), sites[1].sum(1), windows.own),
                "position": positional_preference(sites, len(motif.matrix), windows.anchor),
            }
        )
    for row, q in zip(rows, q_values([row["enrichment_p"] for row in rows]), strict=True):
        row["enrichment_q"] = q
    for part in ("own_decoy", "position"):
        for row, tested in zip(rows, add_q([row[part] for row in rows]), strict=True):
            row[part] = tested
    names = [f"motif_{rank}" for rank in range(1, len(learned) + 1)]
    motifs = [Motif(*parts) for parts in zip(names, learned, matches, rows, strict=False)]
    return motifs, cooccurrence(holds, count_bases(promoters).gc_fraction, names)


def _shares(promoters: NDArray[np.bool_], decoys: NDArray[np.bool_]) -> dict[str, Any]:
    counts = int(promoters.sum()), len(promoters), int(decoys.sum()), len(decoys)
    return {
        "promoters_with": counts[0],
        "decoys_with": counts[2],
        "enrichment": enrichment(*counts),
        "enrichment_p": enrichment_p(*counts),
    }


def _own_decoy(promoters: Ints, decoys: Ints, own: Ints) -> dict[str, Any]:
    paired = own >= 0
    return own_decoy_contrast(promoters[paired], decoys[own[paired]])


def write_motifs_meme(path: PathLike, motifs: Sequence[Motif], background: NDArray[np.float64]) -> None:
    """Write learned motifs for other tools (MEME minimal format)."""
    write_meme(path, [(motif.id, motif.name, motif.matrix, motif.learned.sites) for motif in motifs], background)
