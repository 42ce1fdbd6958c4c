"""Sequence encoders that read both strands alike, `StrandEncoder` and `KmerEncoder`, and the views of training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genocontrast.encoders.encoder import Encoded, Encoder
    from genocontrast.encoders.kmer import KmerEncoder, KmerVectors
    from genocontrast.encoders.strand import StrandEncoder

_HOME = {
    "Encoded": "encoder",
    "Encoder": "encoder",
    "KmerEncoder": "kmer",
    "KmerVectors": "kmer",
    "StrandEncoder": "strand",
}
__all__ = ["Encoded", "Encoder", "KmerEncoder", "KmerVectors", "StrandEncoder"]


def __getattr__(name: str) -> Any:
    # torch takes seconds to import: only those who build an encoder pay for it
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
