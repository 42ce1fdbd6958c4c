"""InfoNCE and its kin under one checked entrance; the arithmetic is in the backends."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from genocontrast.contrast import eager
from genocontrast.contrast.diagnostics import diagnose
from genocontrast.errors import ConfigError, ShapeError

Backend = Literal["auto", "eager"]


class ContrastiveLoss(NamedTuple):
    """What `info_nce` returns."""

    loss: Tensor
    """Mean loss over the anchors, a scalar that carries gradients."""
    diagnostics: dict[str, Tensor]
    """Detached scalars on the device of the loss: accuracy, positive_similarity, negative_similarity, alignment,
    uniformity. Reading one of them waits for the device; making them does not."""


def info_nce(
    queries: Tensor,
    keys: Tensor,
    *,
    temperature: float,
    hard: Tensor | None = None,
    hard_weight: Tensor | None = None,
    bank: Tensor | None = None,
    log_q: Tensor | None = None,
    ids: Tensor | None = None,
    labels: Tensor | None = None,
    debias: float = 0.0,
    symmetric: bool = True,
    backend: Backend = "auto",
) -> ContrastiveLoss:
    """InfoNCE: each query must find its key among the keys of the batch, its hard negatives and the bank.

    Vectors are normalised here (a zero vector stays zero: it is similar to nothing), half precision is computed
    in float32, and the loss of query i with positives P(i) and candidates A(i) is
    ``log sum_{a in A(i)} exp(logit_ia) - mean_{p in P(i)} logit_ip`` with ``logit = cosine / temperature``.

    Parameters
    ----------
    queries, keys : torch.Tensor, shape=(n, d)
        Embeddings of two views; row i of `keys` is the positive of row i of `queries`.
    temperature : float
        Divides the cosine similarities, > 0.
    hard : torch.Tensor, shape=(n, h, d), optional
        Negatives of one query each, in the space of the keys.
    hard_weight : torch.Tensor, shape=(n, h), optional
        How many negatives each of `hard` stands for, >= 0: adds ``log(weight)`` to its logit.
    bank : torch.Tensor, shape=(m, d), optional
        Further negatives that all queries share, in the space of the keys; may be empty.
    log_q : torch.Tensor, shape=(n + m,), optional
        Log probability with which each key, then each row of the bank, was drawn: subtracted from its logits, so
        that candidates that are drawn often do not count for more (Yi et al., RecSys 2019).
    ids : torch.Tensor of integers, shape=(n,), optional
        Keys with the query's id are the same thing and are never its negatives.
    labels : torch.Tensor of integers, shape=(n,), optional
        Keys with the query's label are all its positives (Khosla et al., NeurIPS 2020, the 'out' form).
    debias : float, optional
        Probability in [0, 1) that a negative drawn at random is a false one; its expected share is taken off the
        negatives (Chuang et al., NeurIPS 2020). Default 0.
    symmetric : bool, optional
        Average with the loss of the keys that look for their queries. `hard` and `bank` are keys, so that direction
        has the queries of the batch as its only candidates. Default True.
    backend : {"auto", "eager"}, optional
        The implementation; "eager" is the reference in plain torch operations.

    Returns
    -------
    ContrastiveLoss
        ``loss`` and ``diagnostics``.

    Raises
    ------
    ShapeError
        Where shapes, types or ranges are wrong. A value that is not finite is an error on the CPU; on other devices
        it makes the loss NaN, because looking for it would stall the device.
    ConfigError
        At an unknown backend.
    """
    if backend not in ("auto", "eager"):
        raise ConfigError("no such backend of info_nce", value=backend, remedy="use 'auto' or 'eager'")
    _check_vectors(queries, keys, hard, bank)
    _check_options(queries, hard, hard_weight, bank, log_q, ids, labels)
    _check_range(temperature, debias, log_q)
    kind = torch.promote_types(queries.dtype, torch.float32)
    with torch.autocast(queries.device.type, enabled=False):
        queries, keys = eager.unit(queries.to(kind)), eager.unit(keys.to(kind))
        hard = None if hard is None else eager.unit(hard.to(kind))
        bank = None if bank is None else eager.unit(bank.to(kind))
        candidates = eager.candidates(queries, keys, hard, hard_weight, bank, log_q, ids, labels)
        loss = eager.cross_entropy(candidates, temperature, debias).mean()
        if symmetric:
            shared = None if log_q is None else log_q[: len(keys)]
            mirrored = eager.candidates(keys, queries, log_q=shared, ids=ids, labels=labels)
            loss = (loss + eager.cross_entropy(mirrored, temperature, debias).mean()) / 2
        return ContrastiveLoss(loss, diagnose(queries, keys, candidates))


def _check_vectors(queries: Tensor, keys: Tensor, hard: Tensor | None, bank: Tensor | None) -> None:
    if queries.ndim != 2 or 0 in queries.shape:
        raise ShapeError("queries must have shape (n, d) with n, d >= 1", value=tuple(queries.shape))
    n, d = queries.shape
    wanted = {"keys": (keys, (n, d)), "hard": (hard, (n, None, d)), "bank": (bank, (None, d))}
    for name, (tensor, shape) in {"queries": (queries, (n, d)), **wanted}.items():
        if tensor is None:
            continue
        _check_shape(name, tensor, shape)
        if not tensor.is_floating_point():
            raise ShapeError(f"{name} must hold floating-point numbers", value=str(tensor.dtype))
        _check_finite(name, tensor)


def _check_options(
    queries: Tensor,
    hard: Tensor | None,
    hard_weight: Tensor | None,
    bank: Tensor | None,
    log_q: Tensor | None,
    ids: Tensor | None,
    labels: Tensor | None,
) -> None:
    n = len(queries)
    for name, tensor in {"ids": ids, "labels": labels}.items():
        if tensor is not None:
            _check_shape(name, tensor, (n,))
            if tensor.is_floating_point() or tensor.is_complex():
                raise ShapeError(f"{name} must hold integers", value=str(tensor.dtype))
    if log_q is not None:
        _check_shape("log_q", log_q, (n + (0 if bank is None else len(bank)),))
        _check_finite("log_q", log_q)
    if hard_weight is not None:
        if hard is None:
            raise ShapeError("hard_weight needs hard negatives to weigh")
        _check_shape("hard_weight", hard_weight, hard.shape[:2])
        _check_finite("hard_weight", hard_weight)
        if hard_weight.device.type == "cpu" and bool((hard_weight < 0).any()):
            raise ShapeError("hard_weight must not be negative", value=float(hard_weight.min()))


def _check_range(temperature: float, debias: float, log_q: Tensor | None) -> None:
    if not (math.isfinite(temperature) and temperature > 0):
        raise ShapeError("temperature must be a finite number above 0", value=temperature)
    if not 0 <= debias < 1:
        raise ShapeError("debias must lie in [0, 1)", value=debias)
    if debias and log_q is not None:
        raise ShapeError("debias and log_q correct the same thing in two ways", remedy="use one of them")


def _check_shape(name: str, tensor: Tensor, shape: tuple[int | None, ...]) -> None:
    fits = tensor.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, tensor.shape, strict=True))
    if not fits:
        expected = "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
        raise ShapeError(f"{name} must have shape {expected}", value=tuple(tensor.shape))


def _check_finite(name: str, tensor: Tensor) -> None:
    if tensor.device.type == "cpu" and not bool(torch.isfinite(tensor).all()):
        raise ShapeError(f"{name} holds values that are not finite")
