"""What the device and Triton allow: whether the kernels can run at all, and how they are cut up."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genocontrast.errors import ConfigError

# numbers of a vector that registers can hold the gradients of
WIDEST = 512
# what can be multiplied, with sums of float32
OPERANDS = (torch.float32, torch.bfloat16, torch.float16)
# of a device that does not say: an H100's
PROCESSORS = 132


class Tile(NamedTuple):
    """How a kernel is cut up."""

    anchors: int
    candidates: int
    depth: int
    """How much of the vectors' length is multiplied at once."""
    warps: int
    stages: int
    """How many tiles are on their way from memory."""
    registers: int | None = None
    """At most as many of a thread where there are no masks; 128 let two programs share a processor."""


def tiles(half: bool, width: int, capability: tuple[int, int], short: bool = False) -> tuple[Tile, Tile]:
    """How the sweep and the gradients are cut up.

    What was compiled for these decides: a tile and the gradient of its anchors stay in registers without spilling,
    two programs of the sweep share a processor, so that one multiplies while the other takes powers, and a tile is
    as tall as that allows, since the candidates are read once per block of anchors.

    Parameters
    ----------
    half : bool
        Whether vectors are of half precision, which tensor cores multiply; float32 takes the ordinary cores.
    width : int
        Of the vectors, a power of two.
    capability : tuple of int
        Compute capability of the device.
    short : bool, optional
        Whether tiles must not be tall: with few anchors that would leave processors idle, and masks need registers.
    """
    if not half:
        side = 64 if width <= 128 else 32
        return Tile(64, 64, 16, 8, 2, 128), Tile(side, side, 16, 8, 2)
    hopper = capability[0] in (9, 10)
    tall = 64 if short or width > (256 if hopper else 128) else 128
    sweep = Tile(tall, 64 if hopper or width <= 256 else 32, width, 8, 3 if hopper and width <= 128 else 2, 128)
    if width > 256:
        return sweep, Tile(32, 32, width, 8, 2)
    if width > 128:
        return sweep, Tile(64, 64 if hopper else 32, width, 8, 2)
    if not hopper:
        return sweep, Tile(64, 64, width, 8, 2)
    return sweep, Tile(64, 64, width, 8, 2, 128) if short else Tile(128, 64, width, 8, 3)


def load_kernels() -> tuple[Any, bool]:
    """The kernels, and whether Triton's interpreter runs them."""
    try:
        kernels = import_module("genocontrast.contrast.backends.triton_kernels")
        triton = import_module("triton")
    except ImportError as error:
        raise ConfigError(
            "the backend triton needs the package triton", remedy='pip install triton, or backend="chunked"'
        ) from error
    return kernels, not isinstance(kernels.sweep, triton.JITFunction)


def check(rows: Tensor, kind: torch.dtype, interpreted: bool) -> None:
    """Refuse by name what the kernels cannot do."""
    if kind not in OPERANDS:
        names = ", ".join(str(each) for each in OPERANDS)
        raise ConfigError("triton cannot multiply this type", value=str(kind), remedy=f"use one of {names}")
    if rows.dtype != torch.float32:
        raise ConfigError(
            "triton computes in float32", value=str(rows.dtype), remedy='give float32, or use backend="chunked"'
        )
    if rows.shape[1] > WIDEST:
        raise ConfigError(
            f"triton takes vectors of up to {WIDEST} numbers", value=rows.shape[1], remedy='use backend="chunked"'
        )
    if not rows.is_cuda and not interpreted:
        raise ConfigError(
            "triton needs a CUDA device", value=str(rows.device), remedy='move the vectors, or use backend="chunked"'
        )


def device_of(rows: Tensor) -> tuple[int, tuple[int, int]]:
    """How many processors, and the compute capability; of an H100 where there is none."""
    if not rows.is_cuda:
        return PROCESSORS, (9, 0)
    device = torch.cuda.get_device_properties(rows.device)
    return device.multi_processor_count, (device.major, device.minor)


def padded(vectors: Tensor, factor: Tensor, width: int, kind: torch.dtype) -> Tensor:
    """Divided by the factor, in the type that is multiplied, with zeros up to a width."""
    n, d = vectors.shape
    if d == width and kind == vectors.dtype:
        return vectors.contiguous()
    result = vectors.new_empty(n, width, dtype=kind)
    result[:, d:] = 0
    torch.div(vectors, factor, out=result[:, :d])
    return result
