import numpy as np
import pytest
import torch

from genocontrast.encoders import StrandEncoder
from genocontrast.errors import FileFormatError
from genocontrast.evaluation.binding import binding_table
from genocontrast.evaluation.database import KnownMotif, read_motifs, shipped_database, shipped_selection
from genocontrast.evaluation.filters import filter_motifs
from genocontrast.evaluation.motifs import LearnedMotif
from genocontrast.evaluation.naming import match_motifs
from genocontrast.evaluation.planted import read_sites, recovery
from genocontrast.evaluation.reading import Motif
from genocontrast.sequence import encode
from genocontrast.training.model import Model

WIDTH = 80


def motif(identifier, matrix):
    (matches,) = match_motifs([matrix], read_motifs(shipped_database()))
    return Motif(identifier, LearnedMotif(matrix, 50, 1.0), matches, {})


@pytest.fixture(scope="module")
def known():
    return {one.identifier: one.matrix for one in read_motifs(shipped_selection())}


def test_a_planted_family_is_found_by_name_and_a_motif_of_no_family_counts_against_precision(known):
    """Promoters hold USF and CEBP, decoys less often; USF alone contributes and has a motif; FOXA1 was not planted."""
    rng = np.random.default_rng(0)
    planted = {"USF": "MA0093.4", "CEBP": "MA0102.5"}
    codes = rng.integers(0, 4, (200, WIDTH)).astype(np.uint8)
    promoter = np.arange(200) < 100
    masks = {family: np.zeros(codes.shape, dtype=bool) for family in planted}
    contributions = rng.normal(0, 0.1, codes.shape)
    for start, (family, identifier) in zip((10, 50), planted.items(), strict=True):
        site = known[identifier].argmax(1)
        rows = np.flatnonzero(rng.random(200) < np.where(promoter, 0.9, 0.4))
        codes[rows, start : start + len(site)] = site
        masks[family][rows, start : start + len(site)] = True
        contributions[rows, start : start + len(site)] += 2 * (family == "USF")
    motifs = [motif("motif_1", known["MA0093.4"]), motif("motif_2", known["MA0148.5"])]
    found = recovery(motifs, masks, planted, codes, promoter, contributions, np.arange(200))
    families = {row["family"]: row for row in found["families"]}
    assert families["USF"]["motifs"] == ["motif_1"]
    assert families["CEBP"]["motifs"] == []
    assert (families["USF"]["read"], families["CEBP"]["read"]) == (True, False)
    assert (found["distinguishing"], found["read"]) == (2, 1)
    assert (found["recall"], found["recall_read"], found["precision"]) == (0.5, 1.0, 0.5)
    assert found["overlap"]["of_planted"] > 0.95
    assert 0.7 < found["overlap"]["of_learned"] <= 1


def test_a_table_without_sites_is_a_named_error(tmp_path):
    path = tmp_path / "sites.tsv"
    path.write_text("chrom\tstart\nchr1\t3\n")
    with pytest.raises(FileFormatError, match="motif, matrix_id"):
        read_sites(path)


def test_binding_sites_of_a_factor_that_the_model_reads_have_a_fold_and_a_name(known):
    import pandas as pd

    rng = np.random.default_rng(0)
    width = 240
    codes = rng.integers(0, 4, (60, width)).astype(np.uint8)
    starts = np.arange(60) * 1000
    promoters = pd.DataFrame({"chrom": "a", "start": starts, "end": starts + width, "strand": ["+", "-"] * 30})
    place = rng.integers(60, 180, 60)
    contributions = rng.normal(0, 0.1, codes.shape)
    for row in range(60):
        contributions[row, place[row] - 5 : place[row] + 6] += 1
    along = np.where(promoters["strand"] == "-", width - 1 - place, place)
    sites = {"Usf1": pd.DataFrame({"chrom": "a", "start": starts + along, "end": starts + along + 1})}
    sites["Other"] = pd.DataFrame({"chrom": "b", "start": [5], "end": [6]})
    database = [KnownMotif("MA0093.4", "USF1", known["MA0093.4"])]
    named = motif("motif_1", known["MA0093.4"])
    found = binding_table(promoters, codes, contributions, sites, database, [named], 0)
    usf, other = found["factors"]
    assert usf["sites"] == usf["promoters"] == 60
    assert usf["matched"] > 50
    assert usf["fold"]["low"] > 3
    assert usf["motifs"] == ["motif_1"]
    assert (other["sites"], other["fold"], other["motifs"]) == (0, None, [])
    assert found["named"] == 1


@pytest.mark.parametrize("strand", ["tied", "free"])
def test_a_filter_that_was_written_by_hand_is_read_back(strand):
    torch.manual_seed(0)
    network = StrandEncoder(strand, width=4, depth=1, dim=4)
    word = encode("TGACGTAAGC")
    weight = network.trunk[0].convolution.weight.detach()
    weight.zero_()
    kernel = weight.view(-1, 4, weight.shape[-1])[0]
    kernel[word.astype(int), np.arange(5, 15)] = 1.0
    rng = np.random.default_rng(0)
    decoys = rng.integers(0, 4, (80, WIDTH)).astype(np.uint8)
    promoters = decoys.copy()
    promoters[:, 30:40] = word
    (first, *_) = filter_motifs(Model(network, WIDTH, {}, {}), promoters, decoys)
    assert first["filter"] == 0
    assert first["difference"] > 1
    assert first["matrix"][5:15].argmax(1).tolist() == word.tolist()
    np.testing.assert_allclose(first["matrix"].sum(1), 1)


def test_a_network_of_another_kind_has_no_filters(stand_in):
    codes = np.zeros((3, WIDTH), dtype=np.uint8)
    assert filter_motifs(stand_in(np.eye(4), WIDTH), codes, codes) == []
