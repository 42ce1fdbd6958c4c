"""FASTQ against Biopython's parser, and what no file of FASTQ may be."""

import gzip
import math
import tracemalloc
import warnings
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast.errors import FileFormatError, GenocontrastError, GenocontrastWarning
from genocontrast.genome import Reads
from genocontrast.genome import fastq as fastq_module

GOOD = b"@a one\nACGTN\n+\nIIIII\n@b\nGG\n+b\nI5\n@c\nTTT\n+\n!~I\n"


@settings(max_examples=80, deadline=None)
@given(
    draw=st.data(),
    named=st.booleans(),
    packing=st.sampled_from(["plain", "gzip", "bgzip"]),
    bases=st.integers(1, 60),
    block=st.integers(1, 200),
    tail=st.sampled_from(["\n", "", "\n\n", "\n" * 9]),
)
def test_reads_as_a_plain_parser_does(plain, reads_folder, draw, named, packing, bases, block, tail):
    made = draw.draw(plain.records())
    content = plain.fastq(made, named)
    if made[-1][1]:  # without its line end an empty last line is a missing one
        content = content[:-1] + tail.encode()
    path = plain.write(reads_folder / "some.fq", content, packing)
    unpacked = plain.write(reads_folder / "plain.fq", content.rstrip(b"\n") + b"\n" if made[-1][1] else content)
    expected = plain.parsed(unpacked)
    with patch.object(fastq_module, "_BLOCK", block), warnings.catch_warnings():
        warnings.simplefilter("ignore", GenocontrastWarning)  # no read has bases
        reads = Reads(path)
        batches = list(reads.batches(bases))
    plain.same(plain.rows(batches), expected)
    assert reads.total == len(made)
    assert reads.removed == plain.removed(too_short=len(made) - len(expected))
    sizes = [len(batch.codes) for batch in batches]
    assert all(size <= bases or len(batch) == 1 for size, batch in zip(sizes, batches, strict=True))
    firsts = [int(batch.offsets[1]) for batch in batches]
    assert all(size + first > bases for size, first in zip(sizes, firsts[1:], strict=False))


def test_memory_does_not_grow_with_the_file(plain, reads_folder):
    path = plain.write(reads_folder / "long.fq", plain.fastq([("r", "ACGT" * 50, [30] * 200)]) * 20_000)
    with patch.object(fastq_module, "_BLOCK", 1 << 16):
        tracemalloc.start()
        try:
            number = sum(len(batch) for batch in Reads(path, sample=50).batches(1 << 14))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert number == 50
    assert peak < path.stat().st_size / 3


def test_a_read_longer_than_a_block(plain, reads_folder):
    path = plain.write(
        reads_folder / "giant.fq", plain.fastq([("a", "AC", [9, 9]), ("b", "ACGT" * 5000, [20] * 20_000)])
    )
    with patch.object(fastq_module, "_BLOCK", 64):
        assert [len(sequence) for _, sequence, _ in plain.rows(Reads(path).batches(10))] == [2, 20_000]


def test_a_line_without_end_is_not_read_into_memory(plain, reads_folder):
    path = plain.write(reads_folder / "endless.fq", b"@a\n" + b"A" * 5000)
    patches = (patch.object(fastq_module, "_BLOCK", 64), patch.object(fastq_module, "_LONGEST_RECORD", 1000))
    with patches[0], patches[1], pytest.raises(FileFormatError, match="no read ends within") as caught:
        list(Reads(path).batches())
    assert caught.value.line == 1


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
    "CR alone": (b"@d\rAC\r+\rII", "a carriage return inside the line, column 3", 1),
    "CR in a header": (GOOD + b"@d\rx\nAC\n+\nII\n", "a carriage return inside the line, column 3", 13),
    "CR in the sequence": (GOOD + b"@d\nA\rC\n+\nII\n", "a carriage return inside the line, column 2", 14),
    "dot": (GOOD + b"@d\nA.\n+\nII\n", "column 2 (got '.')\n  remedy: write N for an unknown base: sed '2~4s", 14),
    "ends before an empty quality": (GOOD + b"@d\n\n+", "ends inside the read", 13),
    "ends after the name": (GOOD + b"@d", "ends inside the read", 13),
    "ends after the name's line": (GOOD + b"@d\n", "ends inside the read", 13),
    "ends in the sequence": (GOOD + b"@d\nAC", "ends inside the read", 13),
    "ends after the plus": (GOOD + b"@d\nAC\n+\n", "ends inside the read", 13),
    "ends in the quality": (GOOD + b"@d\nAC\n+\nI", "2 bases but 1 qualities", 16),
    "empty": (b"", "the file is empty", None),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize(("packing", "block"), [("plain", 1), ("gzip", 37), ("plain", 1 << 22)])
def test_what_is_no_fastq_is_refused_with_its_line(plain, tmp_path, case, packing, block):
    content, message, line = BAD[case]
    path = plain.write(tmp_path / "bad.fq", content, packing)
    with patch.object(fastq_module, "_BLOCK", block), pytest.raises(FileFormatError) as caught:
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
def test_other_kinds_are_refused(plain, tmp_path, name):
    content, message = WRONG_KINDS[name]
    with pytest.raises(FileFormatError, match=message) as caught:
        Reads(plain.write(tmp_path / name, content))
    assert caught.value.remedy


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(FileFormatError, match=r"nowhere\.fq: no such file"):
        Reads(tmp_path / "nowhere.fq")
    (tmp_path / "folder.fq").mkdir()
    with pytest.raises(FileFormatError, match="a folder, not a file"):
        Reads(tmp_path / "folder.fq")


@pytest.mark.parametrize("name", ["reads.FASTQ", "reads.fq.bgz", "sample.bam.fq.gz", "reads.txt", "reads"])
def test_fastq_is_known_by_its_content(plain, tmp_path, name):
    assert Reads(plain.write(tmp_path / name, GOOD)).kind == "FASTQ"
    assert repr(Reads(tmp_path / name)) == f"Reads({name!r}: FASTQ)"


@pytest.mark.parametrize("packing", ["gzip", "bgzip", "bgzip without its end", "gzip with a wrong sum"])
def test_truncated_and_damaged_packing_is_refused(plain, tmp_path, packing):
    rng = np.random.default_rng(0)
    content = plain.fastq([(f"r{n}", "".join(rng.choice(list("ACGT"), 100)), [30] * 100) for n in range(3000)])
    path = plain.write(tmp_path / "cut.fq.gz", content, "bgzip" if "bgzip" in packing else "gzip")
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
def test_no_damage_goes_unnoticed_or_unexplained(plain, reads_folder, changes, kind, packed, block):
    content = bytearray(gzip.compress(GOOD * 3, mtime=0) if packed else GOOD * 3)
    for place, byte in changes:
        at = place % max(len(content), 1)
        content[at : {"insert": at, "cut": None}.get(kind, at + 1)] = bytes([byte]) * (kind in ("set", "insert"))
    path = plain.write(reads_folder / "fuzzed.fq", bytes(content))
    refusal = ""
    try:
        with patch.object(fastq_module, "_BLOCK", block):
            reads = Reads(path)
            found = plain.rows(reads.batches())
    except GenocontrastError as error:
        refusal = str(error)
    if refusal:
        assert "not readable as FASTQ" not in refusal, "the reason is missing"
        return
    text = gzip.decompress(bytes(content)) if packed else bytes(content)
    lines = text.rstrip(b"\n").split(b"\n")
    assert reads.total == len(found) + reads.removed["too_short"] == math.ceil(len(lines) / 4)
    assert [len(sequence) for _, sequence, _ in found] == [len(line) for line in lines[1::4] if line]


@pytest.mark.parametrize("before", [b"", GOOD])
@pytest.mark.parametrize("block", [1, 3, 1 << 22])
def test_an_empty_last_read_needs_no_line_end(plain, tmp_path, before, block):
    path = plain.write(tmp_path / "x.fq", before + b"@d\n\n+\n")
    with patch.object(fastq_module, "_BLOCK", block), warnings.catch_warnings():
        warnings.simplefilter("ignore", GenocontrastWarning)  # no read is left
        reads = Reads(path)
        rows = plain.rows(reads.batches())
    assert (len(rows), reads.total, reads.removed["too_short"]) == (3 * bool(before), 3 * bool(before) + 1, 1)
