"""Trainings in several processes, started as users start them, and what is looked at afterwards."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from test_training_fit import TINY, example_table

from genocontrast import artefacts
from genocontrast.config import parse_config
from genocontrast.training import load_model, stage

PAIRS = 13
"""Of which batches of at most 8 are of 7 and 6: the shares of two processes are uneven."""
SETTINGS = {"epochs": 20, "patience": 20, "dropout": 0.0, "precision": "float32"}


def write_inputs(folder):
    """A genome of three chromosomes, and what the stages before training leave of it."""
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
