"""Windows that nearly repeat others, on either strand, by the k-mers that they share.

A window that needs T of its words in one other reads, of each word, the list of the others that hold it. The lists of
the L commonest words are spared: without them the other still is in T - L lists of the rest. So the words of a mobile
element, which thousands hold, are asked about a few candidates only. Source: Li, Lu and Lu, "Efficient merging and
filtering algorithms for approximate string searches", ICDE 2008 (DivideSkip).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from genocontrast.compiled import compiled
from genocontrast.sequence import Codes

WORD = 12
"""Length of the k-mers: random windows of some hundred bp share next to none of them."""
CONTAINMENT = 0.5
"""Part of a window's k-mers in one other window from which it counts as nearly repeated: half of it is
identical, or all of it at about 94 % identity (0.94 ** 12 = 0.5)."""
_BASES = 1 << 22
"""Bases whose words are built at a time: it bounds the memory."""
_INDEXED = 1 << 26
"""Bases of the others that are indexed at a time, at 4 bytes each: it bounds the memory."""
_SPARED = 7 / 8
"""Part of the words needed that may be spared. Not all: windows share a word or two by chance."""
_SEARCH = 16
"""Steps of a search in a list: for more candidates than one in so many of its entries, reading it is faster."""

Integers = NDArray[np.int32]


def nearly_repeats(windows: Codes, others: Codes, k: int = WORD) -> NDArray[np.bool_]:
    """Whether a single one of the others holds at least `CONTAINMENT` of each window's distinct canonical k-mers.

    A canonical k-mer is the smaller id of itself and its reverse complement. One core takes about 0.1 s for each
    million bases of the others and, for each 2 ** 26 of them, 0.1 to 0.4 ms a window; 30,000 x 100,000 windows of 1 kb,
    a third of them with a common repeat of 300 bp, take 20 to 30 s and 0.6 GB beside the windows. Dearest are windows
    that nearly repeat, or just fail to, a family of 20,000: 10 to 20 ms each.

    Parameters
    ----------
    windows, others : uint8, shape=(n, length) and (m, length)
    k : int
        Length of the k-mers, 1 to 12 bp.

    Returns
    -------
    bool, shape=(n,)
        False for a window without a k-mer, which is too short or all N.
    """
    repeated = np.zeros(len(windows), dtype=bool)
    for part in _parts(others, _INDEXED):
        index = _Index.of(part, k)
        left = np.flatnonzero(~repeated)
        repeated[left] = [index.one_holds_enough(words) for words in _distinct(windows[left], k)]
        del index  # its memory is for the next
    return repeated


def containment(windows: Codes, others: Codes, k: int = WORD) -> NDArray[np.float64]:
    """Largest part of each window's distinct canonical k-mers that a single other window holds.

    Parameters
    ----------
    windows, others : uint8, shape=(n, length) and (m, length)
    k : int
        Length of the k-mers, 1 to 12 bp.

    Returns
    -------
    float64, shape=(n,)
        0 for a window without a k-mer, which is too short or all N.
    """
    largest = np.zeros(len(windows))
    for part in _parts(others, _INDEXED):
        index = _Index.of(part, k)
        parts = [index.most_held(words) / max(len(words), 1) for words in _distinct(windows, k)]
        np.maximum(largest, parts, out=largest)
        del index  # its memory is for the next
    return largest


@dataclass(frozen=True)
class _Index:
    """Which windows hold a word: holders[starts[word] : starts[word + 1]], in ascending order."""

    starts: Integers
    holders: Integers
    shared: Integers
    """Of each window, the words found so far of the one that is asked about; kept to spare its allocation."""
    candidates: Integers

    @classmethod
    def of(cls, codes: Codes, k: int) -> _Index:
        """Index of the canonical k-mers of windows, shape=(m, length); built twice to be held only once."""
        starts = np.zeros(4**k + 2, dtype=np.int32)
        for part in _parts(codes, _BASES):
            compiled(_count)(_words(part, k), starts)
        np.cumsum(starts, dtype=np.int32, out=starts)
        holders = np.empty(starts[-1], dtype=np.int32)
        entered = 0
        for part in _parts(codes, _BASES):
            compiled(_enter)(_words(part, k), entered, starts, holders)
            entered += len(part)
        return cls(starts, holders, np.zeros(len(codes), np.int32), np.zeros(len(codes), np.int32))

    def most_held(self, words: Integers) -> int:
        """The most of distinct words that one window holds."""
        self._tally(words, len(words) + 1)
        return int(self.shared.max())

    def one_holds_enough(self, words: Integers) -> bool:
        """Whether one window holds `CONTAINMENT` of distinct words."""
        needed = ceil(CONTAINMENT * len(words))
        if not needed:
            return False
        rarest_first = words[np.argsort(self.starts[words + 1] - self.starts[words])]
        spared = int((needed - 1) * _SPARED)
        read, rest = np.split(rarest_first, [len(words) - spared])
        candidates = self._tally(read, needed - spared)
        if not len(candidates):
            return False
        # Where one window of a family is held, most of the family hold it: the best alone mostly settles it.
        best = candidates[[np.argmax(self.shared[candidates])]]
        return any(
            compiled(_settle)(rest, self.starts, self.holders, needed, self.shared.copy(), some)
            for some in (best, candidates)
        )

    def _tally(self, words: Integers, enough: int) -> Integers:
        """Count the words that each window holds into `shared`; the windows that hold enough."""
        self.shared.fill(0)
        n = compiled(_tally)(words, self.starts, self.holders, enough, self.shared, self.candidates)
        return self.candidates[:n]


def _parts(codes: Codes, bases: int) -> Iterator[Codes]:
    """Windows in parts of about so many bases."""
    rows = max(bases // max(codes.shape[1], 1), 1)
    for start in range(0, len(codes), rows):
        yield codes[start : start + rows]


def _distinct(windows: Codes, k: int) -> Iterator[Integers]:
    """The distinct canonical k-mers of each window."""
    for part in _parts(windows, _BASES):
        for words in _words(part, k):
            yield words[words >= 0]


def _words(codes: Codes, k: int) -> Integers:
    """Canonical k-mers of each window, shape=(n, length - k + 1); -1 for one with an N or met before in its window."""
    words = np.empty((len(codes), max(codes.shape[1] - k + 1, 0)), dtype=np.int32)
    # A copy has one memory layout, so that a single version is compiled.
    compiled(_roll)(np.array(codes, order="C"), k, words)
    words.sort(axis=1)
    words[:, 1:][words[:, 1:] == words[:, :-1]] = -1
    return words


# Plain loops that are compiled. None calls another, which would have to be compiled before it.


def _roll(codes: Codes, k: int, words: Integers) -> None:
    """Canonical k-mers of each window in their order, -1 for one with an N."""
    rest, top = 4 ** (k - 1) - 1, 2 * (k - 1)
    for row in range(len(codes)):
        forward, mirrored, called = np.int64(0), np.int64(0), 0
        for end in range(codes.shape[1]):
            base = np.int64(codes[row, end])
            called = called + 1 if base < 4 else 0
            base &= 3
            forward = (forward & rest) << 2 | base
            mirrored = mirrored >> 2 | (3 - base) << top
            if end >= k - 1:
                words[row, end - k + 1] = min(forward, mirrored) if called >= k else -1


def _count(words: Integers, starts: Integers) -> None:
    """Count each word two places on: their cumulative sum is where its list starts, one place on."""
    for row in range(len(words)):
        for word in words[row]:
            if word >= 0:
                starts[word + 2] += 1


def _enter(words: Integers, first: int, starts: Integers, holders: Integers) -> None:
    """Enter windows numbered from `first`; a start moves along its list and ends where the next one starts."""
    for row in range(len(words)):
        for word in words[row]:
            if word >= 0:
                holders[starts[word + 1]] = first + row
                starts[word + 1] += 1


def _tally(
    words: Integers, starts: Integers, holders: Integers, enough: int, shared: Integers, candidates: Integers
) -> int:
    """Count the words that each window holds; number of candidates, those that hold enough."""
    n = 0
    for word in words:
        for at in range(starts[word], starts[word + 1]):
            other = holders[at]
            shared[other] += 1
            if shared[other] == enough:
                candidates[n] = other
                n += 1
    return n


def _settle(
    words: Integers, starts: Integers, holders: Integers, needed: int, shared: Integers, candidates: Integers
) -> bool:
    """Whether a candidate reaches the words needed with these; candidates that no longer can are dropped."""
    n = len(candidates)
    for done in range(len(words) + 1):
        able = 0
        for other in candidates[:n]:
            if shared[other] >= needed:
                return True
            if shared[other] + len(words) - done >= needed:
                candidates[able] = other
                able += 1
        n = able
        if n == 0:
            break
        held_by = holders[starts[words[done]] : starts[words[done] + 1]]
        if len(held_by) < n * _SEARCH:
            for other in held_by:
                shared[other] += 1
        else:
            for other in candidates[:n]:
                at = np.searchsorted(held_by, other)
                if at < len(held_by) and held_by[at] == other:
                    shared[other] += 1
    return False
