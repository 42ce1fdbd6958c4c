"""Contrastive learning on plain tensors: losses, banks, gradients of huge batches. Knows no genomics."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genocontrast.contrast.bank import BankExport, MemoryBank, MomentumEncoder
    from genocontrast.contrast.cache import cached_backward
    from genocontrast.contrast.distributed.gathered import gathered_info_nce, ring_info_nce
    from genocontrast.contrast.distributed.rows import gather_rows
    from genocontrast.contrast.geometry import energy
    from genocontrast.contrast.harmony import harmonise
    from genocontrast.contrast.loss import ContrastiveLoss, info_nce

__all__ = [
    "BankExport",
    "ContrastiveLoss",
    "MemoryBank",
    "MomentumEncoder",
    "cached_backward",
    "energy",
    "gather_rows",
    "gathered_info_nce",
    "harmonise",
    "info_nce",
    "ring_info_nce",
]

_HOME = {
    "BankExport": "bank",
    "ContrastiveLoss": "loss",
    "MemoryBank": "bank",
    "MomentumEncoder": "bank",
    "cached_backward": "cache",
    "energy": "geometry",
    "gather_rows": "distributed.rows",
    "gathered_info_nce": "distributed.gathered",
    "harmonise": "harmony",
    "info_nce": "loss",
    "ring_info_nce": "distributed.gathered",
}


def __getattr__(name: str) -> Any:
    # torch takes seconds to import: only those who ask for a loss pay for it
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"genocontrast.contrast.{_HOME[name]}"), name)
