import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast import sequence
from genocontrast.encoders import KmerEncoder
from genocontrast.encoders.kmer import POOLINGS
from genocontrast.errors import ConfigError, ModelError, ShapeError
from genocontrast.sequence import canonical_table, encode, kmer_name

PAIRED = dict(zip("ACGTN", "TGCAN", strict=True))


def mirrored(letters):
    return "".join(PAIRED[letter] for letter in reversed(letters))


def windows(n, length, seed=0, with_n=True):
    codes = np.random.default_rng(seed).choice(5, (n, length), p=[0.24] * 4 + [0.04] if with_n else [0.25] * 4 + [0])
    return torch.from_numpy(sequence.one_hot(codes.astype(np.uint8), np.float64))


def one_hot(*texts):
    return torch.from_numpy(sequence.one_hot(np.stack([encode(text) for text in texts]), np.float64))


def texts_of(x):
    return ["".join("ACGT"[column.argmax()] if column.any() else "N" for column in window.T) for window in x.numpy()]


def fitted(k, vector_dim=5, seed=0, unseen=()):
    """Vectors and counts as a KmerEmbedding has them; `unseen` tokens occur nowhere."""
    rng, n_tokens = np.random.default_rng(seed), len(canonical_table(k)[1])
    tokens = rng.integers(1, 1000, n_tokens)
    tokens[list(unseen)] = 0
    return SimpleNamespace(k=k, vectors=rng.normal(size=(n_tokens, vector_dim)).astype(np.float32), tokens=tokens)


def built(kmers, pooling, seed=0, dim=4):
    """An encoder of which every parameter but the vectors is random: zeros would hide a mistake."""
    encoder = KmerEncoder.from_vectors(kmers, pooling, dim=dim).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if name != "vectors":
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return encoder


def by_hand(kmers, encoder, text):
    """The pooled vector and the weight of each position, letter by letter."""
    k = kmers.k
    names = {kmer_name(int(canonical), k): token for token, canonical in enumerate(canonical_table(k)[1])}
    found = []
    for i in range(len(text) - k + 1):
        kmer = text[i : i + k]
        token = names.get(min(kmer, mirrored(kmer)))
        found.append(token if token is not None and kmers.tokens[token] > 0 else None)
    kept = [token for token in found if token is not None]
    total = sum(int(count) for count in kmers.tokens)
    if encoder.pooling == "mean":
        weight = dict.fromkeys(kept, 1 / max(len(kept), 1))
    elif encoder.pooling == "sif":
        raw = {token: 1e-3 / (1e-3 + int(kmers.tokens[token]) / total) for token in kept}
        weight = {token: raw[token] / sum(raw[each] for each in kept) for token in kept}
    else:
        share = sum(math.exp(encoder.scores[token].item()) for token in kept)
        weight = {token: math.exp(encoder.scores[token].item()) / share for token in kept}
    weights = [0.0 if token is None else weight[token] for token in found]
    dim = kmers.vectors.shape[1]
    return [sum(weight[t] * float(kmers.vectors[t, d]) for t in kept) for d in range(dim)], weights


def difference(encoder, x):
    there, back = encoder(x), encoder(x.flip(1, 2))
    return max((a - b).abs().max().item() for a, b in zip(there, back, strict=True))


# --- pooling


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_pools_are_those_of_a_plain_loop(pooling, k):
    kmers = fitted(k, unseen=[0] if k > 1 else [])
    encoder, x = built(kmers, pooling), windows(8, 31, seed=k)
    with torch.no_grad():
        pooled, weights = encoder.pooled(x), encoder.weights(x)
    for row, text in enumerate(texts_of(x)):
        vector, weight = by_hand(kmers, encoder, text)
        np.testing.assert_allclose(pooled[row], vector, rtol=0, atol=1e-6)  # shares of counts are float32 at first
        np.testing.assert_allclose(weights[row], weight, rtol=0, atol=1e-7)


def test_weights_sum_to_one_and_those_of_rare_kmers_are_large_in_sif():
    kmers, x = fitted(3), windows(5, 40)
    for pooling in POOLINGS:
        torch.testing.assert_close(built(kmers, pooling).weights(x).sum(1), torch.ones(5, dtype=torch.float64))
    encoder = built(kmers, "sif")
    tokens, weights = encoder.tokens(x), encoder.weights(x)
    kept = tokens[0] >= 0
    counts = torch.from_numpy(kmers.tokens)[tokens[0][kept]]
    assert (weights[0][kept][counts.argsort(descending=True)].diff() >= 0).all()


def test_attention_starts_as_the_mean():
    kmers, x = fitted(3), windows(5, 40)
    mean, attention = (KmerEncoder.from_vectors(kmers, pooling).double() for pooling in ("mean", "attention"))
    torch.testing.assert_close(mean.pooled(x), attention.pooled(x), rtol=0, atol=1e-14)


def test_attention_stays_finite_at_any_score():
    encoder, x = built(fitted(2), "attention"), windows(4, 30)
    with torch.no_grad():
        encoder.scores.copy_(torch.linspace(-5000, 5000, len(encoder.scores)))
    encoder.pooled(x).sum().backward()
    assert all(torch.isfinite(each.grad).all() for each in (encoder.vectors, encoder.scores))


# --- strands


@pytest.mark.parametrize("k", [2, 3, 5, 6])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_both_strands_give_one_answer_to_the_last_bit(pooling, k):
    encoder = built(fitted(k), pooling).float()
    with torch.no_grad():
        for length in (k, k + 1, 60, 61):
            assert difference(encoder, windows(4, length, length).float()) == 0


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(POOLINGS),
    st.integers(1, 6),
    st.text("ACGTN", min_size=6, max_size=90),
    st.booleans(),
    st.integers(0, 10**6),
)
def test_both_strands_give_one_answer_whatever_the_window(pooling, k, text, palindrome, seed):
    encoder = built(fitted(k, seed=seed), pooling, seed).float()
    x = one_hot(text + mirrored(text) if palindrome else text).float()
    with torch.no_grad():
        assert difference(encoder, x) < 1e-6
        np.testing.assert_allclose(encoder.weights(x).flip(1), encoder.weights(x.flip(1, 2)), rtol=0, atol=1e-6)


def test_training_mode_treats_strands_alike_too():
    encoder = built(fitted(4), "attention").train()
    assert difference(encoder, windows(4, 77)) < 1e-12


# --- what has no k-mer


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_window_without_kmers_has_features_of_zero_and_no_nan_in_its_gradients(pooling):
    kmers = fitted(3, unseen=[0])
    encoder = built(kmers, pooling)
    x = one_hot("NNNNNNNNN", "AANAANAAN", "AAAAAAAAA", "ACGTTGCAA").requires_grad_()  # AAA is token 0
    assert kmer_name(int(canonical_table(3)[1][0]), 3) == "AAA"
    features = encoder.features(x)
    assert not features[:3].any()
    assert features[3].any()
    encoded = encoder.heads(features)
    (encoded.logit.sum() + encoded.embedding[:, 0].sum()).backward()
    for gradient in (x.grad, *(parameter.grad for parameter in encoder.parameters())):
        assert torch.isfinite(gradient).all()


def test_kmers_with_n_do_not_count():
    encoder = built(fitted(3), "mean")
    torch.testing.assert_close(encoder.pooled(one_hot("ACGTNNNNN")), encoder.pooled(one_hot("NNNNNACGT")))
    torch.testing.assert_close(encoder.pooled(one_hot("ACGTNNNNN")), encoder.pooled(one_hot("ACGT")))


# --- gradients


@pytest.mark.parametrize("pooling", POOLINGS)
def test_gradients_reach_every_parameter_and_only_the_vectors_of_kmers_that_are_there(pooling):
    encoder = built(fitted(3), pooling)
    x = windows(2, 12, with_n=False)
    encoded = encoder(x)
    (encoded.embedding[:, 0].sum() + encoded.logit.sum()).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in encoder.parameters())
    touched = encoder.vectors.grad.abs().sum(1).nonzero().flatten()
    assert set(touched.tolist()) == set(encoder.tokens(x).flatten().tolist())


@pytest.mark.parametrize("pooling", POOLINGS)
def test_gradients_of_parameters_are_those_of_finite_differences(pooling):
    encoder, x = built(fitted(2, vector_dim=3), pooling, dim=2), windows(3, 14)
    names = [name for name, _ in encoder.named_parameters()]

    def logit(*values):
        encoded = torch.func.functional_call(encoder, dict(zip(names, values, strict=True)), (x,))
        return encoded.logit, encoded.embedding

    assert torch.autograd.gradcheck(logit, tuple(encoder.parameters()))


def test_the_gradient_of_a_window_is_what_exchanging_each_base_does_to_its_pool():
    # saturation mutagenesis says it base by base; the gradient says it at once
    encoder = built(fitted(3), "mean")
    x = one_hot("ACGTTGCAAGGCCTAT").requires_grad_()
    direction = torch.randn(5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    (encoder.pooled(x)[0] @ direction).backward()
    plain = x.detach()
    before = encoder.pooled(plain)[0] @ direction
    for position in range(16):
        here = int(plain[0, :, position].argmax())
        for base in range(4):
            mutated = plain.clone()
            mutated[0, :, position] = torch.eye(4, dtype=torch.float64)[base]
            change = (encoder.pooled(mutated)[0] @ direction - before).item()
            found = (x.grad[0, base, position] - x.grad[0, here, position]).item()
            assert found == pytest.approx(change, abs=1e-12)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_gradient_of_a_window_is_that_of_the_multilinear_pool(pooling):
    encoder = built(fitted(2, vector_dim=3), pooling)
    x = one_hot("ACGTTGCAAGG").requires_grad_()
    (found,) = torch.autograd.grad(encoder.pooled(x).sum(), x)
    # each k-mer is there by the product of its letters' shares
    mass = torch.exp(encoder.scores) if pooling == "attention" else encoder._fixed_weights()
    weight = torch.einsum("nap,nbp->npab", x[..., :-1], x[..., 1:]).reshape(-1, 16)
    per_token = mass[encoder.token_of]
    norm = (weight * per_token).sum()
    soft = (weight @ (per_token[:, None] * encoder.vectors[encoder.token_of])).sum(0) / norm
    torch.testing.assert_close(encoder.pooled(x)[0], soft)
    (expected,) = torch.autograd.grad(soft.sum(), x)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_asking_for_a_gradient_changes_no_answer():
    encoder, x = built(fitted(4), "attention"), windows(3, 50)
    torch.testing.assert_close(encoder(x).logit, encoder(x.clone().requires_grad_()).logit, rtol=0, atol=1e-14)


# --- start, and what is refused


def test_an_encoder_starts_with_the_given_vectors_and_reads_typical_pools_as_small_numbers():
    kmers = fitted(4, vector_dim=6)
    encoder = KmerEncoder.from_vectors(kmers)
    np.testing.assert_array_equal(encoder.vectors.detach(), kmers.vectors)
    share = kmers.tokens / kmers.tokens.sum()
    centre = share @ kmers.vectors
    np.testing.assert_allclose(encoder.centre, centre, atol=1e-6)
    np.testing.assert_allclose(encoder.spread, np.sqrt(share @ (kmers.vectors - centre) ** 2), rtol=1e-5)
    # windows of independent k-mers are read as numbers of mean 0 and standard deviation 1, whatever the pooling
    rng = np.random.default_rng(1)
    for pooling in ("mean", "sif"):
        encoder = KmerEncoder.from_vectors(kmers, pooling)
        drawn = torch.from_numpy(rng.choice(len(share), (4000, 200), p=share))
        mass = encoder._fixed_weights()[drawn]
        pools = torch.einsum("nm,nmd->nd", mass, encoder.vectors.detach()[drawn]) / mass.sum(1, keepdim=True)
        read = (pools - encoder.centre) * 200**0.5 / encoder.spread
        np.testing.assert_allclose(read.mean(0), 0, atol=0.1)
        np.testing.assert_allclose(read.std(0), 1, atol=0.1)


def test_random_vectors_differ_by_seed_and_take_every_kmer_for_seen():
    encoders = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        encoders.append(KmerEncoder(3, vector_dim=4))
    assert torch.equal(encoders[0].vectors, encoders[1].vectors)
    assert not torch.equal(encoders[0].vectors, encoders[2].vectors)
    assert (encoders[0].tokens(windows(2, 20, with_n=False)) >= 0).all()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_architecture_and_weights_build_the_encoder_again(pooling):
    encoder = built(fitted(3, unseen=[4]), pooling).float()
    settings_ = {key: value for key, value in encoder.architecture.items() if key != "encoder"}
    again = KmerEncoder(**settings_)
    again.load_state_dict(encoder.state_dict())
    x = windows(3, 40).float()
    assert torch.equal(encoder(x).logit, again.eval()(x).logit)
    assert encoder.architecture["encoder"] == "kmers"
    assert encoder.strand == "tied"


def test_embeddings_have_length_one():
    encoded = built(fitted(3), "mean")(windows(3, 60))
    assert encoded.embedding.shape == (3, 4)
    assert encoded.logit.shape == (3,)
    torch.testing.assert_close(encoded.embedding.norm(dim=1), torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("shape", [(4, 60), (2, 5, 60), (2, 4, 2)])
def test_windows_of_another_shape_are_named(shape):
    with pytest.raises(ShapeError, match=r"windows must have shape \(n, 4, length >= 3\)"):
        KmerEncoder(3)(torch.zeros(shape))


@pytest.mark.parametrize("value", [0.5, 2.0, -1.0, math.nan])
def test_mixtures_of_bases_are_refused(value):
    x = windows(1, 20, with_n=False)
    x[0, :, 3] = torch.tensor([value, 0, 0, 0])
    with pytest.raises(ShapeError, match="windows must be one-hot"):
        KmerEncoder(3).double()(x)
    x[0, :, 3] = 1
    with pytest.raises(ShapeError, match="windows must be one-hot"):
        KmerEncoder(3).double()(x)


def test_impossible_encoders_are_named():
    with pytest.raises(ModelError, match="pooling is none of mean, sif, attention"):
        KmerEncoder(3, pooling="max")
    with pytest.raises(ModelError, match="smoothing"):
        KmerEncoder(3, smoothing=0)
    with pytest.raises(ShapeError, match="k must lie between"):
        KmerEncoder(13)


def test_vectors_that_do_not_fit_are_named():
    good = fitted(3)
    for changes, error, problem in (
        ({"vectors": good.vectors[:-1]}, ShapeError, r"vectors of 3-mers must have shape \(32, vector_dim\)"),
        ({"vectors": good.vectors[0]}, ShapeError, "vectors of 3-mers must have shape"),
        ({"vectors": good.vectors[:, :0]}, ShapeError, "vectors of 3-mers must have shape"),
        ({"tokens": good.tokens[:-1]}, ShapeError, r"counts of 3-mers must have shape \(32,\)"),
        ({"vectors": good.vectors * np.nan}, ModelError, "not finite"),
        ({"tokens": good.tokens * 0}, ModelError, "nor all 0"),
        ({"tokens": -good.tokens}, ModelError, "must not be negative"),
        ({"spaced": "11011"}, ConfigError, "spaced seeds.*11011"),
    ):
        with pytest.raises(error, match=problem):
            KmerEncoder.from_vectors(SimpleNamespace(**{**vars(good), **changes}))
    good.spaced = None
    KmerEncoder.from_vectors(good)


def test_half_precision_reads_the_same_kmers():
    # CUDA trains in it: ids of k-mers need more bits than bfloat16 has
    encoder, x = built(fitted(6), "attention").float(), windows(3, 200).float()
    plain, tokens = encoder(x), encoder.tokens(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(encoder.tokens(x), tokens)
        torch.testing.assert_close(encoder(x).embedding.float(), plain.embedding, rtol=0, atol=0.05)
