"""Taking in a fetched file: under its own name only if it is the file that was meant."""

from __future__ import annotations

import shutil

from genocontrast.artefacts import PathLike, atomic, checksum
from genocontrast.errors import FileFormatError


def take_in(source: PathLike, target: PathLike, sha256: str) -> None:
    """Copy a file if it has the expected checksum, whole or not at all.

    Parameters
    ----------
    source, target : path
    sha256 : str
        Hexadecimal SHA-256 of the file's bytes.

    Raises
    ------
    FileFormatError
        Where it is absent or another one.
    """
    found = checksum(source)
    if found != sha256:
        raise FileFormatError(
            f"what was fetched for {target} is not the file that was meant: its SHA-256 is {found}, not {sha256}",
            path=source,
            remedy="look at the address: the file may have changed, or be a page that tells of an error",
        )
    with atomic(target) as temporary:
        shutil.copyfile(source, temporary)
