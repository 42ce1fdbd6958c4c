"""The workflow on a real Slurm of one node, which is started for these tests and stopped behind them."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from workflow_runs import ROOT, artefacts_in, command_of, environment_of, run_snakemake

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

STARTER = Path(os.environ.get("GENOCONTRAST_SLURM", ROOT.parent / "shared" / "slurm"))
PROFILE = ROOT / "workflow/profiles/slurm"
TOOL = """#!/usr/bin/env bash
# Stands before the real command: says what Slurm gave the job, and fails the first time that decoys are matched.
told=$(scontrol show job "$SLURM_JOB_ID" --oneliner)
memory=$(grep -o 'MinMemoryNode=[^ ]*' <<<"$told")
echo "$1 $2 cpus=$SLURM_CPUS_PER_TASK $memory gpu=$(grep -c 'gres:gpu:1' <<<"$told")" >> {folder}/given.txt
if [ "$1 $2" = "negatives run" ] && [ ! -e {folder}/failed ]; then
  touch {folder}/failed
  echo "killed for want of memory"
  exit 137
fi
exec {real} "$@"
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """A running Slurm."""
    missing = [name for name in ("slurmctld", "slurmd", "munged", "sbatch") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"Slurm is not installed: no {', '.join(missing)}")
    if not (STARTER / "up.sh").is_file() or os.geteuid() != 0:
        pytest.skip(f"no Slurm can be started: it takes root and {STARTER}/up.sh (GENOCONTRAST_SLURM names the folder)")
    base = tmp_path_factory.mktemp("slurm")
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.delenv("SLURM_CONF")  # which the other tests keep from their Slurm
    monkeypatch.delenv("OMP_NUM_THREADS")  # the node has as many cores as `nproc` says, which goes by it
    started = subprocess.run(["bash", STARTER / "up.sh", base], capture_output=True, text=True, check=False, timeout=90)
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        yield
    finally:
        monkeypatch.undo()
        subprocess.run(["bash", STARTER / "down.sh", base], check=False, timeout=60)


def on_slurm(folder, config, *arguments):
    """The command of a run on this Slurm, which has no accounting, and its environment."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    tool, real = tools / "genocontrast", shutil.which("genocontrast", path=environment_of()["PATH"])
    tool.write_text(TOOL.format(folder=folder, real=real))
    tool.chmod(0o755)
    options = (
        "--workflow-profile",
        str(PROFILE),
        "--slurm-status-command",
        "squeue",
        "--jobs",
        "4",
        "--latency-wait",
        "10",
    )
    options += (
        "--slurm-init-seconds-before-status-checks",
        "3",
        "--slurm-no-account",
        "--default-resources",
        "runtime=5",
    )
    # this Slurm's only partition takes jobs of up to an hour
    brief = ("negatives", "training", "training_tier", "evaluation_without_scan", "report", "prediction")
    options += ("--set-resources", "training:gres=gpu:1", *(f"{rule}:runtime=5" for rule in brief))
    environment = environment_of()
    return command_of(folder, config, *options, *arguments), {
        **environment,
        "PATH": f"{tools}{os.pathsep}{environment['PATH']}",
    }


def jobs_of(text):
    """What was written of each job: its command, and what it was given by name."""
    rows = [line.split() for line in text.splitlines()]
    return [(" ".join(row[:2]), dict(part.split("=") for part in row[2:])) for row in rows]


def test_a_run_that_is_killed_on_a_cluster_ends_as_if_nothing_had_happened(slurm, fresh, quick_config, quick_folder):
    """Jobs with memory and a GPU, one that fails and gets more memory, the submitting process killed, and resumed."""
    command, environment = on_slurm(fresh, quick_config)
    given = fresh / "given.txt"
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as run:
        deadline = time.monotonic() + 150
        while time.monotonic() < deadline and run.poll() is None:
            if given.is_file() and "training run" in given.read_text():
                break
            time.sleep(0.5)
        printed = "" if run.poll() is None else run.stdout.read()
        assert run.poll() is None, printed[-4000:]
        os.killpg(run.pid, signal.SIGKILL)
    # its jobs go on without it: they are cancelled before another run begins
    subprocess.run(["scancel", "--user=root"], check=True)
    while subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=True).stdout.strip():
        time.sleep(0.5)
    assert not (fresh / "results/quick/report/report.html").exists()
    unlocked = subprocess.run([*command, "--unlock"], env=environment, capture_output=True, text=True, check=False)
    assert unlocked.returncode == 0, unlocked.stderr
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=900)
    assert again.returncode == 0, (again.stdout + again.stderr)[-4000:]

    jobs = jobs_of(given.read_text())
    matched = [told for name, told in jobs if name == "negatives run"]
    assert [told["MinMemoryNode"] for told in matched] == ["4000M", "8000M"]
    assert all(int(told["gpu"]) == (name == "training run") for name, told in jobs)
    assert {told["cpus"] for name, told in jobs if name.startswith("training")} == {"2"}
    names = {name for name, _ in jobs}
    assert names >= {"genome run", "negatives run", "kmers run", "training run", "training tier", "evaluation run"}
    assert artefacts_in(fresh / "results/quick") == artefacts_in(quick_folder / "results/quick")


def test_a_training_in_two_processes_on_a_cluster(slurm, fresh, quick_config):
    config = {**quick_config, "training": {**quick_config["training"], "processes": 2}}
    before = run_snakemake(fresh, config, "--", "results/quick/negatives/examples.parquet")
    assert before.returncode == 0, before.stderr[-4000:]
    # the rule asks for two cores a process, and this node has two
    wanted = ("--set-threads", "training=2", "--", "results/quick/training/history.json")
    command, environment = on_slurm(fresh, config, *wanted)
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert run.returncode == 0, (run.stdout + run.stderr)[-4000:]
    ((name, told),) = jobs_of((fresh / "given.txt").read_text())
    assert name == "training run"
    assert (told["cpus"], told["MinMemoryNode"]) == ("2", "12000M")
    log = (fresh / "results/quick/logs/training.log").read_text().splitlines()
    assert log[0] == "training in 1 x 2 processes, 1 threads each"
    assert [line.split()[1] for line in log[1:]] == ["1/2", "2/2"]
    model = json.loads((fresh / "results/quick/training/model/config.json").read_text())
    assert model["provenance"]["config"]["processes"] == 2
