"""InfoNCE by loops over single pairs in float64: slow, and too simple to be wrong in the way that a backend may be."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def reference(
    queries: Tensor,
    keys: Tensor,
    *,
    temperature: Tensor,
    hard: Tensor | None = None,
    hard_weight: Tensor | None = None,
    bank: Tensor | None = None,
    log_q: Tensor | None = None,
    correct_positive: bool = True,
    ids: Sequence[int] | None = None,
    labels: Sequence[int] | None = None,
    positives: Sequence[Sequence[int]] | None = None,
    debias: float = 0.0,
    hardness: float = 0.0,
    symmetric: bool = True,
) -> Tensor:
    n = len(queries)
    shared = [*keys, *([] if bank is None else bank)]
    names = {"id": _padded(ids, len(shared)), "label": _padded(labels, len(shared))}

    def positive(i: int, j: int) -> bool:
        if positives is not None:
            return j in positives[i]
        return i == j or (names["label"][i] == names["label"][j] != -1)

    def negative(i: int, j: int) -> bool:
        return not positive(i, j) and not (names["id"][i] == names["id"][j] != -1)

    def cosine(a: Tensor, b: Tensor) -> Tensor:
        if not a.any() or not b.any():
            return (a * b).sum() * 0
        return (a @ b) / (a.norm() * b.norm())

    def anchor(own: list[tuple[Tensor, float]], others: list[tuple[Tensor, float]]) -> Tensor | None:
        """Loss of one anchor from (cosine, log q) of its positives and negatives."""
        if not own:
            return None
        corrected = [c / temperature - (log_count if correct_positive else 0) for c, log_count in own]
        mean = sum(corrected) / len(corrected)
        total = sum(logit.exp() for logit in corrected)
        weights = [math.exp(-log_count) for _, log_count in others]
        masses = [w * (c / temperature).exp() for w, (c, _) in zip(weights, others, strict=True)]
        if hardness and others:
            tilts = [(hardness * c / temperature).exp() for c, _ in others]
            usual = sum(w * t for w, t in zip(weights, tilts, strict=True)) / sum(weights)
            masses = [m * t / usual for m, t in zip(masses, tilts, strict=True)]
        negatives = sum(masses) if masses else total * 0
        if debias:
            estimate = (negatives - debias * sum(weights) * total / len(own)) / (1 - debias)
            negatives = torch.maximum(estimate, sum(weights) * (-1 / temperature).exp() + total * 0)
        return (total + negatives).log() - mean

    def q(j: int) -> float:
        return 0.0 if log_q is None else float(log_q[j])

    forward = []
    for i in range(n):
        both = [(cosine(queries[i], key), q(j)) for j, key in enumerate(shared)]
        own = [pair for j, pair in enumerate(both) if positive(i, j)]
        others = [pair for j, pair in enumerate(both) if negative(i, j)]
        for k in range(0 if hard is None else hard.shape[1]):
            weight = 1.0 if hard_weight is None else float(hard_weight[i, k])
            count = 0.0
            if log_q is not None and len(log_q) > len(shared):
                count = float(log_q[len(shared) + i * hard.shape[1] + k])
            if weight:
                others.append((cosine(queries[i], hard[i, k]), count - math.log(weight)))
        forward.append(anchor(own, others))
    backward = []
    for j in range(n if symmetric else 0):
        both = [(cosine(queries[i], keys[j]), q(i)) for i in range(n)]
        backward.append(
            anchor(
                [pair for i, pair in enumerate(both) if positive(i, j)],
                [pair for i, pair in enumerate(both) if negative(i, j)],
            )
        )
    loss = _mean(forward)
    return (loss + _mean(backward)) / 2 if any(value is not None for value in backward) else loss


def _padded(names: Sequence[int] | None, size: int) -> list[int]:
    return [-1] * size if names is None else [*names, *([-1] * (size - len(names)))]


def _mean(values: list[Tensor | None]) -> Tensor:
    there = [value for value in values if value is not None]
    return sum(there) / max(len(there), 1) if there else torch.zeros((), dtype=torch.float64)
