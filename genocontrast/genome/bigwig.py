"""bigWig tracks, read and written through pyBigWig."""

from __future__ import annotations

import copy
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import numpy as np
import pyBigWig
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike, atomic, existing
from genocontrast.compiled import compiled
from genocontrast.errors import FileFormatError
from genocontrast.genome.tables import truncated
from genocontrast.genome.tracks import Floats, Ints, Track, joined, same_sequences

if TYPE_CHECKING:
    from genocontrast.genome.fasta import Genome

_MAGIC = {struct.pack(f"{order}I", 0x888FFC26): order for order in "<>"}
_TREE_MAGIC = 0x78CA8C91
_FLOAT = np.finfo(np.float32)
_BYTES_AN_ENTRY, _BYTES_BESIDES = 16, 100_000
"""No bigWig that is written is larger: 8 to 9 bytes for each value that nothing compresses, and its index."""
_BLOCK = 1 << 21
"""bp of a bigWig held in memory at a time."""
_GAP = 50_000
"""Windows further apart than this are read one by one: asking a bigWig costs as much as reading that many bp."""


@contextmanager
def bigwig_to_write(path: PathLike, sizes: Mapping[str, int], entries: int) -> Iterator[pyBigWig.bigWigFile]:
    """A new bigWig, written atomically.

    pyBigWig never ends, or ends the process, where the disk is full while it writes: so there must be room beforehand.

    Parameters
    ----------
    path : path
    sizes : mapping of str to int
        Lengths of the chromosomes in bp, in the order of the file.
    entries : int
        The largest number of values that will be added.

    Raises
    ------
    OutputError
        Where the disk has no room for so many, or the folder is closed.
    """
    with (
        atomic(path, room=_BYTES_AN_ENTRY * entries + _BYTES_BESIDES) as temporary,
        closing(pyBigWig.open(str(temporary), "w")) as file,
    ):
        file.addHeader(list(sizes.items()))
        yield file


class BigWig(Track):
    """A bigWig file, opened for each question so that nothing stays open."""

    _file: pyBigWig.bigWigFile

    def __init__(self, path: PathLike, genome: Genome | None) -> None:
        super().__init__(path, genome)
        _refuse_damaged(path)
        with self._handle() as handle:
            sizes = self._chroms(handle)
        names, self.renamed = same_sequences(sizes, genome, path)
        self._names = {new: old for old, new in names.items()}
        self._sizes = {new: sizes[old] for old, new in names.items()}
        self.chroms = self._names
        if _is_empty(path):
            remedy = "leave it out of the configuration, or make it anew"
            raise FileFormatError("no values in this file", path=path, remedy=remedy)

    @contextmanager
    def opened(self) -> Iterator[Self]:
        """The track with its file open, which is closed after the question."""
        # The handle is on a copy, so that the track itself can be pickled, forked and asked by several threads.
        track = copy.copy(self)
        with self._handle() as track._file:
            yield track

    def _handle(self) -> pyBigWig.bigWigFile:
        try:
            handle = pyBigWig.open(str(self.path))
        except RuntimeError:
            raise truncated(self.path) from None
        if not handle.isBigWig():
            raise FileFormatError("not a bigWig file", path=self.path)
        return handle

    def _chroms(self, handle: pyBigWig.bigWigFile) -> dict[str, int]:
        try:
            return dict(handle.chroms())
        except RuntimeError:
            raise truncated(self.path) from None

    def _read(self, chrom: str, start: int, end: int) -> NDArray[np.float32]:
        try:
            values: NDArray[np.float32] = self._file.values(self._names[chrom], start, end, numpy=True)
        except RuntimeError:
            raise truncated(self.path) from None
        # One sum tells whether any base is without data or infinite: to look at each costs several times as much.
        with np.errstate(over="ignore", invalid="ignore"):
            total = values.sum()
        if np.isnan(total):
            np.copyto(values, 0, where=np.isnan(values))
        if not np.isfinite(total) and np.isinf(values).any():
            where = start + int(np.argmax(np.isinf(values)))
            raise FileFormatError("an infinite value", path=self.path, value=f"{chrom}:{where}-{where + 1}")
        return values

    def runs(self, chrom: str, threshold: float) -> tuple[Ints, Ints, float]:
        """Maximal runs of bases with at least a value, starts and ends, shape=(n,); and the chromosome's highest."""
        # As precise as the values, so that a base whose value is given as threshold reaches it; not as low as no data.
        least = np.float32(np.clip(threshold, _FLOAT.tiny, _FLOAT.max))
        size, edges, highest = self._sizes[chrom], [np.zeros(0, dtype=np.int64)], -np.inf
        for begin in range(0, size, _BLOCK):
            values = self._read(chrom, begin, min(begin + _BLOCK, size))
            highest = max(highest, float(values.max()))
            edges.append(np.flatnonzero(np.diff(values >= least, prepend=False, append=False)) + begin)
        found = np.concatenate(edges)
        return *joined(found[::2], found[1::2]), highest

    def _sums(self, chrom: str, starts: Ints, ends: Ints) -> Floats:
        sums = np.zeros(len(starts))
        for rows in _clusters(starts, ends):
            first, last = int(starts[rows].min()), int(ends[rows].max())
            for begin in range(first, last, _BLOCK):
                end = min(begin + _BLOCK, last)
                values = self._read(chrom, begin, end)
                sums[rows] += _window_sums(values, starts[rows] - begin, ends[rows] - begin)
        return sums

    def _profile(self, chrom: str, starts: Ints, ends: Ints) -> Floats:
        pieces: list[NDArray[np.float32]] = []
        for rows in _clusters(starts, ends):
            first = int(starts[rows[0]])
            values = self._read(chrom, first, int(ends[rows[-1]]))
            spans = zip(starts[rows] - first, ends[rows] - first, strict=True)
            pieces.extend(values[begin:end] for begin, end in spans)
        return np.concatenate(pieces, dtype=np.float64)


def _clusters(starts: Ints, ends: Ints) -> list[NDArray[np.intp]]:
    """Rows of windows, by start, that are read at one go: those near each other in one block."""
    order = np.argsort(starts, kind="stable")
    begins, reached = starts[order], np.maximum.accumulate(ends[order])
    apart = (begins[1:] > reached[:-1] + _GAP) | (np.diff(begins // _BLOCK) > 0)
    return np.split(order, np.flatnonzero(apart) + 1)


def _window_sums(values: NDArray[np.float32], starts: Ints, ends: Ints) -> Floats:
    """Sums over windows, each cut to the block of values, shape=(n,)."""
    edges, places = np.unique(np.clip([starts, ends], 0, len(values)), return_inverse=True)
    first, last = places.reshape(2, -1)
    windows = np.cumsum(np.bincount(first, minlength=len(edges)) - np.bincount(last, minlength=len(edges)))
    running = compiled(_running_sums)(values, edges, windows)
    return running[last] - running[first]


def _running_sums(values: NDArray[np.float32], edges: Ints, windows: Ints) -> Floats:
    """Sum up to each edge of the values that lie in any window; `windows` are as many as lie behind each edge.

    One sum between neighbouring edges, so that windows that overlap cost no more than those that do not.
    """
    running = np.zeros(len(edges))
    for edge in range(1, len(edges)):
        running[edge] = running[edge - 1]
        if windows[edge - 1] == 0:
            continue
        # Four at a time: one sum after another would wait for each addition.
        a = b = c = d = 0.0
        i = edges[edge - 1]
        while i + 3 < edges[edge]:
            a += values[i]
            b += values[i + 1]
            c += values[i + 2]
            d += values[i + 3]
            i += 4
        while i < edges[edge]:
            a += values[i]
            i += 1
        running[edge] += (a + b) + (c + d)
    return running


def _refuse_damaged(path: PathLike) -> None:
    """Check what pyBigWig trusts: a file cut short or with a damaged list of chromosomes could end the process."""
    with open(existing(path), "rb") as handle:
        order = _MAGIC.get(handle.read(4))
        if order is None:
            raise FileFormatError("not a bigWig file", path=path, remedy="give a bigWig file, or fragments as .bed.gz")
        try:
            sound = _is_sound(handle, order)
        except (struct.error, OSError, OverflowError, ValueError):
            sound = False
    if not sound:
        raise truncated(path)


def _is_sound(handle: BinaryIO, order: str) -> bool:
    """Whether header, zoom levels and tree of chromosomes point inside the file, which ends as it began."""
    size = handle.seek(-4, os.SEEK_END) + 4
    if _MAGIC.get(handle.read(4)) != order:
        return False
    _, _, zooms, *offsets = _unpack(handle, 0, f"{order}IHHQQQ")
    if max(offsets) >= size or 64 + 24 * zooms > size:
        return False
    levels = (_unpack(handle, 64 + 24 * level, f"{order}IIQQ") for level in range(zooms))
    if any(max(data, index) >= size for _, _, data, index in levels):
        return False
    magic, fan_out, key, value, chromosomes, _ = _unpack(handle, offsets[0], f"{order}IIIIQQ")
    if magic != _TREE_MAGIC or value != 8 or not 0 < key < 256 or chromosomes * (key + value) > size:
        return False
    found = _chromosome_ids(handle, order, offsets[0] + 32, fan_out, key, 2 * chromosomes + 1)
    return sorted(found) == list(range(chromosomes))


def _is_empty(path: PathLike) -> bool:
    """Whether the index lists no block of entries; pyBigWig's own summary ends the process where values are NaN."""
    with open(path, "rb") as handle:
        order = _MAGIC[handle.read(4)]
        index = _unpack(handle, 24, f"{order}Q")[0]
        return index == 0 or _unpack(handle, index, f"{order}IIQ")[2] == 0


def _unpack(handle: BinaryIO, at: int, fields: str) -> tuple[Any, ...]:
    handle.seek(at)
    return struct.unpack(fields, handle.read(struct.calcsize(fields)))


def _chromosome_ids(handle: BinaryIO, order: str, root: int, fan_out: int, key: int, most: int) -> Iterator[int]:
    """Numbers of the chromosomes in the tree's leaves; a ValueError for a name or a tree that cannot be right."""
    waiting = [root]
    for _ in range(most):
        if not waiting:
            return
        at = waiting.pop()
        is_leaf, _, count = _unpack(handle, at, f"{order}BBH")
        if count > fan_out or is_leaf > 1:
            raise ValueError("no node of a tree")
        for row in range(count):
            fields = f"{order}{key}sII" if is_leaf else f"{order}{key}sQ"
            name, target, *_ = _unpack(handle, at + 4 + row * (key + 8), fields)
            if is_leaf:
                name.decode("ascii")
                yield target
            else:
                waiting.append(target)
    if waiting:
        raise ValueError("the tree does not end")
