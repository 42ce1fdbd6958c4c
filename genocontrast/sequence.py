"""DNA as arrays: integer codes, reverse complement, one-hot, canonical k-mers. No files here.

A base is coded A=0, C=1, G=2, T=3 and anything else N=4, so that the complement of a base is ``3 - code``
and a k-mer's id is its codes read as a base-4 number.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genocontrast.errors import ShapeError

Codes = NDArray[np.uint8]

ALPHABET = "ACGTN"
N_CODE = 4
MASKED = np.uint8(0x08)
"""Bit of a soft-masked (lower-case) base, beside the code in the lower three bits, where bases are packed."""
CODE_BITS = np.uint8(0x07)
MAX_K = 12
_LETTERS = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)
IUPAC = "ACGTNRYSWKMBDHVU"


def _encoding_table() -> Codes:
    """Byte -> code; 255 marks a byte that is no IUPAC letter. U reads as T, ambiguity codes as N."""
    table = np.full(256, 255, dtype=np.uint8)
    for letter in IUPAC:
        code = max("ACGT".find("T" if letter == "U" else letter), -1)
        table[[ord(letter), ord(letter.lower())]] = N_CODE if code < 0 else code
    return table


ENCODING = _encoding_table()
_COMPLEMENT = np.array([3, 2, 1, 0, N_CODE], dtype=np.uint8)


def encode(sequence: str | bytes) -> Codes:
    """Integer codes of a DNA string.

    Parameters
    ----------
    sequence : str or bytes
        IUPAC letters of either case; ambiguity codes read as N.

    Returns
    -------
    numpy.ndarray of uint8, shape=(length,)

    Raises
    ------
    ShapeError
        At a letter outside the IUPAC alphabet, naming its position.
    """
    raw = np.frombuffer(sequence.encode("latin-1", "replace") if isinstance(sequence, str) else sequence, np.uint8)
    codes = ENCODING[raw]
    if (codes == 255).any():
        position = int(np.argmax(codes == 255))
        raise ShapeError(f"not a DNA letter at position {position}", value=chr(raw[position]))
    return codes


def decode(codes: Codes) -> str:
    """The upper-case DNA string of integer codes, shape=(length,)."""
    return _LETTERS[codes].tobytes().decode()


def centred(sequences: Sequence[str], width: int) -> Codes:
    """Codes of DNA strings around their centres: N on both sides of shorter ones, longer ones cut on both sides.

    Where an odd number of bases is missing or too many, the right side has the one more.

    Parameters
    ----------
    sequences : sequence of str
        n strings of any lengths, see `encode`.
    width : int
        bp.

    Returns
    -------
    numpy.ndarray of uint8, shape=(n, width)
    """
    codes = np.full((len(sequences), width), N_CODE, dtype=np.uint8)
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        # all of one length are encoded at one go
        block = encode("".join(sequences[row] for row in rows.tolist())).reshape(len(rows), length)
        taken = min(length, width)
        to, cut = (width - taken) // 2, (length - taken) // 2
        codes[rows, to : to + taken] = block[:, cut : cut + taken]
    return codes


def reverse_complement(codes: Codes) -> Codes:
    """Reverse complement along the last axis of codes, shape=(..., length)."""
    return _COMPLEMENT[codes[..., ::-1]]


def one_strand(codes: Codes) -> tuple[Codes, NDArray[np.bool_]]:
    """Of each window and its reverse complement the one that sorts first, and whether that is the latter.

    Parameters
    ----------
    codes : numpy.ndarray of uint8, shape=(n, length)

    Returns
    -------
    strand : numpy.ndarray of uint8, shape=(n, length)
        The same of a window and of its reverse complement.
    mirrored : numpy.ndarray of bool, shape=(n,)
    """
    other = reverse_complement(codes)
    rows, first = np.arange(len(codes)), (codes != other).argmax(1)
    mirrored = other[rows, first] < codes[rows, first]
    return np.where(mirrored[:, None], other, codes), mirrored


def one_hot(codes: Codes, dtype: type = np.float32, out: NDArray | None = None) -> NDArray:
    """One-hot encoding, shape=(..., length) -> (..., 4, length); N is a column of zeros. `out` takes the result."""
    channels = np.arange(4, dtype=np.uint8)[:, None]
    if out is None:
        out = np.empty((*codes.shape[:-1], 4, codes.shape[-1]), dtype)
    if out.dtype.itemsize == 1:
        # A comparison's result is the bytes 0 and 1: no second array, no conversion.
        np.equal(codes[..., None, :], channels, out=out.view(np.bool_))
    else:
        out[...] = codes[..., None, :] == channels
    return out


class BaseCounts(NamedTuple):
    """Bases of windows, int64, shape=(...,): C, G, CpG dinucleotides, called bases (not N), and soft-masked ones."""

    c: NDArray[np.int64]
    g: NDArray[np.int64]
    cpg: NDArray[np.int64]
    called: NDArray[np.int64]
    masked: NDArray[np.int64]

    @property
    def gc_fraction(self) -> NDArray[np.float64]:
        """Fraction of G and C among the called bases; 0 where no base is called."""
        return (self.c + self.g) / np.maximum(self.called, 1)

    @property
    def cpg_ratio(self) -> NDArray[np.float64]:
        """CpG observed / expected: n(CG) * length / (n(C) * n(G)); 0 where C or G is absent.

        Source: Gardiner-Garden and Frommer, J Mol Biol 1987.
        """
        expected = self.c * self.g / np.maximum(self.called, 1)
        return np.where(expected > 0, self.cpg / np.maximum(expected, 1e-12), 0.0)


def count_bases(codes: Codes) -> BaseCounts:
    """Counts along the last axis of codes, shape=(..., length); codes know no mask, so that none is counted."""
    c, g = codes == 1, codes == 2
    both = c[..., :-1] & g[..., 1:]
    called = _count_true(codes < N_CODE)
    return BaseCounts(_count_true(c), _count_true(g), _count_true(both), called, np.zeros_like(called))


def _count_true(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many are true along the last axis; eight at a time, several times as fast as a sum."""
    return np.bitwise_count(np.packbits(flags, axis=-1)).sum(-1, dtype=np.int64)


def gc_fraction(codes: Codes) -> NDArray[np.float64]:
    """Fraction of G and C among the called bases along the last axis; 0 where no base is called."""
    return count_bases(codes).gc_fraction


def cpg_ratio(codes: Codes) -> NDArray[np.float64]:
    """CpG observed / expected along the last axis, see `BaseCounts.cpg_ratio`."""
    return count_bases(codes).cpg_ratio


def _check_k(k: int) -> None:
    if not 1 <= k <= MAX_K:
        raise ShapeError(f"k must lie between 1 and {MAX_K}", value=k)


def seed_offsets(spaced: str | None, k: int) -> tuple[int, ...]:
    """Positions of a k-mer's letters: neighbouring ones, or the ones of a spaced seed such as "1101011".

    Raises
    ------
    ShapeError
        Where the seed is not made of 0 and 1, does not begin and end with 1, has not k ones, is longer than 32, or
        reads differently backwards: on the other strand it would then pick other letters.
    """
    if spaced is None:
        return tuple(range(k))
    remedy = f"write {k} ones and any zeros between them, the same forwards and backwards, such as 1101011 for k = 5"
    if set(spaced) - set("01") or not spaced.startswith("1") or len(spaced) > 32:
        raise ShapeError("a spaced seed is at most 32 letters 0 and 1 that begin with 1", value=spaced, remedy=remedy)
    if spaced != spaced[::-1]:
        raise ShapeError("a spaced seed must read the same backwards", value=spaced, remedy=remedy)
    if spaced.count("1") != k:
        raise ShapeError(f"the spaced seed has {spaced.count('1')} ones; k is {k}", value=spaced, remedy=remedy)
    return tuple(i for i, letter in enumerate(spaced) if letter == "1")


def kmer_ids(codes: Codes, k: int, spaced: str | None = None) -> NDArray[np.int64]:
    """Base-4 ids of the k-mers along the last axis, shape=(..., length) -> (..., length - span + 1).

    The span is k, or the length of the spaced seed. A k-mer with an N in its span has id -1.
    """
    _check_k(k)
    offsets = seed_offsets(spaced, k)
    n = max(codes.shape[-1] - offsets[-1], 0)
    ids = np.zeros((*codes.shape[:-1], n), dtype=np.int64)
    bad = np.zeros(ids.shape, dtype=bool)
    for offset in range(offsets[-1] + 1):
        base = codes[..., offset : offset + n]
        bad |= base == N_CODE
        if offset in offsets:
            ids = ids * 4 + base
    ids[bad] = -1
    return ids


@lru_cache(maxsize=MAX_K)
def canonical_table(k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The map from k-mers to canonical k-mers: a k-mer and its reverse complement are one token.

    Returns
    -------
    token : int64, shape=(4**k,)
        Token of each k-mer id, 0 .. n_tokens - 1, in the order of the canonical (smaller) id.
    canonical : int64, shape=(n_tokens,)
        The k-mer id of each token.
    """
    _check_k(k)
    ids = np.arange(4**k, dtype=np.int64)
    rest, mirrored = ids.copy(), np.zeros_like(ids)
    for _ in range(k):
        mirrored = mirrored * 4 + (3 - rest % 4)
        rest //= 4
    smaller = np.minimum(ids, mirrored)
    canonical, token = np.unique(smaller, return_inverse=True)
    return token.astype(np.int64), canonical


def canonical_tokens(codes: Codes, k: int, spaced: str | None = None) -> NDArray[np.int64]:
    """Canonical k-mer tokens along the last axis; -1 where a k-mer holds an N."""
    ids = kmer_ids(codes, k, spaced)
    token, _ = canonical_table(k)
    return np.where(ids < 0, -1, token[ids])


def kmer_name(kmer_id: int, k: int) -> str:
    """The letters of a k-mer id."""
    return "".join("ACGT"[(kmer_id >> (2 * (k - 1 - i))) & 3] for i in range(k))


def kmer_frequencies(codes: Codes, k: int) -> NDArray[np.float64]:
    """Canonical k-mer frequencies of windows, shape=(n, length) -> (n, n_tokens); rows sum to 1, or 0 if all N.

    Strand-invariant by construction: a window and its reverse complement give the same row.
    """
    tokens = canonical_tokens(codes, k)
    n_tokens = len(canonical_table(k)[1])
    rows = np.arange(len(tokens))[:, None] * (n_tokens + 1)
    counts = np.bincount((rows + tokens + 1).ravel(), minlength=len(tokens) * (n_tokens + 1))
    counts = counts.reshape(len(tokens), n_tokens + 1)[:, 1:]
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)
