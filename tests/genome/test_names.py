"""Chromosome names: what reads as what, and what is refused."""

import pytest

from genocontrast.errors import GenocontrastWarning, NamingError
from genocontrast.genome.names import reconcile

ROMAN = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII", "XIII", "XIV", "XV", "XVI"]
YEAST = [f"chr{numeral}" for numeral in ROMAN] + ["chrmt"]
ARABIC = [str(number) for number in range(1, 17)]
HUMAN = [f"chr{number}" for number in range(1, 23)] + ["chrX", "chrY", "chrM"]
ENSEMBL = [name.removeprefix("chr") for name in HUMAN[:-1]] + ["MT"]
WORM = ["I", "II", "III", "IV", "V", "X", "MtDNA"]


@pytest.mark.parametrize(
    ("file", "genome"),
    [
        (YEAST, YEAST),
        ([*YEAST[:-1], "chrM"], YEAST),
        ([*ROMAN, "MT"], YEAST),
        ([*ROMAN, "Mito"], YEAST),
        ([f"chr{number}" for number in ARABIC], YEAST),
        ([*ARABIC, "M"], YEAST),
        ([f"chr{int(number):02d}" for number in ARABIC], YEAST),
        (YEAST, [*ARABIC, "Mito"]),
        ([*ROMAN, "chrM"], [f"chr{number}" for number in ARABIC] + ["chrMT"]),
        (ENSEMBL, HUMAN),
        (HUMAN, ENSEMBL),
        ([name.upper() for name in HUMAN], HUMAN),
        (["chrI", "chrII", "chrIII", "chrIV", "chrV", "chrX", "chrM"], WORM),
        (["2L", "2R", "3L", "X", "M"], ["chr2L", "chr2R", "chr3L", "chrX", "chrM"]),
    ],
)
def test_one_naming_reads_as_the_other_in_order(file, genome):
    found = reconcile(dict.fromkeys(file, 1), genome, "f.bed")
    assert list(found.names.items()) == list(zip(file, genome, strict=False))
    assert found.dropped == {}
    assert all(old != new for old, new in found.renamed.items())


def test_only_changed_names_are_reported():
    assert reconcile({"chrI": 5, "chrM": 2}, YEAST, "f").renamed == {"chrM": "chrmt"}


@pytest.mark.parametrize("name", ["X", "chrX"])
def test_x_is_what_the_genome_has(name):
    assert reconcile({name: 1}, YEAST, "f").names == {name: "chrX"}
    assert reconcile({name: 1, "1": 1}, HUMAN, "f").names[name] == "chrX"
    with pytest.raises(NamingError):
        # No ten: nothing says that the file counts in Roman numerals.
        reconcile({name: 1}, ["1", "2", "10"], "f")
    assert reconcile({name: 1, "II": 1}, ["1", "2", "10"], "f").names == {name: "10", "II": "2"}


def test_ten_is_no_human_x():
    with pytest.warns(GenocontrastWarning, match="chr10"):
        found = reconcile({"chr1": 20, "chr10": 1}, ["chr1", "chr2", "chrX"], "f")
    assert found.dropped == {"chr10": 1}


def test_two_namings_in_one_file_are_refused():
    with pytest.raises(NamingError, match=r"'chr10' and 'chrX' of this file both read as 'chrX'"):
        reconcile({"chr1": 1, "chr10": 1, "chrX": 1}, YEAST, "f.bed")


def test_a_name_that_may_be_two_sequences_is_refused():
    with pytest.raises(NamingError, match="'MT' may be chrM or chrMT"):
        reconcile({"MT": 1}, ["chr1", "chrM", "chrMT"], "f")
    assert reconcile({"chrM": 1}, ["chr1", "chrM", "chrMT"], "f").names == {"chrM": "chrM"}


def test_rows_count_and_not_names():
    with pytest.warns(GenocontrastWarning, match=r"10 of 100 rows dropped.*\(6 in all\)"):
        found = reconcile({"chr1": 90, **{f"alt{n}": 2 for n in range(4)}, "u": 1, "v": 1}, HUMAN, "f")
    assert sum(found.dropped.values()) == 10
    with pytest.raises(
        NamingError, match=r"f.bed: 11 of 101 rows.*this file says alt; the genome says chr1, chr2"
    ) as error:
        reconcile({"chr1": 90, "alt": 11}, HUMAN, "f.bed")
    assert "assembly" in str(error.value.remedy)


def test_beside_the_genomes_own_mitochondrion_another_is_a_stranger():
    with pytest.warns(GenocontrastWarning, match="1 of 101 rows dropped.*chrMT"):
        found = reconcile({"chr1": 95, "chrM": 5, "chrMT": 1}, ["chr1", "chrM"], "f.bed")
    assert found.names == {"chr1": "chr1", "chrM": "chrM"}


@pytest.mark.parametrize(
    ("name", "own"),
    [("mitochondrion_genome", "chrM"), ("Pt", "ChrC"), ("chloroplast", "Pt"), ("Mt", "ChrM")],
)
def test_organelles_under_their_names(name, own):
    assert reconcile({name: 3}, ["chr1", own], "f.bed").names == {name: own}
