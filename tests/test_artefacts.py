import errno
import os
import shutil
from collections import namedtuple

import pandas as pd
import pytest

from genocontrast import artefacts
from genocontrast.errors import FileFormatError, OutputError


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / "table.json"
    artefacts.write_json(path, {"a": 1})
    with pytest.raises(RuntimeError), artefacts.atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert artefacts.read_json(path) == {"a": 1}
    assert os.listdir(tmp_path) == ["table.json"]


def test_a_failed_folder_leaves_the_old_one(tmp_path):
    folder = tmp_path / "model"
    with artefacts.atomic_folder(folder) as temporary:
        (temporary / "weights").write_text("good")
    with pytest.raises(RuntimeError), artefacts.atomic_folder(folder) as temporary:
        (temporary / "weights").write_text("bad")
        raise RuntimeError
    assert (folder / "weights").read_text() == "good"
    assert os.listdir(tmp_path) == ["model"]
    with artefacts.atomic_folder(folder) as temporary:
        (temporary / "other").write_text("new")
    assert os.listdir(folder) == ["other"]


def test_the_checksum_of_a_folder_is_that_of_its_files_and_their_names(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "x.txt").write_text("ACGT")
    same = artefacts.checksum(tmp_path / "a")
    assert artefacts.checksum(tmp_path / "b") == same
    (tmp_path / "b" / "inner" / "x.txt").write_text("ACGA")
    assert artefacts.checksum(tmp_path / "b") != same
    (tmp_path / "b" / "inner" / "x.txt").write_text("ACGT")
    (tmp_path / "b" / "inner" / "x.txt").rename(tmp_path / "b" / "inner" / "y.txt")
    assert artefacts.checksum(tmp_path / "b") != same


def test_not_a_number_is_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        artefacts.write_json(tmp_path / "x.json", {"auroc": float("nan")})
    assert not os.listdir(tmp_path)


def test_json_error_names_file_and_line(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"a": 1,\n oops}')
    with pytest.raises(FileFormatError, match=r"x\.json, line 2: not JSON"):
        artefacts.read_json(path)


def test_parquet_keeps_its_record_and_its_bytes(tmp_path):
    frame = pd.DataFrame({"chrom": ["chr1"], "start": [3]})
    (tmp_path / "input").write_text("hello")
    record = artefacts.provenance("genome", {"k": 1}, {"fasta": tmp_path / "input"})
    for name in ("a.parquet", "b.parquet"):
        artefacts.write_parquet(tmp_path / name, frame, record)
    read, found = artefacts.read_parquet(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(read, frame)
    assert found == record
    assert found["inputs"]["fasta"]["sha256"].startswith("2cf24dba")
    assert str(tmp_path) not in str(found)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_truncated_parquet_is_named(tmp_path):
    path = tmp_path / "a.parquet"
    artefacts.write_parquet(path, pd.DataFrame({"x": range(1000)}))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(FileFormatError, match=r"a\.parquet: not a readable Parquet"):
        artefacts.read_parquet(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileFormatError, match=r"nowhere\.fa: no such file"):
        artefacts.checksum(tmp_path / "nowhere.fa")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space is left on the disk"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the quota of disk space is used up"),
    ],
)
def test_a_full_disk_is_told_with_the_file_and_the_remedy(tmp_path, error, words):
    message = rf"x\.json: it cannot be written: {words}\n  remedy: "
    with pytest.raises(OutputError, match=message) as told, artefacts.atomic(tmp_path / "x.json"):
        raise error
    assert told.value.__cause__ is error
    assert not os.listdir(tmp_path)


def test_a_library_that_does_not_name_the_full_disk_is_understood(tmp_path, monkeypatch):
    """The disk is looked at while the half-written file still fills it."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(100, 100, 0 if os.listdir(folder) else 1 << 30))
    with pytest.raises(OutputError, match="no space is left"), artefacts.atomic(tmp_path / "x.bin"):
        raise RuntimeError("unexpected pos 704 vs 598")


def test_other_failures_stay_what_they_are(tmp_path):
    for error in (PermissionError(errno.EACCES, "Permission denied", "/elsewhere/x.fa"), RuntimeError("other")):
        with pytest.raises(type(error)) as told, artefacts.atomic(tmp_path / "x.json"):
            raise error
        assert told.value is error


def test_too_little_room_is_told_before_anything_is_written(tmp_path):
    with pytest.raises(OutputError, match="no space is left"), artefacts.atomic(tmp_path / "x", room=1 << 60):
        pytest.fail("the writer began")


def test_what_killed_runs_left_is_swept_and_nothing_else(tmp_path):
    artefacts.write_json(tmp_path / "stage" / "x.json", 1)
    keep = tmp_path / "stage" / ".hidden"
    keep.write_text("the user's")
    begun = artefacts.atomic(tmp_path / "stage" / "y.json")
    folder = artefacts.atomic_folder(tmp_path / "model")
    with begun as first, folder as second:
        (second / "weights").write_text("half")
        assert artefacts.sweep(tmp_path) == sorted([first, second])
        assert sorted(path.name for path in tmp_path.rglob("*")) == [".hidden", "stage", "x.json"]
        first.touch()
        second.mkdir()
    assert artefacts.sweep(tmp_path / "nowhere") == []
