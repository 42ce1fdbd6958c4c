"""The wheel and the sdist that users install: what is in them, and that the wheel works on its own."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from genocontrast.version import __version__

ROOT = Path(__file__).parents[2]
SOURCES = ("genocontrast", "workflow", "config", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "NOTICE")
TOLD = ("CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "constraints.txt")


def files(folder):
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder.parent).as_posix() for path in found}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Folder of an sdist, and of the wheel that was made from it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in (*SOURCES, *TOLD):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """Folder that the wheel was installed into, without dependencies."""
    target = tmp_path_factory.mktemp("installed")
    (wheel,) = built.glob("*.whl")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*command, "--disable-pip-version-check", "--target", target, wheel], check=True, timeout=300)
    return target


def test_the_wheel_holds_the_package_and_nothing_else(built):
    (wheel,) = built.glob("*.whl")
    assert wheel.name == f"genocontrast-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    about = f"genocontrast-{__version__}.dist-info/"
    assert {name for name in names if not name.startswith(about)} == files(ROOT / "genocontrast")
    assert {f"{about}licenses/LICENSE", f"{about}licenses/NOTICE", f"{about}entry_points.txt"} <= names
    assert "genocontrast/py.typed" in names


def test_the_sdist_holds_the_workflow_too(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = files(ROOT / "genocontrast") | files(ROOT / "workflow") | files(ROOT / "config") | {*SOURCES[3:], *TOLD}
    assert expected <= names
    assert not {name for name in names if name.startswith(("tests/", "docs/", "results/", "resources/"))}


def test_the_wheel_is_importable_and_its_command_answers(installed, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    run = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 120}
    code = "import genocontrast as gct, genocontrast.cli; gct.Genome; print(gct.__file__)"
    where = subprocess.run([sys.executable, "-c", code], **run)
    assert Path(where.stdout.strip()) == installed / "genocontrast" / "__init__.py", where.stderr
    version = subprocess.run([sys.executable, installed / "bin" / "genocontrast", "--version"], **run)
    assert version.stdout.strip() == __version__, version.stderr


def test_the_metadata(installed):
    (folder,) = installed.glob("*.dist-info")
    metadata = Distribution.at(folder).metadata
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "MIT"
    assert {"workflow", "report", "notebook", "bench"} <= set(metadata.get_all("Provides-Extra"))
    minors = [re.fullmatch(r".*Python :: 3\.(\d+)", line) for line in metadata.get_all("Classifier")]
    minors = sorted(int(minor[1]) for minor in minors if minor)
    versions = SpecifierSet(metadata["Requires-Python"])
    assert minors == [minor for minor in range(30) if versions.contains(f"3.{minor}.0")] == [11, 12, 13]
    core = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert core
    assert not [line for line in core if line.startswith(("matplotlib", "jinja2", "snakemake", "ipykernel", "lightly"))]
