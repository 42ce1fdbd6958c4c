import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, matthews_corrcoef, precision_score, roc_auc_score

from genocontrast.errors import ShapeError, SplitError
from genocontrast.evaluation.metrics import (
    assess,
    assess_tuned,
    auprc,
    auroc,
    best_threshold,
    curves,
    difference,
    expected_precision,
)
from genocontrast.evaluation.resamples import PairResamples


def pairs(n, signal=1.0, seed=0, levels=None):
    rng = np.random.default_rng(seed)
    labels = np.tile([1, 0], n)
    scores = rng.normal(size=2 * n) + signal * labels
    scores = scores if levels is None else np.round(scores * levels) / levels
    return labels, scores, np.repeat(np.arange(n), 2)


def ragged_pairs(n, seed=0):
    """n pairs in random order: a promoter each, with two decoys in the even pairs and one in the odd ones."""
    rng = np.random.default_rng(seed)
    ids = np.concatenate([np.arange(n), np.arange(n), np.arange(0, n, 2)])
    labels = (np.arange(len(ids)) < n).astype(int)
    order = rng.permutation(len(ids))
    scores = rng.normal(size=len(ids)) + rng.normal(size=n)[ids] + labels
    return labels[order], scores[order], ids[order]


@given(st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from([None, 1, 2]))
@settings(max_examples=40, deadline=None)
def test_point_estimates_equal_scikit_learn_with_and_without_ties(n, seed, levels):
    labels, scores, ids = pairs(n, 0.7, seed, levels)
    found = assess(labels, scores, 0.3, PairResamples(ids, 5, 0))
    assert found.auroc.value == pytest.approx(roc_auc_score(labels, scores))
    assert found.auprc.value == pytest.approx(average_precision_score(labels, scores))
    calls = scores >= 0.3
    assert found.mcc.value == pytest.approx(matthews_corrcoef(labels, calls))


@pytest.mark.parametrize("table", [pairs(30, levels=2), ragged_pairs(30)], ids=["one decoy", "one or two decoys"])
def test_resamples_equal_scikit_learn_on_the_drawn_pairs(table):
    labels, scores, ids = table
    resamples = PairResamples(ids, 50, seed=3)
    found = assess(labels, scores, 0.5, resamples)
    drawn = np.concatenate(list(resamples.weights())).astype(int)
    brute = [roc_auc_score(np.repeat(labels, times), np.repeat(scores, times)) for times in drawn]
    np.testing.assert_allclose(found.resampled, brute)
    precision = [average_precision_score(np.repeat(labels, t), np.repeat(scores, t)) for t in drawn]
    assert (found.auprc.low, found.auprc.high) == pytest.approx(tuple(np.quantile(precision, [0.025, 0.975])))
    mcc = [matthews_corrcoef(np.repeat(labels, t), np.repeat(scores >= 0.5, t)) for t in drawn]
    assert (found.mcc.low, found.mcc.high) == pytest.approx(tuple(np.quantile(mcc, [0.025, 0.975])))


def test_members_of_a_pair_are_drawn_together_as_often_as_pairs_are():
    ids = np.array([7, 3, 7, 3, 3, 9, 9])
    for weights in PairResamples(ids, 200, 0).weights():
        assert (weights[:, [0]] == weights[:, [2]]).all()
        assert (weights[:, [1, 1]] == weights[:, [3, 4]]).all()
        assert (weights[:, [0, 1, 5]].sum(1) == 3).all()


@pytest.mark.parametrize("table", [pairs(60), ragged_pairs(60)], ids=["one decoy", "one or two decoys"])
def test_interval_of_pairs_is_that_of_a_plain_loop(table):
    labels, scores, ids = table
    found = assess(labels, scores, 0.5, PairResamples(ids, 1000, 1)).auroc
    rng = np.random.default_rng(99)
    loop = []
    for _ in range(300):
        rows = np.concatenate([np.flatnonzero(ids == pair) for pair in rng.integers(60, size=60)])
        loop.append(roc_auc_score(labels[rows], scores[rows]))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(loop, [0.025, 0.975])), abs=0.03)


def test_pairing_narrows_the_interval_where_the_two_of_a_pair_are_alike():
    rng = np.random.default_rng(0)
    common = np.repeat(rng.normal(size=200), 2)
    labels = np.tile([1, 0], 200)
    scores = common + 0.3 * labels
    paired = assess(labels, scores, 0.5, PairResamples(np.repeat(np.arange(200), 2), 400, 0)).auroc
    unpaired = []
    for _ in range(150):
        rows = np.concatenate([2 * rng.integers(200, size=200), 2 * rng.integers(200, size=200) + 1])
        unpaired.append(roc_auc_score(labels[rows], scores[rows]))
    low, high = np.quantile(unpaired, [0.025, 0.975])
    assert paired.high - paired.low < 0.5 * (high - low)


def test_difference_is_paired():
    labels, scores, ids = pairs(150)
    resamples = PairResamples(ids, 500, 0)
    worse = scores + np.random.default_rng(1).normal(scale=0.3, size=300)
    ours, theirs = assess(labels, scores, 0.5, resamples), assess(labels, worse, 0.5, resamples)
    found = difference(ours, theirs)
    assert found.value == pytest.approx(roc_auc_score(labels, scores) - roc_auc_score(labels, worse))
    alone = np.hypot(ours.auroc.high - ours.auroc.low, theirs.auroc.high - theirs.auroc.low)
    assert found.high - found.low < 0.6 * alone
    same = difference(ours, ours)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_same_seed_same_interval_and_chunks_do_not_matter(monkeypatch):
    labels, scores, ids = pairs(40)
    whole = assess(labels, scores, 0.5, PairResamples(ids, 90, 4))
    monkeypatch.setattr("genocontrast.evaluation.resamples._CHUNK_ELEMENTS", 7 * len(labels))
    chunked = assess(labels, scores, 0.5, PairResamples(ids, 90, 4))
    assert whole.as_dict() == chunked.as_dict()


def test_permuted_labels_include_chance():
    labels, scores, ids = pairs(300, signal=1.5)
    swap = np.repeat(np.random.default_rng(5).random(300) < 0.5, 2)
    found = assess(np.where(swap, 1 - labels, labels), scores, 0.5, PairResamples(ids, 500, 0)).auroc
    assert found.low < 0.5 < found.high


@pytest.mark.parametrize("labels", [[1, 1, 1], [0, 0, 0], []])
def test_single_class_is_a_named_error(labels):
    scores = np.linspace(0, 1, len(labels))
    with pytest.raises(SplitError, match=r"single class|no example"):
        auroc(labels, scores)
    with pytest.raises(SplitError, match=r"single class|no example"):
        assess(labels, scores, 0.5, PairResamples(np.arange(len(labels)), 10, 0) if labels else None)


def test_torn_pairs_and_bad_scores_are_named_errors():
    with pytest.raises(SplitError, match="2 of 3 pairs"):
        assess([1, 0, 1, 0], [0.1, 0.2, 0.3, 0.4], 0.5, PairResamples([0, 0, 1, 2], 10, 0))
    with pytest.raises(ShapeError, match="1 of 2 scores"):
        auroc([1, 0], [0.5, np.nan])
    with pytest.raises(ShapeError, match="one length"):
        auroc([1, 0, 1], [0.5, 0.1])


def test_best_threshold_has_the_highest_mcc_and_lies_between_scores():
    labels, scores, _ = pairs(80, 1.0)
    threshold = best_threshold(labels, scores)
    reached = matthews_corrcoef(labels, scores >= threshold)
    assert reached == pytest.approx(max(matthews_corrcoef(labels, scores >= s) for s in scores))
    assert threshold not in scores
    assert best_threshold([1, 0], [0.9, 0.1]) == pytest.approx(0.5)


@given(st.integers(2, 30), st.integers(0, 2**32 - 1), st.sampled_from([None, 1]), st.sampled_from([1, 4, 99]))
@settings(max_examples=25, deadline=None)
def test_auprc_at_another_prevalence_is_that_of_as_many_copies_of_each_decoy(n, seed, levels, copies):
    labels, scores, _ = pairs(n, 0.7, seed, levels)
    expected = average_precision_score(labels, scores, sample_weight=np.where(labels == 1, 1, copies))
    assert auprc(labels, scores, 1 / (1 + copies)) == pytest.approx(expected)
    assert auprc(labels, scores) == pytest.approx(average_precision_score(labels, scores))


def test_figures_at_another_prevalence_are_resampled_as_the_others():
    labels, scores, ids = ragged_pairs(30)
    resamples = PairResamples(ids, 50, seed=3)
    at, area, precision = assess(labels, scores, 0.5, resamples, 0.05).expected
    drawn, calls = np.concatenate(list(resamples.weights())), scores >= 0.5
    areas, precisions = [], []
    for weights in [np.ones(len(labels)), *drawn]:
        promoters, decoys = weights @ (labels == 1), weights @ (labels == 0)
        balanced = weights * np.where(labels == 1, 0.05 / promoters, 0.95 / decoys)
        areas.append(average_precision_score(labels, scores, sample_weight=balanced))
        precisions.append(precision_score(labels, calls, sample_weight=balanced))
    assert at == 0.05
    for found, brute in ((area, areas), (precision, precisions)):
        assert found.value == pytest.approx(brute[0])
        assert (found.low, found.high) == pytest.approx(tuple(np.quantile(brute[1:], [0.025, 0.975])))


def test_auprc_stands_beside_its_prevalence():
    labels, scores, ids = ragged_pairs(30)
    shown = assess(labels, scores, 0.5, PairResamples(ids, 20, 0), 0.02).as_dict()
    assert shown["auprc"]["prevalence"] == pytest.approx(30 / 75)
    assert shown["expected"]["prevalence"] == 0.02
    assert shown["expected"]["auprc"]["value"] < shown["auprc"]["value"]
    assert "expected" not in assess(labels, scores, 0.5, PairResamples(ids, 20, 0)).as_dict()


def test_precision_without_any_call_is_0_and_a_prevalence_out_of_range_is_named():
    assert expected_precision(np.array([0.0, 1.0, 0.5]), np.array([0.0, 0.0, 0.5]), 0.2).tolist() == [0, 1, 0.2]
    labels, scores, ids = pairs(10)
    for prevalence in (0, 1, 7.5):
        with pytest.raises(ShapeError, match="a prevalence must lie between 0 and 1"):
            assess(labels, scores, 0.5, PairResamples(ids, 10, 0), prevalence)
        with pytest.raises(ShapeError, match="a prevalence must lie between 0 and 1"):
            auprc(labels, scores, prevalence)


def test_the_threshold_is_chosen_on_the_validation_split():
    labels, scores, ids = pairs(60)
    split = {name: ids % 3 == number for number, name in enumerate(("train", "validation", "test"))}
    resamples = PairResamples(ids[split["test"]], 30, 0)
    blind = np.where(split["train"], np.nan, scores)
    found = assess_tuned(labels, blind, split, resamples, 0.1)
    threshold = best_threshold(labels[split["validation"]], scores[split["validation"]])
    expected = assess(labels[split["test"]], scores[split["test"]], threshold, resamples, 0.1)
    assert found.as_dict() == expected.as_dict()


def test_curves_are_thin_and_keep_their_area_and_ends():
    labels, scores, _ = pairs(2000)
    found = curves(labels, scores)
    for kind in ("roc", "pr"):
        assert len(found[kind]["x"]) == len(found[kind]["y"]) <= 200
        assert found[kind]["x"] == sorted(found[kind]["x"])
    roc = found["roc"]
    assert np.trapezoid(roc["y"], roc["x"]) == pytest.approx(roc_auc_score(labels, scores), abs=0.005)
    assert (roc["x"][0], roc["y"][0], roc["x"][-1], roc["y"][-1]) == (0, 0, 1, 1)
    assert (found["pr"]["x"][0], found["pr"]["x"][-1]) == (0, 1)
