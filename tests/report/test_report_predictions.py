"""The page on a scored set: what it says of the model, what it warns of, and that hostile names stay names."""

import html
import json
import re
from io import StringIO
from pathlib import Path

import html5lib
import numpy as np
import pandas as pd
import pytest
from test_report_page import Outline, carried_by
from typer.testing import CliRunner

from genocontrast.artefacts import checksum, write_json, write_table
from genocontrast.cli import main
from genocontrast.config import parse_config
from genocontrast.errors import FileFormatError
from genocontrast.report.predictions import TOP, write_page

EVIL = "<img src=x onerror='window.pwned=1'><script>window.pwned=1</script>\"&$x_1$"
MODEL = {"file": "model.safetensors", "sha256": "ab" * 32}
CONFIG = parse_config({"name": "demo", "genome": {"fasta": "g.fa", "promoters": "p.bed", "signal": ["s.bw"]}})
SEEN = ["training"] * 60 + ["validation"] * 20 + ["no"] * 40


def make_rows():
    """120 regions: the first 60 were trained on, 20 are of the validation split; the last one is mostly N."""
    rng = np.random.default_rng(2)
    start = np.arange(120) * 500
    table = pd.DataFrame({"chrom": "1", "start": start, "end": start + 400, "name": [f"r{i}" for i in range(120)]})
    table = table.assign(strand=".", window_start=start + 50, window_end=start + 350, seen=SEEN)
    table["probability"] = (rng.permutation(120) / 125).round(4)
    table["mostly_n"] = [False] * 119 + [True]
    return table


def write_set(results, rows=None, **facts):
    rows = make_rows() if rows is None else rows
    folder = results / "predictions" / "mine"
    write_table(folder / "scores.tsv", rows)
    seen = {what: SEEN.count(what) for what in ("training", "pretraining", "validation", "no")}
    inputs = {"genome": {"file": "g.fa", "sha256": "cd" * 32}, "model": MODEL, "set": {"file": "x.bed", "sha256": "e"}}
    record = {
        **{"kind": "regions", "set": "mine", "rows": 123, "windows": len(rows), "mostly_n": 1, "cut": 4, "longer": 120},
        "model": {"encoder": "convolution", "strands": "tied", "seed": 7, "trained_with_genocontrast": None},
        **{"seen": seen, "width": 300, "one_strand": False, "renamed": {}},
        "skipped": [{"reason": "on sequences that the genome does not have", "count": 3}],
        "held": {"train": "1", "validation": "2"},
        "provenance": {"genocontrast": "0", "config": {"set": "mine", "prevalence": None}, "inputs": inputs},
        "scores": {"file": "scores.tsv", "sha256": checksum(folder / "scores.tsv")},
        **facts,
    }
    write_json(folder / "scores.json", record)
    return results


def write_report_of(results, model=MODEL):
    interval = {"value": 0.871, "low": 0.85, "high": 0.89}
    write_json(results / "evaluation" / "metrics.json", {"provenance": {"inputs": {"model": model}}})
    verdict = {"tone": "good", "title": "The model beats every simpler explanation tested.", "text": ""}
    write_json(results / "report/data/summary.json", {"verdict": verdict, "auroc": interval, "pairs": 90})


def words(page):
    body = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


@pytest.fixture
def page(tmp_path):
    write_report_of(write_set(tmp_path / "demo"))
    return write_page(CONFIG, tmp_path / "demo", "mine").read_text()


def test_the_first_screen_says_how_good_the_model_is_and_what_it_has_seen(page):
    text = words(page)
    assert "120 regions of mine, scored with the model of demo" in text
    assert "\u201cThe model beats every simpler explanation tested\u201d; its AUROC is 0.871 (0.850 to 0.890)" in text
    assert (
        "Warning: among 120 windows are 60 in sequence that the model was trained on and 20 in sequence that stopped "
        "and calibrated its training." in text
    )
    assert "only those of the other 40 are of sequence new to it" in text
    assert "1 window of more than half N" in text
    assert "3 rows of the file lie on sequences that the genome does not have and were left out." in text
    assert 'href="../../report/report.html"' in page


def test_the_top_table_lists_the_highest_that_are_not_n(page):
    rows = make_rows()
    rows = rows[~rows["mostly_n"]].sort_values("probability", ascending=False).head(TOP)
    tree = html5lib.parse(page, namespaceHTMLElements=False)
    cells = [["".join(cell.itertext()) for cell in row] for row in tree.findall(".//section[@id='top']//tbody/tr")]
    expected = [
        [f"1:{row.start:,}-{row.end:,}", row.name, ".", f"{row.probability:.4f}", row.seen.replace("no", "not seen")]
        for row in rows.itertuples(index=False)
    ]
    assert cells == expected


def test_the_histogram_counts_what_was_seen_apart(page):
    frame = pd.read_csv(StringIO(carried_by(page)["tables"]["histogram"]), sep="\t")
    rows = make_rows().iloc[:119]
    assert (frame["seen"].sum(), frame["new"].sum()) == (80, 39)
    low = rows["probability"] < 0.5
    assert frame.loc[frame["to"] <= 0.5, "new"].sum() == (low & (rows["seen"] == "no")).sum()
    assert f"{119 - low.sum()} windows of 119 have a probability of 0.5 or more" in words(page)


def test_counts_files_and_checksums_are_given(page):
    text = words(page)
    assert re.search(r"rows of the file 123 left out: on sequences that the genome does not have 3", text)
    assert re.search(r"training 60 50\.0 % [\d.]+ pretraining 0 0\.0 % \u2013 validation 20 16\.7 %", text)
    assert f"model model.safetensors {'ab' * 32}" in text
    assert "one half are promoters" in text
    assert (
        "encoder convolution seed 7 strands tied trained with genocontrast \u2013 window, bp 300 prevalence one half"
    ) in text


@pytest.mark.parametrize("model", [None, {"file": "model.safetensors", "sha256": "other"}])
def test_a_report_that_is_absent_or_of_another_model_is_not_quoted(tmp_path, model):
    write_set(tmp_path / "demo")
    if model:
        write_report_of(tmp_path / "demo", model)
    page = write_page(CONFIG, tmp_path / "demo", "mine").read_text()
    assert "No report of this model" in words(page)
    assert "AUROC" not in words(page)
    assert "report.html" not in page


def test_nothing_seen_is_no_warning(tmp_path):
    rows = make_rows().assign(seen="no")
    seen = {"training": 0, "pretraining": 0, "validation": 0, "no": 120}
    page = write_page(CONFIG, write_set(tmp_path / "demo", rows, seen=seen), "mine").read_text()
    assert "No window lies in sequence that the model was trained on." in words(page)
    assert "Warning" not in words(page)
    assert list(pd.read_csv(StringIO(carried_by(page)["tables"]["histogram"]), sep="\t")) == ["from", "to", "new"]


def test_sequences_have_no_places(tmp_path):
    rows = make_rows().rename(columns={"chrom": "x"})[["name", "start", "end", "probability", "mostly_n"]]
    results = write_set(tmp_path / "demo", rows, kind="sequences", seen=None, held={}, skipped=[])
    page = write_page(CONFIG, results, "mine").read_text()
    html5lib.HTMLParser(strict=True).parse(page)
    assert "cannot be said" in words(page)
    assert "scores.bw" not in page
    best = rows[~rows["mostly_n"]].sort_values("probability").iloc[-1]
    assert f"{best['name']}:{best['start']:,}-{best['end']:,}" in words(page)


@pytest.mark.parametrize("kind", ["regions", "sequences"])
def test_hostile_names_stay_names(tmp_path, kind):
    rows = make_rows().assign(name=EVIL, chrom=EVIL)
    if kind == "sequences":
        rows = rows[["name", "start", "end", "probability", "mostly_n"]]
    inputs = {"model": MODEL, "set": {"file": EVIL, "sha256": "e"}}
    provenance = {"genocontrast": "0", "config": {"set": "mine", "prevalence": 0.01}, "inputs": inputs}
    seen = None if kind == "sequences" else {"training": 60, "pretraining": 0, "validation": 20, "no": 40}
    results = write_set(tmp_path / "demo", rows, kind=kind, seen=seen, provenance=provenance, held={"train": EVIL},
                        skipped=[{"reason": EVIL, "count": 1}])  # fmt: skip
    page = write_page(CONFIG, results, "mine").read_text()
    html5lib.HTMLParser(strict=True).parse(page)
    outline = Outline(page)
    assert outline.open == []
    assert outline.tags.count("script") == 2
    assert "img" not in outline.tags
    assert words(page).count("window.pwned=1") >= 2 * TOP
    assert "of which 1 % are promoters" in words(page)


def test_names_that_pandas_takes_for_missing_stay_names(tmp_path):
    rows = make_rows().assign(name="NA", chrom="007")
    page = write_page(CONFIG, write_set(tmp_path / "demo", rows), "mine").read_text()
    assert words(page).count(" NA . 0.") == TOP
    assert "007:" in words(page)


def test_the_page_stands_alone_and_is_the_same_each_time(tmp_path, page):
    html5lib.HTMLParser(strict=True).parse(page)
    outline = Outline(page)
    assert outline.open == []
    assert len(outline.identifiers) == len(set(outline.identifiers))
    inside = {reference[1:] for reference in outline.references if reference.startswith("#")}
    assert {"scores", "top", "counts", "limits", "provenance"} <= inside <= set(outline.identifiers)
    outside = [reference for reference in outline.references if not reference.startswith("#")]
    assert outside == ["data:,", "scores.tsv", "scores.bw", "scores.json", "../../report/report.html"]
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org/)", page)
    assert str(tmp_path) not in page
    other = write_set(tmp_path / "elsewhere" / "demo")
    write_report_of(other)
    assert write_page(CONFIG, other, "mine").read_text() == page


def test_a_set_that_was_not_scored_or_was_changed_is_refused(tmp_path):
    with pytest.raises(FileFormatError, match=r"not been scored[\s\S]*genocontrast evaluation predictions --set mine"):
        write_page(CONFIG, tmp_path / "demo", "mine")
    results = write_set(tmp_path / "demo")
    with open(results / "predictions/mine/scores.tsv", "a") as handle:
        handle.write("1\t1\t2\tlate\t.\t1\t2\tno\t0.99\tFalse\n")
    with pytest.raises(FileFormatError, match=r"scores\.tsv: the table is not the one[\s\S]*again"):
        write_page(CONFIG, results, "mine")
    assert not (results / "predictions/mine/page.html").exists()


def test_the_command_prints_where_the_page_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path / "results" / "demo")
    Path("c.json").write_text(json.dumps(CONFIG.model_dump(mode="json", include={"name", "genome"})))
    result = CliRunner().invoke(main, ["report", "predictions", "--config", "c.json", "--set", "mine"])
    assert result.exit_code == 0, result.output
    assert result.output.strip() == "results/demo/predictions/mine/page.html"


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 420])
def test_the_page_opens_in_a_browser(tmp_path, opened, browser, width):
    out = write_page(CONFIG, write_set(tmp_path / "demo"), "mine")
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    console, asked = opened(out)
    assert console == []
    assert asked == {out.as_uri()}
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.execute_script(wide) <= 0
    assert browser.execute_script("return document.querySelector('#scores svg').getBoundingClientRect().height") > 80
