"""The loops that count, compiled by `genocontrast.compiled`.

They work on pieces of runs of called bases, int64, shape=(n, 4): first and last + 1 k-mer start of the run, first and
last + 1 k-mer start of the piece.
"""

from __future__ import annotations

from typing import Any

import numpy as np

WEIGHT_BITS = 5
"""Bits of a listed pair that hold its weight; a window is at most 20."""


def find_tokens(
    codes: Any, pieces: Any, offsets: Any, token_of: Any, reach: int, tokens: Any, occurrences: Any
) -> None:
    """Token of each k-mer that starts in the pieces, or up to `reach` before one in its run.

    Parameters
    ----------
    codes : uint8, shape=(length,)
    pieces : int64, shape=(n, 4)
    offsets : int64, shape=(k,)
        Positions of the k-mer's letters.
    token_of : int32, shape=(4**k,)
    reach : int
        Largest distance of a pair.
    tokens : int32, shape=(length,)
        Filled at the k-mers' starts.
    occurrences : int64, shape=(n_tokens,)
        The k-mers that start in the pieces are added.
    """
    k, span = len(offsets), offsets[-1] + 1
    mask = 4**k - 1
    for piece in range(len(pieces)):
        low, high = pieces[piece, 2], pieces[piece, 3]
        first = max(pieces[piece, 0], low - reach)
        word = 0
        if span == k:
            for i in range(first, first + span - 1):
                word = word << 2 | codes[i]
        for i in range(first, high):
            if span == k:
                word = (word << 2 | codes[i + span - 1]) & mask
            else:
                word = 0
                for letter in range(k):
                    word = word << 2 | codes[i + offsets[letter]]
            token = token_of[word]
            tokens[i] = token
            if i >= low:
                occurrences[token] += 1


def count_pairs(tokens: Any, pieces: Any, skip: int, window: int, owner: int, owners: int, values: Any) -> None:
    """Add each k-mer's pairs with earlier ones of its run to a table with a cell for every pair.

    Parameters
    ----------
    tokens : int32, shape=(length,)
    pieces : int64, shape=(n, 4)
    skip, window : int
        Nearest positions left out, and the number of positions after them.
    owner, owners : int
        Which thread this is and of how many write to the table: it counts the pairs only whose larger token, divided
        by their number, leaves this rest.
    values : uint32 or uint64, shape=(n_cells,)
        Added to.
    """
    most = 0
    for piece in range(len(pieces)):
        most = max(most, pieces[piece, 3] - pieces[piece, 2])
    cells = np.empty(most, np.uint32)
    one, half = np.uint32(1), np.uint32(2)
    for piece in range(len(pieces)):
        begin, low, high = pieces[piece, 0], pieces[piece, 2], pieces[piece, 3]
        for step in range(window):
            distance = skip + 1 + step
            first = max(low, begin + distance)
            n = 0
            if owners == 1:
                for i in range(first, high):
                    here, there = tokens[i], tokens[i - distance]
                    larger, smaller = np.uint32(max(here, there)), np.uint32(min(here, there))
                    # one of two neighbours is even; the product of two 16-bit numbers fits into 32 bits
                    cells[i - first] = larger * (larger + one) // half + smaller
                n = max(0, high - first)
            else:
                for i in range(first, high):
                    here, there = tokens[i], tokens[i - distance]
                    larger, smaller = np.uint32(max(here, there)), np.uint32(min(here, there))
                    cells[n] = larger * (larger + one) // half + smaller
                    n += larger % np.uint32(owners) == np.uint32(owner)
            # a loop of its own, so that the processor fetches many cells at once
            weight = np.uint32(window - step)
            for i in range(n):
                values[cells[i]] += weight


def list_pairs(tokens: Any, pieces: Any, skip: int, window: int, share: Any, room: Any) -> int:
    """List each k-mer's pairs with earlier ones of its run, or a share of them.

    Parameters
    ----------
    tokens, pieces, skip, window
        As in `count_pairs`.
    share : uint64
        Pairs are listed whose hash is at most this. The hash is made of the tokens and of their distances to both
        ends of the run, without regard to order, so that both strands list the same pairs.
    room : int64, shape=(pairs,)
        Filled with cell << WEIGHT_BITS | weight.

    Returns
    -------
    int
        How much of `room` is filled.
    """
    filled = 0
    for piece in range(len(pieces)):
        begin, end, low, high = pieces[piece]
        for step in range(window):
            distance = skip + 1 + step
            for i in range(max(low, begin + distance), high):
                here, there = np.int64(tokens[i]), np.int64(tokens[i - distance])
                larger, smaller = max(here, there), min(here, there)
                before, after = i - distance - begin, end - 1 - i
                mixed = np.uint64(larger) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(smaller)
                mixed = mixed * np.uint64(0xBF58476D1CE4E5B9) ^ np.uint64(max(before, after))
                mixed ^= mixed >> np.uint64(29)
                mixed = mixed * np.uint64(0x94D049BB133111EB) ^ np.uint64(min(before, after))
                mixed ^= mixed >> np.uint64(32)
                mixed *= np.uint64(0xD6E8FEB86659FD93)
                mixed ^= mixed >> np.uint64(32)
                if mixed <= share:
                    room[filled] = (larger * (larger + 1) // 2 + smaller) << WEIGHT_BITS | (window - step)
                    filled += 1
    return filled
