"""Principal components by hand geometry, and the numbers of a logo."""

import numpy as np
import pytest

from genocontrast.report.maps import information
from genocontrast.report.projection import arrange, project
from genocontrast.report.wording import estimate, listing, number, plural


def test_points_on_a_line_have_one_component():
    steps = np.linspace(-2, 2, 9)
    found = project(np.outer(steps, [3, 4, 0]) + 7, seed=0)
    assert found.explained[0] == pytest.approx(1)
    assert np.sort(found.points[:, 0]) == pytest.approx(5 * steps)  # |(3, 4, 0)| = 5
    assert np.abs(found.points[:, 1]).max() < 1e-3


def test_the_projection_agrees_with_scikit_learn_up_to_sign():
    from sklearn.decomposition import PCA

    values = np.random.default_rng(3).normal(size=(60, 5)) * [5, 3, 1, 1, 0.5]
    reference = PCA(2)
    points = reference.fit_transform(values)
    found = project(values, seed=1)
    for axis in range(2):
        sign = np.sign(found.points[0, axis] * points[found.rows[0], axis])
        assert found.points[:, axis] == pytest.approx(sign * points[found.rows, axis], abs=1e-3)
    assert found.explained == pytest.approx(reference.explained_variance_ratio_)


def test_points_are_thinned_at_random_without_repeats():
    plane = np.arange(20.0).reshape(10, 2)
    found = arrange(plane, (0.5, 0.2), seed=4, limit=6)
    assert len(set(found.rows)) == 6
    assert (found.points == plane[found.rows]).all()
    assert list(found.rows) != sorted(found.rows)


def test_information_of_a_column():
    heights = information(np.array([[1, 0, 0, 0], [0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0, 0]]))
    assert heights.sum(1) == pytest.approx([2, 0, 1], abs=1e-9)
    assert heights[2] == pytest.approx([0.5, 0.5, 0, 0], abs=1e-9)


def test_numbers_are_set_with_a_true_minus_and_no_negative_zero():
    assert number(-0.05, 2, signed=True) == "\u22120.05"
    assert number(-0.0001, 2, signed=True) == "0.00"
    assert number(None) == number(float("nan")) == "\u2013"
    assert estimate({"value": 0.5, "low": 0.25, "high": 0.75}, 2) == "0.50 (0.25 to 0.75)"


def test_lists_and_counts_in_words():
    assert listing([]) == "none"
    assert listing(["a"]) == "a"
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert listing(list("abcdef"), limit=3) == "a, b, c and 3 more"
    assert (plural(1, "pair"), plural(1204, "pair")) == ("1 pair", "1,204 pairs")
