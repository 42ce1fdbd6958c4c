"""The shortcut audit: what a model learns from each tier of decoys, tested on every tier, beside the baselines.

A model is defined by the distinctions that it was forced to make. Trained on random decoys it may learn composition and
look excellent among random decoys; among decoys of the same composition it then guesses. The table shows which.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genocontrast.artefacts import provenance, read_json, write_json
from genocontrast.config import Config
from genocontrast.errors import FileFormatError, ShapeError
from genocontrast.evaluation.baselines import fit_baselines
from genocontrast.evaluation.metrics import Assessment, Floats, PairResamples, assess, difference
from genocontrast.evaluation.scoring import Scorer
from genocontrast.examples import HARD, read_examples
from genocontrast.genome.fasta import Genome
from genocontrast.kmers import KmerEmbedding
from genocontrast.sequence import Codes

if TYPE_CHECKING:
    from genocontrast.training.model import Model

MODEL = "model"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TierTests:
    """The test splits of the tiers: n rows of examples with their windows, and the resamples of each tier's pairs."""

    examples: pd.DataFrame
    codes: Codes
    rows: dict[str, np.ndarray]
    resamples: dict[str, PairResamples]

    def assessed(self, scores: Floats) -> dict[str, Assessment]:
        """The assessment of scores, shape=(n,), on each tier."""
        labels = self.examples["label"].to_numpy()
        # the threshold serves the MCC, of which nothing is made here
        return {tier: assess(labels[rows], scores[rows], 0.5, self.resamples[tier]) for tier, rows in self.rows.items()}


def run(config: Config, results: Path) -> None:
    """Write results/evaluation/shortcut.json from the models of all tiers.

    Raises
    ------
    FileFormatError
        Where a tier has not been trained, naming the command.
    """
    from genocontrast.training.model import load_model

    source, vectors = results / "negatives" / "examples.parquet", results / "kmers" / "kmers.h5ad"
    folders, absent = model_folders(config, results)
    models = {tier: load_model(folder) for tier, folder in folders.items()}
    embedding = KmerEmbedding.load(vectors) if vectors.is_file() else None
    inputs = {"examples": source, "fasta": Path(config.genome.fasta)}
    inputs |= {f"model_{tier}": folder / "model.safetensors" for tier, folder in folders.items()}
    inputs |= {"kmers": vectors} if embedding is not None else {}
    options = {"tiers": config.shortcut_tiers, "bootstraps": config.evaluation.bootstraps, "seed": config.seed}
    examples, genome = read_examples(source), Genome(config.genome.fasta)
    found = shortcut_audit(models, examples, genome, config.evaluation.bootstraps, config.seed, embedding)
    found |= {"run": True, "absent": absent, "epochs": _epochs(models), "lessons_before": _lessons_before(config)}
    record = provenance("shortcut", options, inputs)
    write_json(results / "evaluation" / "shortcut.json", {"provenance": record, **found})


def why_not_run(config: Config, results: Path) -> str | None:
    """Why the audit cannot run; None where it can."""
    from genocontrast.training.tiers import HISTORY, tier_folder

    if not config.shortcut_tiers:
        return "evaluation.shortcut_audit is false, or negatives.tiers has no easier tier"
    untrained = [tier for tier in config.shortcut_tiers if not (tier_folder(results, tier) / HISTORY).is_file()]
    if untrained:
        return f"no training on the decoys of {', '.join(untrained)} (genocontrast training tier)"
    return None


def _epochs(models: Mapping[str, Model]) -> dict[str, int | None]:
    """The largest number of epochs that each training was allowed: with few, it may not have learned all it could."""
    return {tier: model.provenance.get("config", {}).get("epochs") for tier, model in models.items()}


def _lessons_before(config: Config) -> list[str]:
    """What the model of the matched decoys alone was trained on before them: the other models see one tier only."""
    pretraining = [] if config.training.pretraining.windows == "none" else ["pretraining"]
    return [*pretraining, *config.training.curriculum]


def model_folders(config: Config, results: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """The folder of each tier's model, the easiest first, and why other tiers have none."""
    from genocontrast.training.tiers import MODEL as FOLDER
    from genocontrast.training.tiers import tier_folder

    histories: dict[str, dict[str, Any]] = {tier: read_history(results, tier) for tier in config.shortcut_tiers}
    folders = {tier: tier_folder(results, tier) / FOLDER for tier, found in histories.items() if found["run"]}
    absent = {tier: found["reason"] for tier, found in histories.items() if not found["run"]}
    return {**folders, HARD: results / "training" / FOLDER}, absent


def read_history(results: Path, tier: str) -> dict[str, Any]:
    """What the training on a tier left; a FileFormatError names the command where it has not run."""
    from genocontrast.training.tiers import HISTORY, tier_folder

    path = tier_folder(results, tier) / HISTORY
    if not path.is_file():
        remedy = f"run `genocontrast training tier --tier {tier}` first, or set evaluation.shortcut_audit to false"
        raise FileFormatError("no such file", path=path, remedy=remedy)
    return read_json(path)


def shortcut_audit(
    models: Mapping[str, Model],
    examples: pd.DataFrame,
    genome: Genome,
    bootstraps: int = 1000,
    seed: int = 1,
    embedding: KmerEmbedding | None = None,
) -> dict[str, Any]:
    """AUROC of the model trained on each tier, and of baselines fitted alike, on the test split of each tier.

    Parameters
    ----------
    models : mapping of str to Model
        By the tier that each was trained on, in the order of the table; all have one width.
    examples : DataFrame
        Examples table with these tiers: the same promoters in each.
    genome : Genome
    bootstraps : int
        Resamples of pairs. Tiers of the same pairs are resampled alike, so that differences are paired.
    seed : int
        Of the resamples.
    embedding : KmerEmbedding, optional
        Vectors fitted on the training split's sequence, for two more baselines.

    Returns
    -------
    dict
        `tiers`; `figures`: name, trained, tested, pairs and auroc of each; `gains`: how much better the model trained
        on the matched decoys tells these from promoters than the model trained on another tier, in AUROC.

    Raises
    ------
    ShapeError
        Where the models differ in width.
    SplitError
        Where a tier's test split holds a single class.
    """
    widths = {model.width for model in models.values()}
    if len(widths) != 1:
        raise ShapeError("the models of the tiers must have one width", value=sorted(widths))
    tests = tier_tests(examples, genome, list(models), widths.pop(), bootstraps, seed)
    found: dict[tuple[str, str], dict[str, Assessment]] = {}
    for trained, model in models.items():
        _log.info("shortcut audit: model and baselines of the tier '%s'", trained)
        found[MODEL, trained] = tests.assessed(Scorer(model)(tests.codes).astype(np.float64))
        for name, scores in baseline_scores(examples, genome, trained, tests, model.width, embedding).items():
            found[name, trained] = tests.assessed(scores)
    figures = [
        {
            "name": name,
            "trained": trained,
            "tested": tested,
            "pairs": tests.resamples[tested].pairs,
            "auroc": each.auroc.as_dict(),
        }
        for (name, trained), on in found.items()
        for tested, each in on.items()
    ]
    return {"tiers": list(models), "figures": figures, "gains": _gains(found, list(models))}


def _gains(found: Mapping[tuple[str, str], Mapping[str, Assessment]], tiers: Sequence[str]) -> list[dict[str, Any]]:
    if HARD not in tiers:
        return []
    best = found[MODEL, HARD][HARD]
    return [
        {"trained": tier, "difference": difference(best, found[MODEL, tier][HARD]).as_dict()}
        for tier in tiers
        if tier != HARD
    ]


def tier_tests(
    examples: pd.DataFrame, genome: Genome, tiers: Sequence[str], width: int, bootstraps: int, seed: int
) -> TierTests:
    """The test splits of the tiers, one after the other."""
    test = examples[(examples["split"] == "test").to_numpy()]
    chosen = pd.concat([test[test["tier"] == tier] for tier in tiers], ignore_index=True)
    rows = {tier: (chosen["tier"] == tier).to_numpy() for tier in tiers}
    pairs = chosen["pair_id"].to_numpy()
    resamples = {tier: PairResamples(pairs[here], bootstraps, seed) for tier, here in rows.items()}
    return TierTests(chosen, genome.codes(chosen, width), rows, resamples)


def baseline_scores(
    examples: pd.DataFrame, genome: Genome, tier: str, tests: TierTests, width: int, embedding: KmerEmbedding | None
) -> dict[str, Floats]:
    """Scores of the tests, shape=(n,), by baselines that were fitted and tuned on one tier's pairs."""
    fitted_on = examples[(examples["tier"] == tier) & (examples["split"] != "test")]
    together = pd.concat([fitted_on, tests.examples], ignore_index=True)
    codes = np.concatenate([genome.codes(fitted_on, width), tests.codes])
    return {each.name: each.scores[len(fitted_on) :] for each in fit_baselines(together, codes, embedding)}
