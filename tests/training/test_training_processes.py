"""Several processes train as one does: each with its share of every batch, gradients averaged, losses gathered."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from process_runs import PAIRS, SETTINGS, by_command, by_one, configured, epochs_in, losses, results_in, same_weights
from test_training_fit import TINY, example_table, random_pairs
from test_training_kmers import random_vectors
from typer.testing import CliRunner

from genocontrast import artefacts
from genocontrast.cli import main
from genocontrast.cli import training as commands
from genocontrast.config import TrainingConfig, parse_config
from genocontrast.errors import ConfigError
from genocontrast.genome import Genome
from genocontrast.training import fitting, load_model, stage, tables, tiers
from genocontrast.training.data import EpochDraws
from genocontrast.training.fitting import fit_pairs

BY_HAND = TINY.model_copy(update={**SETTINGS, "epochs": 2, "processes": 2})


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
    assert TrainingConfig(processes=4, pretraining={"batch": 2, "queue": 64}).pretraining.windows == "none"


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
