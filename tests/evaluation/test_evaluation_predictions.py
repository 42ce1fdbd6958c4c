"""Scores of the user's own sets: table, bigWig and record, what is refused, and that nothing is left half done."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genocontrast.artefacts import checksum, write_json
from genocontrast.config import parse_config
from genocontrast.encoders import StrandEncoder
from genocontrast.errors import ConfigError, FileFormatError, GenocontrastWarning, ModelError, NamingError, RegionError
from genocontrast.evaluation import predictions
from genocontrast.evaluation.predictions import run
from genocontrast.evaluation.score_track import highest
from genocontrast.evaluation.scoring import Scorer
from genocontrast.genome import Genome, read_regions
from genocontrast.sequence import decode, encode, reverse_complement
from genocontrast.training.model import Model, load_model, predict

WIDTH = 60
SEGMENTS = [("chr1", 0, 1000, "train"), ("chr1", 1200, 2000, "test"), ("chr2", 0, 900, "validation")]
# trained on, one base of it, in the gap, held out, at an end, held out, validation, mostly N, beside a held-out one
PLACES = [("chr1", 400, 500), ("chr1", 1019, 1039), ("chr1", 1090, 1110), ("chr1", 1500, 1900), ("chr1", 1990, 2000),
          ("chr1", 1480, 1500), ("chr2", 100, 101), ("chr3", 200, 260), ("chr1", 1655, 1705)]  # fmt: skip
SEEN = ["training", "training", "no", "no", "no", "no", "validation", "no", "no"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a genome, a model that was trained on it by its own account, splits, and sets."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    letters = {name: decode(rng.integers(0, 4, n).astype(np.uint8)) for name, n in (("chr1", 2000), ("chr2", 900))}
    letters["chr3"] = "ACGT" * 25 + "N" * 300
    Path("genome.fa").write_text("".join(f">{name}\n{text}\n" for name, text in letters.items()))
    for strand in ("tied", "free"):
        torch.manual_seed(1)
        network = StrandEncoder(strand, width=4, depth=1, dim=4).eval()
        inputs = {"genome": {"file": "genome.fa", "sha256": checksum("genome.fa")}}
        record = {"genocontrast": "0.1", "config": {"seed": 4}, "inputs": inputs}
        model = Model(network, WIDTH, {"train": ["chr1"], "validation": ["chr2"]}, record)
        model.save(Path("results") / strand / "training" / "model")
        records = [dict(zip(("chrom", "start", "end", "split"), row, strict=True)) for row in SEGMENTS]
        write_json(Path("results") / strand / "genome" / "genome.json", {"segments": records})
    Path("mine.bed").write_text("".join(f"{c}\t{s}\t{e}\tn{i}\n" for i, (c, s, e) in enumerate(PLACES)))
    return tmp_path


def settings(source="mine.bed", name="tied", **prediction):
    genome = {"fasta": "genome.fa", "promoters": "p.bed", "signal": ["s.bw"]}
    return parse_config({"name": name, "genome": genome, "prediction": {"regions": {"mine": source}, **prediction}})


def scored(config):
    out = run(config, Path("results") / config.name, "mine")
    return pd.read_csv(out / "scores.tsv", sep="\t"), json.loads((out / "scores.json").read_text()), out


def test_regions_are_scored_and_said_to_be_seen_or_not(folder):
    table, record, out = scored(settings())
    assert table[["chrom", "start", "end"]].to_numpy().tolist() == [list(place) for place in PLACES]
    assert table["seen"].tolist() == SEEN
    assert record["seen"] == {"training": 2, "pretraining": 0, "validation": 1, "no": 6}
    model, genome = load_model("results/tied/training/model"), Genome("genome.fa")
    expected = predict(model, read_regions("mine.bed", genome), genome)["probability"]
    np.testing.assert_allclose(table["probability"], expected, rtol=1e-5)
    assert np.ptp(expected) > 1e-3
    # the two at an end of chr1 and of chr3 are cut; the one on chr3 is N
    assert table["window_end"].tolist() == [480, 1059, 1130, 1730, 2000, 1520, 130, 260, 1710]
    assert (record["windows"], record["mostly_n"], record["cut"], record["longer"]) == (9, 1, 1, 2)
    assert table["mostly_n"].tolist() == [place[0] == "chr3" for place in PLACES]
    assert set(record["provenance"]["inputs"]) == {"genome", "model", "model_config", "set", "splits"}
    told = {"encoder": "convolution", "strands": "tied", "seed": 4, "temperature": 1.0}
    assert record["model"] == {**told, "trained_with_genocontrast": "0.1"}
    assert record["scores"]["sha256"] == checksum(out / "scores.tsv")


def test_the_bigwig_holds_the_highest_window_at_each_base_and_nothing_else(folder):
    table, _, out = scored(settings())
    expected = {name: np.full(size, np.nan) for name, size in Genome("genome.fa").sizes.items()}
    for row in table[~table["mostly_n"]].itertuples():
        here = expected[row.chrom][row.window_start : row.window_end]
        here[:] = np.fmax(here, row.probability)
    with pyBigWig.open(str(out / "scores.bw")) as track:
        assert track.chroms() == {name: len(values) for name, values in expected.items()}
        for name, values in expected.items():
            np.testing.assert_allclose(track.values(name, 0, len(values), numpy=True), values, rtol=1e-5)
    # two windows do overlap, and neither is the higher one by its place in the file
    both = table.iloc[[3, 8]]
    assert both["window_start"].max() < both["window_end"].min()
    assert both["probability"].nunique() == 2
    turned = pd.read_csv("mine.bed", sep="\t", header=None)[::-1]
    turned.to_csv("turned.bed", sep="\t", header=False, index=False)
    first = (out / "scores.bw").read_bytes()
    assert (scored(settings("turned.bed"))[2] / "scores.bw").read_bytes() == first


@given(st.lists(st.tuples(st.integers(-9, 40), st.floats(0, 1, width=32)), min_size=1, max_size=60), st.integers(1, 25))
def test_the_highest_of_overlapping_windows(windows, width):
    size = 40
    windows = [(max(start, 0), min(start + width, size), value) for start, value in windows]
    windows = [window for window in windows if window[0] < window[1]] or [(0, 1, 0.5)]
    expected = np.full(size, np.nan)
    for start, end, value in windows:
        expected[start:end] = np.fmax(expected[start:end], value)
    found = np.full(size, np.nan)
    starts, ends, values = highest(*(np.array(column) for column in zip(*windows, strict=True)))
    assert (starts < ends).all()
    assert (starts[1:] >= ends[:-1]).all()
    for start, end, value in zip(starts, ends, values, strict=True):
        found[start:end] = value
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("model", ["tied", "free"])
def test_both_strands_of_a_sequence_have_one_score(folder, model):
    rng = np.random.default_rng(5)
    letters = [decode(rng.integers(0, 4, n).astype(np.uint8)) for n in (7, 59, 60, 61, 140, 141)]
    for name, strand in (
        ("forward", lambda text: text),
        ("reverse", lambda text: decode(reverse_complement(encode(text)))),
    ):
        Path(f"{name}.fa").write_text("".join(f">s{i}\n{strand(text)}\n" for i, text in enumerate(letters)))
    forward, record, out = scored(settings("forward.fa", model))
    reverse = scored(settings("reverse.fa", model))[0]
    assert forward["probability"].tolist() == reverse["probability"].tolist()
    assert forward["probability"].nunique() == len(letters)
    assert not (out / "scores.bw").exists()
    assert record["seen"] is None
    assert (record["windows"], record["cut"], record["mostly_n"]) == (6, 2, 1)
    assert "genome" not in record["provenance"]["inputs"]


def test_a_set_that_becomes_sequences_leaves_no_track_behind(folder):
    out = scored(settings())[2]
    Path("s.fa").write_text(">s\n" + "ACGGT" * 20 + "\n")
    scored(settings("s.fa"))
    assert sorted(path.name for path in out.iterdir()) == ["scores.json", "scores.tsv"]


def test_the_same_inputs_give_the_same_bytes_in_any_chunks(folder, monkeypatch):
    first = {path.name: path.read_bytes() for path in scored(settings())[2].iterdir()}
    monkeypatch.setattr(Scorer, "rows", 2)
    again = {path.name: path.read_bytes() for path in scored(settings())[2].iterdir()}
    assert sorted(first) == ["scores.bw", "scores.json", "scores.tsv"]
    assert first == again
    assert not any(str(folder).encode() in content for content in first.values())


def test_a_rarer_class_has_lower_probabilities_and_the_same_ranks(folder):
    half, rare = scored(settings())[0]["probability"], scored(settings(prevalence=0.01))[0]["probability"]
    assert (rare < half / 10).all()
    assert rare.rank().tolist() == half.rank().tolist()


def test_pretraining_is_told_apart(folder):
    model = load_model("results/tied/training/model")
    model.pretrained_on = [("chr1", 1120, 1300), ("chr1", 0, 10), ("chr1", 990, 1000)]
    model.save("results/tied/training/model")
    expected = ["pretraining" if i == 2 else seen for i, seen in enumerate(SEEN)]
    assert scored(settings())[0]["seen"].tolist() == expected


def test_rows_of_other_sequences_are_counted(folder):
    rows = "".join(f"1\t{at}\t{at + 50}\n" for at in range(0, 1900, 50)) + "chrUn\t1\t5\n"
    Path("more.bed").write_text(rows)
    with pytest.warns(GenocontrastWarning, match="1 of 39 rows dropped"):
        table, record, _ = scored(settings("more.bed"))
    assert len(table) == record["windows"] == 38
    assert record["rows"] == 39
    assert record["skipped"] == [{"reason": "on sequences that the genome does not have", "count": 1}]
    assert record["renamed"] == {"1": "chr1"}


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", FileFormatError, r"bad\.bed: the file is empty"),
        ("chrX\t1\t50\nchrY\t2\t50\n", NamingError, r"bad\.bed"),
        ("chr1\t100\t200\nchr1\t1990\t2500\n", RegionError, r"bad\.bed, line 2: .*chr1 has 2000 bp[\s\S]*assembly"),
        ("chr3\t150\t250\n", RegionError, r"bad\.bed: each of the 1 windows is mostly N"),
    ],
)
def test_what_cannot_be_scored_is_refused_and_nothing_stays(folder, text, error, message):
    Path("bad.bed").write_text(text)
    with pytest.raises(error, match=message):
        scored(settings("bad.bed"))
    out = Path("results/tied/predictions/mine")
    assert not out.exists() or not list(out.iterdir())


def test_an_empty_fasta_and_a_set_that_is_not_there_are_refused(folder):
    Path("empty.fa").write_text("")
    with pytest.raises(FileFormatError, match=r"empty\.fa"):
        scored(settings("empty.fa"))
    with pytest.raises(FileFormatError, match=r"nowhere\.bed: no such file"):
        scored(settings("nowhere.bed"))
    with pytest.raises(ConfigError, match=r"no such set.*'other'[\s\S]*it names mine"):
        run(settings(), Path("results/tied"), "other")


def test_a_missing_model_names_the_command_that_makes_it(folder):
    with pytest.raises(FileFormatError, match=r"model\.safetensors: no such file[\s\S]*genocontrast training run"):
        run(settings(), Path("results/none"), "mine")


def test_a_model_of_another_genome_or_other_splits_is_refused(folder):
    Path("genome.fa").write_text(Path("genome.fa").read_text().replace("N" * 10, "A" * 10))
    with pytest.raises(ModelError, match=r"trained on another file than genome\.fasta"):
        scored(settings())
    model = load_model("results/tied/training/model")
    model.provenance, model.chromosomes = {}, {"train": ["chr1", "chr2"], "validation": []}
    model.save("results/tied/training/model")
    with pytest.raises(ModelError, match=r"genome\.json: .*does not name for training.*'chr2'"):
        scored(settings())


def test_a_failure_leaves_no_record(folder, monkeypatch):
    out = scored(settings())[2]

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(predictions, "write_track", fail)
    with pytest.raises(OSError, match="no space"):
        scored(settings())
    assert [path.name for path in out.iterdir()] == ["scores.tsv"]


def test_the_command(folder):
    values = settings().model_dump(mode="json", exclude={"negatives", "kmers", "training", "evaluation", "report"})
    Path("c.json").write_text(json.dumps(values))
    command = [Path(sys.executable).parent / "genocontrast", "evaluation", "predictions", "--config", "c.json"]

    def called(*more):
        return subprocess.run([*command, *more], capture_output=True, text=True, check=False, timeout=120)

    finished = called("--set", "mine")
    assert finished.returncode == 0, finished.stderr
    assert "9 windows scored: results/tied/predictions/mine/scores.tsv" in finished.stderr
    refused = called("--set", "nil", "--results", "results/free")
    assert refused.returncode == 3
    assert "it names mine" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("regions", [{"a/b": "x.bed"}, {"": "x.bed"}, {".hidden": "x.bed"}, {"a": ""}])
def test_names_of_sets_are_names_of_folders(regions):
    genome = {"fasta": "g.fa", "promoters": "p.bed", "signal": ["s.bw"]}
    with pytest.raises(ConfigError, match=r"prediction\.regions"):
        parse_config({"name": "x", "genome": genome, "prediction": {"regions": regions}})
