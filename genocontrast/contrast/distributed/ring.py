"""The ring in which keys travel from rank to rank, so that no rank ever holds the keys of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from genocontrast.contrast.backends.chunked import Chunked
from genocontrast.contrast.backends.fused import Pull
from genocontrast.contrast.comparison import Comparison, Masses
from genocontrast.contrast.distributed.team import Team

# what a rank sends round, by name; all with as many rows as the largest rank has
Block: TypeAlias = dict[str, Tensor]
# what a rank finds when it meets the block of a rank, by number; then merged with what the ranks before found
Visit: TypeAlias = Callable[[int, Block], Tensor | None]
Merge: TypeAlias = Callable[[Tensor, Tensor], Tensor]
Statistics = TypeVar("Statistics", Masses, Pull)

ENGINES: dict[str, type[Chunked]] = {"auto": Chunked, "chunked": Chunked}


class Circle:
    """Neighbours that hand blocks on, each to the next rank."""

    def __init__(self, team: Team) -> None:
        self.team, self.world = team, len(team.sizes)

    def tour(self, block: Block, visit: Visit, merge: Merge) -> Tensor | None:
        """Send a block past all ranks, and bring home what they found for it.

        Parameters
        ----------
        block : dict of str to torch.Tensor, shape=(largest, ...)
            Of this rank.
        visit : callable
            Gets a block and the number of the rank that it is of; own block first.
        merge : callable
            Of what the ranks before found for a block, and what this one found.
        """
        carried: Tensor | None = None
        for step in range(self.world):
            blocks = list(block.values()) if step + 1 < self.world else []
            # the next block comes, and what others found for this one, while this rank is at work
            received, under_way = self._shift([*blocks, *([] if carried is None else [carried])])
            found = visit((self.team.rank - step) % self.world, block)
            for work in under_way:
                work.wait()
            carried = found if carried is None or found is None else merge(received[-1], found)
            block = dict(zip(block, received, strict=False))
        if carried is None:
            return None
        (home,), under_way = self._shift([carried])
        for work in under_way:
            work.wait()
        return home

    def _shift(self, sent: list[Tensor]) -> tuple[list[Tensor], list[dist.Work]]:
        """Start to send to the next rank and to receive the same shapes from the one before, in one batch."""
        if self.world == 1 or not sent:
            return sent, []
        group = self.team.group or dist.group.WORLD
        assert group is not None
        after, before = (dist.get_global_rank(group, (self.team.rank + i) % self.world) for i in (1, -1))
        received = [torch.empty_like(tensor) for tensor in sent]
        operations = [dist.P2POp(dist.isend, tensor, after, group, tag) for tag, tensor in enumerate(sent)]
        operations += [dist.P2POp(dist.irecv, tensor, before, group, tag) for tag, tensor in enumerate(received)]
        return received, dist.batch_isend_irecv(operations)


class Ring(NamedTuple):
    """The engine whose columns are those of all ranks, though a comparison has only those of this one."""

    engine: type[Chunked]
    """What compares the rows with a block."""
    circle: Circle
    mirrored: bool
    """Whether columns are anchors; a rank without rows cannot tell from its comparison."""

    @property
    def deferred(self) -> bool:
        """Gradients go round in the backward pass."""
        return True

    def sweeps(self, comparison: Comparison) -> Iterator[tuple[slice, Rounds]]:
        """All rows at once, also where there are none: the other ranks wait."""
        yield slice(0, len(comparison.rows)), Rounds(comparison, self)


class Rounds:
    """The two rounds of a comparison: one that finds, one that brings gradients home."""

    def __init__(self, comparison: Comparison, ring: Ring) -> None:
        self.comparison = comparison
        self.engine, self.circle, self.mirrored = ring
        self.terms, self.own = len(comparison.terms), len(comparison.rows)
        self.sizes = self.circle.team.sizes

    def statistics(self) -> tuple[Masses, Masses | None]:
        """Of the rows, and with a mirrored direction of this rank's own columns."""
        like = self.comparison.rows
        of_rows, none = Masses.empty(self.terms, self.own, like), Masses.empty(self.terms, 0, like)
        if self._bank is not None:
            of_rows = merged(of_rows, self.engine(self._bank).statistics()[0])

        def visit(owner: int, block: Block) -> Tensor | None:
            nonlocal of_rows
            found = None
            if self.own and self.sizes[owner]:
                more, found = self.engine(self._meeting(owner, block)).statistics()
                of_rows = merged(of_rows, more)
            if not self.mirrored:
                return None
            return self.circle.team.padded(
                pack(Masses.empty(self.terms, self.sizes[owner], like) if found is None else found)
            )

        def merge(one: Tensor, other: Tensor) -> Tensor:
            return pack(merged(unpack(one, none), unpack(other, none)))

        home = self.circle.tour(self._block(), visit, merge)
        if home is None or not self.comparison.mirrored:
            return of_rows, None
        return of_rows, unpack(home[: self.own], none)

    def gradients(self, rows: Pull, columns: Pull | None, row_gradient: Tensor, column_gradient: Tensor) -> None:
        """Add to the gradients of this rank's rows and columns what all ranks find."""
        vectors = self.comparison.columns
        if self._bank is not None:
            self.engine(self._bank).gradients(rows, None, row_gradient, column_gradient[self.own :])

        def visit(owner: int, block: Block) -> Tensor:
            found = vectors.new_zeros(max(self.sizes), vectors.shape[1])
            size = self.sizes[owner]
            if self.own and size:
                pull = unpack(block["pull"][:size], rows) if self.mirrored else None
                self.engine(self._meeting(owner, block)).gradients(rows, pull, row_gradient, found[:size])
            return found

        block = self._block()
        if self.mirrored:
            # without columns there are no rows either
            block["pull"] = self.circle.team.padded(pack(rows if columns is None else columns))
        home = self.circle.tour(block, visit, torch.add)
        assert home is not None
        column_gradient[: self.own].add_(home[: self.own])

    def _block(self) -> Block:
        """What the other ranks must know of this rank's columns."""
        comparison = self.comparison
        names = {"labels": comparison.labels, "ids": comparison.ids}
        own = {"vectors": comparison.columns, "bias": comparison.bias}
        own |= {name: value[1] for name, value in names.items() if value is not None}
        return {name: self.circle.team.padded(value[: self.own]) for name, value in own.items() if value is not None}

    def _meeting(self, owner: int, block: Block) -> Comparison:
        """Rows of this rank and the columns of a rank."""
        columns = {name: value[: self.sizes[owner]] for name, value in block.items()}
        pairs = self.comparison.pairs if owner == self.circle.team.rank else None
        mirrored = self.sizes[owner] if self.mirrored else 0
        return self._against(columns)._replace(pairs=pairs, mirrored=mirrored, row_bias=self.comparison.row_bias)

    @property
    def _bank(self) -> Comparison | None:
        """Rows of this rank and its bank; None where either is empty."""
        comparison, bank = self.comparison, slice(self.own, None)
        if not self.own or len(comparison.columns) == self.own:
            return None
        columns = {"vectors": comparison.columns[bank]}
        if comparison.bias is not None:
            columns["bias"] = comparison.bias[bank]
        for name, value in {"labels": comparison.labels, "ids": comparison.ids}.items():
            if value is not None:
                columns[name] = value[1][bank]
        return self._against(columns)

    def _against(self, columns: Block) -> Comparison:
        labels, ids = self.comparison.labels, self.comparison.ids
        return self.comparison._replace(
            columns=columns["vectors"],
            labels=None if labels is None else (labels[0], columns["labels"]),
            ids=None if ids is None else (ids[0], columns["ids"]),
            bias=columns.get("bias"),
            pairs=None,
            mirrored=0,
            row_bias=None,
        )


def merged(one: Masses, other: Masses) -> Masses:
    """What was found among two sets of candidates of the same anchors."""
    top = torch.maximum(one.top, other.top)
    total = one.total * (one.top - top).exp() + other.total * (other.top - top).exp()
    sums = Masses(*(a + b for a, b in zip(one, other, strict=True)))
    return sums._replace(
        top=top,
        total=total,
        best_positive=torch.maximum(one.best_positive, other.best_positive),
        best_negative=torch.maximum(one.best_negative, other.best_negative),
    )


def pack(values: Statistics) -> Tensor:
    """Of n anchors, in one tensor to send: shape=(n, ...), in the widest of the types."""
    return torch.cat([torch.atleast_2d(value) for value in values if value is not None]).T.contiguous()


def unpack(packed: Tensor, like: Statistics) -> Statistics:
    """What was packed, with the fields and types of another."""
    heights = [1 if value.ndim == 1 else len(value) for value in like if value is not None]
    parts, fields = list(torch.split(packed.T, heights)), list[Any]()
    for value in like:
        part = None if value is None else parts.pop(0).to(value.dtype)
        fields.append(part[0] if part is not None and value is not None and value.ndim == 1 else part)
    return type(like)(*fields)
