"""What an encoder keeps of directions, how it merges strands, where it looks, and modules of other people."""

import numpy as np
import pytest
import torch
from torch import nn

from genocontrast import sequence
from genocontrast.encoders import StrandEncoder
from genocontrast.encoders.layers import AttentionPool, Place, by_position, convolve
from genocontrast.encoders.strand import Summary, canonical_strand
from genocontrast.errors import ModelError, ShapeError


def windows(n, length, seed=0, dtype=torch.float64):
    codes = np.random.default_rng(seed).integers(0, 5, (n, length), dtype=np.uint8)
    return torch.from_numpy(sequence.one_hot(codes)).to(dtype)


def randomised(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / parameter.shape[-1] ** 0.5)
    return module.eval()


@pytest.mark.parametrize("strand", ["tied", "twin"])
@pytest.mark.parametrize("length", [41, 70, 83])
def test_a_stranded_encoder_swaps_its_strands_and_keeps_score_and_embedding(strand, length):
    encoder = randomised(StrandEncoder(strand, width=8, depth=2, dim=5, orientation="stranded", knots=7)).double()
    x = windows(6, length)
    there, back = encoder(x), encoder(x.flip(1, 2))
    assert there.directed.shape == (6, 2)
    assert (there.directed[:, 0] - there.directed[:, 1]).abs().max() > 1e-3
    torch.testing.assert_close(back.directed.flip(1), there.directed, rtol=0, atol=1e-12)
    torch.testing.assert_close(back.logit, there.logit, rtol=0, atol=1e-12)
    torch.testing.assert_close(back.embedding, there.embedding, rtol=0, atol=1e-12)


def test_the_score_is_that_of_a_promoter_on_either_strand():
    encoded = randomised(StrandEncoder(width=8, dim=5, orientation="stranded")).double()(windows(4, 60))
    outcomes = torch.cat([torch.zeros(4, 1), encoded.directed], dim=1).softmax(1)
    torch.testing.assert_close(encoded.logit.sigmoid(), outcomes[:, 1:].sum(1))


def test_an_invariant_encoder_has_no_say_in_directions():
    encoded = randomised(StrandEncoder(width=8, dim=5))(windows(4, 60, dtype=torch.float32))
    assert torch.equal(encoded.directed[:, 0], encoded.logit)


@pytest.mark.parametrize("merge", ["mean", "logsumexp", "canonical"])
def test_each_merge_gives_both_strands_one_answer(merge):
    encoder = randomised(StrandEncoder("twin", width=8, depth=1, dim=5, merge=merge)).double()
    x = windows(6, 50)
    for a, b in zip(encoder(x), encoder(x.flip(1, 2)), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_the_merges_are_what_they_say():
    x, read = windows(5, 40), {}
    for merge in ("mean", "logsumexp", "canonical"):
        encoder = randomised(StrandEncoder("twin", width=8, depth=1, dim=5, merge=merge)).double()
        read[merge] = encoder.features(x).squeeze(1)
    free = randomised(StrandEncoder("free", width=8, depth=1, dim=5)).double()
    here, there = (free.features(each).squeeze(1) for each in (x, x.flip(1, 2)))
    torch.testing.assert_close(read["mean"], (here + there) / 2)
    torch.testing.assert_close(read["logsumexp"], torch.logaddexp(here, there))
    for row, one, other in zip(read["canonical"], here, there, strict=True):
        assert torch.allclose(row, one) or torch.allclose(row, other)


def test_the_canonical_strand_is_the_one_that_sorts_first():
    x = torch.cat([windows(20, 9), windows(1, 9) * 0])
    chosen = canonical_strand(x)
    for row, mirrored, found in zip(x, x.flip(1, 2), chosen, strict=True):
        assert found.flatten().tolist() == min(row.flatten().tolist(), mirrored.flatten().tolist())
    assert torch.equal(canonical_strand(x.flip(1, 2)), chosen)


# --- attention


def test_a_place_is_a_curve_for_each_channel_that_the_other_strand_mirrors():
    tied, plain = (randomised(Place(6, tied, knots=4)).double() for tied in (True, False))
    x = torch.randn(2, 6, 11, dtype=torch.float64)
    along = np.linspace(0, 3, 11)
    curves = [np.interp(along, range(4), row) for row in plain.curves.detach().numpy()]
    np.testing.assert_allclose((plain(by_position(x)) - x).detach(), np.stack([curves, curves]), atol=1e-12)
    half = [np.interp(along, range(4), row) for row in tied.curves.detach().numpy()]
    both = np.stack([*half, *(row[::-1] for row in reversed(half))])
    np.testing.assert_allclose((tied(by_position(x)) - x).detach(), np.stack([both, both]), atol=1e-12)
    torch.testing.assert_close(tied(by_position(x.flip(1, 2))), tied(by_position(x)).flip(1, 2))


@pytest.mark.parametrize("knots", [0, 9])
def test_where_a_motif_lies_counts_with_knots_alone(knots):
    x = torch.zeros(2, 4, 120, dtype=torch.float64)
    motif = windows(1, 12)[0]
    x[0, :, 40:52], x[1, :, 60:72] = motif, motif
    encoder = randomised(StrandEncoder(width=8, depth=0, knots=knots)).double()
    one, other = encoder(x).logit
    assert (abs(float((one - other).detach())) > 1e-3) == bool(knots)


def test_attention_is_a_softmax_over_the_energies():
    pool = randomised(AttentionPool(6, heads=3, values=2)).double()
    x = torch.randn(2, 6, 11, dtype=torch.float64)
    energy = np.einsum("hc,ncl->nhl", pool.energy.weight.detach(), x) + pool.energy.bias.detach().numpy()[:, None]
    weights = np.exp(energy)
    weights /= weights.sum(2, keepdims=True)
    values = np.einsum("hcv,ncl->nhvl", pool.values.detach(), x)
    expected = np.einsum("nhl,nhvl->nhv", weights, values).reshape(2, 6)
    np.testing.assert_allclose(pool.weights(x).detach(), weights, atol=1e-12)
    np.testing.assert_allclose(pool(x).detach(), expected, atol=1e-12)


@pytest.mark.parametrize("pool", [AttentionPool(6, heads=3, values=2), Summary()])
def test_a_pool_reads_the_other_strand_without_turning_it(pool):
    pool, x = randomised(pool).double(), torch.randn(2, 6, 11, dtype=torch.float64)
    torch.testing.assert_close(pool(x, mirrored=True), pool(x.flip(1, 2)))


@pytest.mark.parametrize("orientation", ["invariant", "stranded"])
def test_attention_turns_with_the_window_and_sums_to_one(orientation):
    encoder = randomised(StrandEncoder(width=8, depth=1, orientation=orientation, knots=5)).double()
    x = windows(3, 66)
    weights = encoder.attention(x)
    assert weights.shape == (3, 66 // 4)
    assert weights.std() > 0
    torch.testing.assert_close(weights.sum(1), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(encoder.attention(x.flip(1, 2)).flip(1), weights, rtol=0, atol=1e-12)


def test_attention_of_an_encoder_without_it_is_named():
    with pytest.raises(ModelError, match="no attention pool"):
        StrandEncoder(width=8, pool="summary").attention(windows(1, 30, dtype=torch.float32))


# --- a module from elsewhere


class Letters(nn.Module):
    """A stand-in for somebody's language model: features of 6 dimensions at every third base."""

    def __init__(self, pooled=False):
        super().__init__()
        self.net, self.pooled = nn.Conv1d(4, 6, 5, stride=3), pooled

    def forward(self, x):
        found = self.net(x)
        return found.mean(2) if self.pooled else found


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("orientation", ["invariant", "stranded"])
def test_any_module_reads_both_strands_as_a_twin(pooled, orientation):
    encoder = StrandEncoder("twin", Letters(pooled), width=6, dim=5, orientation=orientation)
    encoder = randomised(encoder).double()
    x = windows(4, 40)
    there, back = encoder(x), encoder(x.flip(1, 2))
    torch.testing.assert_close(there.logit, back.logit, rtol=0, atol=1e-12)
    torch.testing.assert_close(there.embedding, back.embedding, rtol=0, atol=1e-12)
    assert encoder.architecture["arch"] == "outside"


def test_what_cannot_be_done_with_a_module_is_named():
    with pytest.raises(ModelError, match="cannot be tied"):
        StrandEncoder("tied", Letters(), width=6)
    with pytest.raises(ShapeError, match=r"features of shape \(n, 8\[, positions\]\)"):
        StrandEncoder("twin", Letters(), width=8)(windows(2, 40, dtype=torch.float32))
    with pytest.raises(ModelError, match="give that module itself"):
        StrandEncoder("twin", "outside", width=6)


@pytest.mark.parametrize(
    ("choices", "problem"),
    [
        ({"pool": "max"}, "pool is none of both, attention, summary"),
        ({"orientation": "both"}, "orientation is none of"),
        ({"merge": "max"}, "merge is none of"),
        ({"arch": "transformer"}, "arch is none of"),
        ({"strand": "free", "orientation": "stranded"}, "reads one strand only"),
        ({"strand": "tied", "merge": "canonical"}, "only a twin"),
    ],
)
def test_choices_that_do_not_exist_are_named(choices, problem):
    with pytest.raises(ModelError, match=problem):
        StrandEncoder(**{"width": 8, **choices})


# --- layout


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_layout_changes_no_value_and_is_kept(dtype):
    x = torch.randn(3, 6, 21, dtype=dtype)
    weight, bias = torch.randn(4, 6, 5, dtype=dtype), torch.randn(4, dtype=dtype)
    assert torch.equal(by_position(x), x)
    found = convolve(by_position(x), weight, bias, dilation=2)
    torch.testing.assert_close(found, nn.functional.conv1d(x, weight, bias, padding=4, dilation=2))
    assert found.transpose(1, 2).is_contiguous()
