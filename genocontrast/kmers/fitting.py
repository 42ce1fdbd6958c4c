"""Minimising an exact objective: the start by singular values, then L-BFGS, with a look at held-out counts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from genocontrast.kmers.counts import HELD_TOKENS
from genocontrast.kmers.descent import descend
from genocontrast.kmers.objectives import Objective, Table

_OVERSAMPLING, _POWER_STEPS = 10, 2
_CELLS = 1 << 21  # of the matrix that is decomposed, made at once
CHECK_EVERY = 10
"""Iterations between looks at the validation loss."""
LEAST_SHARE = 0.002
"""A look that adds less than this share to what is gained over the best constant score ends the fit."""
_LOG = logging.getLogger(__name__)


@dataclass
class Fit:
    """Two fitted tables and how they came about; `constant` is the watched loss of scores that tell nothing."""

    words: Table
    contexts: Table
    constant: float
    history: list[dict[str, Any]] = field(default_factory=list)
    """Iteration, training loss and (or null) validation loss, from the start on."""

    @property
    def best(self) -> dict[str, Any]:
        """The look that was kept."""
        return min(self.history, key=_watched)

    def balanced(self) -> Fit:
        """The same fit with its tables in their balanced form."""
        return Fit(*balanced(self.words, self.contexts), self.constant, self.history)

    def look(self, iteration: int, train_loss: float, held_out: float | None, words: Table, contexts: Table) -> bool:
        """Record the losses, keep the best tables; gives whether the watched loss fell enough to go on."""
        before = _watched(self.best) if self.history else np.inf
        self.history.append({"iteration": iteration, "train": train_loss, "validation": held_out})
        beside = "" if held_out is None else f", held out {held_out:.4f}"
        _LOG.info("k-mer vectors: iteration %d, loss %.4f%s", iteration, train_loss, beside)
        gain = before - _watched(self.history[-1])
        if gain > 0:
            self.words, self.contexts = words, contexts
        return gain > LEAST_SHARE * max(self.constant - _watched(self.best), 0.0)


def _watched(look: dict[str, Any]) -> float:
    return look["train"] if look["validation"] is None else look["validation"]


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Products on one thread each: results do not depend on the number of cores, and the strips are the threads."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1, user_api="blas"):
        yield


def fit_tables(train: Objective, validation: Objective | None, dim: int, seed: int, iterations: int) -> Fit:
    """Minimise the loss by L-BFGS from the decomposition of the best scores.

    The validation loss, or without one that of training, is looked at every ten iterations; the fit ends when it hardly
    falls any more and gives back the tables of the best look.

    Parameters
    ----------
    train, validation : Objective
        The losses to minimise and to watch.
    dim : int
        Length of the vectors.
    seed : int
        Seed of the randomised decomposition.
    iterations : int
        Largest number of L-BFGS iterations.

    Returns
    -------
    Fit
        The tables in their balanced form (see `balanced`).
    """

    def look(iteration: int, train_loss: float) -> bool:
        held_out = None if validation is None else validation.loss(words, contexts)
        return fit.look(iteration, train_loss, held_out, words, contexts)

    with one_blas_thread():
        words, contexts = start(train, dim, seed)
        fit = Fit(words, contexts, (validation or train).uninformed()["best_constant"])
        space = _Coordinates(train, words, contexts)
        look(0, train.loss(words, contexts))
        iteration, loss = 0, np.nan
        for iteration, (x, loss) in enumerate(islice(descend(space.value, space.flat(words, contexts)), iterations), 1):
            words, contexts = space.tables(x)
            if iteration % CHECK_EVERY == 0 and not look(iteration, loss):
                break
        if iteration > fit.history[-1]["iteration"]:
            look(iteration, loss)
        fit.contexts = train.free_of_choice(fit.contexts)
        return fit.balanced()


def start(train: Objective, dim: int, seed: int) -> tuple[Table, Table]:
    """Both tables from the singular value decomposition of the best scores.

    The scores are weighted by the root of the tokens' frequencies on either side, so that the approximation is best
    where the loss weighs most. The decomposition is randomised (Halko et al., SIAM Rev 2011).
    """
    scale, n = train.scale, len(train.scale)

    def weighted(rows: slice) -> Table:
        return train.best_scores(rows) * scale[rows] * scale.T

    step = max(1, _CELLS // n)
    blocks = [slice(first, min(first + step, n)) for first in range(0, n, step)]
    make: Callable[[slice], Table] = weighted
    if n <= HELD_TOKENS:  # made once; more would be made anew for each product
        held = np.empty((n, n), np.float32)
        for rows in blocks:
            held[rows] = weighted(rows)
        make = held.__getitem__

    def product(right: Table) -> Table:
        return np.concatenate([make(rows) @ right for rows in blocks])

    def back(left: Table) -> Table:
        total = np.zeros((n, left.shape[1]), np.float32)
        for rows in blocks:
            total += make(rows).T @ left[rows]
        return total

    left, right = decomposed(product, back, n, dim, seed)
    return left / scale, right / scale


def decomposed(
    product: Callable[[Table], Table], back: Callable[[Table], Table], n: int, dim: int, seed: int
) -> tuple[Table, Table]:
    """Singular vectors of an n x n matrix that is known by its products, times the roots of the singular values.

    Parameters
    ----------
    product, back : callable
        Give the matrix, and its transpose, times a table of n rows.
    n, dim, seed : int
        Rows, dimensions, and seed of the random projection.

    Returns
    -------
    left, right : float32, shape=(n, dim)
    """
    size = (n, min(dim + _OVERSAMPLING, n))
    basis = np.linalg.qr(product(np.random.default_rng(seed).standard_normal(size, dtype=np.float32)))[0]
    for _ in range(_POWER_STEPS):
        basis = np.linalg.qr(product(np.linalg.qr(back(basis))[0]))[0]
    left, values, right = np.linalg.svd(back(basis).T, full_matrices=False)
    root = np.sqrt(values[:dim])
    return (basis @ left)[:, :dim] * root, right[:dim].T * root


class _Coordinates:
    """The loss of one vector, in coordinates scaled by row and by column.

    Rows are scaled by the root of the tokens' frequencies, since rare k-mers would hardly move, and columns by the
    root of their singular values, since small dimensions would hardly move: each halves the iterations.
    """

    def __init__(self, train: Objective, words: Table, contexts: Table) -> None:
        self.train = train
        lengths = np.linalg.norm(words * train.scale, axis=0) * np.linalg.norm(contexts * train.scale, axis=0)
        columns = np.sqrt(np.maximum(lengths, 1e-3 * lengths.max()) / lengths.mean())
        self.scale = (train.scale * columns).astype(np.float32)

    def flat(self, words: Table, contexts: Table) -> Table:
        return np.concatenate([words * self.scale, contexts * self.scale]).ravel()

    def tables(self, x: Table) -> tuple[Table, Table]:
        words, contexts = x.reshape(2, *self.scale.shape)
        return words / self.scale, contexts / self.scale

    def value(self, x: Table) -> tuple[float, Table]:
        loss, *gradients = self.train.loss_and_gradient(*self.tables(x))
        return loss, np.concatenate([part / self.scale for part in gradients]).ravel()


def balanced(words: Table, contexts: Table) -> tuple[Table, Table]:
    """The two tables with the same scores whose columns are orthogonal, equally long in both, longest first.

    Any invertible map of one table can be undone in the other, so similarities within a table mean something only
    once this freedom is taken away (and, for InfoNCE, that of `objectives.settled`). Signs: the largest entry of each
    column of words is positive.
    """
    (q_words, r_words), (q_contexts, r_contexts) = (
        np.linalg.qr(table.astype(np.float64)) for table in (words, contexts)
    )
    left, size, right = np.linalg.svd(r_words @ r_contexts.T)
    left, right = q_words @ left, q_contexts @ right.T
    largest = left[np.abs(left).argmax(0), np.arange(left.shape[1])]
    factor = np.sqrt(size) * np.where(largest < 0, -1, 1)
    return (left * factor).astype(np.float32), (right * factor).astype(np.float32)
