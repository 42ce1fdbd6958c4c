"""Each covariate against its definition, written as a loop."""

import math

import numpy as np
import pandas as pd
import pyBigWig
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genocontrast.config import COVARIATES, NegativesConfig
from genocontrast.errors import GenocontrastWarning, PoolError, ShapeError
from genocontrast.examples import COLUMNS
from genocontrast.genome.fasta import Genome
from genocontrast.genome.signal import Signal
from genocontrast.negatives.covariates import Covariates, distance_outside, scales

WIDTH = 60
LENGTH = 3000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("covariates")
    text = {}
    for chrom, weights in (("chrA", (0.3, 0.2, 0.2, 0.3)), ("chrB", (0.1, 0.4, 0.4, 0.1))):
        letters = rng.choice(list("ACGT"), LENGTH, p=weights)
        letters[rng.random(LENGTH) < 0.02] = "N"
        lower = rng.random(LENGTH // 50) < 0.3
        text[chrom] = "".join(letter.lower() if lower[i // 50] else letter for i, letter in enumerate(letters))
    (folder / "genome.fa").write_text("".join(f">{chrom}\n{letters}\n" for chrom, letters in text.items()))
    for name in ("atac", "map"):
        with pyBigWig.open(str(folder / f"{name}.bw"), "w") as track:
            track.addHeader([(chrom, LENGTH) for chrom in text])
            for chrom in text:
                values = rng.gamma(1, 2, LENGTH // 10).round(2)
                starts = np.arange(0, LENGTH, 10)
                track.addEntries([chrom] * len(starts), starts, ends=starts + 10, values=values)
    return folder


@pytest.fixture(scope="module")
def genome(folder):
    return Genome(folder / "genome.fa")


@pytest.fixture(scope="module")
def windows():
    rng = np.random.default_rng(1)
    start = rng.integers(0, LENGTH - WIDTH, 80)
    return pd.DataFrame({"chrom": rng.choice(["chrA", "chrB"], 80), "start": start, "end": start + WIDTH})


def letters_of(folder, row):
    records = dict(record.split("\n")[:2] for record in (folder / "genome.fa").read_text().split(">")[1:])
    return records[row.chrom][row.start : row.end]


def by_definition(folder, row):
    raw = letters_of(folder, row)
    text = raw.upper()
    called = [letter for letter in text if letter != "N"]
    c, g = text.count("C"), text.count("G")
    with pyBigWig.open(str(folder / "atac.bw")) as track:
        total = sum(track.values(row.chrom, int(row.start), int(row.end)))
    with pyBigWig.open(str(folder / "map.bw")) as track:
        mean = sum(track.values(row.chrom, int(row.start), int(row.end))) / WIDTH
    return {
        "gc": (c + g) / len(called),
        "cpg": text.count("CG") * len(called) / (c * g) if c * g else 0,
        "n": text.count("N") / WIDTH,
        "repeat": sum(letter.islower() for letter in raw) / WIDTH,
        "length": math.log2(WIDTH),
        "accessibility": math.log(1 + total),
        "map": mean,
    }


def test_covariates_are_what_their_names_say(folder, genome, windows):
    names = ["gc", "cpg", "n", "repeat", "length", "accessibility", "map"]
    ruler = Covariates(names, genome, Signal(folder / "atac.bw", genome), {"map": Signal(folder / "map.bw", genome)})
    found = ruler.measure(windows)
    assert list(found) == names
    expected = pd.DataFrame([by_definition(folder, row) for row in windows.itertuples()])
    for name in names:
        assert found[name].to_numpy() == pytest.approx(expected[name].to_numpy(), rel=1e-5), name


def test_chunks_do_not_change_the_figures(folder, genome, windows, monkeypatch):
    whole = Covariates(["kmers"], genome, reference=windows).measure(windows)
    monkeypatch.setattr("genocontrast.negatives.covariates.CHUNK", 7 * WIDTH)
    pd.testing.assert_frame_equal(Covariates(["kmers"], genome, reference=windows).measure(windows), whole)


def test_open_bases_reach_half_of_a_promoters_typical_height(folder, genome, windows):
    signal = Signal(folder / "atac.bw", genome)
    ruler = Covariates(["open_fraction"], genome, signal, reference=windows[:40])
    profiles = []
    with pyBigWig.open(str(folder / "atac.bw")) as track:
        profiles = [track.values(row.chrom, int(row.start), int(row.end)) for row in windows.itertuples()]
    threshold = 0.5 * np.median([max(profile) for profile in profiles[:40]])
    assert ruler.fitted["open_threshold"] == pytest.approx(threshold)
    expected = [np.mean(np.array(profile) >= threshold) for profile in profiles]
    assert ruler.measure(windows)["open_fraction"].to_numpy() == pytest.approx(np.array(expected))


def test_the_background_is_strand_blind_and_fitted_on_the_reference_alone(genome, windows):
    training, others = windows[windows["chrom"] == "chrA"], windows[windows["chrom"] == "chrB"]
    ruler = Covariates(["kmers"], genome, reference=training)
    here = ruler.measure(training)
    assert ruler.columns == list(here) == ["kmers_1", "kmers_2", "kmers_3"]
    assert np.abs(here.mean()).max() < 1e-12, "the reference is the centre"
    spread = here.std()
    assert spread["kmers_1"] > spread["kmers_2"] > spread["kmers_3"] > 0
    assert np.abs(here.corr().to_numpy() - np.eye(3)).max() < 1e-9
    assert ruler.measure(others).to_numpy() == pytest.approx(ruler.measure(others.assign(strand="-")).to_numpy())
    # the two chromosomes differ in GC; axes and centre do not know of the second one
    assert np.abs(ruler.measure(others)["kmers_1"].mean()) > spread["kmers_1"]


places = st.lists(st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(0, 60)), max_size=12)


@given(
    places, st.lists(st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(0, 50), st.integers(1, 10)), min_size=1)
)
def test_distance_to_the_next_site_outside(sites, regions):
    table = pd.DataFrame(sites, columns=["chrom", "start"]).astype({"start": "int64"})
    windows = pd.DataFrame([(c, s, s + w) for c, s, w in regions], columns=["chrom", "start", "end"])
    for row, found in zip(windows.itertuples(), distance_outside(windows, table), strict=True):
        outside = [at for chrom, at in sites if chrom == row.chrom and not row.start <= at < row.end]
        expected = min((row.start - at - 1 if at < row.start else at - row.end for at in outside), default=1e9)
        assert found == expected


def test_unknown_or_unfounded_covariates_are_refused(genome, windows):
    with pytest.raises(ShapeError, match=r"unknown covariate 'colour'(?s:.)*known: gc, cpg"):
        Covariates(["colour"], genome)
    for name in ("accessibility", "open_fraction", "tss_distance", "kmers"):
        with pytest.raises(ShapeError, match=name):
            Covariates([name], genome)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_track_that_is_not_a_number_is_refused(genome, windows, value):
    class Broken:
        def mean(self, regions):
            return np.where(regions["chrom"] == "chrA", value, 1.0)

    bad = int((windows["chrom"] == "chrA").sum())
    with pytest.raises(ShapeError, match=f"accessibility signal is not a number in {bad} of 80 windows"):
        Covariates(["accessibility"], genome, Broken()).measure(windows)
    with pytest.raises(ShapeError, match="mappability is not a number"):
        Covariates(["mappability"], genome, tracks={"mappability": Broken()}).measure(windows)


def test_log_ratios_are_refused(folder, genome, windows, tmp_path):
    with pyBigWig.open(str(tmp_path / "log.bw"), "w") as track:
        track.addHeader([("chrA", LENGTH), ("chrB", LENGTH)])
        track.addEntries(["chrA", "chrB"], [0, 0], ends=[LENGTH, LENGTH], values=[-1.0, 1.0])
    with pytest.raises(ShapeError, match=r"negative in \d+ of 80 windows(?s:.)*not log ratios"):
        Covariates(["accessibility"], genome, Signal(tmp_path / "log.bw", genome)).measure(windows)


def table(**columns):
    return pd.DataFrame(columns).assign(split="train")


def test_a_constant_covariate_is_left_out_with_a_warning():
    promoters, candidates = table(gc=[0.4, 0.6], repeat=[0.0, 0.0]), table(gc=[0.4, 0.5], repeat=[0.0, 0.0])
    with pytest.warns(GenocontrastWarning, match="'repeat' is 0 everywhere"):
        assert list(scales(promoters, candidates, ["gc", "repeat"])) == ["gc"]


def test_a_covariate_that_only_candidates_vary_in_still_counts():
    promoters, candidates = table(repeat=[0.0, 0.0]), table(repeat=[0.0, 0.9])
    assert scales(promoters, candidates, ["repeat"])["repeat"] == pytest.approx(np.std([0, 0, 0, 0.9], ddof=1))


def test_a_covariate_that_varies_in_the_test_split_only_is_kept():
    promoters = pd.concat([table(n=[0.0, 0.0]), table(n=[0.0, 5.0]).assign(split="test")])
    assert scales(promoters, table(n=[0.0, 0.0]), ["n"])["n"] > 1


def test_nothing_to_match_on_is_an_error():
    same = table(gc=[1.0, 1.0, 1.0], cpg=[0.0, 0.0, 0.0])
    with (
        pytest.raises(PoolError, match=r"every covariate is constant over 3 promoters and 3 candidates: gc, cpg"),
        pytest.warns(GenocontrastWarning),
    ):
        scales(same, same, ["gc", "cpg"])


def test_the_configuration_knows_the_same_names():
    assert set(NegativesConfig(covariates=list(COVARIATES)).covariates) == set(COVARIATES)
    with pytest.raises(ValueError, match="unknown covariate 'colour'"):
        NegativesConfig(covariates=["colour"])
    for name in ("gc", "label", "start", "kmers_1", "exact_0", *COLUMNS):
        with pytest.raises(ValueError, match=f"'{name}' is a covariate or a column already"):
            NegativesConfig(covariates=["gc"], also_measured=[name], tracks={name: "x.bw"})
    with pytest.raises(ValueError, match="'idle' is in neither"):
        NegativesConfig(tracks={"idle": "x.bw"})
    assert NegativesConfig(covariates=["colour"], tracks={"colour": "colour.bw"}).covariates == ["colour"]
