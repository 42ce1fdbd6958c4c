"""Readers of regions against a plain parser, and after damage: a named error, or every row is there."""

import gzip
from contextlib import suppress
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast.errors import GenocontrastError
from genocontrast.genome import Genome, read_regions

words = st.text("abcXYZ012._-|:", min_size=1, max_size=6)
scores = st.sampled_from([".", "0", "7.5", "1e3", "-2"])
strands = st.sampled_from("+-.")
skipped = st.sampled_from(["# comment\twith tabs", "track name=x", "browser position chr1", "", "   "])


@st.composite
def places(draw):
    start = draw(st.integers(0, 10**9))
    return draw(words), start, start + draw(st.integers(1, 10**6))


@st.composite
def bed_rows(draw):
    """Rows of 3 to 12 columns, each of its own length, as far as BED leaves the choice."""
    chrom, start, end = draw(places())
    fields = [chrom, start, end, draw(words), draw(scores), draw(strands), start, end, "0,0,0", 1, end - start, 0]
    return [str(field) for field in fields[: draw(st.sampled_from([3, 4, 5, 6, 8, 9, 12]))]]


@st.composite
def peak_rows(draw):
    chrom, start, end = draw(places())
    summit = draw(st.integers(-1, end - start - 1))
    values = [draw(st.sampled_from(["-1", "0.5", "12"])) for _ in range(3)]
    return [chrom, str(start), str(end), draw(words), draw(scores), draw(strands), *values, str(summit)]


@st.composite
def annotation_rows(draw, gtf):
    chrom, start, end = draw(places())
    gene, transcript = draw(words), draw(words)
    attributes = f'gene_id "{gene}"; transcript_id "{transcript}";' if gtf else f"ID={transcript};Parent={gene}"
    feature = draw(st.sampled_from(["gene", "mRNA", "exon"]))
    return [chrom, "x", feature, str(start + 1), str(end), draw(scores), draw(strands), ".", attributes]


@st.composite
def files(draw, rows):
    """Lines of a file: rows among lines that are none."""
    lines = []
    for row in draw(st.lists(rows, min_size=1, max_size=8)):
        lines += draw(st.lists(skipped, max_size=2))
        lines.append("\t".join(row))
    return lines


def plain(lines):
    """The rows by the simplest of parsers."""
    return [line.split("\t") for line in lines if line.strip() and not line.startswith(("#", "track", "browser"))]


def number(text):
    return np.nan if text == "." else float(text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("properties")


def saved(folder, name, lines, packed=False, ending="\n"):
    path = folder / (f"{name}.gz" if packed else name)
    content = ending.join([*lines, ""]).encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


@given(files(bed_rows()), st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_bed(folder, lines, packed, ending):
    found = read_regions(saved(folder, "r.bed", lines, packed, ending))
    expected = [[*row, *["", "", "", ".", ".", "."][len(row) :]] for row in plain(lines)]
    assert found["chrom"].tolist() == [row[0] for row in expected]
    assert found["start"].tolist() == [int(row[1]) for row in expected]
    assert found["end"].tolist() == [int(row[2]) for row in expected]
    assert found["name"].tolist() == [row[3] for row in expected]
    np.testing.assert_array_equal(found["score"], [number(row[4]) for row in expected])
    assert found["strand"].tolist() == [row[5] for row in expected]


@given(files(peak_rows()), st.booleans())
def test_narrow_peak(folder, lines, packed):
    found = read_regions(saved(folder, "p.narrowPeak", lines, packed))
    expected = plain(lines)
    assert found["summit"].tolist() == [int(row[1]) + int(row[9]) if row[9] != "-1" else -1 for row in expected]
    for column, name in ((6, "signal_value"), (7, "p_value"), (8, "q_value")):
        assert found[name].tolist() == [float(row[column]) for row in expected]


@given(st.booleans().flatmap(lambda gtf: st.tuples(st.just(gtf), files(annotation_rows(gtf)))), st.booleans())
def test_annotation(folder, made, packed):
    gtf, lines = made
    found = read_regions(saved(folder, "a.gtf" if gtf else "a.gff3", lines, packed))
    expected = plain(lines)
    assert found["chrom"].tolist() == [unquote(row[0]) for row in expected]
    assert (found["start"] + 1).tolist() == [int(row[3]) for row in expected]
    assert found["end"].tolist() == [int(row[4]) for row in expected]
    assert found["feature"].tolist() == [row[2] for row in expected]
    named = [row[8].split('"') if gtf else row[8].replace(";", "=").split("=") for row in expected]
    assert found["name"].tolist() == [parts[3] if gtf else parts[1] for parts in named]
    assert found["gene"].tolist() == [parts[1] if gtf else parts[3] for parts in named]


INSERTED = [b"\t", b"\n", b"\r", b'"', b"\0", b"\xff", b"-", b"chr1\t5\t4\n"]


@settings(max_examples=200)
@given(
    st.sampled_from([("r.bed", bed_rows()), ("p.narrowPeak", peak_rows()), ("b.broadPeak", bed_rows())]).flatmap(
        lambda kind: st.tuples(st.just(kind[0]), files(kind[1]))
    )
    | st.booleans().flatmap(lambda gtf: st.tuples(st.just("a.gtf" if gtf else "a.gff3"), files(annotation_rows(gtf)))),
    st.data(),
)
def test_damage_is_a_named_error_or_every_row_is_read(folder, made, data):
    name, lines = made
    content = bytearray("\n".join([*lines, ""]).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        change = data.draw(st.sampled_from(["byte", "cut", "insert"]))
        if change == "byte":
            content[at] = data.draw(st.integers(0, 255))
        elif change == "cut":
            del content[at : at + data.draw(st.integers(1, 20))]
        else:
            content[at:at] = data.draw(
                st.sampled_from([b"\t", b"\n", b"\r", b'"', b"\0", b"\xff", b"-", b"chr1\t5\t4\n"])
            )
        if not content:
            return
    path = folder / name
    path.write_bytes(content)
    with suppress(GenocontrastError):
        assert len(read_regions(path)) == rows_of(bytes(content))


def rows_of(content):
    """Data rows of a damaged file, by its physical lines."""
    count = 0
    for line in content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        first = line.split(b"\t")[0]
        if line.startswith((b"##FASTA", b">")):
            break
        heading = first.split()[:1] in ([b"track"], [b"browser"]) and not first[:1].isspace()
        count += bool(first.strip()) and not line.startswith(b"#") and not heading
    return count


def test_strands_of_late_rows_count_too(folder):
    """The width of a file is that of its widest row, wherever it stands."""
    path = saved(folder, "late.bed", [*["chr1\t1\t2"] * 30_000, "chr1\t5\t9\tn\t0\t-"])
    assert read_regions(path)["strand"].iloc[-1] == "-"


def test_regions_of_the_real_annotation_agree_with_a_plain_parser(data):
    path = data / "yeast" / "S_cerevisiae.SGD.gff3.gz"
    found = read_regions(path, Genome(data / "yeast" / "S_cerevisiae.R64.fasta.gz"), features=["gene"])
    with gzip.open(path, "rt") as handle:
        rows = [line.split("\t") for line in handle if line.count("\t") == 8 and not line.startswith("#")]
    genes = [row for row in rows if row[2] == "gene"]
    assert found["start"].tolist() == [int(row[3]) - 1 for row in genes]
    assert found["strand"].tolist() == [row[6].replace("?", ".") for row in genes]
