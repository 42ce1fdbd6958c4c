"""What `info_nce` is given, checked once; inside, all shapes can be trusted."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from genocontrast.errors import ShapeError

# beyond them the squares of logits, or of their inverses, come near the limits of float32
COLDEST, HOTTEST = 1e-8, 1e8
# weights that are powers of logits beyond it only tell the nearest negative from the rest
HARDEST = 100


# an unsigned type of 64 bits would wrap
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


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
        self._check_tensors()
        self._check_vectors()
        self._check_integers()
        self._check_weights()
        self._check_numbers()

    @property
    def size(self) -> tuple[int, int]:
        """Keys and rows of the bank."""
        return len(self.keys), 0 if self.bank is None else len(self.bank)

    def _check_tensors(self) -> None:
        for name in ("queries", "keys", "hard", "hard_weight", "bank", "log_q", "ids", "labels", "positives"):
            value = getattr(self, name)
            if isinstance(value, Tensor) or (value is None and name not in ("queries", "keys")):
                continue
            remedy = "**bank.arguments()" if hasattr(value, "arguments") else f"torch.as_tensor({name})"
            raise ShapeError(f"{name} must be a torch.Tensor", value=type(value).__name__, remedy=f"pass {remedy}")

    def _check_vectors(self) -> None:
        if self.queries.ndim != 2 or 0 in self.queries.shape:
            raise ShapeError("queries must have shape (n, d) with n, d >= 1", value=tuple(self.queries.shape))
        n, d = self.queries.shape
        wanted = {"queries": (n, d), "keys": (n, d), "hard": (n, None, d), "bank": (None, d)}
        for name, shape in wanted.items():
            tensor = getattr(self, name)
            if tensor is None:
                continue
            remedy = "one negative a query: hard[:, None]" if name == "hard" and tensor.ndim == 2 else None
            _check_shape(name, tensor, shape, remedy=remedy)
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
            if tensor.dtype not in INTEGERS:
                raise ShapeError(f"{name} must hold integers (signed, or uint8)", value=str(tensor.dtype))
            if tensor.device.type == "cpu" and tensor.numel() and int(tensor.min()) < -1:
                raise ShapeError(f"{name} must be 0 or above, or -1 for none", value=int(tensor.min()))
        if self.positives is not None:
            if self.labels is not None:
                raise ShapeError("labels and positives say the same thing in two ways", remedy="give one of them")
            if not self.positives.shape[1]:
                raise ShapeError("positives must have a column at least", value=tuple(self.positives.shape))
            _check_positives(self.positives.long(), n + m)

    def _check_weights(self) -> None:
        n, m = self.size
        if self.log_q is not None:
            h = 0 if self.hard is None else self.hard.shape[1]
            _check_shape("log_q", self.log_q, (n + m,), (n + m + n * h,))
            _check_finite("log_q", self.log_q.float())
        if self.hard_weight is not None:
            if self.hard is None:
                raise ShapeError("hard_weight needs hard negatives to weigh")
            _check_shape("hard_weight", self.hard_weight, tuple(self.hard.shape[:2]))
            _check_finite("hard_weight", self.hard_weight.float())
            if self.hard_weight.device.type == "cpu" and bool((self.hard_weight < 0).any()):
                raise ShapeError("hard_weight must not be negative", value=float(self.hard_weight.min()))

    def _check_numbers(self) -> None:
        check_temperature(self.temperature)
        for name, number in {"debias": self.debias, "hardness": self.hardness}.items():
            if not isinstance(number, int | float):
                raise ShapeError(f"{name} must be a number; it is not learned", value=type(number).__name__)
        if not 0 <= self.debias < 1:
            raise ShapeError("debias must lie in [0, 1)", value=self.debias)
        if not 0 <= self.hardness <= HARDEST:
            raise ShapeError(f"hardness must be a number from 0 to {HARDEST}", value=self.hardness)
        if self.debias and self.log_q is not None:
            raise ShapeError("debias and log_q correct the same thing in two ways", remedy="use one of them")


def check_temperature(temperature: float | Tensor) -> None:
    """Raise `ShapeError` unless it is one number in range; one on another device is not looked at."""
    if isinstance(temperature, Tensor):
        if temperature.numel() != 1:
            raise ShapeError("temperature must be one number", value=tuple(temperature.shape))
        if temperature.device.type != "cpu":
            return
        temperature = float(temperature.detach())
    if isinstance(temperature, bool) or not isinstance(temperature, int | float):
        raise ShapeError("temperature must be a number or a tensor", value=type(temperature).__name__)
    if not COLDEST <= temperature <= HOTTEST:
        raise ShapeError(f"temperature must be a number from {COLDEST:g} to {HOTTEST:g}", value=temperature)


def _check_positives(positives: Tensor, columns: int) -> None:
    if positives.device.type != "cpu":
        return
    if positives.numel() and int(positives.max()) >= columns:
        value = int(positives.max())
        raise ShapeError(f"positives must be rows of keys and bank, 0 to {columns - 1}, or -1 for none", value=value)
    if not bool((positives >= 0).any()):
        raise ShapeError("positives are all -1: no query has one")
    ordered = positives.sort(1).values
    twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(1).nonzero()
    if len(twice):
        raise ShapeError("positives name a key twice for one query", value=f"row {int(twice[0])}")


def _check_shape(name: str, tensor: Tensor, *allowed: tuple[int | None, ...], remedy: str | None = None) -> None:
    for shape in allowed:
        if tensor.ndim == len(shape) and all(w in (None, got) for w, got in zip(shape, tensor.shape, strict=True)):
            return
    texts = [str(tuple("any" if size is None else size for size in shape)).replace("'", "") for shape in allowed]
    wanted = " or ".join(dict.fromkeys(texts))
    raise ShapeError(f"{name} must have shape {wanted}", value=tuple(tensor.shape), remedy=remedy)


def _check_finite(name: str, tensor: Tensor) -> None:
    if tensor.device.type == "cpu" and not bool(torch.isfinite(tensor).all()):
        raise ShapeError(f"{name} holds values that are not finite")
