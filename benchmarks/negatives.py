"""Decoys like the promoters, beside the peers: time, memory, balance on five covariates, overlaps.

    pip install '.[bench]'
    python benchmarks/negatives.py [--megabases 150] [--repeats 5] [--json FILE]
    python benchmarks/negatives.py --scale [--sizes 150 600 1500]
    python benchmarks/negatives.py --yeast ../shared/data

All start from the same files of `make_genome.py` and end with a table of decoys; one core for everybody, contenders
take turns. The balance is measured by one code for all, over the promoters that kept a decoy of ours (the peers are
given just these) and, for the peers, over all promoters as well; always in standard deviations of all promoters.
`--scale` and `--yeast` measure that and nothing else.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import decoy_quality
import numpy as np
import peers
import timing
from peers import CONTENDERS, Files
from threadpoolctl import threadpool_limits

import genocontrast as gct

HERE = Path(__file__).parent
PACKAGES = ("genocontrast", "numpy", "scipy", "numba", "pyfaidx", "pyBigWig", "tangermeme")
OURS = "genocontrast"
WHOLE_GENOME = 3000
"""Mb to which the cost is extrapolated."""


def make_genome(folder: Path, megabases: float) -> None:
    """In a process of its own, so that its memory is not ours."""
    command = [sys.executable, str(HERE / "make_genome.py"), str(folder), "--megabases", f"{megabases:g}"]
    subprocess.run(command, check=True, stdout=sys.stderr)


def balance(files: Files, scratch: Path) -> list[dict[str, Any]]:
    """Quality of everybody's decoys, for the promoters that we retained and for all."""
    genome, peaks = gct.Genome(files.fasta), gct.read_regions(files.peaks)
    signal = gct.Signal(files.signal, genome=genome)
    covariates = partial(decoy_quality.measure, genome=genome, signal=signal, peaks=peaks)
    promoters = gct.read_regions(files.promoters, genome=genome)
    scale = covariates(promoters).std()
    examples = peers.ours(files)
    retained = examples[examples["label"] == 1]
    chosen = replace(files, promoters=scratch / "retained.bed")
    retained.assign(score=0)[["chrom", "start", "end", "name", "score", "strand"]].to_csv(
        chosen.promoters, sep="\t", header=False, index=False
    )
    jobs = [("retained", OURS, retained, lambda: examples[examples["label"] == 0])]
    for over, positives, given in (("retained", retained, chosen), ("all", promoters, files)):
        jobs += [(over, name, positives, partial(run, given)) for name, run in CONTENDERS.items() if name != OURS]
    rows = []
    for over, name, positives, run in jobs:
        decoys = run()
        both = {"positives": covariates(positives), "decoys": covariates(decoys)}
        found = decoy_quality.quality(positives, decoys, both, scale)
        rows.append({"contender": name, "over": over, "retention": len(positives) / len(promoters), **found})
    return rows


def show_balance(rows: list[dict[str, Any]]) -> None:
    """Two tables: standardised mean differences with overlaps, and Kolmogorov-Smirnov distances."""
    head = [{key: row[key] for key in ("contender", "over", "positives", "decoys")} for row in rows]
    overlaps = [{key: row[key] for key in ("self_overlapping", "overlap_positives")} for row in rows]
    smd = [first | row["smd"] | last for first, row, last in zip(head, rows, overlaps, strict=True)]
    timing.show("Standardised mean differences, promoters minus decoys; overlapping decoys", smd)
    timing.show("Kolmogorov-Smirnov distances", [first | row["ks"] for first, row in zip(head, rows, strict=True)])


@contextmanager
def cache_in(folder: Path) -> Iterator[None]:
    """Our cache in this folder, for this process and its children."""
    before = os.environ.get("GENOCONTRAST_CACHE")
    os.environ["GENOCONTRAST_CACHE"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("GENOCONTRAST_CACHE")
        os.environ.update({} if before is None else {"GENOCONTRAST_CACHE": before})


def process(name: str, folder: Path, cold: bool) -> dict[str, float]:
    """One contender in a process of its own; cold: without index and cache, both of which it then builds."""
    if cold:
        (folder / "genome.fa.fai").unlink(missing_ok=True)
        shutil.rmtree(os.environ["GENOCONTRAST_CACHE"], ignore_errors=True)
    figures = timing.in_process(HERE / "peers.py", name, str(folder))
    print(f"  {name}, {'cold' if cold else 'warm'}: {figures['process_seconds']:.2f} s", file=sys.stderr)
    return figures


def processes(folder: Path, repeats: int) -> list[dict[str, Any]]:
    """Every contender as whole processes, first cold and then warm each time, taking turns."""
    runs: dict[tuple[str, str], list[dict[str, float]]] = {}
    for repeat in range(repeats + 1):
        for name in CONTENDERS:
            for state in ("cold", "warm"):
                figures = process(name, folder, cold=state == "cold")
                # The first run of each compiles what is compiled on first use.
                runs.setdefault((name, state), []).extend([figures] if repeat else [])
    rows = []
    for (name, state), its in runs.items():
        row: dict[str, Any] = {"contender": name, "state": state}
        for key in ("process_seconds", "seconds", "cpu_seconds", "peak_mb"):
            row[key] = statistics.median(each[key] for each in its)
        for ratio, key in (("times_ours", "process_seconds"), ("times_our_cpu", "cpu_seconds")):
            both = zip(its, runs[OURS, state], strict=True)
            row[ratio] = statistics.median(each[key] / own[key] for each, own in both)
        rows.append(row)
    return rows


def bars(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was asked for, what was found, and whether that is enough."""
    times = {row["contender"]: row["times_ours"] for row in figures["in_process"]}
    cold = {row["contender"]: row for row in figures["processes"] if row["state"] == "cold"}
    own = figures["balance"][0]
    worst = max(abs(own["smd"][name]) for name in peers.COVARIATES)
    asked = [
        ("our time / tangermeme's, in process", 1 / times["tangermeme"], 0.8, False),
        ("our time / tangermeme's, cold process", 1 / cold["tangermeme"]["times_ours"], 0.8, False),
        ("chrombpnet's time / ours, in process", times["chrombpnet"], 4.0, True),
        ("chrombpnet's time / ours, cold process", cold["chrombpnet"]["times_ours"], 4.0, True),
        ("our memory / tangermeme's", cold[OURS]["peak_mb"] / cold["tangermeme"]["peak_mb"], 1.5, False),
        ("largest |SMD| of the four", worst, 0.05, False),
        ("retention", own["retention"], 0.95, True),
    ]
    return [
        {"bar": name, "found": found, "asked": f"{'>=' if least else '<='} {limit:g}", "met": (found >= limit) == least}
        for name, found, limit, least in asked
    ]


def compare(folder: Path, scratch: Path, repeats: int) -> dict[str, Any]:
    """Everything on the synthetic genome in a folder."""
    files = Files.of(folder)
    with cache_in(scratch / "cache"), threadpool_limits(1):
        figures: dict[str, Any] = {"balance": balance(files, scratch)}
        turns = {name: partial(run, files) for name, run in CONTENDERS.items()}
        figures["in_process"] = timing.against(timing.interleaved(turns, repeats), OURS)
        figures["processes"] = processes(folder, (repeats + 1) // 2)
    figures["bars"] = bars(figures)
    show_balance(figures["balance"])
    timing.show("In one process, index and cache built before, one core", figures["in_process"])
    timing.show("As a process, imports included", figures["processes"])
    timing.show("Bars", figures["bars"])
    return figures


def fit(rows: list[dict[str, Any]], state: str, what: str) -> dict[str, Any]:
    """A straight line and a power of the genome's size through one of the figures, and what each says of 3 Gb."""
    x, y = np.array([(row["megabases"], row[what]) for row in rows if row["state"] == state]).T
    power, factor = np.polyfit(np.log(x), np.log(y), 1)
    slope, fixed = np.polyfit(x, y, 1)
    figures = {"exponent": power, "per_Mb": slope, "fixed": fixed, "linear_at_3_Gb": fixed + slope * WHOLE_GENOME}
    figures["power_at_3_Gb"] = np.exp(factor) * WHOLE_GENOME**power
    return {"state": state, "what": what} | {key: float(value) for key, value in figures.items()}


def scale(sizes: list[float]) -> dict[str, Any]:
    """Our cost at several sizes of genome, cold and warm, and what it would be at 3 Gb."""
    rows: list[dict[str, Any]] = []
    # The smallest is run first and not counted: it compiles what is compiled on first use.
    for number, megabases in enumerate([min(sizes), *sizes]):
        with tempfile.TemporaryDirectory() as name, cache_in(Path(name) / "cache"):
            make_genome(Path(name), megabases)
            for cold in (True, False):
                figures = process(OURS, Path(name), cold)
                row = {"megabases": megabases, "state": "cold" if cold else "warm", **figures}
                rows += [row] if number else []
    fits = [
        fit(rows, state, what) for state in ("cold", "warm") for what in ("process_seconds", "cpu_seconds", "peak_mb")
    ]
    timing.show("Our cost by size of the genome, as a process", rows)
    timing.show("Fits: y = fixed + per_Mb * Mb, and y = factor * Mb ** exponent", fits)
    return {"scale": rows, "fits": fits}


def main() -> None:
    """Options and the parts that they choose."""
    parser = timing.arguments(__doc__.splitlines()[0], repeats=5)
    parser.add_argument("--megabases", type=float, default=150, help="size of the genome, Mb")
    parser.add_argument("--genome", type=Path, help="folder that make_genome.py wrote, instead of a new one")
    parser.add_argument("--scale", action="store_true", help="measure our cost at several sizes of genome")
    parser.add_argument("--sizes", type=float, nargs="+", default=[150, 600, 1500], help="sizes for --scale, Mb")
    parser.add_argument("--yeast", type=Path, metavar="FOLDER", help="measure on real yeast: the folder of the data")
    options = parser.parse_args()
    figures: dict[str, Any] = {"environment": timing.environment(PACKAGES)}
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if options.scale:
        figures |= scale(options.sizes)
    if options.yeast:
        from yeast_decoys import yeast

        figures["yeast"] = yeast(options.yeast)
        show_balance(figures["yeast"]["balance"])
    if not options.scale and not options.yeast:
        with tempfile.TemporaryDirectory() as name:
            folder = options.genome or Path(name) / "genome"
            if not options.genome:
                make_genome(folder, options.megabases)
            figures |= compare(folder, Path(name), options.repeats)
    timing.write(options.json, figures)


if __name__ == "__main__":
    main()
