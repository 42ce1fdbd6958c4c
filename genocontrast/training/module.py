"""What one training step does: tell promoters from decoys, contrast them, and tell both from their surrogates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
import torch.distributed as dist
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from genocontrast.config import TrainingConfig
from genocontrast.contrast import ContrastiveLoss, gathered_info_nce, harmonise, info_nce
from genocontrast.encoders import Encoded, Encoder
from genocontrast.encoders.views import one_hot, reverse_complement
from genocontrast.errors import ModelError
from genocontrast.training.data import Batch, PairCodes, training_batches, validation_batches

GRADIENT_NORM = 1.0
"""Gradients are clipped to this norm: an odd batch must not undo an epoch."""


class PromoterModule(LightningModule):
    """Classification of promoters and decoys, InfoNCE with decoys as hard negatives, and a lesson about motifs.

    The lesson: windows of both classes are told from surrogates of their own dinucleotide composition. Where
    promoters and decoys hold the same motifs and differ in how they are arranged, no single motif tells the classes
    apart; the lesson gives the filters a reason to find motifs all the same. How much it helps depends on the data.

    Parameters
    ----------
    network : Encoder
    config : TrainingConfig
    train_pairs, validation_pairs : PairCodes
    seed : int
        Seed of batches, views and dropout.

    Attributes
    ----------
    judged : Encoder
        What validation looks at and training gives: the moving average of the network's weights, or the network.
    """

    def __init__(
        self,
        network: Encoder,
        config: TrainingConfig,
        train_pairs: PairCodes,
        validation_pairs: PairCodes,
        seed: int,
    ) -> None:
        super().__init__()
        # the gradients of several losses are brought into harmony before the optimiser sees them
        self.automatic_optimization = False
        self.network, self.config, self.seed = network, config, seed
        self.train_pairs, self.validation_pairs = train_pairs, validation_pairs
        self.surrogate_head = nn.Linear(network.feature_dim, 1)
        self.average: AveragedModel | None = None
        if config.average:
            self.average = AveragedModel(network, multi_avg_fn=_moving_average(config.average)).requires_grad_(False)
        self.sums: dict[str, Tensor] = {}
        self.validation: list[tuple[Tensor, Tensor]] = []
        self.epoch_metrics: dict[str, float] = {}

    @property
    def judged(self) -> Encoder:
        """What validation looks at and training gives."""
        return self.network if self.average is None else cast(Encoder, self.average.module)

    def train_dataloader(self) -> DataLoader[Batch]:
        """The batches of the current epoch, the same ones in a resumed training."""
        config, wanted = self.config, self.config.surrogate_weight > 0
        place = (self.global_rank, self.trainer.world_size)
        return training_batches(self.train_pairs, config.batch_pairs, self.seed, self.current_epoch, *place, wanted)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """The validation windows, unmoved."""
        return validation_batches(self.validation_pairs, 2 * self.config.batch_pairs)

    def on_train_epoch_start(self) -> None:
        """Forget the figures of the epoch before."""
        self.sums = {}

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed dropout by epoch and batch, so that a resumed training repeats it."""
        place = (self.seed * 100_003 + self.current_epoch) * 100_003 + batch_idx
        torch.manual_seed(place * self.trainer.world_size + self.global_rank)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One step on the losses of one batch of pairs."""
        losses = self._losses(batch, batch_idx)
        self._refuse_nan(losses, batch_idx)
        optimiser, schedule = self.optimizers(), self.lr_schedulers()
        assert not isinstance(optimiser, list)
        assert isinstance(schedule, torch.optim.lr_scheduler.LRScheduler)
        optimiser.zero_grad()
        weights = {name: getattr(self.config, f"{name}_weight", 1.0) for name in losses}
        harmony = harmonise(losses, self.network.named_parameters(), method=self.config.harmony, weights=weights)
        self._average_gradients()
        nn.utils.clip_grad_norm_(self.parameters(), GRADIENT_NORM)
        optimiser.step()
        schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        self._add(train_loss=harmony.loss, **{f"train_{name}": loss for name, loss in losses.items()})

    def _losses(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The losses of one batch, unweighted; those of weight 0 are left out."""
        windows = [one_hot(each) for each in batch]
        if self.network.strand == "free":
            # what the other encoders know by construction, it can learn only from examples
            windows[1] = reverse_complement(windows[1])
        features = self.network.features(torch.cat(windows))
        *parts, drawn = features.split([len(batch.views)] * 3 + [len(batch.surrogates)])
        promoter, view, decoy = (self.network.heads(part) for part in parts)
        losses = {"classification": self._classification(promoter, view, decoy)}
        if not self.config.classification_weight:
            told = (self.network.heads(part.detach()) for part in parts)
            losses = {"probe": self._classification(*told)}
        self._refuse_nan(losses, batch_idx)
        if self.config.contrastive_weight:
            losses["contrastive"], diagnostics = self._contrast(promoter.embedding, view.embedding, decoy.embedding)
            self._add(**{f"train_{name}": diagnostics[name] for name in ("accuracy", "alignment", "uniformity")})
        if self.config.surrogate_weight:
            losses["surrogate"] = self._surrogate_loss(torch.cat([parts[0], parts[2]]), drawn)
        return losses

    def _classification(self, promoter: Encoded, view: Encoded, decoy: Encoded) -> Tensor:
        # one promoter seen twice counts for as much as its decoy
        return (self._classify(promoter, 1) + self._classify(view, 1)) / 4 + self._classify(decoy, 0) / 2

    def _classify(self, encoded: Encoded, label: int) -> Tensor:
        """Cross-entropy of promoter and none; where strands count: of promoter here, on the other strand, and none."""
        directed = encoded.directed
        if not self.train_pairs.oriented:
            directed = encoded.logit[:, None]
        outcomes = torch.cat([torch.zeros_like(directed[:, :1]), directed], dim=1)
        return functional.cross_entropy(outcomes, torch.full((len(directed),), label, device=directed.device))

    def _surrogate_loss(self, real: Tensor, drawn: Tensor) -> Tensor:
        logits = self.surrogate_head(torch.cat([real, drawn]).mean(1)).squeeze(-1).float()
        labels = torch.arange(2, device=logits.device).flip(0).repeat_interleave(len(real)).float()
        return functional.binary_cross_entropy_with_logits(logits, labels)

    def _contrast(self, promoters: Tensor, views: Tensor, decoys: Tensor) -> ContrastiveLoss:
        """InfoNCE: all promoters are one class, the decoys of the batch its negatives, a promoter's own one twice."""
        one_class = torch.zeros(len(promoters), dtype=torch.long, device=promoters.device)
        compare = gathered_info_nce if self.trainer.world_size > 1 else info_nce
        return compare(
            promoters,
            views,
            temperature=self.config.temperature,
            hard=decoys[:, None],
            bank=decoys,
            labels=one_class,
            symmetric=False,
        )

    def _refuse_nan(self, losses: dict[str, Tensor], batch_idx: int) -> None:
        for name, loss in losses.items():
            if not torch.isfinite(loss):
                raise ModelError(
                    f"the {name} loss is not a finite number at epoch {self.current_epoch + 1}, batch {batch_idx + 1}",
                    value=float(loss.detach()),
                    remedy="lower training.learning_rate",
                )

    def _average_gradients(self) -> None:
        """The mean of all processes' gradients; each process has its share of the batch."""
        if self.trainer.world_size > 1:
            for parameter in self.parameters():
                if parameter.grad is not None:
                    dist.all_reduce(parameter.grad)
                    parameter.grad /= self.trainer.world_size

    def _add(self, **figures: Tensor) -> None:
        # summed on the device: reading each would wait for it
        for name, figure in figures.items():
            self.sums[name] = self.sums.get(name, 0) + figure.detach()

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Collect the logits of the windows themselves."""
        codes, labels = batch
        self.validation.append((self.judged(one_hot(codes)).logit, labels))

    def on_validation_epoch_end(self) -> None:
        """Sum up the epoch; the callbacks read `epoch_metrics`."""
        logits, labels = (torch.cat(parts) for parts in zip(*self.validation, strict=True))
        self.validation = []
        # the classes count alike, as in training
        losses = functional.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none")
        batches = self.trainer.num_training_batches
        self.epoch_metrics = {name: float(total) / batches for name, total in self.sums.items()} | {
            "validation_loss": float((losses[labels == 1].mean() + losses[labels == 0].mean()) / 2),
            "validation_auroc": float(roc_auc_score(labels.cpu(), logits.cpu())),
        }

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW whose learning rate rises, then falls to nothing; biases and norms do not decay."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [parameter for parameter in trained if parameter.ndim > 1]},
            {"params": [parameter for parameter in trained if parameter.ndim <= 1], "weight_decay": 0.0},
        ]
        rate = self.config.learning_rate
        optimiser = torch.optim.AdamW(groups, lr=rate, weight_decay=self.config.weight_decay)
        # not Lightning's own estimate: it would load the first epoch's batches, also where a later epoch resumes
        steps = self.config.epochs * len(self.train_dataloader())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.2)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _moving_average(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], int | Tensor], None]:
    """An exponential moving average that forgets the first steps faster: they are far from where training ends."""

    @torch.no_grad()
    def update(averages: Sequence[Tensor], current: Sequence[Tensor], updates: int | Tensor) -> None:
        done = int(updates)
        torch._foreach_lerp_(list(averages), list(current), 1 - min(decay, (1 + done) / (10 + done)))

    return update
