"""Evaluation on tables: figures against scikit-learn and by hand, intervals, files."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference
from typer.testing import CliRunner

from genocontrast.cli import main
from genocontrast.encoders import StrandEncoder
from genocontrast.errors import FileFormatError, GenocontrastWarning, SplitError
from genocontrast.evaluation.tables import ClassResamples, evaluate_table
from genocontrast.sequence import decode, encode, one_hot
from genocontrast.training.model import Model

MOTIF = "TATAAAGG"


def examples(n=80, length=40, seed=0):
    """Every third is positive; most positives hold the motif, some others do."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 4, (n, length), dtype=np.uint8)
    labels = (np.arange(n) % 3 == 0).astype(int)
    for row in np.flatnonzero(rng.random(n) < np.where(labels == 1, 0.8, 0.2)):
        at = rng.integers(0, length - 8)
        rows[row, at : at + 8] = encode(MOTIF)
    return pd.DataFrame({"sequence": [decode(row) for row in rows], "label": labels, "split": "test"})


@pytest.fixture
def model(stand_in):
    return stand_in(one_hot(encode(MOTIF)).T, 40, threshold=4)


@pytest.fixture
def saved(tmp_path):
    Model(StrandEncoder("tied", width=8, depth=1, dim=4).eval(), 40, {}, {"made": "by hand"}).save(tmp_path / "model")
    return tmp_path / "model"


def write(path, table):
    table.to_csv(path, index=False)
    return path


def run(*arguments):
    found = CliRunner().invoke(main, ["evaluation", "csv", *map(str, arguments)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_figures_against_scikit_learn(model):
    table = examples()
    found = evaluate_table(model, table, bootstraps=100)
    labels, scores = table["label"].to_numpy(), found.predictions["probability"].to_numpy()
    figures = found.metrics
    assert (figures["examples"], figures["prevalence"]) == (80, pytest.approx(27 / 80))
    assert figures["auroc"]["value"] == pytest.approx(reference.roc_auc_score(labels, scores))
    assert figures["auprc"]["value"] == pytest.approx(reference.average_precision_score(labels, scores))
    calls, called = figures["calls"], scores >= 0.5
    assert calls["threshold"] == 0.5
    assert 0 < called.sum() < 80
    assert calls["mcc"]["value"] == pytest.approx(reference.matthews_corrcoef(labels, called))
    assert calls["accuracy"]["value"] == pytest.approx(reference.accuracy_score(labels, called))
    assert calls["f1"]["value"] == pytest.approx(reference.f1_score(labels, called))
    for figure in ("mcc", "accuracy", "f1"):
        assert calls[figure]["low"] < calls[figure]["value"] < calls[figure]["high"]
    assert found.predictions["call"].tolist() == (scores >= 0.5).astype(int).tolist()


def test_intervals_are_quantiles_of_figures_of_resampled_examples(model):
    table = examples()
    found = evaluate_table(model, table, bootstraps=300, seed=3)
    labels, scores = table["label"].to_numpy(), found.predictions["probability"].to_numpy()
    resampled = []
    for weights in ClassResamples(labels, 300, 3).weights():
        for row in weights.astype(int):
            drawn = np.repeat(np.arange(80), row)
            assert labels[drawn].sum() == labels.sum()
            assert len(drawn) == 80
            truth, called = labels[drawn] == 1, scores[drawn] >= 0.5
            resampled.append(2 * (truth & called).sum() / (truth.sum() + called.sum()))
    assert len(resampled) == 300
    low, high = np.quantile(resampled, [0.025, 0.975])
    f1 = found.metrics["calls"]["f1"]
    assert (f1["low"], f1["high"]) == (pytest.approx(low), pytest.approx(high))


def test_resamples_draw_as_often_as_chance_would_and_repeat_themselves():
    labels = np.arange(300) % 3 == 0
    resamples = ClassResamples(labels, 10_000, 1)
    chunks = list(resamples.weights())
    assert len(chunks) > 1  # more than fit into one
    counts = np.concatenate(chunks)
    assert counts.shape == (10_000, 300)
    assert counts.mean(0) == pytest.approx(np.ones(300), abs=0.06)
    assert counts[:, labels].var() == pytest.approx(1 - 1 / 100, rel=0.02)
    assert (np.concatenate(list(resamples.weights())) == counts).all()


def test_strands_are_audited(stand_in):
    weights = one_hot(encode(MOTIF)).T
    tied, free = (stand_in(weights, 40, threshold=4, both_strands=both) for both in (True, False))
    assert evaluate_table(tied, examples(), 100).metrics["strand"]["flips"] == 0
    assert evaluate_table(free, examples(), 100).metrics["strand"]["flips"] > 10


def test_sequences_of_another_length_are_fitted_to_the_model_and_counted(model):
    table = examples()
    table.loc[0, "sequence"] = "ACGT" + table.loc[0, "sequence"] + "ACGT"
    table.loc[1, "sequence"] = table.loc[1, "sequence"][2:-1]
    with pytest.warns(GenocontrastWarning, match="of 80 sequences, read as 40 bp, 1 are longer .* and 1 are shorter"):
        found = evaluate_table(model, table, 100)
    table.loc[0, "sequence"] = table.loc[0, "sequence"][4:-4]
    table.loc[1, "sequence"] = "N" + table.loc[1, "sequence"] + "NN"
    pd.testing.assert_frame_equal(found.predictions, evaluate_table(model, table, 100).predictions)


def test_the_command_prints_and_writes(saved, tmp_path):
    table = examples().rename(columns={"sequence": "Sequence"}).assign(id=[f"p{i}" for i in range(80)])
    data = write(tmp_path / "test.csv", table)
    out = ("--json", tmp_path / "o" / "m.json", "--predictions", tmp_path / "o" / "p.tsv", "--bootstraps", 100)
    text = run("--model", saved, "--data", data, *out)
    found = json.loads((tmp_path / "o" / "m.json").read_text())
    assert found["strand"]["flips"] == 0
    assert found["strand"]["network"]["max_difference"] < 1e-5
    assert found["provenance"]["inputs"].keys() == {"model", "data"}
    for word in ("AUROC", "AUPRC", "MCC at 0.5", "F1", "accuracy", "80 sequences, 33.8% positive, read as 40 bp"):
        assert word in text
    assert f"{found['calls']['accuracy']['value']:.4f}" in text
    rows = pd.read_csv(tmp_path / "o" / "p.tsv", sep="\t")
    assert rows["name"].tolist() == table["id"].tolist()
    assert rows["label"].tolist() == table["label"].tolist()
    area = reference.roc_auc_score(rows["label"], rows["probability"])
    assert found["auroc"]["value"] == pytest.approx(area, abs=1e-6)
    assert [path.name for path in (tmp_path / "o").iterdir() if path.name.startswith(".")] == []


def test_a_table_that_cannot_be_measured_leaves_no_file(saved, tmp_path):
    one_class = write(tmp_path / "test.csv", examples().assign(label=1))
    with pytest.raises(SplitError, match="single class"):
        run("--model", saved, "--data", one_class, "--json", tmp_path / "m.json")
    with pytest.raises(FileFormatError, match="no such file"):
        run("--model", tmp_path / "none", "--data", one_class, "--json", tmp_path / "m.json")
    assert not (tmp_path / "m.json").exists()


def test_help_says_units_and_defaults():
    text = " ".join(run("--help").replace("│", " ").split())
    assert "[default: 1000]" in text
    text = CliRunner().invoke(main, ["training", "csv", "--help"]).output
    assert "[default: (40)]" in text
