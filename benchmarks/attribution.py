"""Attributions of a trained model: seconds, completeness, and how far they agree with mutagenesis.

    python benchmarks/attribution.py --model results/demo/training/model \
        --examples results/demo/negatives/examples.parquet \
        --fasta resources/simulated/genome.fa.gz --json attribution.json

Agreement is the correlation, over all bases of some windows, of what integrated gradients say that a base contributes
with what mutagenesis says: the logit less the mean over the three other bases.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from genocontrast.artefacts import read_parquet, write_json
from genocontrast.evaluation.attribution import REFERENCES, STEPS, attribute, mutagenesis
from genocontrast.genome.fasta import Genome
from genocontrast.sequence import reverse_complement
from genocontrast.training.model import load_model


def main() -> None:
    """Attribute, mutate, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "examples", "fasta"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--windows", type=int, default=1000, help="promoters to attribute")
    parser.add_argument("--mutated", type=int, default=40, help="of these, promoters to mutate at every base")
    parser.add_argument("--references", type=int, default=REFERENCES)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = load_model(options.model)
    examples = read_parquet(options.examples)[0]
    promoters = examples[(examples["label"] == 1) & (examples["tier"] == "hard")].iloc[: options.windows]
    codes = Genome(options.fasta).codes(promoters, model.width)
    start = time.perf_counter()
    found = attribute(model, codes, options.references, options.steps)
    seconds = time.perf_counter() - start
    some = codes[: options.mutated]
    start = time.perf_counter()
    change = mutagenesis(model, some)
    mutation_seconds = time.perf_counter() - start
    other = attribute(model, reverse_complement(some), options.references, options.steps)
    again = attribute(model, some, options.references, options.steps)
    figures = {
        "windows": len(codes),
        "length": codes.shape[1],
        "references": options.references,
        "steps": options.steps,
        "seconds": round(seconds, 1),
        "relative_completeness_error": round(found.relative_error, 4),
        "mutated": len(some),
        "mutagenesis_seconds": round(mutation_seconds, 1),
        "correlation_with_mutagenesis": round(
            float(np.corrcoef(found.contributions[: len(some)].ravel(), -change.sum(1).ravel() / 3)[0, 1]), 3
        ),
        "largest_strand_difference": float(np.abs(other.contributions[:, ::-1] - again.contributions).max()),
    }
    for name, value in figures.items():
        print(f"{name:32}{value}")
    if options.json:
        write_json(options.json, figures)


if __name__ == "__main__":
    main()
