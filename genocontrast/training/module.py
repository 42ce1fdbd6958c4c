"""What one training step does: tell promoters from decoys, contrast them, and tell both from their surrogates."""

from __future__ import annotations

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from genocontrast.config import TrainingConfig
from genocontrast.contrast import ContrastiveLoss, info_nce
from genocontrast.encoders import Encoder
from genocontrast.encoders.views import one_hot
from genocontrast.errors import ModelError
from genocontrast.training.data import Batch, PairCodes, training_batches, validation_batches


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
        self.network, self.config, self.seed = network, config, seed
        self.train_pairs, self.validation_pairs = train_pairs, validation_pairs
        self.surrogate_head = nn.Linear(network.feature_dim, 1)
        self.sums: dict[str, Tensor] = {}
        self.validation: list[tuple[Tensor, Tensor]] = []
        self.epoch_metrics: dict[str, float] = {}

    def train_dataloader(self) -> DataLoader[Batch]:
        """The batches of the current epoch, the same ones in a resumed training."""
        return training_batches(self.train_pairs, self.config.batch_pairs, self.seed, self.current_epoch)

    def val_dataloader(self) -> DataLoader[Batch]:
        """The validation windows, unmoved."""
        return validation_batches(self.validation_pairs, self.config.batch_pairs)

    def on_train_epoch_start(self) -> None:
        """Forget the figures of the epoch before."""
        self.sums = {}

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed dropout by epoch and batch, so that a resumed training repeats it."""
        torch.manual_seed((self.seed * 100_003 + self.current_epoch) * 100_003 + batch_idx)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of one batch of pairs."""
        features = self.network.features(one_hot(torch.cat(batch)))
        parts = Batch(*features.chunk(len(batch)))
        promoter, view, decoy = (self.network.heads(part) for part in parts[:3])
        # one promoter seen twice counts for as much as its decoy
        classification = (_classify(promoter.logit, 1) + _classify(view.logit, 1)) / 4 + _classify(decoy.logit, 0) / 2
        self._refuse_nan(classification, batch_idx)
        contrastive, diagnostics = self._contrast(promoter.embedding, view.embedding, decoy.embedding)
        lesson = self._surrogate_loss(parts)
        loss = classification + self.config.contrastive_weight * contrastive + self.config.surrogate_weight * lesson
        self._refuse_nan(loss, batch_idx)
        self._add(
            train_loss=loss,
            train_classification=classification,
            train_contrastive=contrastive,
            train_surrogates=lesson,
            train_accuracy=diagnostics["accuracy"],
            train_alignment=diagnostics["alignment"],
            train_uniformity=diagnostics["uniformity"],
        )
        return loss

    def _surrogate_loss(self, parts: Batch) -> Tensor:
        real, drawn = (
            self.surrogate_head(torch.cat(pair)).squeeze(-1)
            for pair in ((parts.promoters, parts.decoys), (parts.promoter_surrogates, parts.decoy_surrogates))
        )
        return (_classify(real, 1) + _classify(drawn, 0)) / 2

    def _contrast(self, promoters: Tensor, views: Tensor, decoys: Tensor) -> ContrastiveLoss:
        """InfoNCE: all promoters are one class, the decoys of the batch its negatives, a promoter's own one twice."""
        one_class = torch.zeros(len(promoters), dtype=torch.long, device=promoters.device)
        return info_nce(
            promoters,
            views,
            temperature=self.config.temperature,
            hard=decoys[:, None],
            bank=decoys,
            labels=one_class,
            symmetric=False,
        )

    def _refuse_nan(self, loss: Tensor, batch_idx: int) -> None:
        if not torch.isfinite(loss):
            raise ModelError(
                f"the loss is not a finite number at epoch {self.current_epoch + 1}, batch {batch_idx + 1}",
                value=float(loss.detach()),
                remedy="lower training.learning_rate",
            )

    def _add(self, **figures: Tensor) -> None:
        # summed on the device: reading each would wait for it
        for name, figure in figures.items():
            self.sums[name] = self.sums.get(name, 0) + figure.detach()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect the logits of the windows themselves."""
        encoded = self.network(one_hot(torch.cat([batch.promoters, batch.decoys])))
        labels = torch.arange(2, device=encoded.logit.device).flip(0).repeat_interleave(len(batch.promoters))
        self.validation.append((encoded.logit.float(), labels))

    def on_validation_epoch_end(self) -> None:
        """Sum up the epoch; the callbacks read `epoch_metrics`."""
        logits, labels = (torch.cat(parts) for parts in zip(*self.validation, strict=True))
        self.validation = []
        loss = functional.binary_cross_entropy_with_logits(logits, labels.float())
        batches = self.trainer.num_training_batches
        self.epoch_metrics = {name: float(total) / batches for name, total in self.sums.items()} | {
            "validation_loss": float(loss),
            "validation_auroc": float(roc_auc_score(labels.cpu(), logits.cpu())),
        }

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW whose learning rate rises, then falls to nothing."""
        optimiser = torch.optim.AdamW(
            self.parameters(), lr=self.config.learning_rate, weight_decay=self.config.weight_decay
        )
        # not Lightning's own estimate: it would load the first epoch's batches, also where a later epoch resumes
        steps = self.config.epochs * len(self.train_dataloader())
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            self.config.learning_rate,
            total_steps=steps,
            pct_start=0.2,
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _classify(logit: Tensor, label: int) -> Tensor:
    logit = logit.float()
    return functional.binary_cross_entropy_with_logits(logit, torch.full_like(logit, label))
