"""The expected losses of k-mer vectors on co-occurrence counts, exact, with closed-form gradients.

With P_ij the share of the ordered pairs that have centre i and context j, n_i the share of those with centre i, q_j
the share of context j among the negatives (its frequency to the power 0.75), kappa the negatives per positive and
s_ij the product of centre vector i and context vector j:

    sgns     L = sum_ij P_ij softplus(-t_ij) + kappa n_i q_j softplus(t_ij),  t = s, or s - log(kappa q_j) with log_q
    infonce  L = sum_i n_i log sum_j r_j exp(s_ij) - sum_ij P_ij s_ij,        r = q, or 1 if j occurs with log_q

The best scores are log P_ij / (n_i q_j) up to a constant without, and log P_ij / n_i with the correction: pointwise
mutual information, and log probabilities of the context. `infonce` is the limit of unlimited negatives, where log_q
makes it the full softmax.

Sources: Mikolov et al., NIPS 2013 (negative sampling); Levy and Goldberg, NIPS 2014 (its optimum); Gutmann and
Hyvaerinen, JMLR 2012 (the corrected form, noise-contrastive estimation); van den Oord et al., 2018 (InfoNCE).
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genocontrast.compiled import compiled
from genocontrast.errors import ConfigError, ShapeError
from genocontrast.kmers.counts import HELD_TOKENS, CooccurrenceCounts
from genocontrast.kmers.device import OnDevice

Table = NDArray[np.float32]
Floats = NDArray[np.float64]

NOISE_POWER = 0.75
"""Exponent of the token frequencies that negatives are drawn by (word2vec's)."""
SMOOTHING = 0.1
"""Weight of independence beside the counts, in the scores that a fit starts from."""
_BLOCK = 64  # rows whose scores stay within the processor's cache
_STRIPS = 8  # groups of rows that threads work on; their number is fixed, so that sums do not depend on the threads


def kept(tokens: NDArray[np.int64], subsample: float) -> Floats:
    """Probability that an occurrence of each token is kept, word2vec's sqrt(t / f) + t / f, at most 1.

    In expectation pairs weigh less by that of both their tokens. word2vec leaves tokens out before it looks for
    neighbours, so that its windows also reach further; this one's do not.
    """
    frequency = tokens / max(tokens.sum(), 1)
    ratio = np.divide(subsample, frequency, where=frequency > 0, out=np.ones(len(tokens)))
    return np.minimum(1, np.sqrt(ratio) + ratio) if subsample else np.ones(len(tokens))


def noise(tokens: NDArray[np.int64]) -> Floats:
    """Share of each token among the negatives."""
    weight = tokens**NOISE_POWER
    return weight / weight.sum()


def log_drawn(noise: Floats, negatives: float) -> Floats:
    """Logarithm of how often each token is drawn beside a positive, shape=(n_tokens,); 0 where it never is."""
    return np.log(negatives * noise, where=noise > 0, out=np.zeros_like(noise))


def uninformed(objective: str, centre: Floats, noise: Floats, negatives: float, *, log_q: bool) -> dict[str, float]:
    """Losses of scores that tell nothing, the best constant and zero, from n and q of the tokens."""
    from scipy.optimize import minimize_scalar

    seen = noise > 0
    if objective == "infonce":
        loss = float(np.log(seen.sum())) if log_q else 0.0
        return {"best_constant": loss, "zero": loss}
    shift = -log_drawn(noise, negatives) if log_q else np.zeros_like(noise)

    def constant(score: float) -> float:
        return float((centre + negatives * noise) @ np.logaddexp(0, score + shift) - centre @ (score + shift))

    best = minimize_scalar(constant, bounds=(-50, 50), method="bounded", options={"xatol": 1e-9})
    return {"best_constant": float(best.fun), "zero": constant(0.0)}


def settled(objective: str, contexts: Table, noise: Floats, *, log_q: bool) -> Table:
    """Contexts of the same loss in which nothing is left to choose.

    What is added to all contexts alike changes InfoNCE's scores by a constant for each centre, which it does not see,
    but it would change similarities. Their mean over the tokens, as they weigh in the partition, is made zero.
    """
    if objective != "infonce":
        return contexts
    weight = (noise > 0) / (noise > 0).sum() if log_q else noise
    return (contexts - weight @ contexts.astype(np.float64)).astype(np.float32)


class Objective(ABC):
    """The expected loss of two tables of vectors, one for centres and one for contexts, per positive pair.

    Two tables, because the scores of most pairs must be negative, that of a k-mer with itself included, which the
    Gram matrix of a single table cannot give.

    Parameters
    ----------
    counts : CooccurrenceCounts
        With a cell for every pair. Positives and noise come from the same counts.
    negatives : float
        Negative samples per positive pair; for "sgns" only.
    log_q : bool
        Correct the scores for the negatives' frequencies (see the module).
    subsample : float
        Frequency above which tokens are thinned; 0: none is.
    device : str
        "cpu": compiled loops in float32. Anything else is a device of torch, or "torch:cpu".
    dtype : str
        "float32" or, on a device of torch, "float64".

    Raises
    ------
    ShapeError
        Where the counts hold no pair.
    ConfigError
        Where they are lists.
    """

    name: str

    def __init__(
        self,
        counts: CooccurrenceCounts,
        negatives: float = 5.0,
        *,
        log_q: bool = False,
        subsample: float = 0.0,
        device: str = "cpu",
        dtype: str = "float32",
    ) -> None:
        if counts.cells is not None:
            raise ConfigError("the exact objective needs a cell for every pair", value=f"k = {counts.k}")
        keep = kept(counts.tokens, subsample)
        marginal = counts.marginals(keep)
        if not marginal.any():
            raise ShapeError("the counts hold no pair of k-mers", remedy="count longer sequences, or a smaller k")
        self.counts, self.negatives, self.log_q = counts, negatives, log_q
        self.scale = np.sqrt(np.maximum(counts.tokens, 1) / counts.tokens.mean()).astype(np.float32)[:, None]
        """Square roots of the relative frequencies, shape=(n_tokens, 1): the coordinates to optimise in."""
        self._keep = (keep / np.sqrt(marginal.sum())).astype(np.float32)
        self._centre, self._noise = marginal / marginal.sum(), noise(counts.tokens)
        self._torch = None if device == "cpu" else OnDevice(device, dtype)
        self._held: Any = None
        self._drawn = 1.0  # negatives beside each positive
        self._prepare()
        if len(marginal) <= HELD_TOKENS:
            self._held = self._array(self._positive(slice(0, len(marginal))))

    def loss(self, words: Table, contexts: Table) -> float:
        """Loss of two tables, each of shape=(n_tokens, dim)."""
        words, contexts = self._array(words), self._array(contexts)
        return self.loss_of_scores(lambda rows: words[rows] @ contexts.T)

    def loss_of_scores(self, scores: Callable[[slice], Any]) -> float:
        """Loss of the scores that a function gives for some rows, shape=(rows, n_tokens)."""
        return sum(self._in_strips(lambda rows: self._block(rows, self._array(scores(rows)))))

    def loss_and_gradient(self, words: Table, contexts: Table) -> tuple[float, Table, Table]:
        """Loss, and its gradient in each table, shape=(n_tokens, dim)."""
        words, contexts = self._array(words), self._array(contexts)
        for_words = self._array(np.empty(words.shape, np.float32))
        sums: dict[int, Any] = {}

        def work(rows: slice) -> float:
            scores = words[rows] @ contexts.T  # (block, n_tokens)
            part = self._block(rows, scores)
            for_words[rows] = scores @ contexts
            strip = rows.start // self._strip
            sums[strip] = scores.T @ words[rows] + sums.get(strip, 0)
            return part

        loss = sum(self._in_strips(work))
        return loss, self._plain(for_words), self._plain(sum(sums[strip] for strip in sorted(sums)))

    def best_scores(self, rows: slice, smoothing: float = SMOOTHING) -> Table:
        """The scores of least loss, were there no limit to the dimensions, shape=(rows, n_tokens).

        The positives are first drawn towards independence of centre and context: `smoothing` is the weight of
        n_i q_j beside the counts'.
        """
        independent = self._centre[rows, None] * self._noise
        positive = (self._plain(self._positive(rows)) + smoothing * independent) / (1 + smoothing)
        base = self._centre[rows, None] if self.log_q else self._drawn * independent
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = np.log(positive / base)
        return np.where(np.isfinite(scores), scores, 0).astype(np.float32)

    def uninformed(self) -> dict[str, float]:
        """Losses of scores that tell nothing: the best constant, and zero."""
        return uninformed(self.name, self._centre, self._noise, self.negatives, log_q=self.log_q)

    def free_of_choice(self, contexts: Table) -> Table:
        """The contexts that give the same loss and in which nothing is left to choose, shape=(n_tokens, dim)."""
        return settled(self.name, contexts, self._noise, log_q=self.log_q)

    @property
    def _strip(self) -> int:
        return -(-len(self._noise) // (_STRIPS * _BLOCK)) * _BLOCK

    def _in_strips(self, work: Callable[[slice], float]) -> list[float]:
        """What the work gives for blocks of rows, in order; strips of blocks run side by side on the CPU."""
        n = len(self._noise)
        strips = [range(first, min(first + self._strip, n), _BLOCK) for first in range(0, n, self._strip)]

        def run(starts: range) -> list[float]:
            return [work(slice(first, min(first + _BLOCK, starts.stop))) for first in starts]

        if self._torch is not None or len(strips) == 1:
            return [part for starts in strips for part in run(starts)]
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            return [part for parts in pool.map(run, strips) for part in parts]

    def _positive(self, rows: slice) -> Any:
        """P of some rows, shape=(rows, n_tokens)."""
        if self._held is not None:
            return self._held[rows]
        positive = self.counts.rows(rows.start, rows.stop)
        positive *= self._keep[rows, None]
        positive *= self._keep
        return positive

    def _array(self, values: Any) -> Any:
        return values if self._torch is None else self._torch.array(values)

    def _plain(self, values: Any) -> Any:
        return values if self._torch is None else self._torch.plain(values)

    @abstractmethod
    def _prepare(self) -> None:
        """Make the arrays that `_block` needs."""

    @abstractmethod
    def _block(self, rows: slice, scores: Any) -> float:
        """Loss of some rows; their scores are overwritten by its derivative in them."""


class SkipGram(Objective):
    """Skip-gram with negative sampling, in expectation."""

    name = "sgns"

    def _prepare(self) -> None:
        self._drawn = self.negatives
        shift = -log_drawn(self._noise, self.negatives)
        arrays = (self.negatives * self._centre, self._noise, shift)
        self._rows, self._columns, self._shift = (self._array(array.astype(np.float32)) for array in arrays)

    def _block(self, rows: slice, scores: Any) -> float:
        positive = self._array(self._positive(rows))
        if self.log_q:
            scores += self._shift
        if self._torch is not None:
            return self._torch.skip_gram(scores, positive, self._rows[rows], self._columns)
        exponential = np.abs(scores)
        np.exp(np.negative(exponential, out=exponential), out=exponential)
        return compiled(_skip_gram, fastmath=True)(scores, exponential, positive, self._rows[rows], self._columns)


class InfoNce(Objective):
    """InfoNCE of unlimited negatives, or with `log_q` the full softmax over the k-mers that occur in the counts."""

    name = "infonce"

    def _prepare(self) -> None:
        seen = self._noise > 0
        weight = seen if self.log_q else self._noise
        arrays = (self._centre, np.log(weight, where=seen, out=np.full(len(seen), -np.inf)))
        self._rows, self._columns = (self._array(array.astype(np.float32)) for array in arrays)

    def _block(self, rows: slice, scores: Any) -> float:
        positive, centre = self._array(self._positive(rows)), self._rows[rows]
        if self._torch is not None:
            return self._torch.info_nce(scores, positive, centre, self._columns)
        attraction = float(np.vdot(positive, scores))
        scores += self._columns
        largest = scores.max(1, keepdims=True)
        np.exp(np.subtract(scores, largest, out=scores), out=scores)
        partition = scores.sum(1, keepdims=True)
        scores *= centre[:, None] / partition
        scores -= positive
        return float(centre @ (np.log(partition) + largest)[:, 0]) - attraction


OBJECTIVES: dict[str, type[Objective]] = {"sgns": SkipGram, "infonce": InfoNce}


def _skip_gram(scores: Any, exponential: Any, positive: Any, rows: Any, columns: Any) -> float:
    """Loss of a block of scores, overwritten by its slopes; `exponential` is exp(-|score|)."""
    total = 0.0
    for i in range(scores.shape[0]):
        part: Any = np.float32(0)
        row = rows[i]
        for j in range(scores.shape[1]):
            score, small, pair = scores[i, j], exponential[i, j], positive[i, j]
            weight = pair + row * columns[j]
            # log(1 + x) = 2 artanh(x / (2 + x)), whose series is exact to the last bit of a float32 for x <= 1
            z = small / (np.float32(2) + small)
            square = z * z
            series = square * np.float32(1 / 13) + np.float32(1 / 11)
            series = square * series + np.float32(1 / 9)
            series = square * series + np.float32(1 / 7)
            series = square * series + np.float32(1 / 5)
            series = square * series + np.float32(1 / 3)
            softplus = np.float32(2) * z * (square * series + np.float32(1))
            softplus += np.float32(0.5) * (score + abs(score))
            inverse = np.float32(1) / (np.float32(1) + small)
            sigmoid = inverse if score > np.float32(0) else small * inverse
            part += weight * softplus - pair * score
            scores[i, j] = weight * sigmoid - pair
        total += part
    return total
