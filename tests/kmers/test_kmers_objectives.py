import numpy as np
import pytest
from scipy.special import expit

from genocontrast.errors import ShapeError
from genocontrast.kmers import count_cooccurrences
from genocontrast.kmers.objectives import SkipGram, balanced, best_constant_loss, fit_tables, zero_loss
from genocontrast.sequence import encode


@pytest.fixture(scope="module")
def counts(markov_codes):
    return count_cooccurrences(markov_codes["chrA"], 4, 5)


@pytest.fixture(scope="module")
def held_out(markov_codes):
    return count_cooccurrences(markov_codes["chrB"], 4, 5)


def reference(counts, negatives, words, contexts):
    """Loss and gradient pair by pair in float64, as word2vec writes them."""
    pairs = counts.pairs / counts.pairs.sum()
    noise = counts.tokens**0.75 / (counts.tokens**0.75).sum()
    loss, for_words, for_contexts = 0.0, np.zeros_like(words), np.zeros_like(contexts)
    for i, row in enumerate(pairs):
        scores = contexts @ words[i]
        negative = negatives * row.sum() * noise
        loss -= (row * np.log(expit(scores)) + negative * np.log(expit(-scores))).sum()
        slope = negative * expit(scores) - row * expit(-scores)
        for_words[i] = slope @ contexts
        for_contexts += np.outer(slope, words[i])
    return loss, for_words, for_contexts


@pytest.mark.parametrize("negatives", [1.0, 5.0])
def test_loss_and_gradient_equal_the_float64_reference(counts, negatives):
    rng = np.random.default_rng(0)
    tables = [rng.normal(0, 1.5, (136, 8)) for _ in range(2)]
    expected = reference(counts, negatives, *tables)
    objective = SkipGram(counts, negatives)
    narrow = [table.astype(np.float32) for table in tables]
    got = objective.loss_and_gradient(*narrow)
    assert got[0] == pytest.approx(expected[0], rel=2e-6)
    assert objective.loss(*narrow) == got[0]
    for ours, theirs in zip(got[1:], expected[1:], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6 * np.abs(theirs).max())


def test_the_reference_is_the_gradient_of_the_loss(counts):
    rng = np.random.default_rng(0)
    words, contexts, step = *(rng.normal(0, 1, (136, 4)) for _ in range(2)), rng.normal(0, 1, (136, 4))
    for_words = reference(counts, 5, words, contexts)[1]
    rise = (
        reference(counts, 5, words + 1e-6 * step, contexts)[0] - reference(counts, 5, words - 1e-6 * step, contexts)[0]
    )
    assert rise / 2e-6 == pytest.approx((for_words * step).sum(), rel=1e-5)


def test_scores_far_out_neither_overflow_nor_vanish(counts):
    words, contexts = np.full((136, 1), 30, np.float32), np.full((136, 1), 30, np.float32)
    objective = SkipGram(counts, 5)
    loss, *gradients = objective.loss_and_gradient(words, contexts)
    assert loss == pytest.approx(5 * 900, rel=1e-5)
    assert objective.loss(words, -contexts) == pytest.approx(900, rel=1e-5)
    assert all(np.isfinite(part).all() for part in gradients)


@pytest.mark.parametrize("negatives", [0.5, 5.0])
def test_constant_and_zero_losses(counts, negatives):
    objective = SkipGram(counts, negatives)

    def constant(score):
        return objective.loss(np.ones((136, 1), np.float32), np.full((136, 1), score, np.float32))

    best = best_constant_loss(negatives)
    assert constant(0) == pytest.approx(zero_loss(negatives), rel=1e-5)
    assert constant(-np.log(negatives)) == pytest.approx(best, rel=1e-5)
    assert constant(0.1 - np.log(negatives)) > best
    assert constant(-0.1 - np.log(negatives)) > best


def test_figures_of_five_negatives():
    assert best_constant_loss(5) == pytest.approx(2.7034, abs=1e-4)
    assert zero_loss(5) == pytest.approx(4.1589, abs=1e-4)


def test_at_full_rank_the_shifted_pmi_is_the_optimum(counts):
    fitted = fit_tables(SkipGram(counts, 5), None, dim=136, seed=1, iterations=300)
    pairs = counts.pairs / counts.pairs.sum()
    noise = counts.tokens**0.75 / (counts.tokens**0.75).sum()
    often = counts.pairs > 2000
    shifted_pmi = np.log(pairs[often] / (5 * np.outer(pairs.sum(1), noise)[often]))
    scores = (fitted.words @ fitted.contexts.T)[often]
    assert often.sum() > 50
    np.testing.assert_allclose(scores, shifted_pmi, atol=0.05)


def test_the_start_is_far_ahead_of_zero_vectors_and_the_fit_ahead_of_the_start(counts, held_out):
    objective, watched = SkipGram(counts, 5), SkipGram(held_out, 5)
    start = objective.loss(*objective.start(16, seed=1))
    fitted = fit_tables(objective, watched, 16, seed=1, iterations=40)
    final = objective.loss(fitted.words, fitted.contexts)
    assert final + 0.1 < start < best_constant_loss(5) < zero_loss(5)
    assert watched.loss(fitted.words, fitted.contexts) == pytest.approx(final, abs=0.05)


def test_history_starts_at_zero_and_the_best_look_is_kept(counts, held_out):
    objective, watched = SkipGram(counts, 5), SkipGram(held_out, 5)
    fitted = fit_tables(objective, watched, 16, seed=1, iterations=25)
    assert [look["iteration"] for look in fitted.history] == [0, 10, 20, 25]
    best = min(look["validation"] for look in fitted.history)
    assert watched.loss(fitted.words, fitted.contexts) == pytest.approx(best, rel=1e-5)


def test_a_fit_that_memorises_is_stopped_by_held_out_counts(held_out):
    memorised = count_cooccurrences(np.random.default_rng(0).integers(0, 4, 300).astype(np.uint8), 4, 5)
    free = fit_tables(SkipGram(memorised, 5), None, 30, seed=1, iterations=100)
    watched = SkipGram(held_out, 5)
    stopped = fit_tables(SkipGram(memorised, 5), watched, 30, seed=1, iterations=100)
    assert stopped.history[-1]["iteration"] < free.history[-1]["iteration"]
    looks = [look["validation"] for look in stopped.history]
    assert min(looks) < looks[-1]  # so that keeping the best is not keeping the last
    assert watched.loss(stopped.words, stopped.contexts) == pytest.approx(min(looks), rel=1e-4)
    assert min(looks) < watched.loss(free.words, free.contexts)


def test_balanced_keeps_the_scores_and_takes_away_the_freedom():
    rng = np.random.default_rng(0)
    words, contexts, mixed = rng.normal(size=(50, 6)), rng.normal(size=(50, 6)), rng.normal(size=(6, 6))
    first = balanced(words, contexts)
    second = balanced(words @ mixed, contexts @ np.linalg.inv(mixed).T)
    np.testing.assert_allclose(first[0] @ first[1].T, words @ contexts.T, atol=1e-4)
    np.testing.assert_allclose(first[0], second[0], atol=1e-3)
    gram = first[0].T @ first[0]
    np.testing.assert_allclose(gram, first[1].T @ first[1], atol=1e-4)
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-4)
    assert (np.diff(np.diag(gram)) < 0).all()


def test_counts_without_a_pair_have_no_loss():
    with pytest.raises(ShapeError, match="no pair"):
        SkipGram(count_cooccurrences(encode("ACGT"), 4, 5), 5)
