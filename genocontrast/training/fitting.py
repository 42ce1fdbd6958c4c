"""Training from beginning to end: pairs in, the model of the best epoch out; interrupted, it resumes."""

from __future__ import annotations

import hashlib
import json
import logging
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.utilities.exceptions import SIGTERMException

from genocontrast.config import TrainingConfig
from genocontrast.encoders import Encoder, KmerEncoder, KmerVectors, StrandEncoder
from genocontrast.errors import ConfigError, ModelError, ShapeError
from genocontrast.training.calibration import validation_temperature
from genocontrast.training.callbacks import BestWeights, EpochProgress, resumable
from genocontrast.training.data import PairCodes, pair_codes
from genocontrast.training.model import Model
from genocontrast.training.module import PromoterModule
from genocontrast.version import __version__

if TYPE_CHECKING:
    from genocontrast.genome import Genome

GRADIENT_NORM = 1.0
"""Gradients are clipped to this norm: an odd batch must not undo an epoch."""


def fit(
    examples: pd.DataFrame,
    genome: Genome,
    config: TrainingConfig | None = None,
    kmers: KmerVectors | None = None,
    *,
    seed: int = 1,
    checkpoints: Path | None = None,
) -> Model:
    """Train a promoter model on the training split; the validation split stops it.

    Parameters
    ----------
    examples : pandas.DataFrame
        An examples table: promoters and their matched decoys, of one tier or of several, one decoy a pair or more.
    genome : Genome
        Where their sequences are.
    config : TrainingConfig, optional
        Default: the defaults of the configuration. `mined_rounds` is not looked at: this is one round.
    kmers : KmerEmbedding, optional
        The vectors that an encoder of k-mers starts with, fitted on training sequence only; for no other encoder.
    seed : int, optional
        Seed of weights, batches, views and dropout. The same seed on the same machine gives the same model.
    checkpoints : Path, optional
        Folder for a checkpoint after each epoch; a training that finds its own one there goes on from it.

    Returns
    -------
    Model
        On the CPU, with the weights of the epoch of lowest validation loss.

    Raises
    ------
    ConfigError
        Where the encoder of k-mers lacks its vectors, another one is given some, or they are of spaced seeds.
    ModelError
        Where the loss stops being a number, or the device is absent.
    SplitError, FileFormatError
        Where a split has no pair, or a pair is not one promoter and its decoys.
    """
    config = config or TrainingConfig()
    train, validation = (pair_codes(examples, genome, split, config.max_shift) for split in ("train", "validation"))
    network, history = fit_pairs(train, validation, config, kmers, seed=seed, checkpoints=checkpoints)
    chromosomes = {
        split: sorted(examples.loc[examples["split"] == split, "chrom"].unique()) for split in ("train", "validation")
    }
    inputs = {"genome": {"file": genome.path.name, "sha256": genome.checksum}}
    if kmers is not None:
        inputs["kmers"] = {"sha256": _digest(kmers)}
    record = {
        "genocontrast": __version__,
        "stage": "training",
        "config": {**_settings(config), "seed": seed},
        "inputs": inputs,
    }
    model = Model(network, train.width, chromosomes, record, history)
    model.temperature = validation_temperature(model, validation)
    return model


def fit_pairs(
    train: PairCodes,
    validation: PairCodes,
    config: TrainingConfig,
    kmers: KmerVectors | None = None,
    *,
    seed: int = 1,
    checkpoints: Path | None = None,
) -> tuple[Encoder, list[dict[str, Any]]]:
    """Train on pairs that are already codes; parameters as in `fit`.

    Returns
    -------
    network : Encoder
        On the CPU, in evaluation mode, with the best epoch's weights.
    history : list of dict
        One row of figures per epoch.
    """
    if train.width != validation.width:
        raise ShapeError("training and validation windows differ in width", value=(train.width, validation.width))
    accelerator = _accelerator(config)
    fingerprint = _fingerprint(train, validation, config, kmers, seed)
    best = BestWeights(config.patience, fingerprint, checkpoints)
    devices = [torch.cuda.current_device()] if accelerator == "cuda" else []
    with torch.random.fork_rng(devices), _quiet():
        torch.manual_seed(seed)
        network = _network(config, kmers)
        module = PromoterModule(network, config, train, validation, seed)
        trainer = _trainer(config, accelerator, best)
        _run(trainer, module, resumable(checkpoints, fingerprint))
    network.load_state_dict(best.weights)
    return network.cpu().eval(), best.history


def _network(config: TrainingConfig, kmers: KmerVectors | None) -> Encoder:
    if config.encoder == "convolution" and kmers is None:
        return StrandEncoder(config.strand, config.width, config.depth, config.dim, config.dropout)
    if config.encoder == "kmers" and kmers is not None:
        return KmerEncoder.from_vectors(kmers, config.pooling, config.dim, config.dropout)
    if kmers is None:
        raise ConfigError(
            "the encoder of k-mers starts with fitted vectors, and there are none",
            value=config.encoder,
            remedy="give fit the argument kmers, a KmerEmbedding, or set training.encoder to convolution",
        )
    raise ConfigError(
        "k-mer vectors are given, and the encoder has no use for them",
        value=config.encoder,
        remedy="set training.encoder to kmers, or leave the argument kmers out",
    )


def _trainer(config: TrainingConfig, accelerator: str, best: BestWeights) -> Trainer:
    return Trainer(
        accelerator=accelerator,
        devices=1,
        precision="bf16-mixed" if accelerator == "cuda" and torch.cuda.is_bf16_supported() else "32-true",
        max_epochs=config.epochs,
        gradient_clip_val=GRADIENT_NORM,
        callbacks=[EpochProgress(), best],
        # inside a Slurm job too one process trains: Lightning would take the job for its own and spread over it
        plugins=[LightningEnvironment()],
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _run(trainer: Trainer, module: LightningModule, resumed: Path | None) -> None:
    """Lightning's fit; an interrupt stays an interrupt, and the handlers of signals stay the caller's."""
    on_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, ckpt_path=resumed, weights_only=True)
    except SIGTERMException:
        # Lightning's own exit says 0: a scheduler would take a stopped training for a finished one
        sys.exit(128 + signal.SIGTERM)
    except SystemExit:
        # Lightning turns Ctrl-C into an exit, which would end a notebook's kernel
        raise KeyboardInterrupt from None
    finally:
        if on_main:
            signal.signal(signal.SIGINT, handler)


def _accelerator(config: TrainingConfig) -> str:
    available = torch.cuda.is_available()
    if config.device == "cuda" and not available:
        raise ModelError("there is no CUDA device", value=config.device, remedy="set training.device to auto or cpu")
    return "cuda" if available and config.device != "cpu" else "cpu"


def _settings(config: TrainingConfig) -> dict[str, Any]:
    """What one training depends on: the rounds are several trainings, and the stage's own."""
    return config.model_dump(exclude={"mined_rounds"})


def _digest(kmers: KmerVectors) -> str:
    """SHA-256 of what training takes of k-mer vectors, as hexadecimal text."""
    digest = hashlib.sha256(str(kmers.k).encode())
    digest.update(np.asarray(kmers.vectors, np.float32).tobytes())
    digest.update(np.asarray(kmers.tokens, np.int64).tobytes())
    return digest.hexdigest()


def _fingerprint(
    train: PairCodes, validation: PairCodes, config: TrainingConfig, kmers: KmerVectors | None, seed: int
) -> str:
    start = [] if kmers is None else [_digest(kmers)]
    settings = [_settings(config), seed, train.flank, __version__, *start]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for codes in (train.promoters, train.decoys, validation.promoters, validation.decoys):
        digest.update(codes.tobytes())
    return digest.hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's tips and its warnings about choices that were made on purpose."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
