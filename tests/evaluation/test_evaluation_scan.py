import itertools

import numpy as np
import pytest

from genocontrast.evaluation.scan import (
    composition,
    effect,
    enrichment,
    find_sites,
    hit_threshold,
    log_odds,
    replace_sites,
)
from genocontrast.sequence import encode, reverse_complement

UNIFORM = np.full(4, 0.25)


def matrix(consensus, purity=0.97):
    probabilities = np.full((len(consensus), 4), (1 - purity) / 3)
    probabilities[np.arange(len(consensus)), encode(consensus)] = purity
    return probabilities


@pytest.mark.parametrize("background", [UNIFORM, np.array([0.35, 0.15, 0.15, 0.35])])
def test_threshold_equals_enumeration_of_all_words(background):
    rng = np.random.default_rng(0)
    weights = log_odds(rng.dirichlet([0.5] * 4, size=6), background)
    words = np.array(list(itertools.product(range(4), repeat=6)))
    scores = weights[np.arange(6), words].sum(1)
    chances = background[words].prod(1)
    for probability in (0.1, 0.01, 0.001):
        threshold = hit_threshold(weights, background, probability)
        assert chances[scores >= threshold + 0.06].sum() <= probability
        assert chances[scores >= threshold - 0.06].sum() >= probability * 0.9


def test_threshold_of_a_short_motif_is_its_best_word():
    pwm = matrix("ACGT")
    threshold = hit_threshold(log_odds(pwm, UNIFORM), UNIFORM)
    assert threshold <= log_odds(pwm, UNIFORM).max(1).sum()
    codes = encode("TTTTACGTTTTTACGA")[None]
    assert list(np.flatnonzero(find_sites(codes, pwm, UNIFORM))) == [4]


def test_sites_are_found_on_both_strands_and_not_over_n():
    word = "CCGGAAGTGA"
    other = "".join("ACGT"[c] for c in reverse_complement(encode(word)))
    codes = np.stack(
        [encode(f"TTTT{word}TTTTTT"), encode(f"TTTTTTT{other}TTT"), encode(f"TTTT{word[:4]}N{word[5:]}TTTTTT")]
    )
    found = find_sites(codes, matrix(word), UNIFORM)
    assert [list(np.flatnonzero(row)) for row in found] == [[4], [7], []]
    mirrored = find_sites(reverse_complement(codes), matrix(word), UNIFORM)
    np.testing.assert_array_equal(found, mirrored[:, ::-1])


def test_motif_longer_than_the_window_has_no_site():
    assert find_sites(encode("ACG")[None], matrix("ACGTACGT"), UNIFORM).shape == (1, 0)


def test_enrichment_is_a_log_odds_ratio():
    assert enrichment(10, 100, 10, 100) == 0
    assert enrichment(30, 100, 10, 100) == pytest.approx(np.log2((30.5 / 70.5) / (10.5 / 90.5)))
    assert enrichment(0, 10, 0, 20) == pytest.approx(np.log2((0.5 / 10.5) / (0.5 / 20.5)))
    assert np.isfinite(enrichment(10, 10, 0, 10))


def test_replacing_sites_changes_nothing_outside_and_adds_no_base():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, (20, 50)).astype(np.uint8)
    codes[:10, 12:20] = 2
    sites = np.zeros((20, 43), dtype=bool)
    sites[:10, 12] = True
    replaced = replace_sites(codes, sites, 8, rng)
    outside = np.r_[0:12, 20:50]
    np.testing.assert_array_equal(replaced[:, outside], codes[:, outside])
    np.testing.assert_array_equal(replaced[10:], codes[10:])
    assert replaced.max() == 2
    assert (replaced[:10] != codes[:10]).any(1).all()


def test_effect_is_the_mean_drop_over_windows_with_a_site():
    word = "CCGGAAGTGA"
    codes = np.stack([encode(f"TTTT{word}TTTTTT"), encode("T" * 20), encode(f"TT{word}TTTTTTTT")])
    sites = find_sites(codes, matrix(word), UNIFORM)

    def score(windows):
        return np.array([0.9 if find_sites(w[None], matrix(word), UNIFORM).any() else 0.2 for w in windows])

    drop = effect(score, codes, sites, 10, np.random.default_rng(0))
    assert drop == pytest.approx(0.7)
    assert effect(score, codes[[1]], sites[[1]], 10, np.random.default_rng(0)) is None


def test_composition_is_that_of_both_strands():
    found = composition(encode("AAAC" * 1000 + "N" * 500)[None])
    np.testing.assert_allclose(found, [0.375, 0.125, 0.125, 0.375], atol=1e-3)
