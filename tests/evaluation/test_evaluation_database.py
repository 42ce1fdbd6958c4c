import numpy as np
import pytest

from genocontrast.errors import FileFormatError
from genocontrast.evaluation.database import (
    KnownMotif,
    best_match,
    read_motifs,
    shipped_database,
    similarity,
    write_meme,
)

JASPAR = """>MA0001.1\tONE
A [ 10 0 0 5 ]
C [ 0 10 0 5 ]
G [ 0 0 10 0 ]
T [ 0 0 0 0 ]
"""


def brute_similarity(one, other):
    """Correlation over the union of two matrices at every offset and orientation, uniform columns beside them."""
    best = -1.0
    for turned in (other, other[::-1, ::-1]):
        for offset in range(-len(other) + 1, len(one)):
            size = len(one) + 2 * len(other)
            a, b = np.full((size, 4), 0.25), np.full((size, 4), 0.25)
            a[len(other) : len(other) + len(one)] = one
            b[len(other) + offset : 2 * len(other) + offset] = turned
            best = max(best, np.corrcoef(a.ravel(), b.ravel())[0, 1])
    return best


def test_similarity_equals_the_correlation_at_the_best_offset_and_orientation():
    rng = np.random.default_rng(0)
    for lengths in ((6, 6), (5, 9), (12, 4)):
        one, other = (rng.dirichlet([0.4] * 4, size=n) for n in lengths)
        assert similarity(one, other) == pytest.approx(brute_similarity(one, other))
        assert similarity(one, other) == pytest.approx(similarity(other, one))
        assert similarity(one, other[::-1, ::-1]) == pytest.approx(similarity(one, other))
        assert similarity(one, one[::-1, ::-1]) == pytest.approx(1)


def test_each_shipped_motif_is_named_as_itself():
    database = read_motifs(shipped_database())
    for motif in database:
        name, score = best_match(motif.matrix[::-1, ::-1], database)
        assert name == f"{motif.name} ({motif.identifier})"
        assert score == pytest.approx(1)


def test_matrix_like_no_known_motif_has_no_name_but_a_score():
    one = np.eye(4)[[0] * 8] * 0.96 + 0.01
    name, score = best_match(one, [KnownMotif("X", "X", np.eye(4)[[1, 2] * 4])])
    assert name is None
    assert -1 <= score < 0.5


def test_a_match_that_random_matrices_reach_gives_no_name():
    rng = np.random.default_rng(1)
    large = [KnownMotif(f"M{i}", f"M{i}", rng.dirichlet([0.1] * 4, size=6)) for i in range(300)]
    named = [best_match(rng.dirichlet([0.1] * 4, size=6), large) for _ in range(40)]
    assert np.mean([score >= 0.7 for _, score in named]) > 0.6
    assert np.mean([name is not None for name, _ in named]) <= 0.15
    assert best_match(large[7].matrix, large)[0] == "M7"


def test_jaspar_and_meme_give_the_same_motifs(tmp_path):
    path = tmp_path / "one.jaspar"
    path.write_text(JASPAR)
    (motif,) = read_motifs(path)
    assert (motif.identifier, motif.name) == ("MA0001.1", "ONE")
    np.testing.assert_allclose(motif.matrix, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0.5, 0.5, 0, 0]], atol=1e-5)
    write_meme(tmp_path / "one.meme", [("MA0001.1", "ONE", motif.matrix, 10)], np.full(4, 0.25))
    (again,) = read_motifs(tmp_path / "one.meme")
    assert (again.identifier, again.name) == ("MA0001.1", "ONE")
    np.testing.assert_allclose(again.matrix, motif.matrix, atol=1e-4)


@pytest.mark.parametrize("text", ["", "not motifs at all\n", "MEME version 4\n", ">MA1\tX\nA [ 1 2 ]\n"])
def test_other_files_are_named_errors(tmp_path, text):
    path = tmp_path / "motifs.txt"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=r"motifs\.txt"):
        read_motifs(path)


def test_no_motif_is_a_valid_meme_file(tmp_path):
    write_meme(tmp_path / "none.meme", [], np.full(4, 0.25))
    assert (tmp_path / "none.meme").read_text().startswith("MEME version 4\n\nALPHABET= ACGT\n")
