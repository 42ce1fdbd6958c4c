import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genocontrast import sequence as seq
from genocontrast.errors import ShapeError

dna = st.text("ACGTN", max_size=60)
COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}


def mirrored(text):
    return "".join(COMPLEMENT[letter] for letter in reversed(text))


@given(dna)
def test_encoding_and_reverse_complement_agree_with_strings(text):
    codes = seq.encode(text)
    assert seq.decode(codes) == text
    assert seq.decode(seq.reverse_complement(codes)) == mirrored(text)


def test_lower_case_iupac_and_uracil():
    assert seq.decode(seq.encode("acgtuRYn")) == "ACGTTNNN"


@pytest.mark.parametrize(("text", "position"), [("ACXT", 2), ("ACG T", 3), ("é", 0)])
def test_a_letter_outside_the_alphabet_is_named(text, position):
    with pytest.raises(ShapeError, match=f"position {position}"):
        seq.encode(text)


@given(dna)
def test_one_hot_of_the_reverse_complement_is_flipped_both_ways(text):
    hot = seq.one_hot(seq.encode(text))
    assert hot.shape == (4, len(text))
    assert (hot.sum(0) == np.array([letter != "N" for letter in text], dtype=float)).all()
    np.testing.assert_array_equal(seq.one_hot(seq.encode(mirrored(text))), hot[::-1, ::-1])


@given(dna)
def test_composition_against_counting_letters(text):
    codes = seq.encode(text)
    called = sum(letter != "N" for letter in text)
    gc = text.count("G") + text.count("C")
    assert seq.gc_fraction(codes) == pytest.approx(gc / called if called else 0)
    product = text.count("C") * text.count("G")
    expected = text.count("CG") * called / product if product else 0
    assert seq.cpg_ratio(codes) == pytest.approx(expected)


@given(dna, st.integers(1, 6))
def test_kmer_ids_name_the_kmers(text, k):
    ids = seq.kmer_ids(seq.encode(text), k)
    words = [text[i : i + k] for i in range(max(len(text) - k + 1, 0))]
    assert [None if i < 0 else seq.kmer_name(int(i), k) for i in ids] == [None if "N" in w else w for w in words]


@pytest.mark.parametrize("k", range(1, 9))
def test_a_kmer_and_its_reverse_complement_are_one_token(k):
    token, canonical = seq.canonical_table(k)
    palindromes = 4 ** (k // 2) if k % 2 == 0 else 0
    assert len(canonical) == (4**k + palindromes) // 2
    for kmer_id in np.random.default_rng(k).integers(0, 4**k, 50):
        word = seq.kmer_name(int(kmer_id), k)
        twin = int(seq.kmer_ids(seq.encode(mirrored(word)), k)[0])
        assert token[kmer_id] == token[twin]
        assert canonical[token[kmer_id]] == min(kmer_id, twin)


@given(st.lists(st.text("ACGTN", min_size=12, max_size=12), min_size=1, max_size=4), st.integers(1, 5))
def test_kmer_frequencies_count_words_of_either_strand(texts, k):
    codes = np.stack([seq.encode(text) for text in texts])
    frequencies = seq.kmer_frequencies(codes, k)
    np.testing.assert_allclose(seq.kmer_frequencies(seq.reverse_complement(codes), k), frequencies)
    _, canonical = seq.canonical_table(k)
    for text, row in zip(texts, frequencies, strict=True):
        words = [text[i : i + k] for i in range(len(text) - k + 1) if "N" not in text[i : i + k]]
        for token in np.flatnonzero(row):
            word = seq.kmer_name(int(canonical[token]), k)
            count = sum(w in {word, mirrored(word)} for w in words)
            assert row[token] == pytest.approx(count / len(words))
        assert row.sum() == pytest.approx(1 if words else 0)


@pytest.mark.parametrize("k", [0, 13])
def test_k_out_of_range(k):
    with pytest.raises(ShapeError, match="k must lie"):
        seq.kmer_ids(seq.encode("ACGT"), k)
