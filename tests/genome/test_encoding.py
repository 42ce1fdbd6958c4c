"""FASTA and 2bit as packed bases: whatever the line width, the block or the byte order, and after damage."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genocontrast.errors import FileFormatError
from genocontrast.genome.encoding import read_packed

SEQUENCES = {"chrA": "ACGTNacgtnRYSWacgtTTGACA", "chrB": "G", "chrC": "ttgacAAACCCGGGTTTAC"}
dna = st.text("ACGTUacgtuNnRYSWKMBDHV", min_size=1, max_size=30)


class TestTwoBit:
    @pytest.fixture
    def path(self, tmp_path, write_two_bit):
        write_two_bit(tmp_path / "g.2bit", SEQUENCES)
        return tmp_path / "g.2bit"

    def test_the_other_byte_order_reads_the_same(self, path, write_two_bit):
        before = dict(read_packed(path))
        write_two_bit(path, SEQUENCES, order=">")
        assert dict(read_packed(path)) == before

    @pytest.mark.parametrize("left", [5, 16, 30, 60, -5])
    def test_a_truncated_file_is_refused(self, path, left):
        path.write_bytes(path.read_bytes()[:left])
        with pytest.raises(FileFormatError, match=r"truncated|the index announces"):
            list(read_packed(path))

    def test_two_records_of_one_name_are_refused(self, path):
        path.write_bytes(path.read_bytes().replace(b"chrB", b"chrA"))
        with pytest.raises(FileFormatError, match="announces 3 records and names 2"):
            list(read_packed(path))

    def test_an_empty_record_is_refused(self, path, write_two_bit):
        write_two_bit(path, {"a": "ACGT", "b": ""})
        with pytest.raises(FileFormatError, match="'b' is empty"):
            list(read_packed(path))

    def test_a_later_version_is_named(self, path):
        content = bytearray(path.read_bytes())
        content[4] = 1
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match="version 1"):
            list(read_packed(path))

    @given(st.data())
    def test_any_damage_is_a_named_error_or_harmless(self, tmp_path_factory, write_two_bit, data):
        path = tmp_path_factory.mktemp("fuzz") / "g.2bit"
        write_two_bit(path, SEQUENCES)
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 3))):
            content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        with suppress(FileFormatError):
            for _, packed in read_packed(path):
                assert set(packed) <= {0, 1, 2, 3, 4, 8, 9, 10, 11, 12}


@st.composite
def fasta_files(draw):
    """A valid FASTA file: records of any letters, lines of any width, blank lines, with or without a last newline."""
    records = draw(st.dictionaries(st.text("abcXYZ019._|-", min_size=1, max_size=8), dna, min_size=1, max_size=4))
    lines = []
    for name, text in records.items():
        lines.append(f">{name}" + draw(st.sampled_from(["", " a > b", "\tx"])))
        width = draw(st.integers(1, 12))
        lines += [text[at : at + width] for at in range(0, len(text), width)]
        lines += [""] * draw(st.integers(0, 2))
    return records, "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n"]))


@given(fasta_files(), st.integers(1, 40))
def test_pieces_are_the_text_whatever_the_block(tmp_path_factory, made, block):
    records, text = made
    path = tmp_path_factory.mktemp("pieces") / "g.fa"
    path.write_text(text)
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genocontrast.genome.encoding._BLOCK", block)
        for name, packed in read_packed(path):
            found[name] = found.get(name, b"") + packed
    assert list(found) == list(records)
    for name, letters_of in records.items():
        expected = [
            "ACGT".find(letter.upper().replace("U", "T")) % 5 | (8 if letter.islower() else 0) for letter in letters_of
        ]
        assert list(found[name]) == expected


@given(fasta_files(), st.data())
def test_any_damage_is_named_or_every_base_is_read(tmp_path_factory, made, data):
    content = bytearray(made[1].encode())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fuzz") / "g.fa"
    path.write_bytes(content)
    with suppress(FileFormatError):
        bases = sum(len(packed) for _, packed in read_packed(path))
        assert bases == sum(len(line) for line in bytes(content).split(b"\n") if not line.startswith(b">"))
