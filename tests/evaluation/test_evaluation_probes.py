import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from genocontrast.config import SPLITS
from genocontrast.errors import ShapeError
from genocontrast.evaluation.probes import (
    NEIGHBOURS,
    RETRIEVED,
    cosines,
    geometry,
    knn_probe,
    linear_probe,
    locus_ranks,
    probe,
    promoters_retrieved,
)
from genocontrast.evaluation.resamples import PairResamples


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def embedded(pairs=240, dim=8, apart=0.0, seed=0):
    """Directions around two centres `apart` in the first axis, labels, the split of each pair, pair ids."""
    rng = np.random.default_rng(seed)
    labels, ids = np.tile([1, 0], pairs), np.repeat(np.arange(pairs), 2)
    vectors = rng.normal(size=(2 * pairs, dim))
    vectors[:, 0] += apart * (labels - 0.5)
    rows = {split: ids % 3 == number for number, split in enumerate(SPLITS)}
    return unit(vectors), labels, rows, ids


def cosine_order(vectors, asked):
    """Rows by falling cosine, one vector after the other."""
    return [sorted(range(len(vectors)), key=lambda i: -float(vectors[i] @ one)) for one in asked]


def test_probes_find_a_planted_separation():
    vectors, labels, rows, _ = embedded(apart=4.0)
    for probe_of in (linear_probe, knn_probe):
        scores = probe_of(vectors, labels, rows).scores[rows["test"]]
        assert roc_auc_score(labels[rows["test"]], scores) > 0.95


def test_nearest_neighbours_see_what_no_line_can():
    rng = np.random.default_rng(0)
    labels, ids = np.tile([1, 0], 300), np.repeat(np.arange(300), 2)
    quarter = rng.integers(0, 2, 600)  # promoters in two opposite quarters, decoys in the two between
    angle = np.pi / 4 + np.pi / 2 * (2 * quarter + (1 - labels)) + rng.normal(scale=0.2, size=600)
    vectors, rows = np.column_stack([np.cos(angle), np.sin(angle)]), {s: ids % 3 == n for n, s in enumerate(SPLITS)}
    line, near = (p(vectors, labels, rows).scores[rows["test"]] for p in (linear_probe, knn_probe))
    assert roc_auc_score(labels[rows["test"]], line) < 0.7
    assert roc_auc_score(labels[rows["test"]], near) > 0.95


def test_noise_gives_chance_everywhere():
    vectors, labels, rows, ids = embedded()
    resamples = PairResamples(ids[rows["test"]], 300, 0)
    views = embedded(seed=1)[0][rows["test"]]
    found = probe(vectors, labels, rows, views, resamples, 0.01).as_dict()
    for name in ("linear", "knn"):
        assert found[name]["auroc"]["low"] < 0.5 < found[name]["auroc"]["high"]
    retrieval, recall = found["retrieval"], found["locus"]["recall"]
    assert retrieval["prevalence"] == 79 / 159
    assert retrieval["low"] < 79 / 159 < retrieval["high"]
    assert [(each["k"], each["chance"]) for each in recall] == [(1, 1 / 160), (RETRIEVED, RETRIEVED / 160)]
    assert all(each["value"] < 0.12 for each in recall)
    assert found["alignment"] == pytest.approx(2, abs=0.15)
    json.dumps(found, allow_nan=False)


def test_a_separated_embedding_has_figures_to_match():
    vectors, labels, rows, ids = embedded(apart=5.0)
    resamples = PairResamples(ids[rows["test"]], 100, 0)
    views = unit(vectors[rows["test"]] + np.random.default_rng(1).normal(scale=1e-3, size=(160, 8)))
    found = probe(vectors, labels, rows, views, resamples, None).as_dict()
    assert found["linear"]["auroc"]["value"] > 0.95
    assert found["retrieval"]["value"] > 0.9
    assert [each["value"] for each in found["locus"]["recall"]] == [1, 1]
    assert found["alignment"] < 1e-4
    assert "expected" not in found["knn"]


def test_neighbours_are_counted_as_in_a_loop_and_chosen_on_the_validation_split():
    vectors, labels, rows, _ = embedded(pairs=60, apart=1.0)
    found = knn_probe(vectors, labels, rows)
    assert np.isnan(found.scores[rows["train"]]).all()
    best = (-1.0, 0)
    for k in (k for k in NEIGHBOURS if k <= rows["train"].sum()):
        order = cosine_order(vectors[rows["train"]], vectors[rows["validation"]])
        share = [labels[rows["train"]][nearest[:k]].mean() for nearest in order]
        best = max(best, (roc_auc_score(labels[rows["validation"]], share), k))
    assert found.chosen == best[1]
    order = cosine_order(vectors[rows["train"]], vectors[rows["test"]])
    expected = [labels[rows["train"]][nearest[: best[1]]].mean() for nearest in order]
    np.testing.assert_allclose(found.scores[rows["test"]], expected)


def test_what_is_in_the_test_split_does_not_tune():
    vectors, labels, rows, _ = embedded(apart=1.0)
    for probe_of in (linear_probe, knn_probe):
        swapped = np.where(rows["test"], 1 - labels, labels)
        one, other = probe_of(vectors, labels, rows), probe_of(vectors, swapped, rows)
        assert one.chosen == other.chosen
        np.testing.assert_array_equal(one.scores, other.scores)


def test_retrieved_promoters_are_counted_as_in_a_loop_leaving_out_the_window_itself():
    vectors, labels, _, _ = embedded(pairs=25, apart=1.0)
    vectors = 3.0 * vectors  # lengths do not count
    vectors[8] = 9.0 * vectors[6]  # a promoter's copy elsewhere is another window
    found = promoters_retrieved(vectors, labels == 1, 5)
    for row, order in enumerate(cosine_order(unit(vectors), unit(vectors))):
        others = [i for i in order if i != row][:5]
        assert found[row] == pytest.approx(np.mean(labels[others]))
        assert row not in (6, 8) or {6, 8} & set(others)
    assert 0 < found.min() + found.max() < 2


def test_loci_are_ranked_as_in_a_loop_and_equals_count_against_them(monkeypatch):
    rng = np.random.default_rng(0)
    windows, views = rng.normal(size=(40, 3)), rng.normal(size=(40, 3))
    views[:20] = windows[:20] + 0.1 * views[:20]
    expected = []
    for i in range(40):
        own = unit(windows)[i] @ unit(views)[i]
        expected.append(1 + sum(unit(windows)[j] @ unit(views)[i] >= own for j in range(40) if j != i))
    assert locus_ranks(windows, views).tolist() == expected
    assert min(expected) == 1 < max(expected)
    monkeypatch.setattr("genocontrast.evaluation.probes._CHUNK", 7)
    assert locus_ranks(windows, views).tolist() == expected
    collapsed = np.tile([1.0, 0.0, 0.0], (9, 1))
    assert locus_ranks(collapsed, collapsed).tolist() == [9] * 9
    with pytest.raises(ShapeError, match="one shape"):
        locus_ranks(windows, views[1:])


def test_alignment_and_uniformity_by_their_definitions():
    rng = np.random.default_rng(0)
    one, other = unit(rng.normal(size=(30, 5))), unit(rng.normal(size=(30, 5)))
    aligned, uniform = geometry(one, other)
    assert aligned == pytest.approx(np.mean([((a - b) ** 2).sum() for a, b in zip(one, other, strict=True)]))
    pairs = [np.exp(-2 * ((one[i] - one[j]) ** 2).sum()) for i in range(30) for j in range(i)]
    assert uniform == pytest.approx(np.log(np.mean(pairs)))
    assert geometry(5.0 * one, 3.0 * other) == pytest.approx((aligned, uniform))


def test_cosines_of_opposites():
    one, other = np.array([[1.0, 0], [2, 0], [0, 1], [0, 0]]), np.array([[3.0, 0], [-1, 0], [1, 1], [1, 0]])
    np.testing.assert_allclose(cosines(one, other), [1, -1, np.sqrt(0.5), 0])
