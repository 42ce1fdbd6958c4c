"""Fused CUDA kernels: what `Chunked` computes, with tiles in registers and both directions in one sweep.

Nothing here waits for the device. Sums are taken in a fixed order: the same input gives the same loss and gradients.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genocontrast.contrast.backends.chunked import count_negatives
from genocontrast.contrast.backends.fused import Pull
from genocontrast.contrast.backends.triton_device import Tile, check, device_of, load_kernels, padded, tiles
from genocontrast.contrast.comparison import Comparison, Masses, Term

# bytes of the sums that programs keep of each column, where the vectors themselves take less
PARTIALS = 64 << 20
LOG2E = math.log2(math.e)


class Triton:
    """The backend for CUDA devices.

    Parameters
    ----------
    comparison : Comparison
        Of float32 vectors on a CUDA device.
    operands : torch.dtype, optional
        What is multiplied: float32 (default), or bfloat16 or float16 for the tensor cores; sums are of float32.

    Attributes
    ----------
    tile, gradient_tile : Tile
        Of the sweep and of the gradients.
    programs : int
        How many run at once; each keeps a sum of each column that is an anchor.
    precision : str
        How `tl.dot` multiplies float32: "ieee", or "tf32x3" on tensor cores.

    Raises
    ------
    ConfigError
        Without Triton, without a device, for float64 or for vectors of more than 512 numbers.
    """

    deferred = True

    def __init__(self, comparison: Comparison, operands: torch.dtype | None = None) -> None:
        self.kernels, self.interpreted = load_kernels()
        rows = comparison.rows
        self.comparison = comparison
        kind = operands or comparison.operands or torch.float32
        check(rows, kind, self.interpreted)
        self.half = kind != torch.float32
        processors, capability = device_of(rows)
        self.width = max(16, 1 << (rows.shape[1] - 1).bit_length())
        short = len(rows) < 128 * processors or not comparison.plain
        self.tile, self.gradient_tile = tiles(self.half, self.width, capability, short)
        self.programs, self.precision = 2 * processors, "ieee"
        norms = [torch.linalg.vector_norm(vectors, dim=1).amax() for vectors in (rows, comparison.columns)]
        # halves are unit vectors, multiplied with 1 / temperature after their product
        self.factor = torch.where(norms[0] > 0, norms[0], 1) if self.half else torch.ones_like(norms[0])
        self.highest = norms[0] * norms[1]
        self.rows = _Side.of(comparison, 0, padded(rows, self.factor, self.width, kind), comparison.row_bias)
        unscaled = padded(comparison.columns, torch.ones_like(self.factor), self.width, kind)
        self.columns = _Side.of(comparison, 1, unscaled, comparison.bias)

    @classmethod
    def sweeps(cls, comparison: Comparison) -> Iterator[tuple[slice, Triton]]:
        """All rows at once: no tile is kept."""
        yield slice(0, len(comparison.rows)), cls(comparison)

    def statistics(self) -> tuple[Masses, Masses | None]:
        """Of the rows, and of the columns that are anchors."""
        comparison, mirrored = self.comparison, self.comparison.mirrored
        of_rows: list[_Found] = []
        of_columns: list[_Found] = []
        for term in comparison.terms:
            if not mirrored:
                of_rows.append(self._sweep(term, self.rows, self.columns, comparison.pairs))
            elif comparison.plain:
                row, column = self._sweep_both(term)
                of_rows.append(row)
                of_columns.append(column)
            else:
                # a second sweep instead of a sum per program, column and figure
                of_rows.append(self._sweep(term, self.rows, self.columns, comparison.pairs))
                of_columns.append(self._sweep(term, self.columns.part(slice(mirrored)), self.rows, self._back))
        masses = _masses(of_rows, comparison)
        if comparison.plain:
            count_negatives(comparison, masses)
        return masses, _masses(of_columns, comparison) if mirrored else None

    def gradients(self, rows: Pull, columns: Pull | None, row_gradient: Tensor, column_gradient: Tensor) -> None:
        """Add the gradients of rows and columns, given those of the log-sums."""
        comparison = self.comparison
        scale = self._magnitude([rows] if columns is None else [rows, columns])
        of_rows = self._packed(rows, len(comparison.rows), scale)
        of_columns = None if columns is None else self._packed(columns, len(comparison.columns), scale)
        sides = (self.rows, self.columns), (self.columns, self.rows)
        self._pull(*sides[0], of_rows, of_columns, comparison.pairs, 1 / scale, row_gradient)
        self._pull(*sides[1], of_columns, of_rows, self._back, self.factor / scale, column_gradient)

    @property
    def _back(self) -> int | None:
        return None if self.comparison.pairs is None else -self.comparison.pairs

    def _sweep_both(self, term: Term) -> tuple[_Found, _Found]:
        """Of the rows and of the columns that are anchors, where only pairs are no negatives."""
        mirrored, rest = self.comparison.mirrored, len(self.comparison.columns) - self.comparison.mirrored
        blocks = -(-len(self.rows.vectors) // self.tile.anchors)
        room = max(PARTIALS, 4 * (self.comparison.rows.numel() + self.comparison.columns.numel())) // (4 * mirrored)
        most = max(1, min(blocks, self.programs, room))
        # no fewer rounds with more programs
        programs = -(-blocks // -(-blocks // most))
        partial = torch.empty(programs, mirrored, device=self.factor.device)
        found = self._sweep(term, self.rows, self.columns.part(slice(mirrored)), self.comparison.pairs, partial)
        if rest:
            shift = None if self.comparison.pairs is None else self.comparison.pairs - mirrored
            found = found.joined(self._sweep(term, self.rows, self.columns.part(slice(mirrored, None)), shift))
        sums = partial.new_zeros(7, mirrored)
        with torch.cuda.device_of(partial):
            self.kernels.merge[(-(-mirrored // 128),)](
                partial, sums, self._gauge(term.scale), programs, mirrored, BN=128, enable_fp_fusion=True
            )
        return found, _Found.of(sums)

    def _sweep(self, term: Term, own: _Side, other: _Side, shift: int | None, partial: Tensor | None = None) -> _Found:
        found = self.factor.new_zeros(7, len(own.vectors))
        grid = -(-len(own.vectors) // self.tile.anchors) if partial is None else len(partial)
        self._launch(
            self.kernels.sweep,
            grid,
            self.tile,
            *(own.vectors, other.vectors, found, partial, self._gauge(term.scale)),
            *(own.bias if term.biased and partial is not None else None, other.bias if term.biased else None),
            *self._masks(own, other, shift),
            SCALE=float(term.scale),
            POSITIVE=term.kind == "positive",
            GIVEN_BY_A=own is self.rows,
        )
        return _Found.of(found)

    def _pull(
        self,
        own: _Side,
        other: _Side,
        of_own: Tensor | None,
        of_other: Tensor | None,
        shift: int | None,
        gain: Tensor,
        out: Tensor,
    ) -> None:
        hardness = self.comparison.hardness
        self._launch(
            self.kernels.gradient,
            -(-len(own.vectors) // self.gradient_tile.anchors),
            self.gradient_tile,
            *(own.vectors, other.vectors, out, out.stride(0), gain, self._gauge(1 + hardness), of_own, of_other),
            *(own.bias if of_other is not None else None, other.bias if of_own is not None else None),
            *self._masks(own, other, shift),
            out.shape[1],
            FIRST=float(1 + hardness),
            SECOND=float(hardness),
            CORRECT=self.comparison.correct_positive,
            GIVEN_BY_A=own is self.rows,
        )

    def _masks(self, own: _Side, other: _Side, shift: int | None) -> tuple[Any, ...]:
        """What says which candidates count, and how many vectors there are."""
        given = self.comparison.given
        shift = shift if given is None and own.labels is None else None
        width = 0 if given is None else given.shape[1]
        names = own.labels, other.labels, own.ids, other.ids
        given = None if given is None else given.contiguous()
        return shift, *names, given, width, len(own.vectors), len(other.vectors)

    def _gauge(self, scale: float) -> Tensor:
        """What logits are computed with, and what no exponent exceeds."""
        bound = self.highest * scale
        for bias in (self.comparison.bias, self.comparison.row_bias):
            if bias is not None:
                bound = bound + bias.abs().amax()
        return torch.stack([self.factor, bound])

    def _launch(self, kernel: Any, grid: int, tile: Tile, *arguments: Any, **constants: Any) -> None:
        with torch.cuda.device_of(self.factor):
            for shared in (True, False):
                kernel[(grid,)](
                    *arguments,
                    **constants,
                    MASKS=not self.comparison.plain,
                    SHARED=shared,
                    BM=tile.anchors,
                    BN=tile.candidates,
                    DP=self.width,
                    DK=min(tile.depth, self.width),
                    UPCAST=self.half and self.interpreted,
                    PRECISION=self.precision,
                    num_warps=tile.warps,
                    num_stages=tile.stages,
                    maxnreg=tile.registers if self.comparison.plain else None,
                    enable_fp_fusion=True,
                )

    def _magnitude(self, pulls: list[Pull]) -> Tensor:
        """A power of two that brings gradients of logits into the range of float16; else 1."""
        if self.rows.vectors.dtype != torch.float16:
            return torch.ones_like(self.factor)
        values = [value for pull in pulls for value in (pull.coefficient, pull.spread) if value is not None]
        most = torch.stack([value.abs().amax() for value in values]).amax()
        return torch.where(most > 0, torch.exp2(12 - most.log2().ceil()), 1)

    def _packed(self, pull: Pull, n: int, scale: Tensor) -> Tensor:
        """As the kernels want it, of `n` vectors of which the last may be no anchors."""
        exact = pull.top.double() * LOG2E
        top = exact.float()
        coefficient, spread = pull.coefficient.double(), pull.spread
        if spread is not None:
            # of a single positive nothing remains, not even what rounding would leave
            spread = torch.where(spread[0] == spread[1], 0, spread.double())
            coefficient = torch.cat([coefficient[:-1], coefficient[-1:] + spread[:1]])
        # the rounding of the top goes into the coefficient
        coefficient = (coefficient * torch.exp2(top - exact) * scale).float()
        used = [i for i, term in enumerate(self.comparison.terms) if term.scale]
        packed = coefficient.new_zeros(2 * len(used) + 1, n)
        packed[:-1:2] = torch.inf
        anchors = top.shape[1]
        for row, i in enumerate(used):
            # what has no gradient may have no top either
            packed[2 * row, :anchors] = torch.where(coefficient[i] != 0, top[i], torch.inf)
            packed[2 * row + 1, :anchors] = coefficient[i]
        if spread is not None:
            packed[-1, :anchors] = -spread[1] * scale
        return packed


class _Side(NamedTuple):
    """The rows or the columns."""

    vectors: Tensor
    bias: Tensor | None
    """Of base 2, added to their logits where they are candidates."""
    labels: Tensor | None
    ids: Tensor | None

    @classmethod
    def of(cls, comparison: Comparison, i: int, vectors: Tensor, bias: Tensor | None) -> _Side:
        labels, ids = (None if names is None else names[i].contiguous() for names in comparison[3:5])
        return cls(vectors, None if bias is None else bias * LOG2E, labels, ids)

    def part(self, some: slice) -> _Side:
        return _Side(self.vectors[some], *(None if value is None else value[some] for value in self[1:]))


class _Found(NamedTuple):
    """What a sweep found for each anchor."""

    log_sum: Tensor
    best: Tensor
    logit_sum: Tensor
    bias_sum: Tensor
    number: Tensor

    @classmethod
    def of(cls, found: Tensor) -> _Found:
        total = found[1].double() + found[2].double()
        return cls(found[0].double() / LOG2E + total.log(), *found[3:])

    def joined(self, other: _Found) -> _Found:
        """With further candidates of the same anchors."""
        log_sum, best = torch.logaddexp(self.log_sum, other.log_sum), torch.maximum(self.best, other.best)
        return _Found(log_sum, best, *(mine + more for mine, more in zip(self[2:], other[2:], strict=True)))


def _masses(found: list[_Found], comparison: Comparison) -> Masses:
    """In the terms of all backends."""
    negative, positive = found[0], found[-1]
    log_sum = torch.stack([each.log_sum for each in found])
    top = log_sum.float().clamp_min(torch.finfo(torch.float32).min)
    masses = Masses.empty(len(found), len(negative.best), negative.best)._replace(
        top=top, total=(log_sum - top).exp(), best_negative=negative.best
    )
    if not comparison.plain:
        masses = masses._replace(negative_sum=negative.logit_sum.double(), negative_count=negative.number.double())
    if comparison.labels is not None:
        # of a single positive the sum is exactly its own power, which `Pull.spread` relies on
        masses.total[-1].masked_fill_(positive.number == 1, 1)
        masses = masses._replace(
            positive_sum=positive.logit_sum.double(),
            positive_bias=positive.bias_sum.double(),
            positive_count=positive.number.double(),
            best_positive=positive.best,
        )
    return masses
