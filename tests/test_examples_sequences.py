"""Examples that carry their sequence, beside those that lie on a genome."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genocontrast.errors import FileFormatError, GenocontrastWarning, RegionError, ShapeError, SplitError
from genocontrast.examples import check_sequences, has_sequences, window_codes
from genocontrast.genome import Genome
from genocontrast.sequence import decode, encode


def table(*sequences):
    return pd.DataFrame(
        {"sequence": list(sequences), "label": [i % 2 for i in range(len(sequences))], "split": "train"}
    )


@given(st.lists(st.text("ACGTN", min_size=1, max_size=9), min_size=1, max_size=6), st.none() | st.integers(1, 12))
def test_windows_are_centred_in_a_common_width(sequences, width):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GenocontrastWarning)
        codes = window_codes(table(*sequences), width=width)
    width = width or max(map(len, sequences))
    for sequence, row in zip(sequences, codes, strict=True):
        cut = max(len(sequence) - width, 0) // 2
        expected = sequence[cut : cut + width]
        left = (width - len(expected)) // 2
        assert decode(row) == "N" * left + expected + "N" * (width - left - len(expected))


def test_a_given_width_counts_what_it_changes():
    with pytest.warns(GenocontrastWarning, match="of 4 sequences, read as 4 bp, 1 are longer .* and 2 are shorter"):
        codes = window_codes(table("AACCGG", "ACGT", "AC", "A"), width=4)
    assert [decode(row) for row in codes] == ["ACCG", "ACGT", "NACN", "NANN"]
    window_codes(table("ACGT"), width=4)  # no warning, or pytest would fail
    window_codes(table("ACGT", "A"))


def test_examples_of_either_kind_give_codes(tmp_path):
    (tmp_path / "genome.fa").write_text(">c\nACGGTTNACG\n")
    genome = Genome(tmp_path / "genome.fa")
    places = pd.DataFrame({"chrom": "c", "start": [0, 3], "end": [4, 6], "strand": ["-", "+"]})
    assert has_sequences(table("ACGT"))
    assert not has_sequences(places)
    assert [decode(row) for row in window_codes(places, genome, 2)] == ["CG", "GT"]
    # around the shorter one the genome is read, not N
    assert [decode(row) for row in window_codes(places, genome)] == ["CCGT", "GGTT"]
    np.testing.assert_array_equal(window_codes(table("ACGT"), genome), encode("ACGT")[None])
    with pytest.raises(ShapeError, match="no sequence, and no genome"):
        window_codes(places)
    with pytest.raises(RegionError, match="outside"):
        window_codes(places, genome, 10)
    with pytest.raises(ShapeError, match="not a DNA letter"):
        window_codes(table("AXGT"))


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda t: t.drop(columns="label"), FileFormatError, "no column label"),
        (lambda t: t.assign(label=[1, 2, 0]), FileFormatError, "1 rows: label is neither 0 nor 1"),
        (lambda t: t.assign(sequence=["ACGT", "", "TX"]), FileFormatError, "2 rows: the sequence is empty or has"),
        (lambda t: t.assign(sequence=["ACGT", None, "TT"]), FileFormatError, "1 rows: the sequence is empty or has"),
        (lambda t: t.assign(label=1), SplitError, "'train' holds a single class"),
        (lambda t: t.assign(split=["train", "train", "test"]), SplitError, "'test' holds a single class"),
        (lambda t: t[:0], SplitError, "holds no example"),
    ],
)
def test_a_table_that_is_none_is_refused(change, error, said):
    good = table("acgt", "RYN", "TTT")
    assert check_sequences(good) is good
    with pytest.raises(error, match=said):
        check_sequences(change(good))
