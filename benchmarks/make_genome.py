"""A synthetic genome with promoters, open chromatin and accessibility, for measurements that need a known truth.

    python benchmarks/make_genome.py FOLDER [--megabases 150] [--seed 0]

Planted: promoters lie mostly in CpG islands and are more open and freer of repeats than the distal peaks, of which a
third lies in islands too. So a random distal peak is a poor decoy, and a like decoy exists for nearly every promoter.
The same options give the same bytes. One chromosome is held at a time.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.artefacts import atomic

FILES = ("genome.fa", "promoters.bed", "peaks.narrowPeak", "atac.bw", "tss.bed")
WIDTH = 1000
"""Width of a promoter window, bp; the TSS is its middle."""
LINE = 60
SLOT = 2000
"""Each stretch of so many bp holds the middle of one promoter or of one distal peak."""
UNIT = 6000
"""Chromosomes are multiples of this, and so of a line, a slot, a tile and a bin."""
TILE = 10
"""Resolution of composition and repeats, bp."""
BIN = 25
"""Resolution of the accessibility track, bp."""
CHUNK = 400_000
"""Tiles whose bases are drawn at once."""
PER_MEGABASE = 100
LONGEST = 50e6
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Kind:
    """What windows of one kind look like: means and standard deviations."""

    gc: tuple[float, float]
    cpg: tuple[float, float]
    openness: tuple[float, float]
    unmasked: float
    """Share of the windows without any repeat."""


PROMOTERS = (0.8, Kind((0.61, 0.055), (0.72, 0.12), (0.6, 1.0), 0.5), Kind((0.48, 0.05), (0.3, 0.1), (0.6, 1.0), 0.45))
"""Share in CpG islands, and the kinds within and without."""
DISTAL = (0.36, Kind((0.6, 0.06), (0.7, 0.13), (0.55, 1.1), 0.45), Kind((0.45, 0.045), (0.25, 0.08), (-0.5, 1.1), 0.2))


@dataclass
class Features:
    """Promoters or distal peaks of one chromosome: position and planted properties, shape=(n,) each."""

    middle: Ints
    gc: Floats
    cpg: Floats
    openness: Floats
    masked: Floats

    @classmethod
    def draw(cls, middle: Ints, share: float, island: Kind, other: Kind, rng: np.random.Generator) -> Features:
        """Properties of the features at `middle`, each kind by its own distribution."""
        inside = rng.random(len(middle)) < share

        def normal(name: str) -> Floats:
            mean, deviation = np.where(inside, *(np.reshape(getattr(kind, name), (2, 1)) for kind in (island, other)))
            return rng.normal(mean, deviation)

        gc, cpg, openness = np.clip(normal("gc"), 0.3, 0.78), np.clip(normal("cpg"), 0.05, 1.1), normal("openness")
        masked = rng.beta(1.2, 2.5, len(middle))
        masked[rng.random(len(middle)) < np.where(inside, island.unmasked, other.unmasked)] = 0
        return cls(middle, gc, cpg, openness, masked)


def spans(first: Ints, last: Ints) -> Ints:
    """The indices first[0], ..., last[0] - 1, first[1], ... end to end."""
    count = last - first
    return np.repeat(first - (np.cumsum(count) - count), count) + np.arange(count.sum())


def unknown_tiles(tiles: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Runs of N: the chromosome's first 12 kb, 30 kb within it, and some hundred bp here and there."""
    unknown = np.zeros(tiles, dtype=bool)
    unknown[: 12_000 // TILE] = True
    inner = int(rng.integers(tiles // 4, tiles // 2))
    unknown[inner : inner + 30_000 // TILE] = True
    gaps = rng.integers(0, tiles - 40, tiles * TILE // 100_000)
    unknown[spans(gaps, gaps + rng.integers(5, 40, len(gaps)))] = True
    return unknown


def place(unknown: NDArray[np.bool_], rng: np.random.Generator) -> tuple[Features, Features]:
    """Promoters and distal peaks, one a slot; no distal window overlaps a promoter, some overlap one another."""
    slots = len(unknown) * TILE // SLOT
    clear = np.logical_not(unknown.reshape(slots, -1).any(axis=1))
    clear[[0, -1]] = False
    count = min(round(slots * SLOT / 1e6 * PER_MEGABASE), int(clear.sum()))
    chosen = np.zeros(slots, dtype=bool)
    chosen[rng.choice(np.flatnonzero(clear), count, replace=False)] = True
    promoter = np.flatnonzero(chosen) * SLOT + rng.integers(WIDTH // 2, SLOT - WIDTH // 2, count)
    rest = np.flatnonzero(~chosen)[1:-1]
    distal = rest * SLOT + rng.integers(0, SLOT, len(rest))
    right = np.searchsorted(promoter, distal)
    bounded = np.concatenate([[-SLOT], promoter, [len(unknown) * TILE + SLOT]])
    alone = np.minimum(distal - bounded[right], bounded[right + 1] - distal) >= WIDTH
    distal = distal[alone & ~unknown[distal // TILE]]
    return Features.draw(promoter, *PROMOTERS, rng), Features.draw(distal, *DISTAL, rng)


def landscape(tiles: int, features: tuple[Features, ...], rng: np.random.Generator) -> tuple[Floats, Floats]:
    """GC fraction and CpG observed/expected of each tile: isochores, closed islands, and the features over them."""
    blocks = -(-tiles * TILE // 100_000)
    gc, cpg = np.repeat(rng.normal(0.41, 0.03, blocks), 100_000 // TILE)[:tiles], np.full(tiles, 0.22)
    islands = rng.integers(0, tiles - 100, tiles * TILE // 50_000)
    where = spans(islands, islands + 100)
    gc[where], cpg[where] = 0.6, 0.65
    for its in features:
        half = rng.integers(WIDTH // 2 // TILE + 1, 70, len(its.middle))
        first, last = np.maximum(its.middle // TILE - half, 0), np.minimum(its.middle // TILE + half, tiles)
        where = spans(first, last)
        gc[where], cpg[where] = np.repeat(its.gc, last - first), np.repeat(its.cpg, last - first)
    return gc, cpg


def draw_bases(gc: Floats, cpg: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Letters with these fractions of G and C and this CpG observed/expected in each tile, shape=(tiles * TILE,).

    Drawn independently, richer in G and C by what is lost when CpGs then turn to TpG or CpA, as they do in genomes.
    """
    rich = 2 * (1 - np.sqrt(1 - (gc - cpg * gc**2 / 4)))
    spared = cpg * gc**2 / rich**2
    letters, pieces = np.frombuffer(b"ATCG", np.uint8), []
    for at in range(0, len(gc), CHUNK):
        chance = np.repeat(rich[at : at + CHUNK].astype(np.float32), TILE)
        strong = (rng.random(len(chance), dtype=np.float32) < chance).view(np.uint8)
        either = np.unpackbits(np.frombuffer(rng.bytes(-(-len(chance) // 8)), np.uint8))[: len(chance)]
        bases = letters[2 * strong + either]
        pairs = np.flatnonzero((bases[:-1] == ord("C")) & (bases[1:] == ord("G")))
        lost = pairs[rng.random(len(pairs)) >= spared[at + pairs // TILE]]
        forward = rng.random(len(lost)) < 0.5
        bases[lost[forward]] = ord("T")
        bases[lost[~forward] + 1] = ord("A")
        pieces.append(bases)
    return np.concatenate(pieces)


def mask(tiles: int, features: tuple[Features, ...], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which tiles are repeats: runs of about 300 bp over half of the genome, one stretch at most in each feature."""
    runs = rng.geometric(1 / 30, tiles // 20 + 100)
    masked = np.repeat(np.arange(len(runs)) % 2 == 1, runs)[:tiles]
    wide = WIDTH // TILE
    for its in features:
        first = np.clip(its.middle // TILE - wide // 2, 0, tiles - wide)
        masked[spans(first, first + wide)] = False
        length = np.round(its.masked * wide).astype(np.int64)
        first = first + rng.integers(0, wide - length + 1)
        masked[spans(first, first + length)] = True
    return masked


def accessibility(bins: int, features: tuple[Features, ...], rng: np.random.Generator) -> Floats:
    """Signal per bp of each bin: a faint background, and peaks whose totals are log-normal."""
    track = rng.gamma(0.5, 0.04, bins)
    steps = np.arange(-WIDTH // 2 // BIN, WIDTH // 2 // BIN + 1)
    for its in features:
        where = np.clip(its.middle[:, None] // BIN + steps, 0, bins - 1)
        distance = where * BIN + BIN / 2 - its.middle[:, None]
        shape = np.exp(-0.5 * (distance / rng.uniform(80, 180, (len(its.middle), 1))) ** 2)
        total = np.exp(6 + 0.8 * its.openness)[:, None]
        np.add.at(track, where, total * shape / (shape.sum(1, keepdims=True) * BIN))
    return np.round(track, 3)


def peak_table(chrom: str, features: Features, rng: np.random.Generator) -> pd.DataFrame:
    """Open regions in the columns of narrowPeak, wider where more open; the summit is the feature's middle."""
    count = len(features.middle)
    width = np.clip(350 * np.exp(0.2 * features.openness + rng.normal(0, 0.2, count)), 150, 950).astype(np.int64)
    offset = (width * rng.uniform(0.4, 0.6, count)).astype(np.int64)
    start = features.middle - offset
    height = np.round(np.exp(1 + 0.8 * features.openness), 3)
    table = pd.DataFrame({"chrom": chrom, "start": start, "end": start + width, "name": ".", "score": 0, "strand": "."})
    return table.assign(height=height, p=-1, q=-1, summit=offset)


def chromosome_sizes(megabases: float) -> dict[str, int]:
    """Names and sizes, bp: at least five chromosomes, none much longer than 50 Mb."""
    count = max(5, math.ceil(megabases * 1.2e6 / LONGEST))
    shares = np.linspace(1.2, 0.8, count) / count
    units = np.maximum(np.round(megabases * 1e6 * shares / UNIT), 20).astype(int)
    return {f"chr{number}": int(its) * UNIT for number, its in enumerate(units, 1)}


@dataclass(frozen=True)
class Chromosome:
    """One chromosome: letters, lower case where masked; accessibility per bp of each bin; promoters, distal peaks."""

    name: str
    bases: NDArray[np.uint8]
    track: Floats
    promoters: Features
    distal: Features

    @classmethod
    def draw(cls, name: str, size: int, rng: np.random.Generator) -> Chromosome:
        """Everything but what the tables add."""
        tiles = size // TILE
        unknown = unknown_tiles(tiles, rng)
        near, far = place(unknown, rng)
        # The promoters come last: where a distal peak reaches into one, the promoter is painted over it.
        bases = draw_bases(*landscape(tiles, (far, near), rng), rng).reshape(-1, TILE)  # (tiles, TILE)
        bases[unknown] = ord("N")
        bases[mask(tiles, (far, near), rng)] |= 0x20
        return cls(name, bases.reshape(-1), accessibility(size // BIN, (far, near), rng), near, far)

    def write(self, text: Mapping[str, BinaryIO], bigwig: Any, before: int, rng: np.random.Generator) -> None:
        """Append to every file; `before` promoters have been written."""
        text["genome.fa"].write(b">%s\n" % self.name.encode())
        for at in range(0, len(self.bases), LINE * 100_000):
            lines = self.bases[at : at + LINE * 100_000].reshape(-1, LINE)
            text["genome.fa"].write(np.pad(lines, ((0, 0), (0, 1)), constant_values=10).tobytes())
        bigwig.addEntries(self.name, 0, values=self.track, span=BIN, step=BIN)
        peaks = pd.concat([peak_table(self.name, its, rng) for its in (self.promoters, self.distal)])
        middle = self.promoters.middle
        names = [f"promoter_{before + row}" for row in range(len(middle))]
        sites = pd.DataFrame({"chrom": self.name, "start": middle, "end": middle + 1, "name": names, "score": 0})
        sites["strand"] = np.where(rng.random(len(middle)) < 0.5, "+", "-")
        windows = sites.assign(start=middle - WIDTH // 2, end=middle + WIDTH // 2)
        tables = {"peaks.narrowPeak": peaks.sort_values("start", kind="stable"), "promoters.bed": windows}
        for name, rows in (tables | {"tss.bed": sites}).items():
            text[name].write(rows.to_csv(sep="\t", header=False, index=False).encode())


def window_covariates(chromosome: Chromosome, features: Features) -> pd.DataFrame:
    """GC fraction, CpG observed/expected, log(1 + total signal) and masked fraction of the features' windows."""
    index = np.arange(WIDTH) + features.middle[:, None] - WIDTH // 2
    seen = chromosome.bases[index]  # (n, WIDTH)
    upper = seen & 0xDF
    c, g = upper == ord("C"), upper == ord("G")
    pairs = (c[:, :-1] & g[:, 1:]).sum(1)
    expected = np.maximum(c.sum(1) * g.sum(1) / WIDTH, 1e-9)
    total = chromosome.track[index[:, :: BIN // 5] // BIN].mean(1) * WIDTH
    values = {"gc": (c.sum(1) + g.sum(1)) / WIDTH, "cpg": pairs / expected, "accessibility": np.log1p(total)}
    return pd.DataFrame(values | {"repeat": (seen >= ord("a")).mean(1)})


def check(promoters: pd.DataFrame, distal: pd.DataFrame, rng: np.random.Generator) -> None:
    """Print what was planted, and stop where random distal peaks would do as decoys."""
    random = distal.iloc[rng.choice(len(distal), min(len(promoters), len(distal)), replace=False)]
    smd = (promoters.mean() - random.mean()) / promoters.std()
    table = pd.DataFrame({"promoters": promoters.mean(), "distal": distal.mean(), "SMD of a random choice": smd})
    print(f"{len(promoters):,} promoters, {len(distal):,} distal peaks\n{table.round(3).to_string()}")
    assert (smd[["gc", "cpg", "accessibility"]].abs() > 0.5).all(), "a random choice is balanced already"


def make(folder: Path, megabases: float, seed: int = 0) -> None:
    """Write the files into a folder; a run cut short leaves none of them."""
    import pyBigWig

    sizes, promoters, distal, written = chromosome_sizes(megabases), [], [], 0
    # The stack unwinds in reverse: all handles are closed before the files get their names.
    with ExitStack() as stack:
        parts = {name: stack.enter_context(atomic(folder / name)) for name in FILES}
        text = {name: stack.enter_context(open(parts[name], "wb")) for name in FILES if name != "atac.bw"}
        bigwig = stack.enter_context(pyBigWig.open(str(parts["atac.bw"]), "w"))
        bigwig.addHeader(list(sizes.items()))
        for number, (name, size) in enumerate(sizes.items()):
            rng = np.random.default_rng([seed, number])
            chromosome = Chromosome.draw(name, size, rng)
            chromosome.write(text, bigwig, written, rng)
            promoters.append(window_covariates(chromosome, chromosome.promoters))
            distal.append(window_covariates(chromosome, chromosome.distal))
            written += len(promoters[-1])
        check(pd.concat(promoters), pd.concat(distal), np.random.default_rng(seed))


def main() -> None:
    """Options and one call."""
    form = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=form)
    parser.add_argument("folder", type=Path, help=f"folder to write {', '.join(FILES)} into")
    parser.add_argument("--megabases", type=float, default=150, help="size of the genome, Mb")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything drawn")
    options = parser.parse_args()
    make(options.folder, options.megabases, options.seed)


if __name__ == "__main__":
    main()
