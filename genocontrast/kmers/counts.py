"""Counts of k-mer pairs: how they are stored, added, saved and read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike, atomic, existing
from genocontrast.compiled import compiled
from genocontrast.errors import ConfigError, FileFormatError, ShapeError
from genocontrast.sequence import canonical_table, seed_offsets

DENSE_K = 8
"""Largest k with a cell for every pair of k-mers; above, or of a share, only the pairs that occur have one."""
HELD_TOKENS = 10_000
"""Up to so many tokens, a dense matrix of them all may be held."""
_FORMAT = "genocontrast k-mer counts"
_METADATA = "genocontrast"
_CHUNK = 1 << 20  # pairs that are unpacked at once

Values = NDArray[np.uint32] | NDArray[np.uint64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CountSettings:
    """What is counted; counts add up only where all of it agrees.

    Parameters
    ----------
    k : int
        Letters of a k-mer.
    window : int
        Positions of context on each side. The nearest weighs `window` units, the next one unit less, and so on.
    skip : int
        Nearest positions that are left out before the window begins; k - 1 leaves out all k-mers that share bases.
    spaced : str, optional
        Spaced seed, such as "1101011": 1 is a letter of the k-mer, 0 any letter. Default: k neighbouring bases.
    soft_masked : bool
        Whether soft-masked (lower-case) bases count; if not, they are like N.
    share : float
        Share of the pairs that is counted, chosen by their place and k-mers, alike for both strands.
    """

    k: int
    window: int
    skip: int = 0
    spaced: str | None = None
    soft_masked: bool = True
    share: float = 1.0

    def unlike(self, other: CountSettings) -> str:
        """What differs, for messages."""
        mine, others = asdict(self), asdict(other)
        return ", ".join(f"{name}={mine[name]} and {others[name]}" for name in mine if mine[name] != others[name])

    @property
    def sparse(self) -> bool:
        """Whether only the pairs that occur have a cell."""
        return self.k > DENSE_K or self.share < 1

    @property
    def offsets(self) -> tuple[int, ...]:
        """Positions of the k-mer's letters in the sequence, from its first one on."""
        return seed_offsets(self.spaced, self.k)

    @property
    def span(self) -> int:
        """Bases from the first to the last letter of a k-mer, both included."""
        return self.offsets[-1] + 1

    @property
    def n_tokens(self) -> int:
        """Number of strand-tied k-mers."""
        return len(canonical_table(self.k)[1])

    @property
    def n_cells(self) -> int:
        """Number of unordered pairs of strand-tied k-mers."""
        return self.n_tokens * (self.n_tokens + 1) // 2


@dataclass(frozen=True, eq=False)
class CooccurrenceCounts:
    """How often k-mers occur near each other; a k-mer and its reverse complement are one token.

    Parameters
    ----------
    settings : CountSettings
    values : uint32 or uint64, shape=(n,)
        Weight of unordered pairs in units of 1/window: a pair whose distance is the nearest adds `window` units, the
        next distance one less: word2vec's random window in expectation. Of the tokens a <= b it is entry
        b (b + 1) / 2 + a, the lower triangle row by row, or stands at that entry's place in `cells`.
    tokens : int64, shape=(n_tokens,)
        Occurrences of each token.
    cells : int64, shape=(n,), optional
        Sorted entries b (b + 1) / 2 + a of the pairs that occur, where not all have a place (`settings.sparse`).
    sequences : dict of str to int
        What was counted, by name, and its called bases (not N), bp.
    """

    settings: CountSettings
    values: Values
    tokens: NDArray[np.int64]
    cells: NDArray[np.int64] | None = None
    sequences: dict[str, int] = field(default_factory=dict)

    @property
    def k(self) -> int:
        """Letters of a k-mer."""
        return self.settings.k

    @property
    def total(self) -> float:
        """Weight of all ordered pairs, in pairs."""
        return 2 * int(self.values.sum(dtype=np.uint64)) / self.settings.window

    def __add__(self, other: CooccurrenceCounts) -> CooccurrenceCounts:
        if self.settings != other.settings:
            raise ShapeError(
                "counts of different settings cannot be added",
                value=self.settings.unlike(other.settings),
                remedy="count both with the same settings",
            )
        cells, values = self.cells, None
        if cells is None:
            most = int(self.values.max(initial=0)) + int(other.values.max(initial=0))
            kind: Any = np.uint32 if most < 2**32 else np.uint64
            values = np.add(self.values, other.values, dtype=kind)
        else:
            assert other.cells is not None
            cells, values = merged([(cells, self.values), (other.cells, other.values)])
        sequences = {
            name: self.sequences.get(name, 0) + other.sequences.get(name, 0)
            for name in self.sequences | other.sequences
        }
        return replace(self, values=values, cells=cells, tokens=self.tokens + other.tokens, sequences=sequences)

    def rows(self, first: int, last: int) -> NDArray[np.float32]:
        """Ordered pairs of the centres `first` to `last` - 1, units, shape=(last - first, n_tokens); not if sparse."""
        out = np.empty((last - first, self.settings.n_tokens), np.float32)
        compiled(_unpack)(self.values, first, out)
        return out

    def dense(self) -> Floats:
        """All ordered pairs, in units, shape=(n_tokens, n_tokens); symmetric. For small k: 32 MB for k = 6."""
        out = np.zeros((self.settings.n_tokens,) * 2)
        if self.cells is None:
            compiled(_unpack)(self.values, 0, out)
            return out
        for a, b, weight in self.pairs():
            out[a, b] += weight
            out[b, a] += weight
        return out

    def pairs(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
        """The unordered pairs that occur, in pieces: tokens a <= b and their weight in units; sparse only."""
        assert self.cells is not None
        for first in range(0, len(self.cells), _CHUNK):
            b, a = unpacked(self.cells[first : first + _CHUNK])
            yield a, b, self.values[first : first + _CHUNK].astype(np.int64)

    def marginals(self, keep: Floats) -> Floats:
        """Ordered pairs of each centre, in units, each pair times `keep` of both its tokens; shape=(n_tokens,)."""
        out = np.zeros(len(self.tokens))
        if self.cells is None:
            compiled(_add_marginals)(self.values, keep, out)
            return out
        for a, b, weight in self.pairs():
            kept = weight * keep[a] * keep[b]
            out += np.bincount(a, kept, len(out)) + np.bincount(b, kept, len(out))
        return out

    def save(self, path: PathLike) -> None:
        """Write the counts, whole or not at all; the same counts give the same bytes."""
        from safetensors.numpy import save_file

        arrays = {"values": self.values, "tokens": self.tokens}
        if self.cells is not None:
            arrays["cells"] = self.cells
        about = {"format": _FORMAT, "settings": asdict(self.settings), "sequences": self.sequences}
        with atomic(path) as temporary:
            # one entry: the order of several would differ from time to time
            save_file(arrays, temporary, {_METADATA: json.dumps(about, sort_keys=True)})

    @classmethod
    def load(cls, path: PathLike) -> Self:
        """Read counts that `save` wrote; a FileFormatError where it is another or a damaged file."""
        from safetensors import SafetensorError, safe_open

        remedy = "give a file written by `genocontrast kmers count`"
        try:
            with safe_open(existing(path), "np") as stored:
                about = json.loads((stored.metadata() or {}).get(_METADATA, "{}"))
                arrays: dict[str, Any] = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, json.JSONDecodeError) as error:
            raise FileFormatError(f"not a readable file of counts: {error}", path=path, remedy=remedy) from None
        if about.get("format") != _FORMAT:
            raise FileFormatError("not a file of k-mer counts", path=path, remedy=remedy)
        try:
            counts = cls(CountSettings(**about["settings"]), **arrays, sequences=about["sequences"])
        except (TypeError, KeyError) as error:
            raise FileFormatError(f"counts of another version, or damaged: {error}", path=path, remedy=remedy) from None
        if not counts._whole():
            raise FileFormatError("damaged: its tables do not fit its settings", path=path, remedy=remedy)
        return counts

    def _whole(self) -> bool:
        """Whether the arrays have the lengths that the settings ask for; compiled loops do not look."""
        n = self.settings.n_cells if self.cells is None else len(self.cells)
        fits = len(self.values) == n and len(self.tokens) == self.settings.n_tokens
        return fits and (self.cells is None) == (not self.settings.sparse)


def merge(paths: list[Path]) -> CooccurrenceCounts:
    """Add up the counts of several files, such as those of single chromosomes.

    Raises
    ------
    FileFormatError
        Where a sequence was counted in two of the files.
        Or where its settings differ from those of the files before.
    ConfigError
        Where there is no file.
    """
    if not paths:
        raise ConfigError("there are no counts to merge", remedy="name at least one file")
    total = CooccurrenceCounts.load(paths[0])
    for path in paths[1:]:
        more = CooccurrenceCounts.load(path)
        twice = sorted(set(total.sequences) & set(more.sequences))
        if twice:
            raise FileFormatError(
                "a sequence of this file was counted in one before",
                path=path,
                value=twice[0],
                remedy="give each sequence's counts once",
            )
        if more.settings != total.settings:
            raise FileFormatError(
                "counted with other settings than the files before",
                path=path,
                value=total.settings.unlike(more.settings),
                remedy="count all with the same settings",
            )
        total += more
    return total


def merged(parts: list[tuple[NDArray[np.int64], Values]]) -> tuple[NDArray[np.int64], Values]:
    """Sorted cells and their sums, from lists that may share cells."""
    cells, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = np.argsort(cells, kind="stable")
    cells, values = cells[order], values[order].astype(np.uint64)
    if not len(cells):
        return cells, values.astype(np.uint32)
    first = np.flatnonzero(np.concatenate([[True], cells[1:] != cells[:-1]]))
    return cells[first], _narrow(np.add.reduceat(values, first))


def unpacked(cells: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row b and column a <= b of entries b (b + 1) / 2 + a."""
    b = ((np.sqrt(8.0 * cells + 1) - 1) / 2).astype(np.int64)
    b -= b * (b + 1) // 2 > cells  # the root may be rounded up
    return b, cells - b * (b + 1) // 2


def _narrow(values: NDArray[np.uint64]) -> Values:
    return values.astype(np.uint32) if values.max(initial=0) < 2**32 else values


def _unpack(values: Any, first: int, out: Any) -> None:
    """Rows of the symmetric matrix; the diagonal holds both orders of a pair."""
    rows, n = out.shape
    for i in range(rows):
        b = first + i
        for a in range(b + 1):
            out[i, a] = values[b * (b + 1) // 2 + a]
        out[i, b] *= 2
        for later in range(b + 1, min(first + rows, n)):
            out[i, later] = values[later * (later + 1) // 2 + b]
    # column by column, since the entries of a column stand side by side
    for b in range(first + rows, n):
        for i in range(rows):
            out[i, b] = values[b * (b + 1) // 2 + first + i]


def _add_marginals(values: Any, keep: Any, out: Any) -> None:
    for b in range(len(out)):
        row = 0.0
        for a in range(b + 1):
            weight = values[b * (b + 1) // 2 + a] * keep[a] * keep[b]
            out[a] += weight
            row += weight
        out[b] += row
