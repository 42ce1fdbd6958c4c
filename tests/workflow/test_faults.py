"""Runs that something comes between: what the next one makes has the bytes of a run that nothing came between."""

import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from workflow_runs import artefacts_in, command_of, environment_of, run_snakemake

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

HALFWAY = ["logs/negatives.log", "logs/training.log", "logs/evaluation.log"]


def started(folder, config):
    """A run that has begun, in a process group of its own."""
    command, silent = command_of(folder, config), subprocess.DEVNULL
    return subprocess.Popen(command, env=environment_of(), stdout=silent, stderr=silent, start_new_session=True)


def killed_at(folder, config, log):
    """Start a run, and kill it with all its jobs as soon as a stage has begun."""
    with started(folder, config) as run:
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
    # of what was cut off nothing may lie under a final name that the next stage would take, nor stay for ever
    (fresh / "results/quick/negatives/.partial-examples.parquet").write_bytes(b"half")
    finished = run_snakemake(fresh, quick_config)
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert artefacts_in(fresh / "results/quick") == artefacts_in(quick_folder / "results/quick")


def test_twenty_kills_at_random_moments_lose_nothing(fresh, quick_config, quick_folder):
    """A soak: whatever a kill hits, and be it Snakemake itself, the next run goes on from there."""
    moments = np.random.default_rng(20).uniform(3, 15, size=20)  # seconds after the start, of which Snakemake takes 3
    cut = 0
    for moment in moments:
        with started(fresh, quick_config) as run:
            try:
                run.wait(moment)
            except subprocess.TimeoutExpired:
                cut += 1
                os.killpg(run.pid, signal.SIGKILL)
        run_snakemake(fresh, quick_config, "--unlock")
    assert cut >= 10, "the runs had ended before they were killed"
    finished = run_snakemake(fresh, quick_config)
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert artefacts_in(fresh / "results/quick") == artefacts_in(quick_folder / "results/quick")


def test_two_runs_in_one_folder_do_not_mix(fresh, quick_config):
    with started(fresh, quick_config) as first:
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


def stage(command, folder, results):
    """Run a stage's command on the simulated genome of `folder`, without Snakemake; returns the finished process."""
    verb, *options = command.split()[1:]
    words = ["genocontrast", command.split()[0], verb, *options, "--config", results / "config.json"]
    return subprocess.run(
        [*map(str, words), "--results", str(results)],
        cwd=folder,
        env=environment_of(OMP_NUM_THREADS="2"),  # as the rules have it
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize(
    ("artefact", "begun"),
    [("negatives/examples.parquet", "training run"), ("training/model/model.safetensors", "evaluation run")],
)
def test_a_truncated_artefact_is_named(quick_folder, fresh, artefact, begun):
    shutil.copytree(quick_folder / "results/quick", fresh / "results/quick")
    damaged = fresh / "results/quick" / artefact
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    finished = stage(begun, fresh, fresh / "results/quick")
    assert finished.returncode == 3, finished.stdout + finished.stderr
    assert damaged.name in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.fixture
def disk(tmp_path):
    """A small disk: gives its folder, and a function that changes its size (bytes) or closes it for writing."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted, which takes root: {mounted.stderr.strip()}")

    def change(options):
        subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)

    yield folder, change
    subprocess.run(["umount", "--lazy", folder], check=True)


STAGES = {
    "genome run": "genome",
    "negatives run": "negatives",
    "kmers run": "kmers",
    "training run": "training",
    "training tier --tier random": "training/tiers/random",
    "evaluation run": "evaluation",
    "report run": "report",
    "evaluation predictions --set peaks": "predictions/peaks",
}


def test_a_disk_that_runs_full_in_each_stage_costs_nothing_but_time(quick_folder, fresh, disk):
    """Each stage, with room for half of what it writes: it says so, and with more room it ends as if undisturbed."""
    folder, change = disk
    results, whole = folder / "quick", quick_folder / "results/quick"
    results.mkdir()
    shutil.copy(whole / "config.json", results)
    expected = artefacts_in(whole)
    for command, part in STAGES.items():
        written = [path for path in (whole / part).rglob("*") if path.is_file() and "tiers" not in path.parts[:-2]]
        used = shutil.disk_usage(folder).used
        change(f"size={used + max(sum(path.stat().st_size for path in written) // 2, 4096)}")
        failed = stage(command, fresh, results)
        assert failed.returncode == 3, (command, failed.stdout, failed.stderr)
        assert "no space is left on the disk" in failed.stderr, (command, failed.stderr)
        assert "Traceback" not in failed.stderr
        left = {name: sum for name, sum in artefacts_in(results).items() if "checkpoints" not in name}
        assert {name: expected.get(name) for name in left} == left, command
        change("size=256m")
        finished = stage(command, fresh, results)
        assert finished.returncode == 0, (command, finished.stderr)
    found = artefacts_in(results)
    assert found == {name: expected[name] for name in found}
    assert {name.rpartition("/")[0] for name in found} >= set(STAGES.values())


def test_a_closed_folder_is_named(quick_folder, fresh, disk):
    folder, change = disk
    shutil.copytree(quick_folder / "results/quick", folder / "quick")
    before = artefacts_in(folder)
    change("ro")
    for command in ("kmers run", "report run"):
        failed = stage(command, fresh, folder / "quick")
        assert failed.returncode == 3, failed.stderr
        assert "read-only" in failed.stderr
        assert "Traceback" not in failed.stderr
    assert artefacts_in(folder) == before


def test_clocks_that_disagree_are_told_and_cost_nothing(quick_folder, fresh, quick_config):
    """Inputs from the future, as of a file server whose clock is ahead; then results that seem older than they are."""

    def dated(folder, hours):
        for path in (fresh / folder).rglob("*"):
            os.utime(path, (time.time() + 3600 * hours,) * 2)

    target = "results/quick/negatives/balance.json"
    whole = artefacts_in(quick_folder / "results/quick")
    expected = {name: sum for name, sum in whole.items() if name.startswith("negatives")}
    dated("resources", 1)
    refused = run_snakemake(fresh, quick_config, "--", target)
    assert refused.returncode != 0
    assert "clock skew" in refused.stderr
    assert set(artefacts_in(fresh / "results/quick")) == {"config.json"}
    for folder, hours in (("resources", 0), ("results", -24)):
        dated(folder, hours)
        finished = run_snakemake(fresh, quick_config, "--", target)
        assert finished.returncode == 0, finished.stderr[-3000:]
        found = artefacts_in(fresh / "results/quick")
        assert {name: found.get(name) for name in expected} == expected


def test_a_job_that_is_asked_to_end_leaves_nothing_half_written(quick_folder, fresh):
    shutil.copytree(quick_folder / "results/quick", fresh / "results/quick")
    results = fresh / "results/quick"
    before = artefacts_in(results)
    words = ["genocontrast", "kmers", "run", "--config", results / "config.json", "--results", results]
    with subprocess.Popen([*map(str, words)], cwd=fresh, env=environment_of(), stderr=subprocess.DEVNULL) as job:
        time.sleep(3)
        job.terminate()
        code = job.wait(60)
    assert code in (143, -signal.SIGTERM)
    assert artefacts_in(results) == before


def test_paths_are_never_commands(fresh, quick_config):
    """A working folder and inputs whose names a shell would take for commands."""
    folder = fresh / "my 'data' \"set\" $(touch owned) `touch owned` ;touch owned"
    (folder / "in puts'$(touch owned)").mkdir(parents=True)
    inputs = (fresh / "resources/simulated").rename(folder / "in puts'$(touch owned)" / "a&b\nc")
    text = str(inputs.relative_to(folder))
    config = {**quick_config, "prediction": {"regions": {"peaks": f"{text}/peaks.narrowPeak"}}}
    replaced = {
        key: [path.replace("resources/simulated", text) for path in value]
        if isinstance(value, list)
        else value.replace("resources/simulated", text)
        for key, value in config["genome"].items()
    }
    finished = run_snakemake(folder, {**config, "genome": replaced}, "--", "results/quick/negatives/balance.json")
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
    assert (folder / "results/quick/negatives/examples.parquet").is_file()
    assert not list(fresh.rglob("owned"))
