"""Training on a table of sequences and labels, such as a benchmark: no genome, no pairs."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.artefacts import provenance, write_json
from genocontrast.config import TableConfig, TrainingConfig
from genocontrast.errors import FileFormatError
from genocontrast.examples import check_sequences, window_codes
from genocontrast.genome.repeats import drop_repeats, repeats_within
from genocontrast.genome.sequence_tables import read_sequences
from genocontrast.sequence import Codes
from genocontrast.training.calibration import validation_temperature
from genocontrast.training.data import PairCodes
from genocontrast.training.fitting import fit_pairs
from genocontrast.training.model import Model
from genocontrast.training.processes import first_process
from genocontrast.version import __version__

_log = logging.getLogger(__name__)


def train_tables(
    train: Path, dev: Path, out: Path, config: TableConfig | None = None, *, positive: str | None = None
) -> Model:
    """Train on one table, stop by another; write the model and its history to a folder.

    Parameters
    ----------
    train, dev : Path
        Files or folders of labelled sequences, see `read_sequences`; of a folder of splits the one is taken that is
        called train, or dev.
    out : Path
        Folder for the model. An interrupted training leaves checkpoints beside it and goes on from there.
    config : TableConfig, optional
    positive : str, optional
        The positive label where labels are not 0 and 1.

    Raises
    ------
    FileFormatError, SplitError
        At tables that are none, see `read_sequences`, or where `out` is a folder of something else.
    """
    config = config or TableConfig()
    _refuse_other_folder(out)
    checkpoints = out.with_name(f".{out.name}.checkpoints")
    everything = read_sequences(train, "train", positive=positive)
    held_out = read_sequences(dev, "validation", positive=positive)
    kept = drop_repeats(everything, held_out)
    repeats = _repeats_in(kept)
    model = fit_tables(kept, held_out, config.training, seed=config.seed, checkpoints=checkpoints)
    record = provenance("training", model.provenance["config"], {"train": train, "dev": dev})
    splits = {"train": _class_counts(kept), "validation": _class_counts(held_out)}
    removed = {"repeats_of_dev": len(everything) - len(kept)}
    model.provenance = {**record, "splits": splits, "removed": removed, "repeats_in_train": repeats}
    if not first_process():
        return model
    model.save(out)
    write_json(out / "history.json", {"provenance": model.provenance, "epochs": model.history})
    shutil.rmtree(checkpoints, ignore_errors=True)
    return model


def fit_tables(
    train: pd.DataFrame,
    dev: pd.DataFrame,
    config: TrainingConfig | None = None,
    *,
    seed: int = 1,
    checkpoints: Path | None = None,
) -> Model:
    """Train a model on sequences and labels; the development set stops it.

    Parameters
    ----------
    train, dev : pandas.DataFrame
        Examples that carry their sequence, label 1 or 0. Sequences of several lengths are centred in the longest.
        With `orientation` stranded, positives are taken to be given on the strand that they are read on.
    config : TrainingConfig, optional
        Default: the defaults of the configuration. Windows do not move: there is no sequence around them.
    seed, checkpoints
        As for `genocontrast.fit`.

    Returns
    -------
    Model
        On the CPU, with the weights of the epoch of lowest loss; it knows no chromosomes.

    Raises
    ------
    FileFormatError, SplitError
        Where a column is missing, a label or letter is none, or a table has a single class.
    ConfigError, ModelError
        As for `genocontrast.fit`.
    """
    config = (config or TrainingConfig()).model_copy(update={"max_shift": 0, "mined_rounds": 0})
    tables = [check_sequences(table).assign(split=split) for table, split in ((train, "train"), (dev, "validation"))]
    # together, so that both are as wide as the longest of either
    codes = window_codes(pd.concat(tables, ignore_index=True))
    parts = zip(np.split(codes, [len(train)]), tables, strict=True)
    learnt, stopped_by = (_classes(part, table["label"].to_numpy(np.int8)) for part, table in parts)
    _log.info("training on %d sequences, %d stop it; windows of %d bp", len(train), len(dev), codes.shape[1])
    network, history = fit_pairs(learnt, stopped_by, config, seed=seed, checkpoints=checkpoints)
    settings = {**config.model_dump(exclude={"mined_rounds"}), "seed": seed}
    record = {"genocontrast": __version__, "stage": "training", "config": settings, "inputs": {}}
    model = Model(network, codes.shape[1], {}, record, history)
    model.temperature = validation_temperature(model, stopped_by)
    return model


def _classes(codes: Codes, labels: NDArray[np.int8]) -> PairCodes:
    return PairCodes(codes[labels == 1], codes[labels == 0], flank=0, matched=False)


def _repeats_in(train: pd.DataFrame) -> dict[str, int]:
    """How many training sequences repeat another one; they are kept, since no figure is taken of them."""
    repeated, contradictory = repeats_within(window_codes(train), train["label"])
    if repeated.any():
        message = "%d training sequences repeat another one on either strand, %d of them with the other label"
        _log.info(message, repeated.sum(), contradictory.sum())
    return {"repeated": int(repeated.sum()), "contradictory": int(contradictory.sum())}


def _class_counts(examples: pd.DataFrame) -> dict[str, int]:
    return {name: int((examples["label"] == label).sum()) for name, label in (("positive", 1), ("negative", 0))}


def _refuse_other_folder(out: Path) -> None:
    """Refuse to replace a folder that is none of a model, before the time for a training is spent."""
    free = not out.exists() or (out.is_dir() and not any(out.iterdir())) or (out / "model.safetensors").is_file()
    if not (free and out.name):
        remedy = "name a new folder, or the one of an older model"
        raise FileFormatError("there is something else of this name", path=out, remedy=remedy)
