"""Counting strand-tied co-occurrence of canonical k-mers: one pass, each pair looked at once.

The sequence is cut at every N into runs; no pair reaches across an N. Runs are cut into pieces for the threads, each
of which begins to read a window before its own first k-mer, so that pieces, threads and batches change nothing.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike
from genocontrast.compiled import compiled
from genocontrast.config import KmersConfig
from genocontrast.errors import ConfigError, RegionError
from genocontrast.kmers.counts import CooccurrenceCounts, CountSettings, merged
from genocontrast.kmers.kernel import WEIGHT_BITS, count_pairs, find_tokens, list_pairs
from genocontrast.kmers.limits import check_counts_memory, check_settings, checked_share
from genocontrast.kmers.sources import Chromosomes, Named, bases_of, chosen, opened, sequences
from genocontrast.sequence import N_CODE, Codes, canonical_table

if TYPE_CHECKING:
    from genocontrast.genome.reads import Reads

_DEFAULT = KmersConfig()
_COUNTED = ("k", "window", "skip", "spaced", "soft_masked")
_PIECE = 1 << 13  # k-mers that are looked at once: their tokens and cells stay in the processor's cache
_BATCH = 1 << 25  # bases gathered before a count, so that short contigs and reads share its fixed cost
_COPIED_CELLS = 1 << 27  # of tables that are smaller together (512 MB), each thread has its own
_LISTED_PIECES = 1 << 8  # pieces whose pairs are listed before they are merged

Pieces = NDArray[np.int64]
Tokens = NDArray[np.int32]


def count_kmers(
    source: Chromosomes | Reads | PathLike,
    k: int = 6,
    window: int = 5,
    *,
    chroms: Iterable[str] | None = None,
    regions: pd.DataFrame | None = None,
    skip: int = 0,
    spaced: str | None = None,
    soft_masked: bool = True,
    share: float = 1.0,
    memory: float = _DEFAULT.memory,
    threads: int | None = None,
) -> CooccurrenceCounts:
    """Count pairs of k-mers in a genome, in regions of it, or in sequencing reads.

    Each chromosome, each region and each read is a sequence of its own; bases under two regions count twice.

    Parameters
    ----------
    source : Genome, Reads or path
        Of a path, the kind is told from its name.
    k, window, skip, spaced, soft_masked, share
        See `CountSettings`.
    chroms : iterable of str, optional
        Chromosomes to count; default: all, or those of the regions.
    regions : DataFrame, optional
        Regions (chrom, start, end) to count in.
    memory : float
        Most memory to take, GiB.
    threads : int, optional
        Default: the cores that this process may use. It changes nothing but the time.

    Returns
    -------
    CooccurrenceCounts
        The same for a sequence and its reverse complement, whatever the settings.

    Raises
    ------
    ConfigError
        At a setting out of range or one that takes more memory, a chromosome named twice, or chromosomes or regions
        of reads.
    ShapeError
        At a spaced seed that is none.
    NamingError
        At a chromosome that the genome does not have.
    RegionError
        At a region outside its chromosome, a chromosome without a region, or where no run of called bases holds a
        pair of k-mers.
    """
    checked = check_settings(k=k, window=window, skip=skip, spaced=spaced, soft_masked=soft_masked, memory=memory)
    settings = CountSettings(share=checked_share(share), **{name: checked[name] for name in _COUNTED})
    if threads is not None and threads < 1:
        raise ConfigError("'threads' must be at least 1", value=threads)
    offsets = settings.offsets  # a seed that is none is refused before anything is read
    source = opened(source)
    names = chosen(source, chroms, regions)
    check_counts_memory(settings, bases_of(source, names, regions), memory)
    read = sequences(source, names, regions, soft_masked)
    counts = _accumulated(read, settings, threads or len(os.sched_getaffinity(0)))
    if not counts.values.any():
        raise RegionError(
            f"no stretch of called bases holds two {k}-mers {skip + 1} bp apart ({offsets[-1] + skip + 2} bp), so "
            "there are no pairs to count" + ("" if share == 1 else f", or none is in the share of {share:g}"),
            remedy="give longer chromosomes, regions or reads, or a smaller k" + ("" if skip == 0 else " or skip"),
        )
    return counts


def count_cooccurrences(codes: Codes, k: int, window: int, **settings: Any) -> CooccurrenceCounts:
    """Count the pairs of one sequence, codes of shape=(length,); the counts may be empty. See `count_kmers`."""
    return _accumulated([("sequence", codes)], CountSettings(k, window, **settings), 1)


def _accumulated(named: Iterable[Named], settings: CountSettings, threads: int) -> CooccurrenceCounts:
    sink: _Table | _Lists = (_Lists if settings.sparse else _Table)(settings, threads)
    read: Counter[str] = Counter()
    for codes in _batches(named, read):
        for part, rows in _rounds(codes, settings):
            sink.add(sink.tokens(part, rows), rows)
    return sink.counts(dict(read))


def _batches(named: Iterable[Named], read: Counter[str]) -> Iterator[Codes]:
    """Sequences joined by N, or a long one by itself; their called bases are added to `read`."""
    gap = np.full(1, N_CODE, np.uint8)
    parts, size = list[Codes](), 0
    for name, codes in named:
        read[name] += int(sum(np.count_nonzero(piece != N_CODE) for piece in _chunks(codes)))
        if len(codes) >= _BATCH:
            yield codes
            continue
        parts += [codes, gap]
        size += len(codes)
        if size >= _BATCH:
            yield np.concatenate(parts)
            parts, size = [], 0
    if parts:
        yield np.concatenate(parts)


def _chunks(codes: Codes) -> Iterator[Codes]:
    return (codes[first : first + _BATCH] for first in range(0, len(codes), _BATCH))


def _rounds(codes: Codes, settings: CountSettings) -> Iterator[tuple[Codes, Pieces]]:
    """Parts of a sequence, and the pieces that are counted in them, which are numbered from the part's first base."""
    pieces, reach = _pieces(codes, settings.span), settings.skip + settings.window
    # no cell may grow by 31 bits at once: 2 units of each weight for each k-mer, were all of them the same
    most = min(_BATCH, (1 << 31) // (settings.window * (settings.window + 1)))
    rounds = np.cumsum(pieces[:, 3] - pieces[:, 2]) // most
    for rows in np.split(pieces, np.flatnonzero(np.diff(rounds)) + 1):
        if len(rows):
            first = max(0, rows[0, 2] - reach)
            yield codes[first : rows[-1, 3] + settings.span - 1], rows - first


def _pieces(codes: Codes, span: int) -> Pieces:
    """Pieces of the runs of called bases, see `kernel`."""
    begin, end = _runs(codes).T
    end = end - span + 1
    begin, end = begin[end > begin], end[end > begin]
    cuts = -(-(end - begin) // _PIECE)
    rank = np.arange(cuts.sum()) - np.repeat(np.cumsum(cuts) - cuts, cuts)
    begin, end = np.repeat(begin, cuts), np.repeat(end, cuts)
    low = begin + rank * _PIECE
    return np.column_stack([begin, end, low, np.minimum(low + _PIECE, end)])


def _runs(codes: Codes) -> NDArray[np.int64]:
    """Begin and end of the runs of called bases, shape=(n, 2)."""
    edges, before, first = list[Any](), False, 0
    for piece in _chunks(codes):
        called = piece != N_CODE
        edges.append(first + np.flatnonzero(np.diff(called, prepend=before)))
        before, first = bool(called[-1]), first + len(piece)
    return np.concatenate([np.zeros(0, np.int64), *edges, [len(codes)] * before]).astype(np.int64).reshape(-1, 2)


class _Sink:
    """Where counts go."""

    def __init__(self, settings: CountSettings, threads: int) -> None:
        self.settings, self.threads = settings, threads
        self.occurrences = np.zeros(settings.n_tokens, np.int64)
        self.values: Any = np.zeros(0, np.uint32)

    def tokens(self, codes: Codes, pieces: Pieces) -> Tokens:
        """Token of each k-mer of the pieces, at its start; they are counted."""
        tokens = np.empty(len(codes), np.int32)
        token_of = canonical_table(self.settings.k)[0].astype(np.int32)
        parts = np.array_split(pieces, self.threads)
        found = [np.zeros_like(self.occurrences) for _ in parts]

        def work(rows: Pieces, occurrences: NDArray[np.int64]) -> None:
            offsets, reach = np.array(self.settings.offsets), self.settings.skip + self.settings.window
            compiled(find_tokens)(codes, rows, offsets, token_of, reach, tokens, occurrences)

        self.in_threads(work, parts, found)
        self.occurrences += sum(found)
        return tokens

    def counts(self, read: dict[str, int]) -> CooccurrenceCounts:
        """What was counted in the sequences read, name -> called bases."""
        return CooccurrenceCounts(self.settings, self.values, self.occurrences, sequences=read)

    def in_threads(self, work: Callable[..., Any], *jobs: Iterable[Any]) -> list[Any]:
        """Results of the work on each job, in order."""
        if self.threads == 1:
            return list(map(work, *jobs))
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(work, *jobs))


class _Table(_Sink):
    """A cell for every pair."""

    def __init__(self, settings: CountSettings, threads: int) -> None:
        super().__init__(settings, threads)
        self.values = np.zeros(settings.n_cells, np.uint32)

    def add(self, tokens: Tokens, pieces: Pieces) -> None:
        """Count pieces; the table gets 64 bits before 32 could overflow."""
        if self.values.dtype == np.uint32 and self.values.max() >= 1 << 31:
            self.values = self.values.astype(np.uint64)
        around = (self.settings.skip, self.settings.window)
        if len(self.values) * self.threads > _COPIED_CELLS:
            # each thread looks at all pairs and counts those whose larger token it owns: no two write to one cell
            owners = range(self.threads)
            self.in_threads(
                lambda o: compiled(count_pairs)(tokens, pieces, *around, o, len(owners), self.values), owners
            )
            return
        parts = np.array_split(pieces, self.threads)
        tables = [self.values, *(np.zeros_like(self.values) for _ in parts[1:])]
        self.in_threads(lambda rows, table: compiled(count_pairs)(tokens, rows, *around, 0, 1, table), parts, tables)
        for table in tables[1:]:
            self.values += table


class _Lists(_Sink):
    """Lists of the pairs that occur, merged when they have grown as long as what is merged already."""

    def __init__(self, settings: CountSettings, threads: int) -> None:
        super().__init__(settings, threads)
        self.cells: NDArray[np.int64] = np.zeros(0, np.int64)
        self.share = np.uint64(min(int(settings.share * 2**64), 2**64 - 1))

    def add(self, tokens: Tokens, pieces: Pieces) -> None:
        """List the pairs of pieces."""
        fresh: list[Any] = []
        for rows in np.array_split(pieces, -(-len(pieces) // _LISTED_PIECES)):
            fresh += self.in_threads(lambda part: self._listed(tokens, part), np.array_split(rows, self.threads))
            if sum(len(cells) for cells, _ in fresh) > len(self.cells):
                fresh = self._merge(fresh)
        self._merge(fresh)

    def counts(self, read: dict[str, int]) -> CooccurrenceCounts:
        """What was counted, and which pairs occur."""
        return replace(super().counts(read), cells=self.cells)

    def _listed(self, tokens: Tokens, pieces: Pieces) -> tuple[NDArray[np.int64], Any]:
        room = np.empty(int((pieces[:, 3] - pieces[:, 2]).sum()) * self.settings.window, np.int64)
        around = (self.settings.skip, self.settings.window)
        room = room[: compiled(list_pairs)(tokens, pieces, *around, self.share, room)]
        return merged([(room >> WEIGHT_BITS, (room & ((1 << WEIGHT_BITS) - 1)).astype(np.uint64))])

    def _merge(self, fresh: list[Any]) -> list[Any]:
        if fresh:
            self.cells, self.values = merged([(self.cells, self.values), *fresh])
        return []
