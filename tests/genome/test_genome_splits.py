"""Splits by chromosome: named, balanced, sealed; and what is refused."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genocontrast.config import SPLITS, SplitsConfig
from genocontrast.errors import SplitError
from genocontrast.genome import Genome
from genocontrast.genome.splits import SHARES, assign_splits


class Named:
    """The names of a genome, all that splits look at."""

    def __init__(self, names):
        self.sizes = dict.fromkeys(names, 100)


def promoters(counts):
    return pd.DataFrame({"chrom": [chrom for chrom, count in counts.items() for _ in range(count)]})


def test_named_splits_come_in_the_genomes_order():
    splits = SplitsConfig(train=["c", "a"], validation=["b"], test=["d"], sealed=["e"])
    found = assign_splits(splits, promoters(dict.fromkeys("abcde", 1)), Named("abcdef"))
    assert list(found.items()) == [("a", "train"), ("b", "validation"), ("c", "train"), ("d", "test")]


@given(st.lists(st.integers(0, 60), min_size=3, max_size=20).filter(lambda counts: sum(map(bool, counts)) >= 3))
def test_automatic_splits_hold_every_chromosome_that_has_promoters(counts):
    by_chrom = {f"c{n}": count for n, count in enumerate(counts)}
    found = assign_splits(SplitsConfig(), promoters(by_chrom), Named(by_chrom))
    assert set(found) == {chrom for chrom, count in by_chrom.items() if count}
    assert set(found.values()) == set(SPLITS)
    assert found == assign_splits(SplitsConfig(), promoters(by_chrom), Named(by_chrom))


def test_automatic_splits_come_near_their_shares():
    counts = {f"c{n}": 40 + 3 * n for n in range(20)}
    found = assign_splits(SplitsConfig(), promoters(counts), Named(counts))
    for split in SPLITS:
        share = sum(counts[chrom] for chrom, its in found.items() if its == split) / sum(counts.values())
        assert share == pytest.approx(SHARES[split], abs=0.04)


def test_three_chromosomes_fill_three_splits_whatever_their_sizes():
    counts = {"a": 1000, "b": 2, "c": 1}
    assert assign_splits(SplitsConfig(), promoters(counts), Named(counts)) == {
        "a": "train",
        "b": "validation",
        "c": "test",
    }


def test_sealed_chromosomes_are_in_no_split():
    counts = {"a": 9, "b": 8, "c": 7, "d": 6}
    found = assign_splits(SplitsConfig(sealed=["a"]), promoters(counts), Named(counts))
    assert set(found) == {"b", "c", "d"}


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": ["a"], "validation": ["b"], "test": ["chr9"]}, "names chr9, which the genome does not have"),
        ({"sealed": ["x"]}, "names x"),
        ({"train": ["a"], "validation": ["b"], "test": ["empty"]}, "the split 'test'"),
        ({"sealed": ["a", "b"]}, "2 chromosomes have promoters"),
    ],
)
def test_impossible_splits(splits, message):
    counts = {"a": 9, "b": 8, "c": 7, "d": 6, "empty": 0}
    with pytest.raises(SplitError, match=message) as error:
        assign_splits(SplitsConfig(**splits), promoters(counts), Named(counts))
    assert error.value.remedy
    if "names" in message:
        assert "it has a, b, c, d, empty" in error.value.remedy


def test_a_real_genome_object_is_taken(tmp_path):
    path = tmp_path / "g.fa"
    path.write_text(">a\nACGT\n>b\nACGT\n>c\nACGT\n")
    found = assign_splits(SplitsConfig(), promoters({"a": 3, "b": 2, "c": 1}), Genome(path))
    assert found == {"a": "train", "b": "validation", "c": "test"}
