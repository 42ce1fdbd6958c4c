"""A fetched file has its checksum, or does not come to its place."""

import hashlib

import pytest
from typer.testing import CliRunner

from genocontrast.cli import main
from genocontrast.config import Download
from genocontrast.errors import FileFormatError
from genocontrast.genome.fetch import take_in

CONTENT = b"chr1\t0\t100\n"
SUMS = {kind: hashlib.new(kind, CONTENT).hexdigest() for kind in ("sha256", "md5")}


@pytest.fixture
def fetched(tmp_path):
    """A fetched file."""
    path = tmp_path / "fetched"
    path.write_bytes(CONTENT)
    return path


def command(*options):
    return CliRunner().invoke(main, ["genome", "take-in", *map(str, options)], catch_exceptions=False)


@pytest.mark.parametrize("kind", list(SUMS))
def test_the_file_that_was_meant_is_taken_in(fetched, tmp_path, kind):
    target = tmp_path / "inputs/peaks.bed"
    found = command("--source", fetched, "--target", target, f"--{kind}", SUMS[kind])
    assert found.exit_code == 0, found.output
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(("kind", "called"), [("sha256", "SHA-256"), ("md5", "MD5")])
def test_another_file_is_refused_and_leaves_nothing(fetched, tmp_path, kind, called):
    fetched.write_bytes(CONTENT + b"x")
    found = hashlib.new(kind, CONTENT + b"x").hexdigest()
    with pytest.raises(FileFormatError, match=f"its {called} is {found}, not {SUMS[kind]}"):
        take_in(fetched, tmp_path / "peaks.bed", kind, SUMS[kind])
    assert [path.name for path in tmp_path.iterdir()] == ["fetched"]


@pytest.mark.parametrize("sums", [[], ["--sha256", SUMS["sha256"], "--md5", SUMS["md5"]]])
def test_the_command_takes_one_checksum(fetched, tmp_path, sums):
    found = command("--source", fetched, "--target", tmp_path / "peaks.bed", *sums)
    assert found.exit_code == 2
    assert not (tmp_path / "peaks.bed").exists()


@pytest.mark.parametrize("kind", list(SUMS))
def test_a_download_tells_its_checksum(kind):
    assert Download(url="https://x.org/a", **{kind: SUMS[kind]}).checksum == (kind, SUMS[kind])
