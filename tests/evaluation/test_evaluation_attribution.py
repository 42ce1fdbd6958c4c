import numpy as np
import pytest
import torch
from torch import nn

from genocontrast.encoders import KmerEncoder, StrandEncoder
from genocontrast.evaluation.attribution import attribute, mean_logits, mutagenesis, write_attributions
from genocontrast.evaluation.dinucleotides import shuffle
from genocontrast.sequence import one_hot, one_strand, reverse_complement
from genocontrast.training.model import Model

WIDTH = 60


class Linear(nn.Module):
    strand = "free"

    def __init__(self, weights):
        super().__init__()
        self.weights = nn.Parameter(torch.from_numpy(weights))

    def forward(self, x):
        return type("Answer", (), {"logit": (x * self.weights).sum((1, 2))})()


def windows(n, seed=1, width=WIDTH):
    return np.random.default_rng(seed).integers(0, 4, (n, width)).astype(np.uint8)


def model_of(strand, **options):
    torch.manual_seed(0)
    return Model(StrandEncoder(strand, width=8, depth=1, dim=8, **options), WIDTH, {}, {})


@pytest.fixture
def linear(stand_in):
    weights = np.random.default_rng(0).normal(size=(4, 12)).astype(np.float32)
    model = stand_in(np.eye(4), 12)
    model.network = Linear(weights).train()
    return model, (weights + weights[::-1, ::-1]) / 2


def test_a_linear_network_has_its_weights_less_those_of_the_shuffles(linear):
    model, weights = linear
    codes = np.random.default_rng(1).integers(0, 5, (70, 12)).astype(np.uint8)
    found = attribute(model, codes, references=3, steps=2, seed=5)
    rng, strand = np.random.default_rng(5), one_strand(codes)
    expected = np.mean([(one_hot(shuffle(strand[0], rng)) * weights).sum(1) for _ in range(3)], axis=0)
    expected[strand[1]] = expected[strand[1], ::-1]
    np.testing.assert_allclose(found.effects, weights[None] - expected[:, None], rtol=1e-4, atol=1e-5)
    present = (one_hot(codes) * weights).sum(1)
    np.testing.assert_allclose(found.contributions, present - expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.error, 0, atol=1e-4)
    assert model.network.training  # the mode that it came with
    assert model.network.weights.grad is None


@pytest.mark.parametrize(
    ("strand", "options"),
    [
        ("tied", {}),
        ("tied", {"orientation": "stranded"}),
        ("twin", {}),
        ("twin", {"merge": "canonical"}),
        ("twin", {"merge": "logsumexp"}),
        ("free", {}),
    ],
)
def test_the_other_strand_has_exactly_the_mirrored_attribution(strand, options):
    model, codes = model_of(strand, **options), windows(9)
    one, other = (attribute(model, x, references=2, steps=2) for x in (codes, reverse_complement(codes)))
    np.testing.assert_array_equal(one.contributions, other.contributions[:, ::-1])
    np.testing.assert_array_equal(one.effects, other.effects[:, ::-1, ::-1])
    np.testing.assert_array_equal(one.logits, other.logits)
    assert np.abs(one.contributions).max() > 0
    changes = [mutagenesis(model, x) for x in (codes[:3], reverse_complement(codes[:3]))]
    np.testing.assert_array_equal(changes[0], changes[1][:, ::-1, ::-1])


@pytest.mark.parametrize("strand", ["tied", "free"])
def test_more_steps_explain_the_whole_difference_of_logits(strand):
    model, codes = model_of(strand), windows(12)
    coarse, fine = (attribute(model, codes, references=2, steps=steps) for steps in (1, 64))
    assert fine.relative_error < 0.05
    assert fine.relative_error < coarse.relative_error
    np.testing.assert_allclose(fine.logits, mean_logits(model, codes), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        fine.contributions.sum(1) - fine.error, fine.logits - fine.reference_logits, rtol=1e-4, atol=1e-5
    )


def test_an_encoder_of_kmers_is_attributed_by_its_substitutions():
    torch.manual_seed(0)
    model, codes = Model(KmerEncoder(4, 8, dim=8), WIDTH, {}, {}), windows(5)
    codes[2, 11] = 4
    found, other = attribute(model, codes), attribute(model, reverse_complement(codes))
    assert found.method == "mutagenesis"
    np.testing.assert_array_equal(found.contributions, other.contributions[:, ::-1])
    np.testing.assert_array_equal(found.effects, other.effects[:, ::-1, ::-1])
    for row, position in ((0, 0), (1, 30), (4, WIDTH - 1)):
        four = np.repeat(codes[[row]], 4, axis=0)
        four[:, position] = range(4)
        logits = mean_logits(model, four)
        expected = logits[codes[row, position]] - logits.mean()
        assert found.contributions[row, position] == pytest.approx(expected, abs=2e-6)
    assert found.contributions[2, 11] == 0
    assert np.abs(found.contributions).max() > 0


@pytest.mark.parametrize("strand", ["tied", "free"])
def test_mutagenesis_equals_scoring_each_mutant(strand):
    model, codes = model_of(strand), windows(3)
    codes[1, 7] = 4
    change = mutagenesis(model, codes)
    for row, base, position in np.random.default_rng(0).integers(0, (3, 4, WIDTH), (40, 3)).tolist():
        mutant = codes[[row]].copy()
        if mutant[0, position] < 4:
            mutant[0, position] = base
        expected = float((mean_logits(model, mutant) - mean_logits(model, codes[[row]]))[0])
        assert change[row, base, position] == pytest.approx(expected, abs=2e-6)
    assert (change * one_hot(codes) == 0).all()
    assert (change[1, :, 7] == 0).all()


def test_attributions_are_written_with_the_same_bytes_and_no_pickle(tmp_path):
    model, codes = model_of("tied"), windows(5)
    names = np.array([f"p{i}" for i in range(5)])
    found = attribute(model, codes, references=1, steps=1)
    for name in ("one", "other"):
        write_attributions(tmp_path / f"{name}.npz", names, found, {"stage": "evaluation"})
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "other.npz").read_bytes()
    with np.load(tmp_path / "one.npz", allow_pickle=False) as back:
        assert back["name"].tolist() == names.tolist()
        np.testing.assert_allclose(back["contribution"], found.contributions, rtol=2e-3, atol=1e-6)
        np.testing.assert_array_equal(back["logit"], found.logits)
        assert '"stage": "evaluation"' in str(back["provenance"])


def test_no_windows_no_attributions():
    found = attribute(model_of("tied"), windows(0))
    assert found.effects.shape == (0, 4, WIDTH)
    assert mutagenesis(model_of("tied"), windows(0)).shape == (0, 4, WIDTH)
