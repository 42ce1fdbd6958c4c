"""Several processes train as one does: each with its share of every batch, gradients averaged, losses gathered."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_training_fit import TINY, example_table, random_pairs
from test_training_kmers import random_vectors
from typer.testing import CliRunner

from genocontrast import artefacts
from genocontrast.cli import main
from genocontrast.cli import training as commands
from genocontrast.config import TrainingConfig, parse_config
from genocontrast.errors import ConfigError, MissingToolError
from genocontrast.genome import Genome
from genocontrast.training import fitting, load_model, processes, stage, tables, tiers
from genocontrast.training.data import EpochDraws
from genocontrast.training.fitting import fit_pairs

PAIRS = 13
"""Of which batches of at most 8 are of 7 and 6: the shares of two processes are uneven."""
SETTINGS = {"epochs": 20, "patience": 20, "dropout": 0.0, "precision": "float32"}
BY_HAND = TINY.model_copy(update={**SETTINGS, "epochs": 2, "processes": 2})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A genome of three chromosomes, and what the stages before training leave of it."""
    folder = tmp_path_factory.mktemp("processes")
    rng = np.random.default_rng(7)
    letters = {f"chr{i}": "".join("ACGT"[code] for code in rng.integers(0, 4, 6000)) for i in (1, 2, 3)}
    (folder / "genome.fa").write_text("".join(f">{name}\n{bases}\n" for name, bases in letters.items()))
    examples = example_table(PAIRS)
    examples["gc"] = rng.normal(size=len(examples)) / 100
    negatives = folder / "negatives"
    artefacts.write_parquet(negatives / "examples.parquet", examples)
    pool = examples[examples["label"] == 0]
    pool = pool.assign(start=pool["start"] + 3000, end=pool["end"] + 3000, gc=pool["gc"][::-1].to_numpy())
    artefacts.write_parquet(negatives / "pool.parquet", pool)
    artefacts.write_parquet(negatives / "dropped.parquet", examples[examples["label"] == 1].iloc[:0])
    balance = {"matching": {"scale": {"gc": 0.1}}, "table": [{"covariate": "gc", "matched": True}]}
    artefacts.write_json(negatives / "balance.json", balance)
    splits = ("train", "validation", "test")
    segments = [{"chrom": f"chr{i}", "start": 0, "end": 6000, "split": split} for i, split in enumerate(splits, 1)]
    artefacts.write_json(folder / "genome" / "genome.json", {"segments": segments})
    return folder


def configured(folder, **training):
    return {
        "name": "tiny",
        "seed": 4,
        "genome": {
            "fasta": str(folder / "genome.fa"),
            "promoters": "x.bed",
            "signal": ["x.bw"],
            "upstream": 40,
            "downstream": 20,
        },
        "training": TINY.model_dump() | SETTINGS | training,
    }


def results_in(folder, name):
    """A folder of results of its own, with what training reads."""
    results = folder / name
    results.mkdir()
    for made in ("negatives", "genome"):
        (results / made).symlink_to(folder / made)
    return results


def by_one(folder, name, **training):
    """Folder of a training by this process alone."""
    results = results_in(folder, name)
    stage.run(parse_config(configured(folder, **training)), results)
    return results / "training"


@contextmanager
def command(folder, results, *verb, path="", **training):
    """The command line at work on a configuration, in a session of its own."""
    config = folder / f"{results.name}.json"
    config.write_text(json.dumps(configured(folder, **training)))
    tool = [str(Path(sys.executable).with_name("genocontrast")), "training", *(verb or ("run",))]
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "PATH": f"{path}{os.pathsep}{os.environ['PATH']}"}
    with subprocess.Popen(
        [*tool, "--config", str(config), "--results", str(results)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as run:
        try:
            yield run
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)


def ended(run):
    """Exit code, standard output and error of a command; it ends by itself."""
    printed = run.communicate(timeout=200)
    return (run.returncode, *printed)


def by_command(folder, name, *verb, **training):
    """Folder of a training by the command line, and what it wrote on standard error."""
    results = results_in(folder, name)
    with command(folder, results, *verb, **training) as run:
        code, out, err = ended(run)
    assert (code, out) == (0, ""), err
    return results / "training", err


def workers(run):
    """Process ids of those that train for a command, by rank."""
    found, waiting = {}, [run.pid]
    while waiting:
        each = waiting.pop()
        waiting += map(int, Path(f"/proc/{each}/task/{each}/children").read_text().split())
        started = dict(part.split("=", 1) for part in Path(f"/proc/{each}/environ").read_text().split("\0") if part)
        if "RANK" in started:
            found[int(started["RANK"])] = each
    return found


def alive(pids):
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def until(condition, run):
    """Wait until something is so; the command must not end before."""
    for _ in range(2000):
        if condition():
            return
        assert run.poll() is None, run.stderr.read()
        time.sleep(0.05)
    raise AssertionError("it never came to be")


def epochs_in(printed):
    return [int(line.split()[1].split("/")[0]) for line in printed.splitlines() if line.startswith("epoch")]


def same_weights(one, other, atol):
    first, second = (load_model(each / "model").network.state_dict() for each in (one, other))
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=0, atol=atol, msg=name)


def losses(folder):
    return [row["validation_loss"] for row in artefacts.read_json(folder / "history.json")["epochs"]]


@pytest.fixture(scope="module")
def undisturbed(folder):
    """A training in two processes that nothing came between, and what it printed."""
    return by_command(folder, "two", processes=2)


# --- as one


def test_the_command_trains_in_two_processes_as_in_one(folder, undisturbed):
    two, printed = undisturbed
    one = by_one(folder, "one")
    assert losses(two) == pytest.approx(losses(one), abs=1e-5)
    windows = np.random.default_rng(0).integers(0, 4, (50, 60), dtype=np.uint8)
    found, expected = (load_model(each / "model").logits_codes(windows) for each in (two, one))
    np.testing.assert_allclose(found, expected, atol=1e-3)
    # figures of training are those of all processes
    means = [[row["train_loss"] for row in artefacts.read_json(each / "history.json")["epochs"]] for each in (two, one)]
    assert means[0] == pytest.approx(means[1], abs=1e-4)
    # the first process alone writes and tells
    told = printed.splitlines()
    assert told[0] == "training in 1 x 2 processes, 1 threads each"
    assert epochs_in(printed) == list(range(1, 21))
    assert len(told) == len(set(told))
    assert sorted(path.name for path in two.iterdir()) == ["history.json", "model"]
    assert artefacts.read_json(two / "history.json")["provenance"]["config"]["processes"] == 2


@pytest.mark.slow
def test_what_goes_before_and_after_trains_in_two_processes_as_in_one(folder):
    """Pretraining, the curriculum and mining."""
    settings = {
        "epochs": 2,
        "curriculum": ["pool"],
        "curriculum_epochs": 1,
        "mined_rounds": 1,
        # which bases are hidden is each process's own chance
        "pretraining": {"windows": "genome", "epochs": 2, "batch": 15, "masked_weight": 0},
    }
    two, printed = by_command(folder, "two_of_all", processes=2, **settings)
    one = by_one(folder, "one_of_all", **settings)
    assert epochs_in(printed) == [1, 2, 1, 1, 2, 1, 2]
    rounds = [artefacts.read_json(each / "history.json")["rounds"] for each in (two, one)]
    for found, expected in zip(*rounds, strict=True):
        assert found["validation_loss"] == pytest.approx(expected["validation_loss"], abs=1e-4)
        assert (found["mining"] or {}).get("new") == (expected["mining"] or {}).get("new")
    same_weights(two, one, atol=0.02)


CASES = {
    "kmers": {"encoder": "kmers"},
    "chance": {"dropout": 0.2, "views": [{"mutation": {"rate": 0.05}}], "surrogate_weight": 0.0},
    "stranded": {"strand": "twin", "orientation": "stranded", "classification_weight": 0.0, "average": 0.0},
}


def case(name, count, checkpoints=None):
    """Network and history of one of the cases, trained by so many processes."""
    config = TINY.model_copy(update={**SETTINGS, "epochs": 2, "processes": count, **CASES[name]})
    kmers = random_vectors() if config.encoder == "kmers" else None
    return fit_pairs(random_pairs(21, 0), random_pairs(8, 1), config, kmers, checkpoints=checkpoints)


def by_hand(folder):
    """What each process does; called by this file when torchrun runs it."""
    import torch.distributed as dist

    made = {name: case(name, 2, folder / name) for name in CASES}
    found = {name: (network.state_dict(), history) for name, (network, history) in made.items()}
    torch.save(found, folder / f"rank_{dist.get_rank()}.pt")


def test_processes_that_torchrun_started_by_hand_agree_whatever_they_train(tmp_path):
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", __file__, tmp_path]
    run = subprocess.run(start, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    first, second = (torch.load(tmp_path / f"rank_{rank}.pt") for rank in (0, 1))
    for name in CASES:
        (weights, history), (others, other) = first[name], second[name]
        assert history == other
        assert all(torch.equal(value, others[key]) for key, value in weights.items())
        if name != "chance":
            losses = [[row["validation_loss"] for row in rows] for rows in (history, case(name, 1)[1])]
            assert losses[0] == pytest.approx(losses[1], abs=1e-5)


# --- faults


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


# --- refusals


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"batch_pairs": 3}, r"batch_pairs is 3, which 4 processes"),
        ({"pretraining": {"windows": "genome", "batch": 2}}, r"pretraining\.batch is 2, which 4 processes"),
        ({"harmony": "pcgrad"}, r"harmony pcgrad[\s\S]*set harmony to sum"),
        ({"pretraining": {"windows": "open", "queue": 64}}, r"pretraining\.queue[\s\S]*set it to 0"),
    ],
)
def test_what_several_processes_cannot_do_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        TrainingConfig(processes=2, nodes=2, **settings)
    TrainingConfig(**settings)


def test_what_is_not_pretrained_needs_no_batch_for_it():
    TrainingConfig(processes=4, pretraining={"batch": 2, "queue": 64})


def test_a_process_without_a_row_is_refused():
    assert len(EpochDraws(random_pairs(9, 0), 8, 1, 0, 3, 4)) == 2
    with pytest.raises(ConfigError, match=r"5 processes cannot share batches of 4 \(9 rows in 2 batches\)"):
        EpochDraws(random_pairs(9, 0), 8, 1, 0, 4, 5)


def test_a_number_of_processes_that_is_not_the_configured_one_is_refused():
    with pytest.raises(ConfigError, match=r"training.processes x training.nodes \(2 x 1\) \(got 1\)"):
        fit_pairs(random_pairs(8, 0), random_pairs(8, 1), BY_HAND)


def test_more_processes_than_devices_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"there are 1 here \(got 2\)[\s\S]*training.processes to their number"):
        fitting._accelerator(BY_HAND.model_copy(update={"device": "auto"}))


@pytest.mark.parametrize(
    "verb", [("run",), ("seed", "--seed", "9"), ("tier", "--tier", "gc"), ("csv", "--train", "a", "--dev", "b")]
)
def test_each_command_goes_through_the_launch_before_it_trains(folder, tmp_path, monkeypatch, verb):
    def stop(config):
        raise ConfigError(f"{config.processes} wanted")

    monkeypatch.setattr(commands, "spread", stop)
    (tmp_path / "c.json").write_text(json.dumps(configured(folder, processes=3)))
    out = ["--out", str(tmp_path / "m")] if verb[0] == "csv" else ["--results", str(tmp_path)]
    ran = CliRunner().invoke(main, ["training", *verb, "--config", str(tmp_path / "c.json"), *out])
    assert str(ran.exception) == "3 wanted"


# --- who writes


def test_another_process_than_the_first_writes_nothing(folder, tmp_path, monkeypatch):
    results = results_in(folder, "second")
    config = parse_config(configured(folder, epochs=1))
    model = fitting.fit(example_table(PAIRS), Genome(folder / "genome.fa"), config.training)
    monkeypatch.setattr(fitting, "fit", lambda *given, **named: model)
    monkeypatch.setattr(tables, "fit_tables", lambda *given, **named: model)
    written = []
    for name in ("train", "dev"):
        rows = np.random.default_rng(len(written)).choice(list("ACGT"), (8, 30))
        written.append(tmp_path / f"{name}.csv")
        lines = [f"{''.join(row)},{number % 2}" for number, row in enumerate(rows)]
        written[-1].write_text("\n".join(["sequence,label", *lines]))
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    for rank, wrote in (("1", False), ("0", True)):
        monkeypatch.setenv("RANK", rank)
        stage.run_seed(config, results, 9)
        tiers._train(example_table(PAIRS), config, config.training, results, "gc", {"config": {}})
        tables.train_tables(*written, tmp_path / "model")
        assert (results / "training/seeds/9").exists() == wrote
        assert (results / "training/tiers/gc").exists() == wrote
        assert (tmp_path / "model").exists() == wrote


if __name__ == "__main__":
    by_hand(Path(sys.argv[1]))
