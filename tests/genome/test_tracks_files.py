"""BAM, CRAM and rows of other genomes as tracks: which reads count, where they cut, and what is wrong."""

import logging
import random

import pandas as pd
import pysam
import pytest

from genocontrast.errors import FileFormatError, GenocontrastWarning, NamingError, RegionError
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
    write_alignments(path, [bare, ("chrI", 5, 9, 0, 60)], {"chrI": 120})
    assert Signal(path).files[0]["removed"] == {"unmapped": 1}


def test_min_mapq_moves_the_limit(tmp_path, write_alignments):
    path = write_alignments(tmp_path / "r.bam", [("chrI", 5, 9, 0, mapq) for mapq in (0, 9, 10, 60, 255)])
    kept = [Signal(path, min_mapq=limit).files[0]["kept"] for limit in (0, 10, 11)]
    assert kept == [5, 3, 2]


def test_reads_in_another_naming_and_on_unknown_sequences(tmp_path, write_alignments, small_genome):
    sizes = {"1": 120, "2": 75, "Mito": 20, "decoy": 9}
    path = write_alignments(tmp_path / "r.bam", [("2", 30, 40, 0, 60), ("decoy", 1, 5, 0, 60)], sizes)
    with pytest.warns(GenocontrastWarning, match="decoy"):
        signal = Signal(path, small_genome)
    assert signal.mean(frame([("chrII", 34, 35), ("chrI", 0, 120)])).tolist() == [1, 0]
    renamed = {"1": "chrI", "2": "chrII", "Mito": "chrmt"}
    removed = {"unknown_sequence": 1}
    assert signal.files == [{"file": "r.bam", "rows": 2, "kept": 1, "removed": removed, "renamed": renamed}]


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


def test_where_no_read_is_left_the_counts_are_told(tmp_path, write_alignments):
    reads = [("chrI", 5, 9, 4, 60), ("chrI", 5, 9, 0, 29), ("chrI", 5, 9, 0, 2), ("chrmt", 15, 20, 0, 60)]
    path = write_alignments(tmp_path / "r.bam", reads)
    with pytest.raises(FileFormatError, match="none of 4 reads is left: unmapped 1, low_mapq 2, outside 1"):
        Signal(path, shift=(9, -5))
    with pytest.raises(FileFormatError, match="no reads"):
        Signal(write_alignments(tmp_path / "s.bam", []))
