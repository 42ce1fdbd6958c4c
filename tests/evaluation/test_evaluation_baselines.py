import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genocontrast.evaluation.baselines import REGULARISATION, baseline_features, fit_baselines
from genocontrast.kmers import KmerEmbedding
from genocontrast.sequence import canonical_table, decode, kmer_frequencies, reverse_complement

SIZES = {"train": 200, "validation": 80, "test": 80}


def windows(gc):
    """Random windows of 60 bp with the given GC probabilities."""
    rng = np.random.default_rng(0)
    strong = rng.random((len(gc), 60)) < np.asarray(gc)[:, None]
    return np.where(strong, rng.integers(1, 3, strong.shape), rng.choice([0, 3], strong.shape)).astype(np.uint8)


def reached(examples, codes, embedding=None):
    """Test AUROC of each baseline."""
    test = (examples["split"] == "test").to_numpy()
    found = fit_baselines(examples, codes, embedding)
    return {b.name: roc_auc_score(examples["label"][test], b.scores[test]) for b in found}


def test_only_gc_tells_where_only_gc_differs(make_examples):
    examples = make_examples(SIZES)
    rng = np.random.default_rng(1)
    examples["accessibility"] = rng.normal(size=len(examples))
    found = reached(examples, windows(np.where(examples["label"] == 1, 0.6, 0.45)))
    assert list(found) == ["GC only", "CpG only", "accessibility only", "covariates", "4-mer"]
    assert found["GC only"] > 0.9
    assert found["covariates"] > 0.9
    assert abs(found["accessibility only"] - 0.5) < 0.1


def test_spread_of_gc_alone_is_seen(make_examples):
    """Equal means and different spreads fool a linear classifier; they must not fool the baseline."""
    examples = make_examples(SIZES)
    side = np.random.default_rng(2).choice([-0.25, 0.25], len(examples))
    found = reached(examples, windows(0.5 + np.where(examples["label"] == 1, side, 0)))
    assert found["GC only"] > 0.9


def test_order_of_bases_is_seen_by_4_mers_only(make_examples):
    examples = make_examples(SIZES)
    codes = windows(np.full(len(examples), 0.5))
    for row in np.flatnonzero(examples["label"] == 1):
        codes[row, 10:40] = np.tile([0, 2, 0, 3, 1, 3], 5)  # AGATCT, its own reverse complement
    rest = codes[examples["label"] == 0]
    for row in rest:
        row[10:40] = np.random.default_rng(int(row.sum())).permutation(np.tile([0, 2, 0, 3, 1, 3], 5))
    codes[examples["label"] == 0] = rest
    found = reached(examples, codes)
    assert found["4-mer"] > 0.95
    assert found["GC only"] < 0.65


def test_fitting_sees_no_test_example(make_examples):
    examples = make_examples(SIZES)
    codes = windows(np.where(examples["label"] == 1, 0.55, 0.45))
    test = (examples["split"] == "test").to_numpy()
    other = codes.copy()
    other[test] = reverse_complement(windows(np.full(len(codes), 0.9)))[test]
    flipped = examples.assign(label=np.where(test, 1 - examples["label"], examples["label"]))
    for one, two in zip(fit_baselines(examples, codes), fit_baselines(flipped, other), strict=True):
        assert one.regularisation == two.regularisation
        np.testing.assert_array_equal(one.scores[~test], two.scores[~test])


def test_regularisation_is_the_best_on_validation(make_examples):
    examples = make_examples({"train": 60, "validation": 60, "test": 10})
    codes = windows(np.where(examples["label"] == 1, 0.53, 0.47))
    frequencies, labels = kmer_frequencies(codes, 4), examples["label"].to_numpy()
    train, validation = ((examples["split"] == split).to_numpy() for split in ("train", "validation"))
    reached = []
    for c in REGULARISATION:
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=5000))
        scores = classifier.fit(frequencies[train], labels[train]).decision_function(frequencies[validation])
        reached.append(roc_auc_score(labels[validation], scores))
    assert len(set(reached)) > 2
    found = fit_baselines(examples, codes)[-1]
    assert found.regularisation == REGULARISATION[int(np.argmax(reached))]
    assert roc_auc_score(labels[validation], found.scores[validation]) == pytest.approx(max(reached))


def test_features_are_those_of_the_table_where_it_has_them(make_examples):
    examples = make_examples({"train": 2, "validation": 2, "test": 2}).assign(gc=0.25)
    codes = windows(np.full(len(examples), 0.5))
    features = baseline_features(examples, codes)
    assert set(features) == {"GC only", "CpG only", "covariates", "4-mer"}
    assert (features["GC only"] == 0.25).all()
    letters = decode(codes[0])
    expected = letters.count("CG") * 60 / (letters.count("C") * letters.count("G"))
    assert features["CpG only"][0, 0] == pytest.approx(expected)
    assert features["covariates"].shape == (len(examples), 2)


def test_constant_covariate_gives_chance_without_warnings(make_examples):
    examples = make_examples(SIZES).assign(accessibility=1.0)
    assert reached(examples, windows(np.full(len(examples), 0.5)))["accessibility only"] == 0.5


def one_hot_vectors(k):
    """Every token a dimension of its own: pooled, they are the k-mer frequencies."""
    n_tokens = len(canonical_table(k)[1])
    eye = np.eye(n_tokens, dtype=np.float32)
    return KmerEmbedding(k, eye, eye, np.arange(1, n_tokens + 1), {"settings": {}})


def test_pooled_vectors_are_two_more_baselines(make_examples):
    examples = make_examples(SIZES)
    codes = windows(np.full(len(examples), 0.5))
    codes[examples["label"] == 1, 20:32] = np.tile([0, 2, 0, 3, 1, 3], 2)
    found = reached(examples, codes, one_hot_vectors(4))
    assert list(found) == ["GC only", "CpG only", "covariates", "4-mer", "4-mer vectors (mean)", "4-mer vectors (SIF)"]
    assert found["4-mer vectors (mean)"] == pytest.approx(found["4-mer"], abs=1e-3)
    features = baseline_features(examples, codes, one_hot_vectors(4))
    np.testing.assert_allclose(features["4-mer vectors (mean)"], features["4-mer"], atol=1e-6)
    mean, sif = features["4-mer vectors (mean)"], features["4-mer vectors (SIF)"]
    frequent, rare = mean[:, -20:].sum(), mean[:, :20].sum()
    assert sif[:, -20:].sum() / sif[:, :20].sum() < frequent / rare


def test_pooled_vectors_do_not_depend_on_the_strand(make_examples):
    examples = make_examples(SIZES)
    codes = windows(np.full(len(examples), 0.5))
    one, two = (fit_baselines(examples, strand, one_hot_vectors(3)) for strand in (codes, reverse_complement(codes)))
    for forward, backward in zip(one[-2:], two[-2:], strict=True):
        np.testing.assert_array_equal(forward.scores, backward.scores)
