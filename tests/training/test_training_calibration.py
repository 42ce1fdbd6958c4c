"""The temperature, the prevalence, and the model that keeps them."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from genocontrast.encoders import StrandEncoder
from genocontrast.errors import GenocontrastWarning, ModelError, ShapeError, SplitError
from genocontrast.training import load_model, predict
from genocontrast.training.calibration import (
    BOUNDS,
    calibrated,
    fit_temperature,
    prior_shift,
    rescale,
    validation_temperature,
)
from genocontrast.training.data import PairCodes
from genocontrast.training.model import Model

prevalences = st.floats(0.001, 0.999)
probabilities = st.floats(1e-6, 1 - 1e-6)


def planted(n, temperature, seed=0, spread=2.0):
    """Logits of a model that is right once they are divided by a temperature."""
    rng = np.random.default_rng(seed)
    true = rng.normal(scale=spread, size=n)
    return true * temperature, rng.random(n) < expit(true)


def smoothed_loss(logits, labels, temperature):
    """The log loss by its definition, with Platt's targets."""
    total, promoters, decoys = 0.0, labels.sum(), (~labels).sum()
    for value, label in zip(logits, labels, strict=True):
        target = (promoters + 1) / (promoters + 2) if label else 1 / (decoys + 2)
        # -log p and -log(1 - p), without overflow
        total += target * np.logaddexp(0, -value / temperature) + (1 - target) * np.logaddexp(0, value / temperature)
    return total / len(logits)


# --- the fit


@pytest.mark.parametrize("temperature", [0.3, 0.8, 1.0, 2.5, 6.0])
def test_a_planted_temperature_is_found(temperature):
    assert fit_temperature(*planted(40_000, temperature)) == pytest.approx(temperature, rel=0.04)


@given(st.integers(0, 10_000), st.floats(0.2, 5))
@settings(max_examples=15, deadline=None)
def test_no_other_temperature_has_a_lower_loss(seed, temperature):
    logits, labels = planted(60, temperature, seed)
    found = fit_temperature(logits, labels)
    least = smoothed_loss(logits, labels, found)
    for other in np.geomspace(*BOUNDS, 25):
        assert least <= smoothed_loss(logits, labels, other) + 1e-9


@given(st.integers(0, 10_000), st.floats(0.5, 2))
@settings(max_examples=15, deadline=None)
def test_scaled_logits_have_a_scaled_temperature(seed, scale):
    logits, labels = planted(400, 1.0, seed)
    assert fit_temperature(scale * logits, labels) == pytest.approx(scale * fit_temperature(logits, labels), rel=1e-4)


def test_separated_classes_are_bounded_by_their_number_and_said():
    temperatures = []
    for n in (10, 1000):
        logits, labels = np.tile([3.0, -3.0], n), np.tile([1, 0], n)
        with pytest.warns(GenocontrastWarning, match=f"separate {n} promoters from {n} decoys"):
            temperatures.append(fit_temperature(logits, labels))
        # the rule of succession: n of n were right
        assert expit(3.0 / temperatures[-1]) == pytest.approx((n + 1) / (n + 2), rel=1e-5)
    assert BOUNDS[0] < temperatures[1] < temperatures[0]


def test_one_error_among_many_is_no_separation():
    logits, labels = np.append(np.tile([3.0, -3.0], 50), [2.0, -2.0]), np.append(np.tile([1, 0], 50), [0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 0.3 < fit_temperature(logits, labels) < 3


def test_logits_that_tell_nothing_or_the_contrary_are_flattened():
    logits, labels = planted(4000, 1.0)
    assert fit_temperature(logits, ~labels) == pytest.approx(BOUNDS[1], rel=1e-3)
    assert fit_temperature(np.tile([1.0, 1.0, -1.0, -1.0], 50), np.tile([1, 0], 100)) > 0.99 * BOUNDS[1]


def test_what_cannot_be_fitted_is_named():
    with pytest.raises(SplitError, match="promoters and decoys"):
        fit_temperature([1.0, 2.0], [1, 1])
    with pytest.raises(ShapeError, match="one length"):
        fit_temperature([1.0, 2.0], [1])
    with pytest.raises(ShapeError, match="1 of 2 logits"):
        fit_temperature([1.0, np.nan], [1, 0])


# --- another prevalence


@given(st.lists(probabilities, min_size=2, max_size=20, unique=True), prevalences, prevalences)
def test_rescaling_keeps_the_order_and_is_undone_by_the_swap(values, one, other):
    values = np.sort(values)
    moved = rescale(values, one, other)
    assert (np.diff(moved) >= 0).all()
    assert moved[-1] > moved[0] or values[-1] - values[0] < 1e-9
    np.testing.assert_allclose(rescale(moved, other, one), values, rtol=1e-5)
    np.testing.assert_allclose(rescale(values, one, one), values, rtol=1e-9)


@given(probabilities, prevalences, prevalences)
def test_rescaled_odds_are_the_odds_times_the_ratio(value, prevalence, trained):
    found = float(rescale(value, prevalence, trained))
    ratio = prevalence / (1 - prevalence) * (1 - trained) / trained
    assert found / (1 - found) == pytest.approx(value / (1 - value) * ratio, rel=1e-4)


def test_rescaling_is_bayes_rule():
    """Two classes whose windows fall in three kinds: the posterior at any prevalence follows from the counts."""
    of_promoters, of_decoys = np.array([0.6, 0.3, 0.1]), np.array([0.1, 0.3, 0.6])
    for prevalence in (0.001, 0.2, 0.5, 0.9):
        posterior = prevalence * of_promoters / (prevalence * of_promoters + (1 - prevalence) * of_decoys)
        np.testing.assert_allclose(rescale(of_promoters / (of_promoters + of_decoys), prevalence), posterior)
    assert rescale([0.0, 1.0], 0.01).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("prevalence", [0, 1, -0.1, 1.5, np.nan])
def test_an_impossible_prevalence_is_named(prevalence):
    for call in (
        lambda: rescale([0.5], prevalence),
        lambda: rescale([0.5], 0.5, prevalence),
        lambda: calibrated(np.zeros(1), 1.0, prevalence),
        lambda: prior_shift(prevalence),
    ):
        with pytest.raises(ShapeError, match="a prevalence must lie between 0 and 1"):
            call()


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan])
def test_what_is_no_probability_is_named(value):
    with pytest.raises(ShapeError, match="must lie in 0 to 1"):
        rescale([0.5, value], 0.1)


@given(st.floats(-20, 20), st.floats(0.1, 10), prevalences)
def test_calibrated_probabilities_are_those_of_the_divided_logit_rescaled(value, temperature, prevalence):
    logits = np.array([value])
    assert calibrated(logits, temperature)[0] == pytest.approx(1 / (1 + np.exp(-value / temperature)))
    expected = logit(1 / (1 + np.exp(-value / temperature))) + prior_shift(prevalence)
    if abs(value / temperature) < 15:
        assert calibrated(logits, temperature, prevalence)[0] == pytest.approx(expit(expected), rel=1e-4)
    assert calibrated(logits.astype(np.float32), temperature, prevalence).dtype == np.float32


# --- the model


@pytest.fixture
def model():
    torch.manual_seed(0)
    network = StrandEncoder("tied", width=8, depth=1, dim=4)
    return Model(network.eval(), 60, {"train": ["chr1"], "validation": ["chr2"]}, {}, temperature=2.5)


@pytest.fixture
def codes():
    return np.random.default_rng(1).integers(0, 4, (40, 60)).astype(np.uint8)


def test_scores_are_calibrated_and_logits_are_not(model, codes):
    logits, plain = model.logits_codes(codes), Model(model.network, 60, {}, {})
    assert plain.temperature == 1.0
    assert (plain.logits_codes(codes) == logits).all()
    np.testing.assert_allclose(plain.score_codes(codes), expit(logits), rtol=1e-6)
    np.testing.assert_allclose(model.score_codes(codes), expit(logits / 2.5), rtol=1e-6)
    assert np.ptp(logits) > 1e-3
    assert model.score_codes(codes).dtype == logits.dtype == np.float32
    rare = model.score_codes(codes, prevalence=0.01)
    assert rare.dtype == np.float32
    np.testing.assert_allclose(rare, rescale(model.score_codes(codes), 0.01), rtol=1e-4)
    with pytest.raises(ShapeError, match="a prevalence must lie between 0 and 1"):
        model.score_codes(codes, prevalence=1.0)


def test_predictions_are_rescaled_on_request(model, tmp_path, monkeypatch):
    from genocontrast.genome import Genome

    monkeypatch.setenv("GENOCONTRAST_CACHE", str(tmp_path / "cache"))
    letters = "".join("ACGT"[code] for code in np.random.default_rng(2).integers(0, 4, 500))
    (tmp_path / "genome.fa").write_text(f">c\n{letters}\n")
    regions = pd.DataFrame({"chrom": "c", "start": [0, 100, 200], "end": [60, 160, 260]})
    genome = Genome(tmp_path / "genome.fa")
    plain, rare = (predict(model, regions, genome, prevalence=p)["probability"] for p in (None, 0.02))
    np.testing.assert_allclose(rare, rescale(plain, 0.02), rtol=1e-4)
    with pytest.raises(ShapeError, match="a prevalence"):
        predict(model, regions, genome, prevalence=0)


def test_the_temperature_is_saved_and_models_without_one_have_1(model, codes, tmp_path):
    model.save(tmp_path / "model")
    description = tmp_path / "model" / "config.json"
    saved = json.loads(description.read_text())
    assert saved["temperature"] == 2.5
    assert (load_model(tmp_path / "model").score_codes(codes) == model.score_codes(codes)).all()
    del saved["temperature"]
    description.write_text(json.dumps(saved))
    assert load_model(tmp_path / "model").temperature == 1.0


@pytest.mark.parametrize("value", [0, -1.0, "2", None, True, [1.0], float("nan"), float("inf")])
def test_a_temperature_that_is_no_positive_number_names_the_file(model, tmp_path, value):
    model.save(tmp_path / "model")
    description = tmp_path / "model" / "config.json"
    description.write_text(json.dumps(json.loads(description.read_text()) | {"temperature": value}))
    with pytest.raises(ModelError, match=r"config\.json: the temperature must be a positive number"):
        load_model(tmp_path / "model")


def test_validation_windows_are_read_without_their_flanks():
    class CountsA:
        """A model whose logit is the number of A, less 2; flanks are of A."""

        def logits_codes(self, codes):
            return (codes == 0).sum(1) - 2.0

    rng = np.random.default_rng(0)
    windows = {1: rng.integers(0, 3, (60, 6)), 0: rng.integers(0, 5, (60, 6))}
    flanked = {label: np.pad(rows, ((0, 0), (4, 4))).astype(np.uint8) for label, rows in windows.items()}
    found = validation_temperature(CountsA(), PairCodes(flanked[1], flanked[0], 4))
    logits = np.concatenate([(windows[label] == 0).sum(1) - 2.0 for label in (1, 0)])
    assert found == fit_temperature(logits, np.repeat([1, 0], 60))
    assert BOUNDS[0] * 1.1 < found < BOUNDS[1] / 1.1
