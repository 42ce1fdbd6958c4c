"""Interval algebra against sets of bases; no file is left behind."""

import tempfile

import numpy as np
import pandas as pd
import pybedtools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast.errors import MissingToolError
from genocontrast.genome.intervals import merge, nearest_distance, overlaps, subtract, widen

# bedtools takes rows of a sequence that is called chrom, track, browser or visibility for headings.
HEADINGS = ["chrom", "chromosome1", "track", "track_7", "browser", "visibility", "chr"]
interval = st.tuples(st.sampled_from(["chr1", "chr10", "chr2", *HEADINGS]), st.integers(0, 60), st.integers(1, 12))
intervals = st.lists(interval, max_size=8)


def frame(rows):
    table = pd.DataFrame([(c, s, s + w) for c, s, w in rows], columns=["chrom", "start", "end"])
    return table.astype({"start": "int64", "end": "int64"})


def bases(regions):
    return {(c, at) for c, s, e in regions[["chrom", "start", "end"]].itertuples(index=False) for at in range(s, e)}


@settings(deadline=None, max_examples=40)
@given(intervals, intervals)
def test_overlaps_is_a_shared_base(left, right):
    regions, others = frame(left), frame(right)
    expected = [bool(bases(regions.iloc[[row]]) & bases(others)) for row in range(len(regions))]
    assert overlaps(regions, others).tolist() == expected


@settings(deadline=None, max_examples=25)
@given(intervals, intervals)
def test_results_are_sorted_by_their_names(left, right):
    for found in (merge(frame(left)), subtract(frame(left), frame(right))):
        rows = list(found.itertuples(index=False, name=None))
        assert rows == sorted(rows)


@settings(deadline=None, max_examples=25)
@given(intervals)
def test_merge_covers_the_same_bases_without_touching(rows):
    merged = merge(frame(rows))
    assert bases(merged) == bases(frame(rows))
    assert (merged["end"] - merged["start"]).sum() == len(bases(frame(rows)))
    for _, group in merged.groupby("chrom"):
        assert (group["start"].to_numpy()[1:] > group["end"].to_numpy()[:-1]).all()


@settings(deadline=None, max_examples=25)
@given(intervals, intervals)
def test_subtract_leaves_the_other_bases(left, right):
    pieces = subtract(frame(left), frame(right))
    assert bases(pieces) == bases(frame(left)) - bases(frame(right))
    assert (pieces["start"] < pieces["end"]).all()


@settings(deadline=None, max_examples=25)
@given(intervals, intervals)
def test_nearest_distance(left, right):
    expected = []
    for chrom, start, width in left:
        gaps = [max(s - (start + width), start - (s + w)) for c, s, w in right if c == chrom]
        expected.append(-1 if not gaps else 0 if min(gaps) < 0 else min(gaps) + 1)
    assert nearest_distance(frame(left), frame(right)).tolist() == expected


def test_touching_is_no_overlap_and_order_is_kept():
    regions = frame([("chr2", 10, 5), ("chr1", 0, 10), ("chr1", 20, 5)]).set_axis([3, 3, 9])
    assert overlaps(regions, frame([("chr1", 10, 10), ("chr2", 14, 1)])).tolist() == [True, False, False]


def test_widen_stops_at_the_chromosomes_ends():
    wide = widen(frame([("chr1", 5, 1), ("chr1", 50, 5), ("chr1", 95, 5)]).set_axis([2, 2, 1]), 10, {"chr1": 100})
    assert wide.to_numpy().tolist() == [["chr1", 0, 16], ["chr1", 40, 65], ["chr1", 85, 100]]


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_nothing_is_left_after_success_and_failure(temporary):
    before = pybedtools.get_tempdir()
    merge(frame([("chr1", 1, 2)]))
    bad = frame([("chr1", 1, 2)]).assign(start=-5)
    with pytest.raises(pybedtools.helpers.BEDToolsError):
        subtract(bad, bad)
    assert list(temporary.iterdir()) == []
    assert pybedtools.get_tempdir() == before


def test_odd_names_raise_no_chatter(capfd):
    """bedtools writes pages to standard error where it takes names for spellings of one another."""
    left, right = frame([("chr1", 1, 2), ("scaffold_01", 5, 3)]), frame([("chr01", 1, 2), ("scaffold_01", 5, 1)])
    assert nearest_distance(left, right).tolist() == [-1, 0]
    assert subtract(left, right)["start"].tolist() == [1, 6]
    assert capfd.readouterr().err == ""


def test_bedtools_absent(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingToolError, match="install bedtools"):
        merge(frame([("chr1", 1, 2)]))


def test_many_regions_against_one_loop():
    rng = np.random.default_rng(0)
    left, right = (frame([("chr1", int(s), 7) for s in rng.integers(0, 20000, 800)]) for _ in range(2))
    covered = np.zeros(20100, dtype=bool)
    for start, end in right[["start", "end"]].itertuples(index=False):
        covered[start:end] = True
    assert overlaps(left, right).tolist() == [
        covered[s:e].any() for s, e in zip(left["start"], left["end"], strict=True)
    ]


@pytest.mark.parametrize("name", HEADINGS)
def test_names_that_bedtools_takes_for_headings_are_kept(name):
    regions = frame([(name, 5, 5), (name, 8, 5), ("chr1", 0, 4)]).astype({"chrom": "category"})
    assert merge(regions).to_numpy().tolist() == sorted([["chr1", 0, 4], [name, 5, 13]])
    assert subtract(regions[:1], regions[1:]).to_numpy().tolist() == [[name, 5, 8]]
    assert nearest_distance(regions, frame([(name, 20, 1)])).tolist() == [11, 8, -1]
