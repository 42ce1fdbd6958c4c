"""Runs of bases on which a bigWig or bedGraph reaches a threshold, against plain loops over bases."""

from itertools import groupby, pairwise

import pyBigWig
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast.errors import FileFormatError
from genocontrast.genome import Genome
from genocontrast.genome import bigwig as bigwig_module
from genocontrast.genome.bedgraph import BedGraph
from genocontrast.genome.bigwig import BigWig

SIZES = {"chrI": 120, "chrII": 75, "chrmt": 20}
"""Of `small_genome`."""


def write_bigwig(path, entries):
    with pyBigWig.open(str(path), "w") as handle:
        handle.addHeader(list(SIZES.items()))
        for chrom, start, end, value in entries:
            handle.addEntries([chrom], [start], ends=[end], values=[value])
    return path


def loops(entries, threshold):
    """Runs of each chromosome that the entries name, and its highest value, where a base without data has none."""
    found = {}
    for chrom in {row[0] for row in entries}:
        values = [float("-inf")] * SIZES[chrom]
        for name, start, end, value in entries:
            if name == chrom:
                values[start:end] = [value] * (end - start)
        runs, at = [], 0
        for reached, its in groupby(value >= threshold for value in values):
            length = len(list(its))
            if reached:
                runs.append((at, at + length))
            at += length
        found[chrom] = runs, max(values)
    return found


def runs_of(track, chrom, threshold):
    with track.opened() as opened:
        starts, ends, highest = opened.runs(chrom, threshold)
    return list(zip(starts.tolist(), ends.tolist(), strict=True)), highest


@st.composite
def intervals(draw):
    """Disjoint intervals, many of which touch, with values that floats of either size hold exactly."""
    found = []
    for chrom, size in SIZES.items():
        edges = sorted(draw(st.sets(st.integers(0, size), max_size=12)))
        for start, end in pairwise(edges):
            if draw(st.integers(0, 3)):
                found.append((chrom, start, end, draw(st.integers(-2, 6)) / 4))
    return found or [("chrI", 3, 9, 1.5)]


@settings(deadline=None, max_examples=60)
@given(intervals(), st.integers(1, 7), st.sampled_from([1, 2, 7, 60, 1 << 21]))
def test_runs_of_a_bigwig_equal_loops_whatever_its_blocks(tmp_path_factory, small_genome, entries, quarter, block):
    track = BigWig(write_bigwig(tmp_path_factory.mktemp("b") / "s.bw", entries), small_genome)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bigwig_module, "_BLOCK", block)
        for chrom, (runs, highest) in loops(entries, quarter / 4).items():
            found, top = runs_of(track, chrom, quarter / 4)
            assert found == runs
            # Bases without data are 0.
            assert top == highest or (highest < 0 and top in (highest, 0))


@settings(deadline=None, max_examples=60)
@given(intervals(), st.integers(1, 7), st.integers(0, 9))
def test_runs_of_a_bedgraph_in_any_order_equal_loops(
    tmp_path_factory, write_bedgraph, small_genome, entries, quarter, order
):
    track = BedGraph(write_bedgraph(tmp_path_factory.mktemp("b") / "s.bdg.gz", entries, order), small_genome)
    for chrom, expected in loops(entries, quarter / 4).items():
        assert runs_of(track, chrom, quarter / 4) == expected


@pytest.mark.parametrize("value", [0.7, 0.1, 2.3, 1e-3, 123456.7])
def test_a_value_as_a_bigwig_rounds_it_reaches_itself(tmp_path, small_genome, value):
    track = BigWig(write_bigwig(tmp_path / "s.bw", [("chrI", 5, 9, value)]), small_genome)
    assert runs_of(track, "chrI", value)[0] == [(5, 9)]
    assert runs_of(track, "chrI", value * 1.001)[0] == []


@pytest.mark.parametrize(("threshold", "found"), [(1e-300, [(5, 9)]), (1e300, [])])
def test_thresholds_that_a_bigwig_cannot_hold_take_no_base_without_data(tmp_path, small_genome, threshold, found):
    entries = [("chrI", 5, 9, 1.0), ("chrI", 9, 12, float("nan")), ("chrI", 12, 14, 0.0)]
    track = BigWig(write_bigwig(tmp_path / "s.bw", entries), small_genome)
    assert runs_of(track, "chrI", threshold) == (found, 1.0)


def test_an_infinite_value_of_a_bigwig_is_no_evidence_but_an_error(tmp_path, small_genome):
    track = BigWig(write_bigwig(tmp_path / "s.bw", [("chrI", 5, 9, float("inf"))]), small_genome)
    with pytest.raises(FileFormatError, match="infinite"):
        runs_of(track, "chrI", 1.0)


def test_runs_of_a_real_cage_track(data):
    human = data / "human_tiny"
    path = human / "cage_plus_max12.bw"
    track, number, lengths = BigWig(path, Genome(human / "genome.fa.gz")), 0, 0
    with pyBigWig.open(str(path)) as handle:
        for chrom, size in handle.chroms().items():
            reached = handle.values(chrom, 0, size, numpy=True) >= 10
            found, highest = runs_of(track, chrom, 10)
            assert [base for start, end in found for base in range(start, end)] == reached.nonzero()[0].tolist()
            assert all(after > before for (_, before), (after, _) in pairwise(found))
            assert highest == handle.values(chrom, 0, size, numpy=True).max()
            number, lengths = number + len(found), lengths + int(reached.sum())
    assert number > 10
    assert lengths % 32 == 0
