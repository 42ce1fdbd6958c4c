"""Splits by chromosome, by block and by fold: what is in which, what is left out, and what is refused."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast.artefacts import write_json
from genocontrast.config import SPLITS, SplitsConfig
from genocontrast.errors import FileFormatError, SplitError
from genocontrast.genome import Genome
from genocontrast.genome.splits import SHARES, Splits, assign_splits, read_splits


class Sized:
    """Names and sizes of a genome, all that splits look at."""

    def __init__(self, sizes):
        self.sizes = dict(sizes)


def named(names):
    return Sized(dict.fromkeys(names, 100))


def promoters(counts):
    """Windows of 10 bp, as many on each chromosome as `counts` says."""
    return pd.DataFrame({"chrom": [chrom for chrom, count in counts.items() for _ in range(count)]}).assign(
        start=5, end=15
    )


def scattered(sizes, count, seed=0, width=300):
    """`count` windows at random places."""
    rng = np.random.default_rng(seed)
    chrom = rng.choice(list(sizes), count, p=np.array(list(sizes.values())) / sum(sizes.values()))
    start = (rng.random(count) * [sizes[name] - width for name in chrom]).astype(int)
    return pd.DataFrame({"chrom": chrom, "start": start, "end": start + width})


def by_chrom(splits):
    """The split of each chromosome, in order."""
    assert splits.whole
    return dict(zip(splits.table["chrom"], splits.table["split"], strict=True))


def brute_force(splits, regions):
    found = []
    for region in regions.itertuples():
        inside = [
            segment.split
            for segment in splits.table.itertuples()
            if segment.chrom == region.chrom and segment.start <= region.start and region.end <= segment.end
        ]
        found.append(inside[0] if inside else None)
    return found


# ---------------------------------------------------------------------------------------------- by chromosome


def test_named_splits_come_in_the_genomes_order():
    splits = SplitsConfig(train=["c", "a"], validation=["b"], test=["d"], sealed=["e"])
    found = assign_splits(splits, promoters(dict.fromkeys("abcde", 1)), named("abcdef"))
    assert list(by_chrom(found).items()) == [("a", "train"), ("b", "validation"), ("c", "train"), ("d", "test")]
    assert (found.table["start"] == 0).all()
    assert (found.table["end"] == 100).all()
    assert [found.chroms(split) for split in SPLITS] == [["a", "c"], ["b"], ["d"]]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 60), min_size=3, max_size=20).filter(lambda counts: sum(map(bool, counts)) >= 3))
def test_automatic_splits_hold_every_chromosome_that_has_promoters(counts):
    count_of = {f"c{n}": count for n, count in enumerate(counts)}
    found = by_chrom(assign_splits(SplitsConfig(), promoters(count_of), named(count_of)))
    assert set(found) == {chrom for chrom, count in count_of.items() if count}
    assert set(found.values()) == set(SPLITS)
    assert found == by_chrom(assign_splits(SplitsConfig(), promoters(count_of), named(count_of)))


def test_automatic_splits_come_near_their_shares():
    counts = {f"c{n}": 40 + 3 * n for n in range(20)}
    found = by_chrom(assign_splits(SplitsConfig(), promoters(counts), named(counts)))
    for split in SPLITS:
        share = sum(counts[chrom] for chrom, its in found.items() if its == split) / sum(counts.values())
        assert share == pytest.approx(SHARES[split], abs=0.04)


def test_three_chromosomes_fill_three_splits_whatever_their_sizes():
    counts = {"a": 1000, "b": 2, "c": 1}
    found = assign_splits(SplitsConfig(), promoters(counts), named(counts))
    assert by_chrom(found) == {"a": "train", "b": "validation", "c": "test"}


def test_sealed_chromosomes_are_in_no_split():
    counts = {"a": 9, "b": 8, "c": 7, "d": 6}
    found = assign_splits(SplitsConfig(sealed=["a"]), promoters(counts), named(counts))
    assert set(by_chrom(found)) == {"b", "c", "d"}


@pytest.mark.parametrize(
    ("splits", "message", "remedy"),
    [
        ({"train": ["a"], "validation": ["b"], "test": ["chr9"]}, "names chr9, which the genome does not", "it has a,"),
        ({"sealed": ["x"]}, "names x", "it has a, b, c, d, empty"),
        ({"train": ["a"], "validation": ["b"], "test": ["empty"]}, "the split 'test'", "name chromosomes that have"),
        ({"sealed": ["a", "b"]}, "2 chromosomes have promoters", "by to block, or seal fewer"),
        ({"folds": 5}, "4 chromosomes have promoters; 5 folds need one each", "by to block, ask for fewer folds"),
        ({"by": "block", "block": 1000, "gap": 0, "folds": 5}, "4 blocks have promoters", "smaller genome.splits.bloc"),
    ],
)
def test_impossible_splits(splits, message, remedy):
    counts = {"a": 9, "b": 8, "c": 7, "d": 6, "empty": 0}
    with pytest.raises(SplitError, match=message) as error:
        assign_splits(SplitsConfig(**splits), promoters(counts), named(counts))
    assert remedy in error.value.remedy


def test_a_real_genome_object_is_taken(tmp_path):
    path = tmp_path / "g.fa"
    path.write_text("".join(f">{name}\n{'ACGT' * 5}\n" for name in "abc"))
    found = assign_splits(SplitsConfig(), promoters({"a": 3, "b": 2, "c": 1}), Genome(path))
    assert by_chrom(found) == {"a": "train", "b": "validation", "c": "test"}


# -------------------------------------------------------------------------------------------------- by block

SIZES = st.lists(st.integers(500, 60_000), min_size=1, max_size=4).map(
    lambda sizes: {f"c{n}": size for n, size in enumerate(sizes)}
)


@settings(deadline=None, max_examples=40)
@given(SIZES, st.integers(1_000, 6_000), st.integers(0, 900), st.integers(0, 9), st.sampled_from([0, 3, 5]))
def test_segments_are_disjoint_and_exactly_the_gap_apart(sizes, block, gap, seed, folds):
    windows = scattered(sizes, 150, seed, width=50)
    splits = SplitsConfig(by="block", block=block, gap=gap, folds=folds, fold=folds and seed % folds)
    try:
        found = assign_splits(splits, windows, Sized(sizes))
    except SplitError:
        assert sum(max(size // block, 1) for size in sizes.values()) < 12  # few blocks, so none for some split
        return
    populated = [chrom for chrom in sizes if (windows["chrom"] == chrom).any()]
    assert list(dict.fromkeys(found.table["chrom"])) == populated
    for chrom in populated:
        rows = list(found.table[found.table["chrom"] == chrom].itertuples())
        assert rows[0].start == 0
        assert rows[-1].end == sizes[chrom]
        for left, right in pairwise(rows):
            assert left.split != right.split
            assert right.start - left.end == gap
        assert all(row.start < row.end for row in rows)
    assert set(found.table["split"]) == set(SPLITS)
    assert found.of(windows).tolist() == brute_force(found, windows)
    again = assign_splits(splits, windows, Sized(sizes))
    pd.testing.assert_frame_equal(found.table, again.table)


def test_a_window_is_in_the_split_whose_segment_holds_it_wholly():
    table = [("c", 100, 200, "train"), ("c", 250, 400, "test"), ("d", 0, 50, "validation")]
    splits = Splits.from_records([dict(zip(("chrom", "start", "end", "split"), row, strict=True)) for row in table])
    asked = [
        ("c", 100, 200, "train"),  # the whole segment
        ("c", 99, 150, None),  # one base before it
        ("c", 150, 201, None),  # one base beyond it
        ("c", 205, 240, None),  # in the gap
        ("c", 150, 300, None),  # across the gap
        ("c", 250, 251, "test"),
        ("c", 399, 400, "test"),
        ("c", 0, 10, None),
        ("d", 0, 50, "validation"),
        ("d", 40, 60, None),
        ("e", 0, 10, None),
    ]
    regions = pd.DataFrame(asked, columns=["chrom", "start", "end", "split"], index=range(50, 61))
    assert splits.of(regions).tolist() == [row[3] for row in asked]
    assert splits.of(regions.iloc[:0]).shape == (0,)


@pytest.mark.parametrize("seed", range(3))
def test_blocks_come_near_their_shares(seed):
    sizes = {"chromosome": 4_600_000, "plasmid": 90_000}
    windows = scattered(sizes, 3000, seed)
    found = assign_splits(SplitsConfig(by="block"), windows, Sized(sizes))
    held = found.of(windows)
    for split in SPLITS:
        assert (held == split).sum() / sum(held != None) == pytest.approx(SHARES[split], abs=0.02)  # noqa: E711
    assert sum(held == None) < 0.08 * len(held)  # noqa: E711
    assert not found.whole
    assert found.unit == "blocks"


def test_blocks_are_equal_and_a_short_chromosome_is_one_block():
    sizes = {"long": 1050, "short": 99}
    windows = scattered(sizes, 300, width=1)
    found = assign_splits(SplitsConfig(by="block", block=100, gap=0), windows, Sized(sizes))
    borders = set(found.table.query("chrom == 'long'")["start"])
    assert borders <= {1050 * block // 10 for block in range(10)}
    assert len(borders) > 2
    assert found.table.query("chrom == 'short'")[["start", "end"]].to_numpy().tolist() == [[0, 99]]


def test_blocks_without_promoters_go_with_the_one_before_and_empty_chromosomes_nowhere():
    windows = pd.DataFrame({"chrom": "c", "start": [110, 110, 110, 410, 410, 710], "end": 120})
    windows["end"] = windows["start"] + 10
    found = assign_splits(SplitsConfig(by="block", block=100, gap=10), windows, Sized({"c": 900, "empty": 500}))
    assert found.table.to_numpy().tolist() == [
        ["c", 0, 395, "train"], ["c", 405, 695, "validation"], ["c", 705, 900, "test"]
    ]  # fmt: skip


def test_blocks_too_short_for_a_promoter_are_refused():
    windows = pd.DataFrame({"chrom": "c", "start": [10, 110, 210]})
    windows["end"] = windows["start"] + 80
    with pytest.raises(SplitError, match="no promoter lies on the blocks of the split 'train'") as error:
        assign_splits(SplitsConfig(by="block", block=100, gap=30), windows, Sized({"c": 300}))
    assert "a smaller genome.splits.gap" in error.value.remedy


def test_an_odd_gap_is_whole():
    windows = pd.DataFrame({"chrom": "c", "start": [10, 110, 210]})
    windows["end"] = windows["start"] + 10
    found = assign_splits(SplitsConfig(by="block", block=100, gap=5), windows, Sized({"c": 300}))
    assert found.table[["start", "end"]].to_numpy().tolist() == [[0, 98], [103, 198], [203, 300]]


def test_sealed_chromosomes_hold_no_block():
    sizes = {"a": 50_000, "b": 50_000}
    splits = SplitsConfig(by="block", block=2000, gap=100, sealed=["a"])
    assert set(assign_splits(splits, scattered(sizes, 500), Sized(sizes)).table["chrom"]) == {"b"}


# ------------------------------------------------------------------------------------------------- by fold


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 60), min_size=3, max_size=12), st.data())
def test_folds_of_chromosomes_test_each_promoter_exactly_once(counts, data):
    folds = data.draw(st.integers(3, len(counts)))
    count_of = {f"c{n}": count for n, count in enumerate(counts)}
    windows = promoters(count_of)
    splits = [assign_splits(SplitsConfig(folds=folds, fold=f), windows, named(count_of)) for f in range(folds)]
    held = np.stack([found.of(windows) for found in splits])
    for split in ("test", "validation"):
        assert ((held == split).sum(0) == 1).all()
    assert ((held == "train").sum(0) == folds - 2).all()
    for fold, found in enumerate(splits):
        assert found.chroms("validation") == splits[(fold + 1) % folds].chroms("test")


def test_folds_are_equally_large():
    sizes = {"c": 3_000_000}
    windows = scattered(sizes, 3000)
    for fold in range(5):
        found = assign_splits(SplitsConfig(by="block", block=50_000, gap=0, folds=5, fold=fold), windows, Sized(sizes))
        assert (found.of(windows) == "test").mean() == pytest.approx(0.2, abs=0.02)
        assert (found.of(windows) == "train").mean() == pytest.approx(0.6, abs=0.03)


def test_folds_of_blocks_test_each_promoter_once_but_those_at_borders():
    sizes, gap = {"c": 1_000_000}, 4_000
    windows = scattered(sizes, 2000)
    splits = [
        assign_splits(SplitsConfig(by="block", block=50_000, gap=gap, folds=4, fold=fold), windows, Sized(sizes))
        for fold in range(4)
    ]
    tested = np.stack([found.of(windows) == "test" for found in splits]).sum(0)
    from_border = np.abs((windows["start"] + windows["end"]).to_numpy()[:, None] / 2 - 50_000 * np.arange(1, 20)).min(1)
    assert tested.max() == 1
    assert (tested[from_border > gap / 2 + 150] == 1).all()
    assert (tested == 0).any()


# ------------------------------------------------------------------------------------------ in files and words


def test_splits_survive_json(tmp_path):
    sizes = {"a": 50_000, "b": 3_000}
    found = assign_splits(SplitsConfig(by="block", block=2000, gap=100), scattered(sizes, 500), Sized(sizes))
    write_json(tmp_path / "genome.json", {"segments": found.records()})
    pd.testing.assert_frame_equal(read_splits(tmp_path / "genome.json").table, found.table)


def test_a_file_without_splits_says_what_to_run(tmp_path):
    write_json(tmp_path / "genome.json", {"splits": {"train": ["a"]}})
    with pytest.raises(FileFormatError, match=r"genome\.json[\s\S]*run the genome stage"):
        read_splits(tmp_path / "genome.json")


def test_splits_in_words():
    sizes = {f"chr{n}": 1_000_000 for n in range(1, 16)} | {"chrX": 10, "chrY": 10}
    chosen = dict.fromkeys(sizes, "train") | {"chrX": "validation", "chrY": "test"}
    whole = Splits.of_chromosomes(chosen, sizes)
    assert whole.describe("validation") == "chrX"
    assert whole.describe("train") == ", ".join(f"chr{n}" for n in range(1, 13)) + " and 3 more"
    assert whole.unit == "chromosomes"
    rows = [("c", 0, 900_000, "train"), ("c", 1_000_000, 2_000_000, "test"), ("c", 2_100_000, 4_300_000, "train")]
    rows += [("d", 0, 500_000, "test")]
    blocks = Splits(pd.DataFrame(rows, columns=["chrom", "start", "end", "split"]))
    assert blocks.describe("train") == "c: 2 blocks, 3.1 Mb"
    assert blocks.describe("test") == "2 chromosomes: 2 blocks, 1.5 Mb"
    assert blocks.segments("test").to_numpy().tolist() == [["c", 1_000_000, 2_000_000], ["d", 0, 500_000]]
