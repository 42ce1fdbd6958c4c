"""Trainings on easier decoys for the same promoters: what they teach is compared with what the matched ones teach."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from genocontrast.artefacts import provenance, write_json
from genocontrast.config import SPLITS, Config, Tier, TrainingConfig
from genocontrast.errors import ConfigError
from genocontrast.examples import HARD, read_examples
from genocontrast.genome import Genome
from genocontrast.training.processes import first_process
from genocontrast.training.stage import initial_vectors, vectors_file

MIN_PAIRS = 10
"""Pairs that each split needs: fewer teach nothing, and measure nothing."""
HISTORY, MODEL = "history.json", "model"


def tier_folder(results: Path, tier: str) -> Path:
    """Where the training on a tier leaves its `model`/ and its `history.json`."""
    return results / "training" / "tiers" / tier


def run_tier(config: Config, results: Path, tier: str) -> None:
    """Train on the decoys of one tier, as the training stage does on the matched ones, but without mining.

    Writes results/training/tiers/<tier>/history.json last, and model/ before it; a tier of too few pairs has no model,
    and its history says why. An interrupted run leaves checkpoints/ beside them and goes on from there.

    Raises
    ------
    ConfigError
        Where there is no such tier.
    """
    known = get_args(Tier)
    if tier not in known:
        remedy = f"known: {', '.join(known)}; `genocontrast training run` trains on the tier '{HARD}'"
        raise ConfigError("no such tier", value=tier, remedy=remedy)
    source, folder = results / "negatives" / "examples.parquet", tier_folder(results, tier)
    examples, settings = read_examples(source), tier_settings(config)
    examples = examples[examples["tier"] == tier]
    inputs = {"examples": source, "genome": Path(config.genome.fasta)}
    if settings.encoder == "kmers":
        inputs["kmers"] = vectors_file(results)
    record = provenance("training", {**settings.model_dump(), "seed": config.seed, "tier": tier}, inputs)
    reason = why_absent(examples)
    outcome = {"run": False, "reason": reason} if reason else _train(examples, config, settings, results, tier, record)
    if not first_process():
        return
    if reason:
        shutil.rmtree(folder / MODEL, ignore_errors=True)  # of a run on other examples
    write_json(folder / HISTORY, {"provenance": record, **outcome})
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _train(
    examples: pd.DataFrame, config: Config, settings: TrainingConfig, results: Path, tier: str, record: dict[str, Any]
) -> dict[str, Any]:
    from genocontrast.training.fitting import fit

    folder, kmers = tier_folder(results, tier), initial_vectors(config, results)
    genome = Genome(config.genome.fasta)
    model = fit(examples, genome, settings, kmers, seed=config.seed, checkpoints=folder / "checkpoints")
    model.provenance = record
    if first_process():
        model.save(folder / MODEL)
    best = min(model.history, key=lambda row: row["validation_loss"])
    return {"run": True, "epochs": model.history, "best_epoch": best["epoch"]}


def tier_settings(config: Config) -> TrainingConfig:
    """The training section with the audit's number of epochs, and without mining: it would change the decoys."""
    epochs = config.evaluation.shortcut_epochs or config.training.epochs
    return config.training.model_copy(update={"epochs": epochs, "mined_rounds": 0})


def why_absent(examples: pd.DataFrame) -> str | None:
    """Why nothing can be trained and tested on the examples of a tier; None where it can."""
    pairs = examples[examples["label"] == 1]["split"].value_counts()
    short = {split: int(pairs.get(split, 0)) for split in SPLITS if pairs.get(split, 0) < MIN_PAIRS}
    if not short:
        return None
    held = ", ".join(f"{split} {count}" for split, count in short.items())
    return f"too few pairs ({held}; each split needs {MIN_PAIRS})"
