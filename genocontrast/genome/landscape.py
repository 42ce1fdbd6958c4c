"""The landscape of the simulated genome: where its elements lie and what stands between them.

Isochores and CpG islands are levels of a first-order Markov chain over bases; repeats are diverged copies of a few
families, soft-masked; runs of N lie between elements.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genocontrast.sequence import N_CODE, Codes, reverse_complement

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

PROMOTER, DISTAL = 1, 0


@dataclass(frozen=True)
class Landscape:
    """Parameters of everything but the grammar."""

    promoters_per_megabase: float = 400.0
    distal_per_megabase: float = 670.0
    chromosome_weights: tuple[float, ...] = (2.0, 1.7, 1.4, 1.2, 1.0, 0.9, 0.8, 0.6, 0.4)
    smallest_mean: int = 300_000
    """A genome has as many chromosomes (3 at least) as leave them this mean size, bp."""
    width: int = 300
    """Width of an element, bp; it is centred 50 bp upstream of the start."""
    centre_to_start: int = 50
    spacing: int = 740
    """Smallest distance between the centres of neighbouring elements, bp."""
    summit_error: float = 5.0
    """Standard deviation (bp) of an annotated start, and of a peak's summit, about its true place."""
    gc_levels: tuple[float, ...] = tuple(np.round(np.arange(0.30, 0.79, 0.02), 2).tolist())
    isochore_gc: tuple[float, float] = (0.36, 0.50)
    isochore_length: int = 150_000
    cpg_outside: float = 0.25
    """Observed / expected CpG outside of islands."""
    cpg_island: float = 0.80
    island: tuple[float, float] = (0.46, 0.58)
    """Probability that a distal element, a promoter lies in a CpG island."""
    island_gc: tuple[float, float] = (0.60, 0.61)
    open_gc: tuple[float, float] = (0.49, 0.50)
    """Mean GC of elements outside of islands: distal, promoter."""
    gc_spread: float = 0.05
    island_margin: int = 150
    """bp by which the composition of an element reaches beyond it."""
    openness: tuple[float, float] = (5.0, 5.2)
    """Mean log Tn5 cuts in an element's window: distal, promoter."""
    openness_spread: float = 0.5
    peak_sigma: float = 90.0
    background_cuts: float = 0.02
    """Tn5 cuts per bp outside of peaks."""
    bin: int = 10
    """Width of the signal's bins, bp."""
    repeat_fraction: float = 0.25
    repeat_families: tuple[int, ...] = (280, 300, 150, 500, 700)
    """Lengths of the families' consensus sequences, bp."""
    repeat_divergence: tuple[float, float] = (0.03, 0.20)
    repeat_overhang: int = 40
    """bp by which a repeat may reach into the window of an element."""
    telomere: int = 2_000
    gaps: float = 0.8
    """Runs of N per Mb, besides telomeres."""
    gap_length: tuple[int, int] = (500, 5_000)
    blacklisted: float = 0.5
    """Blacklisted regions per Mb."""
    blacklist_length: tuple[int, int] = (1_500, 4_000)


LANDSCAPE = Landscape()


@dataclass(frozen=True)
class Layout:
    """A chromosome's elements and runs of N; 0-based coordinates."""

    size: int
    centre: Ints
    label: Ints
    forward: NDArray[np.bool_]
    gaps: Ints
    """shape=(k, 2): start and end of each run of N."""
    deserts: Ints
    """shape=(k, 2): stretches without elements that are blacklisted."""

    def start(self, landscape: Landscape) -> Ints:
        """The transcription start of each element, or the place that corresponds to it."""
        return self.centre + np.where(self.forward, landscape.centre_to_start, -landscape.centre_to_start)


def chromosome_sizes(megabases: float, landscape: Landscape) -> dict[str, int]:
    """Name and size of each chromosome: fewer of them in a small genome, so that each holds its share of everything."""
    count = int(np.clip(megabases * 1e6 // landscape.smallest_mean, 3, len(landscape.chromosome_weights)))
    weights = np.array(landscape.chromosome_weights[:count])
    return {f"chr{i + 1}": int(size) for i, size in enumerate(weights / weights.sum() * megabases * 1e6)}


def lay_out(size: int, rng: np.random.Generator, landscape: Landscape) -> Layout:
    """Place elements at random with a smallest spacing; the distances between some are widened for N and blacklist."""
    counts = [round(size / 1e6 * rate) for rate in (landscape.distal_per_megabase, landscape.promoters_per_megabase)]
    label = rng.permutation(np.repeat([DISTAL, PROMOTER], counts))
    n = len(label)
    special = [max(1, round(size / 1e6 * rate)) for rate in (landscape.gaps, landscape.blacklisted)]
    lengths = np.concatenate(
        [
            rng.integers(*bounds, count)
            for bounds, count in zip((landscape.gap_length, landscape.blacklist_length), special, strict=True)
        ]
    )
    before = rng.choice(np.arange(1, n), sum(special), replace=False)
    spare = size - 2 * landscape.telomere - lengths.sum() - (n + 1) * landscape.spacing
    room = np.sort(rng.integers(0, spare, n))
    distance = landscape.spacing + np.concatenate([room[:1], room[1:] - room[:-1]])
    distance[before] += lengths
    centre = landscape.telomere + np.cumsum(distance)
    middle = (centre[before] + centre[before - 1]) // 2
    runs = np.stack([middle - lengths // 2, middle - lengths // 2 + lengths], axis=1)
    ends = np.array([[0, landscape.telomere], [size - landscape.telomere, size]])
    gaps = np.concatenate([ends, runs[: special[0]]])
    deserts = runs[special[0] :]
    return Layout(
        size, centre, label, rng.random(n) < 0.5, gaps[np.argsort(gaps[:, 0])], deserts[np.argsort(deserts[:, 0])]
    )


def composition(
    layout: Layout, island: NDArray[np.bool_], gc: Floats, rng: np.random.Generator, landscape: Landscape
) -> Ints:
    """Level of the Markov chain at each base, shape=(size,): GC level, doubled, plus one within an island."""
    levels = np.array(landscape.gc_levels)
    blocks = layout.size // landscape.isochore_length + 1
    isochore = np.abs(levels - rng.uniform(*landscape.isochore_gc, (blocks, 1))).argmin(1)
    level = np.repeat(2 * isochore, landscape.isochore_length)[: layout.size]
    reach = landscape.width // 2 + landscape.island_margin
    nearest = np.abs(levels - gc[:, None]).argmin(1)
    for at, value in zip(layout.centre, 2 * nearest + island, strict=True):
        level[at - reach : at + reach] = value
    return level


def _transitions(landscape: Landscape) -> Floats:
    """Cumulative transition probabilities of all levels, shape=(2 * GC levels, 4, 3)."""
    tables = []
    for gc in landscape.gc_levels:
        bases = np.array([1 - gc, gc, gc, 1 - gc]) / 2
        for ratio in (landscape.cpg_outside, landscape.cpg_island):
            joint = np.outer(bases, bases)
            joint[1, 2] *= ratio
            # fitted to the base frequencies in turns (Sinkhorn): GC stays what was asked for, both strands alike
            for _ in range(50):
                joint *= (bases / joint.sum(1))[:, None]
                joint *= bases / joint.sum(0)
            tables.append(joint / joint.sum(1, keepdims=True))
    return np.cumsum(np.stack(tables), axis=2)[..., :3]


def markov_sequence(level: Ints, rng: np.random.Generator, landscape: Landscape, chunk: int = 2_000) -> Codes:
    """Bases of a chromosome from the chain; runs many chunks side by side, each from a random first base."""
    n = -(-len(level) // chunk)
    padded = np.zeros(n * chunk, dtype=np.int64)
    padded[: len(level)] = level
    bounds, steps = _transitions(landscape), padded.reshape(n, chunk).T
    draws = rng.random((chunk, n), dtype=np.float32)
    out = np.empty((chunk, n), dtype=np.uint8)
    previous = rng.integers(0, 4, n)
    for i in range(chunk):
        previous = (draws[i][:, None] > bounds[steps[i], previous]).sum(1)
        out[i] = previous
    return out.T.ravel()[: len(level)].copy()


def repeat_consensus(rng: np.random.Generator, landscape: Landscape) -> list[Codes]:
    """Consensus sequences of the repeat families, the same for all chromosomes."""
    return [rng.choice(4, length, p=(0.28, 0.22, 0.22, 0.28)).astype(np.uint8) for length in landscape.repeat_families]


def insert_repeats(
    codes: Codes, layout: Layout, families: list[Codes], rng: np.random.Generator, landscape: Landscape
) -> NDArray[np.bool_]:
    """Write diverged, partly truncated copies of the families between elements; return the soft mask, shape=(size,)."""
    masked = np.zeros(len(codes), dtype=bool)
    reach = landscape.width // 2 - landscape.repeat_overhang
    left, right = layout.centre[:-1] + reach, layout.centre[1:] - reach
    target, length = int(landscape.repeat_fraction * len(codes)), np.array([len(family) for family in families])
    order = rng.permutation(len(left))
    filled = 0
    while filled < target:
        before = filled
        for i in order:
            family = rng.integers(len(families))
            size = int(length[family] * rng.uniform(0.4, 1.0))
            if left[i] + size >= right[i]:
                continue
            at = int(rng.integers(left[i], right[i] - size))
            copy = families[family][length[family] - size :]  # copies lose their 5' end, as LINEs do
            copy = np.where(
                rng.random(size) < rng.uniform(*landscape.repeat_divergence), rng.integers(0, 4, size), copy
            )
            codes[at : at + size] = copy if rng.random() < 0.5 else reverse_complement(copy.astype(np.uint8))
            masked[at : at + size] = True
            left[i], filled = at + size, filled + size
            if filled >= target:
                break
        if filled == before:
            break
    return masked


def write_gaps(codes: Codes, masked: NDArray[np.bool_], layout: Layout) -> None:
    """Replace the runs of N, in place."""
    for start, end in layout.gaps:
        codes[start:end] = N_CODE
        masked[start:end] = False
