"""Skip-gram with negative sampling on co-occurrence counts: the exact expectation, with closed-form gradients.

Source: Mikolov et al., NIPS 2013 (the objective); Levy and Goldberg, NIPS 2014 (its optimum is a shifted PMI).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize

from genocontrast.errors import ShapeError
from genocontrast.kmers.counting import CooccurrenceCounts

Table = NDArray[np.float32]
NOISE_POWER = 0.75
"""Exponent of the token frequencies that negatives are drawn by (word2vec's)."""
_SMOOTHING = 0.1  # of the expected counts, added before the logarithm; .03 to 1 end within 3e-4 of each other
_BLOCK = 64  # rows whose scores stay within the cache
_OVERSAMPLING, _POWER_STEPS = 10, 2
_CHECK_EVERY = 10  # iterations between looks at the validation loss
_LEAST_GAIN = 1e-4  # a look that gains less than this ends the fit
_LOG = logging.getLogger(__name__)


def zero_loss(negatives: float) -> float:
    """Loss per positive pair where all vectors are zero."""
    return float((1 + negatives) * np.log(2))


def best_constant_loss(negatives: float) -> float:
    """Loss per positive pair of the best score that is the same for all pairs, -log(negatives)."""
    return float(np.log1p(negatives) + negatives * np.log1p(1 / negatives))


class SkipGram:
    """The expected loss of two tables of vectors, one for centres and one for contexts, per positive pair.

    Positives are drawn from the counts; each brings `negatives` contexts, in expectation, drawn in proportion to
    the token frequencies to the power 0.75, both from the same counts.

    Two tables, because the scores of most pairs must be negative, that of a k-mer with itself included, which the
    Gram matrix of a single table cannot give.

    Parameters
    ----------
    counts : CooccurrenceCounts
    negatives : float
        Negative samples per positive pair.

    Raises
    ------
    ShapeError
        Where the counts hold no pair.
    """

    def __init__(self, counts: CooccurrenceCounts, negatives: float) -> None:
        total = float(counts.pairs.sum())
        if not total:
            raise ShapeError("the counts hold no pair of k-mers", remedy="count longer sequences, or a smaller k")
        pairs = counts.pairs if isinstance(counts.pairs, np.ndarray) else counts.pairs.astype(np.float32).toarray()
        self.positive: Table = pairs.astype(np.float32, copy=isinstance(counts.pairs, np.ndarray))
        self.positive /= total
        noise = counts.tokens**NOISE_POWER
        self.noise = (noise / noise.sum()).astype(np.float32)
        centres = np.asarray(counts.pairs.sum(1), np.float64).ravel() / total
        self.negative_centre = (negatives * centres).astype(np.float32)
        self.scale: Table = np.sqrt(np.maximum(counts.tokens, 1) / counts.tokens.mean()).astype(np.float32)[:, None]
        """Square roots of the relative frequencies, shape=(n_tokens, 1): the coordinates to optimise in."""

    def loss(self, words: Table, contexts: Table) -> float:
        """Loss of two tables, each of shape=(n_tokens, dim)."""
        return sum(self._row_loss(rows, words[rows] @ contexts.T)[0] for rows in self._blocks())

    def loss_and_gradient(self, words: Table, contexts: Table) -> tuple[float, Table, Table]:
        """Loss, and its gradient in each table, shape=(n_tokens, dim)."""
        loss, for_words, for_contexts = 0.0, np.empty_like(words), np.zeros_like(contexts)
        for rows in self._blocks():
            scores = words[rows] @ contexts.T  # (block, n_tokens)
            part, weight, exponential = self._row_loss(rows, scores)
            loss += part
            # d loss / d score = (positive + negative) * sigmoid(score) - positive
            scores = np.where(scores < 0, exponential, np.float32(1)) / (1 + exponential)
            scores *= weight
            scores -= self.positive[rows]
            for_words[rows] = scores @ contexts
            for_contexts += scores.T @ words[rows]
        return loss, for_words, for_contexts

    def start(self, dim: int, seed: int) -> tuple[Table, Table]:
        """Both tables from the singular value decomposition of the shifted PMI, the optimum of the loss at full rank.

        The PMI is smoothed, and weighted by the root of the tokens' frequencies on either side, so that the
        approximation is best where the loss weighs most. The decomposition is randomised (Halko et al., SIAM Rev 2011).
        """
        expected = self.negative_centre[:, None] * self.noise
        pmi = np.log((self.positive + _SMOOTHING * expected) / np.where(expected > 0, expected, 1), where=expected > 0,
                     out=np.zeros_like(expected))  # fmt: skip
        pmi *= self.scale
        pmi *= self.scale.T
        return tuple(table / self.scale for table in _truncated_svd(pmi, dim, seed))  # type: ignore[return-value]

    def _blocks(self) -> Iterator[slice]:
        for first in range(0, len(self.noise), _BLOCK):
            yield slice(first, first + _BLOCK)

    def _row_loss(self, rows: slice, scores: Table) -> tuple[float, Table, Table]:
        """Loss of some rows, the weight of each pair and exp(-|score|)."""
        positive = self.positive[rows]
        weight = self.negative_centre[rows, None] * self.noise
        weight += positive
        exponential = np.abs(scores)
        np.exp(np.negative(exponential, out=exponential), out=exponential)
        softplus = np.log(1 + exponential)
        softplus += np.maximum(scores, 0)
        return float(np.vdot(weight, softplus)) - float(np.vdot(positive, scores)), weight, exponential


@dataclass
class Fit:
    """Two fitted tables and how they came about."""

    words: Table
    contexts: Table
    history: list[dict[str, Any]] = field(default_factory=list)
    """Iteration, training loss and (or null) validation loss, from the start on."""


def fit_tables(train: SkipGram, validation: SkipGram | None, dim: int, seed: int, iterations: int) -> Fit:
    """Minimise the loss by L-BFGS from the decomposition of the shifted PMI.

    The validation loss, where there is one, is looked at every ten iterations; the fit ends when it stops falling and
    gives back the tables of the best look.

    Parameters
    ----------
    train, validation : SkipGram
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
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    # the products are small: a second BLAS thread gains nothing, and results would depend on the number of cores
    with threadpool_limits(1, user_api="blas"):
        state = _Descent(train, validation, dim)
        start = np.concatenate([table * train.scale for table in train.start(dim, seed)])
        state.look(0, start, train.loss(*state.tables(start)))
        options = {"maxiter": iterations, "ftol": 1e-7, "gtol": 1e-9}
        minimize(state.value, start.ravel(), jac=True, method="L-BFGS-B", callback=state.step, options=options)
        state.finish()
        return Fit(*balanced(*state.tables(state.best)), state.history)


class _Descent:
    """The optimiser's view of the loss: one float64 vector, in coordinates scaled by the tokens' frequencies.

    Without the scaling rare k-mers hardly move: the same loss takes more than twice the iterations.
    """

    def __init__(self, train: SkipGram, validation: SkipGram | None, dim: int) -> None:
        self.train, self.validation, self.dim = train, validation, dim
        self.history: list[dict[str, Any]] = []
        self.iteration, self.latest = 0, (np.zeros(0), 0.0)
        self.best, self.best_loss = np.zeros(0), np.inf

    def tables(self, x: NDArray) -> tuple[Table, Table]:
        words, contexts = x.astype(np.float32).reshape(2, -1, self.dim)
        return words / self.train.scale, contexts / self.train.scale

    def value(self, x: NDArray) -> tuple[float, NDArray[np.float64]]:
        loss, *gradients = self.train.loss_and_gradient(*self.tables(x))
        return loss, np.concatenate([part / self.train.scale for part in gradients]).ravel().astype(np.float64)

    def step(self, intermediate_result: OptimizeResult) -> None:
        self.iteration += 1
        self.latest = (intermediate_result.x.copy(), float(intermediate_result.fun))
        if self.iteration % _CHECK_EVERY == 0 and self.look(self.iteration, *self.latest) < _LEAST_GAIN:
            raise StopIteration

    def finish(self) -> None:
        if self.iteration > self.history[-1]["iteration"]:
            self.look(self.iteration, *self.latest)

    def look(self, iteration: int, x: NDArray, train_loss: float) -> float:
        """Record the losses, keep the best; gives by how much the watched loss fell."""
        held_out = None if self.validation is None else self.validation.loss(*self.tables(x))
        self.history.append({"iteration": iteration, "train": train_loss, "validation": held_out})
        beside = "" if held_out is None else f", held out {held_out:.4f}"
        _LOG.info("k-mer vectors: iteration %d, loss %.4f%s", iteration, train_loss, beside)
        watched = train_loss if held_out is None else held_out
        gain = self.best_loss - watched
        if gain > 0:
            self.best, self.best_loss = x.copy(), watched
        return gain


def balanced(words: Table, contexts: Table) -> tuple[Table, Table]:
    """The two tables with the same scores whose columns are orthogonal, equally long in both, longest first.

    Any invertible map of one table can be undone in the other, so similarities within a table mean something only
    once this freedom is taken away. Signs: the largest entry of each column of words is positive.
    """
    (q_words, r_words), (q_contexts, r_contexts) = (
        np.linalg.qr(table.astype(np.float64)) for table in (words, contexts)
    )
    left, size, right = np.linalg.svd(r_words @ r_contexts.T)
    left, right = q_words @ left, q_contexts @ right.T
    largest = left[np.abs(left).argmax(0), np.arange(left.shape[1])]
    factor = np.sqrt(size) * np.where(largest < 0, -1, 1)
    return (left * factor).astype(np.float32), (right * factor).astype(np.float32)


def _truncated_svd(matrix: Table, dim: int, seed: int) -> tuple[Table, Table]:
    """Left and right singular vectors, each times the root of the singular values, shape=(n, dim)."""
    size = (matrix.shape[1], dim + _OVERSAMPLING)
    basis = np.linalg.qr(matrix @ np.random.default_rng(seed).standard_normal(size, dtype=np.float32))[0]
    for _ in range(_POWER_STEPS):
        basis = np.linalg.qr(matrix @ np.linalg.qr(matrix.T @ basis)[0])[0]
    left, values, right = np.linalg.svd(basis.T @ matrix, full_matrices=False)
    root = np.sqrt(values[:dim])
    return (basis @ left)[:, :dim] * root, right[:dim].T * root
