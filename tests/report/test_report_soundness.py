"""Results with figures that are not numbers, with a single class or without rows: words, never a blank figure."""

import html
import json
import re

import numpy as np
import pandas as pd
import pytest

from genocontrast.artefacts import read_parquet, write_parquet
from genocontrast.errors import FileFormatError
from genocontrast.report import write_report

NAN = float("nan")


def words(page):
    return html.unescape(re.sub(r"<[^>]+>", " ", re.sub(r"<script.*", "", page.read_text(), flags=re.S)))


def figures(page):
    return re.findall(r'data-figure="([^"]+)"', page.read_text())


def change_json(path, change):
    """Change a JSON file in place; NaN is written as other tools write it."""
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


@pytest.mark.parametrize("value", [NAN, None])
@pytest.mark.parametrize("name", ["auroc", "auprc", "mcc"])
def test_a_model_without_figures_is_refused(tmp_path, write, config, name, value):
    results = write(tmp_path / "demo")
    metrics = results / "evaluation/metrics.json"
    change_json(metrics, lambda found: found["test"][name].update(value=value))
    with pytest.raises(FileFormatError, match=rf"metrics.json: the model's {name.upper()} .*not a number") as caught:
        write_report(results, config)
    assert "genocontrast evaluation run" in caught.value.remedy
    assert not (results / "report").exists()


def test_a_baseline_without_figures_is_left_out_and_named(tmp_path, write, config):
    results = write(tmp_path / "demo")

    def spoil(found):
        best = max(found["baselines"], key=lambda baseline: baseline["auroc"]["value"])
        best["difference"]["low"] = NAN

    change_json(results / "evaluation/metrics.json", spoil)
    page = write_report(results, config)
    assert "because its figures are not numbers: the baseline 4-mer" in words(page)
    assert list(pd.read_csv(page.parent / "data/auroc.tsv", sep="\t")["name"])[:2] == ["model", "covariates"]


def test_scores_that_are_not_numbers_are_left_out(tmp_path, write, config):
    results = write(tmp_path / "demo")
    path = results / "evaluation/predictions.parquet"
    table = read_parquet(path)[0]
    test = np.flatnonzero(table["split"] == "test")
    table.loc[test[:3], "score"] = NAN
    write_parquet(path, table)
    page = write_report(results, config)
    assert "not numbers: the scores of 3 test examples" in words(page)
    counted = pd.read_csv(page.parent / "data/scores.tsv", sep="\t")
    assert counted[["promoters", "decoys"]].to_numpy().sum() == 177


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (lambda table: table["label"] == 1, "The test predictions hold promoters only"),
        (lambda table: table["label"] == 0, "The test predictions hold decoys only"),
        (lambda table: table["split"] != "test", "No test example has a score."),
    ],
)
def test_predictions_of_one_class_are_told_and_not_drawn(tmp_path, write, config, kept, said):
    results = write(tmp_path / "demo")
    path = results / "evaluation/predictions.parquet"
    table = read_parquet(path)[0]
    write_parquet(path, table[kept(table)])
    page = write_report(results, config)
    assert said in words(page)
    assert "scores" not in figures(page)


@pytest.mark.parametrize(
    ("file", "change", "said", "gone"),
    [
        ("evaluation/metrics", lambda m: m["curves"].update(roc={}), "The metrics hold no curve", "roc"),
        ("evaluation/metrics", lambda m: m["curves"]["pr"]["model"]["y"].clear(), "The metrics hold no curve", "pr"),
        (
            "evaluation/metrics",
            lambda m: m["curves"]["pr"]["model"]["y"].__setitem__(0, NAN),
            "A curve of the test pairs holds values that are not numbers",
            "pr",
        ),
        (
            "evaluation/metrics",
            lambda m: m["calibration"]["after"]["curve"].clear(),
            "The calibration curve is empty (after)",
            "reliability",
        ),
        ("evaluation/metrics", lambda m: m.pop("calibration"), "The calibration was not measured", "reliability"),
        ("training/history", lambda h: h["epochs"].clear(), "The training's history holds no epoch", "loss"),
        (
            "training/history",
            lambda h: [epoch.update(validation_loss=NAN) for epoch in h["epochs"]],
            "No epoch of the training's history has a validation loss",
            "loss",
        ),
    ],
)
def test_what_cannot_be_drawn_is_said(tmp_path, write, config, file, change, said, gone):
    results = write(tmp_path / "demo")
    change_json(results / f"{file}.json", change)
    page = write_report(results, config)
    assert said in words(page)
    assert gone not in figures(page)


def test_a_chromosome_of_one_class_has_a_dash_and_a_note(tmp_path, write, config):
    results = write(tmp_path / "demo")
    metrics = results / "evaluation/metrics.json"
    change_json(metrics, lambda found: found["per_chromosome"][0].update(auroc=NAN))
    text = " ".join(words(write_report(results, config)).split())
    assert "chr4 50 \u2013 chr5 40 0.900 No AUROC where a chromosome holds a single class." in text
    change_json(metrics, lambda found: found["per_chromosome"].clear())
    assert "The metrics name no test chromosome" in words(write_report(results, config))


def test_embeddings_that_are_not_numbers_have_no_place_on_the_map(tmp_path, write, config):
    import anndata

    results = write(tmp_path / "demo")
    path = results / "evaluation/embeddings.h5ad"
    table = anndata.read_h5ad(path)
    table.X[:5] = NAN
    table.write_h5ad(path)
    page = write_report(results, config)
    assert len(pd.read_csv(page.parent / "data/embedding.tsv", sep="\t")) == 175
    table.X[:] = NAN
    table.write_h5ad(path)
    page = write_report(results, config)
    assert "No embeddings were written" in words(page)
    assert "embedding" not in figures(page)


def test_files_of_another_version_are_named(tmp_path, write, config):
    results = write(tmp_path / "demo")
    change_json(results / "negatives/balance.json", lambda found: found.pop("evidence"))
    with pytest.raises(FileFormatError, match="no entry 'evidence'"):
        write_report(results, config)
