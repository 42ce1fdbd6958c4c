from itertools import pairwise

import numpy as np
import pytest

from genocontrast.kmers.counting import count_cooccurrences
from genocontrast.kmers.descent import descend
from genocontrast.kmers.fitting import balanced, fit_tables, start
from genocontrast.kmers.objectives import InfoNce, SkipGram, settled
from genocontrast.kmers.sampled import SampledLoss, fit_sampled


@pytest.fixture(scope="module")
def counts(markov_codes):
    return count_cooccurrences(markov_codes["chrA"], 4, 5)


@pytest.fixture(scope="module")
def held_out(markov_codes):
    return count_cooccurrences(markov_codes["chrB"], 4, 5)


def as_lists(codes):
    """The same counts, all of them, as lists."""
    return count_cooccurrences(codes, 4, 5, share=1 - 1e-16)


def test_descent_finds_the_minimum_of_a_bent_valley():
    def rosenbrock(x):
        a, b = x.astype(float)
        return (1 - a) ** 2 + 100 * (b - a * a) ** 2, np.array(
            [-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)], np.float32
        )

    *_, (x, value) = descend(rosenbrock, np.array([-1.2, 1], np.float32))
    np.testing.assert_allclose(x, 1, atol=1e-2)
    assert value < 1e-4


def test_descent_of_a_quadratic_equals_its_solution_and_falls_all_the_way():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(30, 30))
    matrix, target = root @ root.T + np.eye(30), rng.normal(size=30)

    def value(x):
        return float(x @ matrix @ x / 2 - target @ x), (matrix @ x - target).astype(np.float32)

    steps = list(descend(value, np.zeros(30, np.float32)))
    values = [loss for _, loss in steps]
    assert all(later <= earlier for earlier, later in pairwise(values))
    np.testing.assert_allclose(steps[-1][0], np.linalg.solve(matrix, target), atol=5e-3)
    assert len(steps) < 150


def test_at_full_rank_the_shifted_pmi_is_the_optimum(counts):
    fitted = fit_tables(SkipGram(counts, 5), None, dim=136, seed=1, iterations=300)
    dense = counts.dense()
    pairs = dense / dense.sum()
    noise = counts.tokens**0.75 / (counts.tokens**0.75).sum()
    often = dense > 2000
    shifted_pmi = np.log(pairs[often] / (5 * np.outer(pairs.sum(1), noise)[often]))
    scores = (fitted.words @ fitted.contexts.T)[often]
    assert often.sum() > 50
    np.testing.assert_allclose(scores, shifted_pmi, atol=0.05)


@pytest.mark.parametrize("kind", [SkipGram, InfoNce])
@pytest.mark.parametrize("log_q", [False, True])
def test_the_start_is_far_ahead_of_a_constant_and_the_fit_ahead_of_the_start(kind, log_q, counts, held_out):
    objective, watched = (kind(part, 5, log_q=log_q) for part in (counts, held_out))
    first = objective.loss(*start(objective, 16, seed=1))
    fitted = fit_tables(objective, watched, 16, seed=1, iterations=40)
    final = objective.loss(fitted.words, fitted.contexts)
    best = objective.loss_of_scores(lambda rows: objective.best_scores(rows, 1e-9))
    constant = objective.uninformed()["best_constant"]
    assert best < final < first < constant
    assert (constant - final) / (constant - best) > 0.75
    assert watched.loss(fitted.words, fitted.contexts) == pytest.approx(final, abs=0.05)


def test_fits_on_the_device_of_torch_end_where_compiled_ones_do(counts):
    ends = [
        fit_tables(SkipGram(counts, 5, device=device), None, 16, seed=1, iterations=60).best["train"]
        for device in ("cpu", "torch:cpu")
    ]
    assert ends[0] == pytest.approx(ends[1], abs=2e-3)


def test_the_same_seed_gives_the_same_bits(counts):
    one, two, other = (fit_tables(SkipGram(counts, 5), None, 8, seed=seed, iterations=15) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.words, two.words)
    assert not np.array_equal(one.words, other.words)


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


def test_memory_of_a_fit_is_what_was_announced(counts):
    import tracemalloc

    from genocontrast.errors import ConfigError
    from genocontrast.kmers.limits import check_memory

    objective = SkipGram(counts, 5)
    fit_tables(objective, None, 64, seed=1, iterations=2)  # compiled
    tracemalloc.start()
    fit_tables(SkipGram(counts, 5), None, 64, seed=1, iterations=15)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    with pytest.raises(ConfigError, match=r"about 0\.0 GiB"):
        check_memory(4, 64, 0.8 * peak / 2**30, watched=False)
    check_memory(4, 64, 2.5 * peak / 2**30, watched=False)


@pytest.mark.parametrize("log_q", [False, True])
def test_what_infonce_does_not_see_does_not_change_its_vectors(log_q, counts):
    objective = InfoNce(counts, log_q=log_q)
    rng = np.random.default_rng(0)
    words, contexts = (rng.normal(0, 0.5, (136, 6)).astype(np.float32) for _ in range(2))
    moved = contexts + rng.normal(0, 1, 6).astype(np.float32)
    assert objective.loss(words, moved) == pytest.approx(objective.loss(words, contexts), abs=1e-5)
    one, two = (balanced(words, objective.free_of_choice(table))[0] for table in (contexts, moved))
    np.testing.assert_allclose(one, two, atol=1e-4)
    assert objective.loss(words, objective.free_of_choice(contexts)) == pytest.approx(
        objective.loss(words, contexts), abs=1e-5
    )
    np.testing.assert_array_equal(settled("sgns", contexts, objective._noise, log_q=log_q), contexts)


@pytest.mark.parametrize("name", ["sgns", "infonce"])
@pytest.mark.parametrize("log_q", [False, True])
def test_few_negatives_do_not_let_a_fit_diverge(name, log_q, markov_codes, counts, monkeypatch):
    """Pairs up to 61 times as frequent as by chance meet 3 negatives: without a bound they would grow for ever."""
    monkeypatch.setattr("genocontrast.kmers.sampled._PAIRS", 512)
    monkeypatch.setattr("genocontrast.kmers.sampled._NEGATIVES", 3)
    loss = SampledLoss(as_lists(markov_codes["chrA"]), name, 5.0, log_q=log_q)
    drawn = fit_sampled(loss, None, 16, seed=1, iterations=10)
    objective = {"sgns": SkipGram, "infonce": InfoNce}[name](counts, 5.0, log_q=log_q)
    constant = objective.uninformed()["best_constant"]
    exact = fit_tables(objective, None, 16, seed=1, iterations=60).best["train"]
    assert (constant - objective.loss(drawn.words, drawn.contexts)) / (constant - exact) > 0.3


@pytest.mark.parametrize("name", ["sgns", "infonce"])
@pytest.mark.parametrize("log_q", [False, True])
@pytest.mark.parametrize("subsample", [0.0, 0.003])
def test_losses_from_draws_estimate_the_exact_one(name, log_q, subsample, markov_codes, counts):
    rng = np.random.default_rng(0)
    tables = [rng.normal(0, 0.4, (136, 6)).astype(np.float32) for _ in range(2)]
    exact = {"sgns": SkipGram, "infonce": InfoNce}[name](counts, 5.0, log_q=log_q, subsample=subsample)
    drawn = SampledLoss(as_lists(markov_codes["chrA"]), name, 5.0, log_q=log_q, subsample=subsample)
    # infonce of limited negatives is a little less than of unlimited ones
    assert drawn.estimate(*tables) == pytest.approx(exact.loss(*tables), abs=0.03 if name == "sgns" else 0.06)
    assert drawn.uninformed() == pytest.approx(exact.uninformed())


@pytest.mark.parametrize("name", ["sgns", "infonce"])
@pytest.mark.parametrize("log_q", [False, True])
def test_fits_from_draws_come_near_the_exact_ones(name, log_q, markov_codes, counts, monkeypatch):
    monkeypatch.setattr("genocontrast.kmers.sampled._PAIRS", 1024)
    objective = {"sgns": SkipGram, "infonce": InfoNce}[name](counts, 5.0, log_q=log_q)
    loss = SampledLoss(as_lists(markov_codes["chrA"]), name, 5.0, log_q=log_q)
    drawn = fit_sampled(loss, None, 16, seed=1, iterations=10)
    exact = fit_tables(objective, None, 16, seed=1, iterations=60).best["train"]
    constant = objective.uninformed()["best_constant"]
    reached = objective.loss(drawn.words, drawn.contexts)
    assert (constant - reached) / (constant - exact) > 0.88
    assert [look["iteration"] for look in drawn.history] == [0, 10]
    assert drawn.history[0]["train"] < constant  # the start knows something
