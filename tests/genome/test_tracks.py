"""Tracks of every kind against plain loops over bases, and real ones against counting."""

from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pandas as pd
import pyBigWig
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast.errors import FileFormatError, ShapeError
from genocontrast.genome import Genome, Signal
from genocontrast.genome import bigwig as bigwig_module
from genocontrast.genome import signal as signal_module

SIZES = {"chrI": 120, "chrII": 75, "chrmt": 20}
"""Of `small_genome`."""


def frame(rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


@st.composite
def intervals(draw):
    """Disjoint intervals with values that floats hold exactly, so that equal heights are equal in both codes."""
    found = []
    for chrom, size in SIZES.items():
        edges = sorted(draw(st.sets(st.integers(0, size), max_size=8)))
        for start, end in list(pairwise(edges))[:: draw(st.integers(1, 2))]:
            found.append((chrom, start, end, draw(st.integers(-4, 8)) / 4))
    return found or [("chrI", 3, 9, 1.5)]


@st.composite
def spans(draw, most=12):
    rows = []
    for _ in range(draw(st.integers(1, most))):
        chrom = draw(st.sampled_from(sorted(SIZES)))
        start = draw(st.integers(0, SIZES[chrom] - 1))
        rows.append((chrom, start, draw(st.integers(start + 1, SIZES[chrom]))))
    return rows


def write_bigwig(path, entries):
    with pyBigWig.open(str(path), "w") as handle:
        handle.addHeader(list(SIZES.items()))
        for chrom, start, end, value in entries:
            handle.addEntries([chrom], [start], ends=[end], values=[value])
    return path


def bases_of_intervals(entries):
    bases = {chrom: [0.0] * size for chrom, size in SIZES.items()}
    for chrom, start, end, value in entries:
        for base in range(start, end):
            bases[chrom][base] = value
    return bases


def cuts_of(rows):
    return [(chrom, cut) for chrom, start, end in rows for cut in (start, end - 1)]


def bases_of_cuts(cuts, smoothing):
    bases = {chrom: [0.0] * size for chrom, size in SIZES.items()}
    for chrom, cut in cuts:
        for base in range(cut - smoothing // 2, cut - smoothing // 2 + smoothing):
            if 0 <= base < SIZES[chrom]:
                bases[chrom][base] += 1
    return bases


def average(replicates):
    return {
        chrom: [sum(values) / len(replicates) for values in zip(*(one[chrom] for one in replicates), strict=True)]
        for chrom in SIZES
    }


def slow_summit(values, start):
    first = values.index(max(values))
    last = first
    while last < len(values) and values[last] == values[first]:
        last += 1
    return start + (first + last) // 2


def assert_equals_loops(signal, regions, profile, raw, threshold):
    """All four methods against loops over the bases of the profile, and of what `mean` counts."""
    heights = [profile[chrom][start:end] for chrom, start, end in regions]
    expected = [sum(raw[chrom][start:end]) / (end - start) for chrom, start, end in regions]
    np.testing.assert_allclose(signal.mean(frame(regions)), expected, rtol=1e-12, atol=1e-12)
    assert signal.max(frame(regions)).tolist() == [max(values) for values in heights]
    summits = [slow_summit(values, start) for values, (_, start, _) in zip(heights, regions, strict=True)]
    assert signal.summit(frame(regions)).tolist() == summits
    parts = [sum(value >= threshold for value in values) / len(values) for values in heights]
    assert signal.open_fraction(frame(regions), threshold).tolist() == parts


BLOCKS = st.sampled_from([(1 << 22, 50_000), (40, 0), (7, 5), (1, 0)])


@contextmanager
def in_blocks(block, gap):
    """Blocks smaller than the windows: what is asked piece by piece adds up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signal_module, "_BLOCK", block)
        patch.setattr(bigwig_module, "_BLOCK", block)
        patch.setattr(bigwig_module, "_GAP", gap)
        yield


@settings(deadline=None, max_examples=50)
@given(intervals(), spans(), BLOCKS, st.integers(1, 8))
def test_bigwig_equals_loops(tmp_path_factory, small_genome, entries, regions, blocks, quarter):
    signal = Signal(write_bigwig(tmp_path_factory.mktemp("b") / "s.bigWig", entries), small_genome)
    bases = bases_of_intervals(entries)
    with in_blocks(*blocks):
        assert_equals_loops(signal, regions, bases, bases, quarter / 4)


@settings(deadline=None, max_examples=50)
@given(intervals(), spans(), BLOCKS, st.integers(1, 8), st.integers(0, 9))
def test_bedgraph_in_any_order_equals_loops(
    tmp_path_factory, write_bedgraph, small_genome, entries, regions, blocks, quarter, order
):
    signal = Signal(write_bedgraph(tmp_path_factory.mktemp("b") / "s.bdg.gz", entries, order), small_genome)
    bases = bases_of_intervals(entries)
    with in_blocks(*blocks):
        assert_equals_loops(signal, regions, bases, bases, quarter / 4)
    removed = {"rows": len(entries), "kept": len(entries), "removed": {}}
    assert {name: signal.files[0][name] for name in removed} == removed


@settings(deadline=None, max_examples=50)
@given(spans(30), spans(), BLOCKS, st.integers(1, 90), st.integers(1, 4))
def test_fragments_equal_loops(
    tmp_path_factory, write_fragments, small_genome, fragments, regions, blocks, smoothing, threshold
):
    path = write_fragments(tmp_path_factory.mktemp("f") / "f.bed", fragments)
    cuts = cuts_of(fragments)
    with in_blocks(*blocks):
        signal = Signal(path, small_genome, smoothing=smoothing)
        assert_equals_loops(signal, regions, bases_of_cuts(cuts, smoothing), bases_of_cuts(cuts, 1), threshold)


RULES = {"unmapped": 4, "secondary": 256, "supplementary": 2048, "duplicate": 1024, "qc_fail": 512}
RULES |= {"low_mapq": 0, "outside": 0}


@settings(deadline=None, max_examples=50)
@given(
    spans(20),
    st.lists(st.tuples(st.integers(0, 0xFFF), st.integers(0, 60)), min_size=20, max_size=20),
    spans(),
    st.integers(1, 40),
    st.sampled_from([(4, -5), (0, 0), (-3, 2)]),
)
def test_reads_equal_loops(tmp_path_factory, write_alignments, small_genome, rows, others, regions, smoothing, shift):
    reads = [(*row, *other) for row, other in zip(rows, others, strict=False)] + [("chrI", 50, 60, 0, 30)]
    cuts, removed = [], dict.fromkeys(RULES, 0)
    for chrom, start, end, flag, mapq in reads:
        cut = end - 1 + shift[1] if flag & 16 else start + shift[0]
        broken = [rule for rule, bit in RULES.items() if flag & bit]
        if not broken and mapq < 30:
            broken = ["low_mapq"]
        if not broken and not 0 <= cut < SIZES[chrom]:
            broken = ["outside"]
        if broken:
            removed[broken[0]] += 1
        else:
            cuts.append((chrom, cut))
    path = write_alignments(tmp_path_factory.mktemp("r") / "r.bam", reads)
    signal = Signal(path, small_genome, shift=shift, smoothing=smoothing)
    assert_equals_loops(signal, regions, bases_of_cuts(cuts, smoothing), bases_of_cuts(cuts, 1), 2)
    removed = {rule: count for rule, count in removed.items() if count}
    entry = {"file": "r.bam", "rows": len(reads), "kept": len(cuts), "removed": removed, "renamed": {}}
    assert signal.files == [entry]


@settings(deadline=None, max_examples=50)
@given(intervals(), intervals(), spans(), spans(), BLOCKS)
def test_replicates_of_all_kinds_are_averaged_before_the_maximum(
    tmp_path_factory, write_bedgraph, write_fragments, write_alignments, small_genome, a, b, c, regions, blocks
):
    folder = tmp_path_factory.mktemp("all")
    paths = [
        write_bigwig(folder / "a.bw", a),
        write_bedgraph(folder / "b.bedGraph.gz", b),
        write_fragments(folder / "c.tsv", c),
        write_alignments(folder / "d.bam", [(chrom, start, end, 0, 60) for chrom, start, end in c]),
    ]
    starts = [(chrom, start) for chrom, start, _ in c]
    values = [bases_of_intervals(a), bases_of_intervals(b)]
    profile = average([*values, bases_of_cuts(cuts_of(c), 9), bases_of_cuts(starts, 9)])
    raw = average([*values, bases_of_cuts(cuts_of(c), 1), bases_of_cuts(starts, 1)])
    with in_blocks(*blocks):
        assert_equals_loops(Signal(paths, small_genome, shift=(0, 0), smoothing=9), regions, profile, raw, 0.5)


def test_the_maximum_of_the_mean_is_not_the_mean_of_the_maxima(tmp_path, small_genome):
    paths = [
        write_bigwig(tmp_path / "a.bw", [("chrI", 10, 20, 4.0)]),
        write_bigwig(tmp_path / "b.bw", [("chrI", 30, 40, 6.0)]),
    ]
    signal = Signal(paths, small_genome)
    assert signal.max(frame([("chrI", 0, 50)])).tolist() == [3.0]
    assert signal.summit(frame([("chrI", 0, 50)])).tolist() == [35]


def test_summit_of_nothing_is_the_centre_and_of_a_tie_the_first(tmp_path, small_genome):
    entries = [("chrI", 10, 13, 2.0), ("chrI", 13, 14, 1.0), ("chrI", 20, 30, 2.0)]
    signal = Signal(write_bigwig(tmp_path / "s.bw", entries), small_genome)
    regions = [("chrI", 0, 50), ("chrI", 60, 71), ("chrII", 10, 20), ("chrI", 12, 22), ("chrI", 50, 51)]
    assert signal.summit(frame(regions)).tolist() == [11, 65, 15, 12, 50]


def test_a_run_longer_than_its_region_is_cut_at_the_regions_ends(tmp_path, small_genome):
    signal = Signal(write_bigwig(tmp_path / "s.bw", [("chrI", 0, 100, 2.0)]), small_genome)
    assert signal.summit(frame([("chrI", 40, 50), ("chrI", 90, 120), ("chrI", 70, 72)])).tolist() == [45, 95, 71]


def test_methods_keep_order_and_take_any_index_and_no_rows(tmp_path, write_fragments, small_genome):
    signal = Signal(write_fragments(tmp_path / "f.bed", [("chrI", 30, 61)]), small_genome, smoothing=4)
    regions = frame([("chrII", 0, 10), ("chrI", 55, 65), ("chrI", 25, 35)]).set_axis([7, 7, 1])
    assert signal.max(regions).tolist() == [0, 1, 1]
    assert signal.summit(regions).tolist() == [5, 60, 30]
    assert signal.open_fraction(regions, 1.0).tolist() == [0, 0.4, 0.4]
    for found in (signal.max(regions[:0]), signal.summit(regions[:0]), signal.open_fraction(regions[:0], 1.0)):
        assert found.shape == (0,)
    assert signal.summit(regions[:0]).dtype == np.int64


def test_infinite_values_of_a_bigwig_are_named(tmp_path, small_genome):
    signal = Signal(write_bigwig(tmp_path / "s.bw", [("chrI", 0, 5, 1.0), ("chrI", 5, 9, float("inf"))]), small_genome)
    assert signal.mean(frame([("chrI", 0, 5)])).tolist() == [1]
    for method in (signal.mean, signal.max):
        with pytest.raises(FileFormatError, match=r"infinite value.*chrI:5-6"):
            method(frame([("chrI", 2, 20)]))


@pytest.mark.parametrize("threshold", [0, -1.0, float("nan")])
def test_a_threshold_that_empty_bases_would_reach_is_refused(tmp_path, small_genome, threshold):
    signal = Signal(write_bigwig(tmp_path / "s.bw", [("chrI", 0, 5, 1.0)]), small_genome)
    with pytest.raises(ShapeError, match="above 0"):
        signal.open_fraction(frame([("chrI", 0, 9)]), threshold)


@pytest.fixture(scope="module")
def yeast(data):
    return data / "yeast"


@pytest.fixture(scope="module")
def yeast_genome(yeast):
    return Genome(yeast / "S_cerevisiae.R64.fasta.gz")


def random_windows(genome, n, width):
    rng = np.random.default_rng(0)
    chroms = [chrom for chrom, size in genome.sizes.items() for _ in range(size // 50_000)]
    rows = [(str(chrom), int(rng.integers(genome.sizes[str(chrom)] - width))) for chrom in rng.choice(chroms, n)]
    return [(chrom, start, start + width) for chrom, start in rows]


def check_real(signal, cuts, genome, smoothing, n=150):
    """Real cuts against counting: `cuts` maps chromosomes to arrays in any order."""
    regions = random_windows(genome, n, 700)
    mean, highest, summit = (method(frame(regions)) for method in (signal.mean, signal.max, signal.summit))
    opened = signal.open_fraction(frame(regions), 3)
    for row, (chrom, start, end) in enumerate(regions):
        its = cuts[chrom]
        its = its[(its >= start - smoothing) & (its < end + smoothing)]
        apart = np.arange(start, end)[:, None] - its[None, :]
        left = smoothing // 2
        profile = ((apart >= -left) & (apart < smoothing - left)).sum(1).tolist()
        assert mean[row] * 700 == pytest.approx(((its >= start) & (its < end)).sum())
        assert (highest[row], summit[row]) == (max(profile), slow_summit(profile, start))
        assert opened[row] == sum(value >= 3 for value in profile) / 700
    assert highest.max() >= 5


def test_the_reads_of_the_yeast_bam(yeast, yeast_genome):
    path = yeast / "OSMOTIC_STRESS_T0_R2.mergeLib.filt.sorted.bam"
    signal = Signal(path, yeast_genome)
    entry = signal.files[0]
    assert (entry["rows"], entry["kept"], entry["removed"]) == (81014, 81014, {})
    assert entry["renamed"]["IX"] == "chrIX"
    assert entry["renamed"]["MT"] == "chrmt"
    cuts = {chrom: [] for chrom in yeast_genome.sizes}
    with pysam.AlignmentFile(str(path)) as handle:
        for its in handle.fetch(until_eof=True):
            cut = its.reference_end - 6 if its.is_reverse else its.reference_start + 4
            cuts[entry["renamed"][its.reference_name]].append(cut)
    check_real(signal, {chrom: np.array(its) for chrom, its in cuts.items()}, yeast_genome, 150)


def test_the_fragments_of_yeast(yeast, yeast_genome):
    path = yeast / "yeast_500k_SRR1822137.bedpe.gz"
    table = pd.read_csv(path, sep="\t", header=None, usecols=[0, 1, 2], names=["chrom", "start", "end"])
    table["chrom"] = table["chrom"].replace("chrM", "chrmt")
    cuts = {chrom: np.concatenate([part["start"], part["end"] - 1]) for chrom, part in table.groupby("chrom")}
    check_real(Signal(path, yeast_genome, smoothing=73), cuts, yeast_genome, 73)


def test_the_human_bigwigs_one_by_one_and_averaged(data):
    human = data / "human_tiny"
    paths = [human / f"dnase_{name}.bw" for name in ("A172", "GM12865", "HepG2")]
    genome = Genome(human / "genome.fa.gz")
    regions = random_windows(genome, 100, 800)
    signal = Signal(paths, genome)
    mean, highest, summit = (method(frame(regions)) for method in (signal.mean, signal.max, signal.summit))
    opened = signal.open_fraction(frame(regions), 0.1)
    handles = [pyBigWig.open(str(path)) for path in paths]
    for row, (chrom, start, end) in enumerate(regions):
        values = [np.nan_to_num(handle.values(chrom, start, end, numpy=True)).astype(float) for handle in handles]
        profile = ((values[0] + values[1] + values[2]) / 3).tolist()
        assert mean[row] == pytest.approx(sum(profile) / 800)
        assert (highest[row], summit[row]) == (max(profile), slow_summit(profile, start))
        assert opened[row] == sum(value >= 0.1 for value in profile) / 800
    assert 0 < opened.mean() < 1
    for handle in handles:
        handle.close()
