"""The reference backend: the whole matrix of logits in plain torch operations, in any floating-point type."""

from __future__ import annotations

import torch
from torch import Tensor

from genocontrast.contrast.comparison import Comparison, Masses
from genocontrast.contrast.objective import Found, log_sum_exp


def statistics(comparison: Comparison) -> tuple[Found, Found | None]:
    """Compare all rows with all columns.

    Returns
    -------
    rows : Found
        ``sums`` and ``spread`` carry gradients; ``masses.top`` and ``masses.total`` are empty.
    columns : Found or None
        The same of the mirrored direction: of the columns that are anchors, over the rows.
    """
    logits = comparison.rows @ comparison.columns.T  # (n, c)
    positive, excluded = comparison.masks(slice(0, len(comparison.rows)), slice(0, len(comparison.columns)))
    rows = _sums(logits, positive, ~excluded, comparison.bias, comparison)
    if not comparison.mirrored:
        return rows, None
    logits, positive, negative = (value[:, : comparison.mirrored].T for value in (logits, positive, ~excluded))
    return rows, _sums(logits, positive, negative, comparison.row_bias, comparison)


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
