"""What one training step learns: to tell promoters from decoys, to contrast them, and both from their surrogates."""

from __future__ import annotations

from typing import Any

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from genocontrast.config import TrainingConfig
from genocontrast.contrast import ContrastiveLoss, gather_rows, gathered_info_nce, info_nce
from genocontrast.encoders import Encoded, Encoder
from genocontrast.encoders.views import one_hot, reverse_complement
from genocontrast.training.calibration import calibrated_loss
from genocontrast.training.data import Batch, PairCodes, training_batches, validation_batches
from genocontrast.training.steps import SteppedModule, check_views


class PromoterModule(SteppedModule):
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

    headline = ("AUROC", "validation_auroc")

    def __init__(
        self,
        network: Encoder,
        config: TrainingConfig,
        train_pairs: PairCodes,
        validation_pairs: PairCodes,
        seed: int,
    ) -> None:
        check_views(config, train_pairs.width)
        super().__init__(network, config, config.epochs, seed)
        self.train_pairs, self.validation_pairs = train_pairs, validation_pairs
        self.surrogate_head = nn.Linear(network.feature_dim, 1)
        self.validation: list[tuple[Tensor, Tensor]] = []

    def train_dataloader(self) -> DataLoader[Batch]:
        """The batches of the current epoch, the same ones in a resumed training."""
        config = self.config
        return training_batches(
            self.train_pairs,
            config.batch_pairs,
            self.seed,
            self.current_epoch,
            self.global_rank,
            self.trainer.world_size,
            with_views=config.contrastive_weight > 0,
            with_surrogates=config.surrogate_weight > 0,
        )

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """The validation windows, unmoved."""
        return validation_batches(self.validation_pairs, 2 * self.config.batch_pairs)

    def losses(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The losses of one batch, unweighted; those of weight 0 are left out."""
        windows = [one_hot(each) for each in (*map(self.seen, batch[:3]), batch.surrogates)]
        if self.network.strand == "free":
            # what the other encoders know by construction, it can learn only from examples
            windows[1] = reverse_complement(windows[1])
        features = self.network.features(torch.cat(windows))
        *parts, drawn = features.split([len(each) for each in batch])
        promoter, view, decoy = (self.network.heads(part) for part in parts)
        share = self.share(len(batch.promoters))
        losses = {"classification": self._classification(promoter, view, decoy) * share}
        if not self.config.classification_weight:
            told = (self.network.heads(part.detach()) for part in parts)
            losses = {"probe": self._classification(*told) * share}
        self.refuse_nan(losses, batch_idx)
        if self.config.contrastive_weight:
            losses["contrastive"], diagnostics = self._contrast(promoter.embedding, view.embedding, decoy.embedding)
            self.add(**{f"train_{name}": diagnostics[name] * share for name in ("accuracy", "alignment", "uniformity")})
        if self.config.surrogate_weight:
            losses["surrogate"] = self._surrogate_loss(torch.cat([parts[0], parts[2]]), drawn) * share
        return losses

    def _classification(self, promoter: Encoded, view: Encoded, decoy: Encoded) -> Tensor:
        seen = self._classify(promoter, 1)
        if len(view.logit):
            # one promoter seen twice counts for as much as its decoy
            seen = (seen + self._classify(view, 1)) / 2
        return (seen + self._classify(decoy, 0)) / 2

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
        shared: dict[str, Any] = {
            "temperature": self.config.temperature,
            "hard": decoys[:, None],
            "labels": one_class,
            "symmetric": False,
        }
        if self.trainer.world_size > 1:
            return gathered_info_nce(promoters, views, bank=gather_rows(decoys), **shared)
        return info_nce(promoters, views, bank=decoys, **shared)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Collect the logits of the windows themselves."""
        codes, labels = batch
        with self.full_precision():
            self.validation.append((self.judged(one_hot(codes)).logit, labels))

    def on_validation_epoch_end(self) -> None:
        """Sum up the epoch; the callbacks read `epoch_metrics`."""
        logits, labels = (torch.cat(parts).cpu().numpy() for parts in zip(*self.validation, strict=True))
        self.validation = []
        self.epoch_metrics = self.means() | {
            "validation_loss": calibrated_loss(logits, labels),
            "validation_auroc": float(roc_auc_score(labels, logits)),
        }
