"""The yeast benchmark: promoters against matched decoys on held-out chromosomes, over seeds, beside tuned baselines.

The examples are those that config/yeast_benchmark.yaml freezes. Each cell is the default with one factor changed, each
(cell, seed) one JSON file in --results, so that a stopped run goes on; files of another version of code or settings are
told by their fingerprint and done again. While tuning only the validation chromosomes are looked at; --test opens the
test chromosomes and says so in the table.

--folds K is the data's own variance: the default cell, trained on all but one of K groups of the chromosomes of train
and validation, and judged on that one, beside the best baseline fitted alike.

    python benchmarks/yeast.py --data DATA [--results FOLDER] [--cells CELL ...] [--seeds N] [--test] [--folds K]
        [--json FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import timing

from genocontrast import Genome
from genocontrast.artefacts import read_json, write_json
from genocontrast.config import Config, TrainingConfig, load_config
from genocontrast.evaluation.baselines import baseline_features, fit_baseline
from genocontrast.evaluation.metrics import Assessment, assess, auroc
from genocontrast.evaluation.resamples import Estimate, Floats, PairResamples, promoter_blocks
from genocontrast.examples import HARD, read_examples
from genocontrast.genome import stage as genome_stage
from genocontrast.kmers import stage as kmers_stage
from genocontrast.negatives import stage as negatives_stage
from genocontrast.sequence import Codes, kmer_frequencies
from genocontrast.training import stage as training_stage

CONFIG = Path(__file__).parents[1] / "config" / "yeast_benchmark.yaml"
DEFAULT = "default"
CELLS: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    "twin": {"strand": "twin"},
    "free": {"strand": "free"},
    "cross-entropy only": {"contrastive_weight": 0.0},
    "InfoNCE only": {"classification_weight": 0.0, "contrastive_weight": 1.0},
    "InfoNCE, heavier": {"contrastive_weight": 0.2},
    "surrogates": {"surrogate_weight": 1.0},
    "no places": {"knots": 0},
    "no mutation": {"views": []},
    "random decoys": {"tier": "random"},
    "curriculum": {"curriculum": ["random", "open"], "curriculum_epochs": 3},
    "pool first": {"curriculum": ["pool"], "curriculum_epochs": 3},
    "pretrained": {"pretraining": {"windows": "genome", "epochs": 4}},
    "pretrained on open chromatin": {"pretraining": {"windows": "open", "epochs": 20}},
    "k-mer vectors": {"encoder": "kmers"},
}
"""What each cell changes of the default; `tier` is that of the training decoys."""
BASELINES = ("GC only", "covariates", "4-mer", "6-mer")
BOOTSTRAPS = 2000


def prepare(data: Path, results: Path) -> Config:
    """Genome and examples of the benchmark; the run stops where they are not the frozen ones."""
    os.environ["GENOCONTRAST_DATA"] = str(data)
    config = load_config(CONFIG)
    if not (results / "negatives" / "balance.json").is_file():
        genome_stage.run(config, results)
        negatives_stage.run(config, results)
    if not (results / "kmers" / "kmers.h5ad").is_file():
        kmers_stage.run(config, results)
    return config


def train_cell(config: Config, results: Path, cell: str, seed: int) -> dict[str, Any]:
    """Scores of all validation and test windows of one cell, and what training took; made once."""
    changes = dict(CELLS[cell])
    tier = changes.pop("tier", HARD)
    settings = TrainingConfig.model_validate({**config.training.model_dump(), **changes})
    changed = config.model_copy(update={"training": settings, "seed": seed})
    told = json.dumps([settings.model_dump(), seed, tier, config.negatives.frozen], sort_keys=True)
    fingerprint = hashlib.sha256(told.encode()).hexdigest()
    path = results / "cells" / f"{cell.replace(' ', '_')}_{seed}.json"
    if path.is_file() and (found := read_json(path))["fingerprint"] == fingerprint:
        return found
    examples, genome = read_examples(results / "negatives" / "examples.parquet"), Genome(config.genome.fasta)
    hard = examples[examples["tier"] == HARD]
    if tier != HARD:
        # easier decoys to train on; what stops training and what is tested stay the matched ones
        easier = examples[(examples["tier"] == tier) & (examples["split"] == "train")].assign(tier=HARD)
        examples = pd.concat([easier, hard[hard["split"] != "train"]], ignore_index=True)
    start = time.perf_counter()
    rounds = training_stage.train(changed, results, examples, genome, results / "checkpoints" / path.stem)
    took = time.perf_counter() - start
    chosen = min(rounds, key=lambda each: each.best["validation_loss"])
    scores = chosen.model.logits_codes(genome.codes(hard, chosen.model.width))
    record = {
        "fingerprint": fingerprint,
        "cell": cell,
        "seed": seed,
        "seconds": took,
        "best_epoch": chosen.best["epoch"],
        "scores": np.round(scores.astype(float), 6).tolist(),
    }
    write_json(path, record)
    return record


def baseline_scores(hard: pd.DataFrame, codes: Codes) -> dict[str, Floats]:
    """Logistic models, fitted on train, regularisation chosen on validation."""
    features = baseline_features(hard, codes) | {"6-mer": kmer_frequencies(codes, 6)}
    rows = {split: (hard["split"] == split).to_numpy() for split in ("train", "validation", "test")}
    labels = hard["label"].to_numpy()
    fitted = {name: fit_baseline(name, features[name], labels, rows, 1 if "mer" in name else 2) for name in BASELINES}
    return {name: baseline.scores for name, baseline in fitted.items()}


def by_folds(hard: pd.DataFrame, folds: int) -> list[pd.DataFrame]:
    """The examples of train and validation, K times: pairs with promoters of one group of chromosomes are validation.

    The other pairs are training, but for those whose decoy lies on a chromosome of the group.
    """
    known = hard[hard["split"] != "test"]
    promoters = known[known["label"] == 1].set_index("pair_id")["chrom"]
    load = dict.fromkeys(range(folds), 0)
    group = {}
    for chrom, count in promoters.value_counts().sort_index(kind="stable").sort_values(ascending=False).items():
        group[chrom] = min(load, key=lambda fold: load[fold])
        load[group[chrom]] += count
    of_pair, own = known["pair_id"].map(promoters).map(group), known["chrom"].map(group)
    parts = []
    for fold in range(folds):
        astride = known.loc[(of_pair != fold) & (own == fold), "pair_id"]
        split = np.where(of_pair == fold, "validation", "train")
        parts.append(known.assign(split=split)[~known["pair_id"].isin(astride)].reset_index(drop=True))
    return parts


def cross_validate(config: Config, results: Path, hard: pd.DataFrame, folds: int) -> dict[str, Any]:
    """AUROC of the default cell and of the baselines on each group of chromosomes, and their spread."""
    genome, rows = Genome(config.genome.fasta), []
    for fold, examples in enumerate(by_folds(hard, folds)):
        print(f"fold {fold + 1} of {folds}", file=sys.stderr)
        codes, labels = genome.codes(examples), examples["label"].to_numpy()
        apart = (examples["split"] == "validation").to_numpy()
        # baselines have their regularisation chosen where they are judged, the model its epoch
        scores = baseline_scores(examples, codes)
        start = time.perf_counter()
        model = training_stage.train(config, results, examples, genome, results / "folds" / str(fold))[0].model
        scores["model"] = model.logits_codes(codes).astype(float)
        rows.append({name: auroc(labels[apart], each[apart]) for name, each in scores.items()})
        print(f"  model {rows[-1]['model']:.3f}, {time.perf_counter() - start:.0f} s", file=sys.stderr)
    table = pd.DataFrame(rows)
    above = table["model"] - table.drop(columns="model").max(axis=1)
    spread = {name: {"mean": float(each.mean()), "spread": float(each.std())} for name, each in table.items()}
    return {"folds": rows, **spread, "above_best": {"mean": float(above.mean()), "spread": float(above.std())}}


class Judge:
    """AUROC on one split with intervals over blocks of the chromosome, the same resamples for everything."""

    def __init__(self, hard: pd.DataFrame, split: str) -> None:
        self.rows = (hard["split"] == split).to_numpy()
        mine = hard[self.rows]
        blocks, self.block = promoter_blocks(mine, 100_000)
        self.labels = mine["label"].to_numpy()
        self.resamples = PairResamples(mine["pair_id"], BOOTSTRAPS, 1, blocks)

    def __call__(self, scores: Floats) -> Assessment:
        """The assessment of scores of all examples."""
        return assess(self.labels, np.asarray(scores)[self.rows], 0.0, self.resamples)


def over_seeds(found: list[Assessment], baseline: Assessment, default: list[Assessment]) -> dict[str, Any]:
    """Mean over seeds, its spread, and how far it is above a baseline and above the default in the same resamples."""
    values = np.array([each.auroc.value for each in found])
    mean, usual = (seed_mean(each) for each in (found, default))
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    apart = {
        name: Estimate.of(mean[0] - other[0], mean[1] - other[1]).as_dict()
        for name, other in (("above", (baseline.auroc.value, baseline.resampled)), ("above_default", usual))
    }
    return {"seeds": len(values), "auroc": Estimate.of(*mean).as_dict(), "spread": spread, **apart}


def seed_mean(found: list[Assessment]) -> tuple[float, Floats]:
    """Mean AUROC over seeds, of all examples and in each resample."""
    return float(np.mean([each.auroc.value for each in found])), np.mean([each.resampled for each in found], axis=0)


def interval(estimate: dict[str, float]) -> str:
    """A figure with its interval, as text."""
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"


def main() -> None:
    """Train what is missing, judge, print, and write JSON where asked."""
    parser = timing.arguments(__doc__ or "")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds yeast/")
    parser.add_argument(
        "--results", type=Path, default=Path("results/yeast_benchmark"), help="folder of stages and cells"
    )
    parser.add_argument("--cells", nargs="*", default=[DEFAULT], choices=list(CELLS), help="what to train")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each cell")
    parser.add_argument("--test", action="store_true", help="judge on the test chromosomes instead of validation")
    parser.add_argument("--folds", type=int, default=0, help="groups of chromosomes for cross-validation; 0: none")
    report = run(parser.parse_args())
    print(f"\nexamples {report['frozen'][:12]}, judged on {report['split']}, blocks of {report['block']:,} bp")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The whole benchmark."""
    config = prepare(arguments.data, arguments.results)
    examples = read_examples(arguments.results / "negatives" / "examples.parquet")
    hard = examples[examples["tier"] == HARD].reset_index(drop=True)
    codes = Genome(config.genome.fasta).codes(hard)
    judge = Judge(hard, "test" if arguments.test else "validation")
    baselines = {name: judge(scores) for name, scores in baseline_scores(hard, codes).items()}
    best = max(baselines, key=lambda name: baselines[name].auroc.value)
    report: dict[str, Any] = {
        "frozen": config.negatives.frozen,
        "split": "test" if arguments.test else "validation",
        "block": judge.block,
        "baselines": {name: found.auroc.as_dict() for name, found in baselines.items()},
        "best_baseline": best,
        "cells": {},
    }
    timing.show("Baselines", [{"model": name, "AUROC": interval(each)} for name, each in report["baselines"].items()])
    assessed: dict[str, list[Assessment]] = {}
    for cell in arguments.cells:
        records = []
        for seed in range(1, arguments.seeds + 1):
            print(f"{cell}, seed {seed}", file=sys.stderr)
            records.append(train_cell(config, arguments.results, cell, seed))
        assessed[cell] = [judge(np.array(record["scores"])) for record in records]
        found = over_seeds(assessed[cell], baselines[best], assessed.get(DEFAULT, assessed[cell]))
        report["cells"][cell] = found | {"seconds": float(np.median([record["seconds"] for record in records]))}
    timing.show(
        f"Cells, and how far above {best}",
        [
            {
                "cell": cell,
                "AUROC": interval(row["auroc"]),
                "spread over seeds": row["spread"],
                "above": interval(row["above"]),
                "above default": interval(row["above_default"]),
                "seconds": row["seconds"],
            }
            for cell, row in report["cells"].items()
        ],
    )
    if arguments.folds:
        report["cross_validation"] = found = cross_validate(config, arguments.results, hard, arguments.folds)
        names = [*BASELINES, "model", "above_best"]
        timing.show(f"AUROC over {arguments.folds} folds", [{"by": name, **found[name]} for name in names])
    timing.write(arguments.json, report)
    return report


if __name__ == "__main__":
    main()
