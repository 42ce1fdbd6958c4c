"""K-mer vectors of real yeast beside gensim's, on the same objective; and what counting costs as sequence grows.

Both learn skip-gram with 5 negatives from the training chromosomes of config/yeast.yaml: the same canonical tokens,
window, noise and weights of positives and negatives. The figure is the gain on the test chromosomes,
(L_const - L) / (L_const - L_opt): L_const is the loss of the best constant score, L_opt that of the full-rank optimum
of the training counts, smoothed as is best on the validation chromosomes (a pair never seen would cost
infinitely much). It is done twice: with all pairs of a window, and with those of overlapping positions left out, for
which gensim is given the pairs as sentences of two words. gensim runs where `--gensim python` has it, at each of two
learning rates.

    python benchmarks/kmers.py --data DATA [--gensim PYTHON] [--parts gain scaling]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import timing
from kmer_space import yeast_splits
from yeast_decoys import CONFIG

from genocontrast import Genome, KmerEmbedding
from genocontrast.config import load_config
from genocontrast.kmers import CooccurrenceCounts, count_kmers
from genocontrast.kmers.counting import count_cooccurrences
from genocontrast.kmers.objectives import SkipGram
from genocontrast.sequence import canonical_tokens, reverse_complement

K, WINDOW, DIM, NEGATIVES = 6, 5, 64, 5.0
RATES = (0.025, 0.05)
EPOCHS = (1, 5)
SENTENCE = 10_000  # gensim's largest
SMOOTHING = (1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1, 3)
SIZES, LETTERS = (1, 10, 100, 300), (4, 6, 8)
_HERE = Path(__file__)


class Task:
    """One set of pairs: what to learn it from, and how to judge what was learned."""

    def __init__(self, data: Path, skip: int) -> None:
        self.config = load_config(CONFIG)
        self.genome = Genome(data / "yeast" / Path(self.config.genome.fasta).name)
        self.skip = skip
        self.segments = {
            split: yeast_splits(self.config, self.genome).segments(split) for split in ("train", "validation", "test")
        }
        self.counts = {split: self._counts(split) for split in self.segments}
        self.test = SkipGram(self.counts["test"], NEGATIVES)
        self.constant = self.test.uninformed()["best_constant"]
        train, validation = (SkipGram(self.counts[split], NEGATIVES) for split in ("train", "validation"))
        smoothing = min(
            SMOOTHING, key=lambda part: validation.loss_of_scores(lambda rows: train.best_scores(rows, part))
        )
        self.optimum = self.test.loss_of_scores(lambda rows: train.best_scores(rows, smoothing))
        print(f"skip {skip}: constant {self.constant:.4f}, full rank {self.optimum:.4f} (smoothing {smoothing:g})")

    def _counts(self, split: str) -> CooccurrenceCounts:
        return count_kmers(self.genome, K, WINDOW, regions=self.segments[split], skip=self.skip)

    def judged(self, name: str, words: np.ndarray, contexts: np.ndarray, figures: dict[str, float]) -> dict[str, Any]:
        """A row of the table."""
        loss = self.test.loss(words, contexts)
        gain = (self.constant - loss) / (self.constant - self.optimum)
        return {"contender": name, "loss": loss, "gain": gain, **figures}

    def fit(self, iterations: int = 100) -> KmerEmbedding:
        """Our vectors, from the sequence."""
        return KmerEmbedding.fit(
            self.genome, self.segments["train"], validation_regions=self.segments["validation"], k=K, dim=DIM,
            window=WINDOW, negatives=NEGATIVES, skip=self.skip, iterations=iterations,
        )  # fmt: skip

    def ours(self, repeats: int) -> dict[str, Any]:
        """Median cost of several fits, counting included; what is compiled is compiled before."""
        self.fit(iterations=1)
        wall, cpu = [], []
        for _ in range(repeats):
            start, used = time.perf_counter(), time.process_time()
            fitted = self.fit()
            wall.append(time.perf_counter() - start)
            cpu.append(time.process_time() - used)
        figures = {"cpu_seconds": statistics.median(cpu), "seconds": statistics.median(wall)}
        peak = timing.in_process(_HERE, "--ours", str(self.genome.path), str(self.skip))["peak_mb"]
        name = f"genocontrast, {fitted.record['losses']['final']['iteration']} iterations"
        return self.judged(name, fitted.vectors, fitted.contexts, figures | {"peak_mb": peak})

    def gensim(self, python: str, folder: Path, epochs: int, rate: float) -> dict[str, Any]:
        """Vectors by gensim of the same pairs."""
        corpus, vectors = folder / f"{self.skip}.txt", folder / "vectors.npz"
        if not corpus.is_file():
            corpus.write_text("".join(self._lines()))
        window = 1 if self.skip else WINDOW
        numbers = [DIM, window, epochs, rate]
        command = [python, str(_HERE.with_name("gensim_peer.py")), str(corpus), str(vectors), *map(str, numbers)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        figures = json.loads(done.stdout.splitlines()[-1])
        found = np.load(vectors)
        words, contexts = (np.zeros((len(self.counts["train"].tokens), DIM), np.float32) for _ in range(2))
        for table, name in ((words, "words"), (contexts, "contexts")):
            table[found["numbers"]] = found[name]
        return self.judged(f"gensim, epochs {epochs}, rate {rate}", words, contexts, figures)

    def _lines(self) -> Iterator[str]:
        """Runs of tokens; or, where positions are left out, each pair as often as its weight says, drawn once."""
        rng = np.random.default_rng(0)
        for chrom, start, end in self.segments["train"].itertuples(index=False):
            tokens = canonical_tokens(self.genome.chromosome(chrom)[start:end], K)
            for run in np.split(tokens, np.flatnonzero(tokens < 0)):
                run = run[run >= 0]
                if not self.skip:
                    for first in range(0, len(run), SENTENCE):
                        yield " ".join(map(str, run[first : first + SENTENCE].tolist())) + "\n"
                    continue
                for step in range(WINDOW):
                    distance = self.skip + 1 + step
                    drawn = np.flatnonzero(rng.random(max(len(run) - distance, 0)) < (WINDOW - step) / WINDOW)
                    pairs = zip(run[drawn].tolist(), run[drawn + distance].tolist(), strict=True)
                    yield "".join(f"{a} {b}\n" for a, b in pairs)


def gain(data: Path, gensim: str | None, repeats: int) -> list[dict[str, Any]]:
    """Both contenders, with the overlapping positions and without."""
    tables = []
    for skip in (0, K - 1):
        task = Task(data, skip)
        rows = [task.ours(repeats)]
        with tempfile.TemporaryDirectory() as folder:
            for epochs in EPOCHS if gensim else ():
                tried = [task.gensim(gensim or "", Path(folder), epochs, rate) for rate in RATES]
                rows += sorted(tried, key=lambda row: row["loss"])
        for row in rows:
            row["cpu_times_ours"] = row["cpu_seconds"] / rows[0]["cpu_seconds"]
        pairs = f"positions {skip + 1} to {skip + WINDOW}"
        timing.show(f"k = {K}, {pairs}, dim {DIM}: loss and gain on the test chromosomes", rows)
        tables.append({"pairs": pairs, "constant": task.constant, "full_rank": task.optimum, "rows": rows})
    return tables


def counted(k: int, megabases: int) -> dict[str, Any]:
    """Cost of counting so much random sequence, on one thread; k-mers of a tenth of it are counted before."""
    codes = np.random.default_rng(0).integers(0, 4, megabases * 1_000_000, dtype=np.uint8)
    count_cooccurrences(codes[:100_000], k, WINDOW)
    start, used = time.perf_counter(), time.process_time()
    count_cooccurrences(codes, k, WINDOW)
    wall, cpu = time.perf_counter() - start, time.process_time() - used
    return {"cpu_seconds": cpu, "seconds": wall, "peak_mb": timing.peak_mb()}


def scaling(repeats: int) -> list[dict[str, Any]]:
    """Median cost per Mb, each in a process of its own."""
    rows = []
    for k in LETTERS:
        for megabases in SIZES:
            runs = [timing.in_process(_HERE, "--count", str(k), str(megabases)) for _ in range(repeats)]
            cpu = statistics.median(run["cpu_seconds"] for run in runs)
            peak = max(run["peak_mb"] for run in runs)
            rows.append({"k": k, "Mb": megabases, "cpu_seconds": cpu, "cpu_per_mb": cpu / megabases, "peak_mb": peak})
    timing.show(f"Counting, window {WINDOW}, one thread", rows)
    return rows


def check_strands(data: Path) -> None:
    """Counts of both strands are identical, for every k."""
    genome = Genome(data / "yeast" / "S_cerevisiae.R64.fasta.gz")
    codes = genome.chromosome("chrI")
    for k in range(3, 11):
        forward, backward = (count_cooccurrences(strand, k, WINDOW) for strand in (codes, reverse_complement(codes)))
        if not np.array_equal(forward.values, backward.values) or not np.array_equal(forward.tokens, backward.tokens):
            raise SystemExit(f"k = {k}: the strands differ")
    print("counts of chrI and of its reverse complement are identical for k = 3 to 10")


def main() -> None:
    """Print the tables."""
    if sys.argv[1:2] == ["--count"]:
        print(json.dumps(counted(*map(int, sys.argv[2:4]))))
        return
    parser = timing.arguments(__doc__ or "", repeats=3)
    parser.add_argument("--data", type=Path, default=os.environ.get("GENOCONTRAST_DATA"), help="folder of yeast/")
    parser.add_argument("--gensim", help="interpreter that has gensim")
    parser.add_argument("--parts", nargs="+", default=["gain", "scaling"], choices=["gain", "scaling"])
    parser.add_argument("--ours", nargs=2, metavar=("FASTA", "SKIP"), help="one fit of ours, for its memory")
    options = parser.parse_args()
    if options.ours:
        Task(Path(options.ours[0]).parent.parent, int(options.ours[1])).fit()
        print(json.dumps({"peak_mb": timing.peak_mb()}))
        return
    check_strands(options.data)
    figures: dict[str, Any] = {"environment": timing.environment(["numpy", "numba"])}
    if "gain" in options.parts:
        figures["gain"] = gain(options.data, options.gensim, options.repeats)
    if "scaling" in options.parts:
        figures["scaling"] = scaling(options.repeats)
    timing.write(options.json, figures)


if __name__ == "__main__":
    main()
