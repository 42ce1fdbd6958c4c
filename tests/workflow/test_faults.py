"""Runs that something comes between: what the next one makes has the bytes of a run that nothing came between."""

import os
import signal
import subprocess
import time

import pytest
from workflow_runs import artefacts_in, command_of, environment_of, run_snakemake

pytestmark = pytest.mark.workflow

HALFWAY = ["logs/negatives.log", "logs/training.log", "logs/evaluation.log"]


def killed_at(folder, config, log):
    """Start a run, and kill it with all its jobs as soon as a stage has begun."""
    with subprocess.Popen(
        command_of(folder, config),
        env=environment_of(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as run:
        deadline = time.monotonic() + 300
        while run.poll() is None and time.monotonic() < deadline:
            if (folder / "results" / config["name"] / log).is_file():
                time.sleep(1)  # into the stage
                break
            time.sleep(0.1)
        assert run.poll() is None, f"the run had ended before {log}"
        os.killpg(run.pid, signal.SIGKILL)


def test_a_run_killed_in_three_stages_ends_as_if_nothing_had_happened(fresh, quick_config, quick_folder):
    for log in HALFWAY:
        killed_at(fresh, quick_config, log)
        assert not (fresh / "results/quick/report/report.html").exists()
        assert run_snakemake(fresh, quick_config, "--unlock").returncode == 0
    # of what was cut off nothing may lie under a final name that the next stage would take
    finished = run_snakemake(fresh, quick_config)
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert artefacts_in(fresh / "results/quick") == artefacts_in(quick_folder / "results/quick")


def test_two_runs_in_one_folder_do_not_mix(fresh, quick_config):
    with subprocess.Popen(
        command_of(fresh, quick_config),
        env=environment_of(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as first:
        try:
            deadline = time.monotonic() + 60
            while not (fresh / ".snakemake/locks").is_dir() or not any((fresh / ".snakemake/locks").iterdir()):
                assert first.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
            second = run_snakemake(fresh, quick_config)
        finally:
            os.killpg(first.pid, signal.SIGKILL)
    assert second.returncode != 0
    assert "locked" in (second.stdout + second.stderr).lower()


@pytest.mark.parametrize(
    ("artefact", "begun"),
    [("negatives/examples.parquet", "training"), ("training/model/model.safetensors", "evaluation")],
)
def test_a_truncated_artefact_is_named_and_made_again(quick_folder, quick_config, fresh, artefact, begun):
    """A stage that reads half a file says which; the file's own stage, run again, mends it."""
    import shutil

    shutil.copytree(quick_folder / "results/quick", fresh / "results/quick")
    damaged = fresh / "results/quick" / artefact
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    folder = fresh / "results/quick"
    command = ["genocontrast", begun, "run", "--config", folder / "config.json", "--results", folder]
    finished = subprocess.run(
        [str(part) for part in command],
        cwd=fresh,
        env=environment_of(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert finished.returncode == 3, finished.stdout + finished.stderr
    assert damaged.name in finished.stderr
    assert "Traceback" not in finished.stderr
