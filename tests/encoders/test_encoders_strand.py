import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from genocontrast import sequence
from genocontrast.encoders import StrandEncoder
from genocontrast.encoders.layers import TiedConv1d, WindowNorm, symmetric_max_pool
from genocontrast.encoders.strand import STRANDS
from genocontrast.encoders.views import one_hot, reverse_complement, shift
from genocontrast.errors import ModelError, ShapeError


def windows(n, length, seed=0, with_n=True, dtype=torch.float64):
    codes = np.random.default_rng(seed).integers(0, 5 if with_n else 4, (n, length), dtype=np.uint8)
    return torch.from_numpy(sequence.one_hot(codes)).to(dtype)


def randomised(module, seed=0):
    """Random values in every parameter: the initial zeros and ones would hide a strand that is treated unlike."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / parameter.shape[-1] ** 0.5)
    return module.eval()


def difference(encoder, x):
    there, back = encoder(x), encoder(x.flip(1, 2))
    swapped = back._replace(directed=back.directed.flip(1))
    return max((a - b).abs().max().item() for a, b in zip(there, swapped, strict=True))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("strand", ["tied", "twin"])
def test_both_strands_give_one_answer_at_every_length(strand, dtype, tolerance):
    encoder = randomised(StrandEncoder(strand, width=8, depth=3, dim=5)).to(dtype)
    with torch.no_grad():
        worst = max(difference(encoder, windows(3, length, length, dtype=dtype)) for length in range(50, 121))
    assert worst <= tolerance


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["tied", "twin"]),
    st.integers(1, 6),
    st.integers(0, 4),
    st.integers(19, 330),
    st.integers(0, 10**6),
)
def test_both_strands_give_one_answer_with_any_weights_and_shape(strand, half_width, depth, length, seed):
    encoder = randomised(StrandEncoder(strand, width=2 * half_width, depth=depth, dim=3), seed).double()
    with torch.no_grad():
        assert difference(encoder, windows(2, length, seed)) <= 1e-12


def test_training_mode_treats_strands_alike_too():
    encoder = randomised(StrandEncoder("tied", width=8, depth=2, dim=4)).double().train()
    assert difference(encoder, windows(4, 77)) <= 1e-12


def test_a_free_encoder_tells_strands_apart():
    encoder = randomised(StrandEncoder("free", width=8, depth=2, dim=5)).double()
    assert difference(encoder, windows(8, 100)) > 1e-3


def test_a_tied_encoder_tells_orientations_of_a_motif_pair_apart():
    # invariance must not come from forgetting strands: A>B> and A><B differ by the strand of one motif only
    filler = "A" * 20
    motif = "GATTACA"
    same = torch.from_numpy(sequence.one_hot(sequence.encode(filler + motif + filler + motif + filler)[None]))
    mirrored = sequence.decode(sequence.reverse_complement(sequence.encode(motif)))
    opposite = torch.from_numpy(sequence.one_hot(sequence.encode(filler + motif + filler + mirrored + filler)[None]))
    encoder = randomised(StrandEncoder("tied", width=8, depth=2, dim=5))
    assert (encoder(same).logit - encoder(opposite).logit).abs().item() > 1e-3


@pytest.mark.parametrize("dilation", [1, 3])
def test_a_tied_convolution_keeps_the_rule_and_is_one_ordinary_convolution(dilation):
    layer = randomised(TiedConv1d(6, 4, 5, dilation, parts=2)).double()
    x = torch.randn(2, 6, 41, dtype=torch.float64)
    found = layer(x)
    mirrored = layer(x.flip(1, 2)).flip(2)
    assert found.shape == (2, 8, 41)
    for part in range(2):  # each part keeps the rule by itself, so that values and gates can be told apart
        block = slice(4 * part, 4 * part + 4)
        torch.testing.assert_close(mirrored[:, block].flip(1), found[:, block], rtol=0, atol=1e-12)
    # the first filter of the first part, by hand
    centre, kernel = 20, layer.weight[0, 0]
    expected = layer.bias[0, 0] + sum(kernel[:, i] @ x[0, :, centre + (i - 2) * dilation] for i in range(5))
    assert found[0, 0, centre].item() == pytest.approx(expected.item(), abs=1e-12)


def test_the_norm_looks_at_one_window_at_a_time():
    norm = randomised(WindowNorm(6, tied=True)).double()
    x = torch.randn(5, 6, 20, dtype=torch.float64)
    torch.testing.assert_close(norm(x)[:1], norm(x[:1]), rtol=0, atol=1e-12)
    torch.testing.assert_close(norm(x.flip(1, 2)).flip(1, 2), norm(x), rtol=0, atol=1e-12)


@given(st.integers(8, 60))
def test_the_pooling_grid_is_symmetric_and_leaves_nothing_out(length):
    x = torch.randn(2, 3, length)
    assert torch.equal(symmetric_max_pool(x.flip(2), 4).flip(2), symmetric_max_pool(x, 4))
    assert symmetric_max_pool(x, 4).shape == (2, 3, length // 4)
    for position in range(length):
        spike = torch.zeros(1, 1, length)
        spike[0, 0, position] = 1
        assert symmetric_max_pool(spike, 4).max() == 1


def test_motifs_a_hundred_bp_apart_are_seen_together():
    # the last block's output at the centre depends on bases 50 bp to either side of it
    encoder = randomised(StrandEncoder("tied", width=8, depth=3, dim=4))
    x = windows(1, 301, with_n=False, dtype=torch.float32).requires_grad_()
    stem, *blocks, _ = encoder.trunk
    # without pooling's choices, every base has a gradient
    channels = nn.Sequential(*blocks)(stem.convolution(x)[..., ::4])
    channels[0, :, channels.shape[2] // 2].sum().backward()
    reach = x.grad.abs().sum((0, 1)).nonzero().flatten()
    assert reach.min() <= 150 - 50
    assert reach.max() >= 150 + 50


@pytest.mark.parametrize("strand", STRANDS)
def test_gradients_reach_every_parameter(strand):
    encoder = StrandEncoder(strand, width=8, depth=2, dim=4)
    encoded = encoder(windows(4, 80, dtype=torch.float32))
    (encoded.embedding[:, 0].sum() + encoded.logit.sum()).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in encoder.parameters())


def test_embeddings_have_length_one():
    encoded = StrandEncoder("tied", width=8, dim=4)(windows(3, 60, dtype=torch.float32))
    assert encoded.embedding.shape == (3, 4)
    assert encoded.logit.shape == (3,)
    torch.testing.assert_close(encoded.embedding.norm(dim=1), torch.ones(3))


@pytest.mark.parametrize("shape", [(4, 60), (2, 5, 60)])
def test_windows_of_another_shape_are_named(shape):
    with pytest.raises(ShapeError, match="windows must have shape"):
        StrandEncoder(width=8)(torch.zeros(shape))


def test_windows_shorter_than_a_filter_are_named():
    with pytest.raises(ShapeError, match=r"shorter than what the encoder needs, 19 bp \(got 18\)"):
        StrandEncoder(width=8)(torch.zeros(2, 4, 18))


def test_impossible_encoders_are_named():
    with pytest.raises(ModelError, match="strand is none of"):
        StrandEncoder("both")
    with pytest.raises(ModelError, match="must be even"):
        StrandEncoder(width=7)


def test_views_agree_with_the_sequence_kernels():
    codes = np.random.default_rng(3).integers(0, 5, (6, 31), dtype=np.uint8)
    there = one_hot(torch.from_numpy(codes))
    assert torch.equal(there, torch.from_numpy(sequence.one_hot(codes)))
    assert torch.equal(
        reverse_complement(there), torch.from_numpy(sequence.one_hot(sequence.reverse_complement(codes)))
    )


def test_shift_cuts_each_row_at_its_own_start():
    codes = torch.arange(30, dtype=torch.uint8).view(3, 10)
    cut = shift(codes, torch.tensor([0, 3, 6]), 4)
    assert cut.tolist() == [[0, 1, 2, 3], [13, 14, 15, 16], [26, 27, 28, 29]]
    assert cut.dtype == torch.uint8
    for starts in ([0, 3, 7], [-1, 0, 0]):
        with pytest.raises(ShapeError, match="leaves its row"):
            shift(codes, torch.tensor(starts), 4)
    with pytest.raises(ShapeError, match="one start for each row"):
        shift(codes, torch.tensor([0, 1]), 4)
