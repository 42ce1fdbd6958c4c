"""Keys of earlier batches as further candidates, and the slow encoder that makes them (MoCo, He et al., CVPR 2020)."""

from __future__ import annotations

import copy
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from genocontrast.contrast.geometry import unit
from genocontrast.errors import ConfigError, FileFormatError, ShapeError

PathLike = str | os.PathLike[str]
Column = Tensor | None
_NONE = -1  # no id, no label: equals nothing
_METADATA = "memory bank"


class Staleness(NamedTuple):
    """How far each entry of a bank is behind the encoder: its age, as in the bank, and its drift."""

    age: Tensor
    drift: Tensor
    """1 - cosine of the stored and the fresh key, in [0, 2], float32, shape=(m,); NaN where there is no fresh key."""


class BankExport(NamedTuple):
    """What one site gives to another: m entries on the CPU, in the order of the bank, without ids."""

    keys: Tensor
    """Clipped keys plus noise, float32, shape=(m, dim)."""
    labels: Tensor
    """As in the bank; all -1 where none are given away."""
    log_q: Tensor
    age: Tensor
    clip: float
    """Largest length of a key before the noise, in (0, 1]."""
    noise: float
    """Standard deviation of the noise on each coordinate, in units of `clip`."""

    def save(self, path: PathLike) -> None:
        """Write a safetensors file, whole or not at all; its metadata has dim, clip and noise."""
        about = {"dim": self.keys.shape[1], "clip": self.clip, "noise": self.noise}
        tensors = {name: value for name, value in self._asdict().items() if name not in about}
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=Path(path).parent, prefix=".bank.") as folder:
            # one entry of metadata: the order of several would differ from time to time
            save_file(tensors, Path(folder) / "export", {_METADATA: json.dumps(about, sort_keys=True)})
            os.replace(Path(folder) / "export", path)

    @classmethod
    def load(cls, path: PathLike) -> BankExport:
        """Read what `save` wrote; a FileFormatError where it is another or a damaged file."""
        try:
            with safe_open(os.fspath(path), "pt") as stored:
                about = json.loads((stored.metadata() or {})[_METADATA])
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            return cls(**tensors, clip=about["clip"], noise=about["noise"])
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            problem = f"not a readable export of a memory bank: {error}"
            raise FileFormatError(problem, path=path, remedy="give a file written by BankExport.save") from None


class MemoryBank(nn.Module):
    """First-in, first-out queue of keys for ``info_nce(queries, keys, **bank.arguments(ids=ids))``.

    It starts empty, is part of the state_dict and moves with ``.to(device)``; its length is known without waiting for
    the device. What it gives out are copies, oldest arrival first: a later `add` changes no graph that holds them.
    Inside of DistributedDataParallel, pass ``broadcast_buffers=False``, or rank 0's entries overwrite the others'.

    Parameters
    ----------
    capacity : int
        Largest number of entries, >= 1; in a full bank a new entry takes the place of the oldest arrival.
    dim : int
        Length of a key, >= 1.
    dtype : torch.dtype, optional
        Of the stored keys, a floating-point one. Default float32.

    Raises
    ------
    ConfigError, ShapeError
        Where an option or a tensor is not as described; on the CPU alone (elsewhere looking would stall) also where
        values are not finite. Of a state_dict of another capacity or dim nothing is loaded.
    """

    _keys: Tensor
    _age: Tensor

    def __init__(self, capacity: int, dim: int, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        if capacity < 1 or dim < 1 or not dtype.is_floating_point:
            problem = "a memory bank needs capacity >= 1, dim >= 1 and a floating-point type"
            raise ConfigError(problem, value=(capacity, dim, str(dtype)))
        self._written = 0  # entries ever written: gives the length and the next place without asking the device
        self.register_buffer("_keys", torch.zeros(capacity, dim, dtype=dtype))
        self.register_buffer("_ids", torch.full((capacity,), _NONE))
        self.register_buffer("_labels", torch.full((capacity,), _NONE))
        self.register_buffer("_log_q", torch.zeros(capacity, dtype=torch.float32))
        self.register_buffer("_age", torch.zeros(capacity, dtype=torch.int64))
        self.register_load_state_dict_pre_hook(_check_same_size)

    def __len__(self) -> int:
        return min(self._written, len(self._keys))

    @property
    def keys(self) -> Tensor:
        """Unit vectors, shape=(m, dim)."""
        return self._in_order("_keys")

    @property
    def ids(self) -> Tensor:
        """What each entry is of, int64, shape=(m,); -1: unknown, or of another site."""
        return self._in_order("_ids")

    @property
    def labels(self) -> Tensor:
        """Class of each entry, int64, shape=(m,); -1: none."""
        return self._in_order("_labels")

    @property
    def log_q(self) -> Tensor:
        """Log probability with which each entry was drawn, float32, shape=(m,)."""
        return self._in_order("_log_q")

    @property
    def age(self) -> Tensor:
        """Calls of `add` since each entry was added, int64, shape=(m,); 0 for those of the last call."""
        return self._in_order("_age")

    def _in_order(self, name: str) -> Tensor:
        return self.get_buffer(name)[: len(self)].roll(-self._written, 0)  # a copy, also where nothing moves

    @torch.no_grad()
    def add(self, keys: Tensor, *, ids: Column = None, labels: Column = None, log_q: Column = None) -> int:
        """Store the keys of a batch, shape=(n, dim), as detached unit vectors; after the loss, or they meet themselves.

        `ids` and `labels` are integers, shape=(n,), -1 (default): none. `log_q`, shape=(n,), is given always or never:
        the log of the expected count, as in `info_nce`; its default, 0, is a count of 1. Returns how many of the first
        keys were not kept, more than 0 only where the batch is larger than the bank.
        """
        newborn = torch.zeros(keys.shape[:1], dtype=torch.int64, device=keys.device)
        rows = self._checked(keys, ids, labels, log_q, newborn)
        self._age.add_(1)
        return self._write(rows)

    def _checked(self, keys: Tensor, *columns: Column) -> list[Tensor]:
        given = zip(self.named_buffers(), (keys, *columns), strict=True)
        return [_column(name[1:], values, keys.shape[:1], buffer) for (name, buffer), values in given]

    def _write(self, rows: list[Tensor]) -> int:
        keys, n, capacity = rows[0], len(rows[0]), len(self._keys)
        rows[0] = unit(keys.to(torch.promote_types(keys.dtype, torch.float32)))
        kept = min(n, capacity)
        place = torch.arange(self._written, self._written + kept, device=self._keys.device) % capacity
        for buffer, values in zip(self.buffers(), rows, strict=True):
            buffer[place] = values[n - kept :].to(buffer)
        self._written += kept
        return n - kept

    def arguments(self, *, ids: Column = None, labels: Column = None, log_q: Column = None) -> dict[str, Any]:
        """`bank`, `ids`, `labels` and `log_q` for `info_nce`: columns of the batch, shape=(n,), then of the bank, (m,).

        What the batch lacks stays None: rows without id or label equal no entry, and log q of the bank alone would
        favour one kind of candidate. Entries that were added without have -1 (`log_q`: 0).
        """
        columns = {"ids": (ids, self.ids), "labels": (labels, self.labels), "log_q": (log_q, self.log_q)}
        joined = {name: None if own is None else torch.cat([own, rest]) for name, (own, rest) in columns.items()}
        return {"bank": self.keys, **joined}

    @torch.no_grad()
    def staleness(self, fresh: Tensor, ids: Tensor) -> Staleness:
        """Age of each entry and its drift from `fresh`, what the encoder of today makes of the same things.

        `fresh`, shape=(k, dim), k >= 1, may have any length; `ids`, integers, shape=(k,), say which entries they are
        of. An id that is not in the bank is passed over.
        """
        _column("fresh", fresh, fresh.shape[:1], self._keys)
        if not len(fresh):
            raise ShapeError("no fresh keys to measure the drift with", value=tuple(fresh.shape))
        mine = self.ids
        known, order = _column("ids", ids, fresh.shape[:1], mine).to(mine).sort()
        nearest = torch.searchsorted(known, mine).clamp(max=len(known) - 1)
        now = unit(fresh.to(mine.device, torch.float32))[order[nearest]]  # (m, dim)
        drift = 1 - (unit(self.keys.to(torch.float32)) * now).sum(1)
        found = (known[nearest] == mine) & (mine != _NONE)
        return Staleness(self.age, torch.where(found, drift, math.nan))

    def export(
        self,
        *,
        clip: float = 1.0,
        noise: float = 0.0,
        labels: bool = False,
        count: int | None = None,
        generator: torch.Generator | None = None,
    ) -> BankExport:
        """Entries for other sites, without the ids, which name other things there.

        Keys, of length 1, are shortened to `clip`, in (0, 1], which bounds what replacing an entry can change (L2
        sensitivity 2 * clip), and get Gaussian noise of standard deviation `noise` * clip on each coordinate, from
        `generator` (on the CPU). No epsilon is claimed: exports of one entry add up, the noise has no cryptographic
        source, and log_q, ages and labels leave as they are. Give `labels` only where all sites mean the same classes
        by them. `count` >= 1 gives the last that arrived alone. A ConfigError where a number is out of its range.
        """
        count = max(len(self), 1) if count is None else count
        if not (0 < clip <= 1 and 0 <= noise < math.inf and count >= 1):
            raise ConfigError("needs clip in (0, 1], finite noise >= 0 and count >= 1", value=(clip, noise, count))
        keys, classes, log_q, age = (c[-count:].cpu() for c in (self.keys, self.labels, self.log_q, self.age))
        keys = unit(keys.to(torch.float32)) * clip
        keys = keys + noise * clip * torch.randn(keys.shape, generator=generator)
        classes = classes if labels else torch.full_like(classes, _NONE)
        return BankExport(keys, classes, log_q.to(torch.float32), age, float(clip), float(noise))

    @torch.no_grad()
    def merge(self, exported: BankExport) -> int:
        """Append the entries of another site: unit vectors again, with their ages and no ids, so they mask nothing.

        They push out as many of the oldest, which a smaller `count` limits. Returns how many were not kept, as `add`.
        """
        rows = self._checked(exported.keys, None, exported.labels, exported.log_q, exported.age)
        if bool((exported.age < 0).any()):
            raise ShapeError("age must not be negative", value=int(exported.age.min()))
        return self._write(rows)

    def get_extra_state(self) -> Tensor:
        """What the state_dict has beside the buffers."""
        return torch.tensor(self._written)

    def set_extra_state(self, state: Tensor) -> None:
        """Take back what `get_extra_state` gave."""
        self._written = int(state)


class MomentumEncoder(nn.Module):
    """Slow copy of an encoder, so that the keys in a bank stay comparable (MoCo).

    It has no gradients and is always in eval mode: dropout would blur the keys, and batch statistics tell which rows
    share a batch (why MoCo shuffles; running statistics do not). `momentum` is m in [0, 1), else a ConfigError; 0
    follows at once. Parameters should be float32: half precision loses steps of 0.001.
    """

    def __init__(self, encoder: nn.Module, momentum: float = 0.999) -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise ConfigError("momentum must lie in [0, 1)", value=momentum)
        self.momentum = momentum
        self.encoder = copy.deepcopy(encoder).requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> MomentumEncoder:
        """Stay in eval mode, whatever the model around it does."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the copy makes of the same arguments."""
        return self.encoder(*args, **kwargs)

    @torch.no_grad()
    def update(self, online: nn.Module) -> None:
        """Parameters p <- m p + (1 - m) q, buffers copied; a ShapeError if `online` is built otherwise."""
        slow, fast = list(self.encoder.parameters()), list(online.parameters())
        if [p.shape for p in slow] != [q.shape for q in fast]:
            raise ShapeError("the online encoder has other parameters than the one that was copied")
        for p, q in zip(slow, fast, strict=True):
            p.lerp_(q, 1 - self.momentum)
        for mine, theirs in zip(self.encoder.buffers(), online.buffers(), strict=True):
            mine.copy_(theirs)


def _check_same_size(bank: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    # torch would load the buffers that happen to fit
    own = tuple(bank.get_buffer("_keys").shape)
    saved = tuple(state.get(f"{prefix}_keys", bank.get_buffer("_keys")).shape)
    if saved != own:
        problem = f"the saved memory bank has another (capacity, dim) than {own}"
        raise ShapeError(problem, value=saved, remedy=f"make it as MemoryBank{saved}")


def _column(name: str, values: Column, n: torch.Size, stored: Tensor) -> Tensor:
    """`values` where they fit what is `stored`; for None its sign of nothing, 0 or, among integers, -1."""
    floats, shape = stored.is_floating_point(), (*n, *stored.shape[1:])
    if values is None:
        return stored.new_full(shape, 0 if floats else _NONE)
    if values.shape != shape:
        raise ShapeError(f"{name} must have shape {shape}", value=tuple(values.shape))
    if values.is_floating_point() != floats:
        raise ShapeError(f"{name} must hold {'fractions' if floats else 'integers'}", value=str(values.dtype))
    if values.device.type == "cpu" and not bool(torch.isfinite(values).all()):
        raise ShapeError(f"{name} holds values that are not finite")
    return values
