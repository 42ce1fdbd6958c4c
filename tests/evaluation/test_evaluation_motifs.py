import numpy as np
import pytest

from genocontrast.evaluation.attribution import attribute
from genocontrast.evaluation.database import read_motifs, shipped_database, shipped_selection
from genocontrast.evaluation.motifs import SEQLET, find_seqlets, learn_motifs
from genocontrast.evaluation.naming import families, match_motifs
from genocontrast.evaluation.reading import Windows, find_motifs, write_motifs_meme
from genocontrast.evaluation.scan import composition, log_odds
from genocontrast.sequence import encode, one_hot, reverse_complement

LENGTH = 150
UNIFORM = np.full(4, 0.25)


def known(name):
    return next(motif for motif in read_motifs(shipped_database()) if motif.name == name)


def windows_of(promoters, decoys):
    return Windows(promoters, decoys, np.arange(len(promoters)), LENGTH // 2)


def names_of(found):
    matches = match_motifs([motif.matrix for motif in found], read_motifs(shipped_database()))
    return [families().get(match.motifs[0].identifier) if match.named else None for match in matches]


def planted(matrix, n, share, seed, width=LENGTH):
    """Random windows and places: a share of the windows holds one site of a matrix, on either strand."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, (n, width)).astype(np.uint8)
    place = np.full(n, -1)
    for row in np.flatnonzero(rng.random(n) < share):
        site = np.array([rng.choice(4, p=column) for column in matrix], dtype=np.uint8)
        place[row] = rng.integers(0, width - len(matrix))
        codes[row, place[row] : place[row] + len(matrix)] = site if rng.random() < 0.5 else reverse_complement(site)
    return codes, place


def scanner(stand_in, matrix, width=LENGTH, threshold=4.0):
    """A network whose logit grows with each site's log odds above a threshold in bits."""
    return stand_in(log_odds(matrix, UNIFORM) / 4, width, threshold / 4)


def test_seqlets_lie_on_the_planted_sites(stand_in):
    motif = known("GABPA").matrix
    codes, place = planted(motif, 60, 1.0, 0)
    seqlets = find_seqlets(attribute(scanner(stand_in, motif, threshold=7.0), codes).effects, codes, seed=0)
    centre = place[seqlets.window] + len(motif) / 2
    near = np.abs(seqlets.start + SEQLET / 2 - centre) <= 6
    assert near[:40].mean() > 0.9  # the strongest come first
    assert len(set(seqlets.window[near])) > 35


@pytest.mark.parametrize("name", ["GABPA", "USF1", "Nrf1"])
def test_planted_motif_is_recovered_and_named(stand_in, name):
    motif = known(name)
    promoters, place = planted(motif.matrix, 150, 0.7, 1)
    decoys, _ = planted(motif.matrix, 150, 0.1, 2)
    model, database = scanner(stand_in, motif.matrix), read_motifs(shipped_database())
    reading = find_motifs(model, windows_of(promoters, decoys), database, count=5, seed=0)
    first, figures = reading.motifs[0], reading.motifs[0].as_dict()
    assert motif.identifier in first.matches.significant()
    assert figures["match"]["q"] < 1e-3
    assert figures["sites"] > 0.6 * (place >= 0).sum()
    assert figures["effect"] > 0.1
    assert figures["insertion"]["low"] > 0.5
    assert figures["promoters_with"] > 0.5 * (place >= 0).sum()
    assert figures["decoys_with"] < 0.5 * figures["promoters_with"]
    assert figures["enrichment"] > 1.5
    assert figures["enrichment_q"] < 1e-6
    assert figures["own_decoy"]["only_promoter"] > 3 * figures["own_decoy"]["only_decoy"]
    assert figures["own_decoy"]["q"] < 1e-6
    assert reading.attribution.contributions.shape == (300, LENGTH)
    np.testing.assert_allclose(first.matrix.sum(1), 1)


def test_two_planted_motifs_stay_apart(stand_in):
    one, other = known("GABPA").matrix, known("NFYA").matrix
    codes = np.concatenate([planted(one, 80, 1.0, 0)[0], planted(other, 80, 1.0, 1)[0]])
    models = [scanner(stand_in, matrix) for matrix in (one, other)]
    effects = np.mean([attribute(model, codes).effects for model in models], axis=0)
    found = learn_motifs(effects, codes, 10, seed=0)
    names = names_of(found)
    assert names.count("Heteromeric CCAAT-binding") == 1
    assert names.count("Ets-related") == 1
    assert len(found) <= 3


def test_motif_that_speaks_against_promoters_is_kept_apart(stand_in):
    motif = known("USF1").matrix
    codes, _ = planted(motif, 120, 0.9, 3)
    effects = attribute(scanner(stand_in, motif), codes).effects
    found = learn_motifs(-effects, codes, 10, seed=0)
    assert found[0].contribution < 0
    assert names_of(found)[0] == "bHLH-ZIP"


def test_noise_holds_no_motif():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (200, LENGTH)).astype(np.uint8)
    effects = rng.normal(size=(200, 4, LENGTH)).astype(np.float32)
    assert learn_motifs(effects, codes, 10, seed=0) == []
    assert learn_motifs(np.zeros_like(effects), codes, 10, seed=0) == []


def test_windows_with_n_and_sites_at_the_edge_are_safe(stand_in):
    motif = known("GABPA").matrix
    codes, _ = planted(motif, 60, 1.0, 0, width=30)
    codes[:, :3] = 4
    codes[5:10] = 4
    for found in learn_motifs(attribute(scanner(stand_in, motif, 30), codes).effects, codes, 5, seed=0):
        assert np.isfinite(found.matrix).all()
        np.testing.assert_allclose(found.matrix.sum(1), 1)


def test_same_seed_same_motifs(stand_in):
    motif = known("USF1")
    promoters, _ = planted(motif.matrix, 80, 0.8, 1)
    model, database = scanner(stand_in, motif.matrix), read_motifs(shipped_database())
    runs = [find_motifs(model, windows_of(promoters, promoters), database, 5, 3).as_dict() for _ in range(2)]
    assert runs[0] == runs[1]
    assert runs[0]["motifs"]


def test_learned_motifs_are_written_for_other_tools(stand_in, tmp_path):
    motif = known("GABPA")
    promoters, _ = planted(motif.matrix, 80, 0.9, 1)
    database = read_motifs(shipped_selection())
    model = scanner(stand_in, motif.matrix)
    found = find_motifs(model, windows_of(promoters, promoters), database, 3, 0).motifs
    write_motifs_meme(tmp_path / "motifs.meme", found, composition(promoters))
    back = read_motifs(tmp_path / "motifs.meme")
    assert [m.identifier for m in back] == [m.id for m in found]
    assert back[0].name == found[0].name.replace(" ", "_")
    np.testing.assert_allclose(back[0].matrix, found[0].matrix, atol=1 / found[0].learned.sites)


def test_attribution_of_absent_bases_is_not_counted(stand_in):
    """Only bases that are there contribute: all-N windows have no seqlet."""
    codes = np.full((30, 60), 4, dtype=np.uint8)
    effects = np.random.default_rng(0).normal(size=(30, 4, 60)).astype(np.float32)
    assert one_hot(encode("N")).sum() == 0
    assert len(find_seqlets(effects, codes, 0).start) == 0
