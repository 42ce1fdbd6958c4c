"""Strand-tied layers: reverse complementing their input reverses channels and positions of their output, exactly.

One-hot DNA in the order ACGT is reverse complemented by reversing both its channels and its positions. A tied layer
keeps that rule for any number of channels: channel c and channel C - 1 - c are the two strands of one feature. The
idea is that of reverse-complement parameter sharing (Shrikumar et al., bioRxiv 2017; Zhou et al., MLCB 2022).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class TiedConv1d(nn.Module):
    """Convolution of stride 1 and length-preserving padding whose filters are pairs of reverse complements.

    Half of the filters are parameters; the others are read off them, so that one ordinary convolution does it all.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and of each part of the output; out_channels is even.
    kernel : int
        Width of the filters, odd (an even one has no symmetric padding).
    dilation : int, optional
        Step between the positions that a filter reads. Default 1.
    parts : int, optional
        Tied blocks of channels in the output, each with its own pairs: 2 for values and their gates. Default 1.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, dilation: int = 1, parts: int = 1) -> None:
        super().__init__()
        self.padding, self.dilation = kernel // 2 * dilation, dilation
        self.weight = nn.Parameter(torch.empty(parts, out_channels // 2, in_channels, kernel))
        self.bias = nn.Parameter(torch.zeros(parts, out_channels // 2))
        nn.init.kaiming_uniform_(self.weight.view(-1, in_channels, kernel), a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, shape=(n, in_channels, length) -> (n, parts * out_channels, length)."""
        weight = torch.cat([self.weight, self.weight.flip(1, 2, 3)], dim=1).flatten(0, 1)
        bias = torch.cat([self.bias, self.bias.flip(1)], dim=1).flatten()
        return functional.conv1d(x, weight, bias, padding=self.padding, dilation=self.dilation)


class StrandNorm(nn.Module):
    """Layer norm over the channels and positions of one window, its scale and shift shared by both strands.

    It looks at one window at a time, so that no window is judged by what else is in its batch.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels // 2))
        self.shift = nn.Parameter(torch.zeros(channels // 2))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise, shape=(n, channels, length)."""
        scale, shift = (torch.cat([half, half.flip(0)]) for half in (self.scale, self.shift))
        return functional.group_norm(x, 1, scale, shift)


def symmetric_max_pool(x: Tensor, stride: int) -> Tensor:
    """Maximum over bins on a grid that looks the same from both ends, shape=(..., length) -> (..., length // stride).

    The bins widen by the remainder of the length, so that they overlap a little instead of leaving one end out.
    """
    return functional.max_pool1d(x, kernel_size=stride + x.shape[-1] % stride, stride=stride)
