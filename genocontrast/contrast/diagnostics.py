"""Figures that show whether an embedding is learning, collapsing or solved; tensors, so nothing waits for a device."""

from __future__ import annotations

import torch
from torch import Tensor

from genocontrast.contrast.eager import Candidates


@torch.no_grad()
def diagnose(queries: Tensor, keys: Tensor, compared: Candidates) -> dict[str, Tensor]:
    """Diagnostics of one batch of unit vectors, each a scalar.

    accuracy: fraction of queries that have a positive nearer than every negative (ties count as wrong).
    positive_similarity, negative_similarity: mean cosine over all positives and over all negatives.
    alignment: mean squared distance of the pairs; uniformity: log mean exp(-2 squared distance) between queries
    (both Wang and Isola, ICML 2020; lower is better).
    """
    similarity = compared.similarity
    # cosines lie in [-1, 1], so that -2 marks an absent candidate
    best_positive = similarity.masked_fill(~compared.positive, -2).amax(1)
    best_negative = similarity.masked_fill(~compared.negative, -2).amax(1)
    return {
        "accuracy": (best_positive > best_negative).to(similarity.dtype).mean(),
        "positive_similarity": _mean(similarity, compared.positive),
        "negative_similarity": _mean(similarity, compared.negative),
        "alignment": (queries - keys).square().sum(1).mean(),
        "uniformity": _uniformity(queries),
    }


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the masked values; 0 where there is none."""
    return torch.where(mask, values, 0).sum() / mask.sum().clamp(min=1)


def _uniformity(vectors: Tensor) -> Tensor:
    """Uniformity of unit vectors, shape=(n, d); 0 for a single one."""
    if len(vectors) < 2:
        return vectors.new_zeros(())
    return torch.nn.functional.pdist(vectors).square().mul(-2).exp().mean().log()
