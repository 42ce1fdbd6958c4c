"""The strand audit: does a model's answer change when a window is read from the other strand."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genocontrast.evaluation.probes import cosines
from genocontrast.sequence import Codes, one_hot, reverse_complement

if TYPE_CHECKING:
    from torch import nn

    from genocontrast.training.model import Model

CALL_THRESHOLD = 0.5
SHOWN = 500
"""Windows whose scores on both strands are kept for a figure, spread over all of them."""
_BATCH = 256

Answers = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Promoter probabilities, shape=(n,), and embeddings, shape=(n, dim)."""


@dataclass(frozen=True)
class StrandDifference:
    """How answers to windows and to their reverse complements differ; `flips` counts calls at a probability of 0.5."""

    flips: int
    max_difference: float
    max_embedding_distance: float
    min_embedding_cosine: float
    mean_embedding_cosine: float


@dataclass(frozen=True)
class StrandAudit:
    """Differences between the strands: of the model as it is used, and of its network.

    A model may pick one strand of each window before its network reads it. That makes its calls agree whatever the
    network does, so the network is audited on its own too: rounding (1e-6) is all that a tied one may show.
    """

    examples: int
    model: StrandDifference
    network: StrandDifference
    points: list[tuple[float, float]]
    """Scores of some windows as they stand and of their reverse complements, by the network alone."""

    def as_dict(self) -> dict[str, Any]:
        """The audit as it stands in metrics.json."""
        return {
            "examples": self.examples,
            "threshold": CALL_THRESHOLD,
            **asdict(self.model),
            "network": asdict(self.network),
            "points": [[round(score, 6) for score in pair] for pair in self.points],
        }


def strand_audit(model: Model, codes: Codes) -> StrandAudit:
    """Score windows and their reverse complements.

    Parameters
    ----------
    model : Model
        Has `score_codes`, `embed_codes` and the `network` behind them.
    codes : numpy.ndarray of uint8, shape=(n, length)
        Windows, usually of the test split.
    """

    def used(windows: Codes) -> Answers:
        return np.asarray(model.score_codes(windows), np.float64), np.asarray(model.embed_codes(windows), np.float64)

    both = codes, reverse_complement(codes)
    alone = _answers(model.network, both[0]), _answers(model.network, both[1])
    shown = np.linspace(0, len(codes) - 1, min(len(codes), SHOWN)).astype(np.int64)  # distinct: steps are 1 or more
    points = [(float(alone[0][0][row]), float(alone[1][0][row])) for row in shown]
    return StrandAudit(len(codes), _difference(used(both[0]), used(both[1])), _difference(*alone), points)


def _difference(one: Answers, other: Answers) -> StrandDifference:
    (forward, here), (backward, there) = one, other
    alike = cosines(here, there)
    return StrandDifference(
        flips=int(((forward >= CALL_THRESHOLD) != (backward >= CALL_THRESHOLD)).sum()),
        max_difference=float(np.abs(forward - backward).max(initial=0.0)),
        max_embedding_distance=float(np.linalg.norm(here - there, axis=1).max(initial=0.0)),
        min_embedding_cosine=float(alike.min(initial=1.0)),
        mean_embedding_cosine=float(alike.mean()) if len(alike) else 1.0,
    )


def _answers(network: nn.Module, codes: Codes) -> Answers:
    """What a network says of windows exactly as they are given; its mode is left as it was."""
    import torch

    device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            batches = (one_hot(codes[first : first + _BATCH]) for first in range(0, len(codes), _BATCH))
            found = [network(torch.from_numpy(batch).to(device)) for batch in batches]
    finally:
        network.train(was_training)
    probabilities = torch.cat([torch.sigmoid(encoded.logit) for encoded in found])
    embeddings = torch.cat([encoded.embedding for encoded in found])
    return probabilities.double().cpu().numpy(), embeddings.double().cpu().numpy()
