"""Sites of the simulated genome: real JASPAR matrices, where an arrangement puts them, and what is drawn of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from genocontrast.genome.grammar import GRAMMAR, OTHER, Arrangements, Floats, Grammar, Ints
from genocontrast.sequence import Codes

MATRICES = {
    "TATA": "MA0108.3",
    "Inr": "POL002.1",
    "YY1": "MA0095.4",
    "NFY": "MA0060.4",
    "SP1": "MA0079.5",
    "E2F": "MA0024.3",
    "USF": "MA0093.4",
    "ETS": "MA0098.4",
    "NRF1": "MA0506.3",
    "RFX": "MA1554.2",
    "CREB": "MA0018.5",
    "AP-1": "MA0099.4",
    "GATA": "MA0037.5",
    "CEBP": "MA0102.5",
    "HNF4": "MA0114.5",
    "CTCF": "MA0139.2",
    "TFAP2": "MA0003.5",
}
"""Name of each motif and its matrix in resources/jaspar.meme."""
MOTIFS = tuple(MATRICES)
_INITIATOR_START = -2
"""The third base of the initiator's matrix is the start."""


@dataclass(frozen=True)
class Sites:
    """Sites of n elements, one entry for each; coordinates are relative to the start, on the element's strand."""

    element: Ints
    motif: Ints
    """Index into MOTIFS."""
    offset: Ints
    """First base, bp from the start."""
    forward: NDArray[np.bool_]
    state: Ints


@lru_cache(maxsize=1)
def matrices() -> dict[str, Floats]:
    """Base probabilities of each motif, shape=(width, 4), columns ACGT, from the JASPAR file of the package."""
    from Bio import motifs

    source = resources.files("genocontrast").joinpath("resources/jaspar.meme")
    with source.open() as handle:
        found = {motif.name.split()[0]: motif for motif in motifs.parse(handle, "minimal")}
    return {name: _probabilities(found[matrix_id].counts) for name, matrix_id in MATRICES.items()}


def _probabilities(counts: Mapping[str, list[float]]) -> Floats:
    columns = np.array([counts[base] for base in "ACGT"], dtype=np.float64).T
    return columns / columns.sum(1, keepdims=True)


def information(matrix: Floats) -> float:
    """Mean information of a matrix, shape=(width, 4), in bits per position against equal base frequencies."""
    return float(2 + np.mean(np.sum(matrix * np.log2(np.maximum(matrix, 1e-12)), axis=1)))


def sharpen(matrix: Floats, bits: float) -> Floats:
    """The matrix raised to the smallest power >= 1 at which its mean information reaches `bits` per position."""

    def power(exponent: float) -> Floats:
        raised = matrix**exponent
        return raised / raised.sum(1, keepdims=True)

    low, high = 1.0, 32.0
    if information(matrix) >= bits:
        return matrix
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if information(power(middle)) >= bits else (middle, high)
    return power(high)


def place_sites(drawn: Arrangements, rng: np.random.Generator, grammar: Grammar = GRAMMAR) -> Sites:
    """Lay the pairs out along their elements: two sites for each occupied slot."""
    element, slot = np.nonzero(drawn.pair >= 0)
    pair, state, gap, swapped, flipped = (
        values[element, slot] for values in (drawn.pair, drawn.state, drawn.gap, drawn.swapped, drawn.flipped)
    )
    other = (state == OTHER)[:, None]
    distal = np.array([MOTIFS.index(name) for name in grammar.distal])
    names = np.array([[MOTIFS.index(item.first), MOTIFS.index(item.second)] for item in grammar.pairs])
    motif = np.where(other, distal[rng.integers(0, len(distal), (len(pair), 2))], names[pair])  # (pairs, 2)
    signs = np.array([list(item.strands) for item in grammar.pairs])[pair]
    forward = (signs == "+") ^ (flipped[:, None] == np.arange(2))
    forward = np.where((signs == ".") | other, rng.random(forward.shape) < 0.5, forward)
    width = np.array([len(matrices()[name]) for name in MOTIFS])[motif]
    # within the pair, the site that stands second begins after the first and the gap
    within = np.where(swapped[:, None] == [True, False], width[:, ::-1] + gap[:, None], 0)
    centre = np.array([0, *grammar.slots])[slot] + rng.integers(-grammar.jitter, grammar.jitter + 1, len(pair))
    begin = centre - (width.sum(1) + gap) // 2
    initiator = np.array([item.initiator for item in grammar.pairs])[pair]
    on_start = (_INITIATOR_START - within)[np.arange(len(pair)), np.maximum(initiator, 0)]
    begin = np.where((initiator >= 0) & ~other[:, 0], on_start, begin)
    offset = begin[:, None] + within
    return Sites(np.repeat(element, 2), motif.ravel(), offset.ravel(), forward.ravel(), np.repeat(state, 2))


def log_odds(matrix: Floats) -> Floats:
    """Scores in bits against equal base frequencies, shape=(width, 4); a base never seen counts as 1 in 100."""
    return np.log2((matrix + 0.01) / 1.04 / 0.25)


def draw_sequences(
    name: str, n: int, rng: np.random.Generator, grammar: Grammar = GRAMMAR
) -> tuple[Codes, NDArray[np.bool_]]:
    """Sequences of n sites of a motif on its own strand, shape=(n, width), and which of them are intact, shape=(n,)."""
    matrix = matrices()[name]
    bounds = np.cumsum(sharpen(matrix, grammar.site_bits), axis=1)[:, :3]
    scores = log_odds(matrix)
    codes = np.empty((n, len(matrix)), dtype=np.uint8)
    weak = np.arange(n)
    while len(weak):
        codes[weak] = (rng.random((len(weak), len(matrix), 1)) > bounds).sum(-1)
        reached = scores[np.arange(len(matrix)), codes[weak]].sum(1)
        weak = weak[reached < grammar.site_score * scores.max(1).sum()]
    intact = rng.random(n) >= grammar.decay
    redrawn = (rng.random(codes.shape) < grammar.decayed_positions) & ~intact[:, None]
    return np.where(redrawn, rng.integers(0, 4, codes.shape, dtype=np.uint8), codes), intact
