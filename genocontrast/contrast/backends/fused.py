"""Loss and gradients in one operation, for backends that never hold the matrix of logits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from genocontrast.contrast.comparison import Comparison, Masses
from genocontrast.contrast.geometry import dots, first_order
from genocontrast.contrast.objective import Anchors, Found, Hard, mean_loss


class Pull(NamedTuple):
    """How the loss changes with what a sweep found for each anchor of one direction."""

    top: Tensor
    """As in `Masses`, shape=(terms, n)."""
    coefficient: Tensor
    """What ``exp(exponent - top)`` is multiplied with to give the gradient of a logit, shape=(terms, n)."""
    spread: Tensor | None
    """What multiplies that of a positive, and what is taken off, to give the gradient of the spread of the positives;
    equal, to the last bit, for a single one; shape=(2, n), with labels only."""

    @classmethod
    def of(cls, comparison: Comparison, masses: Masses, sums: Tensor, spread: Tensor | None) -> Pull:
        """From the gradients of the log-sums and of the spread."""
        # term by term: a tensor of the scales would be copied to the device, and waited for
        scaled = torch.stack([part * term.scale for part, term in zip(sums, comparison.terms, strict=True)])
        coefficient = torch.where(masses.total > 0, scaled / masses.total, 0)
        if spread is not None:
            divisors = torch.stack([masses.total[-1], masses.positive_count])
            spread = torch.where(divisors > 0, spread / divisors, 0).to(masses.top.dtype)
        return cls(masses.top, coefficient.to(masses.top.dtype), spread)

    def part(self, anchors: slice) -> Pull:
        """Of some anchors."""
        return Pull(
            self.top[:, anchors],
            self.coefficient[:, anchors],
            None if self.spread is None else self.spread[:, anchors],
        )

    def times(self, factor: Tensor) -> Pull:
        """With all gradients multiplied."""
        return Pull(self.top, self.coefficient * factor, None if self.spread is None else self.spread * factor)


class Sweep(Protocol):
    """One block of rows that sees all columns."""

    comparison: Comparison

    def statistics(self) -> tuple[Masses, Masses | None]:
        """Of the rows, and of the columns that are anchors."""

    def gradients(self, rows: Pull, columns: Pull | None, row_gradient: Tensor, column_gradient: Tensor) -> None:
        """Add to the gradients of rows and columns, shapes=(n, d) and (c, d)."""


class Engine(Protocol):
    """One way to sweep over a comparison."""

    @property
    def deferred(self) -> bool:
        """Whether gradients are computed in the backward pass rather than in the forward pass."""

    def sweeps(self, comparison: Comparison) -> Iterable[tuple[slice, Sweep]]:
        """Blocks of rows that are finished one after the other; all at once if columns are anchors too."""


class Outcome(NamedTuple):
    """The loss, and what the diagnostics need."""

    loss: Tensor
    masses: Masses
    """Of the rows."""
    edges: Tensor | None
    """Logits of the pairs or the given positives, shape=(n, p)."""
    share: Tensor
    """Of the hard negatives in what the negatives of a row weigh, shape=(n,)."""


def by_engine(
    engine: Engine,
    comparison: Comparison,
    given: Tensor | None,
    hard: Hard | None,
    least: Tensor,
    anchors: Anchors,
) -> Outcome:
    """The loss of a comparison by an engine; `given` are the logits of given positives, the rest as in `mean_loss`."""
    logits, bias = (None, None) if hard is None else hard
    loss, pairs, share, *masses = _Fused.apply(
        engine, comparison, bias, anchors, comparison.rows, comparison.columns, given, logits, least
    )
    return Outcome(loss, Masses(*masses), pairs if given is None else given.detach(), share)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        engine: Engine,
        comparison: Comparison,
        hard_bias: Tensor | None,
        anchors: Anchors,
        rows: Tensor,
        columns: Tensor,
        given: Tensor | None,
        hard: Tensor | None,
        least: Tensor,
    ) -> tuple[Tensor | None, ...]:
        comparison = comparison._replace(rows=rows.detach(), columns=columns.detach())
        wanted = any(ctx.needs_input_grad)
        now = wanted and not engine.deferred
        carried = [torch.zeros_like(rows), torch.zeros_like(columns)] if now else [None, None]
        blocks = []
        for some, sweep in engine.sweeps(comparison):
            own = None if hard is None else Hard(hard[some], None if hard_bias is None else hard_bias[some])
            block = _Block(some, sweep, None if given is None else given[some])
            block.solve(own, least, anchors, wanted)
            if now:
                block.carry(*carried)
            if not engine.deferred:
                block.sweep = None
            blocks.append(block)
        ctx.blocks = blocks if wanted and engine.deferred else []
        ctx.save_for_backward(*carried, *(_joined([block.direct[i] for block in blocks]) for i in range(3)))
        figures = (
            _joined([block.pairs for block in blocks]),
            _joined([block.share for block in blocks]),
            *(torch.cat(parts, -1) for parts in zip(*(block.masses for block in blocks), strict=True)),
        )
        ctx.mark_non_differentiable(*(value for value in figures if value is not None))
        return torch.stack([block.loss for block in blocks]).sum().to(rows.dtype), *figures

    @staticmethod
    @first_order
    def backward(ctx: Any, gradient: Tensor, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        rows, columns, given, hard, least = ctx.saved_tensors
        if ctx.blocks:
            comparison = ctx.blocks[0].comparison
            carried = [torch.zeros_like(comparison.rows), torch.zeros_like(comparison.columns)]
            for block in ctx.blocks:
                block.carry(*carried, factor=gradient)
        else:
            carried = [rows * gradient, columns * gradient]
        direct = [None if value is None else value * gradient for value in (given, hard)]
        return None, None, None, None, *carried, *direct, least.sum() * gradient


class _Block:
    """Some rows: their statistics, their loss, and how it changes with all that it is computed from."""

    def __init__(self, some: slice, sweep: Sweep, given: Tensor | None) -> None:
        self.some, self.comparison = some, sweep.comparison
        self.sweep: Sweep | None = sweep
        self.masses, self.mirrored = sweep.statistics()
        self.given = given
        self.pairs = None
        if self.comparison.pairs is not None:
            self.pairs = dots(self.comparison.rows, self.comparison.columns[self.paired])[:, None]

    @property
    def paired(self) -> slice:
        """The columns of the pairs."""
        assert self.comparison.pairs is not None
        return slice(self.comparison.pairs, self.comparison.pairs + len(self.comparison.rows))

    def solve(self, hard: Hard | None, least: Tensor, anchors: Anchors, wanted: bool) -> None:
        """The loss, and with `wanted` its gradients."""
        edges = self.pairs if self.given is None else self.given
        inputs = {"least": least, "edges": edges, "hard": None if hard is None else hard.logits}
        for name, masses in {"row": self.masses, "column": self.mirrored}.items():
            if masses is not None:
                inputs[f"{name}_sums"] = masses.log()
                if self.comparison.labels is not None:
                    inputs[f"{name}_spread"] = masses.spread(self.comparison.correct_positive)
        leaves = {name: value.detach().requires_grad_(wanted) for name, value in inputs.items() if value is not None}
        with torch.set_grad_enabled(wanted):
            loss, self.share = mean_loss(
                self.comparison,
                _found(leaves, "row", self.masses),
                None if self.mirrored is None else _found(leaves, "column", self.mirrored),
                leaves.get("edges"),
                None if hard is None else Hard(leaves["hard"], hard.bias),
                leaves["least"],
                anchors,
            )
        self.loss, self.gradients = loss.detach(), dict[str, Tensor]()
        if wanted:
            found = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
            self.gradients = dict(zip(leaves, found, strict=True))

    @property
    def direct(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Gradients of the given positives' logits, of the hard negatives' logits and of the lowest logit."""
        given = None if self.given is None else self.gradients.get("edges")
        least = self.gradients.get("least")
        return given, self.gradients.get("hard"), None if least is None else least[None]

    def carry(self, rows: Tensor, columns: Tensor, factor: Tensor | None = None) -> None:
        """Add to the gradients of all rows and columns."""
        assert self.sweep is not None
        of_rows = self._pull("row", self.masses)
        of_columns = None if self.mirrored is None else self._pull("column", self.mirrored)
        if factor is not None:
            of_rows, of_columns = of_rows.times(factor), None if of_columns is None else of_columns.times(factor)
        self.sweep.gradients(of_rows, of_columns, rows[self.some], columns)
        if self.pairs is not None:
            pull = self.gradients["edges"] if factor is None else self.gradients["edges"] * factor
            rows[self.some].addcmul_(pull, self.comparison.columns[self.paired])
            columns[self.paired].addcmul_(pull, self.comparison.rows)

    def _pull(self, name: str, masses: Masses) -> Pull:
        gradients = self.gradients
        return Pull.of(self.comparison, masses, gradients[f"{name}_sums"], gradients.get(f"{name}_spread"))


def _found(leaves: dict[str, Tensor], name: str, masses: Masses) -> Found:
    return Found(leaves[f"{name}_sums"], leaves.get(f"{name}_spread"), masses)


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    return None if parts[0] is None else torch.cat([part for part in parts if part is not None])
