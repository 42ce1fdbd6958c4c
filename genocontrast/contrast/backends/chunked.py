"""Tiles of the matrix of logits, one after the other: memory grows with the number of vectors, not with its square.

A tile stays in the processor's cache while all that is wanted of it is computed, so that the products, which no
backend can do without, take nearly all of the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from genocontrast.contrast.backends.fused import Pull
from genocontrast.contrast.comparison import Comparison, Masses, Term
from genocontrast.contrast.geometry import dots

# rows and columns of a tile: 1 MB of float32, so that logits and scratch fit the cache of a core
TILE = (512, 512)
# on a device with thousands of cores a tile must be large to keep them busy: 64 MB
DEVICE_TILE = (4096, 4096)
# bytes of the tiles that are kept where one block of rows sees all columns before its gradients are computed
KEPT = 16 << 20
DEVICE_KEPT = 512 << 20
# rows of such a block: with fewer, the products are no longer worth their overhead
LEAST_ROWS = 128
# logits up to which powers and their sums stay far inside of float32: exp(40) is 2e17
CALM = 40.0


class Chunked:
    """The backend for the CPU, and for devices without Triton.

    Parameters
    ----------
    comparison : Comparison
    kept : torch.Tensor, shape=(n * c,), optional
        Room for all logits, which then need not be computed again for the gradients.
    """

    deferred = False

    def __init__(self, comparison: Comparison, kept: Tensor | None = None) -> None:
        self.comparison, self.kept = comparison, kept
        height, width = _tile_shape(comparison)
        # two tiles to work in: allocating them anew for each tile would tear holes into the heap
        self.scratch = comparison.rows.new_empty(3 if kept is None else 2, height * width)

    @classmethod
    def sweeps(cls, comparison: Comparison) -> Iterator[tuple[slice, Chunked]]:
        """All rows at once if columns are anchors too; else blocks of rows that see all columns and are finished."""
        n, c = len(comparison.rows), len(comparison.columns)
        engine = _Calm if is_calm(comparison) else cls
        if comparison.mirrored:
            yield slice(0, n), engine(comparison)
            return
        on_cpu = comparison.rows.device.type == "cpu"
        room = (KEPT if on_cpu else DEVICE_KEPT) // (comparison.rows.element_size() * c)
        size = min(n, max(LEAST_ROWS, room))
        kept = comparison.rows.new_empty(size * c)
        for start in range(0, n, size):
            rows = slice(start, min(start + size, n))
            yield rows, engine(comparison.block(rows), kept)

    def statistics(self) -> tuple[Masses, Masses | None]:
        """Of the rows, and of the columns that are anchors."""
        comparison = self.comparison
        terms, n, mirrored = len(comparison.terms), len(comparison.rows), comparison.mirrored
        of_rows = Masses.empty(terms, n, comparison.rows)
        of_columns = Masses.empty(terms, mirrored, comparison.rows) if mirrored else None
        for rows, columns, logits in self._tiles():
            torch.mm(comparison.rows[rows], comparison.columns[columns].T, out=logits)
            tile = self._tile(rows, columns, logits)
            tile.add_to(of_rows.part(rows))
            tile.show_to(of_rows.part(rows))
            if of_columns is not None and columns.stop <= mirrored:
                tile.mirror(comparison, rows).add_to(of_columns.part(columns))
        if comparison.plain:
            count_negatives(comparison, of_rows)
        return of_rows, of_columns

    def gradients(self, rows: Pull, columns: Pull | None, row_gradient: Tensor, column_gradient: Tensor) -> None:
        """Add the gradients of rows and columns, given those of the log-sums."""
        comparison = self.comparison
        for some_rows, some_columns, logits in self._tiles():
            left, right = comparison.rows[some_rows], comparison.columns[some_columns]
            if self.kept is None:
                torch.mm(left, right.T, out=logits)
            tile = self._tile(some_rows, some_columns, logits)
            pull = tile.pull(rows.part(some_rows))
            if columns is not None and some_columns.stop <= comparison.mirrored:
                pull += tile.mirror(comparison, some_rows).pull(columns.part(some_columns)).T
            row_gradient[some_rows].addmm_(pull, right)
            column_gradient[some_columns].addmm_(pull.T, left)

    def _tiles(self) -> Iterator[tuple[slice, slice, Tensor]]:
        """Rows, columns, and room for their logits."""
        n, c = len(self.comparison.rows), len(self.comparison.columns)
        height, width = _tile_shape(self.comparison)
        # no tile holds both columns that are anchors and others
        ends = sorted({*range(0, c, width), self.comparison.mirrored, c} - {0})
        used = 0
        for top in range(0, n, height):
            for low, high in zip([0, *ends], ends, strict=False):
                rows, columns = slice(top, min(top + height, n)), slice(low, high)
                size = (rows.stop - top) * (high - low)
                room = self.scratch[2] if self.kept is None else self.kept[used:]
                used += size
                yield rows, columns, room[:size].view(rows.stop - top, high - low)

    def _tile(self, rows: slice, columns: slice, logits: Tensor) -> _Tile:
        scratch, mirrored = (room[: logits.numel()].view(logits.shape) for room in self.scratch[:2])
        return _tile(self.comparison, rows, columns, logits, scratch, mirrored)


class _Calm(Chunked):
    """Where logits are so small that their powers need no maximum to be taken off first: one power serves both ways."""

    def statistics(self) -> tuple[Masses, Masses | None]:
        comparison = self.comparison
        n, mirrored = len(comparison.rows), comparison.mirrored
        of_rows, of_columns = (Masses.empty(1, size, comparison.rows) for size in (n, mirrored))
        for rows, columns, logits in self._tiles():
            torch.mm(comparison.rows[rows], comparison.columns[columns].T, out=logits)
            mask_pairs(comparison, rows, columns, logits)
            best = of_rows.best_negative[rows]
            torch.maximum(best, logits.amax(1), out=best)
            powers = logits.exp_()
            of_rows.total[0, rows] += powers.sum(1)
            if columns.stop <= mirrored:
                of_columns.total[0, columns] += powers.sum(0)
        for masses in (of_rows, of_columns):
            masses.top.zero_()
        count_negatives(comparison, of_rows)
        return of_rows, of_columns if mirrored else None

    def gradients(self, rows: Pull, columns: Pull | None, row_gradient: Tensor, column_gradient: Tensor) -> None:
        comparison = self.comparison
        for some_rows, some_columns, powers in self._tiles():
            left, right = comparison.rows[some_rows], comparison.columns[some_columns]
            if self.kept is None:
                mask_pairs(comparison, some_rows, some_columns, torch.mm(left, right.T, out=powers))
                powers.exp_()
            factor = rows.coefficient[0, some_rows, None]
            if columns is not None and some_columns.stop <= comparison.mirrored:
                room = self.scratch[0, : powers.numel()].view(powers.shape)
                factor = torch.add(factor, columns.coefficient[0, None, some_columns], out=room)
            powers.mul_(factor)
            row_gradient[some_rows].addmm_(powers, right)
            column_gradient[some_columns].addmm_(powers.T, left)


def is_calm(comparison: Comparison) -> bool:
    """Whether nothing but bounded logits enters the powers; not known of another device without waiting for it."""
    if not comparison.plain or len(comparison.terms) > 1 or comparison.bias is not None:
        return False
    if comparison.rows.device.type != "cpu":
        return False
    lengths = [torch.linalg.vector_norm(vectors, dim=1).amax() for vectors in (comparison.rows, comparison.columns)]
    return bool(lengths[0] * lengths[1] <= CALM)


def _tile_shape(comparison: Comparison) -> tuple[int, int]:
    height, width = TILE if comparison.rows.device.type == "cpu" else DEVICE_TILE
    return min(height, len(comparison.rows)), min(width, len(comparison.columns))


class _Tile(NamedTuple):
    """Some anchors (dimension 0) and some of their candidates (dimension 1)."""

    terms: list[Term]
    negatives: Tensor
    """Logits, -inf where the candidate is no negative, shape=(anchors, candidates)."""
    positives: Tensor | None
    """Logits, -inf where the candidate is no positive; with labels only."""
    bias: Tensor | None
    """Of the candidates."""
    plain: bool
    scratch: Tensor
    """Room of the size of the tile to compute in."""
    mirrored_scratch: Tensor

    def mirror(self, comparison: Comparison, rows: slice) -> _Tile:
        """The same tile with anchors and candidates exchanged."""
        return self._replace(
            negatives=self.negatives.T,
            positives=None if self.positives is None else self.positives.T,
            bias=None if comparison.row_bias is None else comparison.row_bias[rows],
            scratch=self.mirrored_scratch.T,
        )

    def add_to(self, masses: Masses) -> None:
        """Add what the loss needs of these candidates."""
        for i, term in enumerate(self.terms):
            exponents = self._exponents(term)
            top = torch.maximum(masses.top[i], exponents.amax(1))
            total = torch.sub(exponents, top[:, None], out=self.scratch).exp_().sum(1)
            masses.total[i].mul_((masses.top[i] - top).exp_()).add_(total)
            masses.top[i].copy_(top)
        if self.positives is not None:
            there = self.positives > -torch.inf
            masses.positive_sum.add_(torch.where(there, self.positives, 0).sum(1))
            masses.positive_count.add_(there.sum(1))
            if self.bias is not None:
                masses.positive_bias.add_(there.to(self.bias.dtype) @ self.bias)

    def show_to(self, masses: Masses) -> None:
        """Add what only the diagnostics need."""
        torch.maximum(masses.best_negative, self.negatives.amax(1), out=masses.best_negative)
        if self.positives is not None:
            torch.maximum(masses.best_positive, self.positives.amax(1), out=masses.best_positive)
        if not self.plain:
            there = self.negatives > -torch.inf
            masses.negative_sum.add_(torch.where(there, self.negatives, 0).sum(1))
            masses.negative_count.add_(there.sum(1))

    def pull(self, pull: Pull) -> Tensor:
        """Gradient of each logit, shape=(anchors, candidates)."""
        result = None
        for i, term in enumerate(self.terms):
            if not term.scale:
                continue
            room = self.scratch if result is None else torch.empty_like(self.scratch)
            mass = torch.sub(self._exponents(term), pull.top[i][:, None], out=room).exp_()
            if term.kind == "positive" and pull.spread is not None:
                assert self.positives is not None
                spread = mass * pull.spread[0][:, None]
                spread -= (self.positives > -torch.inf) * pull.spread[1][:, None]
                mass = mass.mul_(pull.coefficient[i][:, None]).add_(spread)
            else:
                mass.mul_(pull.coefficient[i][:, None])
            result = mass if result is None else result.add_(mass)
        assert result is not None
        return result

    def _exponents(self, term: Term) -> Tensor:
        logits = self.negatives if term.kind == "negative" else self.positives
        assert logits is not None
        if term.scale == 0:
            logits = torch.where(logits == -torch.inf, logits, 0)  # 0 times infinity is no number
        elif term.scale != 1:
            logits = logits * term.scale
        return logits if self.bias is None or not term.biased else logits + self.bias


def _tile(
    comparison: Comparison, rows: slice, columns: slice, logits: Tensor, scratch: Tensor, mirrored: Tensor
) -> _Tile:
    """Logits with what is no candidate masked; where only pairs are, in place."""
    positives = None
    if comparison.plain:
        mask_pairs(comparison, rows, columns, logits)
    else:
        positive, excluded = comparison.masks(rows, columns)
        if comparison.labels is not None:
            positives = logits.masked_fill(~positive, -torch.inf)
        logits = logits.masked_fill(excluded, -torch.inf)
    bias = None if comparison.bias is None else comparison.bias[columns]
    return _Tile(comparison.terms, logits, positives, bias, comparison.plain, scratch, mirrored)


def mask_pairs(comparison: Comparison, rows: slice, columns: slice, logits: Tensor) -> None:
    """Take the pairs out of a tile, in place."""
    if comparison.pairs is not None:
        logits.diagonal(comparison.pairs + rows.start - columns.start).fill_(-torch.inf)


def count_negatives(comparison: Comparison, masses: Masses) -> None:
    """All columns but the pairs: their sum needs no tile."""
    sums = comparison.rows @ comparison.columns.sum(0)
    count = len(comparison.columns)
    if comparison.pairs is not None:
        pairs = comparison.columns[comparison.pairs :][: len(sums)]
        sums -= dots(comparison.rows, pairs)
        count -= 1
    masses.negative_sum.add_(sums)
    masses.negative_count.add_(count)
