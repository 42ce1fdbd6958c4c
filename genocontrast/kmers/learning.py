"""From counts to vectors: which objective, exact or sampled, on which device, and the record of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from genocontrast.errors import ConfigError, ModelError, ShapeError
from genocontrast.kmers.counts import CooccurrenceCounts
from genocontrast.kmers.fitting import Fit, fit_tables
from genocontrast.kmers.objectives import OBJECTIVES, Objective, Table
from genocontrast.sequence import canonical_table

if TYPE_CHECKING:
    from genocontrast.kmers.sampled import SampledLoss

LEARNED = ("dim", "objective", "log_q", "negatives", "subsample", "iterations", "device")
"""Settings of the `kmers` section that say how vectors are learned."""
_CUDA_K = 7  # from here on, a step takes longer than its tables take to the device and back


@dataclass(frozen=True)
class Learning:
    """How vectors are learned; see the `kmers` section of the configuration."""

    dim: int
    objective: str
    log_q: bool
    negatives: float
    subsample: float
    iterations: int
    device: str
    seed: int

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError("'seed' must be at least 0", value=self.seed)

    def fit(self, counts: CooccurrenceCounts, validation: CooccurrenceCounts | None) -> tuple[Fit, dict[str, Any], str]:
        """The fitted tables, their losses beside what those must beat, and the device."""
        if validation is not None and counts.settings != validation.settings:
            raise ShapeError(
                "training and validation were counted with different settings",
                value=counts.settings.unlike(validation.settings),
                remedy="count both with the same settings",
            )
        device = resolved(self.device, counts.k)
        if counts.settings.sparse:
            return *self._sampled(counts, validation, device), device
        train = self.exact(counts, device)
        watched = None if validation is None else self.exact(validation, device)
        fit = fit_tables(train, watched, self.dim, self.seed, self.iterations)
        # a trace of smoothing: pairs that do not occur have no best score, only ever lower ones
        full_rank = train.loss_of_scores(lambda rows: train.best_scores(rows, smoothing=1e-9))
        losses = {"start": fit.history[0], "final": fit.best, **train.uninformed(), "full_rank": full_rank}
        return fit, losses, device

    def loss(self, counts: CooccurrenceCounts, words: Table, contexts: Table) -> float:
        """Loss of two tables on counts; of counts that are lists, an estimate from draws, the same each time."""
        if counts.settings.sparse:
            return self._draws(counts, "cpu").estimate(words, contexts)
        return self.exact(counts, "cpu").loss(words, contexts)

    def exact(self, counts: CooccurrenceCounts, device: str) -> Objective:
        """The exact objective on counts."""
        kind = OBJECTIVES[self.objective]
        return kind(counts, self.negatives, log_q=self.log_q, subsample=self.subsample, device=device)

    def _draws(self, counts: CooccurrenceCounts, device: str) -> SampledLoss:
        from genocontrast.kmers.sampled import SampledLoss

        options: dict[str, Any] = {"log_q": self.log_q, "subsample": self.subsample, "device": device}
        return SampledLoss(counts, self.objective, self.negatives, **options)

    def _sampled(
        self, counts: CooccurrenceCounts, validation: CooccurrenceCounts | None, device: str
    ) -> tuple[Fit, dict[str, Any]]:
        from genocontrast.kmers.sampled import fit_sampled

        watched = None if validation is None else self._draws(validation, device)
        train = self._draws(counts, device)
        fit = fit_sampled(train, watched, self.dim, self.seed, self.iterations)
        return fit, {"start": fit.history[0], "final": fit.best, **train.uninformed()}


def check_dim(dim: int, k: int) -> None:
    """Refuse more dimensions than there are k-mers (ConfigError)."""
    n_tokens = len(canonical_table(k)[1])
    if dim > n_tokens:
        raise ConfigError(
            f"'dim' is larger than the number of strand-tied {k}-mers, {n_tokens}",
            value=dim,
            remedy=f"choose dim <= {n_tokens}, or a larger k",
        )


def resolved(device: str, k: int) -> str:
    """Where to fit, cpu or cuda; a ModelError where CUDA is asked for and absent."""
    if device == "cpu" or (device == "auto" and k < _CUDA_K):
        return "cpu"
    import torch

    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ModelError("there is no CUDA device", value=device, remedy="set kmers.device to auto or cpu")
    return "cuda" if available else "cpu"
