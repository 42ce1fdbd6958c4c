"""The encoder: motif filters, gated dilated blocks that relate motifs to each other, one reading for both strands."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from genocontrast.encoders.encoder import Encoder
from genocontrast.encoders.layers import (
    AttentionPool,
    Conv1d,
    Place,
    TiedConv1d,
    WindowNorm,
    by_position,
    symmetric_max_pool,
)
from genocontrast.encoders.views import reverse_complement
from genocontrast.errors import ModelError, ShapeError

Strand = Literal["tied", "twin", "free"]
Pool = Literal["both", "attention", "summary"]
Orientation = Literal["invariant", "stranded"]
Merge = Literal["mean", "logsumexp", "canonical"]
STRANDS: tuple[Strand, ...] = get_args(Strand)
OUTSIDE = "outside"
"""Architecture of a module that is not ours: it cannot be built from a description."""
STEM_KERNEL = 19
"""bp: a first filter covers a whole binding motif (JASPAR's median is 12 bp)."""
BLOCK_KERNEL = 5
"""Bins; blocks dilate by 1, 2, 4, ..., so that three of them relate motifs up to 116 bp apart at 4 bp a bin."""
HEAD_VALUES = 16
"""Dimensions of what a head of the attention pool takes from each position."""


class StrandEncoder(Encoder):
    """Encoder of DNA windows that treats both strands alike, or, for comparison, does not.

    Parameters
    ----------
    strand : {"tied", "twin", "free"}
        How the two strands are treated. "tied": filters are pairs of reverse complements, so that one pass reads both
        strands. "twin": the same plain network reads both strands, at twice the cost. "free": a plain network reads
        the given strand only; the negative control of the strand audit.
    arch : "gated" or torch.nn.Module
        "gated": a convolution over motifs, then gated residual blocks of growing dilation. A module of your own
        ("twin" or "free" only) takes one-hot windows, shape=(n, 4, length), and gives features, shape=(n, width), or
        features along the window, shape=(n, width, positions), which are pooled.
    width : int
        Channels, even. Of a module of your own: the features that it gives.
    depth : int
        Gated residual blocks after the first convolution; "gated" only.
    pool : {"both", "attention", "summary"}
        How features along the window become one vector. "attention": heads weigh the positions by a softmax over an
        energy. "summary": maximum and mean of each channel. "both": side by side.
    orientation : {"invariant", "stranded"}
        "invariant": the readings of both strands are merged into one. "stranded": they stay apart up to the logits,
        so that a promoter on one strand differs from one on the other (`Encoded.directed`); the logit is that of a
        promoter on any strand, and the embedding is the mean of both: neither changes with the strand that is given.
    dim : int
        Dimensions of the embedding.
    stride : int
        bp of one bin after the first convolution; "gated" only.
    heads : int
        Heads of the attention pool.
    knots : int
        Points of the curves along the window by which the network knows where a motif lies: for windows that are
        aligned to something, such as the TSS. 0: it does not; "gated" only.
    merge : {"mean", "logsumexp", "canonical"}
        How an invariant encoder merges readings: their mean, their smooth maximum in each feature, or, for "twin",
        the reading of the strand that sorts first, at half the cost.
    dropout : float
        Dropout of the features, before the heads.

    Raises
    ------
    ModelError
        At an unknown or impossible choice.

    Notes
    -----
    A tied or twin encoder gives a window and its reverse complement the same answer up to rounding, because sums are
    taken in another order: at most about 1e-6 in float32.
    """

    def __init__(
        self,
        strand: Strand = "tied",
        arch: str | nn.Module = "gated",
        width: int = 64,
        depth: int = 3,
        pool: Pool = "both",
        orientation: Orientation = "invariant",
        *,
        dim: int = 64,
        stride: int = 4,
        heads: int = 4,
        knots: int = 0,
        merge: Merge = "mean",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.architecture = {
            "strand": strand, "arch": arch if isinstance(arch, str) else OUTSIDE, "width": width, "depth": depth,
            "pool": pool, "orientation": orientation, "dim": dim, "stride": stride, "heads": heads, "knots": knots,
            "merge": merge, "dropout": dropout,
        }  # fmt: skip
        _check(self.architecture, arch)
        self.strand, self.orientation, self.merge = strand, orientation, merge
        ours = isinstance(arch, str)
        self.min_length = max(STEM_KERNEL, 2 * stride) if ours else 1
        tied = strand == "tied"
        self.trunk: nn.Module = arch if isinstance(arch, nn.Module) else Trunk(tied, width, depth, stride, knots)
        self.pools = nn.ModuleList()
        if pool != "summary":
            self.pools.append(AttentionPool(width, heads, HEAD_VALUES))
        if pool != "attention":
            self.pools.append(Summary())
        self.feature_dim = 2 * dim
        pooled = (pool != "summary") * heads * HEAD_VALUES + (pool != "attention") * 2 * width
        self.reading = nn.Sequential(nn.Linear(pooled, self.feature_dim), nn.GELU())
        self._add_heads(dim, dropout)

    def features(self, x: Tensor) -> Tensor:
        """Features of one-hot windows, shape=(n, readings, feature_dim); see `Encoder.features`."""
        return self.read(self.along(x))

    def read(self, strands: list[Tensor]) -> Tensor:
        """Features of what `along` gave, shape=(n, readings, feature_dim)."""
        pooled = [self._pooled(strand) for strand in strands]
        if self.strand == "tied":
            pooled.append(self._pooled(strands[0], mirrored=True))
        read = self.dropout(self.reading(torch.stack(pooled, dim=1)))
        if self.orientation == "stranded" or read.shape[1] == 1:
            return read
        if self.merge == "logsumexp":
            return read.logsumexp(1, keepdim=True)
        return read.mean(1, keepdim=True)

    def _pooled(self, x: Tensor, mirrored: bool = False) -> Tensor:
        return torch.cat([pool(x, mirrored) for pool in self.pools], dim=1)

    @torch.no_grad()
    def attention(self, x: Tensor) -> Tensor:
        """How much each position counts, shape=(n, 4, length) -> (n, bins): the attention pool's weights, sum 1.

        The mean over heads and strands, along the given strand; bins have `stride` bp.

        Raises
        ------
        ModelError
            Where the encoder has no attention pool.
        """
        pool = self.pools[0]
        if not isinstance(pool, AttentionPool):
            raise ModelError("the encoder has no attention pool", value=self.architecture["pool"])
        given, *other = self.along(x)
        weights = pool.weights(given).mean(1)
        if self.strand == "tied":
            return (weights + pool.weights(given, mirrored=True).mean(1)) / 2
        return (weights + pool.weights(other[0]).mean(1).flip(1)) / 2 if other else weights

    def along(self, x: Tensor) -> list[Tensor]:
        """Channels along the window, shape=(n, width, bins): as each strand reads them, or one for both (tied)."""
        if x.ndim != 3 or x.shape[1] != 4:
            raise ShapeError("windows must have shape (n, 4, length)", value=tuple(x.shape))
        if x.shape[2] < self.min_length:
            raise ShapeError(
                f"windows are shorter than what the encoder needs, {self.min_length} bp",
                value=x.shape[2],
                remedy="give it longer windows; N on both sides lengthens them",
            )
        if self.strand == "tied":
            return [self.trunk(x)]
        if self.strand == "free":
            return [self._channels(x)]
        if self.merge == "canonical" and self.orientation == "invariant":
            return [self._channels(canonical_strand(x))]
        return list(self._channels(torch.cat([x, reverse_complement(x)])).chunk(2))

    def _channels(self, x: Tensor) -> Tensor:
        found = self.trunk(x)
        found = found[..., None] if found.ndim == 2 else found  # pooled by a module of the user's own
        if found.ndim != 3 or found.shape[:2] != (len(x), self.architecture["width"]):
            raise ShapeError(
                f"arch must give features of shape (n, {self.architecture['width']}[, positions])",
                value=tuple(found.shape),
                remedy="set width to the features that your module gives",
            )
        return found


class Trunk(nn.Sequential):
    """One-hot windows, shape=(n, 4, length), to features along them, shape=(n, width, length // stride)."""

    def __init__(self, tied: bool, width: int, depth: int, stride: int, knots: int) -> None:
        super().__init__(
            Stem(tied, width, stride),
            *([Place(width, tied, knots)] if knots else []),
            *(GatedBlock(tied, width, 2**level) for level in range(depth)),
        )


class Stem(nn.Module):
    """Motif filters, their maximum over each bin."""

    def __init__(self, tied: bool, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.convolution = convolution(tied, 4, width, STEM_KERNEL)
        self.norm = WindowNorm(width, tied)

    def forward(self, x: Tensor) -> Tensor:
        """Scan, shape=(n, 4, length) -> (n, width, length // stride)."""
        # pooling first: the rest of the network is `stride` times cheaper for it
        return functional.gelu(self.norm(symmetric_max_pool(self.convolution(by_position(x)), self.stride)))


class GatedBlock(nn.Module):
    """Residual block: norm, then a dilated convolution whose values are let through by gates."""

    def __init__(self, tied: bool, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = WindowNorm(width, tied)
        self.convolution = convolution(tied, width, width, BLOCK_KERNEL, dilation, parts=2)

    def forward(self, x: Tensor) -> Tensor:
        """Refine the features, shape=(n, width, length)."""
        # position by position, as they lie in memory: twice as fast on a CPU as glu(..., dim=1)
        values, gates = self.convolution(self.norm(x)).transpose(1, 2).chunk(2, dim=2)
        return x + (values * gates.sigmoid()).transpose(1, 2)


class Summary(nn.Module):
    """Each channel's maximum and mean over positions."""

    def forward(self, x: Tensor, mirrored: bool = False) -> Tensor:
        """Pool, shape=(n, width, length) -> (n, 2 * width); `mirrored`: as the other strand reads it."""
        found = torch.stack([x.amax(2), x.mean(2)], dim=1)
        return (found.flip(2) if mirrored else found).flatten(1)


def convolution(tied: bool, inputs: int, outputs: int, kernel: int, dilation: int = 1, parts: int = 1) -> nn.Module:
    """A convolution whose filters are pairs of reverse complements, or a plain one."""
    return (TiedConv1d if tied else Conv1d)(inputs, outputs, kernel, dilation, parts)


def canonical_strand(x: Tensor) -> Tensor:
    """Of each one-hot window and its reverse complement the one that sorts first, shape=(n, 4, length)."""
    mirrored = reverse_complement(x)
    differ = (x != mirrored).flatten(1)
    first = differ.int().argmax(1, keepdim=True)  # 0 where a window is its own reverse complement
    smaller = mirrored.flatten(1).gather(1, first) < x.flatten(1).gather(1, first)
    return torch.where(smaller[..., None], mirrored, x)


def _check(architecture: dict[str, object], arch: str | nn.Module) -> None:
    """Refuse choices that do not exist, or do not go together."""
    known = {
        "strand": STRANDS, "pool": get_args(Pool), "orientation": get_args(Orientation), "merge": get_args(Merge),
        "arch": ("gated", OUTSIDE),
    }  # fmt: skip
    for name, choices in known.items():
        if architecture[name] not in choices:
            raise ModelError(f"{name} is none of {', '.join(choices)}", value=architecture[name])
    strand, width = architecture["strand"], architecture["width"]
    if arch == OUTSIDE:
        raise ModelError("the encoder has a module of your own", remedy="give that module itself as arch")
    if not isinstance(arch, str) and strand == "tied":
        raise ModelError("a module of your own cannot be tied", remedy='strand="twin" runs it on both strands')
    if isinstance(arch, str) and (not isinstance(width, int) or width < 2 or width % 2):
        raise ModelError("the encoder's width must be even: its channels are pairs of strands", value=width)
    if architecture["merge"] == "canonical" and strand != "twin":
        raise ModelError("only a twin encoder can read one strand for both", value=strand, remedy='set merge="mean"')
    if architecture["orientation"] == "stranded" and strand == "free":
        raise ModelError(
            "a free encoder reads one strand only, so it cannot compare them",
            remedy='set orientation="invariant", or strand="twin"',
        )
