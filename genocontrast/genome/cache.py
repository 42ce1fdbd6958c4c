"""The encoded genome on disk: one byte per base, memory-mapped, written once per FASTA content."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from genocontrast.artefacts import atomic
from genocontrast.errors import ConfigError
from genocontrast.sequence import Codes

MASKED = np.uint8(0x08)
"""Bit of a soft-masked (lower-case) base, beside the code in the lower three bits."""
CODE_BITS = np.uint8(0x07)
_MAGIC = b"genocontrast:1\n\0"
_FOOTER_BYTES = 8 + len(_MAGIC)


def cache_folder() -> Path:
    """GENOCONTRAST_CACHE, or genocontrast/ in XDG_CACHE_HOME, or ~/.cache/genocontrast."""
    chosen = os.environ.get("GENOCONTRAST_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genocontrast"


def write_cache(path: Path, chromosomes: Iterable[tuple[str, Codes]]) -> None:
    """Write encoded chromosomes one after the other, then their sizes; readable under its name only when whole.

    Parameters
    ----------
    path : Path
        The final file.
    chromosomes : iterable of (str, uint8 array, shape=(size,))
        Code (0-4) | 0x08 where soft-masked.

    Raises
    ------
    ConfigError
        Where the folder cannot be written to.
    """
    try:
        with atomic(path) as temporary, open(temporary, "wb") as handle:
            sizes = {}
            for chrom, codes in chromosomes:
                handle.write(codes.data)
                sizes[chrom] = len(codes)
            footer = json.dumps(sizes).encode()
            handle.write(footer + len(footer).to_bytes(8, "little") + _MAGIC)
    except OSError as error:
        raise ConfigError(
            f"the genome cache cannot be written: {error.strerror}",
            path=path.parent,
            remedy="set GENOCONTRAST_CACHE to a folder that can be written to and has room for the genome",
        ) from None


def read_cache(path: Path) -> tuple[dict[str, int], Codes] | None:
    """Sizes and memory-mapped codes of a cache file, or None where there is none that is whole."""
    try:
        with open(path, "rb") as handle:
            length = os.fstat(handle.fileno()).st_size
            handle.seek(max(length - _FOOTER_BYTES, 0))
            tail = handle.read()
            if len(tail) != _FOOTER_BYTES or not tail.endswith(_MAGIC):
                return None
            footer_at = length - _FOOTER_BYTES - int.from_bytes(tail[:8], "little")
            handle.seek(max(footer_at, 0))
            sizes = json.loads(handle.read()[:-_FOOTER_BYTES])
    except (OSError, ValueError):
        return None
    if sum(sizes.values()) != footer_at:
        return None
    return sizes, np.memmap(path, dtype=np.uint8, mode="r", shape=(footer_at,))
