"""The page over several data sets: its rows, its warnings, and what it refuses."""

import html
import re
import shutil
from io import StringIO

import pandas as pd
import pytest
from test_report_page import Outline, carried_by
from typer.testing import CliRunner

from genocontrast.cli import main
from genocontrast.errors import FileFormatError
from genocontrast.report import write_report
from genocontrast.report.compare import comparability, read_entries, write_comparison


def words(page):
    body = re.sub(r"<(script|style).*?</\1>", "", page.read_text(), flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


@pytest.fixture
def pair(tmp_path, write, config, metrics):
    """Two results, of which only the first has a report; the second's model is worse, and its strand audit fails."""
    first = write(tmp_path / "results" / "first")
    write_report(first, config)
    metrics["test"]["auroc"] = {"value": 0.8, "low": 0.78, "high": 0.82}
    metrics["strand"]["flips"] = 3
    return [first, write(tmp_path / "results" / "second", metrics=metrics, vectors=False)]


def test_a_row_for_each_with_its_audits(pair, tmp_path):
    out = tmp_path / "results" / "compare.html"
    result = CliRunner().invoke(main, ["report", "compare", *map(str, pair), "--out", str(out)])
    assert result.exit_code == 0, result.output
    text = words(out)
    assert "2 reports, side by side" in text
    row = (
        r"first The model beats .* 0\.910 \(0\.890 to 0\.930\) 4-mer 0\.840 \+0\.070 \(\+0\.050 to \+0\.090\) "
        "93\\.0 % 90 second"
    )
    assert re.search(row, text)
    audited = text[text.index("Audits side by side") :]
    first, second = audited[: audited.index("second")], audited[audited.index("second") :]
    assert re.findall("pass|fail|not run", first) == ["pass"] * 4
    assert re.findall("pass|fail|not run", second) == ["pass", "pass", "fail", "pass"]
    assert "3 of 180 calls flip" in second
    table = carried_by(out.read_text())["tables"]["comparison"]
    values = pd.read_csv(StringIO(table), sep="\t")
    assert values["value"].tolist() == [0.91, 0.84, 0.8, 0.84]


def test_the_page_stands_alone_and_links_only_what_lies_beside(pair, tmp_path, page):
    out = write_comparison(pair, tmp_path / "results" / "compare.html")
    outline = Outline(out.read_text())
    assert outline.open == []
    outside = [reference for reference in outline.references if not reference.startswith("#")]
    assert outside == ["data:,", "first/report/report.html"]
    assert str(tmp_path) not in out.read_text()
    far = write_comparison(pair, tmp_path / "a" / "b" / "compare.html").read_text()
    assert "report/report.html" not in far


def test_the_same_results_give_the_same_bytes(pair, tmp_path):
    pages = [write_comparison(pair, tmp_path / name).read_bytes() for name in ("one.html", "two.html")]
    assert pages[0] == pages[1]


def test_like_data_sets_may_be_compared(pair, tmp_path):
    assert "may be compared" in comparability(read_entries(pair, tmp_path / "x.html"))[0]


@pytest.mark.parametrize("what", ["fasta", "test", "prevalence", "matched", "examples"])
def test_what_stands_against_comparing_is_told(tmp_path, write, genome, metrics, balance, what):
    said = {
        "fasta": "The genomes differ",
        "test": "The test splits differ (first: chr4, chr5; second: chr5)",
        "prevalence": "differs (first 50 % and second 10 %)",
        "matched": "not matched on the same covariates",
        "examples": "The examples differ",
    }[what]
    metrics["provenance"] = {"inputs": {"examples": {"file": "examples.parquet", "sha256": "one"}}}
    first = write(tmp_path / "first", metrics=metrics)
    if what == "fasta":
        genome["provenance"]["inputs"]["fasta"]["sha256"] = "other"
    elif what == "test":
        genome["segments"] = [
            row | ({"split": "train"} if row["chrom"] == "chr4" else {}) for row in genome["segments"]
        ]
    elif what == "prevalence":
        metrics["test"]["prevalence"] = 0.1
    elif what == "matched":
        balance["table"][1]["matched"] = False
    else:
        metrics["provenance"]["inputs"]["examples"]["sha256"] = "other"
    second = write(tmp_path / "second", metrics=metrics, genome=genome, balance=balance)
    remarks = comparability(read_entries([first, second], tmp_path / "x.html"))
    assert len(remarks) == 2
    assert said in remarks[0]
    assert "not comparable" in remarks[1]


def test_folders_that_are_no_results_are_refused(pair, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "absent"):
        with pytest.raises(FileFormatError, match=f"{folder.name}: not a folder of results"):
            write_comparison([*pair, folder], tmp_path / "compare.html")
    (pair[1] / "negatives/balance.json").unlink()
    with pytest.raises(FileFormatError, match="genocontrast negatives run"):
        write_comparison(pair, tmp_path / "compare.html")
    with pytest.raises(FileFormatError, match="given twice"):
        write_comparison([pair[0], pair[0]], tmp_path / "compare.html")
    assert not (tmp_path / "compare.html").exists()


def test_folders_of_one_name_are_told_apart(pair, tmp_path):
    other = shutil.copytree(pair[0], tmp_path / "other" / "first")
    names = [entry.name for entry in read_entries([pair[0], other], tmp_path / "x.html")]
    assert names == ["results/first", "other/first"]


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 420])
def test_the_comparison_opens_in_a_browser(pair, tmp_path, opened, browser, width):
    out = write_comparison(pair, tmp_path / "results" / "compare.html")
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    console, asked = opened(out)
    assert console == []
    assert asked == {out.as_uri()}
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.execute_script(wide) <= 0
    assert browser.execute_script("return document.querySelector('#figure svg').getBoundingClientRect().height") > 80
    assert len(browser.find_elements("css selector", ".save button")) == 5
