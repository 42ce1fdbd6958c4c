"""What `info_nce` is given, checked once; inside, all shapes can be trusted."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from genocontrast.errors import ShapeError

# beyond them the squares of logits, or of their inverses, come near the limits of float32
COLDEST, HOTTEST = 1e-8, 1e8


class Arguments(NamedTuple):
    """As `info_nce` has them."""

    queries: Tensor
    keys: Tensor
    temperature: float | Tensor
    hard: Tensor | None
    hard_weight: Tensor | None
    bank: Tensor | None
    log_q: Tensor | None
    ids: Tensor | None
    labels: Tensor | None
    positives: Tensor | None
    debias: float
    hardness: float

    def check(self) -> None:
        """Raise `ShapeError` where shapes, types or values do not fit."""
        self._check_vectors()
        self._check_integers()
        self._check_weights()
        self._check_numbers()

    @property
    def size(self) -> tuple[int, int]:
        """Keys and rows of the bank."""
        return len(self.keys), 0 if self.bank is None else len(self.bank)

    def _check_vectors(self) -> None:
        if self.queries.ndim != 2 or 0 in self.queries.shape:
            raise ShapeError("queries must have shape (n, d) with n, d >= 1", value=tuple(self.queries.shape))
        n, d = self.queries.shape
        wanted = {"queries": (n, d), "keys": (n, d), "hard": (n, None, d), "bank": (None, d)}
        for name, shape in wanted.items():
            tensor = getattr(self, name)
            if tensor is None:
                continue
            _check_shape(name, tensor, shape)
            if not tensor.is_floating_point():
                raise ShapeError(f"{name} must hold floating-point numbers", value=str(tensor.dtype))
            _check_finite(name, tensor)

    def _check_integers(self) -> None:
        n, m = self.size
        shapes: dict[str, tuple[tuple[int | None, ...], ...]] = {"ids": ((n,), (n + m,)), "labels": ((n,), (n + m,))}
        for name, allowed in {**shapes, "positives": ((n, None),)}.items():
            tensor = getattr(self, name)
            if tensor is None:
                continue
            _check_shape(name, tensor, *allowed)
            if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
                raise ShapeError(f"{name} must hold integers", value=str(tensor.dtype))
        if self.positives is not None:
            if self.labels is not None:
                raise ShapeError("labels and positives say the same thing in two ways", remedy="give one of them")
            _check_positives(self.positives, n + m)

    def _check_weights(self) -> None:
        n, m = self.size
        if self.log_q is not None:
            h = 0 if self.hard is None else self.hard.shape[1]
            _check_shape("log_q", self.log_q, (n + m,), (n + m + n * h,))
            _check_finite("log_q", self.log_q)
        if self.hard_weight is not None:
            if self.hard is None:
                raise ShapeError("hard_weight needs hard negatives to weigh")
            _check_shape("hard_weight", self.hard_weight, tuple(self.hard.shape[:2]))
            _check_finite("hard_weight", self.hard_weight)
            if self.hard_weight.device.type == "cpu" and bool((self.hard_weight < 0).any()):
                raise ShapeError("hard_weight must not be negative", value=float(self.hard_weight.min()))

    def _check_numbers(self) -> None:
        temperature = self.temperature
        if isinstance(temperature, Tensor) and temperature.numel() != 1:
            raise ShapeError("temperature must be one number", value=tuple(temperature.shape))
        # one on another device is not looked at, because that would stall the device
        if not isinstance(temperature, Tensor) or temperature.device.type == "cpu":
            number = float(temperature.detach() if isinstance(temperature, Tensor) else temperature)
            if not COLDEST <= number <= HOTTEST:
                raise ShapeError(f"temperature must be a number from {COLDEST:g} to {HOTTEST:g}", value=number)
        if not 0 <= self.debias < 1:
            raise ShapeError("debias must lie in [0, 1)", value=self.debias)
        if not (math.isfinite(self.hardness) and self.hardness >= 0):
            raise ShapeError("hardness must be a finite number, 0 or above", value=self.hardness)
        if self.debias and self.log_q is not None:
            raise ShapeError("debias and log_q correct the same thing in two ways", remedy="use one of them")


def _check_positives(positives: Tensor, columns: int) -> None:
    if positives.device.type != "cpu":
        return
    if positives.numel() and not (int(positives.min()) >= -1 and int(positives.max()) < columns):
        value = int(positives.min()) if int(positives.min()) < -1 else int(positives.max())
        raise ShapeError(f"positives must be rows of keys and bank, 0 to {columns - 1}, or -1 for none", value=value)
    if not bool((positives >= 0).any()):
        raise ShapeError("positives are all -1: no query has one")
    ordered = positives.sort(1).values
    twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(1).nonzero()
    if len(twice):
        raise ShapeError("positives name a key twice for one query", value=f"row {int(twice[0])}")


def _check_shape(name: str, tensor: Tensor, *allowed: tuple[int | None, ...]) -> None:
    for shape in allowed:
        if tensor.ndim == len(shape) and all(w in (None, got) for w, got in zip(shape, tensor.shape, strict=True)):
            return
    texts = ["(" + ", ".join("any" if size is None else str(size) for size in shape) + ")" for shape in allowed]
    raise ShapeError(f"{name} must have shape {' or '.join(dict.fromkeys(texts))}", value=tuple(tensor.shape))


def _check_finite(name: str, tensor: Tensor) -> None:
    if tensor.device.type == "cpu" and not bool(torch.isfinite(tensor).all()):
        raise ShapeError(f"{name} holds values that are not finite")
