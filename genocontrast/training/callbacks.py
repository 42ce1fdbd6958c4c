"""What happens between epochs: best weights, early stopping, the checkpoint to resume from, a line of progress."""

from __future__ import annotations

import os
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from genocontrast.artefacts import atomic
from genocontrast.display import CELL_LINE, bar, in_notebook
from genocontrast.errors import GenocontrastWarning

CHECKPOINT = "last.ckpt"


class BestWeights(Callback):
    """Keeps history and best weights, stops when nothing improves, and leaves a checkpoint after each epoch.

    Parameters
    ----------
    patience : int
        Epochs without a better validation loss before training stops.
    fingerprint : str
        What is trained, on what and how; a checkpoint of anything else is not resumed.
    folder : Path, optional
        Where the checkpoint goes; none is written without it.
    """

    def __init__(self, patience: int, fingerprint: str, folder: Path | None) -> None:
        self.patience, self.fingerprint, self.folder = patience, fingerprint, folder
        self.history: list[dict[str, Any]] = []
        self.best_epoch = 0
        self.weights: dict[str, torch.Tensor] = {}

    @property
    def state_key(self) -> str:
        """Name of this callback's part of a checkpoint."""
        return "BestWeights"

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training must know."""
        names = ("fingerprint", "history", "best_epoch", "weights")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where the checkpoint left off."""
        for name, value in state_dict.items():
            setattr(self, name, value)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A training that had already stopped early stays stopped."""
        trainer.should_stop = self._exhausted()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Note the epoch; keep its weights where they are the best so far."""
        epoch = trainer.current_epoch + 1
        self.history.append({"epoch": epoch, **pl_module.epoch_metrics})
        losses = [row["validation_loss"] for row in self.history]
        if losses[-1] <= min(losses):
            self.best_epoch = epoch
            self.weights = {name: value.detach().cpu().clone() for name, value in pl_module.judged.state_dict().items()}
        trainer.should_stop = self._exhausted()
        if self.folder is not None:
            # all processes take part, the first one writes
            with atomic(self.folder / CHECKPOINT) if trainer.is_global_zero else nullcontext(CHECKPOINT) as temporary:
                trainer.save_checkpoint(temporary)

    def _exhausted(self) -> bool:
        return len(self.history) - self.best_epoch >= self.patience


def resumable(folder: Path | None, fingerprint: str) -> Path | None:
    """The checkpoint in `folder` if it belongs to this very training; a warning says why another is left alone."""
    if folder is None or not (folder / CHECKPOINT).is_file():
        return None
    path = folder / CHECKPOINT
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = state["callbacks"]["BestWeights"]["fingerprint"]
    except Exception as error:
        # a torn file fails in many ways, and each of them means the same: begin again
        warnings.warn(f"{path}: not a readable checkpoint ({error}); training begins again", GenocontrastWarning, 2)
        return None
    if found != fingerprint:
        message = f"{path}: the checkpoint is of another configuration, seed or data; training begins again"
        warnings.warn(message, GenocontrastWarning, 2)
        return None
    return path


class EpochProgress(Callback):
    """A bar within the epoch, and a line per epoch: on standard error, in a notebook in one place below the cell."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, soft_wrap=True, highlight=False)
        self.bar: Progress | None = None
        self.last = ""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar."""
        if not (trainer.is_global_zero and self.console.is_terminal) or os.environ.get("TERM") == "dumb":
            return
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        self.bar = Progress(*columns, console=self.console, transient=True)
        self.bar.add_task(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}", total=trainer.num_training_batches)
        self.bar.start()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Advance the bar."""
        if self.bar is not None:
            self.bar.advance(self.bar.task_ids[0])
        elif trainer.is_global_zero and in_notebook():
            epoch, batch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}", trainer.fit_loop.batch_idx + 1
            CELL_LINE.tick(f"{epoch} {bar(batch, int(trainer.num_training_batches))} batches{self.last}")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Write the line."""
        self._close()
        if not trainer.is_global_zero:
            return
        figures, (label, key) = pl_module.epoch_metrics, pl_module.headline
        told = (
            f"  train {figures['train_loss']:.3f}  validation {figures['validation_loss']:.3f}  "
            f"{label} {figures[key]:.3f}"
        )
        line = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}{told}"
        if in_notebook():
            # rich would add an output for each line; this replaces the one before
            self.last = f"; the one before:{told}"
            CELL_LINE.show(line)
        else:
            self.console.print(line)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the terminal as it was."""
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
