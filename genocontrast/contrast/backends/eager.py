"""The reference backend: the whole matrix of logits in plain torch operations, in any floating-point type."""

from __future__ import annotations

import torch
from torch import Tensor

from genocontrast.contrast.comparison import Comparison, Masses
from genocontrast.contrast.objective import Found, log_sum_exp


def rows(comparison: Comparison) -> Found:
    """Compare all rows with all columns.

    Returns
    -------
    Found
        ``sums`` and ``masses.positive_sum`` carry gradients; ``masses.top`` and ``masses.total`` are empty.
    """
    logits = comparison.rows @ comparison.columns.T  # (n, c)
    return _sums(logits, *masks(comparison), comparison.bias, comparison)


def columns(comparison: Comparison) -> Found:
    """The same of the mirrored direction: of the columns that are anchors, over the rows."""
    anchors = slice(comparison.mirrored)
    logits = comparison.columns[anchors] @ comparison.rows.T  # (mirrored, n)
    positive, negative = (mask[:, anchors].T for mask in masks(comparison))
    return _sums(logits, positive, negative, comparison.row_bias, comparison)


def masks(comparison: Comparison) -> tuple[Tensor, Tensor]:
    """Which columns are positives of a row, and which are its negatives; bool, both shape=(n, c)."""
    positive = comparison.rows.new_zeros(len(comparison.rows), len(comparison.columns), dtype=torch.bool)
    if comparison.labels is not None:
        positive = comparison.labels[0][:, None] == comparison.labels[1][None, :]
    elif comparison.given is not None:
        # one column more takes the -1 of the rows that have fewer
        padded = torch.nn.functional.pad(positive, (0, 1))
        positive = padded.scatter(1, comparison.given % padded.shape[1], True)[:, :-1]
    elif comparison.pairs is not None:
        positive.diagonal(comparison.pairs).fill_(True)
    negative = ~positive
    if comparison.ids is not None:
        negative &= comparison.ids[0][:, None] != comparison.ids[1][None, :]
    return positive, negative


def _sums(logits: Tensor, positive: Tensor, negative: Tensor, bias: Tensor | None, comparison: Comparison) -> Found:
    chosen = {"positive": positive, "negative": negative}
    labelled = comparison.labels is not None
    # positives in float64, until their gradients, which nearly cancel, have been added up
    precise = logits.double() if labelled else logits
    result = []
    for term in comparison.terms:
        exponents = (precise if term.kind == "positive" else logits) * term.scale
        if bias is not None and term.biased:
            exponents = exponents + bias
        result.append(log_sum_exp(exponents.masked_fill(~chosen[term.kind], -torch.inf), 1))
    values, spread = logits.detach(), None
    masses = Masses.empty(0, len(logits), values)._replace(
        negative_sum=torch.where(negative, values, 0).sum(1),
        negative_count=negative.sum(1),
        best_negative=values.masked_fill(~negative, -torch.inf).amax(1),
    )
    if labelled:
        masses = masses._replace(
            positive_sum=torch.where(positive, precise, 0).sum(1),
            positive_count=positive.sum(1),
            best_positive=values.masked_fill(~positive, -torch.inf).amax(1),
        )
        total = masses.positive_sum
        if bias is not None and comparison.correct_positive:
            total = total + torch.where(positive, bias, 0).sum(1)
        spread = result[-1] - total / masses.positive_count.clamp_min(1)
    return Found(torch.stack([value.double() for value in result]), spread, masses)
