"""What the bootstrap draws together: pairs, and blocks of pairs.

A promoter and its decoys are drawn together, because they were chosen together, and so are pairs of one block of a
chromosome, because neighbours are alike: intervals over single examples would be too narrow. A resample is a weight for
each example, so that all resamples share one sort of the scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from genocontrast.errors import ShapeError, SplitError

Floats = NDArray[np.float64]

LEAST_BLOCKS = 30
"""Of fewer units a percentile interval is too narrow."""
_INTERVAL = (0.025, 0.975)
_CHUNK_ELEMENTS = 2_000_000  # bounds the memory of a chunk of resamples: 16 MB per array


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % percentile bootstrap interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, resampled: Floats) -> Estimate:
        """The interval of a figure from its values in the resamples, shape=(bootstraps,)."""
        low, high = np.quantile(resampled, _INTERVAL)
        return cls(float(value), float(low), float(high))

    def as_dict(self) -> dict[str, float]:
        """The estimate as it stands in metrics.json."""
        return {"value": self.value, "low": self.low, "high": self.high}


class PairResamples:
    """Bootstrap resamples of pairs, the same ones for every score that is assessed with them.

    Parameters
    ----------
    pair_ids : array, shape=(n,)
        Pair of each example; all examples of a pair are drawn together.
    bootstraps : int
        Number of resamples.
    seed : int
        Seed of the draws.
    blocks : array, shape=(n,), optional
        Block of each example; all pairs of a block are drawn together. Default: each pair is drawn by itself.

    Raises
    ------
    ShapeError
        Where a pair lies in two blocks.
    """

    def __init__(self, pair_ids: ArrayLike, bootstraps: int, seed: int, blocks: ArrayLike | None = None) -> None:
        pairs, first, self._pair = np.unique(np.asarray(pair_ids), return_index=True, return_inverse=True)
        self.pairs, self.bootstraps = len(pairs), bootstraps
        of_example = self._pair if blocks is None else np.asarray(blocks)
        of_pair = of_example[first]
        if (of_pair[self._pair] != of_example).any():
            raise ShapeError("a pair lies in two blocks", remedy="give each decoy the block of its promoter")
        # numbered by their first pair: blocks of one pair each are drawn as pairs are, whatever they are called
        numbers, names = pd.factorize(of_pair)
        self.blocks, self._block = len(names), numbers[self._pair]
        drawn = np.random.default_rng(seed).integers(self.blocks, size=(bootstraps, self.blocks))
        flat = np.arange(bootstraps)[:, None] * self.blocks + drawn
        self._counts = np.bincount(flat.ravel(), minlength=bootstraps * self.blocks).reshape(drawn.shape)

    def check_whole(self, labels: NDArray[np.bool_]) -> None:
        """Refuse pairs of a single class: a resample of them could hold a single class, too."""
        sizes = np.bincount(self._pair, minlength=self.pairs)
        promoters = np.bincount(self._pair, weights=labels, minlength=self.pairs)
        torn = int(((promoters == 0) | (promoters == sizes)).sum())
        if torn:
            raise SplitError(f"{torn} of {self.pairs} pairs hold a promoter or a decoy only", remedy="keep pairs whole")

    def weights(self) -> Iterator[Floats]:
        """Times that each example is drawn, in chunks of resamples, shape=(chunk, n)."""
        step = max(1, _CHUNK_ELEMENTS // max(len(self._pair), 1))
        for first in range(0, self.bootstraps, step):
            yield self._counts[first : first + step, self._block].astype(np.float64)

    def mean(self, values: ArrayLike, rows: ArrayLike | None = None) -> Estimate:
        """Mean of a figure that each example has, with its interval.

        Parameters
        ----------
        values : array, shape=(n,)
        rows : array of bool, shape=(n,), optional
            Examples to look at, of which each resample must hold one: a whole class, or (default) all.
        """
        counted = np.ones(len(self._pair)) if rows is None else np.asarray(rows, np.float64)
        masked = np.where(counted > 0, np.asarray(values, np.float64), 0.0)
        resampled = [(weights @ masked) / (weights @ counted) for weights in self.weights()]
        return Estimate.of(masked.sum() / counted.sum(), np.concatenate(resampled))


def promoter_blocks(examples: pd.DataFrame, size: int) -> tuple[NDArray[np.int64], int]:
    """The block of each example: the stretch of a chromosome that holds the centre of its pair's promoter.

    Parameters
    ----------
    examples : DataFrame
        n examples in whole pairs: chrom, start, end, label, pair_id. A decoy belongs to its promoter's block, wherever
        it lies itself, so that pairs stay whole.
    size : int
        Length of a block, bp.

    Returns
    -------
    blocks : int64, shape=(n,)
    size : int
        That of the blocks: halved until there are at least 30 of them, or one for each pair.
    """
    promoters = examples[examples["label"] == 1].drop_duplicates("pair_id").set_index("pair_id")
    chrom = examples["pair_id"].map(promoters["chrom"])
    centre = examples["pair_id"].map((promoters["start"] + promoters["end"]) // 2)
    enough = min(LEAST_BLOCKS, len(promoters))
    while True:
        blocks = examples.groupby([chrom.rename("chrom"), (centre // size).rename("block")]).ngroup()
        if size == 1 or blocks.nunique() >= enough:
            return np.asarray(blocks, np.int64), size
        size //= 2
