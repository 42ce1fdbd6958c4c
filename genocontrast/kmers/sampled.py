"""The same losses from draws, for more k-mers than all pairs of them can be scored: positives and negatives sampled.

Each step draws ordered pairs in proportion to their counts, and one set of negatives for all of them in proportion to
q. With m of them, `infonce` estimates sum_j q_j exp(s_ij) by the mean over the negatives, and with log_q
sum_j exp(s_ij) by the sum of exp(s_ij - log(m q_j)), which is the logQ correction (Bengio and Senecal, 2008; Yi et
al., RecSys 2019).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from genocontrast.kmers.counts import CooccurrenceCounts
from genocontrast.kmers.fitting import CHECK_EVERY, LEAST_GAIN, Fit, balanced, decomposed
from genocontrast.kmers.objectives import Table, kept, noise

_STEPS = 20  # that count as one iteration
_PAIRS, _NEGATIVES = 1 << 12, 1 << 8  # unordered pairs, each in both orders, and negatives of a step
_LOOKS = 16  # batches that a look at a loss takes
_RATE = 0.02
_SMOOTHING = 0.1


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
        self.draws, self.objective, self.negatives, self.log_q = (
            Draws(counts, subsample, device),
            objective,
            negatives,
            log_q,
        )
        log_noise = np.log(self.draws.noise, where=self.draws.noise > 0, out=np.zeros_like(self.draws.noise))
        self._log_noise = torch.from_numpy(log_noise).float().to(device)
        self.device = device

    def of_batch(self, words: Tensor, contexts: Tensor, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Mean loss of the pairs of a batch, from two tables of shape=(n_tokens, dim)."""
        centres, others, negatives = batch
        here = functional.embedding(centres, words)  # (pairs, dim)
        attracted = (here * functional.embedding(others, contexts)).sum(1)
        repelled = here @ functional.embedding(negatives, contexts).T  # (pairs, negatives)
        if self.objective == "sgns":
            if self.log_q:
                shift = -self._log_noise - np.log(self.negatives)
                attracted, repelled = attracted + shift[others], repelled + shift[negatives]
            softplus = functional.softplus
            return (softplus(-attracted) + self.negatives * softplus(repelled).mean(1)).mean()
        correction = self._log_noise[negatives] if self.log_q else torch.zeros_like(self._log_noise[negatives])
        return ((repelled - correction).logsumexp(1) - np.log(repelled.shape[1]) - attracted).mean()

    def bias(self) -> Table:
        """Best score of each context, shape=(n_tokens,), were it no likelier beside one centre than beside another."""
        if self.log_q:
            return self._log_noise.cpu().numpy()
        return np.full(len(self._log_noise), -np.log(self.negatives) if self.objective == "sgns" else 0, np.float32)

    @torch.no_grad()
    def estimate(self, words: Table, contexts: Table) -> float:
        """Loss of two tables, from the same draws each time."""
        rng = np.random.default_rng(0)
        here, there = (torch.from_numpy(table).to(self.device) for table in (words, contexts))
        return float(np.mean([float(self.of_batch(here, there, self.draws.batch(rng))) for _ in range(_LOOKS)]))


def fit_sampled(train: SampledLoss, validation: SampledLoss | None, dim: int, seed: int, iterations: int) -> Fit:
    """Minimise the loss by Adam, with a rate that falls to zero; returns as `fitting.fit_tables`."""
    fit = Fit(*_start(train, dim, seed))
    tables = [torch.from_numpy(table).to(train.device).requires_grad_() for table in (fit.words, fit.contexts)]
    optimiser = torch.optim.Adam(tables, _RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / (iterations * _STEPS))
    rng = np.random.default_rng(seed)
    for iteration in range(iterations + 1):
        if iteration % CHECK_EVERY == 0 or iteration == iterations:
            plain = [table.detach().cpu().numpy().copy() for table in tables]
            held_out = None if validation is None else validation.estimate(*plain)
            gain = fit.look(iteration, train.estimate(*plain), held_out, *plain)
            if iteration == iterations or (held_out is not None and gain < LEAST_GAIN):
                break
        for _ in range(_STEPS):
            optimiser.zero_grad(set_to_none=True)
            train.of_batch(tables[0], tables[1], train.draws.batch(rng)).backward()
            optimiser.step()
            schedule.step()
    return Fit(*balanced(fit.words, fit.contexts), fit.history)


def _start(train: SampledLoss, dim: int, seed: int) -> tuple[Table, Table]:
    """Both tables from the singular value decomposition of the positive pointwise mutual information.

    One dimension holds what the best scores have besides, a constant or the k-mers' frequencies.
    """
    draws = train.draws
    n = len(draws.noise)
    marginal = np.bincount(draws.a, draws.weight, n) + np.bincount(draws.b, draws.weight, n)
    frequency = np.maximum(marginal, marginal[marginal > 0].min())
    scale = np.sqrt(frequency / frequency.mean()).astype(np.float32)[:, None]
    matrix: Any = sparse.csr_array((n, n), dtype=np.float32)
    for centres, others in ((draws.a, draws.b), (draws.b, draws.a)):
        ratio = draws.weight / marginal[centres] / draws.noise[others]
        values = np.log(np.maximum((ratio + _SMOOTHING) / (1 + _SMOOTHING), 1)) * (scale[centres] * scale[others])[:, 0]
        matrix = matrix + sparse.coo_array((values.astype(np.float32), (centres, others)), shape=(n, n)).tocsr()
    left, right = decomposed(matrix.__matmul__, matrix.T.tocsr().__matmul__, n, dim - 1, seed)
    words = np.concatenate([left / scale, np.ones((n, 1))], axis=1)
    contexts = np.concatenate([right / scale, train.bias()[:, None]], axis=1)
    return words.astype(np.float32), contexts.astype(np.float32)
