import numpy as np
import pytest
import torch

from genocontrast.encoders import StrandEncoder
from genocontrast.errors import ModelError
from genocontrast.evaluation.attention import attention_profile
from genocontrast.training.model import Model


def model_with(width, **choices):
    torch.manual_seed(0)
    return Model(StrandEncoder(width=8, depth=1, dim=4, **choices), width, {}, {})


@pytest.mark.parametrize(("width", "stride", "bins"), [(60, 4, 15), (63, 4, 15), (101, 1, 101)])
def test_the_profile_is_each_class_mean_attention(width, stride, bins):
    model = model_with(width, stride=stride, knots=3)
    codes = np.random.default_rng(1).integers(0, 4, (10, width), dtype=np.uint8)
    labels = np.tile(np.array([1, 0], np.int8), 5)
    found = attention_profile(model, codes, labels)
    weights = model.attention_codes(codes, batch_size=3)
    assert len(found["position"]) == bins
    assert found["position"] == pytest.approx([width - place for place in reversed(found["position"])])
    assert found["promoters"] == pytest.approx(weights[labels == 1].mean(0) * bins, rel=1e-5)
    # uniform attention would be 1 everywhere
    assert np.mean(found["decoys"]) == pytest.approx(1, abs=1e-5)


def test_attention_is_of_the_window_as_it_is_given():
    model = model_with(60)
    with torch.no_grad():
        model.network.pools[0].energy.weight.mul_(20)
    codes = np.random.default_rng(2).integers(0, 4, (6, 60), dtype=np.uint8)
    turned = (3 - codes)[:, ::-1].copy()
    np.testing.assert_allclose(model.attention_codes(turned)[:, ::-1], model.attention_codes(codes), atol=1e-5)
    assert np.abs(model.attention_codes(codes) - model.attention_codes(codes)[:, ::-1]).max() > 0.01


def test_an_encoder_without_attention_has_no_profile():
    model = model_with(60, pool="summary")
    codes = np.zeros((2, 60), np.uint8)
    assert attention_profile(model, codes, np.array([1, 0], np.int8)) is None
    with pytest.raises(ModelError, match="no attention"):
        model.attention_codes(codes)
