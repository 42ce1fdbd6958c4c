"""Training on tables: what is read, dropped, recorded and written."""

import gzip
import json
import logging
import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from genocontrast.artefacts import checksum
from genocontrast.cli import main
from genocontrast.config import TableConfig, TrainingConfig
from genocontrast.errors import ConfigError, FileFormatError, GenocontrastError, SplitError
from genocontrast.sequence import decode, reverse_complement
from genocontrast.training import load_model, tables
from genocontrast.training.tables import fit_tables, train_tables

TINY = TrainingConfig(width=8, depth=1, dim=4, epochs=2, batch_pairs=8, device="cpu")
YAML = "training:\n  width: 8\n  depth: 1\n  dim: 4\n  batch_pairs: 8\n  device: cpu\n  epochs: 3\n"


def sequences(n, length=40, seed=0):
    rng = np.random.default_rng(seed)
    return ["".join("ACGT"[code] for code in rng.integers(0, 4, length)) for _ in range(n)]


def frame(texts, split="train"):
    return pd.DataFrame({"sequence": texts, "label": [i % 2 for i in range(len(texts))], "split": split})


def write(path, texts):
    lines = "".join(f"{text},{i % 2}\n" for i, text in enumerate(texts))
    path.write_bytes(gzip.compress(f"sequence,label\n{lines}".encode(), mtime=0))
    return path


def run(*arguments):
    found = CliRunner().invoke(main, ["training", "csv", *map(str, arguments)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


@pytest.fixture
def files(tmp_path):
    """Two of the training sequences repeat in dev, one on the other strand."""
    train, dev = sequences(24, seed=1), sequences(10, seed=2)
    dev[0], dev[3] = train[4], decode(reverse_complement(tables.window_codes(frame([train[7]]))[0]))
    return write(tmp_path / "train.csv.gz", train), write(tmp_path / "dev.csv.gz", dev)


def test_a_command_trains_and_says_what_it_dropped(files, tmp_path, caplog):
    caplog.set_level(logging.INFO, "genocontrast")
    (tmp_path / "c.yaml").write_text(YAML + "seed: 5\nevaluation:\n  bootstraps: 100\n")
    out = tmp_path / "models" / "tiny"
    options = ("--train", files[0], "--dev", files[1], "--out", out, "--config", tmp_path / "c.yaml", "--epochs", 1)
    text = run(*options)
    assert "windows of 40 bp, best epoch 1" in text
    assert "2 of 24 training sequences repeat in the development set and are left out" in caplog.text
    model = load_model(out)
    assert (model.width, model.chromosomes) == (40, {})
    record = model.provenance
    assert record["splits"] == {"train": {"positive": 11, "negative": 11}, "validation": {"positive": 5, "negative": 5}}
    assert record["removed"] == {"repeats_of_dev": 2}
    assert record["inputs"]["train"] == {"file": "train.csv.gz", "sha256": checksum(files[0])}
    assert record["inputs"]["dev"] == {"file": "dev.csv.gz", "sha256": checksum(files[1])}
    settings = record["config"]
    assert (settings["seed"], settings["epochs"], settings["dim"], settings["max_shift"]) == (5, 1, 4, 0)
    assert len(json.loads((out / "history.json").read_text())["epochs"]) == 1
    assert str(tmp_path) not in (out / "config.json").read_text()
    assert [path.name for path in out.parent.iterdir()] == ["tiny"]  # no checkpoints, no half a folder


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(files, tmp_path):
    (tmp_path / "c.yaml").write_text(YAML)
    options = ("--train", files[0], "--dev", files[1], "--epochs", 1, "--config", tmp_path / "c.yaml")
    for name, seed in (("a", ()), ("b", ("--seed", 1)), ("c", ("--seed", 2))):
        run(*options, "--out", tmp_path / name, *seed)
    found = {name: checksum(tmp_path / name / "model.safetensors") for name in "abc"}
    assert found["a"] == found["b"] != found["c"]
    assert (tmp_path / "a" / "config.json").read_bytes() == (tmp_path / "b" / "config.json").read_bytes()


def test_folders_of_splits_and_other_labels(files, tmp_path):
    text = gzip.decompress(files[0].read_bytes()).decode().replace(",1\n", ",promoter\n").replace(",0\n", ",none\n")
    (tmp_path / "set").mkdir()
    for name in ("train.csv", "dev.csv"):
        (tmp_path / "set" / name).write_text(text)
    with pytest.raises(FileFormatError, match="--positive"):
        run("--train", tmp_path / "set", "--dev", tmp_path / "set", "--out", tmp_path / "m")
    with pytest.raises(SplitError, match="24 of 24 training sequences repeat"):
        train_tables(tmp_path / "set", tmp_path / "set", tmp_path / "m", positive="promoter")
    config = TableConfig(training=TINY.model_copy(update={"epochs": 1}))
    write(tmp_path / "set" / "dev.csv", sequences(6, seed=9))
    with pytest.raises(FileFormatError, match="expected 'promoter'"):
        train_tables(tmp_path / "set", tmp_path / "set", tmp_path / "m", config, positive="promoter")
    (tmp_path / "set" / "train.csv").write_text(text.replace("promoter", "1").replace("none", "0"))
    model = train_tables(tmp_path / "set", tmp_path / "set", tmp_path / "m", config)
    assert model.provenance["splits"]["train"] == {"positive": 12, "negative": 12}


@pytest.mark.parametrize("there", ["file", "folder"])
def test_something_else_in_place_of_the_model_stays(files, tmp_path, there):
    out = tmp_path / "precious"
    if there == "file":
        out.write_text("x")
    else:
        out.mkdir()
        (out / "thesis.tex").write_text("x")
    with pytest.raises(FileFormatError, match=r"precious: there is something else of this name[\s\S]*remedy"):
        run("--train", files[0], "--dev", files[1], "--out", out)
    assert (out if there == "file" else out / "thesis.tex").read_text() == "x"


def test_a_training_that_fails_leaves_the_older_model(files, tmp_path, monkeypatch):
    out, config = tmp_path / "m", TableConfig(training=TINY.model_copy(update={"epochs": 1}))
    train_tables(*files, out, config)
    before = checksum(out)
    monkeypatch.setattr(tables, "fit_pairs", lambda *_, **__: (_ for _ in ()).throw(GenocontrastError("stopped")))
    with pytest.raises(GenocontrastError, match="stopped"):
        train_tables(*files, out, config)
    assert checksum(out) == before


def test_an_interrupted_training_goes_on(files, tmp_path, monkeypatch):
    out, config = tmp_path / "m", TableConfig(training=TINY)
    whole = train_tables(*files, tmp_path / "whole", config)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # as if it had been killed before the end
    train_tables(*files, out, TableConfig(training=TINY))
    monkeypatch.undo()
    assert (tmp_path / ".m.checkpoints").is_dir()
    again = train_tables(*files, out, config)
    assert again.history == whole.history
    assert not (tmp_path / ".m.checkpoints").exists()


def test_what_a_configuration_gets_wrong_is_named(files, tmp_path):
    options = ("--train", files[0], "--dev", files[1], "--out", tmp_path / "m", "--config", tmp_path / "c.yaml")
    for text, said in (
        ("trainign:\n  epochs: 1\n", r"unknown key 'trainign'"),
        ("training:\n  epoch: 1\n", r"c\.yaml, line 2: unknown key 'training\.epoch'"),
        ("training:\n  encoder: kmers\n", r"the encoder of k-mers starts with fitted vectors"),
        ("seed: -1\n", r"'seed'"),
    ):
        (tmp_path / "c.yaml").write_text(text)
        with pytest.raises(ConfigError, match=said):
            run(*options)
    assert not (tmp_path / "m").exists()


def test_frames_are_fitted_to_windows_as_wide_as_the_longest():
    train, dev = frame(sequences(12)), frame([*sequences(6, seed=1)[:5], "ACGT" * 12], "any")
    model = fit_tables(train, dev, TINY)
    assert model.width == 48
    assert len(model.history) == 2
    assert model.score_codes(tables.window_codes(train, width=40)).shape == (12,)
    with pytest.raises(SplitError, match="'train' holds a single class"):
        fit_tables(train[train["label"] == 1], dev, TINY)


def rich_and_poor(n, seed):
    """Positives are rich in GC: what a few steps can learn, and labels the wrong way round would not."""
    rng = np.random.default_rng(seed)
    share = [[0.4, 0.1, 0.1, 0.4], [0.1, 0.4, 0.4, 0.1]]
    return frame(["".join(rng.choice(list("ACGT"), 40, p=share[i % 2])) for i in range(n)])


@pytest.mark.filterwarnings("ignore:the validation logits separate")
def test_positives_come_out_above_negatives():
    config = TINY.model_copy(update={"epochs": 4, "learning_rate": 0.02, "surrogate_weight": 0.0})
    model = fit_tables(rich_and_poor(64, 1), rich_and_poor(16, 2), config)
    test = rich_and_poor(40, 3)
    scores, positive = model.score_codes(tables.window_codes(test)), test["label"].to_numpy() == 1
    assert (scores[positive][:, None] > scores[~positive]).mean() > 0.9
