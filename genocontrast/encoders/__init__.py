"""Sequence encoders that read both strands alike: `StrandEncoder`, and the views that training makes of a window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genocontrast.encoders.strand import Encoded, StrandEncoder

__all__ = ["Encoded", "StrandEncoder"]


def __getattr__(name: str) -> Any:
    # torch takes seconds to import: only those who build an encoder pay for it
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from genocontrast.encoders import strand

    return getattr(strand, name)
