"""Who makes decoys in `negatives.py`: each from the same files to a table of decoys, with one thread.

    python benchmarks/peers.py CONTENDER FOLDER

runs one of them in this process, which loads nothing of the others, and prints seconds and memory as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import timing

if TYPE_CHECKING:
    from genocontrast import Genome, Pool

WIDTH = 1000
"""Width of promoters and decoys, bp."""
MARGIN = 500
"""What is kept clear around each promoter, bp."""
COVARIATES = ("gc", "cpg", "accessibility", "repeat")
_BED = ["chrom", "start", "end"]


@dataclass(frozen=True)
class Files:
    """What all start from: the files of `make_genome.py`; `promoters` may be replaced by some of them."""

    fasta: Path
    promoters: Path
    peaks: Path
    signal: Path

    @classmethod
    def of(cls, folder: Path, promoters: Path | None = None) -> Files:
        """The files of a folder."""
        names = ("genome.fa", "promoters.bed", "peaks.narrowPeak", "atac.bw")
        fasta, regions, peaks, signal = (folder / name for name in names)
        return cls(fasta, promoters or regions, peaks, signal)


def _prepared(files: Files) -> tuple[Genome, pd.DataFrame, Pool]:
    """Genome, promoters and candidate decoys, from the files."""
    import genocontrast as gct
    from genocontrast.genome.intervals import widen

    genome = gct.Genome(files.fasta)
    promoters = gct.read_regions(files.promoters, genome=genome)
    peaks = gct.read_regions(files.peaks, genome=genome)
    clear = {f"promoters +- {MARGIN} bp": widen(promoters, MARGIN, genome.sizes)}
    return genome, promoters, gct.candidate_pool(genome, peaks, clear, WIDTH)


def ours(files: Files) -> pd.DataFrame:
    """The examples that genocontrast makes: promoters and their decoys."""
    import genocontrast as gct

    genome, promoters, pool = _prepared(files)
    signal = gct.Signal(files.signal, genome=genome)
    return gct.match_negatives(promoters, pool, genome, covariates=COVARIATES, signal=signal, seed=0).examples


def our_decoys(files: Files) -> pd.DataFrame:
    """The decoys among our examples."""
    examples = ours(files)
    return examples.loc[examples["label"] == 0, _BED]


def random_choice(files: Files) -> pd.DataFrame:
    """As many windows of our pool, whatever they are like: the floor."""
    _, promoters, pool = _prepared(files)
    return pool.windows[_BED].sample(min(len(promoters), len(pool.windows)), random_state=0)


def tangermeme(files: Files) -> pd.DataFrame:
    """Matched by GC in bins of 2 %, from windows anywhere that hold no promoter."""
    return tangermeme_loci(files.promoters, files.fasta, WIDTH)


def tangermeme_loci(promoters: Path, fasta: Path, width: int) -> pd.DataFrame:
    """What the peer gives for a BED file and windows of this width, bp."""
    from tangermeme.match import extract_matching_loci

    widths = {"in_window": width, "out_window": width}
    return extract_matching_loci(str(promoters), str(fasta), **widths, random_state=0, n_jobs=1)


def chrombpnet(files: Files) -> pd.DataFrame:
    """Matched by GC in bins of 1 %, see `chrombpnet_cost.py`."""
    from chrombpnet_cost import gc_matched

    return gc_matched(files.fasta, files.promoters, WIDTH)


CONTENDERS: dict[str, Callable[[Files], pd.DataFrame]] = {
    "genocontrast": our_decoys,
    "tangermeme": tangermeme,
    "chrombpnet": chrombpnet,
    "random choice": random_choice,
}


def main() -> None:
    """One contender on the files of a folder."""
    name, folder = sys.argv[1:]
    wall, cpu = time.perf_counter(), time.process_time()
    decoys = CONTENDERS[name](Files.of(Path(folder)))
    figures = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps(figures | {"peak_mb": timing.peak_mb(), "decoys": len(decoys)}))


if __name__ == "__main__":
    main()
