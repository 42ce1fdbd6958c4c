"""BAM, CRAM and rows of other genomes as tracks: which reads count, where they cut, and what is wrong."""

import logging
import random
import warnings

import numpy as np
import pandas as pd
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast.errors import FileFormatError, GenocontrastError, GenocontrastWarning, NamingError, RegionError
from genocontrast.genome import Signal
from genocontrast.genome import cuts as cuts_module


def frame(rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


@pytest.mark.parametrize("name", ["r.bam", "r.cram"])
def test_reads_cut_where_their_shifted_fragments_do(
    tmp_path, write_fragments, write_alignments, alignment, small_genome, small_sequences, name
):
    """A pair of reads against the row that a fragments file has for it, shifted by +4 and -5; soft clips count not."""
    fasta = tmp_path / "reference.fa"
    fasta.write_text("".join(f">{chrom}\n{bases}\n" for chrom, bases in small_sequences.items()))
    pysam.faidx(str(fasta))
    pairs = [("chrI", 3, 40), ("chrI", 20, 110), ("chrII", 30, 75), ("chrmt", 0, 20)]
    header = pysam.AlignmentHeader.from_references(list(small_genome.sizes), list(small_genome.sizes.values()))
    reads = []
    for chrom, start, end in pairs:
        bases = small_sequences[chrom]
        reads.append(alignment(header, chrom, start, start + 8, 99, 60, "TTT" + bases[start : start + 8], "3S8M"))
        mate = bases[end - 12 : end - 8] + bases[end - 4 : end] + "GG"
        reads.append(alignment(header, chrom, end - 12, end, 147, 60, mate, "4M4D4M2S"))
    options = {"reference_filename": str(fasta)} if name == "r.cram" else {}
    path = write_alignments(tmp_path / name, reads, **options)
    fasta.unlink()
    shifted = write_fragments(tmp_path / "f.bed", [(chrom, start + 4, end - 5) for chrom, start, end in pairs])
    windows = frame([(chrom, base, base + 1) for chrom, size in small_genome.sizes.items() for base in range(size)])
    signal = Signal(path, small_genome)
    assert signal.mean(windows).tolist() == Signal(shifted, small_genome).mean(windows).tolist()
    assert signal.files[0]["kept"] == 8
    assert signal.mean(windows).sum() == 8


def test_cram_without_its_reference_asks_neither_for_it_nor_htslib_to_speak(
    tmp_path, write_alignments, small_sequences, monkeypatch, capfd
):
    monkeypatch.setenv("REF_PATH", str(tmp_path / "nowhere"))
    fasta = tmp_path / "reference.fa"
    fasta.write_text(f">chrI\n{small_sequences['chrI']}\n")
    pysam.faidx(str(fasta))
    reads = [("chrI", start, start + 20, 16 * (start % 2), 60) for start in range(5, 90)]
    path = write_alignments(tmp_path / "r.cram", reads, {"chrI": 120}, reference_filename=str(fasta))
    fasta.unlink()
    (tmp_path / "reference.fa.fai").unlink()
    before = pysam.set_verbosity(2)
    assert Signal(path).files[0]["kept"] == 85
    assert pysam.set_verbosity(before) == 2
    assert capfd.readouterr() == ("", "")


def test_a_read_without_an_alignment_is_unmapped_whatever_its_flag_says(tmp_path, write_alignments, alignment):
    path = tmp_path / "r.bam"
    header = pysam.AlignmentHeader.from_references(["chrI"], [120])
    bare = alignment(header, "chrI", 5, 9, cigar="4M")
    bare.cigartuples = None
    nowhere = alignment(header, "chrI", 5, 9, cigar="4M")
    nowhere.reference_id = -1
    write_alignments(path, [bare, ("chrI", 5, 9, 0, 60), nowhere], {"chrI": 120})
    signal = Signal(path)
    assert (signal.files[0]["kept"], signal.files[0]["removed"]) == (1, {"unmapped": 2})
    assert signal.mean(frame([("chrI", 9, 10), ("chrI", 0, 120)])).tolist() == [1, 1 / 120]


def test_min_mapq_moves_the_limit(tmp_path, write_alignments):
    path = write_alignments(tmp_path / "r.bam", [("chrI", 5, 9, 0, mapq) for mapq in (0, 9, 10, 60, 255)])
    kept = [Signal(path, min_mapq=limit).files[0]["kept"] for limit in (0, 10, 11)]
    assert kept == [5, 3, 2]


def test_reads_in_another_naming_and_on_unknown_sequences(tmp_path, write_alignments, small_genome):
    sizes = {"1": 120, "2": 75, "Mito": 20, "decoy": 9}
    path = write_alignments(tmp_path / "r.bam", [("2", 30, 40, 0, 60)] * 19 + [("decoy", 1, 5, 0, 60)], sizes)
    with pytest.warns(GenocontrastWarning, match="1 of 20 reads dropped.*decoy"):
        signal = Signal(path, small_genome)
    assert signal.mean(frame([("chrII", 34, 35), ("chrI", 0, 120)])).tolist() == [19, 0]
    renamed = {"1": "chrI", "2": "chrII", "Mito": "chrmt"}
    removed = {"unknown_sequence": 1}
    assert signal.files == [{"file": "r.bam", "rows": 20, "kept": 19, "removed": removed, "renamed": renamed}]


@pytest.mark.parametrize("name", ["f.bed", "f.bg"])
def test_rows_on_unknown_sequences_are_counted(tmp_path, small_genome, name):
    rows = [("chrI", start, start + 1) for start in range(19)] + [("decoy", 1, 5)]
    path = tmp_path / name
    path.write_text("".join(f"{chrom}\t{start}\t{end}\t1\n" for chrom, start, end in rows))
    with pytest.warns(GenocontrastWarning, match="1 of 20 rows dropped"):
        entry = Signal(path, small_genome).files[0]
    assert (entry["rows"], entry["kept"], entry["removed"]) == (20, 19, {"unknown_sequence": 1})


def test_reads_of_another_assembly_are_refused_before_they_are_read(
    tmp_path, write_alignments, small_genome, monkeypatch
):
    monkeypatch.setattr(cuts_module, "_read_cuts", lambda *_: pytest.fail("the reads were read"))
    path = write_alignments(tmp_path / "r.bam", [("chrI", 5, 9, 0, 60)], small_genome.sizes | {"chrI": 119})
    with pytest.raises(RegionError, match="chrI has 119 bp in this file and 120 bp in the genome"):
        Signal(path, small_genome)
    with pytest.raises(NamingError, match="bp lie on sequences"):
        Signal(write_alignments(tmp_path / "s.bam", [("x", 5, 9, 0, 60)], {"x": 120}), small_genome)


def test_reads_on_a_small_sequence_of_another_size_are_left_out_with_a_warning(
    tmp_path, write_alignments, small_genome
):
    reads = [("chrI", 5, 9, 0, 60), ("chrmt", 5, 9, 0, 60)]
    path = write_alignments(tmp_path / "r.bam", reads, small_genome.sizes | {"chrmt": 19})
    with pytest.warns(GenocontrastWarning, match="chrmt has 19 bp"):
        signal = Signal(path, small_genome)
    assert signal.files[0]["removed"] == {"unknown_sequence": 1}
    assert signal.mean(frame([("chrmt", 0, 20), ("chrI", 0, 10)])).tolist() == [0, 0.1]


def test_progress_is_logged(tmp_path, write_alignments, monkeypatch, caplog):
    monkeypatch.setattr(cuts_module, "_PROGRESS", 2)
    path = write_alignments(tmp_path / "r.bam", [("chrI", 5, 9, 0, 60)] * 5)
    with caplog.at_level(logging.INFO, "genocontrast"):
        Signal(path)
    assert [record.getMessage() for record in caplog.records] == [f"{path}: 2 reads", f"{path}: 4 reads"]


def test_without_a_genome_names_and_ends_are_the_files_own(tmp_path, write_bedgraph, write_alignments):
    signals = [
        Signal(write_bedgraph(tmp_path / "s.bg", [("chrI", 0, 10, 2.0)])),
        Signal(write_alignments(tmp_path / "r.bam", [("chrI", 0, 10, 0, 60)])),
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
def test_truncated_alignments(tmp_path, write_alignments, capfd, small_sequences, name, share):
    fasta = tmp_path / "reference.fa"
    fasta.write_text(f">chrI\n{small_sequences['chrI']}\n")
    rng = random.Random(0)
    reads = [("chrI", start, start + 20, 0, rng.randrange(30, 60)) for start in rng.choices(range(90), k=3000)]
    options = {"reference_filename": str(fasta)} if name == "r.cram" else {}
    path = write_alignments(tmp_path / name, reads, {"chrI": 120}, **options)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    capfd.readouterr()
    before = pysam.set_verbosity(2)
    with pytest.raises(FileFormatError, match="truncated or damaged") as caught:
        Signal(path)
    assert pysam.get_verbosity() == 2
    pysam.set_verbosity(before)
    assert caught.value.path == path
    assert capfd.readouterr() == ("", "")


def test_reads_damaged_in_the_middle(tmp_path, write_alignments):
    rng = random.Random(0)
    reads = [("chrI", start, start + 20, 0, rng.randrange(30, 60)) for start in rng.choices(range(90), k=3000)]
    path = write_alignments(tmp_path / "r.bam", reads)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 50] = bytes(50)
    path.write_bytes(bytes(content))
    with pytest.raises(FileFormatError, match="truncated or damaged"):
        Signal(path)


def test_a_first_block_of_a_wrong_length_raises_no_chatter(tmp_path, write_alignments, capfd):
    path = write_alignments(tmp_path / "r.bam", [("chrI", 5, 9, 0, 60)] * 40)
    content = bytearray(path.read_bytes())
    content[17] ^= 0x7E
    path.write_bytes(bytes(content))
    with pytest.raises(FileFormatError, match="truncated or damaged"):
        Signal(path)
    assert capfd.readouterr() == ("", "")


def test_where_no_read_is_left_the_counts_are_told(tmp_path, write_alignments):
    reads = [("chrI", 5, 9, 4, 60), ("chrI", 5, 9, 0, 29), ("chrI", 5, 9, 0, 2), ("chrmt", 15, 20, 0, 60)]
    path = write_alignments(tmp_path / "r.bam", reads)
    with pytest.raises(FileFormatError, match="none of 4 reads is left: unmapped 1, low_mapq 2, outside 1"):
        Signal(path, shift=(9, -5))
    with pytest.raises(FileFormatError, match="no reads"):
        Signal(write_alignments(tmp_path / "s.bam", []))


def test_a_spike_in_genome_in_the_header_is_judged_by_its_reads(tmp_path, write_alignments, small_genome):
    sizes = small_genome.sizes | {"dm_2L": 100_000, "dm_3R": 200_000}
    reads = [("chrI", 5, 9, 0, 60)] * 18
    few, many = ([*reads, *[("dm_2L", 70, 80, 0, 60)] * number] for number in (2, 3))
    with pytest.warns(GenocontrastWarning, match="2 of 20 reads dropped"):
        entry = Signal(write_alignments(tmp_path / "few.bam", few, sizes), small_genome).files[0]
    assert (entry["rows"], entry["kept"], entry["removed"]) == (20, 18, {"unknown_sequence": 2})
    with pytest.raises(NamingError, match="3 of 21 reads lie on sequences that the genome does not have"):
        Signal(write_alignments(tmp_path / "many.bam", many, sizes), small_genome)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Signal(write_alignments(tmp_path / "none.bam", reads, sizes), small_genome).files[0]["kept"] == 18


def test_a_wrong_assembly_is_not_excused_by_a_large_spike_in(tmp_path, write_alignments, small_genome, monkeypatch):
    monkeypatch.setattr(cuts_module, "_read_cuts", lambda *_: pytest.fail("the reads were read"))
    sizes = small_genome.sizes | {"chrI": 119, "dm_2L": 100_000}
    with pytest.raises(RegionError, match="chrI has 119 bp"):
        Signal(write_alignments(tmp_path / "r.bam", [("chrI", 5, 9, 0, 60)], sizes), small_genome)


def write_cram(folder, write_alignments, sequence, number, version="3.0"):
    fasta = folder / "reference.fa"
    fasta.write_text(f">chrI\n{sequence}\n")
    reads = [("chrI", start % 100, start % 100 + 20, 0, 60) for start in range(number)]
    options = [f"version={version}", "seqs_per_slice=100"]
    name = folder / f"{version}.cram"
    return write_alignments(name, reads, {"chrI": 120}, reference_filename=str(fasta), format_options=options)


@pytest.mark.parametrize(("version", "end"), [("2.1", 30), ("3.0", 38), ("3.1", 38)])
def test_a_cram_cut_at_a_containers_edge_is_refused(tmp_path, write_alignments, small_sequences, version, end):
    path = write_cram(tmp_path, write_alignments, small_sequences["chrI"], 500, version)
    assert Signal(path).files[0]["kept"] == 500
    path.write_bytes(path.read_bytes()[:-end])
    with pytest.raises(FileFormatError, match="truncated or damaged"):
        Signal(path)


def test_a_cram_older_than_its_end_mark_is_read(tmp_path, write_alignments, small_sequences):
    path = write_cram(tmp_path, write_alignments, small_sequences["chrI"], 50, "2.0")
    path.write_bytes(path.read_bytes()[:-30])
    assert Signal(path).files[0]["kept"] == 50


def test_bedgraph_rows_that_run_over_the_end_are_cut_and_told(tmp_path, small_genome):
    path = tmp_path / "s.bdg"
    path.write_text("I\t0\t5\t1\nI\t100\t1120\t2\nII\t70\t90\t3\n")
    with pytest.warns(GenocontrastWarning) as caught:
        signal = Signal(path, small_genome)
    (message,) = [str(warning.message) for warning in caught]
    assert "2 of 3 rows end past" in message
    assert "I:100-1120 (value 2.0)" in message
    assert (signal.mean(frame([("chrI", 90, 120), ("chrII", 60, 75)])) * [30, 15]).tolist() == [40, 15]
    assert signal.max(frame([("chrI", 90, 120)])).tolist() == [2]
    assert signal.files[0]["kept"] == 3


@pytest.mark.parametrize("row", ["I\t100\t1121\t2", "II\t75\t80\t3", "II\t80\t90\t3"])
def test_bedgraph_rows_beyond_the_end_are_named(tmp_path, small_genome, row):
    path = tmp_path / "s.bdg"
    path.write_text(f"I\t0\t5\t1\n{row}\n")
    chrom, start, end, _ = row.split("\t")
    with pytest.raises(RegionError, match=rf"a row ends beyond chr{chrom}.*{chrom}:{start}-{end}") as caught:
        Signal(path, small_genome)
    assert all(tool in caught.value.remedy for tool in ("bedClip", "bedtools slop -b 0"))


def test_fragments_just_over_the_end_are_counted_and_others_named(tmp_path, write_fragments, small_genome):
    rows = [("chrI", 100, 130), ("chrI", 100, 120), ("chrII", 60, 76)]
    signal = Signal(write_fragments(tmp_path / "f.bed", rows), small_genome)
    assert signal.files[0] | {"file": ""} == {
        "file": "", "rows": 3, "kept": 1, "removed": {"outside": 2}, "renamed": {},
    }  # fmt: skip
    assert (signal.mean(frame([("chrI", 0, 120), ("chrII", 0, 75)])) * [120, 75]).tolist() == [2, 0]
    with pytest.raises(RegionError, match=r"ends beyond chrI, .*chrI:100-131") as caught:
        Signal(write_fragments(tmp_path / "g.bed", [*rows, ("chrI", 100, 131)]), small_genome)
    assert "bedClip" in caught.value.remedy


NO_FRAGMENTS = {
    "bamtobed": ("track x\nchrI\t1\t9\tr1/1\t60\t+\nchrI\t5\t19\tr1/2\t60\t-\n", "single reads", "the BAM itself", 2),
    "bedGraph": ("chrI\t1\t9\t0.5\nchrI\t9\t12\t0\nchrI\t12\t13\t1e-05\n", "as in a bedGraph", ".bedgraph", 1),
    "BEDPE": ("#x\nchrI\t1\t9\tchrI\t50\t59\tr1\t60\t+\t-\n", "two reads each", "one fragment per row", 2),
}


@pytest.mark.parametrize("case", NO_FRAGMENTS)
def test_what_only_looks_like_fragments_is_refused(tmp_path, small_genome, case):
    content, problem, remedy, line = NO_FRAGMENTS[case]
    path = tmp_path / "f.bed"
    path.write_text(content)
    with pytest.raises(FileFormatError, match=problem) as caught:
        Signal(path, small_genome)
    assert remedy in caught.value.remedy
    assert caught.value.line == line


@pytest.mark.parametrize(
    "columns",
    [
        "",
        "\tname",
        "\t0.5x",
        "\t7",
        "\tACGT-1\t2",
        "\tchrI\t50\t.",
        "\tchrI\t50\t.\t1\t5",
        "\tACGT\t1\t+",
        "\t3.5\t1\t.",
    ],
)
def test_further_columns_of_fragments_are_taken(tmp_path, small_genome, columns):
    path = tmp_path / "f.bed"
    path.write_text(f"chrI\t1\t9{columns}\nchrI\t5\t9\tname\t1\t.\n")
    assert Signal(path, small_genome).files[0]["kept"] == 2


@pytest.mark.parametrize("name", ["f.bed", "s.bdg"])
def test_a_quote_is_a_letter(tmp_path, name):
    path = tmp_path / name
    path.write_text('"a\t0\t5\t1\nb"\t5\t9\t1\n')
    signal = Signal(path)
    assert signal.files[0]["rows"] == 2
    assert (signal.mean(frame([('"a', 0, 5), ('b"', 5, 9)])) > 0).all()


@pytest.mark.parametrize("name", ["f.bed", "s.bdg"])
@pytest.mark.parametrize(
    ("row", "problem"), [("chrI\t5\t9\0\t1", "a zero byte"), ("chrI\t5\t1" + "0" * 30 + "\t1", "got '1000")]
)
def test_zero_bytes_and_huge_numbers_are_refused_with_their_line(tmp_path, name, row, problem):
    path = tmp_path / name
    path.write_text(f"chrI\t0\t5\t1\n{row}\n")
    with pytest.raises(FileFormatError, match=problem) as caught:
        Signal(path)
    assert caught.value.line == 2


FUZZED = {
    "f.bed": b"".join(b"chrI\t%d\t%d\tn%d\n" % (at, at + 9, at) for at in range(0, 100, 7)),
    "f.tsv": b"".join(b"chrII\t%d\t%d\tACGT-1\t%d\n" % (at, at + 9, at) for at in range(0, 60, 7)),
    "s.bdg": b"".join(b"chrI\t%d\t%d\t%.2f\n" % (at, at + 7, at / 3) for at in range(0, 100, 7)),
}


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory, write_alignments):
    """A folder, and the contents that are damaged in it."""
    folder = tmp_path_factory.mktemp("fuzz")
    reads = [("chrI", start, start + 20, 16 * (start % 2), 60) for start in range(90)]
    return folder, FUZZED | {"r.bam": write_alignments(folder / "whole.bam", reads).read_bytes()}


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from([*FUZZED, "r.bam"]),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=3),
    kind=st.sampled_from(["set", "insert", "delete", "cut"]),
    recompressed=st.booleans(),
    with_genome=st.booleans(),
)
def test_damage_is_refused_or_all_rows_are_accounted_for(
    fuzzed, small_genome, name, changes, kind, recompressed, with_genome
):
    folder, contents = fuzzed
    packed = name == "r.bam"
    content = bytearray(contents[name])
    if packed and recompressed:
        # Beneath the checksums, so that htslib meets records that are wrong.
        with pysam.BGZFile(str(folder / "whole.bam")) as handle:
            content = bytearray(handle.read())
    for place, byte in changes:
        at = place % max(len(content), 1)
        content[at : {"insert": at, "cut": None}.get(kind, at + 1)] = bytes([byte]) * (kind in ("set", "insert"))
    path = folder / name
    if packed and recompressed:
        with pysam.BGZFile(str(path), "w", None) as handle:
            handle.write(bytes(content))
    else:
        path.write_bytes(bytes(content))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GenocontrastWarning)
        try:
            signal = Signal(path, small_genome if with_genome else None)
            means = [signal.mean(frame([(chrom, 0, 20)])) for chrom in signal._tracks[0].chroms]
        except GenocontrastError:
            return
    entry = signal.files[0]
    assert entry["rows"] == entry["kept"] + sum(entry["removed"].values())
    assert np.isfinite(means).all()
