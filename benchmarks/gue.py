"""Promoter tasks of GUE on their development sets: our recipes over seeds, baselines, and what the split gives away.

Each seed is one `genocontrast training csv` of config/tables/gue_<task>.yaml in a process of its own, kept in
--results, so that a stopped run goes on. Training rows that repeat in the development set are left out, as that
command does. The test sets are never read.

    python benchmarks/gue.py --data DATA [--tasks TASK ...] [--seeds N] [--free] [--results FOLDER] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import timing
import yaml
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef

from genocontrast import load_model
from genocontrast.artefacts import read_json
from genocontrast.evaluation.tables import evaluate_table
from genocontrast.examples import window_codes
from genocontrast.genome.repeats import drop_repeats
from genocontrast.genome.sequence_tables import read_sequences
from genocontrast.sequence import kmer_frequencies

CONFIGS = Path(__file__).parents[1] / "config" / "tables"
PUBLISHED: dict[str, dict[str, float]] = {
    "prom_core_all": {"DNABERT-2, 117 M parameters, pretrained (test set)": 0.694},
    "prom_300_tata": {},
}
PIECE = 15
"""The decoys are promoters with pieces of so many bp replaced by random bases."""
FIRST = {"prom_core_all": 9, "prom_300_tata": 0}
"""Where the first whole piece begins."""


def trained(task: str, data: Path, config: Path, seed: int, out: Path) -> Path:
    """The model of one seed; made once."""
    if not (out / "model.safetensors").is_file():
        files = ["--train", data / "gue" / task / "train.csv.gz", "--dev", data / "gue" / task / "dev.csv.gz"]
        command = ["genocontrast", "training", "csv", *files]
        start = time.perf_counter()
        subprocess.run([*map(str, command), "--config", config, "--out", out, "--seed", str(seed)], check=True)
        (out / "seconds.json").write_text(json.dumps(time.perf_counter() - start))
    return out


def related(train: pd.DataFrame, dev: pd.DataFrame, first: int) -> NDArray[np.int64]:
    """Training sequences of each class, negative and positive, that share a piece with each of dev, shape=(n, 2)."""
    starts = range(first, len(train["sequence"].iloc[0]) - PIECE, PIECE)
    holders: dict[tuple[int, str], NDArray[np.int64]] = defaultdict(lambda: np.zeros(2, np.int64))
    for sequence, label in zip(train["sequence"], train["label"], strict=True):
        for at in starts:
            holders[at, sequence[at : at + PIECE]][label] += 1
    return np.array([sum(holders[at, sequence[at : at + PIECE]] for at in starts) for sequence in dev["sequence"]])


def kmer_mcc(train: pd.DataFrame, dev: pd.DataFrame, k: int) -> float:
    """MCC on dev of a logistic model of k-mer frequencies, its regularisation chosen there: a strong opponent."""
    fitted, held_out = (kmer_frequencies(window_codes(table), k) for table in (train, dev))
    scale = fitted.std(0) + 1e-9
    found = []
    for strength in (1e-4, 1e-3, 1e-2, 1e-1):
        model = LogisticRegression(C=strength, max_iter=500).fit(fitted / scale, train["label"])
        found.append(float(matthews_corrcoef(dev["label"], model.predict(held_out / scale))))
    return max(found)


def judge(folder: Path, dev: pd.DataFrame, apart: NDArray[np.bool_]) -> dict[str, Any]:
    """Figures of one model."""
    model = load_model(folder)
    found = evaluate_table(model, dev)
    calls = found.predictions["call"].to_numpy()
    return {
        "mcc": found.metrics["calls"]["mcc"]["value"],
        "mcc_unrelated": float(matthews_corrcoef(dev["label"][apart], calls[apart])),
        "auroc": found.metrics["auroc"]["value"],
        "flips": found.metrics["strand"]["flips"],
        "parameters": sum(parameter.numel() for parameter in model.network.parameters()),
        "best_epoch": min(read_json(folder / "history.json")["epochs"], key=lambda row: row["validation_loss"])[
            "epoch"
        ],
        "seconds": float((folder / "seconds.json").read_text()),
    }


def over_seeds(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean of each figure, and the spread of MCC."""
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    spread = float(np.std([row["mcc"] for row in rows], ddof=1)) if len(rows) > 1 else float("nan")
    return {"seeds": len(rows), "spread": spread, **means}


def measure(task: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """One task: what train and dev share, baselines, and our models."""
    data = arguments.data / "gue" / task
    dev = read_sequences(data / "dev.csv.gz", "validation")
    train = drop_repeats(read_sequences(data / "train.csv.gz", "train"), dev)
    shared = related(train, dev, FIRST[task])
    labels = dev["label"].to_numpy()
    apart = shared.sum(1) == 0
    other, own = shared[np.arange(len(dev)), 1 - labels], shared[np.arange(len(dev)), labels]
    report: dict[str, Any] = {
        "train": len(train),
        "dev": len(dev),
        "dev_sharing_pieces": float(1 - apart.mean()),
        "of_these_with_the_other_class_rather": float((other > own)[~apart].mean()),
        "baselines": {f"{k}-mer logistic": kmer_mcc(train, dev, k) for k in (4, 6)},
        "published": PUBLISHED[task],
        "models": {},
    }
    config = CONFIGS / f"gue_{task}.yaml"
    recipes = {"tied": config}
    if arguments.free:
        free = yaml.safe_load(config.read_text())
        free["training"] |= {"strand": "free", "orientation": "invariant"}
        recipes["free"] = arguments.results / f"{task}_free.yaml"
        arguments.results.mkdir(parents=True, exist_ok=True)
        recipes["free"].write_text(yaml.safe_dump(free))
    for name, recipe in recipes.items():
        rows = []
        for seed in range(1, arguments.seeds + 1):
            folder = trained(task, arguments.data, recipe, seed, arguments.results / f"{task}_{name}_{seed}")
            rows.append(judge(folder, dev, apart))
            print(f"{task}, {name}, seed {seed}: MCC {rows[-1]['mcc']:.4f}", file=sys.stderr)
        report["models"][name] = over_seeds(rows) | {"each": rows}
    return report


def main() -> None:
    """Train what is missing, judge, print, and write JSON where asked."""
    parser = timing.arguments(__doc__ or "")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds gue/")
    parser.add_argument("--results", type=Path, default=Path("results/gue"), help="folder of the models")
    parser.add_argument("--tasks", nargs="*", default=list(PUBLISHED), choices=list(PUBLISHED), help="what to measure")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each model")
    parser.add_argument("--free", action="store_true", help="the same network without strand symmetry, too")
    arguments = parser.parse_args()
    report = {task: measure(task, arguments) for task in arguments.tasks}
    for task, found in report.items():
        rows = [{"model": name, "MCC": value} for name, value in (found["baselines"] | found["published"]).items()]
        timing.show(f"{task}: others", rows)
        shown = ("mcc", "spread", "mcc_unrelated", "flips", "parameters", "seconds")
        timing.show(
            f"{task}: mean over {arguments.seeds} seeds on {found['dev']:,} development sequences",
            [{"model": name, **{key: row[key] for key in shown}} for name, row in found["models"].items()],
        )
        print(
            f"{found['dev_sharing_pieces']:.0%} of them share {PIECE} bp in place with a training sequence, and "
            f"{found['of_these_with_the_other_class_rather']:.0%} of those with the other class"
        )
    timing.write(arguments.json, report)


if __name__ == "__main__":
    main()
