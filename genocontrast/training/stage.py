"""The training stage: examples in, a model and its history out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from genocontrast.artefacts import provenance, read_json, read_parquet, write_json
from genocontrast.config import Config
from genocontrast.errors import FileFormatError, SplitError
from genocontrast.examples import HARD, read_examples
from genocontrast.genome import Genome

if TYPE_CHECKING:
    from genocontrast.kmers import KmerEmbedding
    from genocontrast.training.mining import Mined
    from genocontrast.training.model import Model


@dataclass(frozen=True)
class Round:
    """One training: on the matched decoys, or on those that were mined (what mining did is its record)."""

    model: Model
    mining: dict[str, Any] | None = None

    @property
    def best(self) -> dict[str, Any]:
        """Figures of the epoch of lowest validation loss."""
        return min(self.model.history, key=lambda row: row["validation_loss"])


def run(config: Config, results: Path) -> None:
    """Train on results/negatives/examples.parquet; write results/training/model/ and history.json.

    With `mined_rounds`, train again on decoys that are mined with the model before; the model of lowest loss on the
    matched validation pairs, which are the same in every round, is kept. An encoder of k-mers starts each round with
    the vectors of results/kmers/kmers.h5ad.

    An interrupted run leaves results/training/checkpoints/ and goes on from there; a finished one removes it.
    """
    source, folder = results / "negatives" / "examples.parquet", results / "training"
    examples = read_examples(source)
    examples = examples[examples["tier"] == HARD]
    if examples.empty:
        raise SplitError(f"no examples of the tier '{HARD}'", path=source, remedy="run the negatives stage again")
    genome = Genome(config.genome.fasta)
    checkpoints = folder / "checkpoints"
    rounds = train(config, results, examples, genome, checkpoints)
    chosen = min(rounds, key=lambda each: each.best["validation_loss"])
    inputs = {"examples": source, "genome": Path(config.genome.fasta)}
    if config.training.encoder == "kmers":
        inputs["kmers"] = vectors_file(results)
    if config.training.mined_rounds:
        inputs |= {"pool": results / "negatives" / "pool.parquet", "balance": results / "negatives" / "balance.json"}
    record = provenance("training", {**config.training.model_dump(), "seed": config.seed}, inputs)
    chosen.model.provenance = record
    chosen.model.save(folder / "model")
    history: dict[str, Any] = {"provenance": record, "epochs": chosen.model.history, "best_epoch": chosen.best["epoch"]}
    if config.training.mined_rounds:
        history["rounds"] = [summary(number, each, each is chosen) for number, each in enumerate(rounds)]
    write_json(folder / "history.json", history)
    shutil.rmtree(checkpoints, ignore_errors=True)


def train(config: Config, results: Path, examples: pd.DataFrame, genome: Genome, checkpoints: Path) -> list[Round]:
    """The training on matched decoys, and each further one on what the model before it confuses with promoters."""
    from genocontrast.training.fitting import fit

    # before the first training, which takes its time: what mining lacks is said at once
    mine = miner(config, results, examples, genome) if config.training.mined_rounds else None
    kmers = initial_vectors(config, results)
    rounds = [Round(fit(examples, genome, config.training, kmers, seed=config.seed, checkpoints=checkpoints))]
    if mine is None:
        return rounds
    validation = examples[examples["split"] == "validation"]
    for number in range(1, config.training.mined_rounds + 1):
        mined = mine(rounds[-1].model)
        pairs = pd.concat([mined.examples, validation], ignore_index=True)
        place = checkpoints / f"round_{number}"
        model = fit(pairs, genome, config.training, kmers, seed=config.seed, checkpoints=place)
        rounds.append(Round(model, mined.record))
    return rounds


def vectors_file(results: Path) -> Path:
    """Where the vectors lie that an encoder of k-mers starts with."""
    return results / "kmers" / "kmers.h5ad"


def initial_vectors(config: Config, results: Path) -> KmerEmbedding | None:
    """The vectors that training starts with; None where it starts with none."""
    if config.training.encoder != "kmers":
        return None
    from genocontrast.kmers import KmerEmbedding

    return KmerEmbedding.load(vectors_file(results))


def miner(config: Config, results: Path, examples: pd.DataFrame, genome: Genome) -> Callable[[Model], Mined]:
    """Mining as the decoys were matched: with the same pool, covariates, caliper and keys."""
    from genocontrast.negatives.stage import key_columns, with_names
    from genocontrast.training.mining import mine_negatives

    pool, _ = read_parquet(results / "negatives" / "pool.parquet")
    scale, matched = matching(results / "negatives" / "balance.json")
    exact = config.negatives.exact
    keys, examples = list(key_columns(exact)), with_names(examples, exact, genome)
    return lambda model: mine_negatives(
        model, examples, pool, genome, scale, config.negatives.caliper, matched=matched, keys=keys, seed=config.seed
    )


def matching(path: Path) -> tuple[dict[str, float], Sequence[str]]:
    """The standard deviation of each covariate, and the names of those that were matched on, of balance.json."""
    balance = read_json(path)
    try:
        return balance["matching"]["scale"], [row["covariate"] for row in balance["table"] if row["matched"]]
    except KeyError as error:
        raise FileFormatError(
            f"it says nothing of {error}, which mining needs", path=path, remedy="run the negatives stage again"
        ) from None


def summary(number: int, each: Round, chosen: bool) -> dict[str, Any]:
    """What history.json says of a round; round 0 has the matched decoys."""
    best = each.best
    return {
        "round": number,
        "epochs": len(each.model.history),
        "best_epoch": best["epoch"],
        "validation_loss": best["validation_loss"],
        "validation_auroc": best["validation_auroc"],
        "mining": each.mining,
        "chosen": chosen,
    }
