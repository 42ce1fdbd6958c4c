"""Stand-ins for a trained model: networks whose answer is known exactly."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor, nn

from genocontrast.sequence import decode, encode, one_hot, reverse_complement


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
        self.threshold, self.strand = threshold, "tied" if both_strands else "free"
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Answer:
        excess = torch.relu(nn.functional.conv1d(x, self.kernels) - self.threshold).sum((1, 2))
        raw = torch.stack([1 + excess, x.mean((1, 2)) + 1, 1 + excess**2], dim=1)
        return Answer(nn.functional.normalize(raw), excess - 1)


class StandInModel:
    """The contract of a trained model around any network."""

    def __init__(self, network: nn.Module, width: int) -> None:
        self.network, self.width, self.provenance, self.temperature = network, width, {}, 1.0
        self.pretrained_on: list = []

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


class KnownModel:
    """A model whose answer is any function of windows; `asked` keeps the options of each call."""

    def __init__(self, score: Callable[[np.ndarray], np.ndarray], width: int, strand: str = "tied") -> None:
        self.score, self.width, self.provenance, self.asked = score, width, {}, []
        self.network = SimpleNamespace(strand=strand)

    def score_codes(self, codes: np.ndarray, **options: float) -> np.ndarray:
        self.asked.append(options)
        return np.asarray(self.score(codes), np.float32)


@pytest.fixture
def known_model():
    return KnownModel


def word_places(codes: np.ndarray, word: str) -> np.ndarray:
    """Where a word begins in each window, shape=(n, length) -> (n, length - len(word) + 1)."""
    letters = encode(word)
    return (sliding_window_view(codes, len(letters), axis=1) == letters).all(2)


@pytest.fixture
def near_centre():
    """Probability that falls with the distance of a word, on either strand, from the window's centre; 0 without it."""

    def build(word: str) -> Callable[[np.ndarray], np.ndarray]:
        def score(codes: np.ndarray) -> np.ndarray:
            there = word_places(codes, word) | word_places(codes, decode(reverse_complement(encode(word))))
            away = np.abs(np.arange(there.shape[1]) + len(word) // 2 - codes.shape[1] // 2)
            nearest = np.where(there, away, codes.shape[1]).min(1)
            return 1 - nearest / codes.shape[1]

        return score

    return build
