"""Stand-ins for a trained model: networks whose answer is known exactly."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from genocontrast.sequence import one_hot


class Answer(NamedTuple):
    embedding: Tensor
    logit: Tensor


class PwmScanner(nn.Module):
    """The logit counts how far sites of a motif exceed a threshold, on both strands or on the given strand only."""

    def __init__(self, weights: np.ndarray, threshold: float, both_strands: bool = True) -> None:
        super().__init__()
        kernel = torch.tensor(np.ascontiguousarray(weights.T), dtype=torch.float32)[None]  # (1, 4, length)
        kernels = torch.cat([kernel, kernel.flip(1, 2)]) if both_strands else kernel
        self.register_buffer("kernels", kernels)
        self.threshold = threshold
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Answer:
        excess = torch.relu(nn.functional.conv1d(x, self.kernels) - self.threshold).sum((1, 2))
        raw = torch.stack([1 + excess, x.mean((1, 2)) + 1, 1 + excess**2], dim=1)
        return Answer(nn.functional.normalize(raw), excess - 1)


class StandInModel:
    """The contract of a trained model around any network."""

    def __init__(self, network: nn.Module, width: int) -> None:
        self.network, self.width, self.provenance, self.temperature = network, width, {}, 1.0

    def _answer(self, codes: np.ndarray) -> Answer:
        with torch.no_grad():
            return self.network(torch.from_numpy(one_hot(codes)))

    def score_codes(self, codes: np.ndarray) -> np.ndarray:
        return torch.sigmoid(self._answer(codes).logit / self.temperature).numpy()

    def logits_codes(self, codes: np.ndarray) -> np.ndarray:
        return self._answer(codes).logit.numpy()

    def embed_codes(self, codes: np.ndarray, batch_size: int = 256) -> np.ndarray:
        return self._answer(codes).embedding.numpy()


@pytest.fixture(scope="session")
def stand_in():
    def build(weights: np.ndarray, width: int, threshold: float = 0.0, both_strands: bool = True) -> StandInModel:
        return StandInModel(PwmScanner(weights, threshold, both_strands), width)

    return build


@pytest.fixture(scope="session")
def make_examples():
    """An examples table of whole pairs on chromosome c, windows end to end, splits in the given proportions."""

    def build(pairs: dict[str, int], width: int = 60) -> pd.DataFrame:
        split = np.repeat(list(pairs), [2 * n for n in pairs.values()])
        n = len(split)
        label = np.tile([1, 0], n // 2)
        names = [f"{'promoter' if one else 'decoy'}_{i // 2}" for i, one in enumerate(label)]
        return pd.DataFrame(
            {
                "chrom": "c",
                "start": np.arange(n) * width,
                "end": np.arange(n) * width + width,
                "name": names,
                "strand": "+",
                "label": label.astype("int8"),
                "pair_id": (np.arange(n) // 2).astype("int32"),
                "tier": "hard",
                "split": split,
                "log_q": np.zeros(n, "float32"),
                "evidence": "",
            }
        )

    return build
