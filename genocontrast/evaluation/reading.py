"""What a model reads: its motifs, their names, how often promoters have them and what the score loses without them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike
from genocontrast.evaluation.attribution import attribute
from genocontrast.evaluation.database import KnownMotif, best_match, write_meme
from genocontrast.evaluation.motifs import LearnedMotif, learn_motifs
from genocontrast.evaluation.scan import composition, effect, enrichment, find_sites
from genocontrast.sequence import Codes

if TYPE_CHECKING:
    from genocontrast.training.model import Model

_log = logging.getLogger(__name__)

MAX_PROMOTERS = 400
"""Promoters whose bases are attributed; all of them are scanned."""


@dataclass(frozen=True)
class Motif:
    """A learned motif as it stands in motifs.json; `effect` is None where no promoter holds a site."""

    id: str
    name: str | None
    match_score: float | None
    consensus: str
    matrix: NDArray[np.float64]
    sites: int
    effect: float | None
    promoters_with: int
    decoys_with: int
    enrichment: float

    def as_dict(self) -> dict[str, Any]:
        """The motif as JSON holds it, rows of the matrix in the order of the site, columns A, C, G, T."""
        return {**self.__dict__, "matrix": self.matrix.round(6).tolist()}


def find_motifs(
    model: Model, promoters: Codes, decoys: Codes, database: Sequence[KnownMotif], count: int, seed: int
) -> list[Motif]:
    """Find the motifs that a model uses in promoters.

    Parameters
    ----------
    model : Model
        The trained model.
    promoters, decoys : numpy.ndarray of uint8, shape=(n, length)
        Windows of the test split.
    database : sequence of KnownMotif
        Motifs to name the learned ones by.
    count : int
        Largest number of motifs.
    seed : int
        Seed of the choice of promoters, the background and the replaced sites.

    Returns
    -------
    list of Motif
        The largest total contribution first; empty where nothing stands out.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(promoters))[:MAX_PROMOTERS])
    _log.info("attributing the scores of %d promoters to their bases", len(chosen))
    learned = learn_motifs(attribute(model, promoters[chosen], seed=seed).effects, promoters[chosen], count, seed)
    _log.info("describing the motifs found: %d", len(learned))
    background = composition(np.concatenate([promoters, decoys]))
    return [
        _described(f"motif_{rank}", motif, model, (promoters, decoys, promoters[chosen]), database, background, rng)
        for rank, motif in enumerate(learned, start=1)
    ]


def _described(
    identifier: str,
    motif: LearnedMotif,
    model: Model,
    windows: tuple[Codes, Codes, Codes],
    database: Sequence[KnownMotif],
    background: NDArray[np.float64],
    rng: np.random.Generator,
) -> Motif:
    promoters, decoys, chosen = windows
    name, match_score = best_match(motif.matrix, database)
    with_, without = (int(find_sites(codes, motif.matrix, background).any(1).sum()) for codes in (promoters, decoys))
    sites = find_sites(chosen, motif.matrix, background)
    return Motif(
        id=identifier,
        name=name,
        match_score=match_score,
        consensus=motif.consensus,
        matrix=motif.matrix,
        sites=motif.sites,
        effect=effect(model.score_codes, chosen, sites, len(motif.matrix), rng),
        promoters_with=with_,
        decoys_with=without,
        enrichment=enrichment(with_, len(promoters), without, len(decoys)),
    )


def write_motifs_meme(path: PathLike, motifs: Sequence[Motif], background: NDArray[np.float64]) -> None:
    """Write learned motifs for other tools (MEME minimal format)."""
    write_meme(path, [(motif.id, motif.name, motif.matrix, motif.sites) for motif in motifs], background)
