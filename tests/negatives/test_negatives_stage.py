"""The stage's own steps, on hand-made genomes."""

import numpy as np
import pandas as pd
import pytest

from genocontrast.config import NegativesConfig
from genocontrast.errors import BalanceError, GenocontrastWarning, RegionError
from genocontrast.genome.fasta import Genome
from genocontrast.negatives.balance import Balance
from genocontrast.negatives.pool import Sieve
from genocontrast.negatives.stage import drop_repeats, gate, permute_within_pairs, with_names
from genocontrast.negatives.summary import decoy_classes
from genocontrast.sequence import decode, reverse_complement

SPLIT = {"chrA": "train", "chrB": "test"}


def windows(chrom, *starts):
    table = pd.DataFrame({"chrom": chrom, "start": starts, "end": np.add(starts, 200), "name": ".", "strand": "+"})
    return table.assign(split=SPLIT[chrom])


def test_windows_that_repeat_a_training_window_leave_the_other_splits(tmp_path):
    rng = np.random.default_rng(0)
    train, test = rng.integers(0, 4, (2, 3000), dtype=np.uint8)
    test[500:700] = reverse_complement(train[1000:1200])  # a decoy of the test split repeats a training promoter
    test[900:1100] = train[2000:2200]  # a test promoter repeats a training decoy
    path = tmp_path / "genome.fa"
    path.write_text(f">chrA\n{decode(train)}\n>chrB\n{decode(test)}\n")
    promoters = Sieve(pd.concat([windows("chrA", 1000), windows("chrB", 900, 1300)]))
    candidates = Sieve(pd.concat([windows("chrA", 2000, 2400), windows("chrB", 500, 2000)]))
    drop_repeats(Genome(path), promoters, candidates)
    assert promoters.rows["start"].tolist() == [1000, 1300]
    assert candidates.rows["start"].tolist() == [2000, 2400, 2000]
    assert promoters.removed == candidates.removed == {"nearly repeats a training window": 1}


def test_a_training_split_without_candidates_is_compared_by_its_promoters(tmp_path):
    codes = np.random.default_rng(0).integers(0, 4, (2, 3000), dtype=np.uint8)
    codes[1, 500:700] = codes[0, 1000:1200]
    path = tmp_path / "genome.fa"
    path.write_text("".join(f">{name}\n{decode(row)}\n" for name, row in zip(("chrA", "chrB"), codes, strict=True)))
    promoters = Sieve(pd.concat([windows("chrA", 1000), windows("chrB", 900)]))
    candidates = Sieve(windows("chrB", 500, 2000))
    drop_repeats(Genome(path), promoters, candidates)
    assert candidates.rows["start"].tolist() == [2000]


def test_permuting_keeps_pairs_whole_and_is_seeded():
    examples = pd.DataFrame({"pair_id": np.tile(np.arange(200), 2), "label": np.repeat([1, 0], 200), "tier": "hard"})
    permuted = permute_within_pairs(examples, seed=3)
    assert (permuted.groupby("pair_id")["label"].sum() == 1).all()
    swapped = (permuted["label"] != examples["label"]).mean()
    assert 0.35 < swapped < 0.65
    pd.testing.assert_frame_equal(permuted, permute_within_pairs(examples, seed=3))
    assert not permuted.equals(permute_within_pairs(examples, seed=4))


def test_permuting_swaps_the_same_pairs_in_every_tier_and_one_of_several_decoys():
    pair_id = np.tile(np.arange(100), 3)
    hard = pd.DataFrame({"pair_id": pair_id, "label": np.repeat([1, 0, 0], 100), "tier": "hard"})
    examples = pd.concat([hard, hard.assign(tier="open")], ignore_index=True)
    permuted = permute_within_pairs(examples, seed=3)
    assert (permuted.groupby(["tier", "pair_id"])["label"].sum() == 1).all()
    moved = permuted["label"].to_numpy() != examples["label"].to_numpy()
    assert (moved[:300] == moved[300:]).all()
    assert 30 < moved[:100].sum() < 70
    assert not moved[200:300].any(), "the second decoy stays"


def test_decoys_take_the_first_class_that_holds_their_centre():
    annotation = pd.DataFrame({"chrom": "chrA", "start": [0, 1000], "end": [500, 1500], "feature": ["CDS", "ARS"]})
    both = pd.DataFrame({"chrom": ["chrA"], "start": [0], "end": [400], "feature": ["ARS"]})
    decoys = windows("chrA", 100, 1100, 2000)
    counted = decoy_classes(decoys, pd.concat([annotation, both]), ["CDS", "ARS"])
    assert counted == [
        {"class": "ARS", "decoys": 1},
        {"class": "CDS", "decoys": 1},
        {"class": "intergenic", "decoys": 1},
    ]


def test_the_gate_stops_or_warns():
    row = {"covariate": "gc", "smd_before": 1.0, "smd_after": 0.4, "ks_after": 0.3, "matched": True, "passed": False}
    table = pd.DataFrame([row])
    alike = pd.DataFrame({"pair_id": np.tile(np.arange(20), 2), "label": np.repeat([1, 0], 20)})
    unbalanced = Balance(table, 1.0, alike.assign(gc=np.tile(np.arange(20.0), 2)))
    with pytest.raises(BalanceError, match="gc"):
        gate(unbalanced, NegativesConfig())
    with pytest.warns(GenocontrastWarning, match="gc"):
        gate(unbalanced, NegativesConfig(gate="warn"))


def test_named_regions_hold_windows_wholly_and_must_not_overlap(tmp_path):
    path, bed = tmp_path / "genome.fa", tmp_path / "arms.bed"
    path.write_text(f">chrA\n{'ACGT' * 750}\n>chrB\n{'ACGT' * 750}\n")
    genome = Genome(path)
    bed.write_text("chrA\t1000\t3000\tq\nchrA\t0\t1000\tp\nchrB\t0\t3000\tp\n")
    rows = pd.concat([windows("chrA", 0, 800, 900, 1000), windows("chrB", 500)])
    assert with_names(rows, ["chrom", str(bed)], genome)["exact_2"].tolist() == ["p", "p", "", "q", "p"]
    bed.write_text("chrA\t0\t1001\tp\nchrA\t1000\t3000\tq\n")
    with pytest.raises(RegionError, match=r"arms\.bed: named regions overlap"):
        with_names(rows, [str(bed)], genome)
