"""The ranks that compute one loss together: who brings what, and whether all agree, told before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

import torch
import torch.distributed as dist
from torch import Tensor

from genocontrast.contrast.arguments import Arguments
from genocontrast.contrast.backends import Backend
from genocontrast.contrast.diagnostics import Diagnostics
from genocontrast.errors import ConfigError, GenocontrastError, ShapeError

# renamed in torch 2.13, where the old names warn
_all_gather = dist.all_gather_single if hasattr(dist, "all_gather_single") else dist.all_gather_into_tensor
_reduce_scatter = dist.reduce_scatter_single if hasattr(dist, "reduce_scatter_single") else dist.reduce_scatter_tensor

# what ranks tell each other of their arguments before anything else, and how an error speaks of it
HEADER = ("rows", "d", "the dtype of queries", "the dtype of keys", "the options")
KINDS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


class Team(NamedTuple):
    """The ranks that compute a loss together, and how many rows each brings."""

    group: dist.ProcessGroup | None
    rank: int
    """Within the group, as all ranks here."""
    sizes: tuple[int, ...]
    trained: bool = False
    """Whether any rank wants gradients, so that all must take part in the backward pass."""

    @property
    def own(self) -> int:
        """Rows of this rank."""
        return self.sizes[self.rank]

    @property
    def first(self) -> int:
        """Rows of the ranks before this one."""
        return sum(self.sizes[: self.rank])

    @property
    def share(self) -> float:
        """What this rank's mean is multiplied with, so that the mean over the ranks is the mean over all rows."""
        return self.own * len(self.sizes) / sum(self.sizes)

    def padded(self, rows: Tensor) -> Tensor:
        """With as many rows as the largest rank has: collectives want one size. Shape=(largest, ...)."""
        missing = max(self.sizes) - len(rows)
        return torch.cat([rows, rows.new_zeros(missing, *rows.shape[1:])]) if missing else rows.contiguous()

    def gather(self, rows: Tensor) -> Tensor:
        """Rows of all other ranks in their order, from shape=(own, k) to (others, k)."""
        parts = rows.new_empty(len(self.sizes) * max(self.sizes), rows.shape[1])
        _all_gather(parts, self.padded(rows), group=self.group)
        chunks = zip(parts.chunk(len(self.sizes)), self.sizes, strict=True)
        return torch.cat([rows[:0], *(chunk[:size] for i, (chunk, size) in enumerate(chunks) if i != self.rank)])

    def reduce(self, own: Tensor, others: Tensor) -> Tensor:
        """The way back of `gather`: what all ranks found for the rows of this one, summed; shape=(own, k)."""
        parts = list(others.split([size for i, size in enumerate(self.sizes) if i != self.rank]))
        parts.insert(self.rank, own)
        result = own.new_empty(max(self.sizes), own.shape[1])
        _reduce_scatter(result, torch.cat([self.padded(part) for part in parts]), group=self.group)
        return result[: self.own]


def gathered_sizes(rows: Tensor, group: dist.ProcessGroup | None) -> tuple[int, ...]:
    """How many rows each rank brings."""
    sizes = torch.empty(dist.get_world_size(group), dtype=torch.long, device=rows.device)
    _all_gather(sizes, torch.tensor([len(rows)], device=rows.device), group=group)
    return tuple(sizes.tolist())


def agree(
    arguments: Arguments,
    symmetric: bool,
    backend: str,
    group: dist.ProcessGroup | None,
    sizes: Sequence[int] | None,
    *,
    ring: bool = False,
) -> Team:
    """Check the arguments of all ranks, or where `sizes` are given, of this one; raises on all ranks together."""
    if not dist.is_initialized() or dist.get_rank(group) < 0:
        raise ConfigError("this process is in no process group", remedy="in a single process, use info_nce")
    rank, world = dist.get_rank(group), dist.get_world_size(group)
    problem = _problem(arguments, backend)
    if sizes is not None:
        if problem is None and (len(sizes) != world or sizes[rank] != len(arguments.queries) or not any(sizes)):
            expected = f"sizes must give the rows of {world} ranks, {len(arguments.queries)} of them on rank {rank}"
            problem = ShapeError(expected, value=list(sizes))
        if problem is not None:
            raise problem
        # one without rows may have constants, and cannot know whether the others have
        return Team(group, rank, tuple(sizes), trained=not sizes[rank])
    device, told = arguments.queries.device, [0] * (len(HEADER) + 2)
    if problem is None:
        given = (arguments.ids, arguments.labels, arguments.log_q)
        switches = [symmetric, ring, arguments.debias > 0, arguments.hardness > 0, *(x is not None for x in given)]
        kinds = [KINDS.index(x.dtype) for x in (arguments.queries, arguments.keys)]
        options = sum(int(switch) << i for i, switch in enumerate(switches))
        told = [*arguments.queries.shape, *kinds, options, int(_trained(arguments)), 1]
    heard = torch.empty(world * len(told), dtype=torch.long, device=device)
    _all_gather(heard, torch.tensor(told, device=device), group=group)
    headers = heard.view(world, -1).tolist()
    if problem is not None:
        raise problem
    _compare(headers)
    return Team(group, rank, tuple(header[0] for header in headers), any(header[-2] for header in headers))


def no_diagnostics(arguments: Arguments) -> Diagnostics:
    """Of a rank without rows: zeros, which weigh nothing where ranks are weighed by their rows."""
    zero = torch.zeros((), device=arguments.queries.device)
    names = Diagnostics.__annotations__.keys() - {"backend"}
    return {**dict.fromkeys(names, zero), "backend": "none"}  # type: ignore[typeddict-item]


def split_log_q(arguments: Arguments) -> tuple[Tensor, Tensor, Tensor]:
    """`log_q` of the keys, of the bank and of the hard negatives."""
    assert arguments.log_q is not None
    n, m = arguments.size
    log_q = arguments.log_q.detach()
    return log_q[:n], log_q[n : n + m], log_q[n + m :]


def differentiable(arguments: Arguments) -> dict[str, Tensor]:
    """The arguments that may have a gradient."""
    named = {name: getattr(arguments, name) for name in ("queries", "keys", "temperature", "hard", "bank")}
    return {name: value for name, value in named.items() if isinstance(value, Tensor)}


def _trained(arguments: Arguments) -> bool:
    return torch.is_grad_enabled() and any(value.requires_grad for value in differentiable(arguments).values())


def _problem(arguments: Arguments, backend: str) -> GenocontrastError | None:
    """What is wrong on this rank; not raised yet, because the other ranks wait for its word."""
    try:
        if backend not in get_args(Backend):
            remedy = f"use one of {', '.join(get_args(Backend))}"
            raise ConfigError("no such backend of info_nce", value=backend, remedy=remedy)
        queries, keys = arguments.queries, arguments.keys
        if queries.ndim == 2 and queries.shape[1] and keys.shape == queries.shape and not len(queries):
            # the checks ask for a row: show them one, without what is given for each row
            row = queries.new_zeros(1, queries.shape[1])
            given: dict[str, Any] = dict.fromkeys(("hard", "hard_weight", "log_q", "ids", "labels"))
            arguments = arguments._replace(queries=row, keys=row.to(keys.dtype), **given)
        arguments.check()
        if {queries.dtype, keys.dtype} - set(KINDS):
            raise ShapeError(
                "queries and keys must be float16, bfloat16, float32 or float64", value=str((queries.dtype, keys.dtype))
            )
    except GenocontrastError as error:
        return error
    return None


def _compare(headers: list[list[int]]) -> None:
    for rank, header in enumerate(headers):
        if not header[-1]:
            raise ShapeError(f"rank {rank} was given arguments that are wrong", remedy="see the error on that rank")
        for i, name in list(enumerate(HEADER))[1:]:
            if header[i] != headers[0][i]:
                value = (KINDS[headers[0][i]], KINDS[header[i]]) if "dtype" in name else (headers[0][i], header[i])
                raise ShapeError(f"ranks 0 and {rank} do not agree on {name}", value=value)
    if not any(header[0] for header in headers):
        raise ShapeError("no rank has rows")
