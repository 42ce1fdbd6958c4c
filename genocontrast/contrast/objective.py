"""The loss of an anchor from its log-sums: the same few lines for every backend, in float64."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import softplus

from genocontrast.contrast.comparison import Comparison, Masses

Anchors: TypeAlias = tuple[Tensor | int, Tensor | int]


class Found(NamedTuple):
    """What a backend found for each anchor of one direction."""

    sums: Tensor
    """Log-sum of each of the comparison's terms, shape=(terms, n)."""
    spread: Tensor | None
    """As in `Positives`, shape=(n,); with labels only."""
    masses: Masses


class Hard(NamedTuple):
    """Negatives of one anchor each."""

    logits: Tensor
    """Shape=(n, h)."""
    bias: Tensor | None
    """Log of how many negatives each stands for, shape=(n, h)."""


class Positives(NamedTuple):
    """The positives of each anchor; a number of 0 says that it is no anchor at all."""

    log_sum: Tensor
    """Log of the sum of exp(logit), float64, shape=(n,)."""
    spread: Tensor
    """That minus the mean logit, 0 for a single positive; float64, shape=(n,)."""
    number: Tensor
    """How many, shape=(n,)."""


def mean_loss(
    comparison: Comparison,
    rows: Found,
    columns: Found | None,
    edges: Tensor | None,
    hard: Hard | None,
    least: Tensor,
    anchors: Anchors,
) -> tuple[Tensor, Tensor]:
    """The sum of the anchors' losses over their number; with a mirrored direction the mean of both.

    Parameters
    ----------
    comparison : Comparison
        Of all rows or a block of them.
    rows, columns : Found
        Of the anchors among the rows and of those among the columns.
    edges : torch.Tensor, shape=(n, p), optional
        Logits of each row with its pair (p = 1) or with its given positives.
    hard : Hard, optional
    least : torch.Tensor, scalar
        The lowest logit that a negative can have, -1 / temperature.
    anchors : tuple
        Numbers of anchors to divide by, of the rows and of the columns.

    Returns
    -------
    loss : torch.Tensor, scalar
    share : torch.Tensor, shape=(n,)
        Of the hard negatives in what the negatives of a row weigh, detached.
    """
    positives = row_positives(comparison, rows, edges)
    of_rows, share = losses(rows.sums, positives, hard, comparison, least)
    loss = of_rows.sum() / anchors[0]
    if columns is not None:
        positives = column_positives(comparison, columns, edges)
        of_columns, _ = losses(columns.sums, positives, None, comparison, least)
        # where all positives are in the bank, no column is an anchor and the rows are all there is
        number = anchors[1].clamp(min=1) if isinstance(anchors[1], Tensor) else anchors[1]
        loss = (loss + of_columns.sum() / number) / (1 + (anchors[1] > 0))
    return loss, share


def row_positives(comparison: Comparison, found: Found, edges: Tensor | None) -> Positives:
    """The positives of the rows: by label, by pair or as given."""
    if comparison.labels is not None:
        return _labelled(found)
    assert edges is not None
    edges, columns = edges.double(), _columns(comparison, edges)
    if comparison.bias is not None and comparison.correct_positive:
        edges = edges + comparison.bias[columns]
    there = columns >= 0
    count = there.sum(1)
    log_sum = log_sum_exp(edges.masked_fill(~there, -torch.inf), 1)
    return Positives(log_sum, log_sum - torch.where(there, edges, 0).sum(1) / count.clamp_min(1), count)


def column_positives(comparison: Comparison, found: Found, edges: Tensor | None) -> Positives:
    """The positives of the columns that are anchors: the rows whose positives they are."""
    if comparison.labels is not None:
        return _labelled(found)
    assert edges is not None
    edges, columns = edges.double(), _columns(comparison, edges)
    if comparison.row_bias is not None and comparison.correct_positive:
        edges = edges + comparison.row_bias[:, None]
    there = (columns >= 0) & (columns < comparison.mirrored)
    # one anchor more takes what is no edge, or the edge of a column that is no anchor
    anchor = torch.where(there, columns, comparison.mirrored).flatten()
    exponents = edges.flatten()
    size = comparison.mirrored + 1
    lowest = torch.finfo(exponents.dtype).min
    top = exponents.new_full((size,), lowest).scatter_reduce(0, anchor, exponents.detach(), "amax")
    total = exponents.new_zeros(size).index_add(0, anchor, (exponents - top[anchor]).exp())
    count = torch.zeros_like(total).index_add(0, anchor, torch.ones_like(exponents))
    log_sum = torch.where(count > 0, top + torch.where(count > 0, total, 1).log(), -torch.inf)
    mean = exponents.new_zeros(size).index_add(0, anchor, exponents) / count.clamp_min(1)
    return Positives(log_sum[:-1], (log_sum - mean)[:-1], count[:-1])


def _columns(comparison: Comparison, edges: Tensor) -> Tensor:
    """Column of each edge, -1 where there is none, shape=(n, p)."""
    if comparison.given is not None:
        return comparison.given
    assert comparison.pairs is not None
    return torch.arange(comparison.pairs, comparison.pairs + len(edges), device=edges.device)[:, None]


def _labelled(found: Found) -> Positives:
    assert found.spread is not None
    return Positives(found.sums[-1], found.spread, found.masses.positive_count)


def log_sum_exp(exponents: Tensor, dim: int) -> Tensor:
    """Log of the sum of exp; where there is nothing to sum, -inf with gradients of zero (torch's are NaN)."""
    top = exponents.detach().amax(dim, keepdim=True).clamp_min(torch.finfo(exponents.dtype).min)
    total = (exponents - top).exp().sum(dim)
    # not "total > 0", which would take what is no number for nothing
    nothing = total == 0
    return torch.where(nothing, -torch.inf, top.squeeze(dim) + torch.where(nothing, 1, total).log())


def losses(
    sums: Tensor, positives: Positives, hard: Hard | None, comparison: Comparison, least: Tensor | float
) -> tuple[Tensor, Tensor]:
    """Loss of each anchor, and the share of the hard negatives in what its negatives weigh.

    Parameters
    ----------
    sums : torch.Tensor, shape=(terms, n)
        Log-sums over the shared candidates, in the order of ``comparison.terms``.
    positives : Positives
    hard : Hard, optional
    comparison : Comparison
        For its options only.
    least : torch.Tensor or float
        The lowest logit that a negative can have, -1 / temperature.

    Returns
    -------
    losses, share : torch.Tensor, shape=(n,)
        Of anchors without positives 0. The share is detached.
    """
    anchor = positives.number > 0
    count = positives.number.clamp_min(1)
    # nothing infinite may enter, or the gradients of the anchors that are left out would be NaN
    positive, spread = (torch.where(anchor, value.double(), 0) for value in positives[:2])
    negatives, share = _negatives(sums.double(), hard, comparison)
    weight = negatives[-1]
    log_sum = negatives[0] if not comparison.hardness else negatives[0] - _finite(negatives[1]) + _finite(weight)
    if comparison.debias:
        result = _debiased(log_sum, weight, positive, count, comparison.debias, least) - positive + spread
    else:
        # not the log of the sum of both: of an anchor that is nearly solved, that would keep no digits
        result = softplus(log_sum - positive, threshold=700) + spread
    return torch.where(anchor, result, 0), share


def _negatives(sums: Tensor, hard: Hard | None, comparison: Comparison) -> tuple[list[Tensor], Tensor]:
    """Log-sum of each negative term with the anchor's own negatives, and their share in the first."""
    terms = [(term, sums[i]) for i, term in enumerate(comparison.terms) if term.kind == "negative"]
    if hard is None or not hard.logits.shape[1]:
        return [log_sum for _, log_sum in terms], sums.new_zeros(sums.shape[1])
    result, shares = [], []
    logits = hard.logits.double()
    bias = torch.zeros_like(logits) if hard.bias is None else hard.bias.double()
    for term, log_sum in terms:
        own = log_sum_exp(logits * term.scale + bias, 1)
        both = log_sum_exp(torch.stack([log_sum, own], 1), 1)
        result.append(both)
        shares.append((own - _finite(both)).detach().exp())
    return result, shares[0]


def _debiased(
    log_sum: Tensor, weight: Tensor, positive: Tensor, count: Tensor, prior: float, least: Tensor | float
) -> Tensor:
    """Log of positives + debiased negatives: the share `prior` of the negatives is expected to be positives.

    The estimate may fall below what any negatives can sum to, so it is clamped there: weight * exp(-1 / temperature).
    """
    top = torch.maximum(log_sum, positive).detach()
    positives, negatives = (positive - top).exp(), (log_sum - top).exp()
    expected = prior * weight.exp() * positives / count
    lowest = (weight + least - top).exp()
    return top + (positives + torch.maximum((negatives - expected) / (1 - prior), lowest)).log()


def _finite(log_sum: Tensor) -> Tensor:
    return torch.where(log_sum == -torch.inf, 0, log_sum)
