"""`genocontrast init`: what it checks and writes, that the workflow runs from it, and that it overwrites nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from genocontrast import project
from genocontrast.cli import main
from genocontrast.config import Config, load_config
from genocontrast.errors import ConfigError, FileFormatError, GenocontrastWarning, MissingToolError
from genocontrast.negatives import outlook
from genocontrast.project import CONFIG, PROFILE, SNAKEFILE, configuration, lay_down

ROOT = Path(__file__).parents[1]


@pytest.fixture
def files(simulated):
    return {
        "fasta": simulated / "genome.fa.gz",
        "promoters": simulated / "genes.gtf",
        "open_chromatin": [simulated / "peaks.narrowPeak"],
        "signal": [simulated / f"atac_rep{n}.bw" for n in (1, 2)],
    }


@pytest.fixture
def unchecked(monkeypatch):
    """The configurations that would have been checked; the check itself has tests of its own."""
    seen = []
    monkeypatch.setattr(outlook, "check", seen.append)
    return seen


def listed(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def call(folder, *arguments):
    command = [Path(sys.executable).parent / "genocontrast", "init", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


def snakemake(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", *arguments],
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        cwd=folder, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip


def options(files):
    given = ["--fasta", files["fasta"], "--promoters", files["promoters"]]
    given += [part for path in files["open_chromatin"] for part in ("--open-chromatin", path)]
    return [*given, *[part for path in files["signal"] for part in ("--signal", path)]]


def test_a_folder_in_which_the_workflow_runs(files, tmp_path):
    """The whole of it with real files: some in the folder, some elsewhere, and the folder moved afterwards."""
    folder = tmp_path / "my cells' data"
    folder.mkdir()
    inside = {**files, "promoters": shutil.copy(files["promoters"], folder / "genes.gtf")}
    finished = call(tmp_path, folder.name, "--name", "cells", *options(inside))
    assert finished.returncode == 0, finished.stderr
    assert "Decoys to expect" in finished.stdout
    assert "cd 'my cells'\"'\"' data'" in finished.stdout
    assert listed(folder) == sorted([CONFIG, "genes.gtf", PROFILE, SNAKEFILE])
    folder = folder.rename(tmp_path / "moved")
    planned = snakemake(folder, "--dry-run", "--printshellcmds")
    assert planned.returncode == 0, planned.stderr
    for job in ("genome", "negatives", "kmers", "training", "evaluation", "report", "everything"):
        assert any(line.split() == [job, "1"] for line in planned.stdout.splitlines()), job
    assert "--config results/cells/config.json" in planned.stdout
    assert "workflow/profiles/default" in planned.stderr
    # a dry run does not reach what all rules read: the configuration that is written when a run starts
    begun = snakemake(folder, "results/cells/genome/genome.json")
    assert begun.returncode == 0, begun.stderr
    assert (folder / "results" / "cells" / "genome" / "genome.json").is_file()
    again = call(tmp_path, folder.name, "--name", "cells", *options(files))
    assert again.returncode == 3
    assert "config.yaml: the file exists, and is never overwritten" in again.stderr


def test_the_configuration_is_of_the_files_and_else_the_defaults(files, tmp_path, unchecked, monkeypatch):
    monkeypatch.chdir(tmp_path)
    odd = tmp_path / "new" / 'odd: "name" # {1}.bed'
    odd.parent.mkdir()
    shutil.copy(files["open_chromatin"][0], odd)
    lay_down(Path("new"), {**files, "open_chromatin": [Path("new") / odd.name]})
    found = load_config(tmp_path / "new" / CONFIG)
    genome = {"fasta": str(files["fasta"]), "promoters": str(files["promoters"]), "open_chromatin": [odd.name]}
    genome["signal"] = [str(path) for path in files["signal"]]
    assert found == Config(name="new", genome=genome)
    # what is checked does not depend on where one stands
    assert unchecked == [Config(name="new", genome={**genome, "open_chromatin": [str(odd)]})]


def test_every_setting_has_its_meaning_above_it(files):
    text = configuration("x", {"fasta": "f", "promoters": "p", "signal": ["s"]})
    lines = text.splitlines()
    for section, keys in project._LIKELY.items():
        for key in keys:
            at = next(i for i, line in enumerate(lines) if line.strip().startswith(f"{key}: "))
            assert lines[at - 1].strip().startswith("# "), (section, key)
    assert max(map(len, lines)) <= 120
    values = yaml.safe_load(text)
    assert values["genome"]["splits"]["by"] == Config.model_validate(values).genome.splits.by == "chromosome"


def test_what_is_missing_is_listed_and_is_wrong_usage(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["init", "new", "--fasta", str(files["fasta"])])
    assert result.exit_code == 2
    for option in ("--promoters", "--open-chromatin", "--signal"):
        assert option in result.output
    assert "--fasta (" not in result.output
    assert listed(tmp_path) == []


def test_a_fault_that_the_check_finds_stops_it_unless_forced(files, tmp_path):
    bad = {**files, "promoters": tmp_path / "far.bed"}
    bad["promoters"].write_text("chr1\t10\t999999999\tt\t0\t+\n")
    finished = call(tmp_path, "new", *options(bad))
    assert finished.returncode == 3
    assert "far.bed, line 1" in finished.stderr
    assert "nothing was written" in finished.stderr
    assert not (tmp_path / "new").exists()
    forced = call(tmp_path, "new", "--force", *options(bad))
    assert forced.returncode == 0, forced.stderr
    assert "warning: " in forced.stderr
    assert "far.bed, line 1" in forced.stderr
    assert listed(tmp_path / "new") == sorted([CONFIG, PROFILE, SNAKEFILE])


def test_force_overwrites_nothing(files, tmp_path, unchecked):
    (tmp_path / "workflow").mkdir()
    (tmp_path / SNAKEFILE).write_text("mine\n")
    with pytest.raises(FileFormatError, match=r"Snakefile: the file exists"):
        lay_down(tmp_path, files, "x", force=True)
    assert listed(tmp_path) == [SNAKEFILE]
    assert (tmp_path / SNAKEFILE).read_text() == "mine\n"


def test_a_missing_file_is_named(files, tmp_path):
    with pytest.raises(FileFormatError, match=r"nope\.bw: no such file[\s\S]*nothing was written"):
        lay_down(tmp_path / "new", {**files, "signal": [tmp_path / "nope.bw"]})
    with pytest.warns(GenocontrastWarning, match=r"nope\.bw"):
        lay_down(tmp_path / "new", {**files, "signal": [tmp_path / "nope.bw"]}, force=True)
    assert load_config(tmp_path / "new" / CONFIG).genome.signal == [str(tmp_path / "nope.bw")]


def test_a_folder_whose_name_is_no_name_of_a_data_set(files, tmp_path, unchecked):
    with pytest.raises(ConfigError, match=r"'name'.*'my cells'"):
        lay_down(tmp_path / "my cells", files)
    assert listed(tmp_path) == []


def test_without_the_workflow_nothing_is_written(files, tmp_path, unchecked, monkeypatch):
    """As where the package was installed from a wheel, which does not hold the workflow."""
    monkeypatch.setattr(project, "__file__", str(tmp_path / "site-packages" / "genocontrast" / "project.py"))
    with pytest.raises(MissingToolError, match=r"does not come with an installed package[\s\S]*--workflow"):
        lay_down(tmp_path / "new", files)
    (tmp_path / "Snakefile").write_text("rule all:\n    input: []\n")
    with pytest.raises(MissingToolError, match=r"Snakefile: not the Snakefile of genocontrast"):
        lay_down(tmp_path / "new", files, workflow=tmp_path / "Snakefile")
    assert not (tmp_path / "new").exists()
    lay_down(tmp_path / "new", files, workflow=ROOT / "workflow" / "Snakefile")
    assert f'include: "{ROOT}/workflow/Snakefile"' in (tmp_path / "new" / SNAKEFILE).read_text()
    assert (tmp_path / "new" / PROFILE).read_text() == (ROOT / PROFILE).read_text()
