"""The errors section: what each card says, and what the section says without any."""

import re

import pandas as pd

from genocontrast.report import write_report
from genocontrast.report.errors import error_cards, locus


def test_a_card_tells_what_is_known_of_an_error(errors):
    cards = error_cards(errors, upstream=40)
    assert [len(cards[kind]) for kind in ("decoys", "promoters")] == [2, 2]
    card = cards["decoys"][0]
    facts = dict(card.facts)
    assert facts["locus"] == "chr4:1,001\u20131,060 (\u2212)"
    assert (facts["score"], facts["GC content"], facts["repeat content"]) == ("0.980", "0.510", "\u2013")
    assert (facts["centre to start site"], facts["lies in"]) == ("1,234 bp", "gene")
    assert facts["paired with"] == "promoter-7, chr4:9,001\u20139,060 (\u2212), score 0.020"
    assert "TATAAAAG" in card.panel.alt
    assert "TATAAAAG" in card.panel.svg
    assert list(card.panel.data.columns) == ["position", "base", "contribution"]
    assert card.panel.data["position"].iloc[0] == -40


def test_what_is_not_known_is_left_out(errors):
    errors["decoys"][0] |= {"nearest_site": None, "feature": None}
    facts = dict(error_cards(errors, upstream=40)["decoys"][0].facts)
    assert not {"centre to start site", "lies in"} & set(facts)


def test_a_track_without_any_contribution_is_still_drawn(errors):
    for one in [*errors["decoys"], *errors["promoters"]]:
        one["contributions"] = [0.0] * 60
    assert "<path" in error_cards(errors, upstream=0)["decoys"][0].panel.svg


def test_a_place_reads_as_in_a_browser():
    assert locus({"chrom": "chr-1", "start": 0, "end": 10, "strand": "+"}) == "chr-1:1\u201310 (+)"


def test_the_page_doubts_false_positives_and_lists_tracks(tmp_path, write, config):
    results = write(tmp_path / "demo")
    (results / "evaluation" / "predictions.bed").write_text("")
    page = write_report(results, config)
    text = re.sub(r"<[^>]+>", " ", page.read_text())
    assert "a promoter that the annotation lacks" in text
    assert 'href="../evaluation/predictions.bed"' in page.read_text()
    assert "scan.bw" not in text
    assert len(pd.read_csv(page.parent / "data" / "error-decoys-1.tsv", sep="\t")) == 60


def test_without_errors_the_section_says_so(tmp_path, write, config, errors):
    text = write_report(write(tmp_path / "demo", errors=None), config).read_text()
    assert "The worst errors were not looked at" in text
    assert "because their file is absent: the most confident errors" in text
    none = errors | {"decoys": [], "promoters": []}
    assert "The worst errors were not looked at" in write_report(write(tmp_path / "b", errors=none), config).read_text()
