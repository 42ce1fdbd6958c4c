import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from genocontrast.errors import FileFormatError, RegionError
from genocontrast.evaluation.truth import oracle_scores, oracle_share, read_elements


def frame(rows, ratio=None):
    table = pd.DataFrame(rows, columns=["chrom", "start", "end"])
    return table if ratio is None else table.assign(log_likelihood_ratio=ratio)


def test_examples_belong_to_the_element_of_their_centre_else_of_most_overlap():
    elements = frame([("a", 0, 100), ("a", 100, 140), ("a", 300, 310), ("a", 350, 360), ("b", 0, 100)], [1, 2, 3, 4, 5])
    examples = frame(
        [
            ("a", 0, 100),  # the element itself
            ("a", 60, 160),  # centre 110 lies in the second, which overlaps as much as the first
            ("a", 20, 200),  # centre 110 in the second; the first overlaps more
            ("a", 305, 356),  # centre in neither; the last overlaps 6 bp, the third 5
            ("a", 141, 299),  # touches none
            ("b", 99, 199),  # 1 bp
            ("c", 0, 100),  # no element on this chromosome
        ]
    )
    expected = [1, 2, 2, 4, np.nan, 5, np.nan]
    np.testing.assert_array_equal(oracle_scores(examples, elements), expected)
    shuffled = elements.sample(frac=1, random_state=1)
    np.testing.assert_array_equal(oracle_scores(examples.set_axis(range(7, 14)), shuffled), expected)


def test_share_is_of_the_oracles_gain_on_pairs_that_it_knows():
    rng = np.random.default_rng(0)
    labels, pairs = np.tile([1, 0], 200), np.repeat(np.arange(200), 2)
    oracle = rng.normal(size=400) + 1.5 * labels
    scores = oracle + rng.normal(size=400)
    oracle[[0, 7]] = np.nan  # pairs 0 and 3
    known = ~np.isin(pairs, [0, 3])
    found = oracle_share(labels, scores, oracle, pairs, 200, 0)
    best, ours = (roc_auc_score(labels[known], values[known]) for values in (oracle, scores))
    assert found["auroc"]["value"] == pytest.approx(best)
    assert found["auroc"]["low"] < best < found["auroc"]["high"]
    assert found["share"] == pytest.approx((ours - 0.5) / (best - 0.5))
    assert (found["pairs"], found["without_element"]) == (198, 2)


def test_no_share_of_an_oracle_at_chance():
    labels, pairs = np.tile([1, 0], 100), np.repeat(np.arange(100), 2)
    noise = np.random.default_rng(0).normal(size=200)
    assert oracle_share(labels, noise, noise, pairs, 200, 0)["share"] is None


def test_truth_of_another_genome_is_a_named_error():
    labels, pairs = np.tile([1, 0], 3), np.repeat(np.arange(3), 2)
    with pytest.raises(RegionError, match="none of 3 test pairs"):
        oracle_share(labels, np.zeros(6), np.full(6, np.nan), pairs, 10, 0)


def test_elements_file_errors_name_the_line(tmp_path):
    path = tmp_path / "elements.tsv"
    path.write_text("chrom\tstart\tend\tname\na\t0\t10\tx\n")
    with pytest.raises(FileFormatError, match="no column log_likelihood_ratio"):
        read_elements(path)
    path.write_text("chrom\tstart\tend\tlog_likelihood_ratio\na\t0\t10\t1.5\na\t0\tten\t1.5\n")
    with pytest.raises(FileFormatError, match=r"line 3.*'end'.*'ten'"):
        read_elements(path)
    with pytest.raises(FileFormatError, match="no such file"):
        read_elements(tmp_path / "absent.tsv")
