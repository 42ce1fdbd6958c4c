"""Directions of vectors, and the energy that a temperature makes of an angle."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from genocontrast.contrast.arguments import check_temperature
from genocontrast.errors import ShapeError


def unit(vectors: Tensor, length: Tensor | None = None) -> Tensor:
    """Vectors of one length along the last axis; a zero vector stays zero and its gradient is zero.

    Parameters
    ----------
    vectors : torch.Tensor, shape=(..., d)
    length : torch.Tensor, scalar, optional
        The length, with gradients if it has them. Default 1.

    Returns
    -------
    torch.Tensor, shape=(..., d)
    """
    return _Unit.apply(vectors, vectors.new_ones(()) if length is None else length)


def energy(queries: Tensor, keys: Tensor, *, temperature: float | Tensor) -> Tensor:
    """Energy of queries and keys, ``-cosine / temperature``: low where they belong together.

    Under it `info_nce` is an energy-based model: ``exp(-energy)`` normalised over the candidates of a query is the
    probability that the loss assigns to each, so that ``softmax(-energy)`` are the weights of softmax attention.

    Parameters
    ----------
    queries : torch.Tensor, shape=(n, d)
    keys : torch.Tensor, shape=(c, d) or (n, h, d)
        Keys that all queries share, or each query's own.
    temperature : float or torch.Tensor with one element
        Divides the cosine similarities, > 0.

    Returns
    -------
    torch.Tensor, shape=(n, c) or (n, h)

    Raises
    ------
    ShapeError
        Where shapes do not fit, or the temperature is out of range.
    """
    check_temperature(temperature)
    if queries.ndim != 2 or keys.ndim not in (2, 3) or queries.shape[1] != keys.shape[-1]:
        raise ShapeError(
            "queries must have shape (n, d), keys (c, d) or (n, h, d)", value=(tuple(queries.shape), tuple(keys.shape))
        )
    kind = torch.promote_types(torch.promote_types(queries.dtype, keys.dtype), torch.float32)
    with full_precision(queries.device.type):
        queries, keys = unit(queries.to(kind)), unit(keys.to(kind))
        cosine = queries @ keys.T if keys.ndim == 2 else torch.einsum("nd,nhd->nh", queries, keys)
        return -cosine / temperature


def full_precision(device: str) -> AbstractContextManager[object]:
    """Autocast would compute the logits in half precision."""
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


def first_order(backward: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """Refuse gradients of gradients; torch's own guard lets those of a constant upstream gradient pass as zeros."""

    @wraps(backward)
    def once(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        with torch.no_grad():
            found = backward(ctx, *gradients)
        if not torch.is_grad_enabled():
            return found
        watched = torch.zeros((), requires_grad=True)
        return tuple(_Refusing.apply(value, watched) if isinstance(value, Tensor) else value for value in found)

    return once


class _Refusing(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, watched: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None]:
        raise RuntimeError("info_nce and energy have no gradients of gradients")


def dots(left: Tensor, right: Tensor) -> Tensor:
    """Dot product of each vector with its opposite; no copy of them all, which the usual ways make.

    Parameters
    ----------
    left, right : torch.Tensor, shape=(..., d)

    Returns
    -------
    torch.Tensor, shape=(...)
        Without gradients.
    """
    result = left.new_empty(left.shape[:-1])
    flat, d = result.view(-1), left.shape[-1]
    pairs = (value.detach().reshape(-1, d).split(4096) for value in (left, right))
    for some, a, b in zip(flat.split(4096), *pairs, strict=True):
        torch.sum(a * b, 1, out=some)
    return result


class _Unit(torch.autograd.Function):
    """Plain operations would keep three copies of the vectors for the backward pass; this keeps one."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, length: Tensor) -> Tensor:
        # scaled by the largest entry first, so that no square overflows or vanishes
        scale = torch.linalg.vector_norm(vectors, torch.inf, dim=-1, keepdim=True)
        scale = torch.where(scale > 0, scale, 1)
        result = vectors / scale
        norm = torch.linalg.vector_norm(result, dim=-1, keepdim=True) / length
        # no direction, no gradient: dividing by infinity says so
        norm = torch.where(norm > 0, norm, torch.inf)
        result /= norm
        ctx.save_for_backward(result, scale, norm, length)
        return result

    @staticmethod
    @first_order
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        result, scale, norm, length = ctx.saved_tensors
        along = dots(result, gradient)[..., None] / length
        of_length = along.sum() if ctx.needs_input_grad[1] else None
        # two divisions: the product of the divisors may leave the range of the type
        turned = torch.addcmul(gradient, result, along / length, value=-1)
        return turned.div_(norm).div_(scale), of_length
