"""Strand-tied layers: reverse complementing their input reverses channels and positions of their output, exactly.

One-hot DNA in the order ACGT is reverse complemented by reversing both its channels and its positions. A tied layer
keeps that rule for any number of channels: channel c and channel C - 1 - c are the two strands of one feature. The
idea is that of reverse-complement parameter sharing (Shrikumar et al., bioRxiv 2017; Zhou et al., MLCB 2022).

All of them take tensors of shape=(n, channels, length) that lie in memory position by position (`by_position`): on a
CPU a convolution of such tensors takes half the time, on a GPU it is what tensor cores want.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def by_position(x: Tensor) -> Tensor:
    """The same values, a position's channels side by side in memory, shape=(n, channels, length)."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last).squeeze(2)


def at_least_single(x: Tensor) -> Tensor:
    """The tensor in float32 where it has half of that precision."""
    return x.float() if x.dtype.itemsize < 4 else x


def convolve(x: Tensor, weight: Tensor, bias: Tensor, dilation: int = 1) -> Tensor:
    """Convolution that keeps length and layout, shape=(n, inputs, length) -> (n, outputs, length).

    Parameters
    ----------
    x : torch.Tensor, shape=(n, inputs, length)
    weight : torch.Tensor, shape=(outputs, inputs, kernel)
        An odd kernel: an even one has no symmetric padding.
    bias : torch.Tensor, shape=(outputs,)
    dilation : int, optional
        Step between the positions that a filter reads. Default 1.
    """
    padding = (0, weight.shape[2] // 2 * dilation)
    # of two dimensions, because only those have the layout
    return functional.conv2d(
        x.unsqueeze(2), weight.unsqueeze(2), bias, padding=padding, dilation=(1, dilation)
    ).squeeze(2)


class Conv1d(nn.Module):
    """Plain convolution of stride 1 and length-preserving padding; parameters as in `TiedConv1d`."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, dilation: int = 1, parts: int = 1) -> None:
        super().__init__()
        self.dilation = dilation
        self.weight = nn.Parameter(torch.empty(parts * out_channels, in_channels, kernel))
        self.bias = nn.Parameter(torch.zeros(parts * out_channels))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, shape=(n, in_channels, length) -> (n, parts * out_channels, length)."""
        return convolve(x, self.weight, self.bias, self.dilation)


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
        self.dilation = dilation
        self.weight = nn.Parameter(torch.empty(parts, out_channels // 2, in_channels, kernel))
        self.bias = nn.Parameter(torch.zeros(parts, out_channels // 2))
        nn.init.kaiming_uniform_(self.weight.view(-1, in_channels, kernel), a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, shape=(n, in_channels, length) -> (n, parts * out_channels, length)."""
        weight = torch.cat([self.weight, self.weight.flip(1, 2, 3)], dim=1).flatten(0, 1)
        bias = torch.cat([self.bias, self.bias.flip(1)], dim=1).flatten()
        return convolve(x, weight, bias, self.dilation)


class WindowNorm(nn.Module):
    """Layer norm over the channels and positions of one window, with a scale and a shift for each channel.

    It looks at one window at a time, so that no window is judged by what else is in its batch.

    Parameters
    ----------
    channels : int
    tied : bool
        Scale and shift are shared by both strands of a feature.
    """

    def __init__(self, channels: int, tied: bool) -> None:
        super().__init__()
        self.tied = tied
        self.scale = nn.Parameter(torch.ones(channels // 2 if tied else channels))
        self.shift = nn.Parameter(torch.zeros(channels // 2 if tied else channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise, shape=(n, channels, length)."""
        scale, shift = (torch.cat([half, half.flip(0)]) if self.tied else half for half in (self.scale, self.shift))
        rows = x.transpose(1, 2)  # (n, length, channels), contiguous
        shape = rows.shape[1:]
        return functional.layer_norm(rows, shape, scale.expand(shape), shift.expand(shape)).transpose(1, 2)


class Place(nn.Module):
    """Adds to each channel a curve along the window, so that what follows knows where it is.

    A curve is learned at so many points and read off between them, the same one at every length.

    Parameters
    ----------
    channels : int
    tied : bool
        The other strand's channel of a feature has its curve, mirrored.
    knots : int
        Points of a curve, the first and the last one at the ends of the window.
    """

    def __init__(self, channels: int, tied: bool, knots: int) -> None:
        super().__init__()
        self.tied = tied
        self.curves = nn.Parameter(torch.zeros(channels // 2 if tied else channels, knots))

    def forward(self, x: Tensor) -> Tensor:
        """Add, shape=(n, channels, length)."""
        curves = torch.cat([self.curves, self.curves.flip(0, 1)]) if self.tied else self.curves
        return x + by_position(functional.interpolate(curves[None], x.shape[2], mode="linear", align_corners=True))


class AttentionPool(nn.Module):
    """Each head's mean of its own values over the positions, weighted by a softmax: an energy over positions.

    The energy of a position is a linear function of what is there.

    Parameters
    ----------
    channels : int
    heads : int
    values : int
        Dimensions of each head's values.
    """

    def __init__(self, channels: int, heads: int, values: int) -> None:
        super().__init__()
        self.energy = nn.Linear(channels, heads)
        self.values = nn.Parameter(torch.empty(heads, channels, values))
        nn.init.normal_(self.values, std=channels**-0.5)

    def weights(self, x: Tensor, mirrored: bool = False) -> Tensor:
        """Weight of each position for each head, shape=(n, channels, length) -> (n, heads, length); sums are 1.

        `mirrored`: as the other strand weighs them, yet in the order of the given one.
        """
        of_channels = self.energy.weight.flip(1) if mirrored else self.energy.weight
        energy = functional.linear(x.transpose(1, 2), of_channels, self.energy.bias)
        return at_least_single(energy).softmax(1).transpose(1, 2)

    def forward(self, x: Tensor, mirrored: bool = False) -> Tensor:
        """Pool, shape=(n, channels, length) -> (n, heads * values); `mirrored`: as the other strand reads it."""
        # the mean first, then the values: they are linear, and there are fewer means than positions
        means = self.weights(x, mirrored).to(x.dtype) @ x.transpose(1, 2)  # (n, heads, channels)
        means = means.flip(2) if mirrored else means
        return torch.einsum("nhc,hcv->nhv", means, self.values.to(means.dtype)).flatten(1)


def symmetric_max_pool(x: Tensor, stride: int) -> Tensor:
    """Maximum over bins on a grid that looks the same from both ends, (n, channels, length) -> (..., length // stride).

    The bins widen by the remainder of the length, so that they overlap a little instead of leaving one end out.
    """
    kernel = stride + x.shape[-1] % stride
    return functional.max_pool2d(x.unsqueeze(2), (1, kernel), (1, stride)).squeeze(2)
