import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from genocontrast.errors import ShapeError, SplitError
from genocontrast.evaluation.metrics import assess
from genocontrast.evaluation.resamples import LEAST_BLOCKS, PairResamples, promoter_blocks


def drawn(resamples):
    return np.concatenate(list(resamples.weights()))


@given(st.integers(0, 2**32 - 1), st.permutations(range(12)))
def test_one_block_for_each_pair_is_the_bootstrap_of_pairs_whatever_blocks_are_called(seed, names):
    ids = np.random.default_rng(seed).permutation(np.repeat(np.arange(12), 2))
    plain, blocked = PairResamples(ids, 20, seed), PairResamples(ids, 20, seed, np.array(names)[ids])
    assert (drawn(plain) == drawn(blocked)).all()
    assert (blocked.pairs, blocked.blocks) == (12, 12)


def test_blocks_are_drawn_whole_and_as_often_as_there_are_blocks():
    ids = np.repeat(np.arange(60), 2)
    blocks = ids // 6
    resamples = PairResamples(ids, 300, 1, blocks)
    weights = drawn(resamples)
    assert (resamples.pairs, resamples.blocks) == (60, 10)
    for block in range(10):
        assert (weights[:, blocks == block] == weights[:, [12 * block]]).all()
    assert (weights[:, ::12].sum(1) == 10).all()
    assert 0.25 < (weights[:, ::12] == 0).mean() < 0.45  # (1 - 1/10)^10 = 0.35
    assert weights.mean() == pytest.approx(1)


def test_intervals_of_equal_blocks_are_those_of_a_plain_loop_and_wider_where_blocks_are_alike():
    rng = np.random.default_rng(0)
    ids, labels = np.repeat(np.arange(400), 2), np.tile([1, 0], 400)
    blocks = ids // 10
    # of a block all promoters are easy, or none
    scores = rng.normal(size=800) + labels * np.where(rng.random(40) < 0.5, 3.0, -0.5)[blocks]
    found = assess(labels, scores, 0.5, PairResamples(ids, 1000, 1, blocks)).auroc
    members = [np.flatnonzero(blocks == block) for block in range(40)]
    loop = []
    for _ in range(300):
        rows = np.concatenate([members[block] for block in rng.integers(40, size=40)])
        loop.append(roc_auc_score(labels[rows], scores[rows]))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(loop, [0.025, 0.975])), abs=0.03)
    alone = assess(labels, scores, 0.5, PairResamples(ids, 1000, 1)).auroc
    assert found.value == alone.value
    assert found.high - found.low > 1.5 * (alone.high - alone.low)


def test_a_pair_in_two_blocks_and_a_torn_pair_are_named():
    with pytest.raises(ShapeError, match="two blocks"):
        PairResamples([0, 0, 1, 1], 10, 0, [0, 1, 1, 1])
    with pytest.raises(SplitError, match="2 of 3 pairs"):
        PairResamples([0, 0, 1, 2], 10, 0, [5, 5, 5, 5]).check_whole(np.array([True, False, True, False]))


@pytest.mark.parametrize("chunk", [1, 10**6])
def test_means_are_those_of_the_drawn_examples(monkeypatch, chunk):
    monkeypatch.setattr("genocontrast.evaluation.resamples._CHUNK_ELEMENTS", chunk)
    rng = np.random.default_rng(0)
    ids, rows, values = np.repeat(np.arange(20), 2), np.tile([True, False], 20), rng.normal(size=40)
    resamples = PairResamples(ids, 80, 0)
    for chosen in (None, rows):
        mask = np.ones(40, bool) if chosen is None else chosen
        found = resamples.mean(np.where(mask, values, np.nan), chosen)
        brute = [np.repeat(values[mask], times[mask].astype(int)).mean() for times in drawn(resamples)]
        assert found.value == pytest.approx(values[mask].mean())
        assert (found.low, found.high) == pytest.approx(tuple(np.quantile(brute, [0.025, 0.975])))


def table(rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end", "label", "pair_id"])


def test_the_promoter_says_which_block_a_pair_is_in():
    promoters = [(chrom, 1000 * i, 1000 * i + 100, 1, n) for n, (chrom, i) in enumerate(np.ndindex(2, 100))]
    promoters = [(f"chr{chrom}", *rest) for chrom, *rest in promoters]
    decoys = [("chrX", 7, 107, 0, pair) for pair in range(200)]  # all in one place, which does not count
    examples = table([*decoys, *promoters]).sample(frac=1, random_state=0)
    blocks, size = promoter_blocks(examples, 5000)
    assert size == 5000
    assert len(set(blocks)) == 40
    place = {pair: (chrom, (start + 50) // 5000) for chrom, start, _, _, pair in promoters}
    of_block = {}
    for pair, block in zip(examples["pair_id"], blocks, strict=True):
        assert of_block.setdefault(block, place[pair]) == place[pair]
    assert len(set(of_block.values())) == 40


def test_blocks_are_halved_until_there_are_enough():
    rows = [("c", 1000 * (pair // 2), 1000 * (pair // 2) + 60, pair % 2, pair // 2) for pair in range(200)]
    blocks, size = promoter_blocks(table(rows), 100_000)
    assert LEAST_BLOCKS <= len(set(blocks)) < 2 * LEAST_BLOCKS + 2
    assert size == 100_000 // 2**5
    few, size = promoter_blocks(table(rows[:8]), 100_000)  # fewer pairs than that: one block each
    assert (len(set(few)), size < 1000) == (4, True)
    same = table([("c", 10, 70, label, pair) for pair in range(4) for label in (0, 1)])
    assert promoter_blocks(same, 1000)[1] == 1  # it ends
