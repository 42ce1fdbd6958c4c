"""Reads of BAM against a plain loop over the records that pysam shows."""

import gzip
import math
from unittest.mock import patch

import numpy as np
import pysam
import pytest

from genocontrast.errors import FileFormatError, GenocontrastWarning
from genocontrast.genome import Reads
from genocontrast.genome import bam_reads as bam_module

COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
HEADER = {"HD": {"VN": "1.6"}, "SQ": [{"SN": "chr1", "LN": 1000}]}


def aligned(name, flag, sequence="AACGTN", qualities=(40, 10, 20, 30, 30, 2), mapq=60):
    record = pysam.AlignedSegment(pysam.AlignmentHeader.from_dict(HEADER))
    record.query_name, record.flag, record.query_sequence = name, flag, sequence
    if sequence and qualities:
        record.query_qualities = list(qualities)
    if not flag & 4:
        record.reference_id, record.reference_start, record.mapping_quality = 0, 5, mapq
        record.cigartuples = [(0, len(sequence or "A" * 6))]
    return record


def write_bam(path, *made, header=HEADER):
    with pysam.AlignmentFile(str(path), "wb", header=header) as handle:
        for record in made:
            handle.write(record)
    return path


RECORDS = (
    ("plus", 0), ("minus", 16), ("unaligned", 4), ("again", 256), ("part", 2048), ("bad", 512), ("copy", 1024),
    ("both", 256 | 2048 | 512), ("pair", 1 | 64 | 16), ("pair", 1 | 128),
)  # fmt: skip


@pytest.fixture(scope="module")
def bam(reads_folder):
    return write_bam(reads_folder / "some.bam", *(aligned(*record) for record in RECORDS), aligned("far", 0, mapq=3))


@pytest.fixture(scope="module")
def quality(plain):
    return plain.phred([40, 10, 20, 30, 30, 2])


class TestBam:
    def test_primary_reads_come_as_they_were_sequenced(self, plain, quality, bam):
        reads = Reads(bam)
        assert reads.kind == "BAM"
        expected = [
            ("plus", "AACGTN"), ("minus", "NACGTT"), ("unaligned", "AACGTN"), ("copy", "AACGTN"),
            ("pair", "NACGTT"), ("pair", "AACGTN"), ("far", "AACGTN"),
        ]  # fmt: skip
        for bases in (1, 13, 1 << 24):
            plain.same(plain.rows(reads.batches(bases)), [(*row, quality) for row in expected])
        removed = {"secondary": 2, "supplementary": 1, "qc_fail": 1, "low_mapq": 0}
        assert (reads.total, reads.removed) == (11, removed | plain.removed())

    def test_mapping_quality(self, plain, bam):
        reads = Reads(bam, min_mapq=60)
        assert [row[0] for row in plain.rows(reads.batches())] == ["plus", "minus", "copy", "pair", "pair"]
        assert reads.removed["low_mapq"] == 2

    @pytest.mark.parametrize("block", [1, 7, 1 << 22])
    def test_filters_and_samples_do_not_depend_on_blocks(self, plain, quality, bam, block):
        with patch.object(bam_module, "_BLOCK", block):
            reads = Reads(bam, sample=3, seed=1, min_quality=quality)
            names = [row[0] for row in plain.rows(reads.batches(6))]
        assert names == [row[0] for row in plain.rows(Reads(bam, sample=3, seed=1).batches())]
        assert (len(names), reads.removed["not_sampled"], reads.total) == (3, 4, 11)
        with pytest.warns(GenocontrastWarning, match="low_quality 7"):
            list(Reads(bam, min_quality=quality + 0.01).batches())

    def test_unaligned_bam_needs_no_sequences_in_its_header(self, plain, quality, tmp_path):
        path = write_bam(tmp_path / "u.bam", aligned("a", 4), header={"HD": {"VN": "1.6"}})
        plain.same(plain.rows(Reads(path).batches()), [("a", "AACGTN", quality)])

    def test_reads_without_qualities_pass_until_quality_is_asked_for(self, quality, tmp_path):
        path = write_bam(tmp_path / "q.bam", aligned("a", 256), aligned("b", 0), aligned("c", 16, qualities=None))
        (batch,) = Reads(path).batches()
        assert batch.quality.tolist() == pytest.approx([quality, math.nan], nan_ok=True)
        assert Reads(path).summary()["quality"]["max"] == pytest.approx(quality, abs=0.005)
        with pytest.raises(FileFormatError, match=r"record 3 \(c\): the read has no qualities") as caught:
            list(Reads(path, min_quality=1).batches())
        assert "min_quality" in caught.value.remedy

    def test_reads_without_bases_are_too_short(self, plain, tmp_path):
        path = write_bam(tmp_path / "s.bam", aligned("a", 4, None), aligned("b", 16, None), aligned("c", 0))
        reads = Reads(path, min_quality=1)
        assert [row[0] for row in plain.rows(reads.batches())] == ["c"]
        assert reads.removed["too_short"] == 2

    def test_impossible_bases_and_qualities_are_refused_with_their_record(self, tmp_path):
        path = write_bam(tmp_path / "b.bam", aligned("a", 256), aligned("b", 0), aligned("c", 4, "AC=GTA"))
        with pytest.raises(FileFormatError, match=r"record 3 \(c\): not a DNA letter \(got '='\)"):
            list(Reads(path).batches())
        path = write_bam(tmp_path / "p.bam", aligned("a", 0), aligned("b", 0, "AC", (30, 94)))
        with pytest.raises(FileFormatError, match=r"record 2 \(b\): no Phred quality \(got 94\)"):
            list(Reads(path).batches())

    def test_no_records(self, tmp_path):
        with pytest.raises(FileFormatError, match="holds no reads"):
            list(Reads(write_bam(tmp_path / "none.bam")).batches())

    @pytest.mark.parametrize("damage", ["half", "no end", "changed", "gzip"])
    def test_damage_is_refused_without_a_word_of_htslib(self, tmp_path, damage, capfd):
        rng = np.random.default_rng(0)
        made = (aligned(f"r{n}", 0, "".join(rng.choice(list("ACGT"), 100)), [30] * 100) for n in range(3000))
        path = write_bam(tmp_path / "d.bam", *made)
        content = path.read_bytes()
        middle = len(content) // 2
        changed = content[:middle] + b"\0" * 20 + content[middle + 20 :]
        damaged = {"half": content[:middle], "no end": content[:-28], "changed": changed}
        path.write_bytes(damaged.get(damage) or gzip.compress(gzip.decompress(content)))
        before = pysam.get_verbosity()
        with pytest.raises(FileFormatError, match="truncated or damaged"):
            list(Reads(path).batches())
        assert (pysam.get_verbosity(), capfd.readouterr().err) == (before, "")

    def test_the_real_file_read_by_hand(self, plain, data):
        path = data / "yeast" / "OSMOTIC_STRESS_T0_R2.mergeLib.filt.sorted.bam"
        reads = Reads(path, min_quality=30)
        expected, low, error = [], 0, [10 ** (-value / 10) for value in range(94)]
        with pysam.AlignmentFile(str(path)) as handle:
            for record in handle:
                sequence = record.query_sequence
                sequence = sequence.translate(COMPLEMENT)[::-1] if record.flag & 16 else sequence
                qualities = record.query_qualities
                quality = -10 * math.log10(sum(error[value] for value in qualities) / len(qualities))
                low += quality < 30 - 1e-9
                if quality >= 30 - 1e-9:
                    expected.append((record.query_name, sequence, quality))
        plain.same(plain.rows(reads.batches(1 << 20)), expected)
        assert (reads.total, reads.removed["low_quality"]) == (81_014, low)
        assert low > 1000

    def test_it_is_refused_under_the_name_of_fastq(self, plain, tmp_path, bam):
        with pytest.raises(FileFormatError, match="named as FASTQ, but it holds BAM"):
            Reads(plain.write(tmp_path / "x.fq", bam.read_bytes()))
