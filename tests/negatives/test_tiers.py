"""The stage on the simulated genome: all tiers in one table, for the same promoters."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from genocontrast.artefacts import read_json, read_parquet
from genocontrast.config import parse_config
from genocontrast.errors import BalanceError, GenocontrastWarning
from genocontrast.evaluation.leakage import leakage_audit
from genocontrast.examples import covariate_columns, read_examples
from genocontrast.genome.fasta import Genome
from genocontrast.genome.intervals import overlaps, widen
from genocontrast.genome.splits import Splits, read_splits
from genocontrast.genome.stage import run as run_genome
from genocontrast.negatives import tiers
from genocontrast.negatives.stage import run as run_negatives
from genocontrast.negatives.thinning import overlap_one_another
from genocontrast.sequence import decode, gc_fraction

TIERS = ("gc", "nearby", "open", "random")


def config_of(simulated, **negatives):
    return parse_config(
        {
            "name": "demo",
            "genome": {
                "fasta": str(simulated / "genome.fa.gz"), "promoters": str(simulated / "genes.gtf"),
                "signal": [str(simulated / f"atac_rep{n}.bw") for n in (1, 2)],
                "open_chromatin": [str(simulated / "peaks.narrowPeak")], "exclude": [str(simulated / "blacklist.bed")],
            },
            "negatives": {"min_retention": 0.1, "gate": "warn", **negatives},
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def results(simulated, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiers") / "results"
    config = config_of(simulated)
    run_genome(config, folder)
    run_negatives(config, folder)
    return folder


@pytest.fixture(scope="module")
def examples(results):
    return read_examples(results / "negatives" / "examples.parquet")


@pytest.fixture(scope="module")
def genome(simulated):
    return Genome(simulated / "genome.fa.gz")


def of(examples, tier, label):
    rows = examples[(examples["tier"] == tier) & (examples["label"] == label)]
    return rows.sort_values(["pair_id", "start"]).reset_index(drop=True)


def test_all_tiers_hold_the_same_promoters(examples):
    hard = of(examples, "hard", 1)
    assert len(hard) > 200
    for tier in ("gc", "open", "random"):
        pd.testing.assert_frame_equal(of(examples, tier, 1).drop(columns="tier"), hard.drop(columns="tier"))
        assert of(examples, tier, 0)["pair_id"].tolist() == hard["pair_id"].tolist()
    nearby = of(examples, "nearby", 1)
    same = hard[hard["pair_id"].isin(nearby["pair_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(nearby.drop(columns="tier"), same.drop(columns="tier"))
    assert len(nearby) > len(hard) / 2


def test_decoys_of_a_tier_overlap_nothing_and_lie_in_their_split(examples, results, genome):
    promoters, evidence, excluded = (
        read_parquet(results / "genome" / f"{name}.parquet")[0] for name in ("promoters", "evidence", "excluded")
    )
    splits = read_splits(results / "genome" / "genome.json")
    tss = widen(evidence[evidence["kind"] == "tss"], 500, genome.sizes)
    for tier in ("hard", *TIERS):
        decoys = of(examples, tier, 0)
        ordered = decoys.sort_values(["chrom", "start"])
        after = ordered[["chrom", "start"]].shift(-1)
        assert not ((ordered["chrom"] == after["chrom"]) & (after["start"] < ordered["end"])).any(), tier
        for others in (widen(promoters, 300, genome.sizes), tss, excluded):
            assert not overlaps(decoys, others).any(), tier
        assert (splits.of(decoys) == decoys["split"]).all()
        assert (decoys["strand"].to_numpy() == of(examples, tier, 1)["strand"].to_numpy()).all()
        assert (decoys["end"] - decoys["start"] == 300).all()


def test_each_tier_is_what_its_name_says(examples, genome):
    means = {tier: of(examples, tier, 0)[["gc", "accessibility"]].mean() for tier in ("hard", *TIERS)}
    promoters = of(examples, "hard", 1)
    spread = promoters[["gc", "accessibility"]].std()

    def apart(tier, covariate):
        return abs(means[tier][covariate] - promoters[covariate].mean()) / spread[covariate]

    assert apart("hard", "gc") < 0.1
    assert apart("hard", "accessibility") < 0.1
    assert apart("gc", "gc") < 0.1
    assert apart("gc", "accessibility") > 1
    assert apart("random", "gc") > 0.5
    assert apart("random", "accessibility") > 1
    assert 0.15 < apart("open", "gc") < apart("random", "gc")
    assert apart("open", "accessibility") < apart("random", "accessibility") / 2
    for tier in TIERS:
        decoys = of(examples, tier, 0)
        assert decoys["gc"].to_numpy() == pytest.approx(gc_fraction(genome.codes(decoys)))
        assert not decoys[covariate_columns(decoys)].isna().any().any()


def test_neighbours_are_of_the_same_locus_outside_of_the_buffer(examples):
    promoters, decoys = of(examples, "nearby", 1), of(examples, "nearby", 0)
    assert (promoters["chrom"] == decoys["chrom"]).all()
    gap = np.maximum(decoys["start"] - promoters["end"], promoters["start"] - decoys["end"])
    assert gap.min() >= 300
    assert gap.max() < 300 + tiers.REACH * 300


def test_log_q_is_that_of_one_draw(examples, results):
    pool = read_parquet(results / "negatives" / "pool.parquet")[0]
    for split, rows in of(examples, "open", 0).groupby("split"):
        assert np.exp(-rows["log_q"]).to_numpy() == pytest.approx((pool["split"] == split).sum(), rel=1e-5)
    drawn = np.exp(-of(examples, "random", 0)["log_q"])
    wanted = of(examples, "random", 0).groupby("split")["label"].transform("size")
    assert (drawn >= wanted - 1e-3).all()
    for tier in ("hard", "gc", "nearby"):
        assert (of(examples, tier, 0)["log_q"] == 0).all()


def several(examples, genome, results, ratio):
    """The matched tier with its promoters' decoys repeated, as if each had several; and what tiers are made from."""
    hard = examples[(examples["tier"] == "hard") & (examples["split"] == "test")]
    hard = hard[[column for column in hard if column not in covariate_columns(hard) or column == "gc"]]
    hard = pd.concat([hard, *[hard[hard["label"] == 0]] * (ratio - 1)], ignore_index=True)
    pool = read_parquet(results / "negatives" / "pool.parquet")[0]
    return hard, pool, genome, tiers.Covariates(["gc"], genome), read_splits(results / "genome" / "genome.json")


def test_a_promoter_with_several_decoys_has_as_many_of_each_tier(examples, genome, results):
    table = several(examples, genome, results, ratio=2)
    found = tiers.build_tiers(["open", "nearby"], *table, {"promoters": of(examples, "hard", 1)}, 300, 0.05, 1)
    drawn, beside = of(found.examples, "open", 0), of(found.examples, "nearby", 0)
    assert (drawn["pair_id"].value_counts() == 2).all()
    assert np.exp(drawn["log_q"]).to_numpy() == pytest.approx(2 / (table[1]["split"] == "test").sum(), rel=1e-5)
    assert (beside["pair_id"].value_counts() == 2).mean() > 0.9
    assert found.record["nearby"]["pairs"] == beside["pair_id"].nunique()


@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 40), st.integers(0, 5)), min_size=1, max_size=40),
    st.integers(1, 8),
)
def test_each_promoter_has_its_nearest_neighbour_that_no_nearer_promoter_has(rows, width):
    table = pd.DataFrame(rows, columns=["slot", "start", "away"]).assign(chrom="chr1")
    table["end"] = table["start"] + width
    table = table.sort_values(["away", "start", "slot"], kind="stable", ignore_index=True)
    filled, blocked = tiers._nearest_first(table, width)
    assert not (filled & blocked).any()
    taken = table[~filled & ~blocked]
    assert not taken["slot"].duplicated().any()
    assert set(table["slot"][filled]) <= set(taken["slot"])
    assert not overlap_one_another(taken)
    away = taken.set_index("slot")["away"]
    for row in table.itertuples():
        if row.away < away.get(row.slot, np.inf):
            others = taken[(taken["start"] < row.end) & (taken["end"] > row.start) & (taken["slot"] != row.slot)]
            assert len(others), f"slot {row.slot} could have had {row}"
            assert others["away"].min() <= row.away


def test_a_neighbour_that_repeats_a_training_window_makes_room_for_the_next_one(tmp_path):
    rng = np.random.default_rng(0)
    train, test = rng.integers(0, 4, (2, 12_000), dtype=np.uint8)
    test[5400:5700] = train[2000:2300]  # right beside the test promoter: a copy of a training decoy
    path = tmp_path / "genome.fa"
    path.write_text(f">chrA\n{decode(train)}\n>chrB\n{decode(test)}\n")
    genome = Genome(path)
    splits = Splits.of_chromosomes({"chrA": "train", "chrB": "test"}, genome.sizes)
    places = [("chrA", 5000, 1), ("chrA", 2000, 0), ("chrB", 6000, 1), ("chrB", 1000, 0)]
    hard = pd.DataFrame(places, columns=["chrom", "start", "label"]).assign(
        end=lambda rows: rows["start"] + 300, name=".", strand="+", pair_id=[0, 0, 1, 1], tier="hard", log_q=0.0,
        split=["train", "train", "test", "test"], evidence="", gc=0.5,
    )  # fmt: skip
    found = tiers.build_tiers(
        ["nearby"], hard, hard[:0], genome, tiers.Covariates(["gc"], genome), splits,
        {"promoters": hard[hard["label"] == 1]}, 300, 0.05, 1,
    )  # fmt: skip
    decoy = found.examples.query("label == 0 and split == 'test'")
    assert decoy["start"].tolist() == [6600], "on the other side, as near"
    assert found.record["nearby"]["pairs"] == 2
    assert found.record["nearby"]["removed"]["nearly repeats a training window"] == 1


def test_every_decoy_finds_the_nearest_free_gc_however_far():
    here, there = np.array([[0.0], [0.0], [50.0]]), np.array([[900.0], [0.05], [300.0], [700.0]])
    assert tiers._all_matched(here, there).tolist() in ([1, 2, 3], [2, 1, 3], [1, 3, 2], [3, 1, 2])
    assert sorted(tiers._all_matched(np.zeros((40, 1)), np.arange(40.0)[:, None])) == list(range(40))


def test_hard_decoys_come_from_the_pool_that_was_kept(examples, results):
    pool = read_parquet(results / "negatives" / "pool.parquet")[0]
    known = pool.set_index(["chrom", "start"])
    decoys = of(examples, "hard", 0)
    rows = known.loc[list(zip(decoys["chrom"], decoys["start"], strict=True))]
    assert rows["gc"].to_numpy() == pytest.approx(decoys["gc"].to_numpy())
    assert (rows["split"].to_numpy() == decoys["split"].to_numpy()).all()


@pytest.mark.parametrize("tier", ["hard", *TIERS])
def test_no_tier_leaks(examples, genome, tier):
    rows = examples[examples["tier"] == tier]
    test, train = rows[rows["split"] == "test"], rows[rows["split"] == "train"]
    audit = leakage_audit(test, train, genome.codes(test), genome.codes(train))
    assert (audit.overlapping, audit.near_duplicates) == (0, 0)


def test_the_record_says_what_happened(results, examples):
    record = read_json(results / "negatives" / "balance.json")
    for tier in ("hard", *TIERS):
        assert record["tiers"][tier]["pairs"] == len(of(examples, tier, 1))
    for tier in TIERS:
        removed = record["tiers"][tier]["removed"]
        assert removed.pop("candidate windows") - sum(removed.values()) == record["tiers"][tier]["pairs"]
    reasons = record["dropped"]["reasons"]
    assert sum(reasons.values()) == sum(row["dropped"] for row in record["splits"].values())
    assert {row["rule"] for row in record["evidence"]} == {"promoters +- 300 bp", "TSS +- 500 bp", "excluded regions"}
    assert record["signal_check"]["measured"]
    assert "atac_rep2.bw" in record["signal_check"]["how"]
    matched = {row["covariate"]: row["matched"] for row in record["table"]}
    assert matched == {"gc": True, "cpg": True, "accessibility": True, "open_fraction": False, "repeat": False}


def test_the_balance_within_each_split_is_told(results, examples):
    record = read_json(results / "negatives" / "balance.json")
    hard = examples[examples["tier"] == "hard"]
    for split, told in record["splits"].items():
        means = hard[hard["split"] == split].groupby("label")[["gc", "cpg", "accessibility"]].mean()
        smd = (means.loc[1] - means.loc[0]) / pd.Series(record["matching"]["scale"])[["gc", "cpg", "accessibility"]]
        assert abs(told["largest_smd"]) == pytest.approx(smd.abs().max(), rel=1e-4)
        assert smd[told["of"]] == pytest.approx(told["largest_smd"], rel=1e-4)


def test_files_of_keys_are_in_the_record(simulated, results, tmp_path):
    (tmp_path / "genome").symlink_to(results / "genome")
    (tmp_path / "arms.bed").write_text("chr1\t0\t200000\tleft\n")
    run_negatives(config_of(simulated, exact=["chrom", str(tmp_path / "arms.bed")], tiers=[]), tmp_path)
    inputs = read_json(tmp_path / "negatives" / "balance.json")["provenance"]["inputs"]
    assert inputs["exact_2"]["file"] == "arms.bed"
    assert "chrom" not in inputs


def test_without_an_annotation_no_class_is_claimed(results):
    assert read_json(results / "negatives" / "balance.json")["classes"] == []


def test_a_run_that_fails_leaves_no_older_result_behind(simulated, results, tmp_path):
    (tmp_path / "genome").mkdir()
    for path in (results / "genome").iterdir():
        (tmp_path / "genome" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "negatives").mkdir()
    for path in (results / "negatives").iterdir():
        (tmp_path / "negatives" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "negatives" / "notes.txt").write_text("mine")
    with pytest.raises(BalanceError, match="kept a decoy"):
        run_negatives(config_of(simulated, gate="stop", min_retention=0.99, caliper=0.1), tmp_path)
    assert [path.name for path in (tmp_path / "negatives").iterdir()] == ["notes.txt"]


def test_the_same_settings_give_the_same_bytes_on_any_number_of_threads(simulated, results, tmp_path):
    (tmp_path / "again" / "genome").mkdir(parents=True)
    for path in (results / "genome").iterdir():
        (tmp_path / "again" / "genome" / path.name).write_bytes(path.read_bytes())
    with threadpool_limits(1):
        run_negatives(config_of(simulated), tmp_path / "again")
    for path in sorted((results / "negatives").iterdir()):
        assert (tmp_path / "again" / "negatives" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_tier_that_cannot_be_filled_is_left_out_with_a_warning(results, examples, genome):
    hard = examples[examples["tier"] == "hard"]
    splits = read_splits(results / "genome" / "genome.json")
    pool = read_parquet(results / "negatives" / "pool.parquet")[0]
    ruler = tiers.Covariates(["gc"], genome)
    few = pool[pool["split"] != "test"]
    hard = hard[[column for column in hard if column not in covariate_columns(hard) or column == "gc"]]
    with pytest.warns(GenocontrastWarning, match=r"'open' is left out: the split 'test' has 0 windows for \d+ decoys"):
        found = tiers.build_tiers(["open", "gc"], hard, few, genome, ruler, splits, {}, 300, 0.05, 1)
    assert set(found.examples["tier"]) == {"gc"}
    assert found.record["open"]["pairs"] == 0
