"""The k-mer space in the report: the table, the words, the map, and results without it."""

import numpy as np
import pandas as pd

from genocontrast.report.kmers import shown_sets, space_sentences, space_tables
from genocontrast.report.maps import kmer_panels
from genocontrast.report.methods import methods
from genocontrast.report.results import Vectors, read_results
from genocontrast.report.sections import _kmers


def test_the_table_holds_each_similarity_and_view(kmer_space):
    (table,) = space_tables(kmer_space)
    assert [row[:2] for row in table.rows] == [
        ["k-mer vectors", "0"],
        ["rows of co-occurrence", "0"],
        ["edit distance", "\u2013"],
        ["k-mer vectors", "3"],
    ]
    assert table.rows[0][2].startswith("0.800 (")
    assert table.rows[3][3].startswith("0.600 (")
    assert "0.05 or less, for every figure." in table.note
    assert "mean over 5 sets (of 9: 3 with fewer than 3 k-mers, 1 that repeat another one)" in table.note
    assert len(table.columns) == len(set(table.columns)) == 5


def test_figures_that_chance_could_give_are_named(kmer_space):
    kmer_space["truths"]["motifs"]["sources"][3]["views"]["apart"]["p"] = 0.31
    note = space_tables(kmer_space)[0].note
    assert "0.05 or less, but for k-mer vectors that skip 3, pairs that do not overlap: 0.310." in note


def test_pairs_without_a_control_are_said(kmer_space):
    kmer_space["truths"]["motifs"]["sources"][0]["views"]["alike"]["pairs_without_control"] = 1200
    assert "1,200 pairs of the view" in space_tables(kmer_space)[0].note


def test_the_words_say_what_is_overlap_and_who_wins(kmer_space):
    sources = kmer_space["truths"]["motifs"]["sources"]
    (text,) = space_sentences(kmer_space)
    # 0.1 of 0.3 above chance is left where no base is shared
    assert "So 33 % of the lead over chance is no overlap" in text
    assert "lose to rows of co-occurrence (\u22120.040, \u22120.060 to \u22120.020) and beat edit distance" in text
    sources[1]["views"]["apart"]["gain"] = {"value": -0.01, "low": -0.03, "high": 0.01}
    assert "do not differ from rows of co-occurrence" in space_sentences(kmer_space)[0]


def test_nothing_but_overlap_is_said_to_be_nothing_but_overlap(kmer_space):
    views = kmer_space["truths"]["motifs"]["sources"][3]["views"]
    views["apart"]["auroc"] = {"value": 0.51, "low": 0.48, "high": 0.53}
    (text,) = space_sentences(kmer_space)
    assert "Apart from overlap nothing is left" in text
    assert "no overlap;" not in text


def test_a_space_without_structure_claims_none(kmer_space):
    views = kmer_space["truths"]["motifs"]["sources"][0]["views"]
    views["all"]["auroc"] = {"value": 0.51, "low": 0.48, "high": 0.53}
    (text,) = space_sentences(kmer_space)
    assert "An interval that includes 0.5 is no structure." in text


def test_a_truth_without_sets_is_a_table_of_dashes(kmer_space):
    views = {
        view: {"auroc": None, "p": None, "gain": None, "pairs_without_control": 0} for view in ("all", "apart", "alike")
    }
    counts = {"of": 2, "measured": 0, "too_few_kmers": 2, "repeated": 0}
    sources = [{"name": "k-mer vectors", "skip": 0, "views": views}]
    kmer_space["truths"] = {"motifs": {"counts": counts, "sources": sources, "sets": []}}
    assert space_sentences(kmer_space) == []
    assert set(space_tables(kmer_space)[0].rows[0][2:]) == {"\u2013"}
    assert shown_sets(kmer_space) == []


def test_the_map_shows_the_sets_that_cohere(kmer_space):
    sets = kmer_space["truths"]["motifs"]["sets"]
    assert [one["name"] for one in shown_sets(kmer_space)] == ["CBF1", "REB1 (MA0363.1)"]
    sets[1]["p"] = {"apart": [0.2]}
    assert [one["name"] for one in shown_sets(kmer_space)] == ["REB1 (MA0363.1)"]
    sets[0]["p"] = {"apart": [None]}
    assert shown_sets(kmer_space) == []


def test_colours_of_the_map(kmer_space):
    names = ["AACC", "ACCC", "CACG", "CGCG", "AAAA"]
    rows = pd.DataFrame({"name": names, "gc": [sum(base in "GC" for base in name) / 4 for name in names]})
    vectors = Vectors(np.random.default_rng(0).normal(size=(5, 3)), rows)
    panels = {panel.name: panel.data.set_index("name") for panel in kmer_panels(vectors, shown_sets(kmer_space), 1)}
    assert list(panels) == ["kmers", "kmers-cpg", "kmers-motifs"]
    assert panels["kmers-cpg"]["cpg_count"].to_dict() == {"AACC": 0, "ACCC": 0, "CACG": 1, "CGCG": 2, "AAAA": 0}
    motif = panels["kmers-motifs"]["motif"].to_dict()
    assert motif == {"AACC": "CBF1", "ACCC": "REB1 (MA0363.1)", "CACG": "CBF1", "CGCG": "", "AAAA": ""}
    assert [panel.name for panel in kmer_panels(vectors, [], 1)] == ["kmers", "kmers-cpg"]


def test_the_methods_tell_how_it_was_measured(tmp_path, write, config, metrics):
    metrics["baselines"][-1]["name"] = "6-mer vectors (SIF)"
    text = " ".join(methods(read_results(write(tmp_path / "demo", metrics=metrics)), config)[0])
    assert "on single covariates, on all covariates, on 4-mer frequencies and on pooled k-mer vectors)" in text
    assert "p-values are from 999 permutations" in text
    older = " ".join(methods(read_results(write(tmp_path / "older", kmer_space=None)), config)[0])
    assert "on single covariates, on all covariates and on 4-mer frequencies)" in older
    assert "permutations" not in older


def test_results_without_the_space_say_not_run(tmp_path, write, config):
    older = _kmers(read_results(write(tmp_path / "older", kmer_space=None)), config)
    assert older.blocks[-1].content == ["Whether the space means something: not run."]
    refused = {"run": False, "reason": "k is 8"}
    section = _kmers(read_results(write(tmp_path / "demo", kmer_space=refused)), config)
    assert section.blocks[-1].content == ["Whether the space means something: not run: k is 8."]
    assert [panel.name for panel in section.panels] == ["kmers", "kmers-cpg"]
