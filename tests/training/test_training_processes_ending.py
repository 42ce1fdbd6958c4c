"""Processes that die, and nodes: one error, nothing half-written, no process left, and a next run as if undisturbed."""

import os
import signal
import time
from types import SimpleNamespace

import pytest
from process_runs import alive, by_command, command, ended, epochs_in, losses, results_in, same_weights, until, workers

from genocontrast.config import TrainingConfig
from genocontrast.errors import ConfigError, MissingToolError
from genocontrast.training import processes


@pytest.mark.slow
def test_a_killed_process_ends_the_command_and_the_next_run_ends_as_if_nothing_had_happened(folder, undisturbed):
    results = results_in(folder, "killed")
    with command(folder, results, processes=2) as run:
        until((results / "training/checkpoints/last.ckpt").is_file, run)
        ranks = workers(run)
        os.kill(ranks[0], signal.SIGKILL)  # the one that writes
        code, _, err = ended(run)
    assert code == 3
    said = err[err.index("error: ") :]
    assert said.startswith("error: training stopped: one of its processes was killed by SIGKILL\n  remedy: ")
    assert len(said.splitlines()) == 2
    assert "Traceback" not in err
    assert sorted(ranks) == [0, 1]
    assert not alive(ranks.values())
    assert [path.name for path in (results / "training").iterdir()] == ["checkpoints"]

    with command(folder, results, processes=2) as run:
        code, _, err = ended(run)
    assert code == 0, err
    assert epochs_in(err)[0] > 1
    same_weights(results / "training", undisturbed[0], atol=1e-6)
    assert losses(results / "training") == pytest.approx(losses(undisturbed[0]), abs=1e-6)
    assert sorted(path.name for path in (results / "training").iterdir()) == ["history.json", "model"]


@pytest.mark.slow
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_outlives_the_command(folder, blow):
    results = results_in(folder, f"ended_by_{blow.name}")
    with command(folder, results, processes=2, epochs=2000, patience=2000) as run:
        until((results / "training/checkpoints/last.ckpt").is_file, run)
        ranks = workers(run)
        os.kill(run.pid, blow)
        code, _, err = ended(run)
    assert code == (-blow if blow == signal.SIGKILL else 128 + blow)
    assert "Traceback" not in err
    for _ in range(200):
        if not alive(ranks.values()):
            break
        time.sleep(0.05)
    assert not alive(ranks.values())
    assert [path.name for path in (results / "training").iterdir()] == ["checkpoints"]


def test_an_error_of_all_processes_is_told_once(folder):
    with command(folder, results_in(folder, "no_tier"), processes=2, curriculum=["open"]) as run:
        code, out, err = ended(run)
    assert (code, out) == (3, "")
    assert err.count("error: ") == 1
    assert err.count("no examples of the tier 'open'") == err.count("remedy: add open to negatives.tiers") == 1
    assert "Traceback" not in err


def failure(exitcode, at=None, polled=0):
    """A process that ended, which had or had not left word of why."""
    word = {} if at is None else {"timestamp": at}
    return SimpleNamespace(exitcode=exitcode, timestamp=polled, error_file_data=word)


def test_the_cause_of_several_failures_is_the_one_that_the_others_follow_from():
    # a killed process left no word, and was noticed after another one had told of the lost connection
    killed, lost = failure(-9, polled=101), failure(1, at=100.3)
    assert processes.cause([lost, killed]) is killed
    # of those that left word the earliest; what was told to stop left none
    first, later, stopped = failure(3, at=100.1), failure(1, at=100.2), failure(-15, polled=100)
    assert processes.cause([stopped, later, first]) is first
    # one that hangs is killed in the end, but that is not why
    hung = failure(-9, polled=131)
    assert processes.cause([hung, first]) is first


# --- several nodes


def test_the_command_over_two_nodes():
    config = TrainingConfig(processes=4, nodes=2)
    given = ["python", "genocontrast", "training", "run", "--config", "my file.yaml"]
    environment = {"SLURM_JOB_ID": "30123", "OMP_NUM_THREADS": "8"}
    options = ["--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--kill-on-bad-exit=1", "--cpus-per-task=8"]
    assert processes.over_nodes(config, given, environment) == ["srun", *options, *given]
    with pytest.raises(ConfigError, match=r"nodes are those of a Slurm job[\s\S]*profiles/slurm[\s\S]*training.nodes"):
        processes.over_nodes(config, given, {})
    # Snakemake's own step in the job is no step of ours
    step = {"SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NUM_TASKS": "2"}
    assert processes.on_each_node(2, step)
    assert not processes.on_each_node(2, {"SLURM_STEP_NUM_NODES": "1", "SLURM_STEP_NUM_TASKS": "1"})
    place = {**environment, **step, "SLURM_STEP_NODELIST": "node[07-08,11]"}
    for number, first in (("0", True), ("1", False)):
        found = processes.meeting_place(2, {**place, "SLURM_NODEID": number})
        assert found == {"rdzv_endpoint": "node07:20123", "run_id": "30123", "rdzv_configs": {"is_host": first}}


def test_without_srun_there_are_no_further_nodes(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingToolError, match=r"no srun[\s\S]*training.nodes to 1"):
        processes.spread(TrainingConfig(nodes=2))


@pytest.fixture
def srun(tmp_path, monkeypatch):
    """Folder of a stand-in for srun, which starts a command for each of two nodes; both are this machine."""
    script = tmp_path / "srun"
    script.write_text("""#!/usr/bin/env bash
while [[ $1 == --* ]]; do shift; done
export OMP_NUM_THREADS=1 SLURM_STEP_NUM_NODES=2 SLURM_STEP_NUM_TASKS=2 SLURM_STEP_NODELIST=localhost
SLURM_NODEID=1 "$@" & SLURM_NODEID=0 "$@" && wait $!
""")
    script.chmod(0o755)
    monkeypatch.setenv("SLURM_JOB_ID", str(os.getpid()))
    return tmp_path


@pytest.mark.slow
def test_two_nodes_train_as_two_processes_do(folder, undisturbed, srun):
    made, printed = by_command(folder, "nodes", path=srun, nodes=2)
    assert epochs_in(printed) == list(range(1, 21))
    same_weights(made, undisturbed[0], atol=1e-6)


@pytest.mark.slow
def test_a_process_that_dies_on_one_node_ends_the_other(folder, srun):
    results = results_in(folder, "node_killed")
    with command(folder, results, path=srun, nodes=2, epochs=2000, patience=2000) as run:
        until((results / "training/checkpoints/last.ckpt").is_file, run)
        ranks = workers(run)
        os.kill(ranks[1], signal.SIGKILL)
        code, _, err = ended(run)
    assert code in (1, 3)
    assert err.count("error: training stopped: one of its processes was killed by SIGKILL") == 1
    assert "Traceback" not in err
    assert sorted(ranks) == [0, 1]
    assert not alive(ranks.values())
    assert [path.name for path in (results / "training").iterdir()] == ["checkpoints"]
