import numpy as np
import pytest
from scipy.special import expit, log_softmax, logsumexp

from genocontrast.errors import ConfigError, ShapeError
from genocontrast.kmers.counting import count_cooccurrences
from genocontrast.kmers.objectives import InfoNce, SkipGram, kept
from genocontrast.sequence import encode

FORMS = [(SkipGram, False), (SkipGram, True), (InfoNce, False), (InfoNce, True)]


@pytest.fixture(scope="module")
def counts(markov_codes):
    return count_cooccurrences(markov_codes["chrA"], 4, 5)


@pytest.fixture(scope="module")
def partly_seen():
    """Most 4-mers are absent, so that some are never drawn as negatives."""
    return count_cooccurrences(encode("AACCAGATCA" * 30), 4, 5)


def skip_gram(counts, words, contexts, negatives, log_q, subsample):
    """Loss and gradients pair by pair in float64, as word2vec writes them."""
    pairs, noise = shares(counts, subsample)
    shift = np.where(noise > 0, -np.log(negatives * np.maximum(noise, 1e-300)), 0) if log_q else np.zeros_like(noise)
    loss, for_words, for_contexts = 0.0, np.zeros_like(words), np.zeros_like(contexts)
    for i, row in enumerate(pairs):
        logits = contexts @ words[i] + shift
        negative = negatives * row.sum() * noise
        loss -= (row * np.log(expit(logits)) + negative * np.log(expit(-logits))).sum()
        slope = negative * expit(logits) - row * expit(-logits)
        for_words[i] = slope @ contexts
        for_contexts += np.outer(slope, words[i])
    return loss, for_words, for_contexts


def info_nce(counts, words, contexts, negatives, log_q, subsample):
    """Loss and gradients centre by centre in float64: cross-entropy with the partition over the vocabulary."""
    pairs, noise = shares(counts, subsample)
    weight = (noise > 0).astype(float) if log_q else noise
    loss, for_words, for_contexts = 0.0, np.zeros_like(words), np.zeros_like(contexts)
    for i, row in enumerate(pairs):
        scores = contexts @ words[i]
        partition = logsumexp(scores, b=weight)
        loss -= (row * (scores - partition)).sum()
        slope = row.sum() * weight * np.exp(scores - partition) - row
        for_words[i] = slope @ contexts
        for_contexts += np.outer(slope, words[i])
    return loss, for_words, for_contexts


def shares(counts, subsample):
    """P and q, subsampling as in the word2vec code: an occurrence survives with (sqrt(f / t) + 1) * t / f."""
    frequency = counts.tokens / counts.tokens.sum()
    keep = np.ones(len(frequency))
    if subsample:
        seen = frequency > 0
        keep[seen] = np.minimum(1, (np.sqrt(frequency[seen] / subsample) + 1) * subsample / frequency[seen])
    pairs = counts.dense() * np.outer(keep, keep)
    return pairs / pairs.sum(), counts.tokens**0.75 / (counts.tokens**0.75).sum()


REFERENCE = {SkipGram: skip_gram, InfoNce: info_nce}


def tables(n, dim, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 1.5, (n, dim)) for _ in range(2)]


@pytest.mark.parametrize(("kind", "log_q"), FORMS)
@pytest.mark.parametrize("device", ["cpu", "torch:cpu"])
@pytest.mark.parametrize("subsample", [0.0, 0.003])
@pytest.mark.parametrize("unseen", [False, True])
def test_loss_and_gradient_equal_the_float64_reference(kind, log_q, device, subsample, unseen, counts, partly_seen):
    counted = partly_seen if unseen else counts
    wide = tables(136, 8)
    expected = REFERENCE[kind](counted, *wide, 5.0, log_q, subsample)
    objective = kind(counted, 5.0, log_q=log_q, subsample=subsample, device=device)
    narrow = [table.astype(np.float32) for table in wide]
    got = objective.loss_and_gradient(*narrow)
    assert got[0] == pytest.approx(expected[0], rel=3e-6)
    assert objective.loss(*narrow) == got[0]
    for ours, theirs in zip(got[1:], expected[1:], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=3e-6 * np.abs(theirs).max())


@pytest.mark.parametrize(("kind", "log_q"), FORMS)
def test_float64_equals_the_reference_to_the_last_digits(kind, log_q, counts):
    wide = tables(136, 6)
    expected = REFERENCE[kind](counts, *wide, 3.0, log_q, 0.0)
    got = kind(counts, 3.0, log_q=log_q, device="torch:cpu", dtype="float64").loss_and_gradient(*wide)
    # the shares of the pairs are kept in float32
    assert got[0] == pytest.approx(expected[0], rel=1e-6)
    for ours, theirs in zip(got[1:], expected[1:], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7 * np.abs(theirs).max())


@pytest.mark.parametrize(("kind", "log_q"), FORMS)
def test_the_reference_gradient_is_that_of_the_reference_loss(kind, log_q, counts):
    rng = np.random.default_rng(0)
    (words, contexts), step = tables(136, 4), rng.normal(0, 1, (136, 4))

    def along(size):
        return REFERENCE[kind](counts, words + size * step, contexts, 5, log_q, 0.0)

    rise = (along(1e-6)[0] - along(-1e-6)[0]) / 2e-6
    assert rise == pytest.approx((along(0.0)[1] * step).sum(), rel=1e-5)


def test_the_full_softmax_is_the_cross_entropy_of_the_context(counts):
    words, contexts = tables(136, 5)
    pairs = counts.dense() / counts.dense().sum()
    expected = -(pairs * log_softmax(words @ contexts.T, axis=1)).sum()
    assert InfoNce(counts, log_q=True).loss(*(t.astype(np.float32) for t in (words, contexts))) == pytest.approx(
        expected, rel=1e-5
    )


def test_infonce_is_the_limit_of_many_drawn_negatives(counts):
    """With 50,000 negatives drawn in proportion to q beside each positive, the cross-entropy less its constant."""
    rng = np.random.default_rng(0)
    words, contexts = (0.3 * table for table in tables(136, 4))
    pairs, noise = shares(counts, 0.0)
    many, drawn = 50_000, []
    for cell in rng.choice(136 * 136, 300, p=pairs.ravel()):
        i, j = divmod(cell, 136)
        scores = contexts @ words[i]
        drawn.append(logsumexp([scores[j], *scores[rng.choice(136, many, p=noise)]]) - np.log(many) - scores[j])
    exact = InfoNce(counts).loss(words.astype(np.float32), contexts.astype(np.float32))
    assert np.mean(drawn) == pytest.approx(exact, abs=4 * np.std(drawn) / np.sqrt(300) + 1e-3)


@pytest.mark.parametrize(("kind", "log_q"), FORMS)
def test_no_scores_have_a_smaller_loss_than_the_best(kind, log_q, counts):
    objective = kind(counts, 5.0, log_q=log_q, device="torch:cpu", dtype="float64")
    best = objective.loss_of_scores(lambda rows: objective.best_scores(rows, 1e-9))
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.3, (136, 136))
    for moved in (noise, -noise, 0.1 * noise):
        assert objective.loss_of_scores(lambda rows, by=moved: objective.best_scores(rows, 1e-9) + by[rows]) > best
    # at a centre, infonce does not see a constant
    assert objective.loss_of_scores(lambda rows: objective.best_scores(rows, 1e-9) + 1) >= best - 1e-9


@pytest.mark.parametrize("kind", [SkipGram, InfoNce])
def test_corrected_scores_are_log_probabilities_and_others_mutual_information(kind, counts):
    pairs, noise = shares(counts, 0.0)
    for log_q in (False, True):
        best = kind(counts, 5.0, log_q=log_q).best_scores(slice(0, 136), 1e-9)
        expected = np.log(pairs + 1e-300) - np.log(pairs.sum(1, keepdims=True)) - (0 if log_q else np.log(noise))
        expected -= np.log(5) if kind is SkipGram and not log_q else 0
        often = counts.dense() > 0
        np.testing.assert_allclose(best[often], expected[often], atol=1e-3)


def test_the_wrong_sign_of_log_q_misses_the_log_probabilities(counts):
    """The correction matters: scored as if corrected the other way, the best scores lose much."""
    objective = InfoNce(counts, log_q=True)
    log_noise = np.log(objective._noise)
    right = objective.loss_of_scores(
        lambda rows: InfoNce(counts).best_scores(rows, 1e-9) + log_noise.astype(np.float32)
    )
    wrong = objective.loss_of_scores(
        lambda rows: InfoNce(counts).best_scores(rows, 1e-9) - log_noise.astype(np.float32)
    )
    assert right == pytest.approx(objective.loss_of_scores(lambda rows: objective.best_scores(rows, 1e-9)), abs=1e-3)
    assert wrong > right + 0.05


@pytest.mark.parametrize("device", ["cpu", "torch:cpu"])
def test_scores_far_out_neither_overflow_nor_vanish(counts, device):
    words, contexts = np.full((136, 1), 30, np.float32), np.full((136, 1), 30, np.float32)
    objective = SkipGram(counts, 5, device=device)
    loss, *gradients = objective.loss_and_gradient(words, contexts)
    assert loss == pytest.approx(5 * 900, rel=1e-5)
    assert objective.loss(words, -contexts) == pytest.approx(900, rel=1e-5)
    assert all(np.isfinite(part).all() for part in gradients)
    loss, *gradients = InfoNce(counts, device=device).loss_and_gradient(words, contexts)
    assert loss == pytest.approx(0, abs=1e-3)
    assert all(np.isfinite(part).all() for part in gradients)


@pytest.mark.parametrize("negatives", [0.5, 5.0])
def test_constant_and_zero_losses(counts, negatives):
    objective = SkipGram(counts, negatives)

    def constant(score):
        return objective.loss(np.ones((136, 1), np.float32), np.full((136, 1), score, np.float32))

    losses = objective.uninformed()
    assert losses["zero"] == pytest.approx((1 + negatives) * np.log(2)) == pytest.approx(constant(0), rel=1e-5)
    best = np.log1p(negatives) + negatives * np.log1p(1 / negatives)
    assert losses["best_constant"] == pytest.approx(best) == pytest.approx(constant(-np.log(negatives)), rel=1e-5)


def test_figures_of_five_negatives(counts):
    losses = SkipGram(counts, 5).uninformed()
    assert losses["best_constant"] == pytest.approx(2.7034, abs=1e-4)
    assert losses["zero"] == pytest.approx(4.1589, abs=1e-4)


def test_constants_of_the_other_forms(counts):
    assert InfoNce(counts).uninformed()["best_constant"] == pytest.approx(0, abs=1e-9)
    assert InfoNce(counts, log_q=True).uninformed()["best_constant"] == pytest.approx(np.log(136))
    corrected = SkipGram(counts, 5, log_q=True)

    def constant(score):
        return corrected.loss_of_scores(lambda rows: np.full((rows.stop - rows.start, 136), score, np.float32))

    around = [constant(score) for score in np.linspace(-8, 0, 81)]
    assert corrected.uninformed()["best_constant"] == pytest.approx(min(around), abs=1e-3)


def test_the_number_of_threads_changes_no_bit(counts, monkeypatch):
    words, contexts = (table.astype(np.float32) for table in tables(136, 8))
    monkeypatch.setattr("genocontrast.kmers.objectives._BLOCK", 8)
    found = []
    for cores in (1, 3):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        found.append(SkipGram(counts).loss_and_gradient(words, contexts))
    assert found[0][0] == found[1][0]
    for one, other in zip(found[0][1:], found[1][1:], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", [SkipGram, InfoNce])
def test_blocks_that_are_not_held_give_the_same(counts, kind, monkeypatch):
    words, contexts = (table.astype(np.float32) for table in tables(136, 8))
    held = kind(counts).loss_and_gradient(words, contexts)
    monkeypatch.setattr("genocontrast.kmers.objectives.HELD_TOKENS", 10)
    for one, other in zip(held, kind(counts).loss_and_gradient(words, contexts), strict=True):
        np.testing.assert_array_equal(one, other)


def test_frequent_tokens_are_kept_less_often():
    tokens = np.array([0, 10, 990])
    np.testing.assert_allclose(kept(tokens, 0.01), [1, 1, np.sqrt(0.01 / 0.99) + 0.01 / 0.99])
    np.testing.assert_array_equal(kept(tokens, 0.0), 1)


def test_counts_without_a_pair_have_no_loss():
    with pytest.raises(ShapeError, match="no pair"):
        SkipGram(count_cooccurrences(encode("ACGT"), 4, 5), 5)


def test_lists_have_no_exact_loss():
    with pytest.raises(ConfigError, match="a cell for every pair"):
        SkipGram(count_cooccurrences(encode("ACGTTGCATGA"), 4, 5, share=0.9), 5)
