import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from genocontrast.errors import ShapeError, SplitError
from genocontrast.evaluation.calibration import (
    assess_calibration,
    expected_calibration_error,
    reliability_curve,
    temperature_effect,
)
from genocontrast.evaluation.resamples import PairResamples


def examples(pairs, seed=0, temperature=1.0):
    """Labels of whole pairs, logits whose probabilities are right once divided by the temperature, pair ids."""
    rng = np.random.default_rng(seed)
    # a promoter is drawn as N(1, 1), a decoy as N(-1, 1): the log odds are twice the draw
    labels = np.tile([1, 0], pairs)
    return labels, 2 * (rng.normal(size=2 * pairs) + 2 * labels - 1) * temperature, np.repeat(np.arange(pairs), 2)


@given(st.integers(2, 60), st.integers(0, 2**32 - 1), st.sampled_from([None, 1, 3]))
@settings(max_examples=30, deadline=None)
def test_figures_equal_scikit_learn(pairs, seed, levels):
    labels, logits, ids = examples(pairs, seed)
    p = expit(logits) if levels is None else np.round(expit(logits) * levels) / levels  # certain ones, and ties
    found = assess_calibration(labels, p, PairResamples(ids, 5, 0))
    assert found.log_loss.value == pytest.approx(log_loss(labels, p))
    assert found.brier.value == pytest.approx(brier_score_loss(labels, p))
    observed, predicted = calibration_curve(labels, p, n_bins=10, strategy="quantile")
    np.testing.assert_allclose([each.observed for each in found.curve], observed)
    np.testing.assert_allclose([each.predicted for each in found.curve], predicted)
    assert sum(each.count for each in found.curve) == 2 * pairs


def test_intervals_are_those_of_the_drawn_pairs():
    labels, logits, ids = examples(40)
    p, resamples = expit(logits), PairResamples(ids, 60, 3)
    found = assess_calibration(labels, p, resamples)
    drawn = np.concatenate(list(resamples.weights()))
    for estimate, figure in ((found.log_loss, log_loss), (found.brier, brier_score_loss)):
        brute = [figure(labels, p, sample_weight=weights) for weights in drawn]
        assert (estimate.low, estimate.high) == pytest.approx(tuple(np.quantile(brute, [0.025, 0.975])))


def test_bins_hold_equal_counts_and_equal_probabilities_stay_together():
    labels, logits, _ = examples(500)
    assert {each.count for each in reliability_curve(labels, expit(logits), 10)} == {100}
    tied = reliability_curve([1, 0] * 50, [0.5] * 100)
    assert [(each.count, each.predicted, each.observed) for each in tied] == [(100, 0.5, 0.5)]


def test_wilson_intervals_by_the_formula():
    labels, logits, _ = examples(100)
    for each in reliability_curve(labels, expit(logits), 4):
        n, p, z = each.count, each.observed, 1.959963984540054
        centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        assert (each.low, each.high) == pytest.approx((centre - half, centre + half))


def test_calibration_error_by_hand():
    labels, p = [0, 0, 0, 1, 1, 1, 1, 0], [0.1, 0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9]
    assert expected_calibration_error(reliability_curve(labels, p, 2)) == pytest.approx(0.15)
    assert expected_calibration_error(reliability_curve([0, 1], [0.0, 1.0], 2)) == 0


def test_the_temperature_makes_an_overconfident_model_right():
    labels, logits, ids = examples(4000, temperature=3.0)
    found = temperature_effect(labels, logits, 3.0, PairResamples(ids, 100, 0))
    before, after = found["before"], found["after"]
    assert (found["temperature"], found["fitted_on"], found["prevalence"]) == (3.0, "validation", 0.5)
    assert after["log_loss"]["high"] < before["log_loss"]["low"]
    assert after["brier"]["value"] < before["brier"]["value"]
    assert after["ece"] < 0.015 < 0.05 < before["ece"]
    inside = [each["low"] <= each["predicted"] <= each["high"] for each in after["curve"]]
    assert sum(inside) >= 8
    json.dumps(found, allow_nan=False)


def test_examples_of_another_prevalence_are_met_at_theirs():
    """Three decoys for each promoter, while the logits are those of one: rescaled, they are right."""
    rng = np.random.default_rng(0)
    labels, ids = np.tile([1, 0, 0, 0], 2000), np.repeat(np.arange(2000), 4)
    logits = 2 * (rng.normal(size=8000) + 2 * labels - 1)
    resamples = PairResamples(ids, 100, 0)
    assert temperature_effect(labels, logits, 1.0, resamples)["after"]["ece"] < 0.015
    assert assess_calibration(labels, expit(logits), resamples).ece > 0.05


def test_certain_errors_cost_a_finite_loss():
    found = assess_calibration([1, 0], [0.0, 1.0], PairResamples([0, 0], 5, 0))
    assert found.log_loss.value == pytest.approx(-np.log(np.finfo(float).eps))
    assert (found.brier.value, found.ece) == (1, 1)


def test_numbers_that_are_no_probabilities_and_single_classes_are_named():
    with pytest.raises(ShapeError, match="must lie in 0 to 1"):
        reliability_curve([1, 0], [0.5, 1.5])
    with pytest.raises(SplitError, match="single class"):
        assess_calibration([1, 1], [0.5, 0.5], PairResamples([0, 1], 5, 0))
