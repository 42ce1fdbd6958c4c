"""The most confident errors, of a model that counts sites of a known motif."""

import numpy as np
import pandas as pd
import pytest

from genocontrast.evaluation.errors import confident_errors
from genocontrast.genome import Genome
from genocontrast.sequence import encode, one_hot, reverse_complement

WIDTH, SITE = 60, "TGACGTGACC"


@pytest.fixture
def planted(tmp_path, monkeypatch, stand_in, make_examples):
    """Six pairs without a site, but for decoy 2, which has one at base 20 of its window, on the minus strand."""
    monkeypatch.setenv("GENOCONTRAST_CACHE", str(tmp_path / "cache"))
    test = make_examples({"test": 6}, WIDTH).assign(gc=np.linspace(0, 1, 12), cpg=np.nan)
    sequence = list("A" * (12 * WIDTH))
    start = test.loc[test["name"] == "decoy_2", "start"].item()
    sequence[start + 20 : start + 20 + len(SITE)] = SITE
    test.loc[test["name"] == "decoy_2", "strand"] = "-"
    (tmp_path / "genome.fa").write_text(f">c\n{''.join(sequence)}\n")
    weights = one_hot(encode(SITE)).T * 2.0 - 1.0  # (length, 4)
    model = stand_in(weights, WIDTH, threshold=0.0)
    genome = Genome(tmp_path / "genome.fa")
    return model, test, model.score_codes(genome.codes(test, WIDTH)), genome


def test_the_worst_come_first_with_their_mates(planted):
    model, test, scores, genome = planted
    found = confident_errors(model, test, scores, genome, shown=2)
    assert [one["name"] for one in found["decoys"]] == ["decoy_2", "decoy_0"]
    assert found["decoys"][0]["score"] > 0.9 > found["decoys"][1]["score"]
    assert [mate["name"] for mate in found["decoys"][0]["mates"]] == ["promoter_2"]
    assert [one["name"] for one in found["promoters"]] == ["promoter_0", "promoter_1"]
    row = test[test["name"] == "decoy_2"].iloc[0]
    assert found["decoys"][0]["covariates"] == {"gc": pytest.approx(row["gc"], abs=1e-5), "cpg": None}
    assert (found["decoys"][0]["chrom"], found["decoys"][0]["start"]) == ("c", row["start"])


def test_contributions_run_along_the_own_strand_and_mark_the_site(planted):
    model, test, scores, genome = planted
    one = confident_errors(model, test, scores, genome, shown=1)["decoys"][0]
    first = WIDTH - 20 - len(SITE)
    assert encode(one["sequence"])[first : first + len(SITE)].tolist() == reverse_complement(encode(SITE)).tolist()
    track = np.array(one["contributions"])
    inside = np.zeros(WIDTH, bool)
    inside[first : first + len(SITE)] = True
    # the window is A otherwise, as are its shuffles: there an A makes no difference
    assert (track[inside] > 0).mean() >= 0.9
    assert np.abs(track[inside]).sum() > 0.8 * np.abs(track).sum()


def test_what_lies_near_is_told_where_it_is_known(planted):
    model, test, scores, genome = planted
    centre = int(test.loc[test["name"] == "decoy_2", "start"].item()) + WIDTH // 2
    evidence = pd.DataFrame(
        {"chrom": "c", "start": [centre - 100, centre - 5], "end": [centre - 99, centre], "kind": ["tss", "cage"]}
    )
    annotation = pd.DataFrame({"chrom": "c", "start": [centre - 10], "end": [centre + 10], "feature": ["exon"]})
    found = confident_errors(model, test, scores, genome, evidence, annotation, shown=2)["decoys"]
    assert (found[0]["nearest_site"], found[0]["feature"]) == (100, "exon")
    assert found[1]["feature"] == "intergenic"
    elsewhere = evidence.assign(chrom="d")
    assert confident_errors(model, test, scores, genome, elsewhere, shown=1)["decoys"][0]["nearest_site"] is None
    unknown = confident_errors(model, test, scores, genome, shown=1)["decoys"][0]
    assert (unknown["nearest_site"], unknown["feature"]) == (None, None)
