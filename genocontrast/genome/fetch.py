"""Taking in a file from an address or another place: under its own name only if it is the file that was meant."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from http.client import HTTPException
from urllib.request import Request, urlopen

from genocontrast.artefacts import PathLike, atomic, existing
from genocontrast.config import Checksum
from genocontrast.errors import FileFormatError
from genocontrast.version import __version__

_CALLED = {"sha256": "SHA-256", "md5": "MD5"}
_BLOCK = 1 << 20
_PATIENCE = 120
"""Seconds without a byte after which a server is given up."""


def take_in(source: PathLike, target: PathLike, kind: Checksum, expected: str) -> None:
    """Copy or fetch a file if it has the expected checksum, whole or not at all.

    Parameters
    ----------
    source : path or str
        A file, or an address (http, https).
    target : path
    kind : {"sha256", "md5"}
        MD5 tells a damaged or another file, not one that was forged: it is for archives that publish no other sum.
    expected : str
        Hexadecimal checksum of the file's bytes, as they are served.

    Raises
    ------
    FileFormatError
        Where it is absent, cannot be fetched, or is another one.
    """
    # strict systems refuse MD5 where it is not said that nothing secret hangs on it
    digest = hashlib.new(kind, usedforsecurity=False)
    with atomic(target) as temporary:
        with open(temporary, "wb") as handle:
            for block in _fetched(source) if _is_address(source) else _read(source):
                digest.update(block)
                handle.write(block)
        if digest.hexdigest() != expected:
            raise FileFormatError(
                f"what was fetched for {target} is not the file that was meant: its {_CALLED[kind]} is "
                f"{digest.hexdigest()}, not {expected}",
                path=source,
                remedy="look at the address: the file may have changed, or be a page that tells of an error",
            )


def _is_address(source: PathLike) -> bool:
    return str(source).startswith(("http://", "https://"))


def _read(source: PathLike) -> Iterator[bytes]:
    with open(existing(source), "rb") as handle:
        yield from iter(lambda: handle.read(_BLOCK), b"")


def _fetched(address: PathLike) -> Iterator[bytes]:
    """The bytes at an address, by one GET: what ENCODE redirects to answers no question (HEAD) beforehand."""
    request = Request(str(address), headers={"User-Agent": f"genocontrast/{__version__}"})
    try:
        with urlopen(request, timeout=_PATIENCE) as response:
            yield from iter(lambda: response.read(_BLOCK), b"")
    except (OSError, HTTPException) as error:
        raise FileFormatError(
            f"cannot be fetched: {error}",
            path=address,
            remedy="look at the address and the network; or put the file at its path yourself: then it is not fetched",
        ) from None
