"""What every view is: parameters that are checked once, draws from one generator, a pure change of codes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genocontrast.encoders.views.kernels import Change
from genocontrast.errors import ConfigError, ShapeError

if TYPE_CHECKING:
    from genocontrast.encoders.views.combining import Compose


@dataclass(frozen=True)
class Chance:
    """What is drawn for a batch of n windows, all of it from one generator and on its device."""

    n: int
    length: int
    generator: torch.Generator
    device: torch.device

    def integers(self, low: int, high: int) -> Tensor:
        """An integer for each window, low .. high with both ends, int64, shape=(n,)."""
        return torch.randint(low, high + 1, (self.n,), generator=self.generator, device=self.device)

    def up_to(self, bounds: Tensor) -> Tensor:
        """An integer for each window, 0 .. its bound with both ends, int64, shape=(n,)."""
        # so wide a range that the remainder's bias is below 1e-9 for any window
        return self.integers(0, 2**62 - 1) % (bounds + 1)

    def windows(self, probability: float) -> Tensor:
        """Which windows are chosen, bool, shape=(n,)."""
        return torch.rand(self.n, generator=self.generator, device=self.device) < probability

    def sites(self, rate: float) -> Tensor:
        """Which bases are chosen, bool, shape=(n, length)."""
        return torch.rand(self.n, self.length, generator=self.generator, device=self.device) < rate

    def bases(self) -> Tensor:
        """Random bases, uint8, shape=(n, length)."""
        return self._letters(0)

    def steps(self, rate: float) -> Tensor:
        """Steps 1 .. 3 to another base at chosen places, 0 elsewhere, uint8, shape=(n, length)."""
        return self._letters(1) * self.sites(rate)

    def inside(self, flank: int) -> Chance:
        """The same for windows whose flanks have been cut off."""
        return replace(self, length=self.length - 2 * flank)

    def _letters(self, low: int) -> Tensor:
        shape, device = (self.n, self.length), self.device
        return torch.randint(low, 4, shape, generator=self.generator, dtype=torch.uint8, device=device)


class View(ABC):
    """A random change of DNA windows: `view(codes, generator)`.

    Codes are uint8, shape=(n, length): A, C, G, T = 0 .. 3, N = 4, and the bit 8 on soft-masked bases (`with_mask`).
    All randomness comes from the generator, so that the same state of it gives the same views. The distribution of
    the views of a window's reverse complement is that of the reverse complements of its views.
    """

    @property
    def flank(self) -> int:
        """The bp of sequence on each side of the window that the view takes and cuts off."""
        return 0

    @property
    def shortest(self) -> int:
        """The bp of the shortest codes, flanks included, that the view takes."""
        return 1

    @abstractmethod
    def changes_only_strand(self, length: int) -> bool:
        """Whether all that the view can do to codes of some length is nothing, or to reverse complement them.

        For an encoder that is tied to both strands such a view is the window itself: similarity 1, no gradient.
        """

    @abstractmethod
    def draw(self, chance: Chance) -> Change:
        """Draw one change for each window."""

    def __call__(self, codes: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a view of each window.

        Parameters
        ----------
        codes : torch.Tensor of uint8, shape=(n, length)
            They are not changed in place.
        generator : torch.Generator
            On the device of the codes.

        Returns
        -------
        torch.Tensor of uint8, shape=(n, length - 2 * flank)

        Raises
        ------
        ShapeError
            Where the codes are not uint8 of two dimensions, are shorter than `shortest`, or lie on another device
            than the generator.
        """
        self._check(codes, generator)
        return self.draw(Chance(len(codes), codes.shape[1], generator, codes.device))(codes)

    def then(self, other: View) -> Compose:
        """Compose this view with one that comes after it."""
        from genocontrast.encoders.views.combining import Compose

        return Compose((self, other))

    def _check(self, codes: Tensor, generator: torch.Generator) -> None:
        if codes.dtype != torch.uint8 or codes.ndim != 2:
            value = (str(codes.dtype), tuple(codes.shape))
            raise ShapeError(
                "a view takes codes, uint8 of shape (n, length)", value=value, remedy="views come before one_hot"
            )
        if codes.shape[1] < self.shortest:
            raise ShapeError(f"{self} needs windows of at least {self.shortest} bp", value=codes.shape[1])
        if generator.device.type != codes.device.type:
            problem = f"the generator must be on the device of the codes, {codes.device}"
            raise ShapeError(problem, value=str(generator.device), remedy=f"torch.Generator('{codes.device}')")


def check_fractions(view: View, *names: str) -> None:
    """Raise `ConfigError` where a parameter is no number between 0 and 1."""
    for name in names:
        value = getattr(view, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ConfigError(f"{name} of {type(view).__name__} must be a number between 0 and 1", value=value)


def check_counts(view: View, *names: str, least: int = 0) -> None:
    """Raise `ConfigError` where a parameter is no whole number of at least `least`."""
    for name in names:
        value = getattr(view, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(
                f"{name} of {type(view).__name__} must be a whole number of at least {least}", value=value
            )
