"""Reads as arrays: their mean quality, those that are kept, batches of a size, and samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from genocontrast.sequence import ENCODING, Codes

SUPPORTED = "give FASTQ (.fastq, .fq; plain, gzip or bgzip) or BAM (.bam)"
TRANSLATION = ENCODING.tobytes()
MAX_PHRED = 93
_ERROR = np.where(np.arange(256) <= MAX_PHRED, 10.0 ** (-np.arange(256) / 10), np.nan)


@dataclass(frozen=True)
class ReadBatch:
    """Reads in the order of their file; read `i` has the bases ``codes[offsets[i]:offsets[i + 1]]``.

    Attributes
    ----------
    names : list of str
        Up to the first space; the two reads of a pair may share one.
    codes : numpy.ndarray of uint8, shape=(total,)
        Integer codes (A C G T N) of all reads, one after the other.
    offsets : numpy.ndarray of int64, shape=(n + 1,)
    quality : numpy.ndarray of float64, shape=(n,)
        Phred of each read's mean error probability; NaN where the file has no qualities.
    """

    names: list[str]
    codes: Codes
    offsets: NDArray[np.int64]
    quality: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.names)


@dataclass
class Tally:
    """What a pass counts on its way."""

    removed: Counter[str] = field(default_factory=Counter)
    qualities: int = 0
    lowest: int = 255
    highest: int = 0


def sums(values: NDArray, offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum of each read's values, shape=(n,); 0 for a read without bases."""
    totals = np.zeros(len(offsets) - 1)
    filled = np.diff(offsets) > 0
    if filled.any():
        totals[filled] = np.add.reduceat(values, offsets[:-1][filled], dtype=np.float64)
    return totals


def phred(quality: Codes, offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Phred of each read's mean error probability, shape=(n,); NaN without bases or qualities."""
    lengths = np.diff(offsets)
    mean = np.full(len(lengths), np.nan)
    np.divide(sums(_ERROR[quality], offsets), lengths, out=mean, where=lengths > 0)
    return -10 * np.log10(mean) + 0.0


def taken(batch: ReadBatch, keep: NDArray[np.bool_]) -> ReadBatch:
    """The reads where `keep`, shape=(n,), is true."""
    if keep.all():
        return batch
    lengths = np.diff(batch.offsets)
    return ReadBatch(
        [batch.names[row] for row in np.flatnonzero(keep).tolist()],
        batch.codes[np.repeat(keep, lengths)],
        np.append(0, np.cumsum(lengths[keep])),
        batch.quality[keep],
    )


def rebatched(batches: Iterable[ReadBatch], bases: int) -> Iterator[ReadBatch]:
    """The same reads in batches of as many as fit."""
    held: list[ReadBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(int(part.offsets[-1]) for part in held) <= bases:
            continue
        whole, start = _concatenated(held), 0
        while whole.offsets[-1] - whole.offsets[start] > bases:
            fits = int(np.searchsorted(whole.offsets, whole.offsets[start] + bases, side="right")) - 1
            end = max(fits, start + 1)
            yield _part(whole, start, end)
            start = end
        held = [_part(whole, start, len(whole))]
    last = _concatenated(held)
    if len(last):
        yield last


def _concatenated(batches: Sequence[ReadBatch]) -> ReadBatch:
    lengths = [np.diff(batch.offsets) for batch in batches]
    return ReadBatch(
        [name for batch in batches for name in batch.names],
        np.concatenate([np.zeros(0, np.uint8), *(batch.codes for batch in batches)]),
        np.cumsum(np.concatenate([np.zeros(1, np.int64), *lengths])),
        np.concatenate([np.zeros(0), *(batch.quality for batch in batches)]),
    )


def _part(batch: ReadBatch, start: int, end: int) -> ReadBatch:
    """Reads [start, end), copied so that the rest can be freed."""
    offsets = batch.offsets[start : end + 1]
    codes = batch.codes[offsets[0] : offsets[-1]].copy()
    return ReadBatch(batch.names[start:end], codes, offsets - offsets[0], batch.quality[start:end].copy())


@dataclass(frozen=True)
class Selection:
    """Ranks of the chosen reads, in order, among so many that pass the filters."""

    ranks: NDArray[np.int64]
    among: int

    def mask(self, seen: int, number: int) -> NDArray[np.bool_]:
        """Which of the next reads are chosen, shape=(number,)."""
        chosen = np.zeros(number, dtype=bool)
        first, last = np.searchsorted(self.ranks, [seen, seen + number])
        chosen[self.ranks[first:last] - seen] = True
        return chosen


def select(batches: Iterable[ReadBatch], number: int, seed: int) -> Selection:
    """Choose reads uniformly: each draws a key, and the smallest keys win; memory grows with `number` alone."""
    rng = np.random.default_rng(seed)
    keys, ranks, seen = np.zeros(0), np.zeros(0, np.int64), 0
    for batch in batches:
        keys = np.append(keys, rng.random(len(batch)))
        ranks = np.append(ranks, np.arange(seen, seen + len(batch)))
        seen += len(batch)
        if len(keys) > number:
            smallest = np.argpartition(keys, number - 1)[:number]
            keys, ranks = keys[smallest], ranks[smallest]
    return Selection(np.sort(ranks), seen)
