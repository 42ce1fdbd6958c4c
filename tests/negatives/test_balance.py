import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score

from genocontrast.errors import BalanceError
from genocontrast.negatives.balance import RESAMPLES, _auroc_interval, largest_gap, measure_balance, two_sample_auroc


def pairs(shift, spread=1.0, n=400, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"pair_id": np.tile(np.arange(n), 2), "label": np.repeat([1, 0], n), "split": "train"})
    frame["gc"] = rng.normal(size=2 * n)
    negative = frame["label"] == 0
    frame.loc[negative, "gc"] = frame.loc[negative, "gc"] * spread + shift
    return frame


def measured(frame, retention=1.0):
    promoters = frame[frame["label"] == 1]
    missing = promoters.sample(round(len(promoters) * (1 / retention - 1)), random_state=0)
    every = pd.concat([promoters, missing])
    return measure_balance(frame, every, frame[frame["label"] == 0], {"gc": promoters["gc"].std(ddof=1)}, ["gc"])


def test_alike_classes_pass():
    balance = measured(pairs(0))
    balance.check()
    assert balance.retention == 1
    assert balance.two_sample_auroc[1] <= 0.5 <= balance.two_sample_auroc[2]


@pytest.mark.parametrize(("shift", "spread", "words"), [(0.3, 1.0, "gc: .SMD. 0.3"), (0, 2.5, "KS")])
def test_a_shift_or_another_spread_fails(shift, spread, words):
    with pytest.raises(BalanceError, match=words) as caught:
        measured(pairs(shift, spread)).check()
    assert "remedy" in str(caught.value)
    assert caught.value.exit_code == 4


def test_low_retention_fails():
    with pytest.raises(BalanceError, match=r"only 50.0% of the promoters"):
        measured(pairs(0), retention=0.5).check(min_retention=0.8)


def test_standardised_mean_difference_is_in_promoter_standard_deviations():
    frame = pairs(0.5)
    promoters = frame.loc[frame["label"] == 1, "gc"]
    expected = (promoters.mean() - frame.loc[frame["label"] == 0, "gc"].mean()) / promoters.std(ddof=1)
    assert measured(frame).table["smd_after"][0] == pytest.approx(expected)


def test_before_after_and_all_are_of_different_samples():
    frame = pairs(0.05)
    promoters, decoys = frame[frame["label"] == 1], frame[frame["label"] == 0]
    dropped = pd.DataFrame({"gc": np.full(100, 3.0), "split": "train", "label": 1})
    pool = pd.concat([decoys, pd.DataFrame({"gc": np.full(200, -2.0)})])
    found = measure_balance(frame, pd.concat([promoters, dropped]), pool, {"gc": 2.0}, ["gc"])
    row = found.table.iloc[0]
    every = pd.concat([promoters, dropped])
    assert row["smd_before"] == pytest.approx((every["gc"].mean() - pool["gc"].mean()) / 2)
    assert row["smd_after"] == pytest.approx((promoters["gc"].mean() - decoys["gc"].mean()) / 2)
    assert row["smd_all"] == pytest.approx((every["gc"].mean() - decoys["gc"].mean()) / 2)
    assert row["variance_ratio_after"] == pytest.approx(promoters["gc"].var() / decoys["gc"].var())
    assert found.retention == pytest.approx(0.8)


def test_what_was_not_matched_is_shown_and_not_gated():
    frame = pairs(0)
    frame["gc2"] = frame["gc"] + frame["label"]
    found = measure_balance(frame, frame[frame["label"] == 1], frame[frame["label"] == 0], {"gc": 1, "gc2": 1}, ["gc"])
    assert found.table.set_index("covariate")["passed"].to_dict() == {"gc": True, "gc2": False}
    assert not found.failures()
    assert found.two_sample_auroc[0] < 0.6, "the classifier sees what was matched only"


def test_the_interval_is_over_pairs_of_any_size_and_that_of_a_plain_loop():
    rng = np.random.default_rng(5)
    pair_id = np.concatenate([np.repeat(np.arange(60), 2), np.arange(30)])
    labels = np.concatenate([np.tile([1, 0], 60), np.zeros(30, int)])
    score = np.round(rng.normal(size=150) + labels, 1)  # with ties
    value, low, high = _auroc_interval(score, labels, pair_id, np.random.default_rng(1))
    assert value == pytest.approx(roc_auc_score(labels, score))
    draws = np.random.default_rng(1)
    loop = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([np.flatnonzero(pair_id == pair) for pair in draws.integers(0, 60, 60)])
        loop.append(roc_auc_score(labels[rows], score[rows]))
    assert (low, high) == pytest.approx(tuple(np.quantile(loop, [0.025, 0.975])))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_the_largest_gap_is_scipys_statistic(ours, theirs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of its p-value, for samples this small
        expected = ks_2samp(ours, theirs, method="asymp").statistic
    assert largest_gap(np.array(ours, float), np.array(theirs, float)) == pytest.approx(expected)


def test_a_few_pairs_are_too_few_to_judge():
    with pytest.raises(BalanceError, match="4 pairs are too few"):
        two_sample_auroc(pairs(0, n=4), ["gc"], seed=0)


def test_two_sample_classifier_sees_a_planted_difference():
    value, low, _ = two_sample_auroc(pairs(1.5), ["gc"], seed=0)
    assert value == pytest.approx(0.855, abs=0.05)  # Phi(1.5 / sqrt 2)
    assert low > 0.75
