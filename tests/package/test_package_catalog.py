"""What the Snakemake workflow catalog asks of a repository with standardized usage."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
ENTRY = ROOT / ".snakemake-workflow-catalog.yml"
DEPLOYMENT = {"conda", "apptainer", "apptainer+conda", "report"}


def test_the_entry_has_the_keys_that_the_catalog_knows():
    entry = yaml.safe_load(ENTRY.read_text())
    assert set(entry) == {"usage"}
    assert set(entry["usage"]) == {"mandatory-flags", "software-stack-deployment"}
    assert set(entry["usage"]["mandatory-flags"]) == {"desc", "flags"}
    deployment = entry["usage"]["software-stack-deployment"]
    assert set(deployment) == DEPLOYMENT
    assert all(isinstance(value, bool) for value in deployment.values())


def test_every_path_that_the_entry_names_exists():
    named = re.findall(r"(?<![\w./])(?:workflow|config|\.test)/[\w./-]*|\b[\w-]+\.def\b", ENTRY.read_text())
    assert len(named) >= 4
    assert not [path for path in named if not (ROOT / path).exists()]


def test_what_the_entry_promises_is_there():
    """Conda where every rule has an environment; no container that nobody else can get."""
    deployment = yaml.safe_load(ENTRY.read_text())["usage"]["software-stack-deployment"]
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    assert deployment["conda"] is (
        len(re.findall(r"^rule ", rules, re.M)) == len(re.findall(r"^    conda:", rules, re.M))
    )
    container = re.search(r'^container: "(.+)"', (ROOT / "workflow/Snakefile").read_text(), re.M)
    assert deployment["apptainer"] is ("://" in container[1])


def test_the_layout_is_the_one_that_the_catalog_finds():
    assert (ROOT / "workflow/Snakefile").is_file()
    assert list((ROOT / "workflow/rules").glob("*.smk"))
    assert (ROOT / "config/README.md").is_file()
    assert (ROOT / ".test/config/config.yaml").samefile(ROOT / "config/config.yaml")
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme
    assert "workflow" in readme
