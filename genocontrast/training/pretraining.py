"""Self-supervised pretraining on sequence of the training split: which locus is this, and which bases are hidden."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Sampler

from genocontrast.config import TrainingConfig
from genocontrast.contrast import ContrastiveLoss, MemoryBank, gathered_info_nce, info_nce
from genocontrast.encoders import Encoder, StrandEncoder
from genocontrast.encoders.views import one_hot, reverse_complement
from genocontrast.errors import ConfigError, PoolError
from genocontrast.sequence import N_CODE
from genocontrast.training.data import shared_batches
from genocontrast.training.steps import SteppedModule, check_views

if TYPE_CHECKING:
    from genocontrast.genome import Genome

_log = logging.getLogger(__name__)

REACH = 4
"""A locus' hard negative is a window of its neighbourhood: its middle is 1 to so many widths away."""
BLOCK = 20
"""Consecutive loci that are held out together: neighbours share bases, so a single one would be known."""
HELD_OUT = 20
"""One block of so many tells when to stop. It lies in the training split, too: no other may be seen."""
HIDDEN = 0.15
"""Share of the bases that are hidden."""
MAX_N_FRACTION = 0.05
"""Loci with more N are left out."""


@dataclass(frozen=True)
class Loci:
    """Windows of a genome that pretraining tells from one another.

    Parameters
    ----------
    genome : Genome
    chrom : numpy.ndarray of str, shape=(n,)
    start : numpy.ndarray of int64, shape=(n,)
        There is room for the neighbourhood on both sides.
    width : int
        bp of a window.
    """

    genome: Genome
    chrom: NDArray[np.object_]
    start: NDArray[np.int64]
    width: int

    def __len__(self) -> int:
        return len(self.start)

    def codes(self, rows: NDArray[np.int64], moved: NDArray[np.int64]) -> Tensor:
        """Codes of windows that are moved by so many bp, uint8, shape=(k, width)."""
        start = self.start[rows] + moved
        windows = pd.DataFrame({"chrom": self.chrom[rows], "start": start, "end": start + self.width})
        return torch.from_numpy(self.genome.codes(windows))

    def take(self, rows: NDArray[np.bool_]) -> Loci:
        """Some of the loci."""
        return Loci(self.genome, self.chrom[rows], self.start[rows], self.width)


def lay_out(
    genome: Genome, segments: pd.DataFrame, width: int, margin: int, centres: pd.DataFrame | None = None
) -> Loci:
    """Loci within segments: side by side, or around the centres of regions.

    Parameters
    ----------
    genome : Genome
    segments : pandas.DataFrame
        chrom, start, end of what may be seen: the training split.
    width : int
        bp of a window.
    margin : int
        bp by which a window may be moved, in addition to its neighbourhood.
    centres : pandas.DataFrame, optional
        Regions, such as open chromatin: a locus at each one that lies within a segment. Default: loci side by side.

    Raises
    ------
    PoolError
        Where there are fewer than two blocks of loci.
    """
    room = REACH * width + margin
    chroms, starts = [], []
    for chrom, first, last in segments[["chrom", "start", "end"]].itertuples(index=False):
        if centres is None:
            found = np.arange(first + room, last - room - width + 1, width)
        else:
            here = centres[centres["chrom"] == chrom]
            found = np.unique((here["start"].to_numpy() + here["end"].to_numpy()) // 2 - width // 2)
            found = found[(found >= first + room) & (found + width + room <= last)]
        chroms.append(np.full(len(found), chrom, dtype=object))
        starts.append(found)
    laid = Loci(genome, np.concatenate(chroms), np.concatenate(starts), width)
    known = (laid.codes(np.arange(len(laid)), np.zeros(len(laid), np.int64)) == N_CODE).float().mean(
        1
    ).numpy() <= MAX_N_FRACTION
    _log.info("%d loci for pretraining, %d left out for their N", known.sum(), (~known).sum())
    if known.sum() < 2 * BLOCK:
        raise PoolError(
            f"too few loci for pretraining (windows of {width} bp with {room} bp on both sides)",
            value=int(known.sum()),
            remedy="set training.pretraining.windows to genome or none",
        )
    return laid.take(known)


def held_out(loci: Loci) -> tuple[Loci, Loci]:
    """The loci to train on, and blocks of them that tell when to stop."""
    blocks = np.arange(len(loci)) // BLOCK
    apart = blocks % min(HELD_OUT, blocks[-1] + 1) == 0
    return loci.take(~apart), loci.take(apart)


class LocusDraw(NamedTuple):
    """Which loci make a batch, and by how many bp their windows move; each of shape=(k,)."""

    rows: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    neighbour: NDArray[np.int64]


class LocusBatch(NamedTuple):
    """Codes of k loci, each uint8, shape=(k, width)."""

    first: Tensor
    second: Tensor
    """The same loci, moved."""
    neighbours: Tensor
    """Windows of their neighbourhoods."""
    hidden: Tensor
    """The bases of `first` that are hidden, booleans."""
    loci: Tensor
    """Which loci these are, int64, shape=(k,)."""


class Windows(Dataset[LocusBatch]):
    """Windows of loci as a draw says, read from the encoded genome when they are asked for."""

    def __init__(self, loci: Loci, seed: int) -> None:
        self.loci, self.seed = loci, seed

    def __getitem__(self, draw: LocusDraw) -> LocusBatch:
        first, second, neighbours = (self.loci.codes(draw.rows, moved) for moved in draw[1:])
        rng = np.random.default_rng([self.seed, *draw.rows[:2].tolist()])
        hidden = torch.from_numpy(rng.random(first.shape) < HIDDEN) & (first != N_CODE)
        return LocusBatch(first, second, neighbours, hidden, torch.from_numpy(draw.rows))


class LocusDraws(Sampler[LocusDraw]):
    """One epoch: every locus once, moved at random; parameters as in `training.data.EpochDraws`."""

    def __init__(self, loci: Loci, batch: int, max_shift: int, key: list[int], rank: int = 0, ranks: int = 1) -> None:
        self.loci, self.max_shift, self.key, self.rank, self.ranks = loci, max_shift, key, rank, ranks
        self.batches = shared_batches(len(loci), batch, ranks)

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[LocusDraw]:
        rng, width = np.random.default_rng(self.key), self.loci.width
        mine = slice(self.rank, None, self.ranks)
        for rows in np.array_split(rng.permutation(len(self.loci)), self.batches):
            # all start anywhere within half a width, so that in time each base comes to lie everywhere
            middle = rng.integers(-(width // 2), width // 2 + 1, len(rows))
            first, second = middle + rng.integers(-self.max_shift, self.max_shift + 1, (2, len(rows)))
            away = rng.integers(width, (REACH - 1) * width + 1, len(rows)) * rng.choice([-1, 1], len(rows))
            yield LocusDraw(*(each[mine] for each in (rows, first, second, middle + away)))


class PretrainingModule(SteppedModule):
    """InfoNCE between two views of a locus, its own neighbourhood the hard negative; and hidden bases, if weighted.

    Parameters
    ----------
    network : StrandEncoder
    config : TrainingConfig
    loci : Loci
        Of the training split.
    seed : int
    """

    headline = ("locus found", "validation_accuracy")

    def __init__(self, network: StrandEncoder, config: TrainingConfig, loci: Loci, seed: int) -> None:
        check_views(config, loci.width)
        if config.strand != "free" and not (config.max_shift or config.views):
            raise ConfigError(
                "two views of a locus are the same window, so that there is nothing to learn",
                value=config.max_shift,
                remedy="set training.max_shift above 0, or name training.views",
            )
        super().__init__(network, config, config.pretraining.epochs, seed)
        self.train_loci, self.held_out_loci = held_out(loci)
        queue = config.pretraining.queue
        if queue and not config.average:
            raise ConfigError(
                "a queue of embeddings is kept by the moving average of the weights, and there is none",
                value=queue,
                remedy="set training.average to 0.99, or training.pretraining.queue to 0",
            )
        self.queue = MemoryBank(queue, config.dim) if queue else None
        self.hidden_head = nn.Linear(network.architecture["width"], 4 * network.architecture["stride"])
        self.validation: list[Tensor] = []

    def train_dataloader(self) -> DataLoader[LocusBatch]:
        """The batches of the current epoch, the same ones in a resumed training."""
        place = (self.global_rank, self.trainer.world_size)
        return self._batches(self.train_loci, [self.seed, self.current_epoch, 2], *place)

    def val_dataloader(self) -> DataLoader[LocusBatch]:
        """The loci that are held out; always the same windows."""
        return self._batches(self.held_out_loci, [self.seed, 3])

    def _batches(self, loci: Loci, key: list[int], rank: int = 0, ranks: int = 1) -> DataLoader[LocusBatch]:
        draws = LocusDraws(loci, self.config.pretraining.batch, self.config.max_shift, key, rank, ranks)
        return DataLoader(Windows(loci, key[1]), batch_size=None, sampler=draws)

    def weight(self, loss: str) -> float:
        """1 of the loci, as configured of the hidden bases."""
        return self.config.pretraining.masked_weight if loss == "masked" else 1.0

    def losses(self, batch: LocusBatch, batch_idx: int) -> dict[str, Tensor]:
        """The losses of one batch."""
        found, accuracy = self._found(self.network, batch)
        share = self.share(len(batch.loci))
        if "masked" in found:
            found["masked"] = found["masked"] * share
        self.add(train_accuracy=accuracy * share)
        return found

    def _found(self, network: Encoder, batch: LocusBatch) -> tuple[dict[str, Tensor], Tensor]:
        assert isinstance(network, StrandEncoder)
        # hidden bases must lie where they are: of the first view none moves
        seen = one_hot(batch.first.masked_fill(batch.hidden, N_CODE))
        second = one_hot(self.seen(batch.second) if network.training else batch.second)
        if network.strand == "free":
            second = reverse_complement(second)
        strands = network.along(torch.cat([seen, second, one_hot(batch.neighbours)]))
        one, other, near = network.heads(network.read(strands)).embedding.chunk(3)
        contrast, diagnostics = self._tell_apart(network, one, other, near, batch.loci, second)
        losses = {"locus": contrast}
        if self.config.pretraining.masked_weight:
            readings = [strand[: len(one)] for strand in strands]
            turned = [readings[0].flip(1, 2)] if network.strand == "tied" else []
            losses["masked"] = self._masked(readings + turned, batch)
        return losses, diagnostics["accuracy"]

    def _tell_apart(
        self, network: Encoder, one: Tensor, other: Tensor, near: Tensor, loci: Tensor, second: Tensor
    ) -> ContrastiveLoss:
        """InfoNCE of two views of each locus; in training with a queue, against earlier batches, too."""
        options: dict[str, Any] = {"temperature": self.config.temperature, "hard": near[:, None]}
        if self.trainer.world_size > 1 and network.training:
            return gathered_info_nce(one, other, **options)
        if self.queue is None or not network.training:
            return info_nce(one, other, **options)
        # keys of one encoder, or the older ones would be told by their age
        keys = self.judged.eval()(second).embedding
        found = info_nce(one, keys, symmetric=False, **options, **self.queue.arguments(ids=loci))
        self.queue.add(keys, ids=loci)
        return found

    def _masked(self, strands: list[Tensor], batch: LocusBatch) -> Tensor:
        """Cross-entropy of the hidden bases, as each strand reads them."""
        # codes of the other strand; N, which is 4, is never hidden
        turned = batch._replace(first=3 - batch.first.long().flip(1), hidden=batch.hidden.flip(1))
        losses = [self._of_strand(*pair) for pair in zip(strands, (batch, turned), strict=False)]
        return torch.stack(losses).mean()

    def _of_strand(self, strand: Tensor, batch: LocusBatch) -> Tensor:
        length = strand.shape[2] * (self.hidden_head.out_features // 4)  # what lies beyond the last bin is not asked
        logits = self.hidden_head(strand.transpose(1, 2)).reshape(len(strand), length, 4)
        hidden = batch.hidden[:, :length]
        return functional.cross_entropy(logits[hidden].float(), batch.first[:, :length][hidden].long())

    def validation_step(self, batch: LocusBatch, batch_idx: int) -> None:
        """Collect what the held-out loci say."""
        with self.full_precision():
            losses, accuracy = self._found(self.judged, batch)
        total = sum(self.weight(name) * loss for name, loss in losses.items())
        self.validation.append(torch.stack([torch.as_tensor(total), accuracy.to(self.device)]))

    def on_validation_epoch_end(self) -> None:
        """Sum up the epoch; the callbacks read `epoch_metrics`."""
        loss, accuracy = torch.stack(self.validation).mean(0).tolist()
        self.validation = []
        self.epoch_metrics = self.means() | {"validation_loss": loss, "validation_accuracy": accuracy}
