"""The encoder: motif filters, gated dilated blocks that relate motifs to each other, one reading for both strands."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from genocontrast.encoders.encoder import Encoder
from genocontrast.encoders.layers import StrandNorm, TiedConv1d, symmetric_max_pool
from genocontrast.encoders.views import reverse_complement
from genocontrast.errors import ModelError, ShapeError

Strand = Literal["tied", "twin", "free"]
STRANDS: tuple[Strand, ...] = ("tied", "twin", "free")
STEM_KERNEL = 19
"""bp: a first filter covers a whole binding motif (JASPAR's median is 12 bp)."""
POOL = 4
"""bp of one bin after the first convolution."""
BLOCK_KERNEL = 5
"""Bins; blocks dilate by 1, 2, 4, ..., so that three of them relate motifs up to 116 bp apart."""
MIN_LENGTH = 2 * POOL


class StrandEncoder(Encoder):
    """Convolutional encoder of DNA windows of 8 bp or more.

    Parameters
    ----------
    strand : {"tied", "twin", "free"}
        How the two strands are treated. "tied": filters are pairs of reverse complements, so that one pass reads both
        strands. "twin": the same plain network reads both strands, at twice the cost. "free": a plain network reads
        the given strand only; the negative control of the strand audit.
    width : int
        Channels, even.
    depth : int
        Gated residual blocks after the first convolution.
    dim : int
        Dimensions of the embedding.
    dropout : float
        Dropout of the features, before the heads.

    Notes
    -----
    A tied or twin encoder gives a window and its reverse complement the same answer up to rounding, because sums are
    taken in another order: at most about 1e-6 in float32.
    """

    def __init__(
        self, strand: Strand = "tied", width: int = 64, depth: int = 3, dim: int = 64, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if strand not in STRANDS:
            raise ModelError(f"strand is none of {', '.join(STRANDS)}", value=strand)
        if width < 2 or width % 2:
            raise ModelError("the encoder's width must be even: its channels are pairs of strands", value=width)
        self.strand = strand
        self.architecture = {"strand": strand, "width": width, "depth": depth, "dim": dim, "dropout": dropout}
        tied = strand == "tied"
        self.stem = _convolution(tied, 4, width, STEM_KERNEL)
        self.stem_norm = StrandNorm(width) if tied else nn.GroupNorm(1, width)
        self.blocks = nn.Sequential(*(GatedBlock(tied, width, 2**level) for level in range(depth)))
        self.feature_dim = 2 * dim
        self.reading = nn.Sequential(nn.Linear(2 * width, self.feature_dim), nn.GELU())
        self._add_heads(dim, dropout)

    def features(self, x: Tensor) -> Tensor:
        """Features of one-hot windows, shape=(n, feature_dim): the mean of what their strands' readings say."""
        if x.ndim != 3 or x.shape[1] != 4 or x.shape[2] < MIN_LENGTH:
            raise ShapeError(f"windows must have shape (n, 4, length >= {MIN_LENGTH})", value=tuple(x.shape))
        if self.strand == "free":
            return self.dropout(self.reading(_summary(self._channels(x))))
        if self.strand == "tied":
            one = self._channels(x)
            other = one.flip(1)  # not by positions: they are pooled next
        else:
            one, other = self._channels(torch.cat([x, reverse_complement(x)])).chunk(2)
        return self.dropout((self.reading(_summary(one)) + self.reading(_summary(other))) / 2)

    def _channels(self, x: Tensor) -> Tensor:
        """One-hot windows, shape=(n, 4, length), to features along them, shape=(n, width, length // POOL)."""
        # pooling first: the rest of the network is POOL times cheaper for it
        return self.blocks(functional.gelu(self.stem_norm(symmetric_max_pool(self.stem(x), POOL))))


class GatedBlock(nn.Module):
    """Residual block: norm, then a dilated convolution whose values are let through by gates."""

    def __init__(self, tied: bool, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = StrandNorm(width) if tied else nn.GroupNorm(1, width)
        self.convolution = _convolution(tied, width, width, BLOCK_KERNEL, dilation, parts=2)

    def forward(self, x: Tensor) -> Tensor:
        """Refine the features, shape=(n, width, length)."""
        return x + functional.glu(self.convolution(self.norm(x)), dim=1)


def _convolution(tied: bool, inputs: int, outputs: int, kernel: int, dilation: int = 1, parts: int = 1) -> nn.Module:
    if tied:
        return TiedConv1d(inputs, outputs, kernel, dilation, parts)
    return nn.Conv1d(inputs, parts * outputs, kernel, dilation=dilation, padding=kernel // 2 * dilation)


def _summary(channels: Tensor) -> Tensor:
    """Each channel's maximum and mean over positions, shape=(n, width, length) -> (n, 2 * width)."""
    return torch.cat([channels.amax(2), channels.mean(2)], dim=1)
