"""Training from beginning to end: pairs in, the model of the best epoch out; interrupted, it resumes."""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning.pytorch.utilities.exceptions import SIGTERMException

from genocontrast.config import TrainingConfig
from genocontrast.encoders import Encoder, KmerEncoder, KmerVectors, StrandEncoder
from genocontrast.errors import ConfigError, ModelError, ShapeError
from genocontrast.sequence import Codes
from genocontrast.training.calibration import validation_temperature
from genocontrast.training.callbacks import BestWeights, EpochProgress, resumable
from genocontrast.training.data import PairCodes, pair_codes
from genocontrast.training.model import Model
from genocontrast.training.module import PromoterModule
from genocontrast.training.pretraining import PretrainingModule, lay_out
from genocontrast.training.processes import joined
from genocontrast.training.steps import SteppedModule
from genocontrast.version import __version__

if TYPE_CHECKING:
    from genocontrast.genome import Genome


def fit(
    examples: pd.DataFrame,
    genome: Genome,
    config: TrainingConfig | None = None,
    kmers: KmerVectors | None = None,
    *,
    seed: int = 1,
    checkpoints: Path | None = None,
    start: Encoder | None = None,
) -> Model:
    """Train a promoter model on the training split; the validation split stops it.

    Parameters
    ----------
    examples : pandas.DataFrame
        An examples table: promoters and their matched decoys, of one tier or of several, one decoy a pair or more.
    genome : Genome
        Where their sequences are.
    config : TrainingConfig, optional
        Default: the defaults of the configuration. `mined_rounds`, `curriculum` and `pretraining` are not looked at:
        this is one round, and what goes before it is given as `start`. More than one of `processes` x `nodes` are
        those that torchrun has started.
    kmers : KmerEmbedding, optional
        The vectors that an encoder of k-mers starts with, fitted on training sequence only; for no other encoder.
    seed : int, optional
        Seed of weights, batches, views and dropout. The same seed on the same machine gives the same model.
    checkpoints : Path, optional
        Folder for a checkpoint after each epoch; a training that finds its own one there goes on from it.
    start : Encoder, optional
        An encoder, such as `pretrain` gives, whose weights training begins with. It is left as it is.

    Returns
    -------
    Model
        On the CPU, with the weights of the epoch of lowest validation loss.

    Raises
    ------
    ConfigError
        Where the encoder of k-mers lacks its vectors, another one is given some, or they are of spaced seeds; where
        processes are not as many as configured, more than CUDA devices, or too many for a batch.
    ModelError
        Where the loss stops being a number, or the device is absent.
    SplitError, FileFormatError
        Where a split has no pair, or a pair is not one promoter and its decoys.
    """
    config = config or TrainingConfig()
    train, validation = (pair_codes(examples, genome, split, config.max_shift) for split in ("train", "validation"))
    network, history = fit_pairs(train, validation, config, kmers, seed=seed, checkpoints=checkpoints, start=start)
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
    start: Encoder | None = None,
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
    codes = (train.promoters, train.decoys, validation.promoters, validation.decoys)
    begun = [] if kmers is None else [_digest(kmers)]
    begun += [] if start is None else [_weights_digest(start)]
    fingerprint = _fingerprint([_settings(config), seed, train.flank, __version__, *begun], codes)

    def module() -> PromoterModule:
        network = _network(config, kmers)
        if start is not None:
            network.load_state_dict(start.state_dict())
        return PromoterModule(network, config, train, validation, seed)

    return _best(module, config, fingerprint, seed, checkpoints)


def pretrain(
    genome: Genome,
    segments: pd.DataFrame,
    width: int,
    config: TrainingConfig,
    *,
    centres: pd.DataFrame | None = None,
    seed: int = 1,
    checkpoints: Path | None = None,
) -> Encoder:
    """Train an encoder on sequence alone: to tell loci from their neighbourhoods, and to name hidden bases.

    Parameters
    ----------
    genome : Genome
    segments : pandas.DataFrame
        chrom, start, end of what may be seen: the segments of the training split.
    width : int
        bp of a window.
    config : TrainingConfig
        Its encoder is trained as its section `pretraining` says.
    centres : pandas.DataFrame, optional
        Regions, such as open chromatin, whose centres windows lie around. Default: windows side by side.
    seed, checkpoints
        As in `fit`.

    Returns
    -------
    Encoder
        On the CPU, with the weights of lowest loss on loci that were held out of the segments.

    Raises
    ------
    ConfigError
        Where the encoder is one of k-mers.
    PoolError
        Where the segments hold too few loci.
    ModelError
        As `fit`.
    """
    if config.encoder != "convolution":
        raise ConfigError(
            "only an encoder of convolutions can be pretrained",
            value=config.encoder,
            remedy="set training.pretraining.windows to none: k-mer vectors are fitted without labels already",
        )
    loci = lay_out(genome, segments, width, config.max_shift + width // 2, centres)
    places = "".join(f"{chrom}:{start} " for chrom, start in zip(loci.chrom, loci.start, strict=True))
    settings = [_settings(config), config.pretraining.model_dump(), seed, width, genome.checksum, places, __version__]

    def module() -> PretrainingModule:
        network = _network(config, None)
        assert isinstance(network, StrandEncoder)
        return PretrainingModule(network, config, loci, seed)

    return _best(module, config, _fingerprint(settings, ()), seed, checkpoints)[0]


def _best(
    make: Callable[[], SteppedModule], config: TrainingConfig, fingerprint: str, seed: int, checkpoints: Path | None
) -> tuple[Encoder, list[dict[str, Any]]]:
    """Train what `make` makes; the network with the best epoch's weights, and the figures of all epochs."""
    accelerator = _accelerator(config)
    best = BestWeights(config.patience, fingerprint, checkpoints)
    own = int(os.environ["LOCAL_RANK"]) if joined() else None
    devices = [torch.cuda.current_device() if own is None else own] if accelerator == "cuda" else []
    with torch.random.fork_rng(devices), _quiet():
        torch.manual_seed(seed)
        module = make()
        _run(_trainer(config, accelerator, module.epochs, best), module, resumable(checkpoints, fingerprint))
    module.network.load_state_dict(best.weights)
    return module.network.cpu().eval(), best.history


def _network(config: TrainingConfig, kmers: KmerVectors | None) -> Encoder:
    if config.encoder == "convolution" and kmers is None:
        names = set(inspect.signature(StrandEncoder).parameters) & set(TrainingConfig.model_fields)
        return StrandEncoder(**{name: getattr(config, name) for name in names})
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


def _trainer(config: TrainingConfig, accelerator: str, epochs: int, best: BestWeights) -> Trainer:
    return Trainer(
        accelerator=accelerator,
        **_processes(config),
        # each process takes its share of the batches by itself
        use_distributed_sampler=False,
        precision=_precision(config, accelerator),
        max_epochs=epochs,
        callbacks=[EpochProgress(), best],
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
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "not enough memory" not in str(error):
            raise
        raise ModelError(
            "memory ran out in training",
            value=str(error).splitlines()[0],
            remedy="lower training.batch_pairs, or pretraining.batch (with a queue, if negatives become few); wider "
            "bins (training.stride) and fewer channels (training.width) need less, too. In code of your own, "
            "genocontrast.contrast.cached_backward takes a large batch in chunks",
        ) from None
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
    if not available or config.device == "cpu":
        return "cpu"
    here = int(os.environ["LOCAL_WORLD_SIZE"]) if joined() else 1
    if here > torch.cuda.device_count():
        raise ConfigError(
            f"each process needs a CUDA device of its own, and there are {torch.cuda.device_count()} here",
            value=here,
            remedy="set training.processes to their number, or training.device to cpu",
        )
    return "cuda"


def _processes(config: TrainingConfig) -> dict[str, Any]:
    """One process, or those that torchrun has started, over which batches are shared out."""
    everywhere = int(os.environ["WORLD_SIZE"]) if joined() else 1
    if everywhere != config.processes * config.nodes:
        raise ConfigError(
            f"the number of processes is not that of training.processes x training.nodes ({config.processes} x "
            f"{config.nodes})",
            value=everywhere,
            remedy="train by the commands `genocontrast training ...`, or start torchrun with so many",
        )
    if not joined():
        # inside a Slurm job too one process trains: Lightning would take the job for its own and spread over it
        return {"devices": 1, "plugins": [LightningEnvironment()]}
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    nodes = {"devices": here, "num_nodes": everywhere // here}
    return {**nodes, "strategy": "ddp", "plugins": [TorchElasticEnvironment()]}


def _precision(config: TrainingConfig, accelerator: str) -> Literal["bf16-mixed", "32-true"]:
    half = config.precision == "bfloat16"
    if config.precision == "auto":
        # elsewhere bfloat16 is emulated, and slower than float32
        half = torch.cuda.is_bf16_supported() if accelerator == "cuda" else torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if half else "32-true"


def _settings(config: TrainingConfig) -> dict[str, Any]:
    """What one training depends on: what goes before it, or after, are trainings of the stage's own."""
    return config.model_dump(exclude={"mined_rounds", "curriculum", "curriculum_epochs", "pretraining"})


def _digest(kmers: KmerVectors) -> str:
    """SHA-256 of what training takes of k-mer vectors, as hexadecimal text."""
    digest = hashlib.sha256(str(kmers.k).encode())
    digest.update(np.asarray(kmers.vectors, np.float32).tobytes())
    digest.update(np.asarray(kmers.tokens, np.int64).tobytes())
    return digest.hexdigest()


def _weights_digest(network: Encoder) -> str:
    """SHA-256 of a network's weights, as hexadecimal text."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _fingerprint(settings: Sequence[Any], codes: Sequence[Codes]) -> str:
    """SHA-256 of all that a training depends on: a checkpoint of anything else is not its own."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for part in codes:
        digest.update(part.tobytes())
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
