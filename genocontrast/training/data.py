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
from torch.utils.data import DataLoader, Dataset, Sampler, TensorDataset

from genocontrast.config import Split
from genocontrast.encoders.views import shift
from genocontrast.errors import ConfigError, FileFormatError, ShapeError, SplitError
from genocontrast.sequence import N_CODE, Codes, reverse_complement
from genocontrast.training.surrogates import surrogates

if TYPE_CHECKING:
    from genocontrast.genome import Genome


@dataclass(frozen=True)
class PairCodes:
    """Promoters and decoys as codes, with flanks for views to move into.

    Parameters
    ----------
    promoters, decoys : numpy.ndarray of uint8, shape=(n, width + 2 * flank) and (m, width + 2 * flank)
    flank : int
        bp read on each side of a window.
    matched : bool, optional
        Row i of `decoys` was matched to row i of `promoters` (a promoter with several decoys has several rows).
        False: they are just two classes, and each epoch puts them together anew.
    oriented : bool, optional
        All promoters are read on the strand that they are promoters of: where an encoder tells the strands apart,
        it learns that the other one is none. Default True.
    """

    promoters: Codes
    decoys: Codes
    flank: int
    matched: bool = True
    oriented: bool = True

    def __post_init__(self) -> None:
        shapes = self.promoters.shape, self.decoys.shape
        if self.promoters.ndim != 2 or shapes[0][self.matched ^ 1 :] != shapes[1][self.matched ^ 1 :]:
            raise ShapeError("promoters and decoys must be codes of one shape (n, length)", value=shapes)
        if not (len(self.promoters) and len(self.decoys)):
            raise ShapeError("there must be promoters and decoys", value=shapes)

    def __len__(self) -> int:
        """Pairs of an epoch: all of the larger class."""
        return max(len(self.promoters), len(self.decoys))

    @property
    def width(self) -> int:
        """Length of a window without its flanks, bp."""
        return self.promoters.shape[1] - 2 * self.flank

    def windows(self) -> tuple[Codes, NDArray[np.int64]]:
        """The windows themselves, promoters first, shape=(n + m, width), and their labels."""
        inner = slice(self.flank, self.flank + self.width)
        codes = np.concatenate([self.promoters[:, inner], self.decoys[:, inner]])
        return codes, np.repeat([1, 0], [len(self.promoters), len(self.decoys)])


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
    oriented = is_oriented(rows.iloc[promoters])
    return PairCodes(codes[promoters], codes[decoys], flank, oriented=oriented)


def is_oriented(promoters: pd.DataFrame) -> bool:
    """Whether the strand of each promoter is known."""
    return bool(promoters["strand"].isin(["+", "-"]).all())


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
    """Which rows make a batch, and where their windows are cut."""

    promoters: Tensor
    """Rows of the promoters, int64, shape=(k,)."""
    decoys: Tensor
    """Rows of the decoys, int64, shape=(k,)."""
    starts: Tensor
    """Starts of the promoter, its second view and the decoy, int64, shape=(3, k)."""


class Batch(NamedTuple):
    """Codes of k pairs, each uint8, shape=(k, width)."""

    promoters: Tensor
    views: Tensor
    """The promoters again, cut elsewhere; shape=(0, width) where none are wanted."""
    decoys: Tensor
    surrogates: Tensor
    """Surrogates of promoters and decoys, cut where those are, shape=(2 * k, width), or (0, width) without any."""


class Pairs(Dataset[Batch]):
    """Pairs that are cut into windows as a draw says; with second views, and surrogates that `rng` draws, if wanted."""

    def __init__(self, codes: PairCodes, rng: np.random.Generator | None, with_views: bool) -> None:
        self.width, self.with_views = codes.width, with_views
        classes = codes.promoters, codes.decoys
        self.promoters, self.decoys = (torch.from_numpy(real) for real in classes)
        self.surrogates = None if rng is None else [torch.from_numpy(surrogates(real, rng)) for real in classes]

    def __getitem__(self, draw: Draw) -> Batch:
        at_promoter, at_view, at_decoy = draw.starts

        def cut(codes: Tensor, rows: Tensor, starts: Tensor) -> Tensor:
            return shift(codes[rows], starts, self.width)

        promoters = cut(self.promoters, draw.promoters, at_promoter)
        drawn = promoters[:0]
        if self.surrogates is not None:
            of_promoters, of_decoys = self.surrogates
            drawn = torch.cat([cut(of_promoters, draw.promoters, at_promoter), cut(of_decoys, draw.decoys, at_decoy)])
        return Batch(
            promoters=promoters,
            views=cut(self.promoters, draw.promoters, at_view) if self.with_views else promoters[:0],
            decoys=cut(self.decoys, draw.decoys, at_decoy),
            surrogates=drawn,
        )


def shared_batches(rows: int, batch: int, ranks: int) -> int:
    """Batches of nearly one size, of at most `batch` rows.

    Raises
    ------
    ConfigError
        Where one of `ranks` processes would have no row of the smallest.
    """
    batches = -(-rows // batch)
    if rows // batches < ranks:
        raise ConfigError(
            f"{ranks} processes cannot share batches of {rows // batches} ({rows} rows in {batches} batches)",
            value=ranks,
            remedy="lower training.processes or training.nodes",
        )
    return batches


class EpochDraws(Sampler[Draw]):
    """One epoch: every row of the larger class once, in batches of nearly one size, each window moved at random.

    The draws depend on the seed and the epoch's number alone, so that a resumed training repeats them. Of several
    processes each takes its share of every batch.

    Parameters
    ----------
    pairs : PairCodes
    batch_pairs : int
        Largest number of pairs in a batch, of all processes together.
    seed, epoch : int
    rank, ranks : int, optional
        This process, and their number.
    """

    def __init__(
        self, pairs: PairCodes, batch_pairs: int, seed: int, epoch: int, rank: int = 0, ranks: int = 1
    ) -> None:
        self.pairs, self.seed, self.epoch, self.rank, self.ranks = pairs, seed, epoch, rank, ranks
        self.batches = shared_batches(len(pairs), batch_pairs, ranks)

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[Draw]:
        rng = np.random.default_rng([self.seed, self.epoch])
        promoters = self._rows(len(self.pairs.promoters), rng)
        decoys = promoters if self.pairs.matched else self._rows(len(self.pairs.decoys), rng)
        for batch in np.array_split(np.arange(len(self.pairs)), self.batches):
            starts = rng.integers(0, 2 * self.pairs.flank + 1, (3, len(batch)))
            mine = slice(self.rank, None, self.ranks)
            yield Draw(
                *(torch.from_numpy(each) for each in (promoters[batch[mine]], decoys[batch[mine]], starts[:, mine]))
            )

    def _rows(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """All rows of a class in random order, begun again until there is one for each pair, shape=(pairs,)."""
        rounds = -(-len(self.pairs) // count)
        return np.concatenate([rng.permutation(count) for _ in range(rounds)])[: len(self.pairs)]


def training_batches(
    pairs: PairCodes,
    batch_pairs: int,
    seed: int,
    epoch: int,
    rank: int = 0,
    ranks: int = 1,
    *,
    with_views: bool = True,
    with_surrogates: bool = True,
) -> DataLoader[Batch]:
    """Batches of moved windows and fresh surrogates as one epoch draws them; parameters as in `EpochDraws`."""
    windows = Pairs(pairs, np.random.default_rng([seed, epoch, 1]) if with_surrogates else None, with_views)
    return DataLoader(windows, batch_size=None, sampler=EpochDraws(pairs, batch_pairs, seed, epoch, rank, ranks))


def validation_batches(pairs: PairCodes, batch_size: int) -> DataLoader[tuple[Tensor, ...]]:
    """The windows themselves and their labels, in order: codes, shape=(k, width), and labels, shape=(k,)."""
    codes, labels = map(torch.from_numpy, pairs.windows())
    return DataLoader(TensorDataset(codes, labels), batch_size=batch_size)
