"""Windows of a genome to one-hot arrays, and the mean of a bigWig over windows, beside the peers.

    pip install '.[bench]'
    python benchmarks/extraction.py [--megabases 150] [--windows 50000] [--json FILE]

The same windows, the same layout (n, 4, width) and type (int8) on all sides; results are compared element by element
before anything is timed. Warm: indices and caches exist, contenders take turns in one process. Cold: a process of its
own for each run, the file in the page cache, no index and no cache of ours, building included, imports left out
(the peer's compiled numba functions are kept from run to run, as they would be on a user's machine).
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import timing

WIDTH = 1000
CHROMOSOMES = 5
LINE = 60
PACKAGES = ("genocontrast", "numpy", "pysam", "pyfaidx", "pyBigWig", "tangermeme", "numba")


def make_genome(path: Path, megabases: float, rng: np.random.Generator) -> None:
    """A FASTA file of five chromosomes, a third of it soft-masked, one base in a hundred N."""
    size = int(megabases * 1e6 / CHROMOSOMES) // LINE * LINE
    letters = np.frombuffer(b"ACGTacgtN", np.uint8)
    with open(path, "wb") as handle:
        for number in range(1, CHROMOSOMES + 1):
            bases = letters[rng.choice(9, size, p=[0.2, 0.15, 0.15, 0.2, 0.09, 0.06, 0.06, 0.08, 0.01])]
            lines = np.concatenate([bases.reshape(-1, LINE), np.full((size // LINE, 1), 10, np.uint8)], axis=1)
            handle.write(b">chr%d\n" % number + lines.tobytes())


def make_windows(megabases: float, count: int, rng: np.random.Generator) -> pd.DataFrame:
    """Windows anywhere, in no order."""
    size = int(megabases * 1e6 / CHROMOSOMES) // LINE * LINE
    chrom = np.array([f"chr{number}" for number in range(1, CHROMOSOMES + 1)], dtype=object)
    start = rng.integers(0, size - WIDTH, count)
    return pd.DataFrame({"chrom": chrom[rng.integers(0, CHROMOSOMES, count)], "start": start, "end": start + WIDTH})


def make_track(path: Path, megabases: float, rng: np.random.Generator) -> None:
    """A bigWig of runs of 10 to 200 bp with gaps, as accessibility tracks have them."""
    import pyBigWig

    size = int(megabases * 1e6 / CHROMOSOMES) // LINE * LINE
    with pyBigWig.open(str(path), "w") as track:
        track.addHeader([(f"chr{number}", size) for number in range(1, CHROMOSOMES + 1)])
        for number in range(1, CHROMOSOMES + 1):
            edges = np.cumsum(rng.integers(10, 200, size // 100))
            edges = edges[edges < size]
            keep = rng.random(len(edges) - 1) < 0.8
            start, end = edges[:-1][keep], edges[1:][keep]
            values = rng.gamma(0.5, 2.0, len(start))
            track.addEntries([f"chr{number}"] * len(start), start.tolist(), ends=end.tolist(), values=values.tolist())


def text_to_one_hot(texts: Sequence[Callable[[], str]]) -> np.ndarray:
    """What a loop over windows does: letters to codes by a table, codes to channels."""
    table = np.full(256, 4, np.uint8)
    for code, (upper, lower) in enumerate(zip(b"ACGT", b"acgt", strict=True)):
        table[[upper, lower]] = code
    channels = np.arange(4, dtype=np.uint8)[:, None]
    result = np.empty((len(texts), 4, WIDTH), np.int8)
    for row, text in enumerate(texts):
        result[row] = table[np.frombuffer(text().encode(), np.uint8)] == channels
    return result


def pyfaidx_loop(fasta: Path, windows: pd.DataFrame) -> np.ndarray:
    """One window after the other through pyfaidx."""
    import pyfaidx

    with pyfaidx.Fasta(str(fasta)) as genome:
        return text_to_one_hot(
            [lambda c=c, s=s, e=e: genome[c][s:e].seq for c, s, e in windows.itertuples(index=False)]
        )


def pysam_loop(fasta: Path, windows: pd.DataFrame) -> np.ndarray:
    """One window after the other through pysam."""
    import pysam

    with pysam.FastaFile(str(fasta)) as genome:
        return text_to_one_hot([lambda r=r: genome.fetch(*r) for r in windows.itertuples(index=False)])


def tangermeme_loci(fasta: Any, windows: pd.DataFrame, threads: int) -> np.ndarray:
    """Tangermeme's loader, from the indexed file or from arrays that it was given."""
    from tangermeme.io import extract_loci

    return extract_loci(windows, fasta, in_window=WIDTH, n_jobs=threads).numpy()


def ours(fasta: Path, windows: pd.DataFrame, threads: int) -> np.ndarray:
    """Opened anew each time, as the peers open their file."""
    from genocontrast import Genome

    return Genome(fasta).one_hot(windows, dtype=np.int8, threads=threads)


def warm(fasta: Path, windows: pd.DataFrame, threads: int, repeats: int) -> dict[str, Any]:
    """All contenders with `threads` threads; the loops have one, as their libraries do."""
    from tangermeme.io import extract_loci

    whole = pd.DataFrame({"chrom": windows["chrom"].unique(), "start": 0, "end": WIDTH})
    held = {}
    expected = ours(fasta, windows, threads)
    import genocontrast

    genome = genocontrast.Genome(fasta)
    for chrom in whole["chrom"]:
        codes = genome.chromosome(chrom)
        held[chrom] = (codes == np.arange(4, dtype=np.uint8)[:, None]).astype(np.int8)
    contenders: dict[str, Callable[[], np.ndarray]] = {
        "genocontrast": lambda: ours(fasta, windows, threads),
        "tangermeme, indexed file": lambda: tangermeme_loci(str(fasta), windows, threads),
        "tangermeme, one-hot genome in memory": lambda: extract_loci(windows, held, in_window=WIDTH).numpy(),
    }
    if threads == 1:
        contenders["pysam loop"] = lambda: pysam_loop(fasta, windows)
        contenders["pyfaidx loop"] = lambda: pyfaidx_loop(fasta, windows)
    for name, run in contenders.items():
        result = run()
        if result.dtype != np.int8 or not np.array_equal(result, expected):
            raise SystemExit(f"{name} gives another result")
    rows = timing.against(timing.interleaved(contenders, repeats), "genocontrast")
    return {"threads": threads, "rows": [row | {"windows_per_s": len(windows) / row["seconds"]} for row in rows]}


def signal(track: Path, windows: pd.DataFrame, repeats: int) -> list[dict[str, Any]]:
    """Mean over windows, bases without data as 0, against loops over regions."""
    import pyBigWig

    from genocontrast import Signal

    def values_loop() -> np.ndarray:
        with pyBigWig.open(str(track)) as handle:
            return np.array(
                [np.nansum(handle.values(*row, numpy=True)) / WIDTH for row in windows.itertuples(index=False)]
            )

    def stats_loop() -> np.ndarray:
        with pyBigWig.open(str(track)) as handle:
            rows = windows.itertuples(index=False)
            return np.array([handle.stats(*row, type="sum", exact=True)[0] or 0.0 for row in rows]) / WIDTH

    def figwig() -> np.ndarray:
        from tangermeme.io import extract_loci

        everything = {
            chrom: np.zeros((4, int(windows["end"].max()) + WIDTH), np.int8) for chrom in windows["chrom"].unique()
        }
        _, found = extract_loci(windows, everything, [str(track)], in_window=2, out_window=WIDTH, n_jobs=1)
        return found.numpy()[:, 0].mean(-1, dtype=np.float64)

    contenders = {
        "genocontrast": lambda: Signal(track).mean(windows),
        "pyBigWig loop, values": values_loop,
        "pyBigWig loop, exact stats": stats_loop,
        "tangermeme (figwig)": figwig,
    }
    expected = contenders["genocontrast"]()
    for name, run in contenders.items():
        if not np.allclose(run(), expected, rtol=1e-6, atol=1e-9):
            raise SystemExit(f"{name} gives another result")
    return timing.against(timing.interleaved(contenders, repeats), "genocontrast")


COLD: dict[str, Callable[[Path, pd.DataFrame], np.ndarray]] = {
    "genocontrast": lambda fasta, windows: ours(fasta, windows, 1),
    "tangermeme": lambda fasta, windows: tangermeme_loci(str(fasta), windows, 1),
    "pysam loop": pysam_loop,
    "pyfaidx loop": pyfaidx_loop,
}


def peak_mb() -> float:
    """Most memory that this process has held, MB; getrusage would count what its parent held before."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def cold_run(name: str, fasta: Path, windows: Path) -> None:
    """In a process of its own: seconds of wall and CPU from the bare file to the array, and the peak memory."""
    import pyfaidx
    import pysam

    import genocontrast

    _ = pyfaidx, pysam, genocontrast.Genome
    if name == "tangermeme":
        import tangermeme.io

        _ = tangermeme.io
    table = pd.read_parquet(windows)
    before = peak_mb()
    wall, cpu = time.perf_counter(), time.process_time()
    if name == "cache only":
        genocontrast.Genome(fasta)
    else:
        COLD[name](fasta, table)
    figures = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps(figures | {"peak_mb": peak_mb(), "imports_mb": before}))


def cold(fasta: Path, windows: Path, repeats: int) -> list[dict[str, Any]]:
    """Every contender from the bare file, taking turns."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in [*COLD, "cache only"]}
    for repeat in range(repeats + 1):
        for name, its in runs.items():
            for left in fasta.parent.glob(f"{fasta.name}.*"):
                left.unlink()
            shutil.rmtree(os.environ["GENOCONTRAST_CACHE"], ignore_errors=True)
            figures = timing.in_process(Path(__file__), "--cold", name, str(fasta), str(windows))
            # The first run of each fills the page cache and compiles the peer's functions.
            its.extend([figures] if repeat else [])
            print(f"  cold {name}: {figures['seconds']:.2f} s", file=sys.stderr)
    rows = []
    for name, its in runs.items():
        ratios = [each["seconds"] / own["seconds"] for each, own in zip(its, runs["genocontrast"], strict=True)]
        keys = ("seconds", "cpu_seconds", "peak_mb", "imports_mb")
        row = {key: statistics.median(each[key] for each in its) for key in keys}
        rows.append({"contender": name, **row, "times_ours": statistics.median(ratios)})
    return rows


def main() -> None:
    """Make the files, compare the results, time, print and write."""
    parser = timing.arguments(__doc__.splitlines()[0])
    parser.add_argument("--megabases", type=float, default=150, help="size of the genome, Mb")
    known = ["cold", "warm", "signal"]
    parser.add_argument("--parts", nargs="+", choices=known, default=known, help="what to measure")
    parser.add_argument("--windows", type=int, default=50_000, help="windows of 1,000 bp")
    parser.add_argument(
        "--cold", nargs=3, metavar=("NAME", "FASTA", "WINDOWS"), help="one cold run (used by this script itself)"
    )
    options = parser.parse_args()
    if options.cold:
        cold_run(options.cold[0], Path(options.cold[1]), Path(options.cold[2]))
        return
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["GENOCONTRAST_CACHE"] = str(folder / "cache")
        fasta, table, track = folder / "genome.fa", folder / "windows.parquet", folder / "track.bw"
        make_genome(fasta, options.megabases, rng)
        make_track(track, options.megabases, rng)
        windows = make_windows(options.megabases, options.windows, rng)
        windows.to_parquet(table)
        figures: dict[str, Any] = {"environment": timing.environment(PACKAGES)}
        more = make_windows(options.megabases, 2 * options.windows, rng)
        # What takes half a minute and loses by far needs few repeats.
        few = max(options.repeats // 2, 1)
        parts: dict[str, Callable[[], Any]] = {
            "cold": lambda: cold(fasta, table, few),
            "warm": lambda: [warm(fasta, windows, threads, options.repeats) for threads in (1, 2)],
            "signal": lambda: signal(track, more, few),
        }
        figures |= {part: run() for part, run in parts.items() if part in options.parts}
    what = f"{options.windows:,} windows of {WIDTH:,} bp from {options.megabases:g} Mb"
    if "cold" in figures:
        timing.show(f"Cold: {what}, one thread, index or cache built", figures["cold"])
    for part in figures.get("warm", []):
        timing.show(f"Warm: {what}, {part['threads']} thread(s)", part["rows"])
    if "signal" in figures:
        timing.show(f"Mean of a bigWig over {2 * options.windows:,} windows, one thread", figures["signal"])
    timing.write(options.json, figures)


if __name__ == "__main__":
    main()
