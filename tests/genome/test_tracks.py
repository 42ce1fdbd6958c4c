"""Tracks of every kind against plain loops over bases, and what is wrong with files of accessibility."""

import gzip
import logging
import random
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pandas as pd
import pyBigWig
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast.errors import FileFormatError, GenocontrastWarning, NamingError, RegionError, ShapeError
from genocontrast.genome import Genome, Signal
from genocontrast.genome import cuts as cuts_module
from genocontrast.genome import signal as signal_module
from genocontrast.genome import tracks as tracks_module

SIZES = {"chrI": 120, "chrII": 75, "chrmt": 20}


@pytest.fixture(scope="module")
def sequences():
    rng = random.Random(0)
    return {chrom: "".join(rng.choices("ACGT", k=size)) for chrom, size in SIZES.items()}


@pytest.fixture(scope="module")
def genome(tmp_path_factory, sequences):
    path = tmp_path_factory.mktemp("tracks") / "g.fa"
    path.write_text("".join(f">{chrom}\n{bases}\n" for chrom, bases in sequences.items()))
    return Genome(path)


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


def write_bedgraph(path, entries, order=None):
    lines = [f"{chrom}\t{start}\t{end}\t{value}\n" for chrom, start, end, value in entries]
    random.Random(order).shuffle(lines)
    path.write_bytes(gzip.compress(("track type=bedGraph\n# x\n" + "".join(lines)).encode()))
    return path


def write_fragments(path, rows):
    path.write_text("".join(f"{chrom}\t{start}\t{end}\n" for chrom, start, end in rows))
    return path


def read(header, chrom, start, end, flag=0, mapq=60, sequence=None, cigar=None):
    segment = pysam.AlignedSegment(header)
    segment.query_name, segment.flag, segment.mapping_quality = f"{chrom}:{start}-{end}", flag, mapq
    segment.reference_id, segment.reference_start = list(header.references).index(chrom), start
    segment.cigarstring = f"{end - start}M" if cigar is None else cigar
    segment.query_sequence = sequence or "A" * (end - start)
    segment.query_qualities = pysam.qualitystring_to_array("I" * len(segment.query_sequence))
    return segment


def write_reads(path, reads, sizes=None, **options):
    """Reads as (chrom, start, end, flag, mapq), in any order."""
    lines = [{"SN": chrom, "LN": size} for chrom, size in (SIZES if sizes is None else sizes).items()]
    header = pysam.AlignmentHeader.from_dict({"HD": {"VN": "1.6"}, "SQ": lines})
    with pysam.AlignmentFile(str(path), "wc" if path.suffix == ".cram" else "wb", header=header, **options) as handle:
        for row in reads:
            handle.write(read(header, *row) if isinstance(row, tuple) else row)
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


def check(signal, regions, profile, raw, threshold):
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
        patch.setattr(tracks_module, "_BLOCK", block)
        patch.setattr(tracks_module, "_GAP", gap)
        yield


@settings(deadline=None, max_examples=50)
@given(intervals(), spans(), BLOCKS, st.integers(1, 8))
def test_bigwig_equals_loops(tmp_path_factory, genome, entries, regions, blocks, quarter):
    signal = Signal(write_bigwig(tmp_path_factory.mktemp("b") / "s.bigWig", entries), genome)
    bases = bases_of_intervals(entries)
    with in_blocks(*blocks):
        check(signal, regions, bases, bases, quarter / 4)


@settings(deadline=None, max_examples=50)
@given(intervals(), spans(), BLOCKS, st.integers(1, 8), st.integers(0, 9))
def test_bedgraph_in_any_order_equals_loops(tmp_path_factory, genome, entries, regions, blocks, quarter, order):
    signal = Signal(write_bedgraph(tmp_path_factory.mktemp("b") / "s.bdg.gz", entries, order), genome)
    bases = bases_of_intervals(entries)
    with in_blocks(*blocks):
        check(signal, regions, bases, bases, quarter / 4)
    removed = {"rows": len(entries), "kept": len(entries), "removed": {}}
    assert {name: signal.files[0][name] for name in removed} == removed


@settings(deadline=None, max_examples=50)
@given(spans(30), spans(), BLOCKS, st.integers(1, 90), st.integers(1, 4))
def test_fragments_equal_loops(tmp_path_factory, genome, fragments, regions, blocks, smoothing, threshold):
    path = write_fragments(tmp_path_factory.mktemp("f") / "f.bed", fragments)
    cuts = cuts_of(fragments)
    with in_blocks(*blocks):
        signal = Signal(path, genome, smoothing=smoothing)
        check(signal, regions, bases_of_cuts(cuts, smoothing), bases_of_cuts(cuts, 1), threshold)


@settings(deadline=None, max_examples=50)
@given(
    spans(20),
    st.lists(st.tuples(st.integers(0, 0xFFF), st.integers(0, 60)), min_size=20, max_size=20),
    spans(),
    st.integers(1, 40),
    st.sampled_from([(4, -5), (0, 0), (-3, 2)]),
)
def test_reads_equal_loops(tmp_path_factory, genome, rows, others, regions, smoothing, shift):
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
    path = write_reads(tmp_path_factory.mktemp("r") / "r.bam", reads)
    signal = Signal(path, genome, shift=shift, smoothing=smoothing)
    check(signal, regions, bases_of_cuts(cuts, smoothing), bases_of_cuts(cuts, 1), 2)
    removed = {rule: count for rule, count in removed.items() if count}
    entry = {"file": "r.bam", "rows": len(reads), "kept": len(cuts), "removed": removed, "renamed": {}}
    assert signal.files == [entry]


RULES = {"unmapped": 4, "secondary": 256, "supplementary": 2048, "duplicate": 1024, "qc_fail": 512}
RULES |= {"low_mapq": 0, "outside": 0}


@settings(deadline=None, max_examples=50)
@given(intervals(), intervals(), spans(), spans(), BLOCKS)
def test_replicates_of_all_kinds_are_averaged_before_the_maximum(tmp_path_factory, genome, a, b, c, regions, blocks):
    folder = tmp_path_factory.mktemp("all")
    paths = [
        write_bigwig(folder / "a.bw", a),
        write_bedgraph(folder / "b.bedGraph.gz", b),
        write_fragments(folder / "c.tsv", c),
        write_reads(folder / "d.bam", [(chrom, start, end, 0, 60) for chrom, start, end in c]),
    ]
    starts = [(chrom, start) for chrom, start, _ in c]
    values = [bases_of_intervals(a), bases_of_intervals(b)]
    profile = average([*values, bases_of_cuts(cuts_of(c), 9), bases_of_cuts(starts, 9)])
    raw = average([*values, bases_of_cuts(cuts_of(c), 1), bases_of_cuts(starts, 1)])
    with in_blocks(*blocks):
        check(Signal(paths, genome, shift=(0, 0), smoothing=9), regions, profile, raw, 0.5)


def test_the_maximum_of_the_mean_is_not_the_mean_of_the_maxima(tmp_path, genome):
    paths = [
        write_bigwig(tmp_path / "a.bw", [("chrI", 10, 20, 4.0)]),
        write_bigwig(tmp_path / "b.bw", [("chrI", 30, 40, 6.0)]),
    ]
    signal = Signal(paths, genome)
    assert signal.max(frame([("chrI", 0, 50)])).tolist() == [3.0]
    assert signal.summit(frame([("chrI", 0, 50)])).tolist() == [35]


def test_summit_of_nothing_is_the_centre_and_of_a_tie_the_first(tmp_path, genome):
    entries = [("chrI", 10, 13, 2.0), ("chrI", 13, 14, 1.0), ("chrI", 20, 30, 2.0)]
    signal = Signal(write_bigwig(tmp_path / "s.bw", entries), genome)
    regions = [("chrI", 0, 50), ("chrI", 60, 71), ("chrII", 10, 20), ("chrI", 12, 22), ("chrI", 50, 51)]
    assert signal.summit(frame(regions)).tolist() == [11, 65, 15, 12, 50]


def test_a_run_longer_than_its_region_is_cut_at_the_regions_ends(tmp_path, genome):
    signal = Signal(write_bigwig(tmp_path / "s.bw", [("chrI", 0, 100, 2.0)]), genome)
    assert signal.summit(frame([("chrI", 40, 50), ("chrI", 90, 120), ("chrI", 70, 72)])).tolist() == [45, 95, 71]


def test_methods_keep_order_and_take_any_index_and_no_rows(tmp_path, genome):
    signal = Signal(write_fragments(tmp_path / "f.bed", [("chrI", 30, 61)]), genome, smoothing=4)
    regions = frame([("chrII", 0, 10), ("chrI", 55, 65), ("chrI", 25, 35)]).set_axis([7, 7, 1])
    assert signal.max(regions).tolist() == [0, 1, 1]
    assert signal.summit(regions).tolist() == [5, 60, 30]
    assert signal.open_fraction(regions, 1.0).tolist() == [0, 0.4, 0.4]
    for found in (signal.max(regions[:0]), signal.summit(regions[:0]), signal.open_fraction(regions[:0], 1.0)):
        assert found.shape == (0,)
    assert signal.summit(regions[:0]).dtype == np.int64


@pytest.mark.parametrize("name", ["r.bam", "r.cram"])
def test_reads_cut_where_their_shifted_fragments_do(tmp_path, genome, sequences, name):
    """A pair of reads against the row that a fragments file has for it, shifted by +4 and -5; soft clips count not."""
    fasta = tmp_path / "reference.fa"
    fasta.write_text("".join(f">{chrom}\n{bases}\n" for chrom, bases in sequences.items()))
    pysam.faidx(str(fasta))
    pairs = [("chrI", 3, 40), ("chrI", 20, 110), ("chrII", 30, 75), ("chrmt", 0, 20)]
    header = pysam.AlignmentHeader.from_references(list(SIZES), list(SIZES.values()))
    reads = []
    for chrom, start, end in pairs:
        bases = sequences[chrom]
        reads.append(read(header, chrom, start, start + 8, 99, 60, "TTT" + bases[start : start + 8], "3S8M"))
        mate = bases[end - 12 : end - 8] + bases[end - 4 : end] + "GG"
        reads.append(read(header, chrom, end - 12, end, 147, 60, mate, "4M4D4M2S"))
    options = {"reference_filename": str(fasta)} if name == "r.cram" else {}
    path = write_reads(tmp_path / name, reads, **options)
    fasta.unlink()
    shifted = write_fragments(tmp_path / "f.bed", [(chrom, start + 4, end - 5) for chrom, start, end in pairs])
    windows = frame([(chrom, base, base + 1) for chrom, size in SIZES.items() for base in range(size)])
    signal = Signal(path, genome)
    assert signal.mean(windows).tolist() == Signal(shifted, genome).mean(windows).tolist()
    assert signal.files[0]["kept"] == 8
    assert signal.mean(windows).sum() == 8


def test_cram_without_its_reference_asks_neither_for_it_nor_htslib_to_speak(tmp_path, sequences, monkeypatch, capfd):
    monkeypatch.setenv("REF_PATH", str(tmp_path / "nowhere"))
    fasta = tmp_path / "reference.fa"
    fasta.write_text(f">chrI\n{sequences['chrI']}\n")
    pysam.faidx(str(fasta))
    reads = [("chrI", start, start + 20, 16 * (start % 2), 60) for start in range(5, 90)]
    path = write_reads(tmp_path / "r.cram", reads, {"chrI": 120}, reference_filename=str(fasta))
    fasta.unlink()
    (tmp_path / "reference.fa.fai").unlink()
    before = pysam.set_verbosity(2)
    assert Signal(path).files[0]["kept"] == 85
    assert pysam.set_verbosity(before) == 2
    assert capfd.readouterr() == ("", "")


def test_a_read_without_an_alignment_is_unmapped_whatever_its_flag_says(tmp_path):
    path = tmp_path / "r.bam"
    header = pysam.AlignmentHeader.from_references(["chrI"], [120])
    bare = read(header, "chrI", 5, 9, cigar="4M")
    bare.cigartuples = None
    write_reads(path, [bare, ("chrI", 5, 9, 0, 60)], {"chrI": 120})
    assert Signal(path).files[0]["removed"] == {"unmapped": 1}


def test_min_mapq_moves_the_limit(tmp_path):
    path = write_reads(tmp_path / "r.bam", [("chrI", 5, 9, 0, mapq) for mapq in (0, 9, 10, 60, 255)])
    kept = [Signal(path, min_mapq=limit).files[0]["kept"] for limit in (0, 10, 11)]
    assert kept == [5, 3, 2]


def test_reads_in_another_naming_and_on_unknown_sequences(tmp_path, genome):
    sizes = {"1": 120, "2": 75, "Mito": 20, "decoy": 9}
    path = write_reads(tmp_path / "r.bam", [("2", 30, 40, 0, 60), ("decoy", 1, 5, 0, 60)], sizes)
    with pytest.warns(GenocontrastWarning, match="decoy"):
        signal = Signal(path, genome)
    assert signal.mean(frame([("chrII", 34, 35), ("chrI", 0, 120)])).tolist() == [1, 0]
    renamed = {"1": "chrI", "2": "chrII", "Mito": "chrmt"}
    removed = {"unknown_sequence": 1}
    assert signal.files == [{"file": "r.bam", "rows": 2, "kept": 1, "removed": removed, "renamed": renamed}]


@pytest.mark.parametrize(("name", "write"), [("f.bed", write_fragments), ("f.bg", None)])
def test_rows_on_unknown_sequences_are_counted(tmp_path, genome, name, write):
    rows = [("chrI", start, start + 1) for start in range(19)] + [("decoy", 1, 5)]
    path = tmp_path / name
    path.write_text("".join(f"{chrom}\t{start}\t{end}\t1\n" for chrom, start, end in rows))
    with pytest.warns(GenocontrastWarning, match="1 of 20 rows dropped"):
        entry = Signal(path, genome).files[0]
    assert (entry["rows"], entry["kept"], entry["removed"]) == (20, 19, {"unknown_sequence": 1})


def test_reads_of_another_assembly_are_refused_before_they_are_read(tmp_path, genome, monkeypatch):
    monkeypatch.setattr(cuts_module, "_read_cuts", lambda *_: pytest.fail("the reads were read"))
    path = write_reads(tmp_path / "r.bam", [("chrI", 5, 9, 0, 60)], SIZES | {"chrI": 119})
    with pytest.raises(RegionError, match="chrI has 119 bp in this file and 120 bp in the genome"):
        Signal(path, genome)
    with pytest.raises(NamingError, match="bp lie on sequences"):
        Signal(write_reads(tmp_path / "s.bam", [("x", 5, 9, 0, 60)], {"x": 120}), genome)


def test_reads_on_a_small_sequence_of_another_size_are_left_out_with_a_warning(tmp_path, genome):
    reads = [("chrI", 5, 9, 0, 60), ("chrmt", 5, 9, 0, 60)]
    path = write_reads(tmp_path / "r.bam", reads, SIZES | {"chrmt": 19})
    with pytest.warns(GenocontrastWarning, match="chrmt has 19 bp"):
        signal = Signal(path, genome)
    assert signal.files[0]["removed"] == {"unknown_sequence": 1}
    assert signal.mean(frame([("chrmt", 0, 20), ("chrI", 0, 10)])).tolist() == [0, 0.1]


def test_progress_is_logged(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(cuts_module, "_PROGRESS", 2)
    path = write_reads(tmp_path / "r.bam", [("chrI", 5, 9, 0, 60)] * 5)
    with caplog.at_level(logging.INFO, "genocontrast"):
        Signal(path)
    assert [record.getMessage() for record in caplog.records] == [f"{path}: 2 reads", f"{path}: 4 reads"]


def test_without_a_genome_names_and_ends_are_the_files_own(tmp_path):
    signals = [
        Signal(write_bedgraph(tmp_path / "s.bg", [("chrI", 0, 10, 2.0)])),
        Signal(write_reads(tmp_path / "r.bam", [("chrI", 0, 10, 0, 60)])),
    ]
    for signal in signals:
        assert signal.max(frame([("chrI", 0, 9)])) > 0
        with pytest.raises(NamingError, match="'1'"):
            signal.max(frame([("1", 0, 10)]))
        with pytest.raises(RegionError, match="chrI:5-5"):
            signal.max(frame([("chrI", 0, 9), ("chrI", 5, 5)]))
    with pytest.raises(RegionError, match="120 bp"):
        signals[1].summit(frame([("chrI", 100, 121)]))


@pytest.mark.parametrize("name", ["r.bam", "r.cram"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.999])
def test_truncated_alignments(tmp_path, capfd, sequences, name, share):
    fasta = tmp_path / "reference.fa"
    fasta.write_text(f">chrI\n{sequences['chrI']}\n")
    rng = random.Random(0)
    reads = [("chrI", start, start + 20, 0, rng.randrange(30, 60)) for start in rng.choices(range(90), k=3000)]
    options = {"reference_filename": str(fasta)} if name == "r.cram" else {}
    path = write_reads(tmp_path / name, reads, {"chrI": 120}, **options)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    capfd.readouterr()
    before = pysam.set_verbosity(2)
    with pytest.raises(FileFormatError, match="truncated or damaged") as caught:
        Signal(path)
    assert pysam.get_verbosity() == 2
    pysam.set_verbosity(before)
    assert caught.value.path == path
    assert capfd.readouterr() == ("", "")


def test_reads_damaged_in_the_middle(tmp_path):
    rng = random.Random(0)
    reads = [("chrI", start, start + 20, 0, rng.randrange(30, 60)) for start in rng.choices(range(90), k=3000)]
    path = write_reads(tmp_path / "r.bam", reads)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 50] = bytes(50)
    path.write_bytes(bytes(content))
    with pytest.raises(FileFormatError, match="truncated or damaged"):
        Signal(path)


def test_where_no_read_is_left_the_counts_are_told(tmp_path):
    reads = [("chrI", 5, 9, 4, 60), ("chrI", 5, 9, 0, 29), ("chrI", 5, 9, 0, 2), ("chrmt", 15, 20, 0, 60)]
    path = write_reads(tmp_path / "r.bam", reads)
    with pytest.raises(FileFormatError, match="none of 4 reads is left: unmapped 1, low_mapq 2, outside 1"):
        Signal(path, shift=(9, -5))
    with pytest.raises(FileFormatError, match="no reads"):
        Signal(write_reads(tmp_path / "s.bam", []))


def test_infinite_values_of_a_bigwig_are_named(tmp_path, genome):
    signal = Signal(write_bigwig(tmp_path / "s.bw", [("chrI", 0, 5, 1.0), ("chrI", 5, 9, float("inf"))]), genome)
    assert signal.mean(frame([("chrI", 0, 5)])).tolist() == [1]
    for method in (signal.mean, signal.max):
        with pytest.raises(FileFormatError, match=r"infinite value.*chrI:5-6"):
            method(frame([("chrI", 2, 20)]))


@pytest.mark.parametrize("threshold", [0, -1.0, float("nan")])
def test_a_threshold_that_empty_bases_would_reach_is_refused(tmp_path, genome, threshold):
    signal = Signal(write_bigwig(tmp_path / "s.bw", [("chrI", 0, 5, 1.0)]), genome)
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
