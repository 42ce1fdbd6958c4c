"""Windows that nearly repeat others: exact against sets of words, whatever the sizes of the parts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast.genome import near_duplicates
from genocontrast.genome.near_duplicates import containment, nearly_repeats
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


def stacks(alphabet):
    text = st.text(alphabet, min_size=14, max_size=14)
    return st.lists(text, min_size=1, max_size=6).map(lambda texts: np.stack([encode(text) for text in texts]))


# few letters make words that most windows share; parts and products of any size must give the same
@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(["ACGTN", "AC", "ACGGGG"]).flatmap(lambda letters: st.tuples(stacks(letters), stacks(letters))),
    st.integers(1, 6),
    st.integers(1, 60),
    st.integers(1, 12),
)
def test_containment_equals_sets_of_words(pair, k, bases, entries):
    windows, others = pair
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "_BASES", bases)
        patch.setattr(near_duplicates, "_ENTRIES", entries)
        found = containment(windows, others, k).tolist()
    assert found == by_sets(windows, others, k)
    assert containment(windows, others, k).tolist() == found


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


def test_one_product_holds_no_more_entries_than_allowed(monkeypatch):
    """Windows that all share a word would else give a product of n x m entries."""
    same = np.tile(encode("ACGTTGCAAGCT" * 3), (50, 1))
    most, multiply = [], near_duplicates.csr_array.__matmul__

    def watched(left, right):
        product = multiply(left, right)
        most.append(getattr(product, "nnz", 0))
        return product

    monkeypatch.setattr(near_duplicates, "_ENTRIES", 100)
    monkeypatch.setattr(near_duplicates.csr_array, "__matmul__", watched)
    assert (containment(same, np.tile(same, (2, 1))[:40]) == 1).all()
    assert 0 < max(most) <= 100 + 40


@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (0, 0)])
def test_nothing_to_compare(n, m):
    windows, others = np.zeros((n, 20), np.uint8), np.zeros((m, 20), np.uint8)
    assert nearly_repeats(windows, others).tolist() == [False] * n
    assert containment(windows, others).tolist() == [0] * n


def test_windows_shorter_than_a_word_repeat_nothing():
    short = np.zeros((2, 11), np.uint8)
    assert containment(short, short).tolist() == [0, 0]
