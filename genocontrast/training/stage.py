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
from genocontrast.genome.splits import read_splits
from genocontrast.training.processes import first_process

if TYPE_CHECKING:
    from genocontrast.encoders import Encoder
    from genocontrast.kmers import KmerEmbedding
    from genocontrast.training.data import PairCodes
    from genocontrast.training.mining import Mined
    from genocontrast.training.model import Model

POOL = "pool"
"""The step of the curriculum that takes all promoters and all candidates."""


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
    """Train on results/negatives/examples.parquet; write results/training/model/ and history.json; see `run_in`."""
    run_in(results / "training", config, results)


def seed_folder(results: Path, seed: int) -> Path:
    """Where the training with another seed leaves its `model`/ and its `history.json`."""
    return results / "training" / "seeds" / str(seed)


def run_seed(config: Config, results: Path, seed: int) -> None:
    """The same training with another seed, into results/training/seeds/<seed>."""
    run_in(seed_folder(results, seed), config.model_copy(update={"seed": seed}), results)


def run_in(folder: Path, config: Config, results: Path) -> None:
    """Train on results/negatives/examples.parquet; write model/ and history.json to a folder.

    With `mined_rounds`, train again on decoys that are mined with the model before; the model of lowest loss on the
    matched validation pairs, which are the same in every round, is kept. An encoder of k-mers starts each round with
    the vectors of results/kmers/kmers.h5ad.

    An interrupted run leaves checkpoints/ in the folder and goes on from there; a finished one removes it.
    """
    source = results / "negatives" / "examples.parquet"
    examples = read_examples(source)
    genome = Genome(config.genome.fasta)
    checkpoints = folder / "checkpoints"
    rounds = train(config, results, examples, genome, checkpoints)
    chosen = min(rounds, key=lambda each: each.best["validation_loss"])
    if not first_process():
        return  # the first process writes
    inputs = {"examples": source, "genome": Path(config.genome.fasta)}
    if config.training.encoder == "kmers":
        inputs["kmers"] = vectors_file(results)
    if config.training.mined_rounds:
        inputs |= {"pool": results / "negatives" / "pool.parquet", "balance": results / "negatives" / "balance.json"}
    if POOL in config.training.curriculum:
        inputs |= {name: results / "negatives" / f"{name}.parquet" for name in ("pool", "dropped")}
    if config.training.pretraining.windows != "none":
        inputs["splits"] = results / "genome" / "genome.json"
        chosen.model.pretrained_on = list(seen_without_labels(results).itertuples(index=False, name=None))
    record = provenance("training", {**config.training.model_dump(), "seed": config.seed}, inputs)
    chosen.model.provenance = record
    chosen.model.save(folder / "model")
    history: dict[str, Any] = {"provenance": record, "epochs": chosen.model.history, "best_epoch": chosen.best["epoch"]}
    if config.training.mined_rounds:
        history["rounds"] = [summary(number, each, each is chosen) for number, each in enumerate(rounds)]
    write_json(folder / "history.json", history)
    shutil.rmtree(checkpoints, ignore_errors=True)


def train(config: Config, results: Path, examples: pd.DataFrame, genome: Genome, checkpoints: Path) -> list[Round]:
    """The training on matched decoys, and each further one on what the model before it confuses with promoters.

    What goes before them is pretraining and the curriculum of easier decoys, as far as they are configured.
    """
    from genocontrast.training.data import pair_codes
    from genocontrast.training.fitting import fit, fit_pairs

    hard = _of_tier(examples, HARD, results)
    # before the first training, which takes its time: what mining and the curriculum lack is said at once
    mine = miner(config, results, hard, genome) if config.training.mined_rounds else None
    flank = config.training.max_shift
    lessons = [_lesson(name, examples, hard, genome, flank, results) for name in config.training.curriculum]
    kmers = initial_vectors(config, results)
    start = pretrained(config, results, hard, genome, checkpoints / "pretraining")
    for number, lesson in enumerate(lessons, 1):
        brief = config.training.model_copy(update={"epochs": config.training.curriculum_epochs})
        stops = pair_codes(hard, genome, "validation", flank)
        place = checkpoints / f"curriculum_{number}"
        start, _ = fit_pairs(lesson, stops, brief, kmers, seed=config.seed, checkpoints=place, start=start)
    first = fit(hard, genome, config.training, kmers, seed=config.seed, checkpoints=checkpoints, start=start)
    rounds = [Round(first)]
    if mine is None:
        return rounds
    validation = hard[hard["split"] == "validation"]
    for number in range(1, config.training.mined_rounds + 1):
        mined = mine(rounds[-1].model)
        pairs = pd.concat([mined.examples, validation], ignore_index=True)
        place = checkpoints / f"round_{number}"
        model = fit(pairs, genome, config.training, kmers, seed=config.seed, checkpoints=place, start=start)
        rounds.append(Round(model, mined.record))
    return rounds


def pretrained(config: Config, results: Path, hard: pd.DataFrame, genome: Genome, checkpoints: Path) -> Encoder | None:
    """The encoder that pretraining gives; None where there is none."""
    if config.training.pretraining.windows == "none":
        return None
    from genocontrast.training.fitting import pretrain

    centres = None
    if config.training.pretraining.windows == "open":
        centres, _ = read_parquet(results / "genome" / "open_chromatin.parquet")
    width = int((hard["end"] - hard["start"]).iloc[0])
    segments = seen_without_labels(results)
    return pretrain(
        genome, segments, width, config.training, centres=centres, seed=config.seed, checkpoints=checkpoints
    )


def seen_without_labels(results: Path) -> pd.DataFrame:
    """Segments of the training split: chrom, start, end."""
    return read_splits(results / "genome" / "genome.json").segments("train")


def _lesson(
    name: str, examples: pd.DataFrame, hard: pd.DataFrame, genome: Genome, flank: int, results: Path
) -> PairCodes:
    """What a step of the curriculum trains on: pairs of a tier, or everything that could have been matched."""
    from genocontrast.training.data import PairCodes, flanked_codes, is_oriented, pair_codes

    if name != POOL:
        return pair_codes(_of_tier(examples, name, results), genome, "train", flank)
    matched = hard[hard["label"] == 1].drop_duplicates("pair_id")
    dropped, _ = read_parquet(results / "negatives" / "dropped.parquet")
    candidates, _ = read_parquet(results / "negatives" / "pool.parquet")
    promoters = pd.concat([matched, dropped], ignore_index=True)
    promoters, candidates = (rows[rows["split"] == "train"] for rows in (promoters, candidates))
    classes = flanked_codes(promoters, genome, flank), flanked_codes(candidates, genome, flank)
    return PairCodes(*classes, flank, matched=False, oriented=is_oriented(promoters))


def _of_tier(examples: pd.DataFrame, tier: str, results: Path) -> pd.DataFrame:
    found = examples[examples["tier"] == tier]
    if found.empty:
        raise SplitError(
            f"no examples of the tier '{tier}'",
            path=results / "negatives" / "examples.parquet",
            remedy="run the negatives stage again" if tier == HARD else f"add {tier} to negatives.tiers",
        )
    return found


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
