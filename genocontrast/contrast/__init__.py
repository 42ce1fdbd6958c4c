"""Contrastive losses on plain tensors: `info_nce`. Knows no genomics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genocontrast.contrast.loss import ContrastiveLoss, info_nce

__all__ = ["ContrastiveLoss", "info_nce"]


def __getattr__(name: str) -> Any:
    # torch takes seconds to import: only those who ask for a loss pay for it
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from genocontrast.contrast import loss

    return getattr(loss, name)
