"""Signal: every kind of file and every method against plain loops over bases; what is asked and given wrongly."""

import gzip
import pickle

import numpy as np
import pandas as pd
import pyBigWig
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genocontrast.errors import FileFormatError, GenocontrastWarning, NamingError, RegionError, ShapeError
from genocontrast.genome import Genome, Signal
from genocontrast.genome import bigwig as bigwig_module
from genocontrast.genome.tracks import fast_table

SIZES = {"chrI": 400, "chrII": 250, "chrmt": 30}


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    path = tmp_path_factory.mktemp("signal") / "g.fa"
    path.write_text(
        "".join(f">{chrom}\n{'ACGT' * size}"[: size + len(chrom) + 2] + "\n" for chrom, size in SIZES.items())
    )
    assert Genome(path).sizes == SIZES
    return Genome(path)


def bigwig(path, sizes, entries):
    with pyBigWig.open(str(path), "w") as handle:
        handle.addHeader(list(sizes.items()))
        for chrom in sizes:
            rows = [row for row in entries if row[0] == chrom]
            if rows:
                _, starts, ends, values = (list(column) for column in zip(*rows, strict=True))
                handle.addEntries([chrom] * len(rows), starts, ends=ends, values=values)
    return path


def frame(rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


def random_regions(rng, n):
    rows = []
    for chrom in rng.choice(list(SIZES), n):
        start, end = sorted(rng.choice(SIZES[chrom] + 1, 2, replace=False))
        rows.append((str(chrom), int(start), int(end)))
    return frame(rows)


ENTRIES = [("chrI", 5, 10, 2.0), ("chrI", 10, 11, 0.5), ("chrI", 60, 300, 1.0), ("chrII", 200, 250, 4.0)]


def per_base(entries):
    bases = {chrom: np.zeros(size) for chrom, size in SIZES.items()}
    for chrom, start, end, value in entries:
        bases[chrom][start:end] += value
    return bases


@pytest.mark.parametrize(("block", "gap"), [(1 << 24, 1 << 20), (64, 1 << 20), (1 << 24, 0), (64, 0), (1, 5)])
def test_bigwig_is_the_mean_of_its_bases(tmp_path, genome, monkeypatch, block, gap):
    monkeypatch.setattr(bigwig_module, "_BLOCK", block)
    monkeypatch.setattr(bigwig_module, "_GAP", gap)
    regions, bases = random_regions(np.random.default_rng(0), 60), per_base(ENTRIES)
    signal = Signal(bigwig(tmp_path / "s.bw", SIZES, ENTRIES), genome)
    expected = [bases[chrom][start:end].mean() for chrom, start, end in regions.itertuples(index=False)]
    np.testing.assert_allclose(signal.mean(regions), expected)
    assert signal.files == [{"file": "s.bw", "rows": None, "kept": None, "removed": {}, "renamed": {}}]


def test_no_value_of_a_bigwig_counts_as_zero(tmp_path, genome):
    path = bigwig(tmp_path / "s.bigWig", SIZES, [("chrI", 5, 10, float("nan")), ("chrI", 10, 15, 3.0)])
    assert Signal(path, genome).mean(frame([("chrI", 5, 15), ("chrII", 0, 9)])).tolist() == [1.5, 0.0]


def test_replicates_are_averaged(tmp_path, genome):
    one = bigwig(tmp_path / "a.bw", SIZES, [("chrI", 0, 100, 1.0)])
    two = bigwig(tmp_path / "b.bw", SIZES, [("chrI", 0, 100, 4.0)])
    assert Signal([one, two], genome).mean(frame([("chrI", 0, 50)])).tolist() == [2.5]


@given(
    st.lists(st.tuples(st.sampled_from(sorted(SIZES)), st.integers(0, 29), st.integers(1, 40)), min_size=1, max_size=12)
)
def test_fragments_count_both_cuts(tmp_path_factory, genome, rows):
    fragments = [(chrom, start, min(start + width, SIZES[chrom])) for chrom, start, width in rows]
    path = tmp_path_factory.mktemp("fragments") / "f.bed.gz"
    path.write_bytes(gzip.compress("".join(f"{c}\t{s}\t{e}\n" for c, s, e in fragments).encode()))
    signal = Signal(path, genome)
    regions = random_regions(np.random.default_rng(len(rows)), 20)
    for found, (chrom, start, end) in zip(signal.mean(regions), regions.itertuples(index=False), strict=True):
        cuts = [cut for c, s, e in fragments if c == chrom for cut in (s, e - 1)]
        assert found * (end - start) == pytest.approx(sum(start <= cut < end for cut in cuts))


def test_fragments_with_further_columns_headings_and_other_names(tmp_path, genome):
    path = tmp_path / "fragments.tsv"
    path.write_text("# made by a tool\nI\t0\t10\tBARCODE\t2\nchrM\t5\t9\tBARCODE\n\nII\t1\t2\n")
    signal = Signal(path, genome)
    renamed = {"I": "chrI", "chrM": "chrmt", "II": "chrII"}
    assert signal.files == [{"file": "fragments.tsv", "rows": 3, "kept": 3, "removed": {}, "renamed": renamed}]
    windows = frame([("chrI", 0, 10), ("chrI", 0, 9), ("chrmt", 5, 9), ("chrII", 1, 2)])
    assert (signal.mean(windows) * (windows["end"] - windows["start"])).tolist() == [2, 1, 2, 2]


@pytest.mark.parametrize("rest", ["", "\tBARCODE\t2"])
def test_plain_fragments_take_the_fast_parser(tmp_path, rest):
    path = tmp_path / "f.tsv"
    path.write_text(f"# x\nNA\t0\t10{rest}\nchrI\t5\t9{rest}\n")
    found = fast_table(path, {"chrom": "category", "start": "int64", "end": "int64"})
    assert found is not None
    assert found.astype(object).to_numpy().tolist() == [["NA", 0, 10], ["chrI", 5, 9]]


def test_a_track_line_is_no_fragment(tmp_path, genome):
    path = tmp_path / "f.bed"
    path.write_text("track name=x\nchrI\t0\t10\ntrack name=y\n")
    assert Signal(path, genome).mean(frame([("chrI", 0, 10)])).tolist() == [0.2]


def test_rows_keep_their_order_and_any_index(tmp_path, genome):
    path = tmp_path / "f.bed"
    path.write_text("chrI\t0\t10\n")
    regions = frame([("chrII", 0, 10), ("chrI", 0, 10), ("chrII", 5, 10), ("chrI", 9, 10)]).set_axis([4, 4, 1, 0])
    signal = Signal(path, genome)
    assert signal.mean(regions).tolist() == [0, 0.2, 0, 1]
    regions["chrom"] = regions["chrom"].astype("category")
    assert signal.mean(regions).tolist() == [0, 0.2, 0, 1]
    assert signal.mean(regions.iloc[:0]).shape == (0,)


def test_bigwig_in_another_naming(tmp_path, genome):
    sizes = {"1": 400, "2": 250, "Mito": 30}
    signal = Signal(bigwig(tmp_path / "s.bw", sizes, [("2", 0, 100, 3.0)]), genome)
    assert signal.mean(frame([("chrII", 50, 150), ("chrI", 0, 10)])).tolist() == [1.5, 0]
    assert signal.files[0]["renamed"] == {"1": "chrI", "2": "chrII", "Mito": "chrmt"}


def test_a_bigwig_of_another_assembly_is_refused(tmp_path, genome):
    with pytest.raises(RegionError, match="chrI has 401 bp in this file and 400 bp in the genome"):
        Signal(bigwig(tmp_path / "s.bw", {"chrI": 401, "chrII": 250}, []), genome)
    with pytest.raises(NamingError, match="bp lie on sequences"):
        Signal(bigwig(tmp_path / "t.bw", {"scaffold": 400}, []), genome)


def test_a_small_sequence_of_another_size_has_no_signal_and_a_warning(tmp_path, genome):
    path = bigwig(tmp_path / "s.bw", SIZES | {"chrmt": 29}, [("chrmt", 0, 29, 3.0), ("chrI", 0, 9, 1.0)])
    with pytest.warns(GenocontrastWarning, match="chrmt has 29 bp"):
        signal = Signal(path, genome)
    assert signal.mean(frame([("chrmt", 0, 9), ("chrI", 0, 9)])).tolist() == [0, 1]


def test_without_a_genome_names_are_the_files_own(tmp_path):
    track = Signal(bigwig(tmp_path / "s.bw", SIZES, ENTRIES))
    assert track.mean(frame([("chrII", 200, 250)])).tolist() == [4.0]
    path = tmp_path / "f.bed"
    path.write_text("chrI\t0\t10\n")
    for signal in (track, Signal(path)):
        with pytest.raises(NamingError, match="'1'"):
            signal.mean(frame([("1", 0, 10)]))
    with pytest.raises(RegionError, match="400 bp"):
        track.mean(frame([("chrI", 390, 401)]))


def test_windows_outside_the_genome_are_refused(tmp_path, genome):
    signal = Signal(bigwig(tmp_path / "s.bw", SIZES, ENTRIES), genome)
    with pytest.raises(RegionError, match="chrII:0-251"):
        signal.mean(frame([("chrII", 0, 251)]))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.999])
def test_truncated_bigwig(tmp_path, share, capfd):
    rng = np.random.default_rng(0)
    entries = [("chrI", n, n + 1, float(value)) for n, value in enumerate(rng.random(400))]
    path = bigwig(tmp_path / "s.bw", SIZES, entries)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(FileFormatError, match=r"s.bw: .*(truncated|not a bigWig)"):
        Signal(path)


SAM = b"@SQ\tSN:chrI\tLN:120\nr\t0\tchrI\t1\t60\t4M\t*\t0\t0\tACGT\tIIII\n"
BAD = {
    "kind": ("s.wig", b"track\n", FileFormatError, "unknown kind", None),
    "no bigWig": ("s.bw", b"not a bigWig at all", FileFormatError, "not a bigWig", None),
    "empty": ("f.bed", b"", FileFormatError, "empty", None),
    "word": ("f.bed", b"chrI\t1\t2\nchrI\tx\t9\n", FileFormatError, "(got 'x')", 2),
    "inverted": ("f.bed", b"chrI\t9\t2\n", RegionError, "chrI:9-2", 1),
    "negative": ("f.tsv", b"chrI\t-1\t2\n", RegionError, "first base", 1),
    "beyond": ("f.bedpe", b"chrI\t1\t2\nchrII\t1\t261\n", RegionError, "ends beyond chrII, which has 250 bp", None),
    "names": ("f.bed", b"scaffold\t1\t2\n", NamingError, "scaffold", None),
    "read pairs": ("f.bedpe", b"chrI\t1\t9\tchrI\t50\t59\tr1\n", FileFormatError, "two reads", 1),
    "truncated": ("f.bed.gz", gzip.compress(b"chrI\t1\t2\n" * 9)[:-6], FileFormatError, "truncated", None),
    "overlap": (
        "s.bedGraph",
        b"track x\nchrI\t5\t9\t1\nchrII\t0\t9\t1\nchrI\t0\t6\t2\n",
        FileFormatError,
        "overlaps that of line 2",
        4,
    ),
    "same interval": ("s.bg", b"chrI\t5\t9\t1\nchrI\t5\t9\t1\n", FileFormatError, "overlaps that of line 1", 2),
    "short row": ("s.bdg", b"chrI\t5\t9\t1\nchrI\t10\t12\n", FileFormatError, "not a finite number (got '')", 2),
    "very short row": (
        "s.bdg",
        b"chrI\t5\t9\t1\nchrI\t10\n",
        FileFormatError,
        "fewer than 3 columns (got 'chrI 10')",
        2,
    ),
    "text value": (
        "s.bdg",
        b"#x\nchrI\t5\t9\t1\nchrI\t10\t12\tx\n",
        FileFormatError,
        "not a finite number (got 'x')",
        3,
    ),
    "NaN": ("s.bdg", b"chrI\t5\t9\tNaN\n", FileFormatError, "not a finite number (got 'NaN')", 1),
    "infinite": (
        "s.bdg",
        b"chrI\t5\t9\t1\n\nchrI\t9\t10\t-inf\n",
        FileFormatError,
        "not a finite number (got '-inf')",
        3,
    ),
    "text place": ("s.bdg", b"chrI\tx\t9\t1\n", FileFormatError, "(got 'x')", 1),
    "inverted interval": ("s.bdg", b"chrI\t9\t5\t1\n", RegionError, "chrI:9-5", 1),
    "three columns": ("s.bdg", b"track x\nchrI\t1\t5\n", FileFormatError, "four columns", 2),
    "spaces": ("s.bdg", b"chrI 1 5 2\n", FileFormatError, "four columns", 1),
    "empty bedGraph": ("s.bdg", b"", FileFormatError, "empty", None),
    "only headings": ("s.bdg.gz", gzip.compress(b"track x\n# y\n"), FileFormatError, "no intervals", None),
    "cut gzip": ("s.bdg.gz", gzip.compress(b"chrI\t1\t2\t4\n" * 9)[:-6], FileFormatError, "truncated", None),
    "interval beyond": ("s.bdg", b"chrI\t1\t1401\t4\n", RegionError, "ends beyond chrI, which has 400 bp", None),
    "text as BAM": ("r.bam", b"some text\n", FileFormatError, "not a BAM or CRAM", None),
    "SAM as BAM": ("r.bam", SAM, FileFormatError, "not a BAM or CRAM", None),
    "compressed SAM as BAM": ("r.bam", gzip.compress(SAM), FileFormatError, "not a BAM or CRAM", None),
    "BED as BAM": ("r.bam", gzip.compress(b"chrI\t1\t2\n"), FileFormatError, "not a BAM or CRAM", None),
    "empty BAM": ("r.bam", b"", FileFormatError, "not a BAM or CRAM", None),
    "text as CRAM": ("r.cram", b"some text\n", FileFormatError, "not a BAM or CRAM", None),
    "nonsense after CRAM": (
        "r.cram",
        b"CRAM and nonsense, some more of it",
        FileFormatError,
        "truncated or damaged",
        None,
    ),
    "no kind": ("bam", b"", FileFormatError, "unknown kind", None),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files(tmp_path, genome, case, capfd):
    name, content, error, message, line = BAD[case]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(error) as caught:
        Signal(path, genome)
    assert message in str(caught.value)
    assert (caught.value.path, caught.value.line) == (path, line)
    assert capfd.readouterr() == ("", "")


def test_missing_and_no_files(tmp_path, genome):
    for name in ("s.bw", "f.bed.gz", "s.bdg", "r.bam", "r.cram"):
        with pytest.raises(FileFormatError, match="no such file"):
            Signal(tmp_path / name, genome)
    with pytest.raises(FileFormatError, match="no signal file"):
        Signal([], genome)


def test_headings_do_not_slow_a_bedgraph_down(tmp_path):
    path = tmp_path / "s.bdg"
    path.write_bytes(b"browser position x\r\ntrack type=bedGraph\r\n\r\n#a\r\ntrack1\t0\t5\t1.5\r\n")
    types = {"chrom": "category", "start": "int64", "end": "int64", "value": "float64"}
    found = fast_table(path, types)
    assert found is not None
    assert found.astype(object).to_numpy().tolist() == [["track1", 0, 5, 1.5]]


def test_headings_between_the_rows_of_a_bedgraph(tmp_path):
    path = tmp_path / "s.bdg"
    path.write_text("chrI\t0\t5\t1.5\ntrack b\nchrI\t5\t9\t2.5\n")
    assert Signal(path).mean(frame([("chrI", 4, 6)])).tolist() == [2.0]


def test_an_unknown_kind_is_told_all_kinds(tmp_path):
    with pytest.raises(FileFormatError, match=r"bigWig.*bedGraph.*fragments.*BAM.*CRAM"):
        Signal(tmp_path / "x.wig")


def test_impossible_settings_are_refused(tmp_path):
    with pytest.raises(ShapeError, match="smoothing"):
        Signal(tmp_path / "f.bed", smoothing=0)
    with pytest.raises(ShapeError, match="min_mapq"):
        Signal(tmp_path / "f.bed", min_mapq=-1)


def test_a_bigwig_is_opened_once_for_a_question_and_closed_after_it(tmp_path, monkeypatch):
    sizes = {f"scaffold{number}": 100 for number in range(40)}
    entries = [(chrom, 10, 20, 1.0) for chrom in sizes]
    entries[-1] = (*entries[-1][:3], float("inf"))
    signal, opened, real = Signal(bigwig(tmp_path / "s.bw", sizes, entries)), [], pyBigWig.open
    monkeypatch.setattr(pyBigWig, "open", lambda *given: opened.append(real(*given)) or opened[-1])
    regions = frame([(chrom, 0, 20) for chrom in sizes])
    for method in (signal.mean, signal.max, signal.summit, lambda asked: signal.open_fraction(asked, 1)):
        opened.clear()
        assert len(method(regions[:-1])) == 39
        with pytest.raises(FileFormatError, match="infinite"):
            method(regions)
        assert len(opened) == 2
        for handle in opened:
            with pytest.raises(RuntimeError, match="not opened"):
                handle.chroms()


@pytest.mark.parametrize("name", ["s.bw", "s.bdg", "f.bed"])
def test_a_signal_can_be_pickled_and_asked_anew(tmp_path, genome, name):
    path = tmp_path / name
    if name == "s.bw":
        bigwig(path, SIZES, ENTRIES)
    else:
        path.write_text("".join(f"{chrom}\t{start}\t{end}\t1\n" for chrom, start, end, _ in ENTRIES))
    regions = random_regions(np.random.default_rng(0), 9)
    for signal in (Signal(path, genome), Signal(path)):
        expected = signal.max(regions[regions["chrom"] == "chrI"])
        assert (pickle.loads(pickle.dumps(signal)).max(regions[regions["chrom"] == "chrI"]) == expected).all()


def test_a_bigwig_without_entries_is_refused(tmp_path, genome):
    with pytest.raises(FileFormatError, match="no values"):
        Signal(bigwig(tmp_path / "s.bw", SIZES, []), genome)
    Signal(bigwig(tmp_path / "t.bw", SIZES, [("chrI", 0, 9, float("nan"))]), genome)


def test_a_bigwig_whose_chromosomes_cannot_be_listed_is_damaged(tmp_path, monkeypatch):
    class Broken:
        def isBigWig(self):
            return True

        def chroms(self):
            raise RuntimeError("the file handle is not opened")

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    path = bigwig(tmp_path / "s.bw", SIZES, ENTRIES)
    monkeypatch.setattr(pyBigWig, "open", lambda _: Broken())
    with pytest.raises(FileFormatError, match="truncated or damaged"):
        Signal(path)


@pytest.mark.parametrize("given_genome", [True, False])
@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("chrom", ["chrI", None]), ("chrom", ["chrI", float("nan")]), ("start", [1, 2.5]), ("end", [9, float("nan")]),
        ("end", [9, float("inf")]), ("start", ["1", "2"]), ("end", pd.array([9, None], dtype="Int64")),
    ],
)  # fmt: skip
def test_regions_without_a_whole_place_are_refused(tmp_path, genome, given_genome, column, values):
    signal = Signal(bigwig(tmp_path / "s.bw", SIZES, ENTRIES), genome if given_genome else None)
    regions = frame([("chrI", 0, 9), ("chrI", 2, 9)])
    regions[column] = values
    for method in (signal.mean, signal.max):
        with pytest.raises(RegionError, match=r"1 of 2 regions have no chromosome|does not hold whole numbers"):
            method(regions)
