"""The small figures of the badges: the numbers behind them, and none where an audit has not run."""

import re

import pytest

from genocontrast.report.badges import badge_panels
from genocontrast.report.results import read_results


@pytest.fixture
def badges(tmp_path, write):
    def make(**parts):
        return badge_panels(read_results(write(tmp_path / "demo", vectors=False, **parts)), max_smd=0.1)

    return make


def texts(panel):
    return re.findall(r"<text[^>]*>([^<]*)</text>", panel.svg)


def leakage(overlapping, near):
    return {"windows": 180, "overlapping": overlapping, "exact_repeats": 0, "near_duplicates": near, "passed": False}


def test_the_balance_badge_shows_what_was_matched_on_widest_first(badges):
    panel = badges()["Balance"]
    assert panel.data["covariate"].tolist() == ["accessibility", "gc", "cpg"]
    assert texts(panel)[::2] == ["accessibility", "GC content", "CpG ratio"]
    assert texts(panel)[1::2] == ["0.05", "0.03", "0.02"]


def test_an_imbalance_is_in_another_colour(badges, balance):
    def colour(panel):
        return re.search(r"fill: (var\(--\w+\))[^>]*>0\.\d+<", panel.svg)[1]

    assert colour(badges(balance=balance)["Balance"]) == "var(--ink)"
    balance["table"][1]["smd_after"] = -0.3
    panel = badges(balance=balance)["Balance"]
    assert texts(panel)[:2] == ["GC content", "0.30"]
    assert colour(panel) == "var(--decoy)"


def test_the_shortcut_badge_holds_the_model_against_covariates_alone(badges):
    panel = badges()["Shortcut"]
    assert panel.data["name"].tolist() == ["model", "covariates", "GC only", "CpG only"]
    assert texts(panel) == ["model", "0.91", "covariates", "0.58", "GC", "0.55", "CpG", "0.53"]


def test_the_strand_badge_counts_flips(badges, metrics):
    metrics["strand"]["flips"] = 9
    panel = badges(metrics=metrics)["Strand"]
    assert panel.data[["count", "of"]].to_numpy().tolist() == [[9, 180], [0, 180]]
    assert texts(panel) == ["model", "9", "its network", "0"]
    assert "of 180: model 9 and its network 0" in panel.alt


def test_the_leakage_badge_shows_a_single_window(badges, metrics):
    filled = r"fill: var\(--decoy\)"
    none = badges(metrics=metrics | {"leakage": leakage(0, 0)})["Leakage"]
    one = badges(metrics=metrics | {"leakage": leakage(0, 1)})["Leakage"]
    assert texts(one) == ["overlaps", "0", "copies", "0", "near copies", "1"]
    assert len(re.findall(r"<path[^>]*" + filled, one.svg)) == len(re.findall(r"<path[^>]*" + filled, none.svg)) == 3
    widths = [re.findall(r'<path d="([^"]*)"[^>]*' + filled, panel.svg)[-1] for panel in (none, one)]
    assert widths[0] != widths[1]


def test_an_audit_that_has_not_run_has_no_figure(badges, metrics, balance):
    for row in balance["table"]:
        row["matched"] = False
    metrics |= {"strand": None, "leakage": None, "baselines": metrics["baselines"][-1:]}
    assert badges(metrics=metrics, balance=balance) == {}
