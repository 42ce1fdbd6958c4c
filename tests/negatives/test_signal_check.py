"""The winner's curse, planted: decoys matched on noise are less open than they seem."""

import numpy as np
import pandas as pd
import pytest

from genocontrast.config import GenomeConfig
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


def checked(planted, *files, **plan):
    folder, promoters, candidates = planted
    config = GenomeConfig(
        fasta=str(folder / "genome.fa"), promoters="genes.gtf", signal=[str(folder / name) for name in files]
    )
    plan = Plan(["accessibility"], caliper=0.1, **plan)
    return check_signal(promoters, candidates, plan, config, Genome(folder / "genome.fa"))


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
    folder, promoters, candidates = planted
    config = GenomeConfig(fasta=str(folder / "genome.fa"), promoters="genes.gtf", signal=["x.bed"])
    found = check_signal(promoters, candidates, Plan(["gc"]), config, Genome(folder / "genome.fa"))
    assert found == {"measured": False, "how": "accessibility is not matched on"}
