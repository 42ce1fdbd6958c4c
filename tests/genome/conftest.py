"""What tests of the genome stage share: writers of 2bit, FASTQ, tracks and alignments, and a genome of 215 bp."""

import gzip
import math
import random
import struct

import numpy as np
import pysam
import pytest
from Bio.SeqIO.QualityIO import FastqGeneralIterator
from hypothesis import strategies as st

from genocontrast.genome import Genome

_SMALL = {"chrI": 120, "chrII": 75, "chrmt": 20}


def _blocks(flags, order):
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(flags, int), [0]])))
    both = edges[::2], edges[1::2] - edges[::2]
    return struct.pack(f"{order}I", len(both[0])) + b"".join(part.astype(f"{order}u4").tobytes() for part in both)


def _write_two_bit(path, sequences, order="<"):
    records = {}
    for name, text in sequences.items():
        bases = [max("TCAG".find(letter), 0) for letter in text.upper()] + [0] * (-len(text) % 4)
        quads = np.array(bases, int).reshape(-1, 4) @ [64, 16, 4, 1]
        unknown = _blocks([letter not in "ACGT" for letter in text.upper()], order)
        size, masked = struct.pack(f"{order}I", len(text)), _blocks([letter.islower() for letter in text], order)
        records[name] = size + unknown + masked + bytes(4) + quads.astype(np.uint8).tobytes()
    at = 16 + sum(5 + len(name) for name in records)
    index = b""
    for name, record in records.items():
        index += bytes([len(name)]) + name.encode() + struct.pack(f"{order}I", at)
        at += len(record)
    header = struct.pack(f"{order}4I", 0x1A412743, 0, len(records), 0)
    path.write_bytes(header + index + b"".join(records.values()))


@pytest.fixture(scope="session")
def write_two_bit():
    """Writes the 2bit format as UCSC defines it, without any library: (path, sequences, byte order)."""
    return _write_two_bit


@st.composite
def _records(draw):
    made = []
    for _ in range(draw(st.integers(1, 12))):
        name = draw(st.from_regex(r"\A[!-~]{1,6}( [ -~]{0,5})?\Z"))
        sequence = draw(st.text("ACGTNacgtnRYKMSWBDHVUu", max_size=12))
        qualities = draw(st.lists(st.integers(0, 93), min_size=len(sequence), max_size=len(sequence)))
        made.append((name, sequence, qualities))
    return made


class PlainReads:
    """FASTQ written, and reads compared, by plain loops."""

    records = staticmethod(_records)

    @staticmethod
    def letters(text):
        return "".join(letter if letter in "ACGT" else "N" for letter in text.upper().replace("U", "T"))

    @staticmethod
    def phred(qualities):
        """Of Phred values, by a plain loop."""
        return -10 * math.log10(math.fsum(10 ** (-quality / 10) for quality in qualities) / len(qualities))

    @staticmethod
    def write(path, content, packing="plain"):
        if packing == "bgzip":
            with pysam.BGZFile(str(path), "w", None) as handle:
                handle.write(content)
        else:
            path.write_bytes(gzip.compress(content) if packing == "gzip" else content)
        return path

    @staticmethod
    def fastq(records, named=False):
        """`records` of (title, sequence, Phred values) as FASTQ."""
        lines = []
        for title, sequence, qualities in records:
            text = "".join(chr(33 + quality) for quality in qualities)
            lines += [f"@{title}", sequence, f"+{title}" if named else "+", text]
        return "".join(f"{line}\n" for line in lines).encode()

    @staticmethod
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

    @staticmethod
    def same(found, expected):
        assert [row[:2] for row in found] == [row[:2] for row in expected]
        np.testing.assert_allclose([row[2] for row in found], [row[2] for row in expected], atol=1e-9)

    @staticmethod
    def parsed(path):
        """The reads of a FASTQ file by Biopython; those without bases are left out."""
        with open(path) as handle:
            return [
                (
                    title.split()[0],
                    PlainReads.letters(sequence),
                    PlainReads.phred([ord(letter) - 33 for letter in quality]),
                )
                for title, sequence, quality in FastqGeneralIterator(handle)
                if sequence
            ]

    @staticmethod
    def removed(**counts):
        """The counts of a FASTQ file, 0 where not given."""
        return dict.fromkeys(("too_short", "too_long", "too_many_n", "low_quality", "not_sampled"), 0) | counts


@pytest.fixture(scope="session")
def plain():
    """What writes FASTQ and checks reads without genocontrast."""
    return PlainReads


@pytest.fixture(scope="session")
def reads_folder(tmp_path_factory):
    """A folder for tests that write many files, one over the other."""
    return tmp_path_factory.mktemp("reads")


@pytest.fixture(scope="session")
def many_reads(reads_folder):
    """300 reads of 1 to 40 bases."""
    rng = np.random.default_rng(5)
    made = []
    for number in range(300):
        length = int(rng.integers(1, 41))
        sequence = "".join(rng.choice(list("ACGTN"), length, p=[0.3, 0.2, 0.2, 0.2, 0.1]))
        made.append((f"r{number}", sequence, rng.integers(2, 41, length).tolist()))
    return PlainReads.write(reads_folder / "many.fastq.gz", PlainReads.fastq(made), "gzip")


@pytest.fixture(scope="session")
def small_sequences():
    rng = random.Random(0)
    return {chrom: "".join(rng.choices("ACGT", k=size)) for chrom, size in _SMALL.items()}


@pytest.fixture(scope="session")
def small_genome(tmp_path_factory, small_sequences):
    """A genome of chrI, chrII and chrmt, so small that every base can be looped over."""
    path = tmp_path_factory.mktemp("small") / "g.fa"
    path.write_text("".join(f">{chrom}\n{bases}\n" for chrom, bases in small_sequences.items()))
    return Genome(path)


def _write_bedgraph(path, entries, order=None):
    lines = [f"{chrom}\t{start}\t{end}\t{value}\n" for chrom, start, end, value in entries]
    random.Random(order).shuffle(lines)
    path.write_bytes(gzip.compress(("track type=bedGraph\n# x\n" + "".join(lines)).encode()))
    return path


def _write_fragments(path, rows):
    path.write_text("".join(f"{chrom}\t{start}\t{end}\n" for chrom, start, end in rows))
    return path


def _alignment(header, chrom, start, end, flag=0, mapq=60, sequence=None, cigar=None):
    segment = pysam.AlignedSegment(header)
    segment.query_name, segment.flag, segment.mapping_quality = f"{chrom}:{start}-{end}", flag, mapq
    segment.reference_id, segment.reference_start = list(header.references).index(chrom), start
    segment.cigarstring = f"{end - start}M" if cigar is None else cigar
    segment.query_sequence = sequence or "A" * (end - start)
    segment.query_qualities = pysam.qualitystring_to_array("I" * len(segment.query_sequence))
    return segment


def _write_alignments(path, reads, sizes=None, **options):
    """Reads as (chrom, start, end, flag, mapq), in any order."""
    lines = [{"SN": chrom, "LN": size} for chrom, size in (_SMALL if sizes is None else sizes).items()]
    header = pysam.AlignmentHeader.from_dict({"HD": {"VN": "1.6"}, "SQ": lines})
    with pysam.AlignmentFile(str(path), "wc" if path.suffix == ".cram" else "wb", header=header, **options) as handle:
        for row in reads:
            handle.write(_alignment(header, *row) if isinstance(row, tuple) else row)
    return path


@pytest.fixture(scope="session")
def write_bedgraph():
    """Writes gzipped bedGraph: (path, rows of chrom, start, end, value; the seed of their order)."""
    return _write_bedgraph


@pytest.fixture(scope="session")
def write_fragments():
    """Writes fragments: (path, rows of chrom, start, end)."""
    return _write_fragments


@pytest.fixture(scope="session")
def alignment():
    """Makes one alignment of a BAM header: (header, chrom, start, end, flag, mapq, sequence, cigar)."""
    return _alignment


@pytest.fixture(scope="session")
def write_alignments():
    """Writes BAM or CRAM: (path, reads, sizes of the sequences, options of pysam)."""
    return _write_alignments
