"""Figures that show whether an embedding is learning, collapsing or solved; tensors, so nothing waits for a device."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor

from genocontrast.contrast.backends.fused import Outcome
from genocontrast.contrast.comparison import Comparison
from genocontrast.contrast.geometry import dots
from genocontrast.contrast.objective import Hard

# cosines that differ by fewer steps of their type are equal: two ways to multiply round differently
TIE = 16
# queries between which uniformity is measured: 130,000 pairs
SAMPLE = 512


class Diagnostics(TypedDict):
    """What `info_nce` says of a batch beside its loss: detached scalars on the device of the loss.

    Reading one of them waits for the device; making them takes no further pass over the matrix of logits.
    """

    accuracy: Tensor
    """Fraction of queries that have a positive nearer than every negative; ties, to rounding, count as wrong."""
    positive_similarity: Tensor
    """Mean cosine over all queries and their positives."""
    negative_similarity: Tensor
    """Mean cosine over all queries and their negatives; 0 without any."""
    alignment: Tensor
    """Mean squared distance of the pairs, or of given positives (Wang and Isola, ICML 2020; lower is better)."""
    uniformity: Tensor
    """log mean exp(-2 squared distance) between queries (same source; lower is better), at most 512 of them, evenly
    spaced in the batch; 0 for a single one."""
    hard_share: Tensor
    """Each negative pulls at its query with a force of its softmax probability / temperature: the share of the hard
    negatives in the sum of these gradients' norms, mean over the queries."""
    backend: str
    """Which implementation did the work."""


@torch.no_grad()
def diagnose(
    comparison: Comparison, outcome: Outcome, hard: Hard | None, temperature: Tensor, backend: str
) -> Diagnostics:
    """Sum up an outcome; `hard` in the units of logits."""
    masses, edges = outcome.masses, outcome.edges
    temperature = temperature.to(masses.best_negative.dtype)
    if edges is None:
        positive_sum, count, best = masses.positive_sum.sum(), masses.positive_count, masses.best_positive
    else:
        there = torch.ones_like(edges, dtype=torch.bool) if comparison.given is None else comparison.given >= 0
        positive_sum, count = torch.where(there, edges, 0).sum(), there.sum(1)
        best = edges.masked_fill(~there, -torch.inf).amax(1)
    best_negative, negative_sum = masses.best_negative, masses.negative_sum.sum()
    negatives = masses.negative_count.sum()
    if hard is not None and hard.logits.shape[1]:
        there = torch.ones_like(hard.logits, dtype=torch.bool) if hard.bias is None else hard.bias > -torch.inf
        best_negative = torch.maximum(best_negative, hard.logits.masked_fill(~there, -torch.inf).amax(1))
        negative_sum = negative_sum + torch.where(there, hard.logits, 0).sum()
        negatives = negatives + there.sum()
    anchors = (count > 0).sum().clamp(min=1)
    kind = comparison.rows.dtype
    positive = positive_sum / count.sum().clamp(min=1) * temperature
    return {
        "accuracy": ((best > best_negative + TIE * torch.finfo(kind).eps / temperature) & (count > 0)).sum() / anchors,
        "positive_similarity": positive.to(kind),
        "negative_similarity": (negative_sum / negatives.clamp(min=1) * temperature).to(kind),
        "alignment": _alignment(comparison, edges, temperature, positive).to(kind),
        "uniformity": uniformity(comparison.rows, temperature),
        "hard_share": (torch.where(count > 0, outcome.share, 0).sum() / anchors).to(kind),
        "backend": backend,
    }


def _alignment(comparison: Comparison, edges: Tensor | None, temperature: Tensor, positive: Tensor) -> Tensor:
    """Of the pairs; where positives were given, rows of one number are no pair."""
    if comparison.given is not None:
        return 2 - 2 * positive
    return alignment(comparison.rows, comparison.columns[: len(comparison.rows)], temperature, edges)


def alignment(
    queries: Tensor, keys: Tensor, temperature: float | Tensor = 1.0, products: Tensor | None = None
) -> Tensor:
    """Mean squared distance of pairs (Wang and Isola, ICML 2020; lower is better).

    Parameters
    ----------
    queries, keys : torch.Tensor, shape=(n, d)
        Row i of one belongs to row i of the other. Of length 1, or zero; the queries divided by `temperature`.
    temperature : float or torch.Tensor, scalar
    products : torch.Tensor, optional
        Dot products of the pairs, where they are known.
    """
    together = (dots(queries, keys) if products is None else products).mean()
    # a zero vector has no length 1
    squares = torch.linalg.vector_norm(queries, dim=1).square().mean() * temperature**2
    return squares + torch.linalg.vector_norm(keys, dim=1).square().mean() - 2 * together * temperature


def uniformity(rows: Tensor, temperature: float | Tensor = 1.0) -> Tensor:
    """Logarithm of the mean of exp(-2 squared distance) between vectors (Wang and Isola, ICML 2020; lower is better).

    Parameters
    ----------
    rows : torch.Tensor, shape=(n, d)
        Vectors of length 1 that were divided by `temperature`; at most 512, evenly spaced, are compared.
    temperature : float or torch.Tensor, scalar

    Returns
    -------
    torch.Tensor, scalar
        0 for a single vector.
    """
    if len(rows) < 2:
        return rows.new_zeros(())
    some = rows[:: -(-len(rows) // SAMPLE)] * temperature
    return torch.nn.functional.pdist(some).square().mul(-2).exp().mean().log()
