"""Scores of files: which window is scored, in which order, what is flagged, and what is left when it fails."""

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genocontrast.artefacts import read_parquet
from genocontrast.encoders import StrandEncoder
from genocontrast.errors import FileFormatError, RegionError
from genocontrast.evaluation import prediction
from genocontrast.evaluation.prediction import cut, predict_regions, predict_sequences, window_starts
from genocontrast.evaluation.score_files import score_file
from genocontrast.evaluation.scoring import Scorer
from genocontrast.genome import Genome, read_regions
from genocontrast.sequence import decode, encode, gc_fraction, one_strand, reverse_complement
from genocontrast.training.model import Model, predict

WIDTH = 20


@pytest.fixture
def files(tmp_path):
    """A genome of two chromosomes, one ending in N, and a model on disk."""
    rng = np.random.default_rng(0)
    letters = [decode(rng.integers(0, 4, 300).astype(np.uint8)), decode(rng.integers(0, 4, 90).astype(np.uint8))]
    (tmp_path / "genome.fa").write_text(f">chr1\n{letters[0]}\n>chr2\n{letters[1]}{'N' * 30}\n")
    torch.manual_seed(1)
    for strand in ("tied", "free"):
        network = StrandEncoder(strand, width=4, depth=0, dim=4).eval()
        Model(network, WIDTH, {"train": [], "validation": []}, {}).save(tmp_path / strand)
    return tmp_path


BED = "chr2\t100\t120\tn\t0\t+\nchr1\t0\t4\tedge\t0\t-\nchr1\t100\t103\tshort\t0\t.\nchr1\t50\t251\tlong\t0\t-\n"


def score_bed(folder, out, model="tied", text=BED, **options):
    (folder / "some.bed").write_text(text)
    predict_regions(folder / model, folder / "some.bed", folder / "genome.fa", folder / out, **options)
    return folder / out


def test_regions_keep_their_order_and_have_the_score_of_their_central_window(files):
    table = pd.read_csv(score_bed(files, "out.tsv"), sep="\t")
    assert list(table) == ["chrom", "start", "end", "name", "strand", "probability", "mostly_n"]
    assert table["name"].tolist() == ["n", "edge", "short", "long"]
    assert table[["start", "end"]].to_numpy().tolist() == [[100, 120], [0, 4], [100, 103], [50, 251]]
    assert table["mostly_n"].tolist() == [True, False, False, False]
    genome = Genome(files / "genome.fa")
    letters = {
        "n": "N" * WIDTH,
        "edge": decode(reverse_complement(encode("N" * 8 + genome.sequence("chr1", 0, 12)))),
        "short": genome.sequence("chr1", 91, 111),
        "long": genome.sequence("chr1", 140, 160, "-"),
    }
    from genocontrast.training import load_model

    windows = np.stack([encode(letters[name]) for name in table["name"]])
    np.testing.assert_allclose(table["probability"], load_model(files / "tied").score_codes(windows), rtol=1e-5)


def test_the_command_agrees_with_the_function(files):
    regions = read_regions(score_bed(files, "some.bed"), Genome(files / "genome.fa"))
    from genocontrast.training import load_model

    expected = predict(load_model(files / "tied"), regions, Genome(files / "genome.fa"))
    command = ["evaluation", "predict", "--model", "tied", "--regions", "some.bed", "--genome", "genome.fa"]
    finished = run(files, *command, "--out", "deep/out.tsv.gz")
    assert finished.returncode == 0, finished.stderr
    assert "4 windows scored, 1 of them mostly N: deep/out.tsv.gz" in finished.stderr
    table = pd.read_csv(files / "deep/out.tsv.gz", sep="\t")
    np.testing.assert_allclose(table["probability"], expected["probability"], rtol=1e-5)


def run(folder, *arguments):
    command = [Path(sys.executable).parent / "genocontrast", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--fasta", "genome.fa", "--regions", "some.bed"),
        ("--regions", "some.bed"),
        ("--regions", "some.bed", "--genome", "genome.fa", "--tile", "5"),
        (),
    ],
)
def test_contradicting_inputs_are_wrong_usage(files, arguments, monkeypatch):
    from typer.testing import CliRunner

    from genocontrast.cli import main

    monkeypatch.chdir(files)
    found = CliRunner().invoke(main, ["evaluation", "predict", "--model", "tied", "--out", "x.tsv", *arguments])
    assert found.exit_code == 2
    assert not (files / "x.tsv").exists()


def test_a_model_of_one_strand_is_scored_on_both(files):
    table = pd.read_csv(score_bed(files, "free.tsv", "free"), sep="\t")
    mean = table[["probability_forward", "probability_reverse"]].mean(axis=1)
    np.testing.assert_allclose(table["probability"], mean, rtol=1e-4)
    assert (np.abs(table["probability_forward"] - table["probability_reverse"]) > 1e-4).any()
    flipped = BED.replace("edge\t0\t-", "edge\t0\t+")
    other = pd.read_csv(score_bed(files, "flipped.tsv", "free", flipped), sep="\t")
    # forward is the region's own strand: turned around, the two change places
    assert other["probability_forward"][1] == pytest.approx(table["probability_reverse"][1], rel=1e-4)
    assert other["probability"][1] == pytest.approx(table["probability"][1], rel=1e-4)


def test_a_given_prevalence_reaches_the_model_and_none_does_not(known_model):
    model = known_model(gc_fraction, WIDTH, "free")
    codes = np.zeros((2, WIDTH), np.uint8)
    Scorer(model)(codes)
    Scorer(model, 0.01)(codes)
    assert [asked.get("prevalence", "none") for asked in model.asked] == ["none", "none", 0.01, 0.01]
    assert Scorer(known_model(gc_fraction, WIDTH))(codes).tolist() == [0, 0]


def test_sequences_of_any_length(files):
    rng = np.random.default_rng(3)
    texts = {name: decode(rng.integers(0, 4, n).astype(np.uint8)) for name, n in (("short", 7), ("long", 47))}
    (files / "s.fa").write_text("".join(f">{name} words\n{text[:5]}\n{text[5:]}\n" for name, text in texts.items()))
    from genocontrast.training import load_model

    model = load_model(files / "tied")
    predict_sequences(files / "tied", files / "s.fa", files / "s.tsv")
    table = pd.read_csv(files / "s.tsv", sep="\t")
    assert table.iloc[:, :3].to_numpy().tolist() == [["short", 0, 7], ["long", 13, 33]]
    flipped = decode(reverse_complement(encode(texts["short"]))) < texts["short"]
    padded = "N" * (6 + (not flipped)) + texts["short"] + "N" * (6 + flipped)
    windows = np.stack([encode(padded), encode(texts["long"][13:33])])
    np.testing.assert_allclose(table["probability"], model.score_codes(windows), rtol=1e-5)
    assert table["mostly_n"].tolist() == [True, False]
    predict_sequences(files / "tied", files / "s.fa", files / "t.tsv", tile=10)
    tiled = pd.read_csv(files / "t.tsv", sep="\t")
    assert tiled["start"].tolist() == [0, 0, 10, 20, 27]
    assert tiled["end"].tolist() == [7, 20, 30, 40, 47]
    windows = np.stack([encode(texts["long"][start : start + WIDTH]) for start in tiled["start"][1:]])
    np.testing.assert_allclose(tiled["probability"][1:], model.score_codes(windows), rtol=1e-5)


@given(st.integers(1, 60), st.integers(4, 30), st.none() | st.integers(1, 40))
def test_windows_lie_within_and_tiles_leave_no_base_out(length, width, tile):
    codes = np.arange(length, dtype=np.uint8) % 4
    starts = window_starts(codes, width, tile)
    assert (np.diff(starts) > 0).all()
    windows = cut(codes, starts, width)
    assert windows.shape == (len(starts), width)
    for start, window in zip(starts, windows, strict=True):
        expected = [codes[at] if 0 <= at < length else 4 for at in range(start, start + width)]
        assert window.tolist() == expected
    if length >= width:
        assert starts[0] >= 0
        assert starts[-1] + width <= length
        if tile is not None and tile <= width:
            assert {at for start in starts for at in range(start, start + width)} == set(range(length))
    else:
        assert (windows[0] < 4).sum() == length


@given(st.text("ACGT", min_size=1, max_size=40), st.integers(4, 30))
def test_the_central_window_is_of_the_same_bases_on_both_strands(text, width):
    forward = encode(text)
    reverse = reverse_complement(forward)
    windows = [cut(codes, window_starts(codes, width), width) for codes in (forward, reverse)]
    assert (one_strand(windows[0])[0] == one_strand(windows[1])[0]).all()
    first = int(window_starts(forward, width)[0])
    assert abs(2 * first + width - len(text)) <= 1


@pytest.mark.parametrize("rows", [10, 1000])
def test_chunks_do_not_show(files, monkeypatch, rows):
    monkeypatch.setattr(Scorer, "rows", rows)
    for name in ("out.tsv", "out.tsv.gz", "out.parquet", "out.bed"):
        predict_sequences(files / "tied", files / "genome.fa", files / name, tile=7)
    table = pd.read_csv(files / "out.tsv", sep="\t")
    assert len(table) == 41 + 16
    assert gzip.decompress((files / "out.tsv.gz").read_bytes()) == (files / "out.tsv").read_bytes()
    parquet, record = read_parquet(files / "out.parquet")
    np.testing.assert_allclose(parquet["probability"], table["probability"], rtol=1e-5)
    assert (record["stage"], record["config"]["tile"]) == ("predict", 7)
    assert set(record["inputs"]) == {"fasta", "model", "model_config"}
    bed = read_regions(files / "out.bed", Genome(files / "genome.fa"))
    assert bed["score"].tolist() == np.rint(1000 * parquet["probability"]).tolist()
    assert bed[["chrom", "start", "end"]].to_numpy().tolist() == table[["name", "start", "end"]].to_numpy().tolist()
    assert '"stage": "predict"' in (files / "out.bed").read_text().splitlines()[0]


def test_the_same_scores_give_the_same_bytes(files):
    for name in ("a.tsv.gz", "a.parquet", "a.bed"):
        first = score_bed(files, name).read_bytes()
        assert score_bed(files, name).read_bytes() == first


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_nothing_to_score_is_an_error(files, text):
    with pytest.raises(FileFormatError, match=r"some\.bed"):
        score_bed(files, "out.tsv", text=text)
    (files / "empty.fa").write_text(text)
    with pytest.raises(FileFormatError, match=r"empty\.fa"):
        predict_sequences(files / "tied", files / "empty.fa", files / "out.tsv")
    assert not (files / "out.tsv").exists()


def test_a_region_beyond_the_chromosome_is_named_with_its_line(files):
    with pytest.raises(RegionError, match=r"some\.bed, line 2: .*chr1 has 300 bp"):
        score_bed(files, "out.tsv", text="chr1\t0\t10\nchr1\t290\t310\n")


def test_an_unknown_kind_of_file_is_refused_before_the_work(files):
    with pytest.raises(FileFormatError, match=r"out\.csv: .*\n.*\.parquet"):
        predict_sequences(files / "no model", files / "no file", files / "out.csv")


@pytest.mark.parametrize("name", ["out.tsv", "out.tsv.gz", "out.parquet", "out.bed"])
def test_a_failure_leaves_the_older_file_and_nothing_else(files, name, monkeypatch):
    older = score_bed(files, name).read_bytes()
    before = sorted(path.name for path in files.iterdir())
    monkeypatch.setattr(Scorer, "rows", 1)
    (files / "genome.fa").write_text(">a\nACGTACGTACGTACGTACGTACGTA\n>b\nACGT!\n")
    with pytest.raises(FileFormatError, match="not a DNA letter"):
        predict_sequences(files / "tied", files / "genome.fa", files / name)
    assert (files / name).read_bytes() == older
    assert sorted(path.name for path in files.iterdir()) == before


def test_an_interrupt_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), score_file(tmp_path / "x.parquet", {}) as add:
        add(pd.DataFrame({"name": ["a"], "probability": [0.5]}))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_long_work_says_how_far_it_is(files, monkeypatch, caplog):
    monkeypatch.setattr("genocontrast.evaluation.progress.EVERY", 0.0)
    monkeypatch.setattr(Scorer, "rows", 2)
    with caplog.at_level("INFO", "genocontrast"):
        score_bed(files, "out.tsv")
    said = [message for message in caplog.messages if " of 4 windows scored" in message]
    assert said == ["2 of 4 windows scored", "4 of 4 windows scored"]
    assert prediction.__name__ in {record.name for record in caplog.records}
