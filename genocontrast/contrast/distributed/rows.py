"""Rows of all processes as one tensor, such as a bank that all anchors of all processes share."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from genocontrast.contrast.distributed.team import Team, gathered_sizes
from genocontrast.contrast.geometry import first_order
from genocontrast.errors import ShapeError


def gather_rows(rows: Tensor, group: dist.ProcessGroup | None = None) -> Tensor:
    """Rows of all ranks, this one's first; gradients are summed over the ranks and return to their owners.

    Averaged over the ranks, as DistributedDataParallel does, gradients of shared parameters are those of one process
    with all rows. All ranks must call this, and go backward, or none.

    Parameters
    ----------
    rows : torch.Tensor, shape=(n, d)
        Of this rank; n may differ between ranks.
    group : torch.distributed.ProcessGroup, optional
        Default: all ranks.

    Returns
    -------
    torch.Tensor, shape=(N, d)

    Raises
    ------
    ShapeError
        Where `rows` are not of two dimensions.
    """
    if rows.ndim != 2:
        raise ShapeError("rows must have shape (n, d)", value=tuple(rows.shape))
    team = Team(group, dist.get_rank(group), gathered_sizes(rows, group))
    return _Rows.apply(rows, team)


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, team: Team) -> Tensor:
        ctx.team = team
        return torch.cat([rows, team.gather(rows)])

    @staticmethod
    @first_order
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        own = ctx.team.own
        return ctx.team.reduce(gradient[:own], gradient[own:]), None
