"""Well-known assemblies by their sizes and by the names of files."""

from types import SimpleNamespace

import pandas as pd
import pyBigWig
import pytest

from genocontrast.errors import RegionError
from genocontrast.genome import Genome, Signal
from genocontrast.genome.assemblies import claimed, identify, known_assemblies, that_hold
from genocontrast.genome.regions import check_within

HG38 = known_assemblies()["hg38"]


def test_sizes_of_the_textbooks():
    assert HG38["chr1"] == 248_956_422
    assert known_assemblies()["hg19"]["chrX"] == 155_270_560
    assert known_assemblies()["mm10"]["chr19"] == 61_431_566
    assert known_assemblies()["sacCer3"]["chrIV"] == 1_531_933


@pytest.mark.parametrize("name", known_assemblies())
@pytest.mark.parametrize("bare", [False, True])
def test_each_assembly_is_known_by_its_sizes_under_either_naming(name, bare):
    sizes = {chrom.removeprefix("chr") if bare else chrom: size for chrom, size in known_assemblies()[name].items()}
    found = identify({**sizes, "scaffold_7": 1234})
    assert (found.name, found.agree, found.differ) == (name, len(sizes), {})


def test_a_chromosome_of_another_size_is_told():
    found = identify({**HG38, "chr7": 1000})
    assert (found.name, found.agree) == ("hg38", 23)
    assert found.differ == {"chr7": (1000, HG38["chr7"])}


def test_an_unknown_genome_is_none():
    assert identify({"chr1": 1000, "chr2": 2000}) is None
    assert identify({}) is None


@pytest.mark.parametrize(
    ("name", "assembly"),
    [
        ("peaks.hg19.bed", "hg19"),
        ("GRCh38_no_alt.fa.gz", "hg38"),
        ("S_cerevisiae.R64.fasta.gz", "sacCer3"),
        ("x-mm10_rep1.bw", "mm10"),
        ("hg19ToHg38.bed", None),
        ("lifted_hg19_to_hg38.bed", None),
        ("hg38.grch38.bed", "hg38"),
        ("peaks.bed", None),
    ],
)
def test_names_of_files_speak_of_assemblies(name, assembly):
    assert claimed(f"/mm9/{name}") == assembly


def test_regions_of_another_assembly_name_those_that_would_hold_them():
    regions = pd.DataFrame({"chrom": ["chr1", "chr2"], "start": [249_000_000, 5], "end": [249_200_000, 10]})
    assert set(that_hold(regions)) == {"hg19"}
    with pytest.raises(RegionError, match=r"\(its sizes are hg38's; the regions would fit hg19\)"):
        check_within(regions, HG38)


def test_a_track_of_another_assembly_is_named(tmp_path):
    """Headers only: no genome of that size is needed to refuse its track."""
    path = tmp_path / "t.bw"
    with pyBigWig.open(str(path), "w") as track:
        track.addHeader(list(known_assemblies()["hg19"].items()))
        track.addEntries(["chr1"], [0], ends=[10], values=[1.0])
    genome = SimpleNamespace(sizes=HG38)
    with pytest.raises(RegionError, match=r"\(its sizes are hg38's, those of the file hg19's\)"):
        Signal(path, genome)
    (tmp_path / "f.bed").write_text("chr1\t248990000\t249100000\n")
    with pytest.raises(RegionError, match=r"the regions would fit hg19\)"):
        Signal(tmp_path / "f.bed", genome)


def test_the_yeast_file_is_saccer3(data):
    genome = Genome(data / "yeast" / "S_cerevisiae.R64.fasta.gz")
    found = identify(genome.sizes)
    assert (found.name, found.agree, found.differ) == ("sacCer3", 16, {})
