"""Attributions and motifs of one trained model, by us and by the tools of the field, on the same windows.

    python benchmarks/motif_peers.py --results results/demo --fasta resources/simulated/genome.fa.gz \
        --sites resources/simulated/sites.tsv --json motif_peers.json

Attributions: captum's integrated gradients from the same shuffles along the same path, and tangermeme's DeepLIFT/SHAP
with its own shuffles, beside ours; judged by how they agree with the effect of every substitution, which is exact.
Motifs: modisco-lite on our attributions, beside our clustering of them; both are named by TOMTOM and compared with the
planted families. First uses, which compile, are left out of the times.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from genocontrast.artefacts import write_json
from genocontrast.evaluation.attribution import REFERENCES, STEPS, Attribution, attribute, mutagenesis
from genocontrast.evaluation.database import read_motifs, shipped_database
from genocontrast.evaluation.dinucleotides import shuffle
from genocontrast.evaluation.motifs import LearnedMotif, learn_motifs
from genocontrast.evaluation.naming import match_motifs
from genocontrast.evaluation.planted import planted_masks, read_sites, recovery
from genocontrast.evaluation.reading import Motif
from genocontrast.examples import HARD, read_examples
from genocontrast.genome.fasta import Genome
from genocontrast.sequence import Codes, one_hot, one_strand
from genocontrast.training.model import Model, load_model

Floats = NDArray[np.float32]
MOTIFS = 24
TRIMMED_AT = 0.3
"""Share of the largest contribution below which the ends of modisco-lite's patterns are cut, as its reports do."""


class Logit(torch.nn.Module):
    """The network as these tools want one: windows in, a column of logits out."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.network = model.network

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Promoter logits, shape=(n, 4, length) -> (n, 1)."""
        return self.network(windows).logit[:, None]


def main() -> None:
    """Attribute, find motifs, and print who finds what."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("results", "fasta", "sites"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--mutated", type=int, default=40, help="windows to mutate at every base")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = load_model(options.results / "training" / "model")
    examples = read_examples(options.results / "negatives" / "examples.parquet")
    test = examples[(examples["tier"] == HARD) & (examples["split"] == "test")].reset_index(drop=True)
    codes = one_strand(Genome(options.fasta).codes(test, model.width))[0]
    rows, ours = attributions(model, codes, options.mutated)
    found = {"attributions": rows, "motifs": motifs(ours, codes, test, Genome(options.fasta), options.sites)}
    for part, lines in found.items():
        print(f"\n{part}\n{pd.DataFrame(lines).to_string(index=False)}")
    if options.json:
        write_json(options.json, found)


def attributions(model: Model, codes: Codes, mutated: int) -> tuple[list[dict[str, Any]], Attribution]:
    """Seconds and agreement with mutagenesis of each way to attribute, and our attribution."""
    some = np.linspace(0, len(codes) - 1, mutated).astype(int)
    exact = -mutagenesis(model, codes[some]).sum(1) / 3
    kept: dict[str, Attribution] = {}

    def ours() -> Floats:
        kept["ours"] = attribute(model, codes)
        return kept["ours"].contributions

    ways: dict[str, Callable[[], Floats]] = {
        "genocontrast, integrated gradients": ours,
        "captum 0.9, integrated gradients": lambda: captum(model, codes),
        "tangermeme 1.6, DeepLIFT/SHAP": lambda: tangermeme(model, codes),
    }
    rows = []
    for name, way in ways.items():
        start = time.perf_counter()
        contributions = way()
        seconds = time.perf_counter() - start
        agreement = np.corrcoef(contributions[some].ravel(), exact.ravel())[0, 1]
        rows.append(
            {"tool": name, "windows": len(codes), "seconds": round(seconds, 1), "agreement": agreement.round(3)}
        )
    return rows, kept["ours"]


def captum(model: Model, codes: Codes) -> Floats:
    """Integrated gradients from as many shuffles along a path of as many points, shape=(n, length)."""
    from captum.attr import IntegratedGradients

    network = Logit(model).eval()
    method = IntegratedGradients(network, multiply_by_inputs=True)
    rng, windows = np.random.default_rng(0), torch.from_numpy(one_hot(codes))
    total = torch.zeros(codes.shape)
    for _ in range(REFERENCES):
        start = torch.from_numpy(one_hot(shuffle(codes, rng)))
        parts = [
            method.attribute(w, s, target=0, n_steps=STEPS, method="riemann_middle")
            for w, s in zip(windows.split(128), start.split(128), strict=True)
        ]
        total += torch.cat(parts).sum(1) / REFERENCES
    return total.numpy().astype(np.float32)


def tangermeme(model: Model, codes: Codes) -> Floats:
    """DeepLIFT/SHAP against its own dinucleotide shuffles, shape=(n, length)."""
    from tangermeme.deep_lift_shap import deep_lift_shap

    windows = torch.from_numpy(one_hot(codes))
    found = deep_lift_shap(
        Logit(model).eval(), windows, n_shuffles=REFERENCES, device="cpu", random_state=0, only_warn=True
    )
    return found.sum(1).detach().numpy().astype(np.float32)


def motifs(ours: Attribution, codes: Codes, test: pd.DataFrame, genome: Genome, path: Path) -> list[dict[str, Any]]:
    """Families found, false motifs and seconds of each way to make motifs of the same attributions."""
    sites = read_sites(path)
    # masks lie along the windows' own strands; the codes may have been turned
    canonical, turned = one_strand(genome.codes(test, codes.shape[1]))
    masks = planted_masks(test, sites, codes.shape[1])
    masks = {name: np.where(turned[:, None], mask[:, ::-1], mask) for name, mask in masks.items()}
    identifiers = dict(sorted(set(zip(sites["motif"], sites["matrix_id"], strict=True))))
    database, promoter = read_motifs(shipped_database()), (test["label"] == 1).to_numpy()
    rows = []
    for name, make in {
        "genocontrast, clustering": lambda: learn_motifs(ours.effects, canonical, MOTIFS, 0),
        "modisco-lite 3.0": lambda: modisco(ours.effects, canonical),
    }.items():
        make()  # compiles
        start = time.perf_counter()
        learned = make()
        seconds = time.perf_counter() - start
        matches = match_motifs([motif.matrix for motif in learned], database)
        named = [Motif(f"motif_{rank}", *pair, {}) for rank, pair in enumerate(zip(learned, matches, strict=True))]
        truth = recovery(named, masks, identifiers, canonical, promoter, ours.contributions, np.arange(len(canonical)))
        families = [row["family"] for row in truth["families"] if row["motifs"]]
        rows.append(
            {
                "tool": name,
                "seconds": round(seconds, 1),
                "motifs": len(learned),
                "families": len(families),
                "of": truth["distinguishing"],
                "true_motifs": round(truth["precision"] or 0.0, 3),
                "found": " ".join(families),
            }
        )
    return rows


def modisco(effects: Floats, codes: Codes) -> list[LearnedMotif]:
    """Patterns of modisco-lite with its defaults, both signs, trimmed as its reports trim them."""
    from modiscolite.tfmodisco import TFMoDISco

    hypothetical = effects.transpose(0, 2, 1).astype(np.float64)
    positive, negative = TFMoDISco(one_hot(codes, np.float64).transpose(0, 2, 1), hypothetical)
    found = []
    for pattern in [*(positive or []), *(negative or [])]:
        weight = np.abs(pattern.contrib_scores).sum(1)
        kept = np.flatnonzero(weight >= TRIMMED_AT * weight.max())
        matrix = np.asarray(pattern.sequence)[kept[0] : kept[-1] + 1] + 1e-3
        matrix = matrix / matrix.sum(1, keepdims=True)
        found.append(
            LearnedMotif(matrix, len(pattern.seqlets), float(pattern.contrib_scores.sum() * len(pattern.seqlets)))
        )
    return found


if __name__ == "__main__":
    main()
