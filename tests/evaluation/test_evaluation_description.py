import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from genocontrast.evaluation.binding import HALF, REACH, matched_controls, places_in
from genocontrast.evaluation.description import (
    cooccurrence,
    enrichment_p,
    insertion_effect,
    neutral_windows,
    own_decoy_contrast,
    positional_preference,
    q_values,
)
from genocontrast.evaluation.mixture import split
from genocontrast.evaluation.planted import covered, planted_masks
from genocontrast.evaluation.reading_stage import own_decoys
from genocontrast.evaluation.scan import log_odds
from genocontrast.sequence import encode

WIDTH = 100


def sites_at(places, n, begins=91):
    sites = np.zeros((n, begins), dtype=bool)
    sites[np.arange(len(places)), places] = True
    return sites


def test_own_decoy_contrast_is_mcnemars_exact_test():
    promoters = np.array([1] * 14 + [0] * 3 + [2] * 5 + [0] * 8)
    decoys = np.array([0] * 14 + [1] * 3 + [1] * 5 + [0] * 8)
    found = own_decoy_contrast(promoters, decoys)
    assert (found["pairs"], found["only_promoter"], found["only_decoy"]) == (30, 14, 3)
    assert found["p"] == pytest.approx(2 * binom.cdf(3, 17, 0.5))
    assert found["difference"] == pytest.approx((14 - 3 + 5) / 30)
    assert own_decoy_contrast(np.ones(4, int), np.ones(4, int))["p"] == 1


def test_enrichment_and_q_by_hand():
    assert enrichment_p(3, 3, 0, 3) == pytest.approx(0.1)  # two of the twenty ways
    assert q_values([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, pytest.approx(0.04), pytest.approx(0.04)]
    assert q_values([None]) == [None]


def test_sites_near_the_start_are_a_preference_and_even_ones_are_not():
    rng = np.random.default_rng(0)
    even, peaked = rng.integers(0, 91, (2, 80)), np.full(80, 61)
    found = positional_preference((sites_at(peaked, 80), sites_at(even[0], 80)), 10, anchor=70)
    assert found["p"] < 1e-6
    assert found["peak"] == -5.0  # centre 66, bin 60 to 70
    assert found["promoters"] == [0, 0, 0, 0, 0, 0, 80, 0, 0, 0]
    assert (found["edges"][0], found["edges"][-1]) == (-70, 30)
    assert positional_preference((sites_at(even[1], 80), sites_at(even[0], 80)), 10, 70)["p"] > 0.01
    assert positional_preference((sites_at([], 80), sites_at(even[0], 80)), 10, 70)["p"] is None


def test_inserted_sites_raise_the_logit_of_a_scanner_and_random_ones_do_not(stand_in):
    site = np.full((8, 4), 0.01)
    site[np.arange(8), encode("TGACGTAA")] = 0.97
    model = stand_in(log_odds(site, np.full(4, 0.25)), WIDTH, 10.0)
    rng = np.random.default_rng(0)
    neutral = neutral_windows(rng.integers(0, 4, (150, WIDTH)).astype(np.uint8), rng)
    assert neutral.shape == (100, WIDTH)
    found = insertion_effect(model, site, neutral, rng)
    assert found["low"] > 2
    assert found["low"] < found["value"] < found["high"]
    nothing = insertion_effect(model, np.full((8, 4), 0.25), neutral, rng)
    assert nothing["low"] <= 0.2
    assert insertion_effect(model, np.full((WIDTH + 1, 4), 0.25), neutral, rng) is None


def test_motifs_that_share_only_a_gc_content_do_not_go_together():
    rng = np.random.default_rng(0)
    gc = rng.random(4000)
    shared = rng.random(4000) < 0.5
    alone = [rng.random(4000) < np.round(gc * 5) / 5 for _ in range(2)]
    holds = np.stack([*alone, shared, shared ^ (rng.random(4000) < 0.1)], axis=1)
    rows = {tuple(row["motifs"]): row for row in cooccurrence(holds, gc, list("abcd"))}
    assert len(rows) == 6
    assert rows["c", "d"]["q"] < 1e-9
    assert rows["c", "d"]["odds_ratio"] == pytest.approx(81, rel=0.25)
    assert rows["c", "d"]["observed"] > 1.5 * rows["c", "d"]["expected"]
    naive = (alone[0] & alone[1]).sum() / (alone[0].mean() * alone[1].mean() * 4000)
    assert naive > 1.2
    assert rows["a", "b"]["observed"] < 1.1 * rows["a", "b"]["expected"]
    assert cooccurrence(holds[:, :1], gc, ["a"]) == []


def test_a_cluster_of_two_words_is_split_and_one_of_a_word_is_not():
    rng = np.random.default_rng(0)
    words = [encode("AAAACACGTGACTTTT"), encode("AAAATGACGTGACTTT")]
    sites = np.stack([words[int(rng.random() < 0.4)] for _ in range(100)])
    noisy = np.where(rng.random(sites.shape) < 0.1, rng.integers(0, 4, sites.shape), sites).astype(np.uint8)
    parts = split(noisy, np.full(4, 0.25))
    kind = (sites == words[1]).all(1)
    assert len(parts) == 2
    assert sorted(np.concatenate(parts).tolist()) == list(range(100))
    assert [kind[part].mean() > 0.5 for part in parts] in ([False, True], [True, False])
    assert all(max(kind[part].mean(), 1 - kind[part].mean()) > 0.95 for part in parts)
    assert len(split(noisy[~kind], np.full(4, 0.25))) == 1


def test_planted_sites_lie_along_the_windows_strand():
    windows = pd.DataFrame({"chrom": ["a", "a", "b"], "start": [100, 100, 100], "strand": ["+", "-", "+"]})
    sites = pd.DataFrame({"chrom": ["a", "a"], "start": [95, 110], "end": [103, 114], "motif": ["X", "Y"]})
    masks = planted_masks(windows, sites, 20)
    assert [np.flatnonzero(row).tolist() for row in masks["X"]] == [[0, 1, 2], [17, 18, 19], []]
    assert [np.flatnonzero(row).tolist() for row in masks["Y"]] == [[10, 11, 12, 13], [6, 7, 8, 9], []]


def test_covered_bases_of_overlapping_sites():
    begins = np.zeros((1, 8), dtype=bool)
    begins[0, [1, 3, 7]] = True
    assert np.flatnonzero(covered(begins, 3)[0]).tolist() == [1, 2, 3, 4, 5, 7, 8, 9]


def test_own_decoy_is_the_first_of_the_pair():
    assert own_decoys(np.array([5, 2, 9]), np.array([9, 5, 5])).tolist() == [1, -1, 0]
    assert own_decoys(np.array([5]), np.array([], int)).tolist() == [-1]


def test_controls_are_near_alike_and_clear_and_the_fold_is_that_of_the_masses():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (30, 250)).astype(np.uint8)
    window, place, hits = np.arange(30), np.full(30, 120), np.zeros((30, 250), dtype=bool)
    hits[:, 95] = True
    pairs = matched_controls(codes, window, place, hits)
    rows, at = np.nonzero(pairs.controls)
    assert len(rows) > 50
    assert (np.abs(at - 120) <= REACH).all()
    assert (np.abs(at - 120) > 2 * HALF).all()
    assert (np.abs(at - 95) > HALF).all()
    contributions = np.full((30, 250), 1.0)
    contributions[:, 110:131] = -3.0
    contributions[:, :60] = 9.0
    fold = pairs.fold(contributions, 0)
    assert 2.8 < fold["low"] <= fold["value"] <= fold["high"] <= 3.0
    assert pairs.fold(np.ones((30, 250)), 0)["value"] == pytest.approx(1)


def test_places_turn_with_the_strand():
    promoters = pd.DataFrame({"chrom": ["a", "a", "b"], "start": [0, 0, 0], "strand": ["+", "-", "+"]})
    sites = pd.DataFrame({"chrom": ["a", "a"], "start": [30, 3], "end": [31, 4]})
    window, place = places_in(promoters, sites, WIDTH)
    assert (window.tolist(), place.tolist()) == ([0, 1], [30, 69])
