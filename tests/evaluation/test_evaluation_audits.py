import numpy as np
import pytest

from genocontrast.encoders import StrandEncoder
from genocontrast.evaluation.audits import SHOWN, strand_audit
from genocontrast.sequence import encode, reverse_complement
from genocontrast.training.model import Model

ACGA = np.where(np.eye(4)[[0, 1, 2, 0]] == 1, 1.0, -1.0)
"""A matrix that scores 4 at ACGA and at most 2 elsewhere; not its own reverse complement (TCGT)."""
SAME = {
    "flips": 0,
    "max_difference": pytest.approx(0, abs=1e-5),
    "max_embedding_distance": pytest.approx(0, abs=1e-5),
    "min_embedding_cosine": pytest.approx(1, abs=1e-5),
    "mean_embedding_cosine": pytest.approx(1, abs=1e-5),
}


def random_codes(n, length=40):
    return np.random.default_rng(0).integers(0, 5, (n, length)).astype(np.uint8)


def test_symmetric_model_passes(stand_in):
    found = strand_audit(stand_in(ACGA, 40, threshold=2.5), random_codes(200)).as_dict()
    points = np.array(found.pop("points"))
    assert found == {"examples": 200, "threshold": 0.5, **SAME, "network": SAME}
    np.testing.assert_allclose(points[:, 0], points[:, 1], atol=1e-5)
    assert np.ptp(points) > 0.2  # the scores differ, only not between the strands


def test_model_of_one_strand_fails_and_flips_are_counted(stand_in):
    windows = ["TTACGATT", "TTTCGTTT", "TTTTTTTT", "TTACGATT"]  # one strand, the other strand, none, one strand
    codes = np.stack([encode(window) for window in windows])
    model = stand_in(ACGA, 8, threshold=2.0, both_strands=False)
    found = strand_audit(model, codes)
    assert (found.examples, found.model.flips, found.network.flips) == (4, 3, 3)
    expected = np.abs(model.score_codes(codes) - model.score_codes(reverse_complement(codes))).max()
    assert found.model.max_difference == pytest.approx(expected)
    assert found.model.max_difference > 0.4
    both = np.stack([model.score_codes(codes), model.score_codes(reverse_complement(codes))], axis=1)
    np.testing.assert_allclose(found.points, both, atol=1e-6)
    assert found.model.max_embedding_distance > 0.1
    here, there = model.embed_codes(codes), model.embed_codes(reverse_complement(codes))
    cosine = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(here, there, strict=True)]
    assert found.model.min_embedding_cosine == pytest.approx(min(cosine), abs=1e-6)
    assert found.model.mean_embedding_cosine == pytest.approx(np.mean(cosine), abs=1e-6)
    assert min(cosine) < 0.9


def test_network_of_one_strand_is_seen_behind_a_model_that_picks_a_strand(stand_in):
    model = stand_in(ACGA, 40, threshold=2.0, both_strands=False)

    def first_in_order(codes):
        other = reverse_complement(codes)
        return np.stack([min(a, b, key=bytes) for a, b in zip(codes, other, strict=True)])

    score, embed = model.score_codes, model.embed_codes
    model.score_codes = lambda codes: score(first_in_order(codes))
    model.embed_codes = lambda codes: embed(first_in_order(codes))
    found = strand_audit(model, random_codes(300))
    assert (found.model.flips, found.model.max_difference) == (0, 0)
    assert found.network.flips > 0
    assert found.network.max_difference > 0.3


def test_encoders_show_what_they_are():
    def audit(strand):
        network = StrandEncoder(strand, width=8, depth=1, dim=4).train()
        found = strand_audit(Model(network, 40, {}, {}), random_codes(300))
        assert network.training  # the mode that it came with
        return found

    for strand in ("tied", "twin"):
        assert audit(strand).model.max_difference == 0
        assert audit(strand).network.max_difference < 1e-5
    assert audit("free").model.max_difference > 1e-3
    assert audit("free").network.max_difference > 1e-3


def test_of_many_windows_some_are_shown_from_all_over(stand_in):
    codes = random_codes(1203)
    model = stand_in(ACGA, 40, threshold=2.0, both_strands=False)
    found = strand_audit(model, codes)
    assert len(found.points) == SHOWN
    scores = model.score_codes(codes)
    assert found.points[0][0] == pytest.approx(scores[0], abs=1e-6)
    assert found.points[-1][0] == pytest.approx(scores[-1], abs=1e-6)
