"""InfoNCE over many processes: each compares its own rows with the rows of all, and gradients find their owners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from genocontrast.contrast.arguments import Arguments
from genocontrast.contrast.backends import Backend
from genocontrast.contrast.backends.fused import by_engine
from genocontrast.contrast.diagnostics import diagnose
from genocontrast.contrast.distributed.ring import ENGINES, Circle, Ring
from genocontrast.contrast.distributed.team import Team, agree, differentiable, no_diagnostics, split_log_q
from genocontrast.contrast.geometry import first_order, full_precision
from genocontrast.contrast.loss import ContrastiveLoss, solve
from genocontrast.contrast.preparation import Place, prepare
from genocontrast.errors import ConfigError


def gathered_info_nce(
    queries: Tensor,
    keys: Tensor,
    *,
    temperature: float | Tensor,
    hard: Tensor | None = None,
    hard_weight: Tensor | None = None,
    bank: Tensor | None = None,
    log_q: Tensor | None = None,
    correct_positive: bool = True,
    ids: Tensor | None = None,
    labels: Tensor | None = None,
    debias: float = 0.0,
    hardness: float = 0.0,
    symmetric: bool = True,
    backend: Backend = "auto",
    group: dist.ProcessGroup | None = None,
    sizes: Sequence[int] | None = None,
) -> ContrastiveLoss:
    """`info_nce` of the batches of all ranks as one batch, each rank computing the losses of its own anchors.

    The keys of all ranks are gathered (with the queries, if `symmetric`), and gradients are summed over the ranks and
    returned to their owners ('gather with gradients and local loss' of OpenCLIP; Ilharco et al., 2021). A rank holds
    n x N logits at most, never N x N, for its n of the N rows. Averaged over the ranks, as DistributedDataParallel
    does, the gradients of shared parameters are those of one process with all rows, also where ranks have different
    numbers of rows. A rank may have none; its tensors then have shapes (0, ...). All ranks must call this, and go
    backward, or none.

    Parameters
    ----------
    queries, keys : torch.Tensor, shape=(n, d)
        Of this rank, n >= 0; `d` and the types are the same on all ranks.
    temperature, hard, hard_weight, correct_positive, debias, hardness, symmetric, backend
        As in `info_nce`; numbers and switches the same on all ranks.
    bank : torch.Tensor, shape=(m, d), optional
        Keys that the queries of this rank share; for the loss of one process, the same on all ranks.
    log_q : torch.Tensor, shape=(n + m,) or (n + m + n * h,), optional
        Of this rank's keys, bank and hard negatives. Given on all ranks or none, as `ids` and `labels`.
    ids, labels : torch.Tensor of integers, shape=(n,) or (n + m,), optional
        Of this rank's keys and bank; equal ones are found across ranks.
    group : torch.distributed.ProcessGroup, optional
        The ranks, which must be those over which gradients are averaged. Default: all.
    sizes : sequence of int, optional
        Rows of each rank, where they are known. Default: ranks tell each other, for which the host waits for the
        device; arguments that are wrong or do not agree are then an error on all ranks. With `sizes` nothing is
        told: the device need not wait, but ranks may wait for one that failed until the timeout of the group.

    Returns
    -------
    ContrastiveLoss
        ``loss``: the mean over the ranks is the loss of all rows; a rank without rows has 0. ``diagnostics`` are
        those of this rank's queries, among the keys of all ranks, 0 without rows: weigh them by rows to average.

    Raises
    ------
    ShapeError
        As `info_nce`, and where ranks do not agree or none has rows.
    ConfigError
        At an unknown backend, and without a process group.
    """
    arguments = Arguments(
        queries, keys, temperature, hard, hard_weight, bank, log_q, ids, labels, None, debias, hardness
    )
    team = agree(arguments, symmetric, backend, group, sizes)
    arguments, others = _exchange(arguments, symmetric, team)
    if not team.own:
        return _nothing(arguments)
    d = arguments.queries.shape[1]
    shared = others.vectors[:, :d] if arguments.bank is None else torch.cat([others.vectors[:, :d], arguments.bank])
    one_way = arguments._replace(bank=shared, **others.inserted(arguments))
    loss, diagnostics = solve(one_way, False, correct_positive, backend, queries.dtype)
    if symmetric:
        # hard negatives and the bank are keys: no candidates here
        back = arguments._replace(
            queries=arguments.keys,
            keys=arguments.queries,
            bank=others.vectors[:, d:],
            hard=None,
            hard_weight=None,
            **others.inserted(arguments, shared=False),
        )
        loss = (loss + solve(back, False, correct_positive, backend, queries.dtype).loss) / 2
    return ContrastiveLoss(loss * team.share, diagnostics)


def ring_info_nce(
    queries: Tensor,
    keys: Tensor,
    *,
    temperature: float | Tensor,
    hard: Tensor | None = None,
    hard_weight: Tensor | None = None,
    bank: Tensor | None = None,
    log_q: Tensor | None = None,
    correct_positive: bool = True,
    ids: Tensor | None = None,
    labels: Tensor | None = None,
    debias: float = 0.0,
    hardness: float = 0.0,
    symmetric: bool = True,
    backend: str = "auto",
    group: dist.ProcessGroup | None = None,
    sizes: Sequence[int] | None = None,
) -> ContrastiveLoss:
    """`gathered_info_nce` that holds the keys of one other rank at a time, and of a next one that is under way.

    Blocks of keys go round, and with them what was found for the keys as anchors of the mirrored direction; in the
    backward pass they go round again and bring their gradients home. The same arguments and result; memory grows
    with the largest batch of a rank, not with the number of ranks. Each product is computed once for both
    directions, where `gathered_info_nce` computes it twice, and once more in the backward pass.

    Parameters
    ----------
    queries, keys, temperature, hard, hard_weight, bank, log_q, correct_positive, ids, labels, debias, hardness, \
symmetric, group, sizes
        As in `gathered_info_nce`.
    backend : {"auto", "chunked"}, optional
        What compares the rows of this rank with a block.

    Returns
    -------
    ContrastiveLoss
        As `gathered_info_nce`.

    Raises
    ------
    ShapeError, ConfigError
        As `gathered_info_nce`; also ConfigError at a backend that cannot do a block at a time.
    """
    arguments = Arguments(
        queries, keys, temperature, hard, hard_weight, bank, log_q, ids, labels, None, debias, hardness
    )
    team = agree(arguments, symmetric, backend, group, sizes, ring=True)
    if backend not in ENGINES:
        # on all ranks, because all have agreed on it
        raise ConfigError("the ring has no such backend", value=backend, remedy=f"use one of {', '.join(ENGINES)}")

    ring = Ring(ENGINES[backend], Circle(team), symmetric)
    kind = torch.promote_types(queries.dtype, torch.float32)
    if team.trained and torch.is_grad_enabled() and not keys.requires_grad:
        # gradients come home on every rank, or the others wait
        arguments = arguments._replace(keys=keys.detach().requires_grad_())
    with full_precision(queries.device.type):
        cold = 1 / torch.as_tensor(temperature, dtype=kind, device=queries.device).reshape(())
        total = sum(team.sizes)
        comparison, own = prepare(arguments, cold, symmetric, correct_positive, Place(team.first, total))
        outcome = by_engine(ring, comparison, None, own, -cold, (total, total))
        loss = outcome.loss * len(team.sizes)
        if not team.own:
            return ContrastiveLoss(loss, no_diagnostics(arguments))
        return ContrastiveLoss(loss, diagnose(comparison, outcome, own, 1 / cold, "chunked"))


def _nothing(arguments: Arguments) -> ContrastiveLoss:
    """Of a rank without rows: a loss of 0 with all tensors in its graph, so that the backward pass runs."""
    tensors = differentiable(arguments).values()
    loss = torch.stack([tensor.flatten()[:0].sum().to(arguments.keys.dtype) for tensor in tensors]).sum()
    return ContrastiveLoss(loss, no_diagnostics(arguments))


class _Others(NamedTuple):
    """What was gathered of the other ranks."""

    vectors: Tensor
    """Keys, and with a mirrored direction queries beside them, shape=(others, d or 2 * d)."""
    names: dict[str, Tensor]
    """Their ids, labels and log_q where there are any, shape=(others,)."""

    def inserted(self, arguments: Arguments, *, shared: bool = True) -> dict[str, Any]:
        """Own ids, labels and log_q, with those of the others as the first rows of the bank."""
        n, m = arguments.size
        result = {}
        for name in self.names.keys() - {"log_q"}:
            own = getattr(arguments, name).long()
            # a bank without names is nothing's equal
            after = own[n:] if len(own) == n + m else own.new_full((m,), -1)
            result[name] = torch.cat([own[:n], self.names[name], *([after] if shared else [])])
        if arguments.log_q is not None:
            keys, bank, hard = split_log_q(arguments)
            result["log_q"] = torch.cat([keys, self.names["log_q"], *([bank, hard] if shared else [])])
        return result


def _exchange(arguments: Arguments, symmetric: bool, team: Team) -> tuple[Arguments, _Others]:
    """The arguments of this rank, in whose graph the collective of the backward pass now is, and the others'."""
    named = {}
    for name, values in {"ids": arguments.ids, "labels": arguments.labels}.items():
        if values is not None:
            named[name] = values[: team.own].long()
    if arguments.log_q is not None:
        # the bits of a double, so that all goes in one message
        named["log_q"] = split_log_q(arguments)[0].double().view(torch.long)
    names: dict[str, Tensor] = {}
    if named:
        names = dict(zip(named, team.gather(torch.stack(list(named.values()), 1)).unbind(1), strict=True))
    if "log_q" in names:
        names["log_q"] = names["log_q"].contiguous().view(torch.double)
    sent = torch.cat([arguments.keys, arguments.queries], 1) if symmetric else arguments.keys
    if team.trained and torch.is_grad_enabled() and not sent.requires_grad:
        sent = sent.detach().requires_grad_()
    passing = differentiable(arguments)
    for name in ("keys", "queries") if symmetric else ("keys",):
        del passing[name]
    own, vectors, *passed = _Gathered.apply(team, sent, *passing.values())
    d = arguments.queries.shape[1]
    arguments = arguments._replace(**dict(zip(passing, passed, strict=True)), keys=own[:, :d])
    return arguments._replace(queries=own[:, d:]) if symmetric else arguments, _Others(vectors, names)


class _Gathered(torch.autograd.Function):
    """One collective forward and one backward.

    All that has a gradient passes through here, so that none leaves the loss before the collective: those of
    DistributedDataParallel come after it on all ranks, and never in two orders, which would be a deadlock.
    """

    @staticmethod
    def forward(ctx: Any, team: Team, sent: Tensor, *passing: Tensor) -> tuple[Tensor, ...]:
        ctx.team, ctx.kind = team, sent.dtype
        # sent as it is, summed in full precision on the way back
        kind = torch.promote_types(sent.dtype, torch.float32)
        others = team.gather(sent).to(kind)
        return sent.to(kind, copy=True), others, *(tensor.view_as(tensor) for tensor in passing)

    @staticmethod
    @first_order
    def backward(ctx: Any, own: Tensor, others: Tensor, *passing: Tensor) -> tuple[Tensor | None, ...]:
        return None, ctx.team.reduce(own, others).to(ctx.kind), *passing
