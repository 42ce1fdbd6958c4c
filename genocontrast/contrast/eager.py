"""The reference backend: the whole matrix of logits in plain torch operations, in any floating-point type."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Candidates(NamedTuple):
    """What each query is compared with: the keys, then the bank, then its own hard negatives (c in all)."""

    similarity: Tensor
    """Cosine similarities, shape=(n, c)."""
    correction: Tensor | None
    """Added to the logits, shape=(n, c)."""
    positive: Tensor
    """Which candidates are positives, bool, shape=(n, c); at least one in each row."""
    negative: Tensor
    """Which candidates are negatives, bool, shape=(n, c); a masked false negative is neither."""


def unit(vectors: Tensor) -> Tensor:
    """Vectors of length 1 along the last axis; a zero vector stays zero and its gradient finite."""
    # scaled by the largest entry first, so that no square overflows or vanishes; the scale cancels out
    scale = vectors.detach().abs().amax(-1, keepdim=True)
    vectors = vectors / torch.where(scale > 0, scale, 1)
    length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / torch.where(length > 0, length, 1)


def candidates(
    queries: Tensor,
    keys: Tensor,
    hard: Tensor | None = None,
    hard_weight: Tensor | None = None,
    bank: Tensor | None = None,
    log_q: Tensor | None = None,
    ids: Tensor | None = None,
    labels: Tensor | None = None,
) -> Candidates:
    """Compare unit vectors (shapes as in `info_nce`) and say which comparisons are positives and negatives."""
    shared = keys if bank is None else torch.cat([keys, bank])
    similarity = queries @ shared.T  # (n, n + m)
    if hard is not None:
        similarity = torch.cat([similarity, torch.einsum("nd,nhd->nh", queries, hard)], dim=1)  # (n, n + m + h)
    paired = torch.eye(len(keys), dtype=torch.bool, device=queries.device)
    same_label = paired if labels is None else labels[:, None] == labels[None, :]
    same_thing = paired if ids is None else ids[:, None] == ids[None, :]
    extra = similarity.shape[1] - len(keys)
    positive = torch.nn.functional.pad(same_label, (0, extra))
    negative = torch.nn.functional.pad(~(same_label | same_thing), (0, extra), value=True)
    return Candidates(similarity, _correction(similarity, hard_weight, log_q), positive, negative)


def _correction(similarity: Tensor, hard_weight: Tensor | None, log_q: Tensor | None) -> Tensor | None:
    if hard_weight is None and log_q is None:
        return None
    correction = torch.zeros_like(similarity)
    if log_q is not None:
        correction[:, : len(log_q)] -= log_q.to(similarity.dtype)
    if hard_weight is not None:
        correction[:, -hard_weight.shape[1] :] += hard_weight.to(similarity.dtype).log()
    return correction


def cross_entropy(compared: Candidates, temperature: float, debias: float = 0.0) -> Tensor:
    """Loss of each query, shape=(n,): log of the candidates' sum minus the mean logit of the positives."""
    logits = _logits(compared, temperature)
    count = compared.positive.sum(1)
    mean_positive = torch.where(compared.positive, logits, 0).sum(1) / count
    if debias:
        return _debiased_log_sum(logits, compared, temperature, debias) - mean_positive
    return _log_sum(logits, compared) - mean_positive


def _logits(compared: Candidates, temperature: float) -> Tensor:
    logits = compared.similarity / temperature
    return logits if compared.correction is None else logits + compared.correction


def _log_sum(logits: Tensor, compared: Candidates) -> Tensor:
    kept = compared.positive | compared.negative
    return logits.masked_fill(~kept, -math.inf).logsumexp(1)


def _debiased_log_sum(logits: Tensor, compared: Candidates, temperature: float, debias: float) -> Tensor:
    """Log of positives + debiased negatives: the share `debias` of the negatives is expected to be positives.

    The estimate may fall below what any negatives can sum to, so it is clamped there: count * exp(-1 / temperature).
    """
    positive, negative = compared.positive, compared.negative
    top = logits.detach().masked_fill(~(positive | negative), -math.inf).amax(1, keepdim=True)
    mass = (logits - top).exp()
    positives = torch.where(positive, mass, 0).sum(1)
    negatives = torch.where(negative, mass, 0).sum(1)
    weight = torch.ones_like(logits) if compared.correction is None else compared.correction.exp()
    count = torch.where(negative, weight, 0).sum(1)
    expected = debias * count * positives / positive.sum(1)
    least = count * (-1 / temperature - top[:, 0]).exp()
    debiased = torch.maximum((negatives - expected) / (1 - debias), least)
    return top[:, 0] + (positives + debiased).log()
