"""Views that change what is read: the strand, single bases, repeats."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from genocontrast.encoders.views.kernels import Change, drop_masked, misread, mutate, turn
from genocontrast.encoders.views.view import Chance, View, check_fractions
from genocontrast.sequence import N_CODE


@dataclass(frozen=True)
class ReverseComplement(View):
    """Read the window from the other strand.

    Parameters
    ----------
    probability : float, optional
        Of each window. Default 0.5.
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        check_fractions(self, "probability")

    def changes_only_strand(self, length: int) -> bool:
        """Always."""
        return True

    def draw(self, chance: Chance) -> Change:
        """Draw which windows are turned."""
        return partial(turn, chosen=chance.windows(self.probability))


@dataclass(frozen=True)
class Mutation(View):
    """Replace bases by one of the three others, each with the same probability; N stays.

    Parameters
    ----------
    rate : float
        Probability of each base.
    """

    rate: float

    def __post_init__(self) -> None:
        check_fractions(self, "rate")

    def changes_only_strand(self, length: int) -> bool:
        """Where no base is replaced."""
        return self.rate == 0

    def draw(self, chance: Chance) -> Change:
        """Draw which bases are replaced, and by which others."""
        return partial(mutate, steps=chance.steps(self.rate))


@dataclass(frozen=True)
class RepeatDropout(View):
    """Replace soft-masked bases by N, all of a window's or none.

    Parameters
    ----------
    probability : float
        Of each window.

    Notes
    -----
    The codes carry the mask (`with_mask`). Of codes that carry none, nothing is dropped.
    """

    probability: float

    def __post_init__(self) -> None:
        check_fractions(self, "probability")

    def changes_only_strand(self, length: int) -> bool:
        """Where no window is chosen."""
        return self.probability == 0

    def draw(self, chance: Chance) -> Change:
        """Draw which windows lose their repeats."""
        return partial(drop_masked, chosen=chance.windows(self.probability))


@dataclass(frozen=True)
class SequencingNoise(View):
    """Read the window as a sequencer does that errs at single bases.

    Insertions and deletions move the rest of the window away from one end or towards it; which end stays in its place
    is drawn, half and half. At the other end, bases are cut off or N makes up the length.

    Parameters
    ----------
    substitution : float
        Probability that a base is read as one of the three others; N stays.
    insertion : float
        Probability that a random base is read before a base.
    deletion : float
        Probability that a base is not read.
    """

    substitution: float
    insertion: float
    deletion: float

    def __post_init__(self) -> None:
        check_fractions(self, "substitution", "insertion", "deletion")

    def changes_only_strand(self, length: int) -> bool:
        """Where nothing is misread."""
        return self.substitution == self.insertion == self.deletion == 0

    def draw(self, chance: Chance) -> Change:
        """Draw the errors, and the end that reading starts from."""
        return partial(
            misread,
            steps=chance.steps(self.substitution),
            inserted=chance.bases().masked_fill(~chance.sites(self.insertion), N_CODE),
            deleted=chance.sites(self.deletion),
            from_right=chance.windows(0.5),
        )
