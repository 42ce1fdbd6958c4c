import numpy as np
import pandas as pd
import pytest

from genocontrast.errors import BalanceError
from genocontrast.negatives.balance import measure_balance, two_sample_auroc


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
    return measure_balance(frame, pd.concat([promoters, missing]), frame[frame["label"] == 0], ["gc"])


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


def test_two_sample_classifier_sees_a_planted_difference():
    value, low, _ = two_sample_auroc(pairs(1.5), ["gc"], seed=0)
    assert value == pytest.approx(0.855, abs=0.05)  # Phi(1.5 / sqrt 2)
    assert low > 0.75
