"""The sample sheet: what a row changes, and what is said of a wrong one."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from genocontrast.cli import main
from genocontrast.config import parse_config
from genocontrast.datasets import parse_datasets
from genocontrast.errors import ConfigError

GENOME = {"fasta": "g.fa", "promoters": "p.bed", "open_chromatin": ["o.bed"], "signal": ["s.bw"]}


@pytest.fixture
def sheet(tmp_path):
    """Write a sheet; returns the configuration that names it."""

    def write(text, **shared):
        path = tmp_path / "datasets.tsv"
        path.write_text(text)
        return {"genome": GENOME, **shared, "datasets": str(path)}

    return write


def test_without_a_sheet_there_is_one_data_set():
    values = {"name": "one", "genome": GENOME}
    assert parse_datasets(values) == {"one": parse_config(values)}


def test_a_row_changes_what_it_names_and_nothing_else(sheet):
    text = (
        "# two cell types\n\nname\tseed\tgenome.signal\ttraining.encoder\tnegatives.tiers\n"
        "liver\t3\t[a.bw, b.bw]\tkmers\t\nheart\t\t\t\t[gc, 'open']\n"
    )
    found = parse_datasets(sheet(text, seed=7, training={"width": 32}))
    assert list(found) == ["liver", "heart"]
    liver, heart = found.values()
    assert (liver.seed, heart.seed) == (3, 7)
    assert (liver.genome.signal, heart.genome.signal) == (["a.bw", "b.bw"], ["s.bw"])
    assert (liver.training.encoder, heart.training.encoder) == ("kmers", "convolution")
    assert liver.training.width == heart.training.width == 32
    assert heart.negatives.tiers == ["gc", "open"]
    assert liver.genome.fasta == heart.genome.fasta == "g.fa"


@pytest.mark.parametrize("path", ["a b.fa", "a: b.fa", "a #b.fa", "$(touch x).fa", "2024-01-01.fa", "'q'.fa", "%.fa"])
def test_a_path_is_taken_as_it_stands(sheet, path):
    assert parse_datasets(sheet(f"name\tgenome.fasta\none\t{path}\n"))["one"].genome.fasta == path


@given(st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters='"'), min_size=1, max_size=12))
def test_any_title_is_text_or_an_error_that_names_its_line(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("sheet") / "datasets.tsv"
    path.write_text(f"name\treport.title\none\t{text}\n", encoding="utf-8")
    try:
        found = parse_datasets({"genome": GENOME, "datasets": str(path)})
    except ConfigError as error:
        assert error.line == 2  # noqa: PT017
        assert not isinstance(_yaml(text), str)
    else:
        assert found["one"].report.title in (text, None)


def _yaml(text):
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return None


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("", None, "no column 'name'"),
        ("seed\n1\n", 1, "no column 'name'"),
        ("name\tseed\n", None, "no data set"),
        ("name\tseed\none\t1\none\t2\n", 3, "two data sets have one name"),
        ("name\tseed\none\n", 2, "1 cells, but 2 columns"),
        ("name\tseed\tseed\none\t1\t2\n", 1, "two columns have one name"),
        ("name\tsede\none\t1\n", 2, "unknown key 'sede'"),
        ("name\tseed\none\t-1\n", 2, "'seed'"),
        ("name\tgenome.signal\none\t[a.bw\n", 2, "not YAML"),
        ("name\tseed.x\none\t1\n", 2, "'seed' of the column 'seed.x' is no section"),
        ("name\tseed\n../out\t1\n", 2, "'name'"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(sheet, text, line, problem):
    values = sheet(text, seed=1)
    with pytest.raises(ConfigError, match=problem.replace("[", r"\[")) as caught:
        parse_datasets(values)
    assert str(caught.value.path) == values["datasets"]
    assert caught.value.line == line


def test_a_wrong_setting_that_all_share_is_sought_in_the_shared_file(sheet, tmp_path):
    values = sheet("name\tgenome.signal\none\t[a.bw]\n", training={"epochs": -1})
    shared = tmp_path / "shared.yaml"
    shared.write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError, match=r"'training\.epochs'") as caught:
        parse_datasets(values, shared)
    assert caught.value.path == shared
    assert shared.read_text().splitlines()[caught.value.line - 1].strip() == "epochs: -1"


@pytest.fixture
def of_two(sheet, tmp_path):
    """Path of a configuration whose sheet names two data sets."""
    path = tmp_path / "shared.yaml"
    path.write_text(yaml.safe_dump(sheet("name\tgenome.fasta\nliver\ta.fa\nheart\tb.fa\n")))
    return path


def test_the_check_looks_at_each_data_set(of_two, monkeypatch):
    seen = []
    monkeypatch.setattr("genocontrast.negatives.outlook.check", seen.append)
    found = CliRunner().invoke(main, ["genome", "check", "--config", str(of_two)], catch_exceptions=False)
    assert [config.genome.fasta for config in seen] == ["a.fa", "b.fa"]
    assert [line for line in found.output.splitlines() if line.startswith("==")] == ["== liver", "== heart"]


def test_the_headline_is_that_of_each_data_set(of_two, monkeypatch):
    monkeypatch.setattr("genocontrast.report.page.headline", lambda folder: f"report of {folder.as_posix()}")
    command = ["report", "headline", "--config", str(of_two)]
    found = CliRunner().invoke(main, command, catch_exceptions=False)
    assert found.output.split("\n\n") == ["report of results/liver", "report of results/heart\n"]
    assert CliRunner().invoke(main, [*command, "--results", "elsewhere"], catch_exceptions=False).exit_code == 2


def test_an_absent_sheet_is_named():
    with pytest.raises(ConfigError, match=r"nowhere\.tsv.*cannot be read"):
        parse_datasets({"genome": GENOME, "datasets": "nowhere.tsv"})
