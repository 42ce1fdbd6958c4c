"""Directions of vectors, and the energy that a temperature makes of an angle."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


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
    """
    queries, keys = unit(queries), unit(keys)
    cosine = queries @ keys.T if keys.ndim == 2 else torch.einsum("nd,nhd->nh", queries, keys)
    return -cosine / temperature


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
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        result, scale, norm, length = ctx.saved_tensors
        along = dots(result, gradient)[..., None] / length
        of_length = along.sum() if ctx.needs_input_grad[1] else None
        # two divisions: the product of the divisors may leave the range of the type
        turned = torch.addcmul(gradient, result, along / length, value=-1)
        return turned.div_(norm).div_(scale), of_length
