import numpy as np
import pytest

from genocontrast.evaluation.database import KnownMotif, read_motifs, shipped_database, shipped_selection
from genocontrast.evaluation.naming import core, families, match_motifs
from genocontrast.genome.sites import MATRICES, matrices


def test_each_motif_of_the_selection_is_named_as_itself_on_either_strand():
    database, selection = read_motifs(shipped_database()), read_motifs(shipped_selection())
    turned = [motif.matrix[::-1, ::-1] for motif in selection]
    for motif, match in zip(selection, match_motifs(turned, database), strict=True):
        if len(core(motif.matrix)) == len(motif.matrix):
            assert motif.identifier in match.significant()[:5]
            assert match.named


def test_q_is_benjamini_hochberg_over_the_database_and_the_best_comes_first():
    database = read_motifs(shipped_database())
    (match,) = match_motifs([database[100].matrix], database)
    p = match.p
    assert (np.diff(p) >= 0).all()
    expected = np.minimum.accumulate((p * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1]
    np.testing.assert_allclose(match.q, np.minimum(expected, 1))


@pytest.mark.parametrize("length", [6, 12])
def test_random_matrices_have_a_name_as_seldom_as_q_says(length):
    """Drawn from the columns of the database, which is TOMTOM's null."""
    database, rng = read_motifs(shipped_database()), np.random.default_rng(1)
    columns = np.concatenate([motif.matrix for motif in database])
    drawn = [columns[rng.integers(len(columns), size=length)] for _ in range(200)]
    assert sum(match.named for match in match_motifs(drawn, database)) <= 18  # of 10 expected, at most 2.5 SD


def test_a_small_database_of_the_users_own_works():
    only = KnownMotif("X", "X", np.eye(4)[[0, 1, 2, 3, 0, 1]] * 0.96 + 0.01)
    (match,) = match_motifs([only.matrix], [only])
    assert match.motifs == [only]
    assert match_motifs([], [only]) == []


@pytest.mark.parametrize("gap", [2, 9])
def test_of_a_pair_of_sites_the_clearer_one_is_compared(gap):
    one, other = np.eye(4)[[0, 1, 2, 3, 0, 1, 2]], np.eye(4)[[3, 3, 2, 2, 1]]
    pair = np.concatenate([one, np.full((gap, 4), 0.25), other])
    np.testing.assert_array_equal(core(pair), one if gap > 4 else pair)
    flat = np.full((6, 4), 0.25)
    assert core(flat) is flat


def test_shipped_files_hold_what_the_simulator_plants():
    by_id = {motif.identifier: motif.matrix for motif in read_motifs(shipped_database())}
    assert len(by_id) > 1000
    for name, identifier in MATRICES.items():
        if identifier in by_id and len(by_id[identifier]) == len(matrices()[name]):
            np.testing.assert_allclose(by_id[identifier], matrices()[name], atol=0.02)
    assert set(MATRICES.values()) <= set(by_id)
    assert families()["MA0093.4"] == "bHLH-ZIP"
    assert "POL002.1" not in families()
