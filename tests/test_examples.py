"""The examples' digest: what makes another set of examples, and what does not."""

from pathlib import Path

import pandas as pd
import pytest

from genocontrast.config import load_config
from genocontrast.errors import BenchmarkError
from genocontrast.examples import check_frozen, digest, read_examples
from genocontrast.genome import stage as genome_stage
from genocontrast.negatives import stage as negatives_stage

ROOT = Path(__file__).parents[1]


@pytest.fixture
def examples():
    rows = [("hard", "train", "chr1", 100, 350, "+", 1, 0), ("hard", "train", "chr2", 500, 750, "-", 0, 0)]
    table = pd.DataFrame(rows, columns=["tier", "split", "chrom", "start", "end", "strand", "label", "pair_id"])
    return table.assign(gc=[0.4, 0.5], name=["a", "b"])


def test_order_types_and_measurements_do_not_count(examples):
    again = examples[::-1].astype({"label": "int8", "start": "int32"}).assign(gc=0.1)
    assert digest(again) == digest(examples)


@pytest.mark.parametrize(
    ("column", "value"),
    [("start", 101), ("end", 351), ("strand", "-"), ("label", 0), ("pair_id", 7), ("split", "test"), ("chrom", "chr3")],
)
def test_each_part_of_an_example_counts(examples, column, value):
    other = examples.copy()
    other.loc[0, column] = value
    assert digest(other) != digest(examples)
    with pytest.raises(BenchmarkError, match=digest(examples)[:12]):
        check_frozen(other, digest(examples))


def test_frozen_examples_pass(examples):
    check_frozen(examples, digest(examples))


def test_the_yeast_benchmark_comes_out_as_it_was_frozen(data, tmp_path, monkeypatch):
    monkeypatch.setenv("GENOCONTRAST_DATA", str(data))
    config = load_config(ROOT / "config" / "yeast_benchmark.yaml")
    genome_stage.run(config, tmp_path)
    negatives_stage.run(config, tmp_path)
    found = read_examples(tmp_path / "negatives" / "examples.parquet")
    assert not found["chrom"].isin(["chrXII", "chrXV"]).any()
    other = config.model_copy(update={"seed": config.seed + 1})
    with pytest.raises(BenchmarkError):
        negatives_stage.run(other, tmp_path)
    assert not (tmp_path / "negatives" / "examples.parquet").exists()
