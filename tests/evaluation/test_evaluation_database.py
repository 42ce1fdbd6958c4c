import numpy as np
import pytest

from genocontrast.errors import FileFormatError
from genocontrast.evaluation.database import (
    read_motifs,
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
