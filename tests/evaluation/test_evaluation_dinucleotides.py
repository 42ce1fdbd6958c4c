from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast.evaluation.dinucleotides import shuffle
from genocontrast.sequence import decode, encode


def pairs(row):
    return Counter(zip(row[:-1].tolist(), row[1:].tolist(), strict=True))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ACGTN", min_size=12, max_size=12), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_every_dinucleotide_occurs_as_often_as_before(words, seed):
    codes = np.stack([encode(word) for word in words])
    shuffled = shuffle(codes, np.random.default_rng(seed))
    assert [pairs(row) for row in shuffled] == [pairs(row) for row in codes]


@pytest.mark.parametrize("word", ["ACAGATCA", "AACATTAG", "ACNCAGNA", "CCCCCCCA"])
def test_all_sequences_of_the_same_dinucleotides_are_equally_likely(word):
    """Against brute force: every arrangement of the letters that keeps the dinucleotides, as a set and in frequency."""
    from itertools import permutations

    codes = encode(word)
    wanted = {p for p in permutations(codes.tolist()) if pairs(np.array(p)) == pairs(codes)}
    wanted = {p for p in wanted if p[0] == codes[0] and p[-1] == codes[-1]}
    draws = 400 * len(wanted)
    drawn = shuffle(np.tile(codes, (draws, 1)), np.random.default_rng(0))
    seen = Counter(map(tuple, drawn.tolist()))
    assert set(seen) == wanted
    deviation = np.array([seen[p] - 400 for p in sorted(wanted)]) / 20
    assert (deviation**2).sum() < len(wanted) + 5 * np.sqrt(2 * len(wanted)) + 1


def test_long_windows_lose_their_order_and_the_input_is_left_alone():
    codes = np.random.default_rng(0).integers(0, 4, (50, 300)).astype(np.uint8)
    kept = codes.copy()
    shuffled = shuffle(codes, np.random.default_rng(1))
    np.testing.assert_array_equal(codes, kept)
    assert 0.2 < (shuffled == codes).mean() < 0.32
    np.testing.assert_array_equal(shuffled, shuffle(codes, np.random.default_rng(1)))


def test_windows_too_short_to_shuffle_stay():
    assert decode(shuffle(encode("AC")[None], np.random.default_rng(0))[0]) == "AC"
    assert shuffle(np.empty((0, 9), np.uint8), np.random.default_rng(0)).shape == (0, 9)
