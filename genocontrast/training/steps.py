"""How a training step is made, whatever is learned: losses in harmony, averaged weights, shared batches."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
import torch.distributed as dist
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from genocontrast.config import TrainingConfig
from genocontrast.contrast import harmonise
from genocontrast.encoders import Encoder
from genocontrast.encoders.views import Compose, from_config
from genocontrast.errors import ConfigError, ModelError

WARM_UP = 0.2
"""Share of the steps in which the learning rate rises."""
GRADIENT_NORM = 1.0
"""Gradients are clipped to this norm: an odd batch must not undo an epoch."""


class SteppedModule(LightningModule, ABC):
    """A network that is trained on several losses at once; what the losses are, subclasses say.

    Parameters
    ----------
    network : Encoder
    config : TrainingConfig
    epochs : int
        Largest number of passes over the data.
    seed : int
        Seed of batches, views and dropout.
    """

    headline: tuple[str, str]
    """The figure of an epoch's line of progress: its name there, and in `epoch_metrics`."""

    def __init__(self, network: Encoder, config: TrainingConfig, epochs: int, seed: int) -> None:
        super().__init__()
        # the gradients of several losses are brought into harmony before the optimiser sees them
        self.automatic_optimization = False
        self.network, self.config, self.epochs, self.seed = network, config, epochs, seed
        self.average: AveragedModel | None = None
        if config.average:
            self.average = AveragedModel(network, multi_avg_fn=_moving_average(config.average)).requires_grad_(False)
        self.views = Compose(tuple(map(from_config, config.views)))
        self.sums: dict[str, Tensor] = {}
        self.epoch_metrics: dict[str, float] = {}

    @property
    def judged(self) -> Encoder:
        """What is validated and kept: the moving average of the network's weights, or the network itself."""
        return self.network if self.average is None else cast(Encoder, self.average.module)

    def full_precision(self) -> torch.autocast:
        """Context of validation: in float32, as the trained model computes, whatever it trains in."""
        return torch.autocast(self.device.type, enabled=False)

    @abstractmethod
    def losses(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """The losses of one batch, scalars by name, unweighted."""

    def weight(self, loss: str) -> float:
        """Weight of a loss: the setting of that name, or 1."""
        return getattr(self.config, f"{loss}_weight", 1.0)

    def on_train_epoch_start(self) -> None:
        """Forget the figures of the epoch before."""
        self.sums = {}

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed dropout by epoch and batch, so that a resumed training repeats it."""
        place = (self.seed * 100_003 + self.current_epoch) * 100_003 + batch_idx
        torch.manual_seed(place * self.trainer.world_size + self.global_rank)
        self.chance = torch.Generator(self.device).manual_seed(torch.initial_seed())

    def seen(self, codes: Tensor) -> Tensor:
        """Views of windows, as configured, uint8, shape=(n, length)."""
        return self.views(codes, self.chance) if self.views.views else codes

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """One step on the losses of one batch."""
        losses = self.losses(batch, batch_idx)
        self.refuse_nan(losses, batch_idx)
        optimiser, schedule = self.optimizers(), self.lr_schedulers()
        assert not isinstance(optimiser, list)
        assert isinstance(schedule, torch.optim.lr_scheduler.LRScheduler)
        optimiser.zero_grad()
        weights = {name: self.weight(name) for name in losses}
        harmony = harmonise(losses, self.network.named_parameters(), method=self.config.harmony, weights=weights)
        self._average_gradients()
        nn.utils.clip_grad_norm_(self.parameters(), GRADIENT_NORM)
        optimiser.step()
        schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        self.add(train_loss=harmony.loss, **{f"train_{name}": loss for name, loss in losses.items()})

    def share(self, rows: int) -> Tensor | float:
        """What a mean over this process's rows of a batch counts for, so that the processes' mean is that of all rows.

        Parameters
        ----------
        rows : int
            Rows of this process; all processes must call this.
        """
        if not dist.is_initialized():
            return 1.0
        total = torch.tensor(float(rows), device=self.device)
        dist.all_reduce(total)
        return rows * dist.get_world_size() / total

    def refuse_nan(self, losses: dict[str, Tensor], batch_idx: int) -> None:
        """Stop at a loss that is no number, by its name and batch."""
        for name, loss in losses.items():
            if not torch.isfinite(loss):
                raise ModelError(
                    f"the {name} loss is not a finite number at epoch {self.current_epoch + 1}, batch {batch_idx + 1}",
                    value=float(loss.detach()),
                    remedy="lower training.learning_rate",
                )

    def add(self, **figures: Tensor) -> None:
        """Add a batch's figures to those of the epoch."""
        # summed on the device: reading each would wait for it
        for name, figure in figures.items():
            self.sums[name] = self.sums.get(name, 0) + figure.detach()

    def means(self) -> dict[str, float]:
        """The epoch's figures, each the mean over batches, and over processes."""
        if self.trainer.world_size > 1:
            totals = torch.stack([total.to(self.device, torch.float32) for total in self.sums.values()])
            dist.all_reduce(totals)
            self.sums = dict(zip(self.sums, totals / self.trainer.world_size, strict=True))
        return {name: float(total) / self.trainer.num_training_batches for name, total in self.sums.items()}

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
        steps = self.epochs * len(self.train_dataloader())
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _share_of_peak(step, steps))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _average_gradients(self) -> None:
        """The mean of all processes' gradients; each process has its share of the batch."""
        if self.trainer.world_size > 1:
            for parameter in self.parameters():
                if parameter.grad is not None:
                    dist.all_reduce(parameter.grad)
                    parameter.grad /= self.trainer.world_size


def check_views(config: TrainingConfig, width: int) -> None:
    """Refuse views that teach nothing, or that the rest of the training does not bear.

    Raises
    ------
    ConfigError
    """
    views = Compose(tuple(map(from_config, config.views)))
    if views.flank:
        raise ConfigError(
            "a view takes flanks of its own", value=views.flank, remedy="move windows by training.max_shift instead"
        )
    if config.views and config.strand != "free" and views.changes_only_strand(width):
        raise ConfigError(
            f"a {config.strand} encoder gives a window and its reverse complement one embedding, so that these "
            "training.views teach it nothing (similarity 1, no gradient)",
            value=config.views,
            remedy="leave them out, or add crop, mutation or others; only strand free learns from reverse complements",
        )
    if config.orientation == "stranded" and "reverse_complement" in str(config.views):
        raise ConfigError(
            "a stranded encoder learns the strand that windows are given on, and reverse_complement hides it",
            value=config.views,
            remedy="leave that view out",
        )


def _share_of_peak(step: int, steps: int) -> float:
    """Learning rate of a step as a share of the peak: up in a line, down as a cosine."""
    rise = WARM_UP * steps
    if step < rise:
        return (step + 1) / (rise + 1)
    return (1 + math.cos(math.pi * (step - rise) / (steps - rise))) / 2 if step < steps else 0.0


def _moving_average(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], int | Tensor], None]:
    """An exponential moving average that forgets the first steps faster: they are far from where training ends."""

    @torch.no_grad()
    def update(averages: Sequence[Tensor], current: Sequence[Tensor], updates: int | Tensor) -> None:
        done = int(updates)
        torch._foreach_lerp_(list(averages), list(current), 1 - min(decay, (1 + done) / (10 + done)))

    return update
