"""What is compared with what: the one description of a loss that all backends read, and what they find."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Kind = Literal["negative", "positive"]


class Term(NamedTuple):
    """One log-sum over the candidates of an anchor: ``log sum exp(scale * logit + bias)``."""

    kind: Kind
    scale: float
    biased: bool


class Comparison(NamedTuple):
    """Rows and columns whose products are logits. Rows are anchors, columns their candidates.

    In the mirrored direction the first `mirrored` columns are anchors too, and the rows their candidates.
    """

    rows: Tensor
    """Unit queries divided by the temperature, shape=(n, d)."""
    columns: Tensor
    """Unit keys, then the bank, shape=(c, d)."""
    pairs: int | None
    """Column of the positive of row 0, that of row i being i further; None where columns hold no pairs."""
    labels: tuple[Tensor, Tensor] | None = None
    """Of rows and columns; where equal, the column is a positive. Shapes (n,) and (c,)."""
    ids: tuple[Tensor, Tensor] | None = None
    """Of rows and columns; where equal, the column is no negative."""
    given: Tensor | None = None
    """Columns of each row's positives, -1 where it has fewer, shape=(n, p)."""
    bias: Tensor | None = None
    """Added to the logits of each column, shape=(c,)."""
    mirrored: int = 0
    """How many columns are anchors of the mirrored direction."""
    row_bias: Tensor | None = None
    """Added to the logits of each row in the mirrored direction, shape=(n,)."""
    debias: float = 0.0
    hardness: float = 0.0
    correct_positive: bool = True
    operands: torch.dtype | None = None
    """Type of half precision that a backend with tensor cores may multiply in; sums are float32 all the same."""

    @property
    def terms(self) -> list[Term]:
        """The log-sums that the loss needs of each anchor, in the order of `Masses.top`."""
        terms = [Term("negative", 1 + self.hardness, True)]
        if self.hardness:
            terms.append(Term("negative", self.hardness, True))
        if self.hardness or self.debias:
            terms.append(Term("negative", 0.0, True))  # how much all negatives weigh
        if self.labels is not None:
            terms.append(Term("positive", 1.0, self.correct_positive))
        return terms

    @property
    def plain(self) -> bool:
        """Whether every column but the pair is a negative, so that no mask is needed."""
        return self.labels is None and self.ids is None and self.given is None

    def block(self, rows: slice) -> Comparison:
        """The same of some of the rows, one direction only."""
        first = rows.start or 0
        return self._replace(
            rows=self.rows[rows],
            pairs=None if self.pairs is None else self.pairs + first,
            labels=None if self.labels is None else (self.labels[0][rows], self.labels[1]),
            ids=None if self.ids is None else (self.ids[0][rows], self.ids[1]),
            given=None if self.given is None else self.given[rows],
            row_bias=None,
            mirrored=0,
        )

    def masks(self, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        """Which columns of a tile are positives of a row, and which are no negatives; bool, shape=(rows, columns)."""
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if self.labels is not None:
            positive = self.labels[0][rows, None] == self.labels[1][None, columns]
        else:
            # one column more takes what lies outside of the tile
            padded = self.rows.new_zeros(height, width + 1, dtype=torch.bool)
            if self.given is not None:
                local = self.given[rows] - columns.start
                padded.scatter_(1, torch.where((local >= 0) & (local < width), local, width), True)
            positive = padded[:, :width]
            if self.given is None and self.pairs is not None:
                positive.diagonal(self.pairs + rows.start - columns.start).fill_(True)
        if self.ids is None:
            return positive, positive
        return positive, positive | (self.ids[0][rows, None] == self.ids[1][None, columns])


class Masses(NamedTuple):
    """What a sweep over the candidates finds for each anchor of one direction."""

    top: Tensor
    """Largest exponent of each term, finite, shape=(terms, n)."""
    total: Tensor
    """Sum of exp(exponent - top) of each term, float64, shape=(terms, n)."""
    positive_sum: Tensor
    """Sum of the logits of the positives, before any bias, shape=(n,); of `labels` only."""
    positive_bias: Tensor
    """Sum of their biases, shape=(n,); of `labels` only."""
    positive_count: Tensor
    """How many there are, shape=(n,); of `labels` only."""
    best_positive: Tensor
    """Largest of those logits, shape=(n,); -inf without any; of `labels` only."""
    negative_sum: Tensor
    """The same of the negatives, shape=(n,)."""
    negative_count: Tensor
    best_negative: Tensor

    @classmethod
    def empty(cls, terms: int, anchors: int, like: Tensor) -> Masses:
        """Of no candidates yet."""

        def zeros(*shape: int) -> Tensor:
            return like.new_zeros(shape, dtype=torch.float64)

        lowest = torch.finfo(like.dtype).min
        return cls(
            top=like.new_full((terms, anchors), lowest),
            total=zeros(terms, anchors),
            positive_sum=zeros(anchors),
            positive_bias=zeros(anchors),
            positive_count=zeros(anchors),
            best_positive=like.new_full((anchors,), -torch.inf),
            negative_sum=zeros(anchors),
            negative_count=zeros(anchors),
            best_negative=like.new_full((anchors,), -torch.inf),
        )

    def part(self, anchors: slice) -> Masses:
        """The same of some anchors; a view, so that it can be added to."""
        return Masses(*(value[..., anchors] for value in self))

    def spread(self, corrected: bool) -> Tensor:
        """Log-sum of the positives minus their mean logit, float64, shape=(n,)."""
        total = self.positive_sum + self.positive_bias if corrected else self.positive_sum
        return self.log()[-1] - total / self.positive_count.clamp_min(1)

    def log(self) -> Tensor:
        """Log-sum of each term, float64, shape=(terms, n); -inf where nothing was summed."""
        return self.top + self.total.log()
