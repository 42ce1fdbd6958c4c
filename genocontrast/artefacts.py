"""Writing results: under a temporary name first, then renamed; each with a record of what made it.

The record holds version, config and input checksums and no time, host or absolute path, so that the same
inputs give the same bytes.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.errors import FileFormatError, GenocontrastError, OutputError
from genocontrast.version import __version__

PathLike = str | os.PathLike[str]
_METADATA_KEY = b"genocontrast"
PARTIAL = ".partial-"
"""How the names of what is being written begin."""
_NO_SPACE = 1 << 16  # bytes; with less a disk is as good as full
_FULL = {errno.ENOSPC: "no space is left on the disk", errno.EDQUOT: "the quota of disk space is used up"}
_CLOSED = {errno.EROFS: "the file system is read-only", errno.EACCES: "no permission", errno.EPERM: "not permitted"}
_REMEDY = "mend that, or write elsewhere; then run the same command again"


@contextmanager
def atomic(path: PathLike, room: int = 0) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` on success, remove it on any failure.

    Parameters
    ----------
    path : path
    room : int
        Bytes that must be free before anything is written, for a writer that would not notice a full disk.

    Raises
    ------
    OutputError
        Where the disk is full, or the folder cannot be written to.
    """
    final = Path(path)
    if final.is_dir():
        raise FileFormatError("a folder, not a file to write", path=path, remedy="name a file in it")
    with _writing(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        if room and shutil.disk_usage(final.parent).free < room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        handle, name = tempfile.mkstemp(dir=final.parent, prefix=f"{PARTIAL}{final.stem}.", suffix=final.suffix)
        os.close(handle)
    try:
        with _writing(final):
            os.chmod(name, 0o644)
            yield Path(name)
            os.replace(name, final)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: PathLike) -> Iterator[Path]:
    """Like `atomic` for a whole folder: an older folder of that name is replaced only on success."""
    final = Path(path)
    with _writing(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=final.parent, prefix=f"{PARTIAL}{final.name}."))
    try:
        with _writing(final):
            folder.chmod(0o755)
            yield folder
            old = folder.with_name(f"{folder.name}.old")
            if final.exists():
                final.rename(old)  # aside and not away: a run killed while it removes leaves no half folder
            folder.rename(final)
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _writing(final: Path) -> Iterator[None]:
    """Turn what the surroundings do to a writer into an OutputError; libraries have many names for a full disk."""
    try:
        yield
    except GenocontrastError:
        raise
    except Exception as error:
        folder = next(each for each in final.absolute().parents if each.is_dir())
        found = _FULL.get(getattr(error, "errno", None) or 0)
        if found is None and isinstance(error, OSError) and Path(str(error.filename)).absolute().is_relative_to(folder):
            found = _CLOSED.get(error.errno or 0)
        if found is None and shutil.disk_usage(folder).free < _NO_SPACE:
            found = _FULL[errno.ENOSPC]
        if found is None:
            raise
        raise OutputError(f"it cannot be written: {found}", path=final, remedy=_REMEDY) from error


def sweep(folder: PathLike) -> list[Path]:
    """Remove what killed runs left half-written below a folder, in which nothing may be running; returns their paths.

    Such files have hidden names of their own: no stage takes them for results.
    """
    left = sorted(Path(folder).rglob(f"{PARTIAL}*"))
    for path in left:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return left


def checksum(path: PathLike) -> str:
    """SHA-256 of a file, as hexadecimal text; of a folder, that of its files' names and checksums."""
    folder = Path(path)
    if folder.is_dir():
        files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
        return hashlib.sha256("".join(f"{checksum(folder / file)} {file}\n" for file in files).encode()).hexdigest()
    with open(existing(path), "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def existing(path: PathLike) -> Path:
    """`path` as a Path, or a FileFormatError that names it where no such file can be read."""
    found = Path(path)
    if not found.is_file():
        raise FileFormatError("no such file", path=path, remedy="check the path; it is relative to the working folder")
    if not os.access(found, os.R_OK):
        raise FileFormatError("the file cannot be read", path=path, remedy=f"chmod +r {found.name}")
    return found


def provenance(stage: str, config: Mapping[str, Any], inputs: Mapping[str, PathLike]) -> dict[str, Any]:
    """What made an artefact: version, stage, configuration and the checksum of each input (by role, not by path)."""
    return {
        "genocontrast": __version__,
        "stage": stage,
        "config": dict(config),
        "inputs": {role: {"file": Path(path).name, "sha256": checksum(path)} for role, path in sorted(inputs.items())},
    }


def write_json(path: PathLike, value: Any) -> None:
    """Write JSON with sorted keys, atomically. NaN is refused: a missing figure is null, never a silent NaN."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False)
    with atomic(path) as temporary:
        temporary.write_text(text + "\n")


def read_json(path: PathLike) -> Any:
    """Read a JSON file; a FileFormatError names file and line where it is not JSON."""
    try:
        return json.loads(existing(path).read_text())
    except json.JSONDecodeError as error:
        raise FileFormatError(f"not JSON: {error.msg}", path=path, line=error.lineno) from None


def write_parquet(path: PathLike, frame: pd.DataFrame, record: Mapping[str, Any] | None = None) -> None:
    """Write a table as Parquet, atomically, with its provenance record in the file's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    metadata = {_METADATA_KEY: json.dumps(record or {}, sort_keys=True).encode()}
    with atomic(path) as temporary:
        pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **metadata}), temporary)


def read_parquet(path: PathLike) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read a Parquet table and its provenance record; a damaged file is a FileFormatError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(existing(path))
    except (pa.ArrowInvalid, OSError) as error:
        raise FileFormatError(
            f"not a readable Parquet table: {error}", path=path, remedy="delete it and run the stage again"
        ) from None
    record = (table.schema.metadata or {}).get(_METADATA_KEY, b"{}")
    return table.to_pandas(), json.loads(record)


def write_arrays(path: PathLike, arrays: Mapping[str, NDArray], record: Mapping[str, Any] | None = None) -> None:
    """Write arrays as a NumPy archive (.npz), atomically: no pickles, no times, so the same values give the same bytes.

    The provenance record is one more array, `provenance`, of JSON text.
    """
    members = {**arrays, "provenance": np.array(json.dumps(record or {}, sort_keys=True))}
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in members.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(values), allow_pickle=False)
            # without a time of its own, a member bears 1980
            member = zipfile.ZipInfo(f"{name}.npy")
            archive.writestr(member, buffer.getvalue(), zipfile.ZIP_DEFLATED)


def write_table(path: PathLike, frame: pd.DataFrame, **options: Any) -> None:
    """Write a table as tab-separated text, atomically."""
    with atomic(path) as temporary:
        frame.to_csv(temporary, sep="\t", index=False, lineterminator="\n", **options)
