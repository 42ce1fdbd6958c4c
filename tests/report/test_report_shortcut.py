"""The shortcut audit and the genome scan on the page: their figures, and words that the intervals carry."""

import copy

import pandas as pd
import pytest

from genocontrast.report.results import read_results
from genocontrast.report.scan import scan_panel, scan_sentence, scan_table
from genocontrast.report.sections import _scan, _shortcut
from genocontrast.report.shortcut import shortcut_panel, shortcut_sentences, shortcut_table


def test_the_heat_map_has_a_cell_for_each_pair_of_tiers_and_all_its_data(shortcut):
    panel = shortcut_panel(shortcut)
    for trained in ("random", "gc", "hard"):
        for tested in ("random", "gc", "hard"):
            cell = panel.data.set_index(["name", "trained", "tested"])["value"]["model", trained, tested]
            assert f">{cell:.3f}<" in panel.svg
    assert len(panel.data) == 27
    assert "trained on matched: random 0.850" in panel.alt
    assert panel.svg.count("step-") == 9


def test_the_table_names_what_is_absent_and_unequal(shortcut):
    table = shortcut_table(shortcut)
    assert len(table.rows) == 9
    assert table.rows[0] == ["random", "model", "0.950 (0.930 to 0.970)", "0.810 (0.790 to 0.830)"]
    assert table.strong == {0, 3, 6}
    assert "Not trained: open, too few pairs (test 3" in table.note
    assert "random 4, same GC 4 and matched 24" in table.note
    assert "same number of epochs" in shortcut_sentences(shortcut)[1]
    alike = shortcut | {"epochs": {"random": 9, "gc": 9, "hard": 9}}
    assert "pochs" not in shortcut_table(alike).note + shortcut_sentences(alike)[1]


def test_lessons_of_the_matched_model_alone_are_told(shortcut):
    assert "lessons before" not in shortcut_sentences(shortcut)[1]
    told = shortcut_sentences(shortcut | {"lessons_before": ["pretraining", "pool"]})[1]
    assert "lessons before (pretraining and the pool of all candidates)" in told


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0.02, 0.2, "did not ask for"), (-0.1, 0.1, "includes 0"), (-0.2, -0.1, "cost more than it gained")],
)
def test_the_sentence_says_no_more_than_the_interval(shortcut, low, high, words):
    shortcut["gains"][0]["difference"] = {"value": (low + high) / 2, "low": low, "high": high}
    told = shortcut_sentences(shortcut)[1]
    assert words in told
    assert "Trained on random decoys, the model reaches AUROC 0.950 among decoys of that kind and 0.810 among" in told


def test_matched_decoys_alone_have_nothing_to_compare_with(shortcut):
    alone = [row for row in shortcut["figures"] if row["trained"] == row["tested"] == "hard"]
    only = shortcut | {"tiers": ["hard"], "figures": alone, "gains": []}
    assert "no easier tier" in shortcut_sentences(only)[0]
    assert shortcut_panel(only).svg.count("step-") == 1
    assert len(shortcut_table(only).rows) == 3


def test_the_scan_in_words_and_figures(scan):
    told = scan_sentence(scan)
    assert "finds 0.60 (0.58 to 0.62) of 100 start-site loci" in told
    assert "0.50 (0.48 to 0.52) of its calls lie at one (22 false positives per Mb)" in told
    panel = scan_panel(scan)
    assert len(panel.data) == 60
    assert "4-mer 0.50" in panel.alt
    table = scan_table(scan)
    assert [row[:2] for row in table.rows] == [
        ["model", "everywhere"],
        ["model", "open chromatin"],
        ["4-mer", "everywhere"],
        ["4-mer", "open chromatin"],
        ["random positions", "everywhere"],
    ]
    assert "7 lie on other evidence" in table.note


def test_a_scan_without_a_call_is_shown(scan):
    silent = copy.deepcopy(scan)
    nothing = {key: [] for key in ("threshold", "recall", "precision", "false_positives_per_mb")}
    silent["scorers"][0] |= {"calls": 0, "precision": None, "false_positives_per_mb": 0.0, "curve": nothing}
    silent["scorers"][0]["distance"]["median"] = None
    assert "makes 0 calls" in scan_sentence(silent)
    assert scan_table(silent).rows[0][4] == "none"
    assert set(scan_panel(silent).data["name"]) == {"4-mer", "random positions"}


def test_what_did_not_run_is_said(tmp_path, write, page):
    data = page.parent / "data"
    assert {"name", "trained", "tested", "value"} <= set(pd.read_csv(data / "shortcut.tsv", sep="\t"))
    assert len(pd.read_csv(data / "scan.tsv", sep="\t")) == 60
    refused = {"provenance": {}, "run": False, "reason": "evaluation.scan is false"}
    found = read_results(write(tmp_path / "demo", shortcut=None, scan=refused))
    assert "not trained on easier decoys" in _shortcut(found).blocks[0].content[0]
    assert "evaluation.scan is false" in _scan(found).blocks[0].content[0]
    assert found.missing == ["the shortcut audit"]
