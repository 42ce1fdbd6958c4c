"""Halves of a signal: disjoint, together the whole, with mates and copies kept together, and independent."""

import random

import numpy as np
import pandas as pd
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast.errors import FileFormatError, GenocontrastWarning, ShapeError
from genocontrast.genome import Genome, Signal

PLACES = 4000
"""bp of the one chromosome of alignments here, so that each pair can have a place of its own."""


def every_base(sizes):
    rows = [(chrom, base, base + 1) for chrom, size in sizes.items() for base in range(size)]
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


def cuts(signal, sizes=None):
    return signal.mean(every_base({"chrI": PLACES} if sizes is None else sizes)).astype(int)


def named(alignment, reads):
    """Alignments of (start, flag, mapping quality, name), 20 bp each; shifted by (0, 0), a cut for each 5' end."""
    header = pysam.AlignmentHeader.from_references(["chrI"], [PLACES])
    made = []
    for start, flag, mapq, name in reads:
        segment = alignment(header, "chrI", start, start + 20, flag, mapq)
        segment.query_name = name
        made.append(segment)
    return made


def halves(path, *given, **options):
    return [Signal(path, *given, half=half, **options) for half in (0, 1)]


@st.composite
def fragments(draw):
    sizes = {"chrI": 120, "chrII": 75, "chrmt": 20}
    rows = []
    for _ in range(draw(st.integers(1, 40))):
        chrom = draw(st.sampled_from(sorted(sizes)))
        start = draw(st.integers(0, sizes[chrom] - 1))
        rows.append((chrom, start, draw(st.integers(start + 1, sizes[chrom] + 2))))
    return rows


@settings(deadline=None, max_examples=60)
@given(fragments(), st.booleans())
def test_halves_of_fragments_are_disjoint_and_together_the_whole(
    tmp_path_factory, write_fragments, small_genome, rows, with_genome
):
    if not with_genome:
        rows = [row for row in rows if row[2] <= small_genome.sizes[row[0]]] or [("chrI", 0, 5)]
    path = write_fragments(tmp_path_factory.mktemp("f") / "f.bed", rows)
    given_genome = small_genome if with_genome else None
    sizes = {chrom: small_genome.sizes[chrom] for chrom in {row[0] for row in rows}}
    whole = Signal(path, given_genome)
    parts = halves(path, given_genome)
    assert (cuts(parts[0], sizes) + cuts(parts[1], sizes) == cuts(whole, sizes)).all()
    kept = [part.files[0]["kept"] for part in parts]
    for part, other in zip(parts, reversed(kept), strict=True):
        # Both cuts of a fragment, or none.
        assert cuts(part, sizes).sum() == 2 * part.files[0]["kept"]
        removed = whole.files[0]["removed"] | ({"other_half": other} if other else {})
        assert (part.files[0]["rows"], part.files[0]["removed"]) == (len(rows), removed)


def test_the_two_cuts_of_a_fragment_and_its_copies_fall_into_one_half(tmp_path, write_fragments):
    rows = [("chrI", 20 * number, 20 * number + 11) for number in range(190) for _ in range(3)]
    sizes = []
    for part in halves(write_fragments(tmp_path / "f.bed", rows)):
        found = cuts(part).reshape(-1, 20)[:190]
        assert (found[:, 0] == found[:, 10]).all()
        assert set(found[:, 0]) == {0, 3}
        sizes.append(int((found[:, 0] == 3).sum()))
    assert sum(sizes) == 190
    assert min(sizes) > 70


def test_the_half_of_a_fragment_depends_neither_on_names_nor_order_nor_columns(tmp_path, write_fragments, small_genome):
    rng = random.Random(0)
    rows = [("chrI", start, start + rng.randrange(1, 20)) for start in range(100)]
    path = write_fragments(tmp_path / "f.bed", rows)
    renamed = write_fragments(tmp_path / "r.bed", [("1", *row[1:]) for row in rng.sample(rows, len(rows))])
    wider = tmp_path / "w.tsv"
    wider.write_text("# x\n" + "".join(f"{chrom}\t{start}\t{end}\tACGT-1\t2\n\n" for chrom, start, end in rows))
    for half in (0, 1):
        expected = cuts(Signal(path, small_genome, half=half), {"chrI": 120})
        for other in (renamed, wider):
            assert (cuts(Signal(other, small_genome, half=half), {"chrI": 120}) == expected).all()


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, PLACES - 20), st.sampled_from([99, 147, 0, 16, 1024, 4, 256]), st.integers(20, 60)),
        max_size=30,
    ),
    st.integers(0, 9),
)
def test_halves_of_reads_are_disjoint_and_together_the_whole(
    tmp_path_factory, write_alignments, alignment, others, seed
):
    # Pair i has its cuts at 50 * i and 50 * i + 39.
    reads = [(50 * i + 20 * mate, (99, 147)[mate], 60, f"pair{i}") for i in range(60) for mate in (0, 1)]
    reads += [(*other, f"other{row}") for row, other in enumerate(others)]
    random.Random(seed).shuffle(reads)
    path = write_alignments(tmp_path_factory.mktemp("r") / "r.bam", named(alignment, reads), {"chrI": PLACES})
    options = {"shift": (-10, 0)}
    whole, parts = Signal(path, **options), halves(path, **options)
    assert (cuts(parts[0]) + cuts(parts[1]) == cuts(whole)).all()
    entries = [part.files[0] for part in parts]
    for part, entry, other in zip(parts, entries, reversed(entries), strict=True):
        assert entry["removed"] == whole.files[0]["removed"] | {"other_half": other["kept"]}
        assert entry["rows"] == len(reads) == entry["kept"] + sum(entry["removed"].values())
        assert cuts(part).sum() == entry["kept"]


@pytest.mark.parametrize("ends", [("", ""), ("/1", "/2")])
def test_mates_fall_into_one_half_wherever_they_stand_in_the_file(tmp_path, write_alignments, alignment, ends):
    reads = [(50 * i + 20 * mate, (99, 147)[mate], 60, f"pair{i}{ends[mate]}") for mate in (0, 1) for i in range(79)]
    path = write_alignments(tmp_path / "r.bam", named(alignment, reads), {"chrI": PLACES})
    numbers = []
    for part in halves(path, shift=(0, 0)):
        found = cuts(part)[: 79 * 50].reshape(79, 50)
        assert (found[:, 0] == found[:, 39]).all()
        numbers.append(int(found[:, 0].sum()))
    assert sum(numbers) == 79
    assert min(numbers) > 25


def test_cram_has_the_halves_of_bam(tmp_path, write_alignments, alignment):
    reads = [(start, 0, 60, f"read{start}") for start in range(0, 3000, 30)]
    fasta = tmp_path / "reference.fa"
    fasta.write_text(f">chrI\n{'A' * PLACES}\n")
    pysam.faidx(str(fasta))
    bam = write_alignments(tmp_path / "r.bam", named(alignment, reads), {"chrI": PLACES})
    cram = write_alignments(
        tmp_path / "r.cram", named(alignment, reads), {"chrI": PLACES}, reference_filename=str(fasta)
    )
    fasta.unlink()
    for half in (0, 1):
        assert (cuts(Signal(cram, half=half)) == cuts(Signal(bam, half=half))).all()
        assert 30 < Signal(cram, half=half).files[0]["kept"] < 70


def test_reads_without_names_have_no_halves(tmp_path, write_alignments, alignment):
    reads = [(5, 0, 60, "r1"), (9, 0, 60, "*")]
    path = write_alignments(tmp_path / "r.bam", named(alignment, reads), {"chrI": PLACES})
    assert Signal(path).files[0]["kept"] == 2
    with pytest.raises(FileFormatError, match="a read has no name") as caught:
        Signal(path, half=0)
    assert caught.value.path == path


def spread(found, width):
    """Variance of the share of windows that falls into a half, over that of a fair coin's: 1, if they are fair."""
    of_windows = found[: len(found) // width * width].reshape(-1, width).sum(1)
    return of_windows.var() / (width / 4)


@pytest.mark.parametrize("name", ["r{}", "chr1_{}_0:0:0", "SRR1.{}"])
def test_names_that_count_along_the_genome_do_not_balance_the_halves(tmp_path, write_alignments, alignment, name):
    reads = [(start, 0, 60, name.format(1_000_000 + start)) for start in range(PLACES - 20)]
    path = write_alignments(tmp_path / "r.bam", named(alignment, reads), {"chrI": PLACES})
    found = cuts(Signal(path, shift=(0, 0), half=0))
    assert 0.47 < found.mean() < 0.53
    # One bit of a CRC-32 has 0 here: every window then holds as many reads of one half as of the other.
    for width in (10, 20, 100):
        assert 0.6 < spread(found, width) < 1.5


def test_places_of_fragments_do_not_balance_the_halves(tmp_path, write_fragments):
    found = cuts(halves(write_fragments(tmp_path / "f.bed", [("chrI", at, at + 1) for at in range(PLACES)]))[0]) / 2
    assert 0.47 < found.mean() < 0.53
    for width in (10, 20, 100):
        assert 0.6 < spread(found, width) < 1.5


@pytest.mark.parametrize("name", ["s.bw", "s.bigWig", "s.bdg", "s.bedGraph.gz", "s.bg"])
def test_a_summed_track_cannot_be_halved(tmp_path, name):
    with pytest.raises(ShapeError, match="cannot be halved") as caught:
        Signal([tmp_path / "f.bed", tmp_path / name], half=0)
    # The fragments, which are not there, have not been read first.
    assert ".bam" in caught.value.remedy
    assert caught.value.path == tmp_path / name
    assert not Signal.divisible(tmp_path / name)
    assert not Signal.divisible(["a.bam", name])


def test_fragments_and_alignments_are_divisible():
    assert Signal.divisible(["a.bam", "b.CRAM", "c.bed.gz", "d.bedpe", "e.tsv.gz"])
    assert Signal.divisible("a.bam")


def test_other_files_and_other_halves_are_refused(tmp_path, write_fragments):
    assert not Signal.divisible("x.wig")
    with pytest.raises(FileFormatError, match="unknown kind"):
        Signal(tmp_path / "x.wig", half=0)
    path = write_fragments(tmp_path / "f.bed", [("chrI", 0, 5)])
    for half in (2, -1):
        with pytest.raises(ShapeError, match="half must be 0, 1 or None"):
            Signal(path, half=half)


def test_what_warns_of_the_whole_warns_of_its_half(tmp_path, write_alignments, small_genome):
    reads = [("chrI", start, start + 5, 0, 60) for start in range(38)] + [
        ("decoy", 1, 5, 0, 60),
        ("decoy", 2, 5, 0, 60),
    ]
    path = write_alignments(tmp_path / "r.bam", reads, small_genome.sizes | {"decoy": 9})
    for half in (None, 0, 1):
        with pytest.warns(GenocontrastWarning, match="2 of 40 reads dropped"):
            entry = Signal(path, small_genome, half=half).files[0]
        assert entry["removed"]["unknown_sequence"] == 2


@pytest.mark.parametrize("name", ["OSMOTIC_STRESS_T0_R2.mergeLib.filt.sorted.bam", "yeast_500k_SRR1822137.bedpe.gz"])
def test_halves_of_real_yeast_data_differ_by_chance_alone(data, name):
    genome = Genome(data / "yeast" / "S_cerevisiae.R64.fasta.gz")
    path = data / "yeast" / name
    starts = [(chrom, at) for chrom, size in genome.sizes.items() for at in range(0, size - 500, 500)]
    windows = pd.DataFrame([(chrom, at, at + 500) for chrom, at in starts], columns=["chrom", "start", "end"])
    whole = Signal(path, genome).mean(windows) * 500
    first, second = (part.mean(windows) * 500 for part in halves(path, genome))
    np.testing.assert_allclose(first + second, whole)
    assert first.sum() / whole.sum() == pytest.approx(0.5, abs=0.01)
    sparse = (whole >= 5) & (whole < 50)
    # Cuts come in twos, of one fragment, and in copies: their difference has at least the variance of single coins.
    ratio = ((first - second)[sparse] ** 2).sum() / whole[sparse].sum()
    assert 1.5 < ratio < 4
