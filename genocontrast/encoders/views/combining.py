"""Views made of views: one after the other, or some of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

import torch
from torch import Tensor

from genocontrast.encoders.views.kernels import Change, in_turn, some_in_turn
from genocontrast.encoders.views.view import Chance, View, check_counts
from genocontrast.errors import ConfigError


@dataclass(frozen=True)
class Compose(View):
    """One view after the other.

    Parameters
    ----------
    views : sequence of View
        May be empty: then the window stays as it is. A composition among them is taken apart.
    """

    views: Sequence[View]

    def __post_init__(self) -> None:
        views = _checked(self)
        flat = [part for view in views for part in (view.views if isinstance(view, Compose) else (view,))]
        object.__setattr__(self, "views", tuple(flat))

    @property
    def flank(self) -> int:
        """Flanks of all the views."""
        return sum(view.flank for view in self.views)

    @property
    def shortest(self) -> int:
        """What each view needs, and the flanks that are gone before."""
        return max((2 * gone + view.shortest for view, gone in self._in_turn()), default=1)

    def changes_only_strand(self, length: int) -> bool:
        """Where no view does more."""
        return all(view.changes_only_strand(length - 2 * gone) for view, gone in self._in_turn())

    def draw(self, chance: Chance) -> Change:
        """Draw what each view does."""
        return partial(in_turn, changes=[view.draw(chance.inside(gone)) for view, gone in self._in_turn()])

    def _in_turn(self) -> Iterator[tuple[View, int]]:
        """Each view, and the bp of flank that the views before it have cut off on each side."""
        gone = accumulate((view.flank for view in self.views), initial=0)
        return zip(self.views, gone, strict=False)  # the last sum is that behind all views


@dataclass(frozen=True)
class Choice(View):
    """Some views of several, drawn anew for each window, one after the other in their given order.

    EvoAug's combinations (Lee et al., Genome Biology 2023): `least` = `number` is its hard setting, `least` = 1 its
    soft one.

    Parameters
    ----------
    views : sequence of View
        They cut off no flank: all windows stay equally long.
    number : int
        How many of them a window gets, without replacement.
    least : int, optional
        Where given, how many is drawn too, `least` .. `number` with the same probability.
    """

    views: Sequence[View]
    number: int
    least: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "views", _checked(self))
        check_counts(self, "number", least=1)
        if self.number > len(self.views):
            raise ConfigError(f"number of Choice must not exceed its {len(self.views)} views", value=self.number)
        if self.least is not None:
            check_counts(self, "least")
            if self.least > self.number:
                raise ConfigError(f"least of Choice must not exceed its number of {self.number}", value=self.least)
        flanked = [view for view in self.views if view.flank]
        if flanked:
            remedy = "put the view that cuts off flanks before or behind the choice"
            raise ConfigError("views to choose among must not cut off flanks", value=flanked[0], remedy=remedy)

    @property
    def shortest(self) -> int:
        """What the most demanding view needs."""
        return max(view.shortest for view in self.views)

    def changes_only_strand(self, length: int) -> bool:
        """Where no view does more."""
        return all(view.changes_only_strand(length) for view in self.views)

    def draw(self, chance: Chance) -> Change:
        """Draw which views a window gets, and what each does."""
        chosen = self._chosen(chance)
        return partial(some_in_turn, changes=[view.draw(chance) for view in self.views], chosen=chosen)

    def _chosen(self, chance: Chance) -> Tensor:
        """Which views each window gets, bool, shape=(n, views)."""
        scores = torch.rand(chance.n, len(self.views), generator=chance.generator, device=chance.device)
        least = self.number if self.least is None else self.least
        # the order of random scores is a random permutation of the views
        return scores.argsort(1) < chance.integers(least, self.number)[:, None]


def _checked(view: Compose | Choice) -> tuple[View, ...]:
    """The views, as a tuple; `ConfigError` where something else is among them."""
    if not isinstance(view.views, Sequence):
        raise ConfigError(f"views of {type(view).__name__} must be a list of views", value=view.views)
    for member in view.views:
        if not isinstance(member, View):
            raise ConfigError(f"views of {type(view).__name__} must all be views", value=member)
    return tuple(view.views)
