"""The winner's curse, planted: decoys matched on noise are less open than they seem."""

import numpy as np
import pandas as pd
import pytest

from genocontrast.config import parse_config
from genocontrast.genome.fasta import Genome
from genocontrast.negatives.decoys import Plan
from genocontrast.negatives.signal_check import check_signal

WIDTH, NUMBER = 200, 1_500


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Promoters that are open, candidates of which few are: cuts are drawn around what is true."""
    folder = tmp_path_factory.mktemp("curse")
    rng = np.random.default_rng(0)
    size = 3 * NUMBER * WIDTH
    (folder / "genome.fa").write_text(">chr1\n" + "ACGT" * (size // 4) + "\n")
    rows = pd.DataFrame({"chrom": "chr1", "start": np.arange(3 * NUMBER) * WIDTH})
    rows["end"] = rows["start"] + WIDTH
    true = np.concatenate([rng.lognormal(2.2, 0.5, NUMBER), rng.lognormal(1.2, 0.5, 2 * NUMBER)])

    def fragments(name, depth):
        """Fragments of 50 bp inside each window."""
        count = rng.poisson(true * depth)
        start = np.repeat(rows["start"].to_numpy(), count) + rng.integers(0, WIDTH - 50, count.sum())
        table = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + rng.integers(30, 50, len(start))})
        table.sort_values("start").to_csv(folder / name, sep="\t", header=False, index=False)

    fragments("one.bed", 1.0)
    fragments("other.bed", 1.0)
    fragments("deep.bed", 400.0)
    rows = rows.assign(name=".", strand="+", split="train", accessibility=0.0)
    return folder, rows[:NUMBER].reset_index(drop=True), rows[NUMBER:].reset_index(drop=True)


def settings(folder, files, tracks=()):
    genome = {"fasta": str(folder / "genome.fa"), "promoters": "genes.gtf"}
    tracks = {name: str(folder / path) for name, path in dict(tracks).items()}
    return parse_config(
        {
            "name": "curse",
            "genome": {**genome, "signal": [str(folder / name) for name in files]},
            "negatives": {"tracks": tracks, "covariates": ["accessibility", *tracks]},
        }
    )


def checked(planted, *files, columns=("accessibility",), tracks=(), **plan):
    folder, promoters, candidates = planted
    config = settings(folder, files, tracks)
    return check_signal(promoters, candidates, Plan(columns, caliper=0.1, **plan), config, Genome(folder / "genome.fa"))


def test_a_second_replicate_shows_the_curse_of_a_noisy_first_one(planted):
    found = checked(planted, "one.bed", "other.bed")
    assert found["measured"]
    assert found["how"] == "matched on all replicates but other.bed, compared in that one"
    assert found["smd_before"] > 1
    assert 0.15 < found["smd_after"] < 0.7


def test_halves_of_one_file_show_it_too(planted):
    found = checked(planted, "one.bed")
    assert "half" in found["how"]
    assert found["smd_after"] > 0.2


def test_deep_signal_has_no_curse(planted):
    found = checked(planted, "deep.bed")
    assert abs(found["smd_after"]) < 0.05


def test_one_track_cannot_be_divided(planted):
    found = checked(planted, "missing.bw")
    assert not found["measured"]
    assert "second replicate" in found["how"]


def test_it_is_about_matching_on_accessibility(planted):
    found = checked(planted, "one.bed", columns=["gc"])
    assert found == {"measured": False, "how": "accessibility is not matched on"}


def test_the_open_fraction_is_measured_again_from_the_part_that_is_matched_on(planted):
    folder, promoters, candidates = planted
    planted = folder, promoters.assign(open_fraction=np.nan), candidates.assign(open_fraction=np.nan)
    found = checked(planted, "one.bed", "other.bed", columns=["accessibility", "open_fraction"])
    assert found["measured"]


def test_a_track_that_is_the_signal_itself_leaves_nothing_unused(planted):
    found = checked(planted, "one.bed", "other.bed", columns=["accessibility", "dnase"], tracks={"dnase": "other.bed"})
    assert found == {"measured": False, "how": "the track 'dnase', which is matched on, is the signal itself"}


@pytest.fixture
def before_the_end(planted):
    """All windows but the last ones, and a file that has something in those only."""
    (planted[0] / "end.bed").write_text("chr1\t899900\t899950\n")
    return planted[0], *(rows[rows["end"] < 800_000] for rows in planted[1:])


def test_a_part_that_says_nothing_measures_nothing(before_the_end):
    found = checked(before_the_end, "one.bed", "end.bed")
    assert not found["measured"]
    assert "same in all windows" in found["how"]


@pytest.mark.filterwarnings("ignore:the covariate 'accessibility' is 0 everywhere")
def test_a_part_on_which_nothing_can_be_matched_stops_no_run(before_the_end):
    found = checked(before_the_end, "end.bed", "one.bed")
    assert not found["measured"]
    assert "nothing can be matched: every covariate" in found["how"]
