"""Views in training: every window is changed, alike in a resumed training; views that teach nothing are refused."""

import numpy as np
import pytest
import torch
from test_training_fit import TINY, random_pairs, same

from genocontrast.encoders import StrandEncoder
from genocontrast.encoders.views import one_hot
from genocontrast.errors import ConfigError
from genocontrast.training.fitting import fit_pairs
from genocontrast.training.module import PromoterModule
from genocontrast.training.steps import _share_of_peak

MUTATION = [{"mutation": {"rate": 0.3}}]


def trained(**settings):
    config = TINY.model_copy(update={"epochs": 2, **settings})
    return fit_pairs(random_pairs(16, 0), random_pairs(8, 1), config)[0]


def test_views_change_what_is_learned_and_repeat_themselves():
    assert same(trained(views=MUTATION), trained(views=MUTATION))
    assert not same(trained(views=MUTATION), trained())


def test_real_windows_are_changed_and_surrogates_and_validation_are_not(monkeypatch):
    seen = []
    features = StrandEncoder.features
    monkeypatch.setattr(
        StrandEncoder, "features", lambda self, x: seen.append((self.training, x.detach())) or features(self, x)
    )
    pairs, validation = random_pairs(8, 0, flank=0), random_pairs(8, 1, flank=0)
    config = TINY.model_copy(update={"epochs": 1, "views": MUTATION, "max_shift": 0})
    fit_pairs(pairs, validation, config)
    promoters = one_hot(torch.from_numpy(pairs.promoters))
    windows = next(x for training, x in seen if training)
    for part in windows.split(8)[:2]:
        # rows are in random order: each one is compared with the promoter that it is nearest to
        differ = (part[:, None] != promoters).any(2).float().mean(2).amin(1)
        assert 0.1 < differ.mean() < 0.5
    asked = next(x for training, x in seen if not training)
    expected = one_hot(torch.from_numpy(np.concatenate([validation.promoters, validation.decoys])))
    assert torch.equal(asked, expected)


@pytest.mark.parametrize("strand", ["tied", "twin"])
def test_reverse_complements_alone_teach_an_encoder_of_both_strands_nothing(strand):
    for views in ([{"reverse_complement": None}], [{"reverse_complement": None}, {"mutation": {"rate": 0.0}}]):
        with pytest.raises(ConfigError, match=f"a {strand} encoder gives .* no gradient"):
            trained(views=views, strand=strand)
    trained(views=[{"reverse_complement": None}, *MUTATION], strand=strand)


def test_a_free_encoder_learns_from_reverse_complements():
    trained(views=[{"reverse_complement": None}], strand="free")


def test_what_training_does_not_bear_is_named():
    with pytest.raises(ConfigError, match="reverse_complement hides it"):
        trained(views=[{"reverse_complement": None}, *MUTATION], orientation="stranded")
    with pytest.raises(ConfigError, match="move windows by"):
        trained(views=[{"shift": {"max_shift": 3, "flank": 3}}])
    with pytest.raises(ConfigError, match="no such view"):
        trained(views=[{"mutations": {"rate": 0.1}}])


# --- losses


def module_of(**settings):
    config = TINY.model_copy(update=settings)
    network = StrandEncoder(width=8, depth=1, dim=4, orientation=settings.get("orientation", "invariant"))
    return PromoterModule(network, config, random_pairs(8, 0), random_pairs(8, 1), 1)


def test_a_stranded_encoder_learns_the_strand_of_its_promoters():
    module = module_of(orientation="stranded")
    encoded = module.network(torch.randn(5, 4, 60))
    outcomes = torch.cat([torch.zeros(5, 1), encoded.directed], 1).log_softmax(1)
    torch.testing.assert_close(module._classify(encoded, 1), -outcomes[:, 1].mean())
    torch.testing.assert_close(module._classify(encoded, 0), -outcomes[:, 0].mean())


def test_without_known_strands_a_promoter_may_be_on_either():
    module = module_of(orientation="stranded")
    object.__setattr__(module.train_pairs, "oriented", False)
    encoded = module.network(torch.randn(5, 4, 60))
    for label, sign in ((1, -1), (0, 1)):
        expected = torch.nn.functional.softplus(sign * encoded.logit).mean()
        torch.testing.assert_close(module._classify(encoded, label), expected)


def test_without_classification_the_head_learns_and_the_features_do_not():
    def step(**settings):
        module = module_of(contrastive_weight=0.0, surrogate_weight=0.0, **settings)
        torch.manual_seed(0)
        batch = next(iter(_dataloader(module)))
        losses = module.losses(batch, 0)
        sum(losses.values()).backward()
        return losses, module.network

    losses, network = step(classification_weight=0.0)
    assert list(losses) == ["probe"]
    assert network.logit_head.weight.grad.any()
    assert network.trunk[0].convolution.weight.grad is None
    losses, network = step()
    assert network.trunk[0].convolution.weight.grad.any()


def _dataloader(module):
    from genocontrast.training.data import training_batches

    return training_batches(module.train_pairs, 8, 1, 0, with_surrogates=False)


@pytest.mark.parametrize("steps", [1, 2, 5, 6, 100])
def test_the_learning_rate_rises_and_falls_for_any_number_of_steps(steps):
    rates = [_share_of_peak(step, steps) for step in range(steps + 1)]
    assert 0 < max(rates) <= 1
    assert min(rates[:-1]) > 0
    assert rates[-1] == 0
    top = int(np.argmax(rates))
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
