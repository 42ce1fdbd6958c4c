"""What the demo promises, on the planted truth of its genome."""

import json
import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml

from genocontrast.examples import read_examples

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


@pytest.fixture(scope="module")
def metrics(demo):
    return json.loads((demo / "evaluation/metrics.json").read_text())


def auroc(metrics, baseline=None):
    if baseline is None:
        return metrics["test"]["auroc"]["value"]
    return next(row["auroc"]["value"] for row in metrics["baselines"] if row["name"] == baseline)


def test_decoys_are_no_promoters(demo, demo_folder):
    examples = read_examples(demo / "negatives/examples.parquet")
    elements = pd.read_csv(demo_folder / "resources/simulated/elements.tsv", sep="\t")
    promoters = elements[elements["class"] == "promoter"]
    decoys = examples[examples["label"] == 0]
    for chrom, rows in decoys.groupby("chrom"):
        planted = promoters[promoters["chrom"] == chrom]
        touching = (rows["start"].to_numpy()[:, None] < planted["end"].to_numpy()) & (
            rows["end"].to_numpy()[:, None] > planted["start"].to_numpy()
        )
        assert not touching.any()


def test_composition_alone_tells_nothing(metrics):
    assert 0.4 <= auroc(metrics, "GC only") <= 0.6


def test_the_model_comes_close_to_the_oracle(metrics):
    assert 0.9 <= metrics["oracle"]["auroc"]["value"] <= 0.97
    share = (auroc(metrics) - 0.5) / (metrics["oracle"]["auroc"]["value"] - 0.5)
    assert share == pytest.approx(metrics["oracle"]["share"])
    assert share >= 0.8


def test_the_model_sees_more_than_kmers(metrics):
    assert auroc(metrics) >= auroc(metrics, "4-mer") + 0.05


def test_no_call_flips_with_the_strand(metrics):
    assert metrics["strand"]["examples"] > 500
    assert metrics["strand"]["flips"] == 0


def test_no_test_window_was_seen_in_training(metrics):
    assert metrics["leakage"]["windows"] == metrics["strand"]["examples"]
    assert (metrics["leakage"]["overlapping"], metrics["leakage"]["near_duplicates"]) == (0, 0)


def test_motifs_are_planted_ones_by_name(demo):
    truth = json.loads((demo / "evaluation/motifs.json").read_text())["truth"]
    assert truth["distinguishing"] >= 15
    assert truth["recall"] >= 0.4
    assert truth["recall_read"] >= 0.8
    assert truth["precision"] >= 0.8
    assert truth["overlap"]["of_planted"] >= 0.6


@pytest.mark.browser
def test_the_report_opens_with_the_network_off(browser, opened, demo):
    page = demo / "report/report.html"
    console, asked = opened(page)
    assert console == []
    assert asked == {page.as_uri()}
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('[data-figure] .drawing > *')].filter(drawn => drawn.checkVisibility())"
        ".map(drawn => drawn.getBoundingClientRect().height)"
    )
    assert len(sizes) >= 12
    assert min(sizes) > 30
    assert "The model beats" in browser.find_element("tag name", "h1").text


def test_the_errors_and_tracks_are_of_the_test_split(demo):
    examples = read_examples(demo / "negatives/examples.parquet").query("tier == 'hard' and split == 'test'")
    errors = json.loads((demo / "evaluation/errors.json").read_text())
    for kind, label in (("decoys", 0), ("promoters", 1)):
        named = [one["name"] for one in errors[kind]]
        assert len(named) == 5
        assert set(named) <= set(examples.loc[examples["label"] == label, "name"])
    assert errors["decoys"][0]["score"] > 0.5 > errors["promoters"][0]["score"]
    bed = pd.read_csv(demo / "evaluation/predictions.bed", sep="\t", header=None, skiprows=1)
    assert len(bed) == len(examples)
    assert bed[[0, 1]].apply(tuple, axis=1).is_monotonic_increasing


def test_the_workflow_report_holds_the_page(snakemake, demo_folder, demo_config):
    finished = snakemake(demo_folder, demo_config, "--report", "report.zip")
    assert finished.returncode == 0, finished.stderr[-4000:]
    with zipfile.ZipFile(demo_folder / "report.zip") as packed:
        names = {Path(name).name for name in packed.namelist()}
        index = packed.read(min(packed.namelist(), key=len)).decode()
    assert {"report.html", "roc.tsv", "embedding.tsv"} <= names
    assert "One file that" in index


def test_splits_share_no_chromosome(demo):
    examples = read_examples(demo / "negatives/examples.parquet")
    assert (examples.groupby("chrom")["split"].nunique() == 1).all()


def test_a_second_run_does_nothing(snakemake, demo, demo_folder, demo_config):
    page = (demo / "report/report.html").stat().st_mtime_ns
    again = snakemake(demo_folder, demo_config)
    assert again.returncode == 0
    assert "Nothing to be done" in again.stderr
    assert (demo / "report/report.html").stat().st_mtime_ns == page


def test_a_setting_reruns_only_what_depends_on_it(snakemake, demo_folder, demo_config):
    planned = snakemake(demo_folder, {**demo_config, "report": {"title": "Another title"}}, "--dry-run")
    jobs = {line.split()[0] for line in planned.stdout.splitlines() if line and line.split()[-1] == "1"}
    assert "report" in jobs
    assert not jobs & {"genome", "negatives", "kmers", "training", "evaluation"}


def test_permuted_labels_leave_no_signal(snakemake, demo_folder, demo_config, tmp_path):
    config = yaml.safe_load(yaml.safe_dump(demo_config))
    config |= {"name": "permuted", "negatives": {"permute_labels": True}, "training": {"epochs": 8, "patience": 3}}
    config["evaluation"] = {**config["evaluation"], "shortcut_audit": False, "scan": False}
    shutil.copytree(demo_folder / "resources", tmp_path / "resources")
    finished = snakemake(tmp_path, config)
    assert finished.returncode == 0, finished.stderr[-4000:]
    results = tmp_path / "results/permuted"
    found = json.loads((results / "evaluation/metrics.json").read_text())
    assert found["test"]["auroc"]["low"] <= 0.5 <= found["test"]["auroc"]["high"]
    assert found["signal"] is False
    assert "no signal" in (results / "report/report.html").read_text().lower()
