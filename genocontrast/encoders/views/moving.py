"""Views that move bases: along the genome, around a circle, or as a stretch that is kept, gained, lost or turned.

Insertion, deletion, translocation and inversion are those of EvoAug (Lee et al., Genome Biology 2023); where EvoAug
halves what it adds to or cuts off the ends, the halves are drawn here, so that neither strand is preferred.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from genocontrast.encoders.views.kernels import Change, crop, delete, insert, invert, roll, slide
from genocontrast.encoders.views.view import Chance, View, check_counts
from genocontrast.errors import ConfigError


@dataclass(frozen=True)
class Shift(View):
    """Move the window along the genome by up to `max_shift` bp in either direction.

    Parameters
    ----------
    max_shift : int
        bp.
    flank : int, optional
        bp on each side of the window that the codes carry: they come in as the window moves, and are cut off. N comes
        in where they do not reach, and always where there are none, the default.
    """

    max_shift: int
    flank: int = 0

    def __post_init__(self) -> None:
        check_counts(self, "max_shift", "flank")

    @property
    def shortest(self) -> int:
        """The flanks, and a base more than can leave the window for N."""
        return 2 * self.flank + max(self.max_shift - self.flank, 0) + 1

    def changes_only_strand(self, length: int) -> bool:
        """Where nothing moves."""
        return self.max_shift == 0

    def draw(self, chance: Chance) -> Change:
        """Draw where the windows start."""
        starts = self.flank + chance.integers(-self.max_shift, self.max_shift)
        return partial(slide, starts=starts, width=chance.length - 2 * self.flank)


@dataclass(frozen=True)
class Crop(View):
    """Keep a random stretch of the window in its place; the rest becomes N.

    Parameters
    ----------
    min_length : int
        bp of the shortest stretch; the longest is the window.
    """

    min_length: int

    def __post_init__(self) -> None:
        check_counts(self, "min_length", least=1)

    @property
    def shortest(self) -> int:
        """The shortest stretch."""
        return self.min_length

    def changes_only_strand(self, length: int) -> bool:
        """Where the shortest stretch is the window."""
        return self.min_length >= length

    def draw(self, chance: Chance) -> Change:
        """Draw a stretch of each window."""
        lengths = chance.integers(self.min_length, chance.length)
        return partial(crop, starts=chance.up_to(chance.length - lengths), lengths=lengths)


@dataclass(frozen=True)
class Insertion(View):
    """Insert random bases at a random position; the ends are trimmed to the old length, by random shares.

    Parameters
    ----------
    max_length : int
        bp of the longest insertion; the shortest is none.
    """

    max_length: int

    def __post_init__(self) -> None:
        check_counts(self, "max_length")

    @property
    def shortest(self) -> int:
        """A base more than the insertion can push out."""
        return self.max_length + 1

    def changes_only_strand(self, length: int) -> bool:
        """Where nothing is inserted."""
        return self.max_length == 0

    def draw(self, chance: Chance) -> Change:
        """Draw where, how many and which bases come in, and what is trimmed on the left."""
        lengths = chance.integers(0, self.max_length)
        starts, trims = chance.integers(0, chance.length), chance.up_to(lengths)
        return partial(insert, starts=starts, lengths=lengths, trims=trims, bases=chance.bases())


@dataclass(frozen=True)
class Deletion(View):
    """Delete a random stretch; random bases at the ends make up the old length, by random shares.

    Parameters
    ----------
    max_length : int
        bp of the longest deletion; the shortest is none.
    """

    max_length: int

    def __post_init__(self) -> None:
        check_counts(self, "max_length")

    @property
    def shortest(self) -> int:
        """A base more than can be deleted."""
        return self.max_length + 1

    def changes_only_strand(self, length: int) -> bool:
        """Where nothing is deleted."""
        return self.max_length == 0

    def draw(self, chance: Chance) -> Change:
        """Draw the stretch that is lost, and how many and which bases are added."""
        lengths = chance.integers(0, self.max_length)
        starts, pads = chance.up_to(chance.length - lengths), chance.up_to(lengths)
        return partial(delete, starts=starts, lengths=lengths, pads=pads, bases=chance.bases())


@dataclass(frozen=True)
class Translocation(View):
    """Roll the window by up to `max_shift` bp in either direction: what leaves one end comes in at the other.

    Parameters
    ----------
    max_shift : int
        bp.
    """

    max_shift: int

    def __post_init__(self) -> None:
        check_counts(self, "max_shift")

    @property
    def shortest(self) -> int:
        """A base more than is rolled."""
        return self.max_shift + 1

    def changes_only_strand(self, length: int) -> bool:
        """Where nothing moves."""
        return self.max_shift == 0

    def draw(self, chance: Chance) -> Change:
        """Draw by how much the windows roll."""
        return partial(roll, offsets=chance.integers(-self.max_shift, self.max_shift))


@dataclass(frozen=True)
class Rotation(View):
    """Rotate a circular molecule, which is the whole window, to a start that is uniform over the circle."""

    def changes_only_strand(self, length: int) -> bool:
        """Where the circle is a single base."""
        return length == 1

    def draw(self, chance: Chance) -> Change:
        """Draw where the windows start."""
        return partial(roll, offsets=chance.integers(0, chance.length - 1))


@dataclass(frozen=True)
class Inversion(View):
    """Replace a random stretch by its reverse complement.

    Parameters
    ----------
    min_length, max_length : int
        bp of the shortest and of the longest stretch.
    """

    min_length: int
    max_length: int

    def __post_init__(self) -> None:
        check_counts(self, "min_length", "max_length")
        if self.min_length > self.max_length:
            problem = f"min_length of Inversion must not exceed its max_length of {self.max_length}"
            raise ConfigError(problem, value=self.min_length)

    @property
    def shortest(self) -> int:
        """The longest stretch."""
        return max(self.max_length, 1)

    def changes_only_strand(self, length: int) -> bool:
        """Where nothing is inverted, or always the whole window."""
        return self.max_length == 0 or self.min_length >= length

    def draw(self, chance: Chance) -> Change:
        """Draw a stretch of each window."""
        lengths = chance.integers(self.min_length, self.max_length)
        return partial(invert, starts=chance.up_to(chance.length - lengths), lengths=lengths)
