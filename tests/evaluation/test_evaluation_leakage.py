import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast.evaluation.leakage import leakage_audit
from genocontrast.genome.near_duplicates import containment
from genocontrast.sequence import decode, encode, reverse_complement


def random_windows(n, length=200, seed=0):
    return np.random.default_rng(seed).integers(0, 4, (n, length), dtype=np.uint8)


def places(n, start=0, chrom="chr1", length=200):
    first = start + 1000 * np.arange(n)
    return pd.DataFrame({"chrom": chrom, "start": first, "end": first + length})


def audited(test, train, **where):
    return leakage_audit(places(len(test), **where), places(len(train), chrom="chr9"), test, train)


def words(text, k):
    found = {text[i : i + k] for i in range(len(text) - k + 1)}
    found = {word for word in found if "N" not in word}
    return {min(word, decode(reverse_complement(encode(word)))) for word in found}


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.text("ACGTN", min_size=9, max_size=9), min_size=1, max_size=5),
    st.lists(st.text("ACGTN", min_size=9, max_size=9), min_size=1, max_size=5),
    st.integers(1, 4),
)
def test_containment_against_sets_of_words(test, train, k):
    found = containment(np.stack([encode(text) for text in test]), np.stack([encode(text) for text in train]), k)
    for text, value in zip(test, found, strict=True):
        ours = words(text, k)
        expected = max(len(ours & words(other, k)) for other in train) / max(len(ours), 1)
        assert value == pytest.approx(expected)


def test_unrelated_windows_pass():
    audit = audited(random_windows(300, seed=1), random_windows(300, seed=2))
    assert audit.as_dict()["passed"] is True


@pytest.mark.parametrize("copy", [lambda codes: codes, reverse_complement], ids=["copied", "reverse complemented"])
def test_a_training_window_copied_into_test_is_found(copy):
    train, test = random_windows(50, seed=1), random_windows(50, seed=2)
    test[7] = copy(train[3])
    audit = audited(test, train)
    assert (audit.overlapping, audit.near_duplicates) == (0, 1)
    assert audit.as_dict()["passed"] is False


@pytest.mark.parametrize(("share", "found"), [(0.7, 1), (0.3, 0)])
def test_a_partial_copy_counts_from_half_of_the_window(share, found):
    train, test = random_windows(50, seed=1), random_windows(50, seed=2)
    length = int(200 * share)
    test[7, :length] = train[3, -length:]
    assert audited(test, train).near_duplicates == found


def test_overlap_is_found_by_position():
    test, train = random_windows(3, seed=1), random_windows(3, seed=2)
    audit = leakage_audit(places(3), places(3, start=199), test, train)
    assert audit.overlapping == 3
    assert leakage_audit(places(3), places(3, start=200), test, train).overlapping == 0


def test_windows_of_n_are_nothing():
    blank = np.full((2, 200), 4, np.uint8)
    assert containment(blank, blank).tolist() == [0, 0]


def test_test_windows_in_sequence_of_the_pretraining_are_found():
    test, train = random_windows(20, seed=1), random_windows(20, seed=2)
    clear, met = (
        leakage_audit(places(20), places(20, chrom="chr9"), test, train, [("chr9", 0, 10**6), *segments])
        for segments in ([], [("chr1", 3100, 5050)])
    )
    assert clear.as_dict()["passed"]
    assert np.flatnonzero(met.leaks["pretrained_on"]).tolist() == [3, 4, 5]
    assert not met.as_dict()["passed"]
    assert "3 overlap sequence of the pretraining" in met.reason()
