"""Regions of every format, and a table of bad files: each with the error, the line and the value it must name."""

import gzip

import numpy as np
import pandas as pd
import pytest

from genocontrast.errors import FileFormatError, GenocontrastWarning, NamingError, RegionError
from genocontrast.genome import Genome, read_regions
from genocontrast.genome.regions import check_within, load_regions, resize


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    path = tmp_path_factory.mktemp("regions") / "g.fa"
    path.write_text(f">chrI\n{'ACGT' * 250}\n>chrII\n{'TTGA' * 100}\n>chrmt\n{'AT' * 50}\n")
    return Genome(path)


def written(folder, name, *lines):
    path = folder / name
    text = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    return path


@pytest.mark.parametrize("columns", [3, 4, 5, 6, 7, 8, 9, 11, 12])  # ten are narrowPeak
@pytest.mark.parametrize("suffix", [".bed", ".bed.gz", ".txt"])
def test_bed_of_every_width(tmp_path, columns, suffix):
    row = ["chrI", "10", "20", "n1", "7.5", "-", "10", "20", "0,0,0", "1", "10,", "0,"]
    regions = read_regions(written(tmp_path, "r" + suffix, "\t".join(row[:columns])))
    (found,) = regions.to_dict("records")
    assert (found["chrom"], found["start"], found["end"]) == ("chrI", 10, 20)
    assert found["name"] == ("n1" if columns > 3 else ".")
    assert found["score"] == 7.5 if columns > 4 else np.isnan(found["score"])
    assert found["strand"] == ("-" if columns > 5 else ".")
    assert list(regions.columns) == ["chrom", "start", "end", "name", "score", "strand"]
    assert regions["start"].dtype == regions["end"].dtype == np.int64
    assert regions["score"].dtype == np.float64


def test_headings_comments_and_blank_lines_are_no_rows(tmp_path):
    lines = ["browser position chrI:1-2", "track name=x", "#c\ta\tb", "", "chrI\t1\t2", "  ", "# x", "chrI\t3\t4", ""]
    regions = read_regions(written(tmp_path, "r.bed", *lines))
    assert regions["start"].tolist() == [1, 3]
    assert regions.index.tolist() == [0, 1]


def test_sequences_called_track_and_na_are_sequences(tmp_path):
    regions = read_regions(written(tmp_path, "r.bed", "tracks\t1\t2\tNA", "NA\t1\t2\tnan", 'browser2\t1\t2\t"q'))
    assert regions["chrom"].tolist() == ["tracks", "NA", "browser2"]
    assert regions["name"].tolist() == ["NA", "nan", '"q']


def test_rows_may_be_of_different_lengths(tmp_path):
    path = written(tmp_path, "r.bed", "chrI\t1\t2", "chrI\t3\t4\tn\t1\t+\t3\t4\t0\t1\t1\t0")
    assert read_regions(path)["strand"].tolist() == [".", "+"]


def test_long_files_may_be_ragged_too(tmp_path):
    path = written(tmp_path, "r.bed", "chrI\t1\t2\tn\t1\t+\t3\t4\t0\t1\t1\t0", *["chrI\t3\t4"] * 60_000)
    assert len(read_regions(path)) == 60_001


def test_windows_line_ends(tmp_path):
    path = tmp_path / "r.bed"
    path.write_bytes(b"chrI\t1\t2\tn\t0\t+\r\nchrI\t3\t4\tm\t0\t-\r\n")
    assert read_regions(path)["strand"].tolist() == ["+", "-"]


def test_narrow_peaks_have_an_absolute_summit(tmp_path):
    rows = [
        "chrI\t10\t30\ta\t5\t.\t1\t2\t3\t4",
        "chrI\t50\t60\tb\t5\t.\t1\t2\t3\t-1",
        "chrI\t70\t75\tc\t5\t.\t1\t2\t3\t5",
    ]
    for name in ("p.narrowPeak", "p.narrowPeak.gz", "p.bed"):
        # The third says its half-open end, one base too far: its last base is meant.
        assert read_regions(written(tmp_path, name, *rows))["summit"].tolist() == [14, -1, 74]


def test_broad_peaks(tmp_path):
    regions = read_regions(written(tmp_path, "p.broadPeak", "chrI\t10\t30\ta\t5\t.\t1.5\t2.5\t3.5"))
    assert regions[["score", "signal_value", "p_value", "q_value"]].to_numpy().tolist() == [[5.0, 1.5, 2.5, 3.5]]
    assert "summit" not in regions


def test_cage_peaks_give_the_thick_base_as_summit(tmp_path):
    rows = ["chrI\t10\t30\tp1\t5\t+\t12\t13\t0,0,0", "chrI\t50\t60\tp2\t5\t-\t59\t60\t0,0,0"]
    assert read_regions(written(tmp_path, "cage.bed", *rows))["summit"].tolist() == [12, 59]
    # One thick part of another width: then it is a coding sequence, and no summit.
    assert "summit" not in read_regions(written(tmp_path, "genes.bed", *rows, "chrI\t1\t9\tt\t0\t+\t2\t5\t0"))


def test_genes_of_transcripts(tmp_path):
    rows = ["chrI\tx\tgene\t1\t9\t.\t+\t.\tID=g1", "chrI\tx\tmRNA\t1\t9\t.\t+\t.\tID=t1;Parent=g1"]
    rows += ["chrI\tx\tmRNA\t1\t9\t.\t+\t.\tID=t2;Parent=gene:g2;gene_id=g2", "chrI\tx\tmRNA\t1\t9\t.\t+\t.\tName=z"]
    assert read_regions(written(tmp_path, "a.gff3", *rows))["gene"].tolist() == ["g1", "g1", "g2", "."]
    gtf = written(tmp_path, "a.gtf", 'chrI\tx\tmRNA\t1\t9\t.\t+\t.\ttranscript_id "t"; gene_id "g";')
    assert read_regions(gtf)["gene"].tolist() == ["g"]


GFF = [
    "##gff-version 3",
    "chrI\tx\tgene\t1\t10\t.\t+\t.\tID=g1;Name=n1",
    "chrI\tx\tmRNA\t2\t10\t3.5\t-\t.\tName=n%2C2;Parent=g1",
    "###",
    "chrII\tx\tCDS\t5\t5\t.\t?\t0\tParent=g1",
    "##FASTA",
    ">chrI",
    "ACGT\tA\tC",
]


@pytest.mark.parametrize("name", ["a.gff3", "a.gff", "a.GFF3.gz"])
def test_gff_is_one_based_and_closed(tmp_path, name):
    regions = read_regions(written(tmp_path, name, *GFF))
    assert regions[["start", "end"]].to_numpy().tolist() == [[0, 10], [1, 10], [4, 5]]
    assert regions["name"].tolist() == ["n1", "n,2", "."]
    assert regions["strand"].tolist() == ["+", "-", "."]
    assert regions["feature"].tolist() == ["gene", "mRNA", "CDS"]
    assert regions["score"].fillna(-1).tolist() == [-1, 3.5, -1]


@pytest.mark.parametrize(
    ("name", "attributes", "found"),
    [
        ("a.gtf", 'gene_id "g"; gene_type "lncRNA"; transcript_type "x";', "lncRNA"),
        ("a.gtf", 'gene_id "g"; gene_biotype "snRNA";', "snRNA"),
        ("a.gff3", "ID=t;Parent=g;gene_type=lncRNA;transcript_type=x", "lncRNA"),
        ("a.gff3", "ID=t;Parent=g;biotype=snRNA", "snRNA"),
        ("a.gff3", "ID=t;Parent=g", "."),
    ],
)
def test_the_type_of_a_gene(tmp_path, name, attributes, found):
    row = f"chrI\tx\ttranscript\t1\t10\t.\t+\t.\t{attributes}"
    assert read_regions(written(tmp_path, name, row))["gene_type"].tolist() == [found]


def test_features_choose_rows(tmp_path):
    path = written(tmp_path, "a.gff3", *GFF)
    assert read_regions(path, features=["CDS", "gene"])["feature"].tolist() == ["gene", "CDS"]
    assert len(read_regions(path, features=[])) == 3
    assert len(read_regions(written(tmp_path, "r.bed", "chrI\t1\t2"), features=["gene"])) == 1
    with pytest.raises(FileFormatError, match=r"no feature of type exon.*\n.*gene \(1\), mRNA \(1\), CDS \(1\)"):
        read_regions(path, features=["exon"])


def test_gff_names_fall_back_on_the_id(tmp_path):
    assert read_regions(written(tmp_path, "a.gff3", "chrI\tx\tgene\t1\t9\t.\t+\t.\tID=g1;Alias=q"))[
        "name"
    ].tolist() == ["g1"]


def test_gtf_names_transcripts_before_genes(tmp_path):
    rows = [
        'chrI\tx\tgene\t1\t9\t.\t+\t.\tgene_id "g1"; gene_name "a b";',
        'chrI\tx\ttranscript\t1\t9\t.\t+\t.\tgene_id "g1"; transcript_id "t1";',
    ]
    assert read_regions(written(tmp_path, "a.gtf", *rows))["name"].tolist() == ["g1", "t1"]


@pytest.mark.parametrize("name", ["a.gtf", "a.gff", "a.gff3"])
@pytest.mark.parametrize(
    ("attributes", "transcript", "gene"),
    [
        ('gene_id "g 1"; transcript_id "t1";', "t1", "g 1"),
        ("transcript_id t1; gene_id g1;", "t1", "g1"),
        ("g1.t1", "g1.t1", "g1"),
        ("ID=t1;Parent=g1", "t1", "g1"),
    ],
)
def test_attributes_are_read_by_their_syntax_whatever_the_extension(tmp_path, name, attributes, transcript, gene):
    (found,) = read_regions(written(tmp_path, name, f"chrI\tx\tmRNA\t1\t9\t.\t+\t.\t{attributes}")).to_dict("records")
    assert (found["name"], found["gene"]) == (transcript, gene)


def test_the_last_extension_tells_the_format(tmp_path):
    assert "feature" not in read_regions(written(tmp_path, "genes.gtf.bed", "chrI\t1\t9\tt\t0\t+"))
    assert "summit" not in read_regions(written(tmp_path, "s.narrowPeak.merged.bed.gz", "chrI\t1\t9"))


def test_of_a_large_annotation_only_the_features_asked_for_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("genocontrast.genome.tables._CHUNK", 3)
    rows = [f"chrI\tx\t{'gene' if n % 5 == 0 else 'exon'}\t{n + 1}\t{n + 9}\t.\t+\t.\tID=i{n}" for n in range(20)]
    path = written(tmp_path, "a.gff3", *rows[:7], "# comment", *rows[7:], "##FASTA", ">chrI", *rows)
    assert read_regions(path, features=["gene"])["start"].tolist() == [0, 5, 10, 15]
    assert len(read_regions(path)) == 20
    bad = written(tmp_path, "b.gff3", *rows[:17], rows[15].replace("\t16\t", "\tx\t"))
    with pytest.raises(FileFormatError) as caught:
        read_regions(bad, features=["gene"])
    assert caught.value.line == 18


def test_features_across_the_origin_of_a_circular_sequence_are_left_out(tmp_path, genome):
    rows = ["chrII\tx\tgene\t390\t410\t.\t+\t.\tID=b", "chrII\tx\tgene\t5\t9\t.\t+\t.\tID=a"]
    region = "chrII\tx\tregion\t1\t400\t.\t+\t.\tID=chrII"
    with pytest.warns(GenocontrastWarning, match="1 features across the origin"):
        found = load_regions(written(tmp_path, "a.gff3", f"{region};Is_circular=true", *rows), genome, ["gene"])
    assert (found.rows, found.regions["name"].tolist()) == (2, ["a"])
    with pytest.raises(RegionError, match="chrII:389-410"):
        read_regions(written(tmp_path, "b.gff3", region, *rows), genome, ["gene"])


def test_infinite_p_values_are_those_of_p_zero(tmp_path):
    path = written(tmp_path, "p.narrowPeak", "chrI\t10\t30\ta\t5\t.\t1\tinf\tinf\t4")
    assert read_regions(path)["p_value"].tolist() == [np.inf]


def test_bad_rows_are_counted(tmp_path):
    path = written(tmp_path, "r.bed", *["chrI\t1\t2\tn\t0\t+"] * 3, *["chrI\t1\t2\tn\t0\tplus"] * 4)
    with pytest.raises(FileFormatError, match=r"line 4: the strand .* as in 3 more of 7 rows \(got 'plus'\)"):
        read_regions(path)


BAD = {
    "empty": ("r.bed", [], FileFormatError, "empty", None),
    "only comments": ("r.bed", ["# nothing"], FileFormatError, "no regions", None),
    "no chromosome": ("r.bed", ["chrI\t1\t2", "\t30\t40"], FileFormatError, "names no chromosome", 2),
    "infinite score": ("r.bed", ["chrI\t1\t2\tn\tinf"], FileFormatError, "infinite (got 'inf')", 1),
    "candidate elements": ("r.bed", ["chrI\t1\t2\tE1\tE2\tpELS"], FileFormatError, "cut -f1-3", 1),
    "annotation as peaks": (
        "r.bed",
        ["\t".join(["chrI", "1", "2", *"a0+xy", "HAVANA", "3"])],
        FileFormatError,
        "narrowPeak",
        1,
    ),
    "sequence in a table": ("r.bed", ["chrI\t1\t2", ">chrI\t3\t4"], NamingError, "1 of 2 rows", None),
    "two columns": ("r.bed", ["chrI\t1\t2", "chrI\t5"], FileFormatError, "fewer than 3 columns (got 'chrI 5')", 2),
    "spaces": ("r.bed", ["chrI 1 2"], FileFormatError, "separated by tabs", 1),
    "headings": ("r.bed", ["chrom\tstart\tend", "chrI\t1\t2"], FileFormatError, "start is not an integer", 1),
    "decimal": ("r.bed", ["# c", "chrI\t1\t2.5"], FileFormatError, "end is not an integer (got '2.5')", 2),
    "exponent": ("r.bed", ["chrI\t1e3\t2000"], FileFormatError, "(got '1e3')", 1),
    "underscore": ("r.bed", ["chrI\t1_0\t20"], FileFormatError, "(got '1_0')", 1),
    "huge": ("r.bed", ["chrI\t1\t99999999999999999999"], FileFormatError, "not an integer", 1),
    "negative start": ("r.bed", ["chrI\t1\t2", "", "chrI\t-3\t2"], RegionError, "first base", 3),
    "zero width": ("r.bed", ["chrI\t5\t5"], RegionError, "chrI:5-5", 1),
    "negative width": ("r.bed", ["track x", "chrI\t5\t4"], RegionError, "empty or negative", 2),
    "score": ("r.bed", ["chrI\t5\t6\tn\thigh"], FileFormatError, "(got 'high')", 1),
    "strand": ("r.bed", ["chrI\t5\t6\tn\t0\tplus"], FileFormatError, "(got 'plus')", 1),
    "beyond the end": ("r.bed", ["chrI\t5\t6", "chrII\t390\t401"], RegionError, "chrII:390-401", 2),
    "summit": ("p.narrowPeak", ["chrI\t5\t9\t.\t0\t.\t0\t0\t0\t6"], RegionError, "(got 6)", 1),
    "short peaks": ("p.narrowPeak", ["chrI\t5\t9\t.\t0\t."], FileFormatError, "fewer than 10 columns", 1),
    "gff start": ("a.gff3", ["chrI\tx\tg\t0\t9\t.\t+\t.\tID=a"], RegionError, "which is 1 in this format (got 0)", 1),
    "gff order": ("a.gff3", ["#", "chrI\tx\tg\t9\t8\t.\t+\t.\tID=a"], RegionError, "chrI:9-8", 2),
    "gff columns": ("a.gtf", ["chrI\tx\tg\t1\t9\t.\t+"], FileFormatError, "fewer than 8 columns", 1),
    "gff end": ("a.gff3", ["chrI\tx\tg\t1\t1001\t.\t+\t.\tID=a"], RegionError, "chrI has 1000 bp", 1),
    "other names": ("r.bed", ["NC_1.2\t1\t2"], NamingError, "NC_1.2; the genome says chrI, chrII", None),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_with_line_and_value(tmp_path, genome, case):
    name, lines, error, message, line = BAD[case]
    path = written(tmp_path, name, *lines)
    with pytest.raises(error) as caught:
        read_regions(path, genome)
    assert message in str(caught.value)
    assert "remedy" in str(caught.value)
    assert (caught.value.path, caught.value.line) == (path, line)


def test_missing_and_truncated_files(tmp_path):
    with pytest.raises(FileFormatError, match="no such file"):
        read_regions(tmp_path / "nowhere.bed")
    whole = written(tmp_path, "r.bed.gz", *(f"chrI\t{n}\t{n * 7919 % 10007 + 100000}" for n in range(5000)))
    whole.write_bytes(whole.read_bytes()[:-4000])
    with pytest.raises(FileFormatError, match="truncated"):
        read_regions(whole)


def test_names_come_in_the_genomes_naming(tmp_path, genome):
    path = written(tmp_path, "r.bed", "2\t1\t2", "1\t3\t4", "Mito\t5\t6")
    found = load_regions(path, genome)
    assert found.regions["chrom"].tolist() == ["chrII", "chrI", "chrmt"]
    assert found.renamed == {"1": "chrI", "2": "chrII", "Mito": "chrmt"}
    assert read_regions(path)["chrom"].tolist() == ["2", "1", "Mito"]


def test_few_rows_without_a_sequence_are_dropped_with_a_warning(tmp_path, genome):
    rows = [f"chrI\t{n}\t{n + 1}" for n in range(18)]
    path = written(tmp_path, "r.bed", "other\t1\t2", "other\t5\t6", *rows)
    with pytest.warns(GenocontrastWarning, match="2 of 20 rows dropped.*other"):
        found = load_regions(path, genome)
    assert (found.rows, len(found.regions)) == (20, 18)
    assert found.regions.index.tolist() == list(range(18))
    with pytest.raises(NamingError, match="3 of 21 rows"):
        read_regions(written(tmp_path, "s.bed", *["other\t1\t2"] * 3, *rows), genome)


def test_resize_and_check_within():
    regions = pd.DataFrame({"chrom": ["a", "a"], "start": [10, 11], "end": [20, 20]})
    assert resize(regions, 4)[["start", "end"]].to_numpy().tolist() == [[13, 17], [13, 17]]
    assert resize(regions, 5)[["start", "end"]].to_numpy().tolist() == [[13, 18], [13, 18]]
    check_within(regions, {"a": 20})
    with pytest.raises(RegionError, match=r"2 of 2 regions.*a has 19 bp"):
        check_within(regions, {"a": 19})
