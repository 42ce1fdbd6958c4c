"""Reads against a plain Python parser: packing, filters, samples, summaries, and what no file of reads may be."""

import gzip
import io
import json
import logging
import math
import subprocess
import sys
import tracemalloc
import warnings
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pysam
import pytest
from Bio.SeqIO.QualityIO import FastqGeneralIterator
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from genocontrast.cli import main
from genocontrast.errors import ConfigError, FileFormatError, GenocontrastError, GenocontrastWarning
from genocontrast.genome import reads as module
from genocontrast.genome.read_summary import print_reads
from genocontrast.genome.reads import Reads

FASTQ_RULES = ("too_short", "too_long", "too_many_n", "low_quality", "not_sampled")
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
GOOD = b"@a one\nACGTN\n+\nIIIII\n@b\nGG\n+b\nI5\n@c\nTTT\n+\n!~I\n"


def letters(text):
    return "".join(letter if letter in "ACGT" else "N" for letter in text.upper().replace("U", "T"))


def phred(qualities):
    """Of Phred values, by a plain loop."""
    return -10 * math.log10(math.fsum(10 ** (-quality / 10) for quality in qualities) / len(qualities))


def write(path, content, packing="plain"):
    if packing == "bgzip":
        with pysam.BGZFile(str(path), "w", None) as handle:
            handle.write(content)
    else:
        path.write_bytes(gzip.compress(content) if packing == "gzip" else content)
    return path


def fastq(records, named=False):
    """`records` of (title, sequence, Phred values) as FASTQ."""
    lines = []
    for title, sequence, qualities in records:
        text = "".join(chr(33 + quality) for quality in qualities)
        lines += [f"@{title}", sequence, f"+{title}" if named else "+", text]
    return "".join(f"{line}\n" for line in lines).encode()


def rows(batches):
    """(name, letters, Phred) of each read, checking the shapes on the way."""
    found = []
    for batch in batches:
        assert (batch.codes.dtype, batch.offsets.dtype, batch.quality.dtype) == (np.uint8, np.int64, np.float64)
        assert len(batch) == len(batch.names) == len(batch.quality) == len(batch.offsets) - 1 > 0
        assert (batch.offsets[0], batch.offsets[-1]) == (0, len(batch.codes))
        for row, name in enumerate(batch.names):
            codes = batch.codes[batch.offsets[row] : batch.offsets[row + 1]]
            found.append((name, "".join("ACGTN"[code] for code in codes), float(batch.quality[row])))
    return found


def same(found, expected):
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    np.testing.assert_allclose([row[2] for row in found], [row[2] for row in expected], atol=1e-9)


def parsed(path):
    """The reads of a FASTQ file by Biopython; those without bases are left out."""
    with open(path) as handle:
        return [
            (title.split()[0], letters(sequence), phred([ord(letter) - 33 for letter in quality]))
            for title, sequence, quality in FastqGeneralIterator(handle)
            if sequence
        ]


@st.composite
def records(draw, least=1):
    made = []
    for _ in range(draw(st.integers(least, 12))):
        name = draw(st.from_regex(r"\A[!-~]{1,6}( [ -~]{0,5})?\Z"))
        sequence = draw(st.text("ACGTNacgtnRYKMSWBDHVUu", max_size=12))
        qualities = draw(st.lists(st.integers(0, 93), min_size=len(sequence), max_size=len(sequence)))
        made.append((name, sequence, qualities))
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("reads")


@pytest.fixture(scope="module")
def many(folder):
    """300 reads of 1 to 40 bases."""
    rng = np.random.default_rng(5)
    made = []
    for number in range(300):
        length = int(rng.integers(1, 41))
        sequence = "".join(rng.choice(list("ACGTN"), length, p=[0.3, 0.2, 0.2, 0.2, 0.1]))
        made.append((f"r{number}", sequence, rng.integers(2, 41, length).tolist()))
    return write(folder / "many.fastq.gz", fastq(made), "gzip")


class TestFastq:
    @settings(max_examples=80, deadline=None)
    @given(
        made=records(),
        named=st.booleans(),
        packing=st.sampled_from(["plain", "gzip", "bgzip"]),
        bases=st.integers(1, 60),
        block=st.integers(1, 200),
        tail=st.sampled_from(["\n", "", "\n\n", "\n" * 9]),
    )
    def test_reads_as_a_plain_parser_does(self, folder, made, named, packing, bases, block, tail):
        content = fastq(made, named)
        if made[-1][1]:  # without its line end an empty last line is a missing one
            content = content[:-1] + tail.encode()
        path = write(folder / "some.fq", content, packing)
        plain = write(folder / "plain.fq", content.rstrip(b"\n") + b"\n" if made[-1][1] else content)
        expected = parsed(plain)
        with patch.object(module, "_BLOCK", block), warnings.catch_warnings():
            warnings.simplefilter("ignore", GenocontrastWarning)  # no read has bases
            reads = Reads(path)
            batches = list(reads.batches(bases))
        same(rows(batches), expected)
        assert reads.total == len(made)
        assert reads.removed == dict.fromkeys(FASTQ_RULES, 0) | {"too_short": len(made) - len(expected)}
        sizes = [len(batch.codes) for batch in batches]
        assert all(size <= bases or len(batch) == 1 for size, batch in zip(sizes, batches, strict=True))
        firsts = [int(batch.offsets[1]) for batch in batches]
        assert all(size + first > bases for size, first in zip(sizes, firsts[1:], strict=False))

    def test_passes_are_equal_and_their_arrays_may_be_written_to(self, many):
        reads = Reads(many)
        first = list(reads.batches(1000))
        expected = rows(first)
        for batch in first:
            batch.codes[:] = 0
            batch.quality[:] = 0
        assert rows(reads.batches(1000)) == expected

    def test_counts_are_those_of_the_last_complete_pass(self, many):
        reads = Reads(many, min_length=20)
        assert (reads.total, sum(reads.removed.values())) == (0, 0)
        next(reads.batches(10))
        assert (reads.total, sum(reads.removed.values())) == (0, 0)
        kept = len(rows(reads.batches()))
        assert (reads.total, reads.removed["too_short"]) == (300, 300 - kept)
        list(reads.batches())
        assert reads.total == 300

    def test_memory_does_not_grow_with_the_file(self, folder):
        path = write(folder / "long.fq", fastq([("r", "ACGT" * 50, [30] * 200)]) * 20_000)
        with patch.object(module, "_BLOCK", 1 << 16):
            tracemalloc.start()
            try:
                number = sum(len(batch) for batch in Reads(path, sample=50).batches(1 << 14))
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
        assert number == 50
        assert peak < path.stat().st_size / 3

    def test_a_read_longer_than_a_block(self, folder):
        path = write(folder / "giant.fq", fastq([("a", "AC", [9, 9]), ("b", "ACGT" * 5000, [20] * 20_000)]))
        with patch.object(module, "_BLOCK", 64):
            assert [len(sequence) for _, sequence, _ in rows(Reads(path).batches(10))] == [2, 20_000]

    def test_a_line_without_end_is_not_read_into_memory(self, folder):
        path = write(folder / "endless.fq", b"@a\n" + b"A" * 5000)
        patches = (patch.object(module, "_BLOCK", 64), patch.object(module, "_LONGEST_RECORD", 1000))
        with patches[0], patches[1], pytest.raises(FileFormatError, match="no read ends within") as caught:
            list(Reads(path).batches())
        assert caught.value.line == 1

    def test_progress_is_logged(self, many, caplog):
        with patch.object(module, "_SECONDS_BETWEEN_LINES", 0.0), caplog.at_level(logging.INFO, "genocontrast"):
            list(Reads(many).batches())
        assert "many.fastq.gz: 300 reads so far" in caplog.text


BAD = {
    "no header": (b"ACGT\n+\nIIII\n", "does not begin with '@'", 1),
    "no second header": (GOOD + b"d\nAC\n+\nII\n", "does not begin with '@'", 13),
    "FASTA": (b">a\nACGT\n", "a FASTA record", 1),
    "FASTA later": (GOOD + b">d\nACGT\n>e\nAC\n", "a FASTA record", 13),
    "no name": (GOOD + b"@\nAC\n+\nII\n", "no name", 13),
    "space for a name": (GOOD + b"@ d\nAC\n+\nII\n", "no name", 13),
    "no plus": (GOOD + b"@d\nAC\nII\n@e\nAC\n+\nII\n", "the '+' line is missing", 15),
    "no plus, and qualities like bases": (b"@d\nAC\nAA\n@e\n" + GOOD, "or the '+' line is missing", 3),
    "several lines": (b"@d\nAC\nGT\n+\nII\nII\n" + GOOD, "goes on in a second line", 3),
    "several lines of quality": (b"@d\nACGT\n+\nII\nII\n" + GOOD, "4 bases but 2 qualities", 4),
    "few qualities": (GOOD + b"@d\nACG\n+\nII\n" + GOOD, "3 bases but 2 qualities", 16),
    "many qualities": (GOOD + b"@d\nAC\n+\nIII\n" + GOOD, "2 bases but 3 qualities", 16),
    "no sequence": (GOOD + b"@d\n\n+\nII\n", "0 bases but 2 qualities", 16),
    "letter": (GOOD + b"@d\nAC1T\n+\nIIII\n", "not a DNA letter, column 3 (got '1')", 14),
    "gap": (GOOD + b"@d\nA-\n+\nII\n", "column 2", 14),
    "not ASCII": (GOOD + b"@d\nA\xe9\n+\nII\n", "column 2", 14),
    "quality too low": (GOOD + b"@d\nAC\n+\nI \n", "Phred+33 quality ('!' to '~'), column 2", 16),
    "quality too high": (GOOD + b"@d\nAC\n+\n\x7fI\n", "column 1", 16),
    "another name after the plus": (GOOD + b"@d\nAC\n+e\nII\n", "names another read", 15),
    "blank line": (GOOD + b"\n" + GOOD, "an empty line", 13),
    "blank lines": (GOOD + b"\n\n\n\n" + GOOD, "an empty line", 13),
    "only blank lines": (b"\n\n\n\n\n", "an empty line", 1),
    "CRLF": (GOOD.replace(b"\n", b"\r\n"), "CRLF", 1),
    "CRLF later": (GOOD + b"@d\nAC\r\n+\nII\n", "CRLF", 14),
    "CRLF in a header": (GOOD + b"@d\r\nAC\n+\nII\n", "CRLF", 13),
    "CRLF after the plus": (GOOD + b"@d\nAC\n+\r\nII\n", "CRLF", 15),
    "CR alone": (b"@d\rAC\r+\rII\r", "CRLF", 1),
    "ends after the name": (GOOD + b"@d", "ends inside the read", 13),
    "ends after the name's line": (GOOD + b"@d\n", "ends inside the read", 13),
    "ends in the sequence": (GOOD + b"@d\nAC", "ends inside the read", 13),
    "ends after the plus": (GOOD + b"@d\nAC\n+\n", "ends inside the read", 13),
    "ends in the quality": (GOOD + b"@d\nAC\n+\nI", "2 bases but 1 qualities", 16),
    "empty": (b"", "the file is empty", None),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize(("packing", "block"), [("plain", 1), ("gzip", 37), ("plain", 1 << 22)])
def test_what_is_no_fastq_is_refused_with_its_line(tmp_path, case, packing, block):
    content, message, line = BAD[case]
    path = write(tmp_path / "bad.fq", content, packing)
    with patch.object(module, "_BLOCK", block), pytest.raises(FileFormatError) as caught:
        list(Reads(path).batches())
    assert message in str(caught.value)
    assert (caught.value.path, caught.value.line) == (path, line)
    assert caught.value.remedy


WRONG_KINDS = {
    "x.bam": (GOOD, "named as BAM, but it holds FASTQ"),
    "text.bam": (b"some text\n", "not a BAM file"),
    "none.bam": (b"", "the file is empty"),
    "x.sam": (b"@HD\tVN:1.6\n", "SAM text is not read"),
    "x.cram": (b"CRAM\3\0", "CRAM is not read"),
    "x.fa": (b">a\nACGT\n", "unknown kind"),
    "x.txt": (b"reads\n", "unknown kind"),
    "x": (b"", "the file is empty"),
}


@pytest.mark.parametrize("name", WRONG_KINDS)
def test_other_kinds_are_refused(tmp_path, name):
    content, message = WRONG_KINDS[name]
    with pytest.raises(FileFormatError, match=message) as caught:
        Reads(write(tmp_path / name, content))
    assert caught.value.remedy


def test_a_missing_file_a_folder_and_a_wrong_name_are_refused(tmp_path, bam):
    with pytest.raises(FileFormatError, match=r"nowhere\.fq: no such file"):
        Reads(tmp_path / "nowhere.fq")
    (tmp_path / "folder.fq").mkdir()
    with pytest.raises(FileFormatError, match="a folder, not a file"):
        Reads(tmp_path / "folder.fq")
    with pytest.raises(FileFormatError, match="named as FASTQ, but it holds BAM"):
        Reads(write(tmp_path / "x.fq", bam.read_bytes()))


@pytest.mark.parametrize("name", ["reads.FASTQ", "reads.fq.bgz", "sample.bam.fq.gz", "reads.txt", "reads"])
def test_fastq_is_known_by_its_content(tmp_path, name):
    assert Reads(write(tmp_path / name, GOOD)).kind == "FASTQ"
    assert repr(Reads(tmp_path / name)) == f"Reads({name!r}: FASTQ)"


@pytest.mark.parametrize("packing", ["gzip", "bgzip", "bgzip without its end", "gzip with a wrong sum"])
def test_truncated_and_damaged_packing_is_refused(tmp_path, packing):
    rng = np.random.default_rng(0)
    content = fastq([(f"r{n}", "".join(rng.choice(list("ACGT"), 100)), [30] * 100) for n in range(3000)])
    path = write(tmp_path / "cut.fq.gz", content, "bgzip" if "bgzip" in packing else "gzip")
    packed = path.read_bytes()
    kept = {"bgzip without its end": packed[:-28], "gzip with a wrong sum": packed[:-8] + b"\0\0\0\0" + packed[-4:]}
    path.write_bytes(kept.get(packing, packed[: len(packed) // 2]))
    with pytest.raises(FileFormatError, match="truncated or damaged"):
        list(Reads(path).batches())


@settings(max_examples=400, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=3),
    kind=st.sampled_from(["set", "insert", "delete", "cut"]),
    packed=st.booleans(),
    block=st.sampled_from([1, 50, 1 << 22]),
)
def test_no_damage_goes_unnoticed_or_unexplained(folder, changes, kind, packed, block):
    content = bytearray(gzip.compress(GOOD * 3, mtime=0) if packed else GOOD * 3)
    for place, byte in changes:
        at = place % max(len(content), 1)
        content[at : {"insert": at, "cut": None}.get(kind, at + 1)] = bytes([byte]) * (kind in ("set", "insert"))
    path = write(folder / "fuzzed.fq", bytes(content))
    refusal = ""
    try:
        with patch.object(module, "_BLOCK", block):
            reads = Reads(path)
            found = rows(reads.batches())
    except GenocontrastError as error:
        refusal = str(error)
    if refusal:
        assert "not readable as FASTQ" not in refusal, "the reason is missing"
        return
    text = gzip.decompress(bytes(content)) if packed else bytes(content)
    lines = text.rstrip(b"\n").split(b"\n")
    assert reads.total == len(found) + reads.removed["too_short"] == math.ceil(len(lines) / 4)
    assert [len(sequence) for _, sequence, _ in found] == [len(line) for line in lines[1::4] if line]


class TestFilters:
    @settings(max_examples=80, deadline=None)
    @given(
        made=records(),
        limits=st.tuples(st.integers(0, 8), st.integers(8, 12) | st.none(), st.integers(0, 93) | st.floats(0, 30)),
        fraction=st.sampled_from([0.0, 0.1, 0.25, 0.29, 0.5, 1.0]),
    )
    def test_each_rule_is_counted(self, folder, made, limits, fraction):
        least, most, quality = limits
        expected, removed = [], Counter()
        for title, sequence, qualities in made:
            read = letters(sequence)
            if len(read) < max(least, 1):
                removed["too_short"] += 1
            elif most is not None and len(read) > most:
                removed["too_long"] += 1
            elif read.count("N") / len(read) > fraction:
                removed["too_many_n"] += 1
            elif phred(qualities) < quality - 1e-9:
                removed["low_quality"] += 1
            else:
                expected.append((title.split()[0], read, phred(qualities)))
        path = write(folder / "filtered.fq", fastq(made))
        limits = {"min_length": least, "max_length": most, "min_quality": quality, "max_n_fraction": fraction}
        reads = Reads(path, **limits)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GenocontrastWarning)
            same(rows(reads.batches()), expected)
        assert reads.removed == dict.fromkeys(FASTQ_RULES, 0) | removed
        assert reads.total == len(made)

    @pytest.mark.parametrize("length", [1, 37, 150, 250, 9999])
    @pytest.mark.parametrize("quality", [0, 2, 30, 37, 93])
    def test_a_read_at_the_limit_of_quality_stays(self, tmp_path, length, quality):
        path = write(tmp_path / "x.fq", fastq([("r", "A" * length, [quality] * length)]))
        assert len(rows(Reads(path, min_quality=quality).batches())) == 1

    def test_quality_is_that_of_the_mean_error(self, tmp_path):
        path = write(tmp_path / "x.fq", fastq([("r", "AC", [10, 40])]))
        assert rows(Reads(path).batches())[0][2] == pytest.approx(-10 * math.log10((0.1 + 0.0001) / 2))

    def test_a_read_of_the_worst_quality_has_phred_zero_and_no_minus(self, tmp_path):
        (batch,) = Reads(write(tmp_path / "x.fq", fastq([("r", "AC", [0, 0])]))).batches()
        assert str(batch.quality[0]) == "0.0"

    def test_no_read_left_is_warned_of(self, tmp_path):
        reads = Reads(write(tmp_path / "x.fq", GOOD), min_length=4, max_n_fraction=0)
        with pytest.warns(GenocontrastWarning, match=r"no read is left \(too_short 2, too_many_n 1\)"):
            assert list(reads.batches()) == []

    @pytest.mark.parametrize(
        "limits",
        [
            {"min_length": -1}, {"max_length": 0}, {"min_length": 9, "max_length": 8}, {"min_quality": 94},
            {"min_quality": float("nan")}, {"max_n_fraction": 1.1}, {"sample": 0}, {"sample": 1.0}, {"sample": True},
            {"sample": -0.5}, {"seed": -1}, {"min_mapq": 256}, {"min_mapq": 20},
        ],
    )  # fmt: skip
    def test_impossible_filters_are_refused(self, many, limits):
        with pytest.raises(ConfigError):
            Reads(many, **limits)
        with pytest.raises(ConfigError, match="bases must be at least 1"):
            Reads(many).batches(0)


class TestSample:
    @pytest.mark.parametrize("sample", [1, 7, 120, np.int64(7), 0.3])
    def test_the_seed_alone_decides(self, many, sample):
        whole = rows(Reads(many).batches())
        reads = Reads(many, sample=sample, seed=3)
        chosen = rows(reads.batches())
        assert len(chosen) == (sample if sample >= 1 else reads.total - reads.removed["not_sampled"])
        assert [row for row in whole if row in chosen] == chosen
        assert reads.removed["not_sampled"] == 300 - len(chosen)
        assert rows(reads.batches(17)) == chosen
        with patch.object(module, "_BLOCK", 100):
            assert rows(Reads(many, sample=sample, seed=3).batches(90)) == chosen
        assert rows(Reads(many, sample=sample, seed=4).batches()) != chosen

    def test_every_read_and_every_pair_is_as_likely_as_another(self, tmp_path):
        path = write(tmp_path / "x.fq", fastq([(str(n), "ACGT"[: n % 4 + 1], [30] * (n % 4 + 1)) for n in range(10)]))
        times, pairs, draws = Counter(), Counter(), 400
        with patch.object(module, "_BLOCK", 50):
            for seed in range(draws):
                names = [name for name, _, _ in rows(Reads(path, sample=3, seed=seed).batches())]
                times.update(names)
                pairs.update((a, b) for a in names for b in names if a < b)
        assert sum(times.values()) == 3 * draws
        for counts, number, chance in ((times, 10, 3 / 10), (pairs, 45, 3 * 2 / (10 * 9))):
            assert len(counts) == number
            spread = math.sqrt(draws * chance * (1 - chance))
            assert all(abs(count - draws * chance) < 5 * spread for count in counts.values())

    def test_a_fraction_is_the_chance_of_each_read(self, many):
        sizes = [len(rows(Reads(many, sample=0.2, seed=seed).batches())) for seed in range(20)]
        assert abs(sum(sizes) - 0.2 * 6000) < 5 * math.sqrt(6000 * 0.2 * 0.8)
        assert len(set(sizes)) > 1

    def test_it_is_drawn_from_the_reads_that_pass(self, many):
        passing = rows(Reads(many, min_length=30).batches())
        reads = Reads(many, min_length=30, sample=20)
        assert set(rows(reads.batches())) < set(passing)
        assert reads.removed["not_sampled"] == len(passing) - 20

    def test_more_than_there_are_is_all(self, many):
        reads = Reads(many, sample=301)
        assert rows(reads.batches()) == rows(Reads(many).batches())
        assert reads.removed["not_sampled"] == 0

    def test_mates_are_chosen_together(self, tmp_path):
        first = write(tmp_path / "1.fq", fastq([(f"p{n}", "A", [30]) for n in range(50)]))
        second = write(tmp_path / "2.fq", fastq([(f"p{n}", "CGT" * 9, [30] * 27) for n in range(50)]))
        names = [[row[0] for row in rows(Reads(path, sample=9, seed=1).batches(5))] for path in (first, second)]
        assert names[0] == names[1]

    def test_a_file_that_changes_is_noticed(self, tmp_path):
        path = write(tmp_path / "x.fq", GOOD)
        reads = Reads(path, sample=2)
        list(reads.batches())
        write(path, GOOD * 2)
        with pytest.raises(FileFormatError, match="changed between two passes"):
            list(reads.batches())


class TestPhred64:
    def warned(self, tmp_path, low, high, number=200):
        qualities = np.random.default_rng(0).integers(low - 33, high - 33, (number, 100), endpoint=True).tolist()
        reads = Reads(write(tmp_path / "x.fq", fastq([("r", "A" * 100, row) for row in qualities])), sample=5)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            list(reads.batches())
        return [str(warning.message) for warning in caught]

    def test_it_is_warned_of_once_a_pass(self, tmp_path):
        (message,) = self.warned(tmp_path, 66, 104)
        assert "all qualities lie between 'B' and 'h'" in message
        assert "seqtk seq -VQ64" in message

    @pytest.mark.parametrize(
        ("low", "high", "number"), [(35, 74, 200), (58, 104, 200), (63, 75, 200), (66, 126, 200), (66, 104, 50)]
    )
    def test_other_qualities_are_not_doubted(self, tmp_path, low, high, number):
        assert self.warned(tmp_path, low, high, number) == []


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
def bam(folder):
    return write_bam(folder / "some.bam", *(aligned(*record) for record in RECORDS), aligned("far", 0, mapq=3))


class TestBam:
    quality = phred([40, 10, 20, 30, 30, 2])

    def test_primary_reads_come_as_they_were_sequenced(self, bam):
        reads = Reads(bam)
        assert reads.kind == "BAM"
        expected = [
            ("plus", "AACGTN"), ("minus", "NACGTT"), ("unaligned", "AACGTN"), ("copy", "AACGTN"),
            ("pair", "NACGTT"), ("pair", "AACGTN"), ("far", "AACGTN"),
        ]  # fmt: skip
        for bases in (1, 13, 1 << 24):
            same(rows(reads.batches(bases)), [(*row, self.quality) for row in expected])
        removed = {"secondary": 2, "supplementary": 1, "qc_fail": 1, "low_mapq": 0}
        assert (reads.total, reads.removed) == (11, removed | dict.fromkeys(FASTQ_RULES, 0))

    def test_mapping_quality(self, bam):
        reads = Reads(bam, min_mapq=60)
        assert [row[0] for row in rows(reads.batches())] == ["plus", "minus", "copy", "pair", "pair"]
        assert reads.removed["low_mapq"] == 2

    @pytest.mark.parametrize("block", [1, 7, 1 << 22])
    def test_filters_and_samples_do_not_depend_on_blocks(self, bam, block):
        with patch.object(module, "_BLOCK", block):
            reads = Reads(bam, sample=3, seed=1, min_quality=self.quality)
            names = [row[0] for row in rows(reads.batches(6))]
        assert names == [row[0] for row in rows(Reads(bam, sample=3, seed=1).batches())]
        assert (len(names), reads.removed["not_sampled"], reads.total) == (3, 4, 11)
        with pytest.warns(GenocontrastWarning, match="low_quality 7"):
            list(Reads(bam, min_quality=self.quality + 0.01).batches())

    def test_unaligned_bam_needs_no_sequences_in_its_header(self, tmp_path):
        path = write_bam(tmp_path / "u.bam", aligned("a", 4), header={"HD": {"VN": "1.6"}})
        same(rows(Reads(path).batches()), [("a", "AACGTN", self.quality)])

    def test_reads_without_qualities_pass_until_quality_is_asked_for(self, tmp_path):
        path = write_bam(tmp_path / "q.bam", aligned("a", 256), aligned("b", 0), aligned("c", 16, qualities=None))
        (batch,) = Reads(path).batches()
        assert batch.quality.tolist() == pytest.approx([self.quality, math.nan], nan_ok=True)
        assert Reads(path).summary()["quality"]["max"] == pytest.approx(self.quality, abs=0.005)
        with pytest.raises(FileFormatError, match=r"record 3 \(c\): the read has no qualities") as caught:
            list(Reads(path, min_quality=1).batches())
        assert "min_quality" in caught.value.remedy

    def test_reads_without_bases_are_too_short(self, tmp_path):
        path = write_bam(tmp_path / "s.bam", aligned("a", 4, None), aligned("b", 16, None), aligned("c", 0))
        reads = Reads(path, min_quality=1)
        assert [row[0] for row in rows(reads.batches())] == ["c"]
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

    def test_the_real_file_read_by_hand(self, data):
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
        same(rows(reads.batches(1 << 20)), expected)
        assert (reads.total, reads.removed["low_quality"]) == (81_014, low)
        assert low > 1000


class TestSummary:
    @settings(max_examples=100, deadline=None)
    @given(made=records(), copies=st.integers(1, 40))
    def test_figures_are_those_of_numpy(self, folder, made, copies):
        made = [row for row in made if row[1]] * copies or [("r", "A", [7])]
        summary = Reads(write(folder / "s.fq", fastq(made))).summary()
        lengths = [len(sequence) for _, sequence, _ in made]
        qualities = [phred(row) for _, _, row in made]
        text = "".join(letters(sequence) for _, sequence, _ in made)
        assert (summary["reads"], summary["bases"], summary["total"]) == (len(made), len(text), len(made))
        for key, fraction in (("min", 0), ("5%", 0.05), ("median", 0.5), ("95%", 0.95), ("max", 1)):
            assert summary["length"][key] == np.quantile(lengths, fraction, method="inverted_cdf")
            quality = np.quantile(qualities, fraction, method="inverted_cdf")
            assert summary["quality"][key] == pytest.approx(quality, abs=0.0051)
        held, expected = 0, None
        for length in sorted(lengths, reverse=True):
            held += length
            if 2 * held >= len(text):
                expected = length
                break
        assert summary["length"]["n50"] == expected
        called = len(text) - text.count("N")
        gc = (text.count("G") + text.count("C")) / called if called else None
        assert summary["gc"] == (gc if gc is None else pytest.approx(gc))
        assert summary["n_fraction"] == pytest.approx(text.count("N") / len(text))
        json.dumps(summary, allow_nan=False)

    def test_nothing_left_has_no_figures(self, tmp_path):
        reads = Reads(write(tmp_path / "x.fq", GOOD), min_length=50)
        with pytest.warns(GenocontrastWarning, match="no read is left"):
            summary = reads.summary()
        empty = {"reads": 0, "bases": 0, "length": None, "quality": None, "gc": None, "n_fraction": None}
        assert summary == empty | {"total": 3, "removed": dict.fromkeys(FASTQ_RULES, 0) | {"too_short": 3}}
        console = Console(file=io.StringIO(), width=100)
        with pytest.warns(GenocontrastWarning, match="no read is left"):
            print_reads(reads, console)
        assert "100.0%" in console.file.getvalue()


class TestCommand:
    def test_it_prints_figures_and_removals(self, many):
        options = [
            "--min-length",
            "5",
            "--min-quality",
            "9",
            "--max-n-fraction",
            "0.2",
            "--sample",
            "50",
            "--seed",
            "2",
        ]
        finished = CliRunner().invoke(main, ["genome", "reads", str(many), *options])
        assert finished.exit_code == 0
        reads = Reads(many, min_length=5, min_quality=9, max_n_fraction=0.2, sample=50, seed=2)
        figures = reads.summary()
        printed = {" ".join(line.split("│")[0].split()): line for line in finished.stdout.splitlines()}
        assert printed["reads"].endswith(" 50")
        assert printed["bases, bp"].endswith(f" {figures['bases']:,}")
        assert printed["length, bp: N50"].endswith(f" {figures['length']['n50']}")
        assert printed["quality, Phred of mean error: 5%"].endswith(f" {figures['quality']['5%']:.2f}")
        assert printed["GC"].endswith(f" {figures['gc']:.2%}")
        for rule in ("too_short", "too_many_n", "low_quality", "not_sampled"):
            assert f" {figures['removed'][rule]} " in printed[rule.replace("_", " ")].replace("│", " ")
            assert figures["removed"][rule] > 0
        assert " 300 " in printed["in the file"]

    def test_bad_reads_end_with_one_message_and_code_3(self, tmp_path):
        write(tmp_path / "bad.fq", GOOD + b"@d\nAC\n+\nI\n")
        command = [Path(sys.executable).parent / "genocontrast", "genome", "reads", "bad.fq"]
        finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
        assert finished.returncode == 3
        assert finished.stderr.startswith("error: bad.fq, line 16: 2 bases but 1 qualities\n  remedy: ")
        assert "Traceback" not in finished.stderr
