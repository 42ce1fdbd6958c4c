"""The training stage: examples in, a model and its history out."""

from __future__ import annotations

import shutil
from pathlib import Path

from genocontrast.artefacts import provenance, write_json
from genocontrast.config import Config
from genocontrast.errors import SplitError
from genocontrast.examples import read_examples
from genocontrast.genome import Genome

TIER = "hard"
"""The examples to train on: promoters and their matched decoys."""


def run(config: Config, results: Path) -> None:
    """Train on results/negatives/examples.parquet; write results/training/model/ and history.json.

    An interrupted run leaves results/training/checkpoints/ and goes on from there; a finished one removes it.
    """
    from genocontrast.training.fitting import fit

    source, folder = results / "negatives" / "examples.parquet", results / "training"
    examples = read_examples(source)
    examples = examples[examples["tier"] == TIER]
    if examples.empty:
        raise SplitError(f"no examples of the tier '{TIER}'", path=source, remedy="run the negatives stage again")
    genome = Genome(config.genome.fasta)
    checkpoints = folder / "checkpoints"
    model = fit(examples, genome, config.training, seed=config.seed, checkpoints=checkpoints)
    settings = {**config.training.model_dump(), "seed": config.seed}
    record = provenance("training", settings, {"examples": source, "genome": config.genome.fasta})
    model.provenance = record
    model.save(folder / "model")
    best = min(model.history, key=lambda row: row["validation_loss"])
    write_json(folder / "history.json", {"provenance": record, "epochs": model.history, "best_epoch": best["epoch"]})
    shutil.rmtree(checkpoints, ignore_errors=True)
