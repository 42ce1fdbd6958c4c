"""Strand-tied co-occurrence of canonical k-mers, counted once and exactly.

Two k-mers `distance` apart lie in one (k + distance)-mer. So one histogram, that of the (k + window)-mers, holds the
pairs of every distance: cutting its last base off gives the histogram one base shorter, but for the last word of
each run of called bases, which is added. The pass over the genome is a single one, whatever the window.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import sparse

from genocontrast.config import KmersConfig
from genocontrast.errors import ConfigError, NamingError, RegionError, ShapeError
from genocontrast.sequence import N_CODE, Codes, canonical_table

DENSE_K = 6
"""Largest k whose pair counts are held as a dense array."""
_PIECE = 1 << 23  # positions worked on at once, which bounds the memory
_BLOCK = 1 << 16  # positions whose words are built at once, within the cache
_BATCH = 1 << 26  # bases gathered before a count, so that short contigs share its fixed cost
_LOG = logging.getLogger(__name__)

Words = NDArray[np.int64]
Histogram = tuple[Words, NDArray[np.int64]]
_NONE: Words = np.zeros(0, np.int64)


class Chromosomes(Protocol):
    """What counting needs of a genome."""

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each chromosome, bp."""

    def chromosome(self, chrom: str) -> Codes:
        """Codes of a whole chromosome, shape=(size,)."""


@dataclass(frozen=True, eq=False)
class CooccurrenceCounts:
    """How often k-mers occur near each other; a k-mer and its reverse complement are one token.

    Parameters
    ----------
    k : int
        Length of the k-mers, bp.
    window : int
        Largest distance of a pair, in positions.
    pairs : int64 array or scipy.sparse CSR array, shape=(n_tokens, n_tokens)
        Ordered (centre, context) pairs in units of 1/window: a pair `distance` apart adds window - distance + 1 to
        both of its orders, word2vec's random window in expectation. Symmetric. Dense up to k = 6.
    tokens : int64 array, shape=(n_tokens,)
        Occurrences of each token.
    """

    k: int
    window: int
    pairs: NDArray[np.int64] | sparse.csr_array
    tokens: NDArray[np.int64]

    @property
    def total(self) -> float:
        """Weight of all ordered pairs, in pairs."""
        return float(self.pairs.sum()) / self.window

    def __add__(self, other: CooccurrenceCounts) -> CooccurrenceCounts:
        if (self.k, self.window) != (other.k, other.window):
            raise ShapeError(
                "counts of different k or window cannot be added",
                value=f"k={self.k}, window={self.window} and k={other.k}, window={other.window}",
                remedy="count both with the same k and window",
            )
        return CooccurrenceCounts(self.k, self.window, self.pairs + other.pairs, self.tokens + other.tokens)


def count_cooccurrences(codes: Codes, k: int, window: int) -> CooccurrenceCounts:
    """Count token pairs up to `window` positions apart in one sequence.

    No pair reaches across an N or holds one, so sequences that are joined by an N are counted apart.

    Parameters
    ----------
    codes : uint8, shape=(length,)
        Base codes. Both strands give the same counts.
    k : int
        Length of the k-mers, 3 to 8 bp.
    window : int
        Context on each side, in positions.

    Raises
    ------
    ConfigError
        Where k or window is out of range.
    """
    check_settings(k=k, window=window)
    counts = _spread(_NONE, _NONE, _tails(codes, k, window), k, window)
    for words, n in _histograms(codes, k + window):
        counts += _spread(words, n, {}, k, window)
    return counts


def count_genome(
    genome: Chromosomes, chroms: Iterable[str], k: int, window: int, regions: pd.DataFrame | None = None
) -> CooccurrenceCounts:
    """Count token pairs over chromosomes of a genome, or over the `regions` on them.

    Each chromosome, or each region, is a sequence of its own; bases under two regions count twice.

    Raises
    ------
    NamingError
        At a chromosome that the genome does not have.
    RegionError
        At a region outside its chromosome, or where no run of called bases holds a pair of k-mers.
    """
    batches = _batches(_sequences(genome, chroms, regions))
    counts = reduce(add, (count_cooccurrences(codes, k, window) for codes in batches))
    if not counts.pairs.sum():
        raise RegionError(
            f"no stretch of called bases is as long as {k + 1} bp, so there are no pairs of {k}-mers to count",
            remedy="give longer chromosomes or regions, or a smaller k",
        )
    return counts


def check_settings(**settings: float) -> None:
    """Refuse settings that the `kmers` section of the configuration would not take (ConfigError)."""
    try:
        KmersConfig.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        meaning = KmersConfig.model_fields[name].description
        raise ConfigError(f"'{name}': {first['msg']}", value=first["input"], remedy=f"{name}: {meaning}") from None


def check_memory(k: int, window: int, bases: int, limit: float) -> None:
    """Refuse, before any work, what would need more than `limit` GiB (ConfigError, saying how much it needs)."""
    cells = len(canonical_table(k)[1]) ** 2
    counted = 8 * cells if k <= DENSE_K else 12 * min(cells, 2 * window * bases)
    # two sets of counts while one is added to the other, then training, validation and start as dense float32
    needed = (2 * counted + 3 * 4 * cells) / 2**30
    if needed > limit:
        raise ConfigError(
            f"k = {k} on {bases / 1e6:.1f} Mb needs about {needed:.1f} GiB of memory; the limit is {limit:g} GiB",
            value=k,
            remedy=f"choose k <= {min(k - 1, DENSE_K)}, or allow more with 'memory' in the kmers section",
        )


def _sequences(genome: Chromosomes, chroms: Iterable[str], regions: pd.DataFrame | None) -> Iterator[Codes]:
    for chrom in chroms:
        if chrom not in genome.sizes:
            known = ", ".join(list(genome.sizes)[:10])
            raise NamingError(
                "the genome has no such chromosome", value=chrom, remedy=f"it has, to begin with: {known}"
            )
        codes = genome.chromosome(chrom)
        _LOG.info("counting k-mers: %s, %.2f Mb", chrom, len(codes) / 1e6)
        if regions is None:
            yield codes
            continue
        here = regions.loc[regions["chrom"] == chrom, ["start", "end"]].to_numpy()
        for start, end in here:
            if not 0 <= start < end <= len(codes):
                raise RegionError(f"a region is empty or outside {chrom}", value=f"{chrom}:{start}-{end}")
            yield codes[start:end]


def _batches(sequences: Iterable[Codes]) -> Iterator[Codes]:
    """Sequences joined by N; the last batch may be empty."""
    gap = np.full(1, N_CODE, np.uint8)
    parts, size = [gap], 0
    for codes in sequences:
        parts += [codes, gap]
        size += len(codes)
        if size >= _BATCH:
            yield np.concatenate(parts)
            parts, size = [gap], 0
    yield np.concatenate(parts)


def _histograms(codes: Codes, span: int) -> Iterator[Histogram]:
    """Words of `span` bases and their counts; a word may come in several pieces."""
    table = 4**span <= 4 * len(codes)
    total = np.zeros(4**span if table else 0, np.int64)
    for start in range(0, len(codes) - span + 1, _PIECE):
        piece = codes[start : start + _PIECE + span - 1]
        blocks = range(0, len(piece) - span + 1, _BLOCK)
        words = np.concatenate([_words(piece[block : block + _BLOCK + span - 1], span) for block in blocks])
        if table:
            total += np.bincount(words, minlength=len(total))
        elif len(words):
            words.sort()
            yield _merged(words, np.ones(len(words), np.int64))
    if table:
        present = np.flatnonzero(total)
        yield present, total[present]


def _words(codes: Codes, span: int) -> Words:
    """Base-4 ids of all words of `span` called bases, in order of position.

    Built by doubling (2, 4, 8, ... bases), in fewer and narrower passes than `sequence.kmer_ids` needs.
    """
    parts, length, power = list[tuple[int, NDArray]](), 1, codes & np.uint8(3)
    while True:
        if span & length:
            parts.append((length, power))
        if 2 * length > span:
            break
        power = _joined(power, length, power, length)
        length *= 2
    (length, ids), *rest = parts[::-1]
    for more, tail in rest:
        ids = _joined(ids, length, tail, more)
        length += more
    bad = np.flatnonzero(codes == N_CODE)
    if not len(bad):
        return ids.astype(np.int64)
    ended = np.concatenate([[0], np.cumsum(codes == N_CODE)])
    return ids[ended[span:] == ended[:-span]].astype(np.int64)


def _joined(head: NDArray[Any], head_length: int, tail: NDArray[Any], tail_length: int) -> NDArray[Any]:
    """Ids of words made of a head and the tail that follows it, in the smallest unsigned type that holds them."""
    bits = 2 * (head_length + tail_length)
    kind: Any = next(kind for kind in (np.uint8, np.uint16, np.uint32, np.uint64) if bits <= 8 * kind().itemsize)
    following = tail[head_length:]
    return (head[: len(following)].astype(kind) << kind(2 * tail_length)) | following


def _tails(codes: Codes, k: int, window: int) -> dict[int, Words]:
    """Length -> ids of the last word of that length in each run of called bases, for lengths k .. k + window - 1."""
    called = np.concatenate([[False], codes != N_CODE, [False]])
    starts, ends = np.flatnonzero(np.diff(called)).reshape(-1, 2).T
    tails = {}
    for length in range(k, k + window):
        last = ends[ends - starts >= length] - length
        letters = codes[last[:, None] + np.arange(length)].astype(np.int64)
        tails[length] = letters @ 4 ** np.arange(length - 1, -1, -1)
    return tails


def _merged(words: Words, n: NDArray[np.int64]) -> Histogram:
    """Equal neighbours added up."""
    if not len(words):
        return words, n
    first = np.flatnonzero(np.concatenate([[True], words[1:] != words[:-1]]))
    return words[first], np.add.reduceat(n, first)


def _spread(words: Words, n: NDArray[np.int64], tails: dict[int, Words], k: int, window: int) -> CooccurrenceCounts:
    """Turn the histogram of (k + window)-mers, and the tails that it lacks, into pair counts."""
    token = canonical_table(k)[0]
    pieces = []
    for length in range(k + window, k - 1, -1):
        tail = tails.get(length, _NONE)
        words, n = np.concatenate([words, tail]), np.concatenate([n, np.ones(len(tail), np.int64)])
        distance = length - k
        if distance:
            pair = token[words >> 2 * distance], token[words & 4**k - 1]
            pieces.append((*pair, n * (window - distance + 1)))
            words, n = _merged(words >> 2, n)
    return CooccurrenceCounts(k, window, _pair_counts(pieces, k), _token_counts(token[words], n, k))


def _pair_counts(pieces: list[tuple[Words, Words, NDArray[np.int64]]], k: int) -> NDArray[np.int64] | sparse.csr_array:
    """The symmetric count matrix of (first token, second token, weight) lists."""
    n_tokens = len(canonical_table(k)[1])
    if k <= DENSE_K:
        cells = np.concatenate([a * n_tokens + b for a, b, _ in pieces])
        weights = np.concatenate([weight for *_, weight in pieces])
        # float64 sums of whole numbers are exact up to 2**53
        ordered = np.bincount(cells, weights, n_tokens**2).astype(np.int64).reshape(n_tokens, n_tokens)
    else:
        ordered = sparse.csr_array((n_tokens, n_tokens), dtype=np.int64)
        for a, b, weight in pieces:
            ordered = ordered + sparse.coo_array((weight, (a, b)), shape=ordered.shape).tocsr()
    return ordered + ordered.T


def _token_counts(tokens: Words, n: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    return np.bincount(tokens, n, len(canonical_table(k)[1])).astype(np.int64)
