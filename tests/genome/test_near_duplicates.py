"""Windows that nearly repeat others: exact against sets of words, whatever is spared and the sizes of the parts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast.genome import near_duplicates
from genocontrast.genome.near_duplicates import CONTAINMENT, containment, nearly_repeats
from genocontrast.sequence import decode, encode, reverse_complement


def words(text, k):
    found = {text[i : i + k] for i in range(len(text) - k + 1)}
    return {min(word, decode(reverse_complement(encode(word)))) for word in found if "N" not in word}


def by_sets(windows, others, k):
    theirs = [words(decode(other), k) for other in others]
    largest = []
    for window in windows:
        ours = words(decode(window), k)
        largest.append(max((len(ours & their) for their in theirs), default=0) / max(len(ours), 1))
    return largest


def repeats_by_sets(windows, others, k):
    return [largest >= CONTAINMENT for largest in by_sets(windows, others, k)]


def stack(*texts):
    return np.stack([encode(text) for text in texts])


def stacks(alphabet):
    text = st.text(alphabet, min_size=14, max_size=14)
    return st.lists(text, min_size=1, max_size=6).map(lambda texts: stack(*texts))


# few letters make words that most windows share; parts of any size must give the same
@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(["ACGTN", "AC", "ACGGGG"]).flatmap(lambda letters: st.tuples(stacks(letters), stacks(letters))),
    st.integers(1, 6),
    st.integers(1, 60),
    st.integers(1, 60),
    st.floats(0, 1),
)
def test_both_answers_equal_sets_of_words(pair, k, bases, indexed, spared):
    windows, others = pair
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "_BASES", bases)
        patch.setattr(near_duplicates, "_INDEXED", indexed)
        patch.setattr(near_duplicates, "_SPARED", spared)
        assert containment(windows, others, k).tolist() == by_sets(windows, others, k)
        assert nearly_repeats(windows, others, k).tolist() == repeats_by_sets(windows, others, k)


def family(rng, n, ancestor, diverged):
    """Windows that end in a diverged copy of the ancestor, half of them reverse complemented, with an N in some."""
    windows = rng.integers(0, 4, (n, 80), dtype=np.uint8)
    mutated = rng.random((n, len(ancestor))) < diverged
    windows[:, -len(ancestor) :] = np.where(mutated, rng.integers(0, 4, mutated.shape), ancestor)
    windows[::2] = reverse_complement(windows[::2])
    windows[rng.random(n) < 0.3, rng.integers(0, 80)] = 4
    return windows


# hundreds of holders of a word, about half of a window: lists are read and searched, candidates gained and dropped
@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 10_000),
    st.integers(1, 150),
    st.integers(30, 80),
    st.floats(0, 0.2),
    st.integers(3, 7),
    st.floats(0, 1),
)
def test_families_of_repeats_equal_sets_of_words(seed, m, copied, diverged, k, spared):
    rng = np.random.default_rng(seed)
    ancestor = rng.integers(0, 4, copied, dtype=np.uint8)
    windows, others = family(rng, 12, ancestor, diverged), family(rng, m, ancestor, diverged)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "_SPARED", spared)
        assert nearly_repeats(windows, others, k).tolist() == repeats_by_sets(windows, others, k)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10_000), st.booleans(), st.integers(20, 100))
def test_copies_are_found_on_either_strand(seed, mirrored, copied):
    rng = np.random.default_rng(seed)
    windows, others = rng.integers(0, 4, (5, 100), dtype=np.uint8), rng.integers(0, 4, (8, 100), dtype=np.uint8)
    part = others[7, :copied]
    windows[3, -copied:] = reverse_complement(part) if mirrored else part
    found = containment(windows, others)
    assert found.tolist() == by_sets(windows, others, 12)
    assert found[3] >= (copied - 11 - 3) / 89  # a random part may hold a word twice
    assert nearly_repeats(windows, others).tolist() == (found >= 0.5).tolist()


def distinct_window(length, k=12):
    """A window, all of whose k-mers differ, on either strand."""
    rng = np.random.default_rng(0)
    while True:
        window = rng.integers(0, 4, length, dtype=np.uint8)
        if len(words(decode(window), k)) == length - k + 1:
            return window


@pytest.mark.parametrize("length", [100, 101])  # 89 and 90 words
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("common", [0, 60])  # others with the same half but for a word, which make its words common
def test_half_of_the_words_is_enough_and_one_fewer_is_not(length, mirrored, common):
    window = distinct_window(length)
    half = (length - 11 + 1) // 2
    short, enough = np.full((2, length), 4, np.uint8)
    short[: half - 1 + 11], enough[: half + 11] = window[: half - 1 + 11], window[: half + 11]
    if mirrored:
        window = reverse_complement(window)
    crowd = [short] * (common + 1)
    assert nearly_repeats(window[None], np.stack(crowd)).tolist() == [False]
    assert nearly_repeats(window[None], np.stack([*crowd, enough])).tolist() == [True]
    assert nearly_repeats(window[None], np.stack([enough, *crowd])).tolist() == [True]


@pytest.mark.parametrize("bound", ["_BASES", "_INDEXED"])
@pytest.mark.parametrize("rows", [1, 2, 3, 6])
def test_two_others_that_hold_nearly_half_each_are_no_repeat(monkeypatch, bound, rows):
    """Neither within a part of the others nor on both sides of its border."""
    monkeypatch.setattr(near_duplicates, bound, rows * 100)
    window = distinct_window(100)
    others = np.full((6, 100), 4, np.uint8)
    others[1:5:2, :54], others[2:5:2, -54:] = window[:54], window[-54:]  # 43 of 89 words each
    assert containment(window[None], others).tolist() == [43 / 89]
    assert not nearly_repeats(window[None], others).any()


def test_a_word_that_a_window_holds_often_counts_once():
    """34 of the 49 places, but 1 of the 16 words."""
    tail = decode(distinct_window(40))
    window, other = stack("A" * 45 + "C" + tail[:14]), stack("A" * 45 + "N" * 15)
    assert containment(window, other).tolist() == [1 / len(words(decode(window[0]), 12))]
    assert not nearly_repeats(window, other).any()


def test_lists_of_a_common_repeat_are_not_read(monkeypatch):
    """Else each window with the repeat would cost as many steps as there are others with it, times its words."""
    rng = np.random.default_rng(1)
    windows, others = rng.integers(0, 4, (20, 300), dtype=np.uint8), rng.integers(0, 4, (500, 300), dtype=np.uint8)
    windows[:, :100] = others[:, 100:200] = rng.integers(0, 4, 100, dtype=np.uint8)
    read, compiled = [], near_duplicates.compiled

    def watched(function):
        def tally(words, starts, *rest):
            read.append(int((starts[words + 1] - starts[words]).sum()))
            return compiled(function)(words, starts, *rest)

        return tally if function.__name__ == "_tally" else compiled(function)

    monkeypatch.setattr(near_duplicates, "compiled", watched)
    assert not nearly_repeats(windows, others).any()
    assert len(read) == 20
    assert max(read) < 200  # the repeat's 89 words have 44,500 holders
    assert containment(windows, others).min() > 0.25


@pytest.mark.parametrize("layout", ["read only", "strided"])
def test_any_layout_of_codes_does(layout):
    codes = np.random.default_rng(0).integers(0, 4, (4, 100), dtype=np.uint8)
    laid_out = np.repeat(codes, 2, axis=1)[:, ::2] if layout == "strided" else codes.copy()
    laid_out.setflags(write=False)
    assert nearly_repeats(laid_out, laid_out[2:]).tolist() == [False, False, True, True]


@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (0, 0)])
def test_nothing_to_compare(n, m):
    windows, others = np.zeros((n, 20), np.uint8), np.zeros((m, 20), np.uint8)
    assert nearly_repeats(windows, others).tolist() == [False] * n
    assert containment(windows, others).tolist() == [0] * n


@pytest.mark.parametrize("windows", [np.zeros((2, 11), np.uint8), np.full((2, 30), 4, np.uint8)], ids=["short", "N"])
def test_windows_without_a_word_repeat_nothing(windows):
    assert containment(windows, windows).tolist() == [0, 0]
    assert nearly_repeats(windows, windows).tolist() == [False, False]
