"""The generative grammar of the simulated genome: pairs of sites, their arrangement, and the likelihood ratio.

Promoters and distal elements are made of the same parts: slots before and around a start, each holding a pair of
sites or nothing. What tells the classes apart is the arrangement of the two sites (order, orientation, spacing), so
composition, openness and k-mer counts say nothing about a promoter against a shuffled decoy. Occupied slots, sites,
decay and background are drawn alike in both classes and cancel: the likelihood ratio of an element is that of its
arrangements and has a closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PROPER, IMPROPER, OTHER = range(3)
_ORDER, _ORIENTATION, _SPACING = range(3)


@dataclass(frozen=True)
class Pair:
    """Two promoter sites as they stand on the promoter's strand when their arrangement is proper."""

    first: str
    second: str
    strands: str
    """Of the two sites: '+' or '-'; '.' marks a palindrome, whose strand is drawn at random in both classes."""
    gap: int
    """bp between the sites; a proper gap may also be one more or one less."""
    gaps: tuple[int, int]
    """Range, both ends included, of the gaps of a wrong spacing; it holds the proper ones, as chance does."""
    initiator: int = -1
    """Which of the two sites marks the start (core pairs), -1 for neither."""


@dataclass(frozen=True)
class Kind:
    """A component of a class: how often it occurs there, and the arrangement of each of its pairs."""

    name: str
    weight: float
    states: tuple[float, float, float]
    """Probabilities of a proper arrangement, an improper one, and of distal sites instead."""


@dataclass(frozen=True)
class Grammar:
    """Every parameter of the grammar. They are frozen: to change one is to make another benchmark."""

    core: tuple[Pair, ...] = (
        Pair("TATA", "Inr", "++", 22, (4, 34), initiator=1),
        Pair("Inr", "YY1", "++", 9, (2, 26), initiator=0),
    )
    core_weights: tuple[float, ...] = (0.5, 0.5)
    other: tuple[Pair, ...] = (
        Pair("SP1", "E2F", "+.", 6, (2, 20)),
        Pair("NFY", "USF", "-.", 10, (2, 22)),
        Pair("ETS", "NRF1", "+.", 6, (2, 20)),
        Pair("RFX", "CREB", "+.", 8, (2, 22)),
    )
    other_weights: tuple[float, ...] = (4.0, 3.0, 2.0, 1.0)
    """Preference of each of these pairs for the first slot, then for the second, and so on."""
    slots: tuple[int, ...] = (-72, -120, 72, -168)
    """Centres of the slots besides the core, bp from the start; each pair stands in at most one of them."""
    jitter: int = 3
    """A pair lies up to this many bp from the centre of its slot."""
    occupied: float = 0.9
    """Probability that a slot (the core or another) holds a pair."""
    gap_weights: tuple[float, float, float] = (0.2, 0.6, 0.2)
    """Of a proper gap that is one less than usual, usual, one more."""
    distal: tuple[str, ...] = ("AP-1", "GATA", "CEBP", "HNF4", "TFAP2", "CTCF")
    distal_gaps: tuple[int, int] = (3, 12)
    promoter_kinds: tuple[Kind, ...] = (
        Kind("typical", 0.89, (0.92, 0.05, 0.03)),
        Kind("atypical", 0.11, (0.25, 0.55, 0.20)),
    )
    distal_kinds: tuple[Kind, ...] = (
        Kind("shuffled", 0.50, (0.08, 0.89, 0.03)),
        Kind("other", 0.40, (0.03, 0.07, 0.90)),
        Kind("mimic", 0.10, (0.80, 0.15, 0.05)),
    )
    site_bits: float = 1.5
    """Matrices below this mean information (bits per position) are sharpened to it before sites are drawn."""
    site_score: float = 0.5
    """An intact site scores at least this part of the best score by its JASPAR matrix."""
    decay: float = 0.06
    """Probability that a site has decayed."""
    decayed_positions: float = 0.5
    """Probability that a position of a decayed site is a random base."""

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """All promoter pairs; a pair's index here is its number in `Arrangements`."""
        return self.core + self.other


GRAMMAR = Grammar()


@dataclass(frozen=True)
class Arrangements:
    """The pairs of n elements, each array of shape=(n, 1 + slots); column 0 is the core slot."""

    pair: Ints
    """Index into `Grammar.pairs`, -1 where the slot is empty."""
    state: Ints
    """PROPER, IMPROPER or OTHER, as drawn; the likelihood only uses whether it is OTHER, which the sites show."""
    swapped: NDArray[np.bool_]
    flipped: Ints
    """Site (0 or 1) that stands on the wrong strand, -1 for neither."""
    gap: Ints


def draw_kinds(kinds: tuple[Kind, ...], n: int, rng: np.random.Generator) -> Ints:
    """Kind of each of n elements of a class, as indices."""
    return rng.choice(len(kinds), n, p=[kind.weight for kind in kinds])


def draw_arrangements(states: Floats, rng: np.random.Generator, grammar: Grammar = GRAMMAR) -> Arrangements:
    """Draw the pairs of elements.

    Parameters
    ----------
    states : numpy.ndarray, shape=(n, 3)
        Probabilities of the states in each element (`Kind.states` of its kind).
    rng : numpy.random.Generator
    grammar : Grammar
    """
    n, slots = len(states), 1 + len(grammar.slots)
    core = rng.choice(len(grammar.core), (n, 1), p=grammar.core_weights)
    # Gumbel keys: sorting them draws the pairs one by one, without replacement, in proportion to their weights
    keys = np.log(grammar.other_weights) + rng.gumbel(size=(n, len(grammar.other)))
    others = np.argsort(-keys, axis=1)[:, : len(grammar.slots)] + len(grammar.core)
    pair = np.concatenate([core, others], axis=1)
    state = (rng.random((n, slots, 1)) > np.cumsum(states, axis=1)[:, None, :2]).sum(-1)
    wrong = np.where(state == IMPROPER, rng.integers(0, 3, (n, slots)), -1)
    flippable = np.array([[strand != "." for strand in item.strands] for item in grammar.pairs])
    flipped = np.where(
        flippable[:, 0][pair] & flippable[:, 1][pair],
        rng.integers(0, 2, (n, slots)),
        flippable[:, 1][pair].astype(np.int64),
    )
    loose = np.array([item.gaps for item in grammar.pairs])
    gap = np.array([item.gap for item in grammar.pairs])[pair] + rng.choice(
        [-1, 0, 1], (n, slots), p=grammar.gap_weights
    )
    gap = np.where(wrong == _SPACING, rng.integers(loose[pair, 0], loose[pair, 1] + 1), gap)
    gap = np.where(state == OTHER, rng.integers(grammar.distal_gaps[0], grammar.distal_gaps[1] + 1, (n, slots)), gap)
    empty = rng.random((n, slots)) >= grammar.occupied
    return Arrangements(
        np.where(empty, -1, pair), state, wrong == _ORDER, np.where(wrong == _ORIENTATION, flipped, -1), gap
    )


def _state_likelihoods(drawn: Arrangements, grammar: Grammar) -> Floats:
    """P(arrangement | state) of each slot, shape=(n, slots, 3), up to factors that all kinds share."""
    pair = np.maximum(drawn.pair, 0)
    usual = np.array([item.gap for item in grammar.pairs])[pair]
    loose = np.array([item.gaps for item in grammar.pairs])[pair]  # (n, slots, 2)
    flippable = np.array([sum(strand != "." for strand in item.strands) for item in grammar.pairs])[pair]
    near = np.abs(drawn.gap - usual) <= 1
    tight = np.where(near, np.array(grammar.gap_weights)[np.clip(drawn.gap - usual + 1, 0, 2)], 0.0)
    inside = (drawn.gap >= loose[..., 0]) & (drawn.gap <= loose[..., 1])
    wide = inside / (loose[..., 1] - loose[..., 0] + 1)
    as_written = ~drawn.swapped & (drawn.flipped < 0)
    improper = (
        np.where(drawn.swapped, tight, 0.0) + np.where(drawn.flipped >= 0, tight / flippable, 0.0) + as_written * wide
    ) / 3
    other = (drawn.state == OTHER).astype(np.float64)  # distal sites: seen, not hidden
    return np.stack([as_written * tight * (1 - other), improper * (1 - other), other], axis=-1)


def log_likelihood_ratio(drawn: Arrangements, grammar: Grammar = GRAMMAR) -> Floats:
    """Log P(arrangements | promoter) - log P(arrangements | distal) of each element, kinds summed out.

    Returns
    -------
    numpy.ndarray, shape=(n,)
        In nats. Arrangements that differ in nothing but which of PROPER and IMPROPER made them have the same ratio.
    """
    given_state = _state_likelihoods(drawn, grammar)

    def log_likelihood(kinds: tuple[Kind, ...]) -> Floats:
        slots = given_state @ np.array([kind.states for kind in kinds]).T  # (n, slots, kinds)
        slots = np.where(drawn.pair[..., None] < 0, 1.0, slots)
        joint = np.log(slots).sum(1) + np.log([kind.weight for kind in kinds])  # (n, kinds)
        return np.logaddexp.reduce(joint, axis=1)

    return log_likelihood(grammar.promoter_kinds) - log_likelihood(grammar.distal_kinds)
