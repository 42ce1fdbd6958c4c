"""The encoded genome on disk: one byte per base, memory-mapped, written once per FASTA content."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np

from genocontrast.artefacts import PARTIAL, PathLike, atomic, checksum, existing, write_json
from genocontrast.errors import ConfigError, OutputError
from genocontrast.sequence import Codes

_log = logging.getLogger(__name__)
_MAGIC = b"genocontrast:1\n\0"
_SETTLED = 2.0
"""Seconds after which a file's times are taken to tell every change."""
_PROGRESS = 500_000_000
"""Bases between two messages."""
_ABANDONED = 3600.0
"""Seconds without a write after which a temporary file has no writer any more."""
_FOOTER_BYTES = 8 + len(_MAGIC)


def cache_folder() -> Path:
    """GENOCONTRAST_CACHE, or genocontrast/ in XDG_CACHE_HOME, or ~/.cache/genocontrast."""
    chosen = os.environ.get("GENOCONTRAST_CACHE")
    try:
        if chosen:
            return Path(chosen).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genocontrast"
    except RuntimeError:
        # A user without a home folder, as containers have them.
        problem = "there is no home folder to keep encoded genomes in"
        raise ConfigError(problem, remedy="set GENOCONTRAST_CACHE to a folder that can be written to") from None


def file_identity(path: PathLike) -> list[int]:
    """Device, inode, size and the times of the last changes (ns): what tells that a file is the same as before."""
    status = os.stat(path)
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def content_checksum(path: PathLike) -> str:
    """SHA-256 of a file's content, hashed again only where size, times or inode say that the file changed.

    What is remembered lies beside the encoded genomes; a file touched within the last seconds is never trusted, since
    its times could hide a second change.
    """
    found = existing(path).resolve()
    memory = cache_folder() / "checksums" / f"{hashlib.sha256(os.fsencode(found)).hexdigest()[:32]}.json"
    identity = file_identity(found)
    try:
        known = json.loads(memory.read_text())
        if known["identity"] == identity:
            return str(known["sha256"])
    except (OSError, ValueError, LookupError, TypeError):
        pass
    sha256 = checksum(found)
    if time.time() - max(identity[3:]) / 1e9 > _SETTLED:
        # A cache folder that others filled may be read-only: hashing again is slow, not wrong.
        with suppress(OSError):
            write_json(memory, {"identity": identity, "sha256": sha256})
    return sha256


def write_cache(path: Path, pieces: Iterable[tuple[str, bytes]]) -> None:
    """Write packed sequences one after the other, then their sizes; readable under its name only when whole.

    Parameters
    ----------
    path : Path
        The final file.
    pieces : iterable of (str, bytes)
        Name and packed bases; the pieces of one sequence follow one another.

    Raises
    ------
    ConfigError
        Where the folder cannot be written to, or the disk is full.
    """
    try:
        _remove_abandoned(path)
        with atomic(path) as temporary, open(temporary, "wb") as handle:
            sizes: dict[str, int] = {}
            for chrom, packed in pieces:
                handle.write(packed)
                sizes[chrom] = sizes.get(chrom, 0) + len(packed)
                if handle.tell() // _PROGRESS > (handle.tell() - len(packed)) // _PROGRESS:
                    _log.info("%d Mb encoded", handle.tell() // 1_000_000)
            footer = json.dumps(sizes).encode()
            handle.write(footer + len(footer).to_bytes(8, "little") + _MAGIC)
    except (OSError, OutputError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.problem.partition(": ")[2]
        raise ConfigError(
            f"the genome cache cannot be written: {reason}",
            path=path.parent,
            remedy="set GENOCONTRAST_CACHE to a folder that can be written to and has room for the genome",
        ) from None


def _remove_abandoned(path: Path) -> None:
    """Delete what killed writers of this cache left; one at work has written within the last hour."""
    for left in path.parent.glob(f"{PARTIAL}{path.stem}.*{path.suffix}"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED:
                left.unlink()


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
