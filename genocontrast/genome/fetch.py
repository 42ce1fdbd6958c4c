"""Taking in a fetched file: under its own name only if it is the file that was meant."""

from __future__ import annotations

import hashlib
import shutil
from functools import partial

from genocontrast.artefacts import PathLike, atomic, existing
from genocontrast.config import Checksum
from genocontrast.errors import FileFormatError

_CALLED = {"sha256": "SHA-256", "md5": "MD5"}


def take_in(source: PathLike, target: PathLike, kind: Checksum, expected: str) -> None:
    """Copy a file if it has the expected checksum, whole or not at all.

    Parameters
    ----------
    source, target : path
    kind : {"sha256", "md5"}
        MD5 tells a damaged or another file, not one that was forged: it is for archives that publish no other sum.
    expected : str
        Hexadecimal checksum of the file's bytes.

    Raises
    ------
    FileFormatError
        Where it is absent or another one.
    """
    # strict systems refuse MD5 where it is not said that nothing secret hangs on it
    with open(existing(source), "rb") as handle:
        found = hashlib.file_digest(handle, partial(hashlib.new, kind, usedforsecurity=False)).hexdigest()
    if found != expected:
        raise FileFormatError(
            f"what was fetched for {target} is not the file that was meant: its {_CALLED[kind]} is {found}, "
            f"not {expected}",
            path=source,
            remedy="look at the address: the file may have changed, or be a page that tells of an error",
        )
    with atomic(target) as temporary:
        shutil.copyfile(source, temporary)
