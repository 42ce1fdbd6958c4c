"""Genome: windows against string slicing, strands, the cache, and what no FASTA may be."""

import errno
import gzip
import os
import pickle
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genocontrast.artefacts import PARTIAL, checksum
from genocontrast.errors import ConfigError, FileFormatError, NamingError, RegionError, ShapeError
from genocontrast.genome import Genome
from genocontrast.genome.cache import cache_folder, read_cache, write_cache
from genocontrast.genome.encoding import read_packed

SEQUENCES = {"chrA": "ACGTNacgtnRYSWacgtTTGACA", "chrB": "G", "chrC": "ttgacAAACCCGGGTTTAC"}
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


def letters(text):
    return "".join(letter if letter in "ACGT" else "N" for letter in text.upper())


def fasta_text(sequences, line=7):
    lines = []
    for name, text in sequences.items():
        lines += [f">{name} a description", *(text[at : at + line] for at in range(0, len(text), line))]
    return "\n".join(lines) + "\n"


def frame(*rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end", "strand"][: len(rows[0])])


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    path = tmp_path_factory.mktemp("fasta") / "small.fa"
    path.write_text(fasta_text(SEQUENCES))
    return Genome(path)


def test_sizes_in_the_order_of_the_file(genome):
    assert list(genome.sizes.items()) == [(name, len(text)) for name, text in SEQUENCES.items()]
    assert repr(genome) == f"Genome(file small.fa, size 44 bp, sequences 3: {', '.join(SEQUENCES)})"


@pytest.mark.parametrize("kind", ["plain", "gzip", "bgzip", "2bit", "no last newline", "blank lines"])
def test_every_packing_reads_the_same(tmp_path, genome, kind, write_two_bit):
    text, path = fasta_text(SEQUENCES), tmp_path / "g.fa.gz"
    if kind == "gzip":
        path.write_bytes(gzip.compress(text.encode()))
    elif kind == "bgzip":
        with pysam.BGZFile(str(path), "w", None) as handle:
            handle.write(text.encode())
    elif kind == "2bit":
        write_two_bit(path, SEQUENCES)
    else:
        changed = {"no last newline": text.rstrip("\n"), "blank lines": text.replace("\n", "\n\n")}
        path.write_text(changed.get(kind, text))
    packed = Genome(path)
    assert packed.sizes == genome.sizes
    for name in SEQUENCES:
        np.testing.assert_array_equal(packed.chromosome(name), genome.chromosome(name))
        np.testing.assert_array_equal(packed.soft_mask(name), genome.soft_mask(name))


def test_whole_sequences(genome):
    for name, text in SEQUENCES.items():
        assert genome.sequence(name, 0, len(text)) == letters(text)
        assert genome.soft_mask(name).tolist() == [letter.islower() for letter in text]
        assert ["ACGTN"[code] for code in genome.chromosome(name)] == list(letters(text))


@st.composite
def windows(draw):
    length = draw(st.integers(1, 12))
    rows = []
    for _ in range(draw(st.integers(1, 8))):
        chrom = draw(st.sampled_from([name for name, text in SEQUENCES.items() if len(text) >= length]))
        start = draw(st.integers(0, len(SEQUENCES[chrom]) - length))
        rows.append((chrom, start, start + length, draw(st.sampled_from("+-."))))
    return frame(*rows)


@given(windows())
def test_windows_are_slices_of_the_text(genome, regions):
    codes, one_hot, masked = genome.codes(regions), genome.one_hot(regions), genome.masked(regions)
    assert one_hot.shape == (len(regions), 4, codes.shape[1])
    assert one_hot.dtype == np.float32
    for row, (chrom, start, end, strand) in enumerate(regions.itertuples(index=False)):
        raw = SEQUENCES[chrom][start:end]
        expected = letters(raw)
        if strand == "-":
            expected = expected.translate(COMPLEMENT)[::-1]
        assert "".join("ACGTN"[code] for code in codes[row]) == expected
        assert genome.sequence(chrom, start, end, strand) == expected
        assert masked[row] == pytest.approx(sum(map(str.islower, raw)) / len(raw))
        for column, letter in enumerate(expected):
            assert one_hot[row, :, column].tolist() == [float(letter == base) for base in "ACGT"]


def test_width_keeps_the_centre(genome):
    codes = genome.codes(frame(("chrA", 8, 9, "+"), ("chrA", 4, 14, "-")), width=6)
    assert ["".join("ACGTN"[code] for code in row) for row in codes] == [
        letters(SEQUENCES["chrA"][5:11]),
        letters(SEQUENCES["chrA"][6:12]).translate(COMPLEMENT)[::-1],
    ]


def test_windows_need_no_ordered_index_and_take_categories(genome):
    regions = frame(("chrC", 2, 5), ("chrA", 0, 3)).set_axis([7, 7])
    regions["chrom"] = regions["chrom"].astype("category")
    assert genome.codes(regions).tolist() == [[2, 0, 1], [0, 1, 2]]


def test_masked_takes_regions_of_different_lengths(genome):
    assert genome.masked(frame(("chrA", 0, 10), ("chrC", 0, 5), ("chrC", 5, 6))).tolist() == [0.5, 1.0, 0.0]


def test_no_regions_give_no_windows(genome):
    empty = frame(("chrA", 0, 1)).iloc[:0]
    assert genome.codes(empty, width=5).shape == (0, 5)
    assert genome.masked(empty).shape == (0,)


def test_the_arrays_may_be_written_to(genome):
    codes = genome.codes(frame(("chrB", 0, 1)))
    codes[:] = 3
    assert genome.sequence("chrB", 0, 1) == "G"


@pytest.mark.parametrize("row", [("chrA", -1, 4), ("chrA", 20, 25), ("chrA", 3, 3), ("chrZ", 0, 4)])
def test_regions_outside_are_refused(genome, row):
    good = ("chrC", 0, row[2] - row[1])
    with pytest.raises(RegionError, match=f"{row[0]}:{row[1]}-{row[2]}"):
        genome.codes(frame(row, good))
    with pytest.raises(RegionError, match=r"[12] of 2 regions"):
        genome.masked(frame(good, row))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strand": [-1]}, r"none of \+ - \. \(got -1\)"),
        ({"strand": ["x"]}, r"none of \+ - \. \(got 'x'\)"),
        ({"start": [1.5]}, r"'start' does not hold whole numbers \(got 1.5\)"),
        ({"start": ["1"]}, r"'start' does not hold whole numbers"),
    ],
)
def test_tables_that_are_no_regions_are_refused(genome, changes, message):
    with pytest.raises(RegionError, match=message):
        genome.codes(frame(("chrA", 0, 4, "+")).assign(**changes))
    with pytest.raises(RegionError, match="no column 'end'"):
        genome.one_hot(frame(("chrA", 0, 4, "+")).drop(columns="end"), width=4)


def test_any_number_of_threads_gives_the_same(genome, monkeypatch):
    monkeypatch.setattr("genocontrast.genome.fasta._CHUNK", 5)
    regions = frame(*(("chrA", at, at + 4, "+-"[at % 2]) for at in range(20)))
    for dtype in (np.int8, np.float32):
        one, three = (genome.one_hot(regions, dtype=dtype, threads=threads) for threads in (1, 3))
        assert one.dtype == dtype
        np.testing.assert_array_equal(one, three)
        np.testing.assert_array_equal(one.argmax(1)[one.any(1)], genome.codes(regions)[one.any(1)])
    with pytest.raises(ShapeError, match="threads"):
        genome.one_hot(regions, threads=0)


def test_another_process_gets_no_bases(genome):
    sent = pickle.dumps(genome)
    assert len(sent) < 500
    assert pickle.loads(sent).sequence("chrC", 0, 6) == "TTGACA"


def test_lengths_that_differ_are_refused(genome):
    with pytest.raises(ShapeError, match="2 different lengths"):
        genome.codes(frame(("chrA", 0, 4), ("chrA", 0, 5)))


def test_sequence_refuses_unknown_names_and_places(genome):
    with pytest.raises(NamingError, match="chrZ"):
        genome.sequence("chrZ", 0, 1)
    with pytest.raises(RegionError, match="chrB:0-2"):
        genome.sequence("chrB", 0, 2)
    with pytest.raises(RegionError, match="strand"):
        genome.sequence("chrA", 0, 2, "x")


BAD = {
    "empty": (b"", "empty", 1),
    "no header": (b"ACGT\nACGT\n", "'>'", 1),
    "fastq": (b"@r\nACGT\n+\nIIII\n", "'>'", 1),
    "quality": (b">r\nACGT\n+\nIIII\n", "not a DNA letter", 3),
    "duplicate": (b">a\nACGT\n>b\nA\n>a x\nTT\n", "two records have the name 'a'; the first is in line 1", 5),
    "empty record": (b">a\nACGT\n>b\n>c\nA\n", "'b' is empty", 3),
    "empty last record": (b">a\nACGT\n>b\n", "'b' is empty", 3),
    "letter": (b">a\nACGT\nAC1T\n", "column 3", 3),
    "gap": (b">a\nAC-T\n", "'-'", 2),
    "space": (b">a\nAC GT\n", "column 3", 2),
    "not ASCII": (b">a\nACGT\nAC\xe9GT\n", "not ASCII, column 3", 3),
    "header not ASCII": (b">a\nACGT\n>b caf\xc3\xa9\nACGT\n", "not ASCII, column 7", 3),
    "Windows line ends": (b">a\r\nACGT\r\n", "carriage return", 1),
    "Windows line ends further down": (b">a\nACGT\nACGT\r\nAC\n", "carriage return", 3),
    "old Mac line ends": (b">a\rACGT\rACGT\r", "carriage return", 1),
    "byte-order mark": (b"\xef\xbb\xbf>a\nACGT\n", "byte-order mark", 1),
    "header inside a line": (b">a\nACGT>b\nACGT\n", "column 5", 2),
    "protein": (b">p\nMKLVE\n", "column 3", 2),
    "comment": (b">a\nACGT\n;comment\n", "column 1", 3),
    "zero byte": (b">a\nAC\0GT\n", "column 3", 2),
    "nameless": (b">a\nAC\n>\nAC\n", "no name", 3),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_no_fasta_is_refused_with_its_line(tmp_path, case, packed):
    content, message, line = BAD[case]
    path = tmp_path / "bad.fa"
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(FileFormatError) as caught:
        Genome(path)
    assert message in str(caught.value)
    assert (caught.value.path, caught.value.line) == (path, line)


def test_missing_file(tmp_path):
    with pytest.raises(FileFormatError, match=r"nowhere\.fa: no such file"):
        Genome(tmp_path / "nowhere.fa")


@pytest.mark.parametrize("kind", ["gzip", "bgzip", "bgzip without its end"])
def test_truncated_files_are_refused_and_leave_no_cache(tmp_path, monkeypatch, kind, capfd):
    monkeypatch.setenv("GENOCONTRAST_CACHE", str(tmp_path / "cache"))
    text = f">a\n{''.join(np.random.default_rng(0).choice(list('ACGT'), 300_000))}\n".encode()
    path = tmp_path / "cut.fa.gz"
    if kind == "gzip":
        path.write_bytes(gzip.compress(text))
    else:
        with pysam.BGZFile(str(path), "w", None) as handle:
            handle.write(text)
    content = path.read_bytes()
    path.write_bytes(content[:-28] if kind == "bgzip without its end" else content[: len(content) // 2])
    with pytest.raises(FileFormatError, match="truncated"):
        Genome(path)
    assert list((tmp_path / "cache").glob("*")) == []
    assert capfd.readouterr().err == ""


class TestCache:
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path, monkeypatch):
        monkeypatch.setenv("GENOCONTRAST_CACHE", str(tmp_path / "cache"))
        self.folder = tmp_path / "cache"
        self.fasta = tmp_path / "g.fa"
        self.fasta.write_text(fasta_text(SEQUENCES))

    def test_it_is_read_once(self, monkeypatch):
        Genome(self.fasta)
        monkeypatch.setattr("genocontrast.genome.fasta.read_packed", None)
        assert Genome(self.fasta).sequence("chrB", 0, 1) == "G"

    def test_the_same_content_elsewhere_is_the_same_genome(self, tmp_path):
        copy = tmp_path / "copy.fa"
        copy.write_text(self.fasta.read_text())
        assert Genome(copy).checksum == Genome(self.fasta).checksum
        assert len(list(self.folder.glob("*.codes"))) == 1

    def test_a_changed_file_is_another_genome(self):
        before = Genome(self.fasta)
        self.fasta.write_text(">chrB\nTT\n")
        after = Genome(self.fasta)
        assert after.sizes == {"chrB": 2}
        assert before.sequence("chrB", 0, 1) == "G"

    @pytest.mark.parametrize("damage", ["cut", "empty", "half", "garbage"])
    def test_a_damaged_copy_is_made_anew(self, damage):
        Genome(self.fasta)
        (copy,) = self.folder.glob("*.codes")
        content = copy.read_bytes()
        damaged = {"cut": content[:-1], "empty": b"", "half": content[: len(content) // 2], "garbage": b"\x07" * 200}
        copy.write_bytes(damaged[damage])
        assert Genome(self.fasta).sequence("chrC", 0, 6) == "TTGACA"
        assert copy.read_bytes() == content

    def test_a_copy_that_lost_bases_is_made_anew(self):
        Genome(self.fasta)
        (copy,) = self.folder.glob("*.codes")
        content = copy.read_bytes()
        copy.write_bytes(content[5:])
        assert Genome(self.fasta).sequence("chrA", 0, 4) == "ACGT"

    def test_a_failure_while_writing_leaves_nothing(self):
        def half():
            yield "chrA", bytes(10)
            raise FileFormatError("cut")

        path = self.folder / "x.codes"
        with pytest.raises(FileFormatError, match="cut"):
            write_cache(path, half())
        assert list(self.folder.iterdir()) == []
        assert read_cache(path) is None

    def test_a_killed_writer_leaves_no_copy_under_the_final_name(self):
        script = (
            "import os, sys; from pathlib import Path; from genocontrast.genome.cache import write_cache\n"
            "def half():\n    yield 'chrA', bytes(10)\n    os._exit(9)\n"
            "write_cache(Path(sys.argv[1]), half())"
        )
        path = self.folder / "x.codes"
        assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == 9
        assert read_cache(path) is None
        assert Genome(self.fasta).sizes["chrB"] == 1

    def test_two_processes_at_once(self):
        script = "import sys; from genocontrast.genome import Genome; print(Genome(sys.argv[1]).sequence('chrC', 0, 6))"
        command = [sys.executable, "-c", script, str(self.fasta)]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        assert [process.communicate()[0].strip() for process in both] == ["TTGACA", "TTGACA"]
        assert len(list(self.folder.glob("*.codes"))) == 1

    def test_a_writer_killed_at_any_moment_leaves_no_broken_copy(self):
        big = self.fasta.with_name("big.fa")
        big.write_bytes(b">a\n" + b"ACGTacgtNN" * 1_000_000 + b"\n")
        script = "import sys; from genocontrast.genome import Genome; print('at work', flush=True); Genome(sys.argv[1])"
        for delay in (0.0, 0.005, 0.01, 0.02, 0.04):
            process = subprocess.Popen([sys.executable, "-c", script, str(big)], stdout=subprocess.PIPE)
            process.stdout.readline()
            time.sleep(delay)
            process.kill()
            process.communicate()
            for copy in self.folder.glob("[!.]*.codes"):
                assert read_cache(copy) is not None
        genome = Genome(big)
        assert genome.sizes == {"a": 10_000_000}
        assert genome.sequence("a", 9_999_990, 10_000_000) == "ACGTACGTNN"

    def test_what_killed_writers_left_is_removed_once_it_is_old(self):
        self.folder.mkdir()
        name = Genome(self.fasta).cached.stem
        old, fresh = self.folder / f"{PARTIAL}{name}.old.codes", self.folder / f"{PARTIAL}{name}.fresh.codes"
        for left in (old, fresh):
            left.write_bytes(b"half")
        os.utime(old, (time.time() - 7200,) * 2)
        (self.folder / f"{name}.codes").unlink()
        Genome(self.fasta)
        assert (old.exists(), fresh.exists()) == (False, True)

    def test_the_checksum_is_remembered_until_the_file_changes(self, monkeypatch):
        os.utime(self.fasta, (time.time() - 100,) * 2)
        monkeypatch.setattr("genocontrast.genome.cache._SETTLED", -1)
        before = Genome(self.fasta).checksum
        hashed = []
        monkeypatch.setattr("genocontrast.genome.cache.checksum", lambda path: hashed.append(path) or checksum(path))
        assert Genome(self.fasta).checksum == before
        assert hashed == []
        # The same size and the same modification time as before: only the time of the change itself tells.
        text, times = self.fasta.read_text(), self.fasta.stat()
        self.fasta.write_text(text.replace("ACGTN", "ACGTA"))
        os.utime(self.fasta, ns=(times.st_atime_ns, times.st_mtime_ns))
        after = Genome(self.fasta)
        assert after.checksum == checksum(self.fasta) != before
        assert len(hashed) == 1

    def test_a_file_just_written_is_hashed_again(self):
        Genome(self.fasta)
        assert not (self.folder / "checksums").exists()

    def test_a_full_disk_is_named_and_leaves_nothing(self, monkeypatch):
        def full(*_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            yield

        monkeypatch.setattr("genocontrast.genome.fasta.read_packed", full)
        with pytest.raises(ConfigError, match=r"no space is left on the disk(.|\n)*GENOCONTRAST_CACHE"):
            Genome(self.fasta)
        assert list(self.folder.iterdir()) == []

    @pytest.mark.parametrize("kind", ["plain", "gzip"])
    def test_it_says_where_the_copy_lies_and_how_big_it_is(self, kind, caplog):
        if kind == "gzip":
            self.fasta.write_bytes(gzip.compress(self.fasta.read_bytes()))
        with caplog.at_level("INFO", "genocontrast"):
            genome = Genome(self.fasta)
        assert ("plain gzip FASTA, which no index can enter" in caplog.text) == (kind == "gzip")
        assert f"encoded once into {genome.cached} (0.0 MB)" in caplog.text
        caplog.clear()
        Genome(self.fasta)
        assert caplog.text == ""

    def test_a_folder_that_cannot_be_made_is_named(self, monkeypatch, tmp_path):
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("GENOCONTRAST_CACHE", str(tmp_path / "file" / "cache"))
        with pytest.raises(ConfigError, match="GENOCONTRAST_CACHE"):
            Genome(self.fasta)

    def test_a_file_that_changes_while_it_is_read_is_not_kept(self, monkeypatch):
        def reading(path):
            time.sleep(0.02)  # the clock of a file system ticks every few milliseconds
            path.write_text(path.read_text().replace("ACGTN", "CCCCN"))
            yield from read_packed(path)

        monkeypatch.setattr("genocontrast.genome.fasta.read_packed", reading)
        with pytest.raises(FileFormatError, match="changed while it was read"):
            Genome(self.fasta)
        assert list(self.folder.iterdir()) == []

    def test_without_a_home_the_remedy_is_named(self, monkeypatch):
        monkeypatch.setenv("GENOCONTRAST_CACHE", "~/encoded")
        monkeypatch.setenv("HOME", "/home/somebody")
        assert str(cache_folder()) == "/home/somebody/encoded"
        monkeypatch.delenv("GENOCONTRAST_CACHE")
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

        def homeless():
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr("pathlib.Path.home", homeless)
        with pytest.raises(ConfigError, match="set GENOCONTRAST_CACHE"):
            cache_folder()

    def test_where_it_lies(self, monkeypatch, tmp_path):
        assert cache_folder() == self.folder
        monkeypatch.delenv("GENOCONTRAST_CACHE")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert cache_folder() == tmp_path / "xdg" / "genocontrast"
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert str(cache_folder()) == os.path.expanduser("~/.cache/genocontrast")
