"""The same losses from draws, for more k-mers than all pairs of them can be scored: positives and negatives sampled.

Each step draws ordered pairs in proportion to their counts, and one set of m negatives for all of them in proportion to
q. `infonce` is then the cross-entropy of finding the positive among the m + 1, less log(m + 1); without the positive in
the sum it would have no minimum. Its best scores are those of unlimited negatives. With log_q the logits are corrected
by - log q, positive and negatives alike (Bengio and Senecal, 2008; Yi et al., RecSys 2019): the loss estimates that of
the full softmax.

The best corrected scores are the best uncorrected ones plus log q (and log negatives, for sgns). So the uncorrected
loss is what is minimised, and with log_q a last column is added, 1 for the centres and that term for the contexts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from genocontrast.kmers.counts import CooccurrenceCounts
from genocontrast.kmers.fitting import CHECK_EVERY, Fit, decomposed, one_blas_thread
from genocontrast.kmers.objectives import SMOOTHING, Table, kept, log_drawn, noise, settled, uninformed

_STEPS = 20  # that count as one iteration
_PAIRS, _NEGATIVES = 1 << 12, 1 << 8  # unordered pairs, each in both orders, and negatives of a step
_LOOKS = 16  # batches that a look at a loss takes
_RATE = 0.02


class Draws:
    """Ordered pairs and negatives drawn from counts that are lists.

    Parameters
    ----------
    counts : CooccurrenceCounts
    subsample : float
        As in `objectives.Objective`.
    device : str
        A device of torch.
    """

    def __init__(self, counts: CooccurrenceCounts, subsample: float, device: str) -> None:
        keep = kept(counts.tokens, subsample)
        a, b, weight = (np.concatenate(parts) for parts in zip(*counts.pairs(), strict=True))
        self.a, self.b, self.weight = a, b, weight * keep[a] * keep[b]
        self.noise = noise(counts.tokens)
        self.marginal = counts.marginals(keep)
        self._pair_ends, self._noise_ends = np.cumsum(self.weight), np.cumsum(self.noise)
        self.device = device

    def batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Centres and contexts, shape=(2 * pairs,), and negatives, shape=(negatives,)."""
        drawn = np.searchsorted(self._pair_ends, rng.random(_PAIRS) * self._pair_ends[-1], side="right")
        drawn = np.minimum(drawn, len(self.a) - 1)
        others = np.searchsorted(self._noise_ends, rng.random(_NEGATIVES) * self._noise_ends[-1], side="right")
        others = np.minimum(others, len(self.noise) - 1)
        both = (np.concatenate([self.a[drawn], self.b[drawn]]), np.concatenate([self.b[drawn], self.a[drawn]]))
        centres, contexts, negatives = (torch.from_numpy(array).to(self.device) for array in (*both, others))
        return centres, contexts, negatives


class SampledLoss:
    """Estimates of a loss on counts.

    Parameters
    ----------
    counts : CooccurrenceCounts
        Lists of the pairs that occur.
    objective : {"sgns", "infonce"}
    negatives, log_q, subsample
        As in `objectives.Objective`.
    device : str
        A device of torch.
    """

    def __init__(
        self,
        counts: CooccurrenceCounts,
        objective: str,
        negatives: float,
        *,
        log_q: bool = False,
        subsample: float = 0.0,
        device: str = "cpu",
    ) -> None:
        self.draws, self.device = Draws(counts, subsample, device), device
        self.objective, self.negatives, self.log_q = objective, negatives, log_q

    def of_batch(self, words: Tensor, contexts: Tensor, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Mean loss of the pairs of a batch, from two tables of shape=(n_tokens, dim), as if without `log_q`."""
        return self._loss(*_scores(words, contexts, batch))

    def _loss(self, attracted: Tensor, repelled: Tensor) -> Tensor:
        """Mean loss from the scores of the positives, shape=(pairs,), and negatives, shape=(pairs, negatives)."""
        if self.objective == "sgns":
            softplus = functional.softplus
            return (softplus(-attracted) + self.negatives * softplus(repelled).mean(1)).mean()
        logits = torch.cat([attracted[:, None], repelled], dim=1)  # (pairs, 1 + negatives)
        return (logits.logsumexp(1) - np.log(logits.shape[1]) - attracted).mean()

    def last_column(self) -> Table:
        """What `log_q` adds to the best scores of each context, shape=(n_tokens,)."""
        negatives = self.negatives if self.objective == "sgns" else 1.0
        return log_drawn(self.draws.noise, negatives).astype(np.float32)

    def uninformed(self) -> dict[str, float]:
        """Losses of scores that tell nothing, see `objectives.uninformed`."""
        draws = self.draws
        centre = draws.marginal / draws.marginal.sum()
        return uninformed(self.objective, centre, draws.noise, self.negatives, log_q=self.log_q)

    @torch.no_grad()
    def estimate(self, words: Table, contexts: Table) -> float:
        """Loss of two tables, from the same draws each time."""
        rng = np.random.default_rng(0)
        here, there = (torch.from_numpy(table).to(self.device) for table in (words, contexts))
        column = torch.from_numpy(self.last_column()).to(self.device)
        losses = []
        for _ in range(_LOOKS):
            _, others, negatives = batch = self.draws.batch(rng)
            attracted, repelled = _scores(here, there, batch)
            taken = 0.0
            if self.log_q:
                attracted, repelled = attracted - column[others], repelled - column[negatives]
                # the full softmax has the positive's score itself
                taken = float(column[others].mean()) if self.objective == "infonce" else 0.0
            losses.append(float(self._loss(attracted, repelled)) - taken)
        return float(np.mean(losses))


def _scores(words: Tensor, contexts: Tensor, batch: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Scores of a batch's positives, shape=(pairs,), and of each with all negatives, shape=(pairs, negatives)."""
    centres, others, negatives = batch
    here = functional.embedding(centres, words)  # (pairs, dim)
    return (here * functional.embedding(others, contexts)).sum(1), here @ functional.embedding(negatives, contexts).T


def fit_sampled(train: SampledLoss, validation: SampledLoss | None, dim: int, seed: int, iterations: int) -> Fit:
    """Minimise the loss by Adam, with a rate that falls to zero; returns as `fitting.fit_tables`."""
    with one_blas_thread():
        words, contexts = _start(train, dim - 1 if train.log_q else dim, seed)
    tables = [torch.from_numpy(table).to(train.device).requires_grad_() for table in (words, contexts)]
    fit = Fit(*_whole(train, tables), (validation or train).uninformed()["best_constant"])
    optimiser = torch.optim.Adam(tables, _RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / (iterations * _STEPS))
    rng = np.random.default_rng(seed)
    for iteration in range(iterations + 1):
        if iteration % CHECK_EVERY == 0 or iteration == iterations:
            whole = _whole(train, tables)
            held_out = None if validation is None else validation.estimate(*whole)
            falls = fit.look(iteration, train.estimate(*whole), held_out, *whole)
            if iteration == iterations or not falls:
                break
        for _ in range(_STEPS):
            optimiser.zero_grad(set_to_none=True)
            train.of_batch(tables[0], tables[1], train.draws.batch(rng)).backward()
            optimiser.step()
            schedule.step()
    fit.contexts = settled(train.objective, fit.contexts, train.draws.noise, log_q=train.log_q)
    return fit.balanced()


def _whole(train: SampledLoss, tables: Sequence[Tensor]) -> tuple[Table, Table]:
    """The tables as arrays, with the last column that `log_q` adds."""
    words, contexts = (table.detach().cpu().numpy().copy() for table in tables)
    if not train.log_q:
        return words, contexts
    column = train.last_column()[:, None]
    return np.concatenate([words, np.ones_like(column)], axis=1), np.concatenate([contexts, column], axis=1)


def _start(train: SampledLoss, dim: int, seed: int) -> tuple[Table, Table]:
    """Both tables from the singular value decomposition of the positive pointwise mutual information.

    One dimension holds the constant that the best scores have besides.
    """
    draws = train.draws
    n = len(draws.noise)
    marginal = draws.marginal
    frequency = np.maximum(marginal, marginal[marginal > 0].min())
    scale = np.sqrt(frequency / frequency.mean()).astype(np.float32)[:, None]
    matrix: Any = sparse.csr_array((n, n), dtype=np.float32)
    off = draws.a != draws.b  # the diagonal has one cell for both orders
    for centres, others, weight in (
        (draws.a, draws.b, np.where(off, 1, 2) * draws.weight),
        (draws.b[off], draws.a[off], draws.weight[off]),
    ):
        ratio = weight / marginal[centres] / draws.noise[others]
        values = np.log(np.maximum((ratio + SMOOTHING) / (1 + SMOOTHING), 1)) * (scale[centres] * scale[others])[:, 0]
        matrix = matrix + sparse.coo_array((values.astype(np.float32), (centres, others)), shape=(n, n)).tocsr()
    left, right = decomposed(matrix.__matmul__, matrix.T.tocsr().__matmul__, n, dim - 1, seed)
    words = np.concatenate([left / scale, np.ones((n, 1))], axis=1)
    constant = -np.log(train.negatives) if train.objective == "sgns" else 0.0
    contexts = np.concatenate([right / scale, np.full((n, 1), constant)], axis=1)
    return words.astype(np.float32), contexts.astype(np.float32)
