"""From examples to batches: windows are read once, with flanks; every epoch cuts its own views out of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from genocontrast.config import Split
from genocontrast.encoders.views import shift
from genocontrast.errors import FileFormatError, ShapeError, SplitError
from genocontrast.sequence import N_CODE, Codes, reverse_complement
from genocontrast.training.surrogates import surrogates

if TYPE_CHECKING:
    from genocontrast.genome import Genome


@dataclass(frozen=True)
class PairCodes:
    """Promoters and their decoys, row by row, as codes with flanks for views to move into.

    A promoter with several decoys has several rows.

    Parameters
    ----------
    promoters, decoys : numpy.ndarray of uint8, shape=(n, width + 2 * flank)
        Row i of `decoys` was matched to row i of `promoters`.
    flank : int
        bp read on each side of a window.
    """

    promoters: Codes
    decoys: Codes
    flank: int

    def __post_init__(self) -> None:
        if self.promoters.ndim != 2 or self.promoters.shape != self.decoys.shape:
            raise ShapeError(
                "promoters and decoys must be codes of one shape (n, length)",
                value=(self.promoters.shape, self.decoys.shape),
            )

    def __len__(self) -> int:
        return len(self.promoters)

    @property
    def width(self) -> int:
        """Length of a window without its flanks, bp."""
        return self.promoters.shape[1] - 2 * self.flank


def pair_codes(examples: pd.DataFrame, genome: Genome, split: Split, flank: int) -> PairCodes:
    """Read the windows of one split's pairs.

    Parameters
    ----------
    examples : pandas.DataFrame
        An examples table (genocontrast.examples).
    genome : Genome
    split : {"train", "validation", "test"}
    flank : int
        bp to read on each side of a window; what lies outside the chromosome reads as N.

    Raises
    ------
    SplitError
        Where the split has no pair.
    FileFormatError
        Where a pair is not one promoter and at least one decoy.

    Notes
    -----
    There is a row per decoy: a promoter with several is repeated, so that either class weighs the same.
    """
    rows = examples[examples["split"] == split].sort_values(["tier", "pair_id", "label"], kind="stable")
    if rows.empty:
        raise SplitError(f"the split '{split}' holds no example", remedy="give it chromosomes in genome.splits")
    promoters, decoys = pair_rows(rows)
    codes = flanked_codes(rows, genome, flank)
    return PairCodes(codes[promoters], codes[decoys], flank)


def pair_rows(rows: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of each decoy's promoter and of the decoys, both of shape=(decoys,), in the order of the decoys.

    Raises
    ------
    FileFormatError
        Where a pair is not one promoter and at least one decoy.
    """
    pair = rows.groupby(["tier", "pair_id"]).ngroup().to_numpy()
    promoters, decoys = (np.flatnonzero(rows["label"].to_numpy() == label) for label in (1, 0))
    of_pair = (np.bincount(pair[members], minlength=pair.max(initial=-1) + 1) for members in (promoters, decoys))
    ones, others = of_pair
    bad = (ones != 1) | (others < 1) | (ones + others != np.bincount(pair))
    if bad.any():
        first = rows.iloc[int(np.argmax(bad[pair]))]
        raise FileFormatError(
            f"the split '{first['split']}' has {int(bad.sum())} pairs that are not one promoter and its decoys; "
            f"the first is pair {first['pair_id']} of the tier '{first['tier']}'",
            remedy="run the negatives stage again",
        )
    promoter_of = np.empty(len(ones), dtype=np.int64)
    promoter_of[pair[promoters]] = promoters
    return promoter_of[pair[decoys]], decoys


def flanked_codes(regions: pd.DataFrame, genome: Genome, flank: int) -> Codes:
    """Codes of equally long regions and `flank` bp on each side, on their strand, shape=(n, width + 2 * flank).

    What lies outside the chromosome reads as N.
    """
    start, end = regions["start"].to_numpy() - flank, regions["end"].to_numpy() + flank
    sizes = np.array([genome.sizes.get(chrom, np.iinfo(np.int64).max) for chrom in regions["chrom"]])
    clipped = pd.DataFrame(
        {"chrom": regions["chrom"].to_numpy(), "start": np.maximum(start, 0), "end": np.minimum(end, sizes)}
    )
    whole = (clipped["start"].to_numpy() == start) & (clipped["end"].to_numpy() == end)
    codes = np.full((len(regions), int((end - start).max())), N_CODE, dtype=np.uint8)
    codes[whole] = genome.codes(clipped[whole])
    for row in np.flatnonzero(~whole):
        inside = genome.codes(clipped.iloc[row : row + 1])[0]
        left = clipped["start"].iloc[row] - start[row]
        codes[row, left : left + len(inside)] = inside
    reverse = regions["strand"].to_numpy() == "-"
    codes[reverse] = reverse_complement(codes[reverse])
    return codes


class Draw(NamedTuple):
    """Which pairs make a batch, and where their windows are cut."""

    pairs: Tensor
    """int64, shape=(k,)."""
    starts: Tensor
    """Starts of the promoter, its second view and the decoy, int64, shape=(3, k)."""


class Batch(NamedTuple):
    """Codes of k pairs, each uint8, shape=(k, width)."""

    promoters: Tensor
    views: Tensor
    """The promoters again, cut elsewhere."""
    decoys: Tensor
    promoter_surrogates: Tensor
    """Surrogates of the promoters, cut where `promoters` are."""
    decoy_surrogates: Tensor


class Pairs(Dataset[Batch]):
    """Pairs, and surrogates of them, that are cut into windows as a draw says."""

    def __init__(self, codes: PairCodes, rng: np.random.Generator) -> None:
        self.width = codes.width
        self.promoters, self.promoter_surrogates, self.decoys, self.decoy_surrogates = (
            torch.from_numpy(each) for real in (codes.promoters, codes.decoys) for each in (real, surrogates(real, rng))
        )

    def __getitem__(self, draw: Draw) -> Batch:
        at_promoter, at_view, at_decoy = draw.starts

        def cut(codes: Tensor, starts: Tensor) -> Tensor:
            return shift(codes[draw.pairs], starts, self.width)

        return Batch(
            promoters=cut(self.promoters, at_promoter),
            views=cut(self.promoters, at_view),
            decoys=cut(self.decoys, at_decoy),
            promoter_surrogates=cut(self.promoter_surrogates, at_promoter),
            decoy_surrogates=cut(self.decoy_surrogates, at_decoy),
        )


class EpochDraws(Sampler[Draw]):
    """One epoch: every decoy once, with its promoter, in batches of nearly one size, each window moved at random.

    The draws depend on the seed and the epoch's number alone, so that a resumed training repeats them.
    """

    def __init__(self, pairs: PairCodes, batch_pairs: int, seed: int, epoch: int) -> None:
        self.pairs, self.flank, self.seed, self.epoch = len(pairs), pairs.flank, seed, epoch
        self.batches = -(-len(pairs) // batch_pairs)

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[Draw]:
        rng = np.random.default_rng([self.seed, self.epoch])
        for rows in np.array_split(rng.permutation(self.pairs), self.batches):
            starts = rng.integers(0, 2 * self.flank + 1, (3, len(rows)))
            yield Draw(torch.from_numpy(rows), torch.from_numpy(starts))


def training_batches(pairs: PairCodes, batch_pairs: int, seed: int, epoch: int) -> DataLoader[Batch]:
    """Batches of moved windows and fresh surrogates as one epoch draws them."""
    windows = Pairs(pairs, np.random.default_rng([seed, epoch, 1]))
    return DataLoader(windows, batch_size=None, sampler=EpochDraws(pairs, batch_pairs, seed, epoch))


def validation_batches(pairs: PairCodes, batch_pairs: int) -> DataLoader[Batch]:
    """Batches of the windows themselves, in order."""
    draws = [
        Draw(rows, torch.full((3, len(rows)), pairs.flank)) for rows in torch.arange(len(pairs)).split(batch_pairs)
    ]
    return DataLoader(Pairs(pairs, np.random.default_rng(0)), batch_size=None, sampler=draws)
