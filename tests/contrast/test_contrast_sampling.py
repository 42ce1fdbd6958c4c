"""What `log_q` is for: negatives that are drawn by popularity, and an optimum that does not depend on it."""

import math

import pytest
import torch

from genocontrast.contrast import info_nce

QUERIES, KEYS, TEMPERATURE = 4, 6, 0.4


@pytest.fixture(scope="module")
def world():
    """Probability of each key given the query, and of each query: some keys are far more popular than others."""
    generator = torch.Generator().manual_seed(3)
    wanted = torch.nn.functional.normalize(
        torch.randn(QUERIES, KEYS, generator=generator) + torch.tensor([2.0, 1, 0, 0, -1, -2]), dim=1
    )
    return (wanted / TEMPERATURE).softmax(1), torch.full((QUERIES,), 1 / QUERIES)


def learned(world, *, sign, correct_positive=True, batch=512, steps=150):
    """Scores of a table of queries that was trained on pairs drawn from the world; keys are fixed directions."""
    given, prior = world
    popularity = prior @ given
    log_q = sign * ((batch - 1) * popularity).log()
    generator = torch.Generator().manual_seed(1)
    table = torch.nn.Parameter(torch.randn(QUERIES, KEYS, generator=generator))
    optimiser = torch.optim.Adam([table], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    directions = torch.eye(KEYS)
    for _ in range(steps):
        query = torch.multinomial(prior, batch, replacement=True, generator=generator)
        key = torch.multinomial(given[query], 1, generator=generator).squeeze(1)
        loss, _ = info_nce(
            table[query],
            directions[key],
            temperature=TEMPERATURE,
            log_q=log_q[key] if sign else None,
            correct_positive=correct_positive,
            symmetric=False,
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return torch.nn.functional.normalize(table.detach(), dim=1) / TEMPERATURE, popularity


def distance(world, scores):
    """Mean Kullback-Leibler divergence of the scores' softmax from the truth, nats."""
    given, _ = world
    return (given * (given.log() - scores.log_softmax(1))).sum(1).mean().item()


@pytest.mark.parametrize("correct_positive", [True, False])
def test_corrected_for_popularity_the_truth_is_found(world, correct_positive):
    scores, _ = learned(world, sign=1, correct_positive=correct_positive)
    assert distance(world, scores) < 0.02


def test_a_small_batch_is_right_only_with_the_positive_corrected(world):
    right, _ = learned(world, sign=1, batch=4, steps=3000)
    wrong, _ = learned(world, sign=1, batch=4, steps=3000, correct_positive=False)
    assert distance(world, right) < 0.02
    assert distance(world, wrong) > 3 * distance(world, right)


def test_the_wrong_sign_and_no_correction_miss_it(world):
    uncorrected, popularity = learned(world, sign=0)
    wrong, _ = learned(world, sign=-1)
    assert distance(world, uncorrected) > 0.1
    assert distance(world, wrong) > distance(world, uncorrected)
    # what was trained without the correction needs it at scoring
    assert distance(world, uncorrected + popularity.log()) < distance(world, uncorrected) / 3
    assert math.isfinite(distance(world, wrong))
