"""Promoter probabilities of windows on both strands, whatever the model makes of strands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genocontrast.sequence import N_CODE, Codes, reverse_complement

if TYPE_CHECKING:
    from genocontrast.training.model import Model

CHUNK = 1 << 21
"""Bases of windows that are held and scored at a time: it bounds the memory, however many windows there are."""
BATCH = 1024
"""Windows in a batch of the network: on a CPU a third faster than the 256 that training examples are scored in."""
MOSTLY_N = 0.5
"""A window with a larger fraction of N says little of its sequence."""


@dataclass(frozen=True)
class Scorer:
    """Scores windows with a model.

    Parameters
    ----------
    model : Model
    prevalence : float, optional
        Fraction of promoters among the windows to score, between 0 and 1; default: that of the training pairs.
    """

    model: Model
    prevalence: float | None = None

    @property
    def one_strand(self) -> bool:
        """Whether the model says another thing of a window's reverse complement: it was trained with strand `free`."""
        return self.model.network.strand == "free"

    @property
    def rows(self) -> int:
        """Windows that are scored at a time."""
        return max(CHUNK // self.model.width, 1)

    def strands(self, codes: Codes) -> NDArray[np.float32]:
        """Probabilities of windows as they stand and of their reverse complements, (n, length) -> (n, 2)."""
        options: dict[str, Any] = {"batch_size": BATCH}
        options |= {} if self.prevalence is None else {"prevalence": self.prevalence}
        forward = self.model.score_codes(codes, **options)
        both = self.model.score_codes(reverse_complement(codes), **options) if self.one_strand else forward
        return np.stack([forward, both], axis=1)

    def __call__(self, codes: Codes) -> NDArray[np.float32]:
        """The mean over the two strands, shape=(n, length) -> (n,); of a strand-true model, what it says of either."""
        forward, reverse = self.strands(codes).T
        return (forward + reverse) / 2 if self.one_strand else forward


def mostly_n(codes: Codes) -> NDArray[np.bool_]:
    """Which windows hold more N than called bases, shape=(n, length) -> (n,)."""
    return (codes == N_CODE).mean(1) > MOSTLY_N
