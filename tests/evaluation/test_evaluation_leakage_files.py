"""The leakage audit of files: tables, FASTA, regions; by class."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from genocontrast.cli import main
from genocontrast.errors import FileFormatError, GenocontrastWarning, LeakageError
from genocontrast.sequence import decode, reverse_complement


def windows(n, length=60, seed=0):
    return np.random.default_rng(seed).integers(0, 4, (n, length), dtype=np.uint8)


def write_table(path, codes, labels):
    path.write_text("sequence,label\n" + "".join(f"{decode(c)},{y}\n" for c, y in zip(codes, labels, strict=True)))
    return path


def run(*arguments):
    found = CliRunner().invoke(main, ["evaluation", "leakage", *map(str, arguments)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


@pytest.fixture
def tables(tmp_path):
    """Ten test sequences: a repeat, a reverse complement with the other label, a half copy, a shorter repeat."""
    train, test = windows(20, seed=1), windows(10, seed=2)
    test[0], test[1] = train[0], reverse_complement(train[1])
    test[2, :40] = train[2, -40:]
    labels = np.arange(20) % 2
    write_table(tmp_path / "train.csv", [*train, windows(1, 31, 3)[0]], [*labels, 1])
    write_table(tmp_path / "test.csv", [*test, reverse_complement(windows(1, 31, 3)[0])], [0, 0, 0, *labels[:7], 1])
    return tmp_path / "train.csv", tmp_path / "test.csv"


def test_tables_are_audited_by_class_and_the_rows_listed(tables, tmp_path):
    train, test = tables
    text = run("--train", train, "--test", test, "--json", tmp_path / "a.json", "--out", tmp_path / "rows.tsv")
    found = json.loads((tmp_path / "a.json").read_text())
    counts = ("windows", "exact_repeats", "exact_repeats_same_class", "near_duplicates", "leaking")
    by_class = {row["class"]: tuple(row[name] for name in counts) for row in found["by_class"]}
    assert by_class == {"positive": (4, 1, 1, 1, 1), "negative": (7, 2, 1, 3, 3), "all": (11, 3, 2, 4, 4)}
    assert (found["overlapping"], found["exact_repeats"], found["near_duplicates"]) == (None, 3, 4)
    assert found["passed"] is False
    assert found["provenance"]["inputs"]["test"]["file"] == "test.csv"
    rows = pd.read_csv(tmp_path / "rows.tsv", sep="\t")
    assert rows["name"].tolist() == ["test_2", "test_3", "test_4", "test_12"]
    assert rows["exact_repeats"].tolist() == [1, 1, 0, 1]
    assert rows["exact_repeats_same_class"].tolist() == [1, 0, 0, 1]
    assert "3 (42.9%)" in text  # of the negatives


def test_strict_ends_with_4_once_all_is_written(tables, tmp_path):
    train, test = tables
    out = tmp_path / "rows.tsv"
    command = [sys.executable, "-c", "from genocontrast.cli import app; app()", "evaluation", "leakage", "--strict"]
    ended = subprocess.run([*command, "--train", train, "--test", test, "--out", out], capture_output=True, text=True)
    assert ended.returncode == 4
    assert "error: " in ended.stderr
    assert "of 11 test windows 3 repeat one exactly and 4 nearly repeat one" in ended.stderr
    assert "11 test with 21 training examples" in ended.stderr
    assert len(out.read_text().splitlines()) == 5
    clean = write_table(tmp_path / "clean.csv", windows(4, seed=9), [0, 1, 0, 1])
    run("--train", train, "--test", clean, "--strict")
    with pytest.raises(LeakageError, match="remedy"):
        run("--train", train, "--test", test, "--strict")


def test_fasta_has_no_classes_and_a_folder_of_splits_is_audited_by_split(tables, tmp_path):
    train, test = tables
    fasta = tmp_path / "test.fa"
    fasta.write_text("".join(f">s{i}\n{line.split(',')[0]}\n" for i, line in enumerate(test.read_text().split()[1:])))
    run("--train", train, "--test", fasta, "--json", tmp_path / "a.json")
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["by_class"] == [
        {"class": "all", "windows": 11, "exact_repeats": 3, "near_duplicates": 4, "leaking": 4}
    ]
    fasta.unlink()  # or there would be two of the name test
    run("--train", tmp_path, "--test", tmp_path, "--json", tmp_path / "b.json")
    assert json.loads((tmp_path / "b.json").read_text())["by_class"][2]["leaking"] == 4


@pytest.fixture
def places(tmp_path):
    """Test negatives overlap training negatives, a test positive overlaps a training negative, one is a copy."""
    chromosome = windows(1, 20_000, seed=4)[0]
    chromosome[15_000:15_100] = reverse_complement(chromosome[1_000:1_100])
    (tmp_path / "genome.fa").write_text(f">chr1\n{decode(chromosome)}\n")
    starts = {
        "train/positive": [1_000, 3_000],
        "train/negative": [5_000, 6_000, 7_000],
        "test/positive": [2_000, 7_090, 15_000],
        "test/negative": [5_050, 6_099, 6_100, 9_000],
    }
    for name, firsts in starts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.bed").write_text("".join(f"1\t{first}\t{first + 100}\n" for first in firsts))
    return tmp_path


def test_regions_are_audited_by_place_sequence_and_class(places, tmp_path):
    options = ("--train", places / "train", "--test", places / "test", "--genome", places / "genome.fa")
    run(*options, "--json", tmp_path / "a.json", "--out", tmp_path / "rows.tsv")
    found = json.loads((tmp_path / "a.json").read_text())
    counts = ("windows", "overlapping", "overlapping_same_class", "exact_repeats", "near_duplicates", "leaking")
    by_class = {row["class"]: tuple(row[name] for name in counts) for row in found["by_class"]}
    assert by_class == {"positive": (3, 1, 0, 1, 1, 2), "negative": (4, 2, 2, 0, 0, 2), "all": (7, 3, 2, 1, 1, 4)}
    assert found["overlapping"] == 3
    rows = pd.read_csv(tmp_path / "rows.tsv", sep="\t")
    assert sorted(rows["start"]) == [5_050, 6_099, 7_090, 15_000]
    assert set(rows["chrom"]) == {"chr1"}  # named as the genome does


def test_what_a_data_set_lacks_is_said(places, tables, tmp_path):
    bed, genome = places / "test" / "positive.bed", places / "genome.fa"
    with pytest.raises(FileFormatError, match=r"no genome is given[\s\S]*--genome"):
        run("--train", bed, "--test", bed)
    with pytest.warns(GenocontrastWarning, match="the genome is not used"):
        run("--train", tables[0], "--test", tables[1], "--genome", genome)
    run("--train", bed, "--test", bed, "--genome", genome, "--json", tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text())["by_class"][0]["overlapping"] == 3
    (places / "test" / "negative.bed").rename(places / "test" / "other.bed")
    run("--train", places / "train", "--test", places / "test", "--genome", genome)
    (places / "test" / "positive.bed").rename(places / "test" / "some.bed")
    with pytest.raises(FileFormatError, match=r"a file for each of two classes \(got \['other', 'some'\]\)"):
        run("--train", places / "train", "--test", places / "test", "--genome", genome)


def test_gue_dev_repeats_training_sequences(data, tmp_path):
    gue = data / "gue" / "prom_core_all"
    run("--train", gue / "train.csv.gz", "--test", gue / "dev.csv.gz", "--json", tmp_path / "a.json")
    found = json.loads((tmp_path / "a.json").read_text())
    assert (found["windows"], found["exact_repeats"], found["near_duplicates"]) == (5920, 54, 428)
