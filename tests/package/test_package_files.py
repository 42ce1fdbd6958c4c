"""Files that say the same thing: version, dependencies, linters, and the two containers."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from genocontrast.version import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SECTIONS = {"arguments", "files", "post", "environment", "runscript", "test", "labels", "help"}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def definition():
    """Header and sections of the Apptainer definition."""
    text = (ROOT / "apptainer.def").read_text()
    head, *rest = re.split(r"^%(\w+)[^\n]*\n", text, flags=re.MULTILINE)
    header = dict(line.split(": ", 1) for line in head.splitlines() if line and not line.startswith("#"))
    names = rest[::2]
    assert len(names) == len(set(names))
    return header, dict(zip(names, rest[1::2], strict=True))


def test_the_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert str(citation["version"]) == __version__
    assert citation["license"] == PROJECT["license"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()


def test_the_changelog_begins_with_this_version():
    headings = re.findall(r"^## \[(.+?)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    version, date = headings[0]
    assert version == __version__
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}|unreleased", date)


def test_every_dependency_is_pinned():
    lines = (ROOT / "constraints.txt").read_text().splitlines()[1:]
    pins = dict(line.split("==") for line in lines)
    assert not [version for version in pins.values() if re.search(r"[^0-9A-Za-z.]", version)]
    extras = PROJECT["optional-dependencies"]
    wanted = PROJECT["dependencies"] + [r for e in ("workflow", "report", "notebook", "dev") for r in extras[e]]
    names = {normal(re.match(r"[\w.-]+", requirement)[0]) for requirement in wanted}
    assert names <= {normal(name) for name in pins}


def test_the_hooks_are_the_linters_of_make_lint():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repo["repo"] for repo in hooks] == ["local"]
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    lint = {line.split()[0] for line in recipe.splitlines()} - {"snakemake"}  # its check takes half a minute
    assert {hook["entry"].split()[0] for hook in hooks[0]["hooks"]} == lint
    assert {hook["language"] for hook in hooks[0]["hooks"]} == {"system"}


def test_the_dockerfile_is_clean():
    done = subprocess.run([Path(sys.prefix) / "bin" / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_dockerfile_copies_what_is_there_and_does_not_run_as_root():
    text = (ROOT / "Dockerfile").read_text()
    copied = [words.split()[:-1] for words in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)]
    sources = {name.strip("/") for words in copied for name in words}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert sources == allowed
    assert all((ROOT / name).exists() for name in sources)
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE) == ["1000"]


def test_the_apptainer_definition_has_the_sections_of_the_format(definition):
    header, sections = definition
    assert header.keys() == {"Bootstrap", "From"}
    assert header["Bootstrap"] == "docker"
    assert sections.keys() == SECTIONS
    for name in ("post", "environment", "runscript", "test"):
        shell = re.sub(r"\{\{ \w+ \}\}", "", sections[name])
        done = subprocess.run(["bash", "-n"], input=shell, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    for line in sections["files"].split("\n"):
        assert not line.strip() or (ROOT / line.split()[0]).exists()
    used = set(re.findall(r"\{\{ (\w+) \}\}", sections["post"]))
    assert used == {line.split("=")[0].strip() for line in sections["arguments"].splitlines() if line.strip()}


def test_both_containers_install_the_same(definition):
    header, sections = definition
    dockerfile = (ROOT / "Dockerfile").read_text()
    base = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    assert set(base) == {header["From"]}
    minor = re.fullmatch(r"python:3\.(\d+)-slim", header["From"])[1]
    assert 11 <= int(minor) <= 13
    requirement = r"--constraint constraints\.txt '(\.\[[a-z,]+\])'"
    assert re.findall(requirement, dockerfile) == re.findall(requirement, sections["post"]) == [".[workflow,report]"]
    for text in (dockerfile, sections["post"]):
        assert "bedtools libgomp1" in text
        assert "grep '^torch==' constraints.txt" in text
