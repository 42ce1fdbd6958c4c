import gzip
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast.errors import FileFormatError, SplitError
from genocontrast.genome import Genome, read_regions
from genocontrast.genome.sequence_tables import read_sequences, with_sequences

ROWS = "sequence,label\nACGT,1\nTTTA,0\n"


@pytest.fixture
def write(tmp_path):
    def to(text, name="train.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return to


def rows(table):
    return list(zip(table["sequence"], table["label"], table["split"], table["name"], strict=True))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (ROWS, "dev.csv"),
        (gzip.compress(ROWS.encode()), "dev.csv.gz"),
        (ROWS.replace(",", "\t"), "dev.tsv"),
        (ROWS.replace("\n", "\r\n"), "dev.csv"),
        ("\ufeff" + ROWS, "dev.csv"),
        ("Sequence,LABEL\nacgt,1\nuuua,0.0\n", "dev.txt"),
        ('label,gene,sequence\n1,"a, b",ACGT\n0,c,TTTA', "dev.csv"),
        ("sequence,label\nACGT,positive\nTTTA,Negative\n", "dev.csv"),
    ],
    ids=["csv", "gzip", "tsv", "windows", "byte-order mark", "case and U", "quotes and more columns", "words"],
)  # fmt: skip
def test_tables_as_they_come_read_alike(write, text, name):
    table = read_sequences(write(text, name))
    assert rows(table) == [("ACGT", 1, "validation", "dev_2"), ("TTTA", 0, "validation", "dev_3")]
    assert table["label"].dtype == "int8"


def test_names_come_from_the_table_and_lines_count_blank_and_quoted_ones(write):
    text = 'sequence,label,id,note\nACGT,1,a,"two\nlines"\n\nTTTA,0,,x\n'
    assert rows(read_sequences(write(text)))[1:] == [("TTTA", 0, "train", "train_5")]
    assert read_sequences(write(text))["name"].tolist() == ["a", "train_5"]
    with pytest.raises(FileFormatError, match=r"train\.csv, line 5: not a DNA letter, position 2 .*\(got 'X'\)"):
        read_sequences(write(text.replace("TTTA", "TXTA")))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"line 1: the file is empty"),
        ("sequence,label\n", r"no sequence in this file"),
        ("seq,label\nA,1\n", r"line 1: no column 'sequence' \(got \['seq', 'label'\]\)[\s\S]*remedy: begin"),
        ("sequence\nA\n", r"line 1: no column 'label'"),
        ("ACGT,1\nTTTA,0\n", r"line 1: no column 'sequence'"),
        ("sequence,label,Label\nA,1,1\n", r"line 1: two columns of one name \(got 'label'\)[\s\S]*remedy"),
        (ROWS + ROWS, r"line 4: the header stands here again[\s\S]*remedy"),
        (ROWS + ",1\n", r"line 4: the sequence is empty[\s\S]*remedy"),
        (ROWS + "ACGT\n", r"line 4: 1 fields; the header has 2"),
        (ROWS + "ACGT,1,2\n", r"line 4: 3 fields; the header has 2"),
        (ROWS + "ACZT,1\n", r"line 4: not a DNA letter, position 3 of the sequence \(got 'Z'\)[\s\S]*remedy"),
        (ROWS + "AC\u0394T,1\n", r"line 4: not a DNA letter, position 3 of the sequence \(got '\u0394'\)"),
        (ROWS + "AC?T,1\n", r"line 4: not a DNA letter, position 3"),
        (ROWS + "ACGT,2\nACGT,3\n", r"line 4: the label is neither 0 nor 1 \(got '2'\)[\s\S]*--positive"),
        (ROWS + "ACGT,\n", r"line 4: the label is neither 0 nor 1 \(got ''\)"),
        ("sequence,label\nACGT,\nA,1\n", r"line 2: the label is neither 0 nor 1 \(got ''\)"),
        (ROWS + 'A"C,1\n"ACGT,1\n', r"line 5: not a table: .*[\s\S]*remedy: close"),
        (ROWS.encode() + b"\xff\xfe,1\n", r"not UTF-8 text"),
        (gzip.compress(b"sequence,label\n" + b"ACGT,1\nTTTA,0\n" * 99, mtime=0)[:-9], r"truncated or damaged"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_with_file_line_value_and_remedy(write, text, said):
    path = write(text)
    with pytest.raises(FileFormatError, match=said) as caught:
        read_sequences(path)
    assert str(caught.value).startswith(str(path))


def test_a_single_class_and_a_missing_file_are_named(write, tmp_path):
    with pytest.raises(SplitError, match=r"train\.csv: the split 'train' holds a single class"):
        read_sequences(write("sequence,label\nACGT,1\nTTTA,1\n"))
    with pytest.raises(FileFormatError, match="no such file"):
        read_sequences(tmp_path / "none.csv")


def test_two_other_labels_need_the_positive_one_named(write):
    path = write("sequence,label\nACGT,enhancer\nTTTA,other\n")
    with pytest.raises(FileFormatError, match=r"'enhancer', 'other'; which one is positive[\s\S]*--positive LABEL"):
        read_sequences(path)
    assert read_sequences(path, positive="other")["label"].tolist() == [0, 1]
    with pytest.raises(FileFormatError, match=r"'enhancer', 'other'; expected 'enhancr' and one other"):
        read_sequences(path, positive="enhancr")
    with pytest.raises(FileFormatError, match=r"line 2: the labels are '1', '2'"):
        read_sequences(write("sequence,label\nACGT,2\nTTTA,1\n"))


def test_ambiguous_bases_become_n_and_are_counted(write, caplog):
    caplog.set_level(logging.INFO, "genocontrast")
    table = read_sequences(write("sequence,label\nACRYn,1\nNNTT,0\nswkT,0\n"))
    assert table["sequence"].tolist() == ["ACNNN", "NNTT", "NNNT"]
    assert "5 ambiguous bases (IUPAC codes) in 2 sequences are read as N" in caplog.text
    assert "3 sequences (1 positive) of 4 to 5 bp" in caplog.text
    caplog.clear()
    read_sequences(write(ROWS + "ANNT,1\n"))
    assert "ambiguous bases" not in caplog.text


@settings(max_examples=25)
@given(st.lists(st.tuples(st.text("ACGTNacgtn", min_size=1, max_size=30), st.integers(0, 1)), min_size=1, max_size=12))
def test_what_is_written_is_read(tmp_path_factory, examples):
    examples += [("A", 0), ("A", 1)]
    path = tmp_path_factory.mktemp("table") / "test.csv.gz"
    lines = "".join(f"{sequence},{label}\n" for sequence, label in examples)
    path.write_bytes(gzip.compress(f"sequence,label\n{lines}".encode()))
    found = read_sequences(path)
    expected = [(sequence.upper(), label) for sequence, label in examples]
    assert list(zip(found["sequence"], found["label"], strict=True)) == expected


def test_a_folder_of_splits_is_read_whole_or_by_split(write, tmp_path):
    write(ROWS, "set/train.csv")
    write(gzip.compress(b"sequence,label\nCCCC,1\nGGGA,0\n"), "set/dev.csv.gz")
    write("about the data", "set/README.md")
    table = read_sequences(tmp_path / "set")
    assert table["split"].tolist() == ["train", "train", "validation", "validation"]
    assert table.index.tolist() == [0, 1, 2, 3]
    assert read_sequences(tmp_path / "set", "validation")["sequence"].tolist() == ["CCCC", "GGGA"]
    with pytest.raises(SplitError, match=r"no split 'test' in this folder \(got \['train', 'validation'\]\)"):
        read_sequences(tmp_path / "set", "test")
    write(ROWS, "set/valid.csv")
    with pytest.raises(FileFormatError, match=r"two data sets for the split 'validation': dev\.csv\.gz and valid\.csv"):
        read_sequences(tmp_path / "set")


def test_a_folder_of_classes_with_one_sequence_a_file(write, tmp_path):
    for split in ("train", "test"):
        for label, sequence in (("negative", "ttta\n"), ("positive", "ACRT")):
            for number in (1, 2):
                write(sequence, f"set/{split}/{label}/{number}.txt")
    write("x: 1", "set/metadata.yaml")
    found = read_sequences(tmp_path / "set")
    expected = [("TTTA", 0, f"negative/{i}") for i in (1, 2)] + [("ACNT", 1, f"positive/{i}") for i in (1, 2)]
    assert rows(found) == [(a, b, split, name) for split in ("train", "test") for a, b, name in expected]
    assert rows(read_sequences(tmp_path / "set" / "test", "train")) == rows(found)[:4]
    bad = write("ACGT\nTT\n", "set/test/positive/1.txt")
    with pytest.raises(FileFormatError, match=r"positive/1\.txt, line 2: more than one line"):
        read_sequences(tmp_path / "set")
    bad.write_text("\n")
    with pytest.raises(FileFormatError, match=r"positive/1\.txt, line 1: the sequence is empty"):
        read_sequences(tmp_path / "set")


def test_folders_of_other_classes_need_the_positive_one_named(write, tmp_path):
    write("ACGT", "human/a.txt")
    write("TTTA", "worm/a.txt")
    with pytest.raises(FileFormatError, match=r"human/a\.txt, line 1: the labels are 'human', 'worm'; which one"):
        read_sequences(tmp_path)
    named = read_sequences(tmp_path, positive="worm")
    assert rows(named) == [("ACGT", 0, "test", "human/a"), ("TTTA", 1, "test", "worm/a")]
    write("TTTA", "yeast/a.txt")
    with pytest.raises(FileFormatError, match=r"3 classes in this folder; expected 2, or splits"):
        read_sequences(tmp_path, positive="worm")


def test_fasta_has_labels_by_its_class_only(write, tmp_path):
    fasta = write(">a x\nACGT\nAC\n>b\nTTTA\n", "set/positive.fa")
    write(">c\nGGGG\n", "set/negative.fa.gz")
    assert rows(read_sequences(tmp_path / "set")) == [
        ("GGGG", 0, "test", "c"),
        ("ACGTAC", 1, "test", "a"),
        ("TTTA", 1, "test", "b"),
    ]
    with pytest.raises(FileFormatError, match=r"positive\.fa: a FASTA file has no labels[\s\S]*negative\.fa"):
        read_sequences(fasta)
    assert read_sequences(fasta, labelled=False)[["sequence", "name"]].to_numpy().tolist() == [
        ["ACGTAC", "a"],
        ["TTTA", "b"],
    ]


def test_without_the_need_for_labels_there_may_be_none_or_a_single_class(write):
    assert "label" not in read_sequences(write("sequence\nACGT\n"), labelled=False)
    assert read_sequences(write("sequence,label\nACGT,1\n"), labelled=False)["label"].tolist() == [1]


def test_regions_of_several_lengths_get_their_sequence_on_their_strand(write):
    genome = Genome(write(">c\nACGGTTNACG\n", "genome.fa"))
    regions = read_regions(write("c\t0\t4\ta\t0\t-\nc\t4\t7\tb\t0\t+\nc\t6\t10\tc\t0\t+\n", "r.bed"), genome)[::-1]
    assert with_sequences(regions, genome)["sequence"].tolist() == ["NACG", "TTN", "CCGT"]


def test_gue_reads_whole(data):
    table = read_sequences(data / "gue" / "prom_core_all")
    assert table["split"].value_counts().to_dict() == {"train": 47356, "validation": 5920}
    assert set(table["sequence"].str.len()) == {70}
    assert table.groupby("split")["label"].sum().to_dict() == {"train": 23651, "validation": 2979}
