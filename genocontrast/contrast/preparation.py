"""From checked arguments to what the backends read: unit vectors, and names that are equal where they should be."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from genocontrast.contrast.arguments import Arguments
from genocontrast.contrast.comparison import Comparison
from genocontrast.contrast.geometry import unit
from genocontrast.contrast.objective import Hard


class Place(NamedTuple):
    """Where the rows of a batch lie among those of all ranks."""

    first: int
    total: int


def prepare(
    arguments: Arguments, cold: Tensor, symmetric: bool, correct_positive: bool, place: Place | None = None
) -> tuple[Comparison, Hard | None]:
    """What is compared with what.

    Parameters
    ----------
    arguments : Arguments
        Checked.
    cold : torch.Tensor, scalar
        1 / temperature, in the type to compute in.
    symmetric, correct_positive : bool
        As in `info_nce`.
    place : Place, optional
        Default: there is one batch only.

    Returns
    -------
    comparison : Comparison
    hard : Hard or None
    """
    queries, keys, bank, kind = arguments.queries, arguments.keys, arguments.bank, cold.dtype
    shared = keys.to(kind) if bank is None else torch.cat([keys.to(kind), bank.to(kind)])
    rows, columns = unit(queries.to(kind), cold), unit(shared)
    bias, hard_bias = _biases(arguments, kind)
    labels, ids, positives = arguments.labels, arguments.ids, arguments.positives
    n, c = len(rows), len(columns)
    place = place or Place(0, n)
    comparison = Comparison(
        rows,
        columns,
        pairs=0 if labels is None and positives is None else None,
        labels=None if labels is None else _named(labels, n, c, place, same=True),
        ids=None if ids is None else _named(ids, n, c, place, same=False),
        given=None if positives is None else positives.long(),
        bias=bias,
        row_bias=bias[:n] if symmetric and bias is not None else None,
        mirrored=n if symmetric else 0,
        debias=arguments.debias,
        hardness=arguments.hardness,
        correct_positive=correct_positive,
    )
    if arguments.hard is None:
        return comparison, None
    return comparison, Hard(torch.einsum("nd,nhd->nh", rows, unit(arguments.hard.to(kind))), hard_bias)


def _biases(arguments: Arguments, kind: torch.dtype) -> tuple[Tensor | None, Tensor | None]:
    """What is added to the logits of keys and bank, and of the hard negatives."""
    hard = None if arguments.hard_weight is None else arguments.hard_weight.detach().to(kind).log()
    if arguments.log_q is None:
        return None, hard
    log_q, (n, m) = arguments.log_q.detach().to(kind), arguments.size
    own = log_q[n + m :]
    if len(own):
        own = own.reshape(n, -1)
        hard = -own if hard is None else hard - own
    return -log_q[: n + m], hard


def _named(names: Tensor, n: int, c: int, place: Place, *, same: bool) -> tuple[Tensor, Tensor]:
    """Names of rows and columns, where -1 equals nothing else on any rank; with `same`, a row equals its pair."""
    columns = torch.full((c,), -1, dtype=torch.long, device=names.device)
    columns[: len(names)] = names
    own = torch.arange(place.first, place.first + n, device=names.device)
    bank = torch.arange(place.total, place.total + c - n, device=names.device)
    nameless = -2 - torch.cat([own, bank])
    rows = columns[:n]
    others = nameless[:n] if same else nameless[:n] - place.total - (c - n)
    return torch.where(rows < 0, others, rows), torch.where(columns < 0, nameless, columns)
