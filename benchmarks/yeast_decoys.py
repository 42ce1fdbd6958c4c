"""Decoys of real yeast: the stages of config/yeast.yaml, and the peer on the promoters that they retained."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import decoy_quality
import pandas as pd
from peers import tangermeme_loci

from genocontrast import Genome
from genocontrast.artefacts import read_parquet
from genocontrast.config import Config, load_config
from genocontrast.errors import GenocontrastWarning
from genocontrast.genome import stage as genome_stage
from genocontrast.genome.inputs import open_signal
from genocontrast.negatives import stage as negatives_stage

CONFIG = Path(__file__).parent.parent / "config" / "yeast.yaml"
LIMIT = 0.1
"""Largest |SMD| of GC, CpG and accessibility that is asked for."""


def run_stages(config: Config, results: Path) -> dict[str, float]:
    """Run the two stages; seconds of each."""
    seconds = {}
    with warnings.catch_warnings():
        # A balance that fails the gate is what is measured here.
        warnings.simplefilter("ignore", GenocontrastWarning)
        for name, stage in (("genome", genome_stage), ("negatives", negatives_stage)):
            start = time.perf_counter()
            stage.run(config, results)
            seconds[name] = time.perf_counter() - start
    return seconds


def peer_decoys(config: Config, promoters: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """The peer's decoys for these promoters, of the same width; it wants a FASTA file that is not gzipped."""
    fasta, bed = folder / "yeast.fa", folder / "retained.bed"
    with gzip.open(config.genome.fasta) as packed, open(fasta, "wb") as plain:
        shutil.copyfileobj(packed, plain)
    promoters[["chrom", "start", "end"]].to_csv(bed, sep="\t", header=False, index=False)
    return tangermeme_loci(bed, fasta, config.genome.width)


def compare(config: Config, results: Path, seconds: dict[str, float]) -> tuple[float, list[dict[str, Any]]]:
    """Retention, and the quality of ours and of the peer's decoys over the promoters that the stage retained."""
    examples, dropped, peaks = (
        read_parquet(results / table)[0]
        for table in ("negatives/examples.parquet", "negatives/dropped.parquet", "genome/open_chromatin.parquet")
    )
    genome = Genome(config.genome.fasta)
    signal = open_signal(config.genome, genome)
    covariates = partial(decoy_quality.measure, genome=genome, signal=signal, peaks=peaks)
    hard = examples[examples["tier"] == "hard"]
    retained, own = (hard[hard["label"] == label] for label in (1, 0))
    start = time.perf_counter()
    peer = peer_decoys(config, retained, results)
    seconds["tangermeme"] = time.perf_counter() - start
    promoters, rows = pd.concat([retained, dropped]), []
    scale = covariates(promoters).std()
    for contender, decoys in (("genocontrast", own), ("tangermeme", peer)):
        both = {"positives": covariates(retained), "decoys": covariates(decoys)}
        found = decoy_quality.quality(retained, decoys, both, scale)
        rows.append({"contender": contender, "over": "retained", **found})
    return len(retained) / len(promoters), rows


def yeast(data: Path) -> dict[str, Any]:
    """Seconds, retention, and the balance of ours and the peer's decoys over the same promoters."""
    os.environ["GENOCONTRAST_DATA"] = str(data.resolve())
    config = load_config(CONFIG)
    config = config.model_copy(update={"negatives": config.negatives.model_copy(update={"gate": "warn"})})
    with tempfile.TemporaryDirectory() as name:
        os.environ["GENOCONTRAST_CACHE"] = str(Path(name) / "cache")
        seconds = run_stages(config, Path(name))
        retention, rows = compare(config, Path(name), seconds)
    worst = max(abs(rows[0]["smd"][name]) for name in ("gc", "cpg", "accessibility"))
    print(f"\nYeast, {CONFIG.name}: {rows[0]['positives']:,} pairs, retention {retention:.1%} of the open promoters;")
    print(f"largest |SMD| of GC, CpG and accessibility {worst:.3f} (asked: {LIMIT:g} at most);")
    print(f"seconds: {', '.join(f'{key} {value:.1f}' for key, value in seconds.items())}")
    return {"seconds": seconds, "retention": retention, "largest_smd": worst, "balance": rows}
