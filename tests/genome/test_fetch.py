"""A fetched file has its checksum, or does not come to its place."""

import hashlib
import http.server

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


class Archive(http.server.BaseHTTPRequestHandler):
    """Redirects /files/ to /signed/, which answers GET alone, as ENCODE does; /cut sends less than it says."""

    def do_GET(self):
        if self.path.startswith("/files/"):
            self.send_response(307)
            self.send_header("Location", self.path.replace("/files/", "/signed/"))
            self.end_headers()
        elif self.path.startswith(("/signed/", "/cut")):
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT) + 5 * self.path.startswith("/cut")))
            self.end_headers()
            self.wfile.write(CONTENT)
        else:
            self.send_error(404)


@pytest.fixture
def archive(serve):
    """Address of a server on this machine."""
    return serve(Archive)


def test_a_file_is_fetched_from_where_its_address_leads(archive, tmp_path):
    target = tmp_path / "peaks.bed"
    found = command("--source", f"{archive}/files/a/@@download/a.bed", "--target", target, "--md5", SUMS["md5"])
    assert found.exit_code == 0, found.output
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "message"),
    [("/none", r"/none: cannot be fetched: .*404"), ("/cut", "is not the file that was meant|cannot be fetched")],
)
def test_what_cannot_be_fetched_whole_leaves_nothing(archive, tmp_path, path, message):
    with pytest.raises(FileFormatError, match=message):
        take_in(archive + path, tmp_path / "peaks.bed", "sha256", "0" * 64)
    assert not list(tmp_path.iterdir())


def test_a_server_that_is_not_there_is_named(tmp_path):
    with pytest.raises(
        FileFormatError, match=r"^http://127\.0\.0\.1:9/a: cannot be fetched: [\s\S]*put the file at its path"
    ):
        take_in("http://127.0.0.1:9/a", tmp_path / "a", "md5", "0" * 32)
