import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genocontrast.errors import SplitError
from genocontrast.examples import window_codes
from genocontrast.genome.repeats import drop_repeats, repeats_between, repeats_within
from genocontrast.genome.sequence_tables import read_sequences

OTHER = str.maketrans("ACGT", "TGCA")
tables = st.lists(st.tuples(st.text("ACN", min_size=1, max_size=3), st.integers(0, 1)), min_size=1, max_size=8)


def table(rows):
    return pd.DataFrame(rows, columns=["sequence", "label"]).assign(split="train")


def same(one, other):
    one, other = one.strip("N"), other.strip("N")
    return bool(one) and other in (one, one.translate(OTHER)[::-1])


@settings(max_examples=50)
@given(tables, tables)
def test_repeats_between_against_every_pair(ours, theirs):
    found = repeats_between(window_codes(table(ours)), window_codes(table(theirs)))
    assert found.tolist() == [any(same(one, other) for other, _ in theirs) for one, _ in ours]


@settings(max_examples=50)
@given(tables)
def test_repeats_within_against_every_pair(rows):
    found = repeats_within(window_codes(table(rows)), [label for _, label in rows])
    others = [
        [other for j, other in enumerate(rows) if j != i and same(row[0], other[0])] for i, row in enumerate(rows)
    ]
    assert found.repeated.tolist() == [bool(them) for them in others]
    contrary = [any(other[1] != row[1] for other in them) for row, them in zip(rows, others, strict=True)]
    assert found.contradictory.tolist() == contrary


def test_training_rows_that_repeat_in_dev_go_and_dev_stays(caplog):
    caplog.set_level(logging.INFO, "genocontrast")
    train = table([("AACC", 1), ("GGTT", 0), ("AAAA", 1), ("TTTT", 1), ("CACA", 0), ("AAC", 0)])
    dev = table([("GGTT", 1), ("CCCC", 0)])
    before = dev.copy()
    kept = drop_repeats(train, dev)
    assert kept["sequence"].tolist() == ["AAAA", "TTTT", "CACA", "AAC"]
    pd.testing.assert_frame_equal(dev, before)
    assert "2 of 6 training sequences repeat in the development set" in caplog.text


def test_nothing_is_said_where_nothing_repeats(caplog):
    caplog.set_level(logging.INFO, "genocontrast")
    train = table([("AACC", 1), ("AAAA", 0)])
    pd.testing.assert_frame_equal(drop_repeats(train, table([("CCCC", 1)])), train)
    assert not caplog.text


@pytest.mark.parametrize(("other", "left"), [(("CCCA", 1), "a single class"), (("TTTT", 0), "none")])
def test_a_training_set_that_is_gone_is_refused(other, left):
    with pytest.raises(
        SplitError, match=rf"of 2 training sequences repeat in the development set, which leaves {left}"
    ):
        drop_repeats(table([("AAAA", 0), other]), table([("TTTT", 1), ("CCCC", 0)]))


def test_gue_has_54_repeats_and_contradictions(data):
    folder = data / "gue" / "prom_core_all"
    train, dev = read_sequences(folder / "train.csv.gz"), read_sequences(folder / "dev.csv.gz")
    assert len(train) - len(drop_repeats(train, dev)) == 54
    keys = [min(text, text.translate(OTHER)[::-1]) for text in train["sequence"]]
    by_key = train.assign(key=keys).groupby("key")["label"]
    found = repeats_within(window_codes(train), train["label"])
    np.testing.assert_array_equal(found.repeated, by_key.transform("size") > 1)
    np.testing.assert_array_equal(found.contradictory, by_key.transform("nunique") > 1)
    assert found.contradictory.sum() == 80
