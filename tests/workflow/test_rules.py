"""Which jobs a configuration asks for, by dry runs."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml
from workflow_runs import ROOT

pytestmark = pytest.mark.workflow


def jobs(snakemake, folder, config, **changes):
    """Number of jobs of each rule in a dry run; sections that are given replace settings of the demo's."""
    config = yaml.safe_load(yaml.safe_dump(config))
    for section, values in changes.items():
        config.setdefault(section, {}).update(values)
    planned = snakemake(folder, config, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    rows = [line.split() for line in planned.stdout.splitlines()]
    return {
        row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit() and row[0] != "jobid:"
    }, planned.stdout


def test_each_tier_is_a_job_of_its_own(snakemake, demo_config, tmp_path):
    found, printed = jobs(snakemake, tmp_path, demo_config, negatives={"tiers": ["open", "random", "gc"]})
    assert (found["training"], found["training_tier"], found["evaluation"]) == (1, 3, 1)
    assert all(f"decoys of the tier {tier}" in printed for tier in ("random", "gc", "open"))


def test_the_demo_is_eight_jobs(snakemake, demo_config, tmp_path):
    found, _ = jobs(snakemake, tmp_path, demo_config)
    assert found.pop("all") == 1
    assert found.pop("total") == 9
    stages = {"simulate", "genome", "negatives", "kmers", "training", "training_tier", "evaluation", "report"}
    assert found == dict.fromkeys(stages, 1)


def test_without_audit_and_scan_there_is_nothing_of_them(snakemake, demo_config, tmp_path):
    settings = {"shortcut_audit": False, "scan": False}
    found, _ = jobs(snakemake, tmp_path, demo_config, evaluation=settings)
    assert "training_tier" not in found
    assert found["evaluation_without_scan"] == found["report"] == 1


@pytest.mark.parametrize("scanned", [True, False])
def test_the_scan_has_its_files_where_it_is_wanted(snakemake, demo_config, tmp_path, scanned):
    evaluation = {**demo_config["evaluation"], "scan": scanned}
    listed = snakemake(tmp_path, {**demo_config, "evaluation": evaluation}, "--summary").stdout
    assert "evaluation/scan.json" in listed
    assert ("evaluation/scan.bw" in listed) == ("evaluation/scan.bed" in listed) == scanned


def test_only_tiers_that_there_are_get_trained(snakemake, demo_config, tmp_path):
    found, printed = jobs(snakemake, tmp_path, demo_config, negatives={"tiers": ["nearby", "gc"]})
    assert found["training_tier"] == 1
    assert "decoys of the tier gc" in printed


def test_each_further_seed_is_a_job_of_its_own(snakemake, demo_config, tmp_path):
    found, printed = jobs(snakemake, tmp_path, demo_config, evaluation={"seeds": [5, 9]})
    assert (found["training"], found["training_seed"]) == (1, 2)
    assert "Training with seed 5" in printed
    assert "training seed --seed 9" in snakemake_commands(snakemake, tmp_path, demo_config, {"seeds": [5, 9]})


def test_a_training_on_two_nodes_asks_slurm_for_them(snakemake, demo_config, tmp_path, monkeypatch):
    """Slurm's commands are a script here that notes how it was called."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sbatch", "sacct", "sacctmgr", "scontrol", "sinfo", "squeue"):
        (tools / name).write_text(f"""#!/bin/sh\necho "${{0##*/}} $*" >> {tmp_path}/asked.txt\nexit 1\n""")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    for path in ("resources/simulated/genome.fa.gz", "results/demo/negatives/examples.parquet"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    config = {**demo_config, "training": {"processes": 4, "nodes": 2, "device": "cuda"}}
    options = ["--workflow-profile", str(ROOT / "workflow/profiles/slurm"), "--jobs", "1"]
    options += ["--default-resources", "slurm_partition=some", "--retries", "0", "--slurm-no-account"]
    options += ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1"]
    snakemake(tmp_path, config, *options, "--allowed-rules", "training", "--", "results/demo/training/history.json")
    (asked,) = [line for line in (tmp_path / "asked.txt").read_text().splitlines() if line.startswith("sbatch")]
    assert "--mem 24000 --nodes=2 --ntasks=2 --cpus-per-task=8" in asked
    assert "--gpus=8" in asked
    assert "--ntasks-per-gpu" not in asked


def snakemake_commands(snakemake, folder, config, evaluation):
    config = {**config, "evaluation": {**config["evaluation"], **evaluation}}
    return snakemake(folder, config, "--dry-run", "--printshellcmds").stdout


def test_the_catalog_can_draw_the_rules(tmp_path):
    """Its command, in a copy of the folder that it runs in."""
    shutil.copytree(ROOT / ".test/config", tmp_path / "config")
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "-s",
        str(ROOT / "workflow/Snakefile"),
        "-c",
        "1",
        "-d",
        str(tmp_path),
    ]
    drawn = subprocess.run(
        [*command, "--forceall", "--rulegraph"], capture_output=True, text=True, timeout=300, check=False
    )
    assert drawn.returncode == 0, drawn.stderr
    assert 'label = "negatives"' in drawn.stdout
