"""The public function from windows to a balanced table, on a hand-made genome."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pyBigWig
import pytest

import genocontrast as gct
from genocontrast.errors import (
    BalanceError,
    ConfigError,
    GenocontrastWarning,
    PoolError,
    RegionError,
    ShapeError,
    SplitError,
)
from genocontrast.examples import check_examples
from genocontrast.genome.splits import Splits
from genocontrast.negatives.pool import Pool
from genocontrast.sequence import decode

WIDTH, SIZE, BIN = 100, 120_000, 20
SIZES = {"chrA": SIZE, "chrB": SIZE, "chrC": SIZE}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Stretches of 600 bp, each of its own GC and accessibility, so that windows differ in both."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("match")
    with open(folder / "genome.fa", "w") as fasta, pyBigWig.open(str(folder / "atac.bw"), "w") as track:
        track.addHeader(list(SIZES.items()))
        for chrom in SIZES:
            gc = np.repeat(rng.uniform(0.3, 0.7, SIZE // 600), 600)
            strong, second = rng.random(SIZE) < gc, rng.random(SIZE) < 0.5
            codes = np.where(strong, np.where(second, 1, 2), np.where(second, 0, 3)).astype(np.uint8)
            fasta.write(f">{chrom}\n{decode(codes)}\n")
            values = np.repeat(rng.gamma(2, 1, SIZE // 600), 600 // BIN) * rng.uniform(0.8, 1.2, SIZE // BIN)
            starts = np.arange(0, SIZE, BIN)
            track.addEntries([chrom] * len(starts), starts, ends=starts + BIN, values=values)
    return folder


@pytest.fixture(scope="module")
def genome(folder):
    return gct.Genome(folder / "genome.fa")


@pytest.fixture(scope="module")
def signal(folder, genome):
    return gct.Signal(folder / "atac.bw", genome)


@pytest.fixture(scope="module")
def splits():
    return Splits.of_chromosomes({"chrA": "train", "chrB": "validation", "chrC": "test"}, SIZES)


def windows(starts, chroms=tuple(SIZES), **columns):
    table = pd.DataFrame([(chrom, int(start), int(start) + WIDTH) for chrom in chroms for start in starts])
    table.columns = ["chrom", "start", "end"]
    strand = np.where(np.arange(len(table)) % 3, "+", "-")
    return table.assign(name=[f"p{i}" for i in range(len(table))], strand=strand, **columns)


@pytest.fixture(scope="module")
def promoters():
    return windows(range(1_000, SIZE - 2_000, 2_400))


@pytest.fixture(scope="module")
def pool(genome, promoters):
    peaks = windows(range(0, SIZE - WIDTH, 70))
    return gct.candidate_pool(genome, peaks, {"promoters": promoters}, WIDTH)


@pytest.fixture(scope="module")
def matched(promoters, pool, genome, signal, splits):
    return gct.match_negatives(promoters, pool, genome, signal=signal, splits=splits)


def overlapping(table):
    """Pairs of rows that share a base, counted by a loop."""
    rows = table.sort_values(["chrom", "start"])[["chrom", "start", "end"]].to_numpy()
    return sum(a[0] == b[0] and b[1] < a[2] for a, b in itertools.pairwise(rows))


def test_no_decoy_overlaps_another_one_or_a_promoter(matched, promoters, pool):
    assert overlapping(pool.windows) > 100, "the pool overlaps itself"
    decoys = matched.examples[matched.examples["label"] == 0]
    assert len(decoys) > 100
    assert overlapping(decoys) == 0
    assert overlapping(pd.concat([decoys, promoters])) == overlapping(promoters) == 0
    assert overlapping(matched.pool) == 0


def test_pairs_stay_in_their_split_and_on_one_strand(matched):
    check_examples(matched.examples)
    pairs = matched.examples.groupby("pair_id")
    assert (pairs["split"].nunique() == 1).all()
    assert (pairs["strand"].nunique() == 1).all()
    assert set(matched.examples["strand"]) == {"+", "-"}
    of = {"chrA": "train", "chrB": "validation", "chrC": "test"}
    assert (matched.examples["chrom"].map(of) == matched.examples["split"]).all()


def test_pairs_are_within_the_caliper_in_promoters_standard_deviations(matched, promoters):
    names = ["gc", "cpg", "accessibility"]
    every = pd.concat([matched.examples[matched.examples["label"] == 1], matched.dropped])
    spread = every.loc[every["split"] == "train", names].std(ddof=1)
    ours, theirs = (
        matched.examples[matched.examples["label"] == label].set_index("pair_id").sort_index()[names] / spread
        for label in (1, 0)
    )
    apart = np.sqrt(((ours - theirs) ** 2).sum(axis=1))
    assert apart.max() <= 0.5
    assert len(every) == len(promoters), "a promoter is kept or dropped"


def test_the_balance_is_better_after_than_before_and_passes(matched):
    table = matched.balance.table.set_index("covariate")
    assert matched.balance.retention > 0.8
    assert (table["smd_after"].abs() < 0.1).all()
    matched.balance.check()


def test_every_decoy_names_what_cleared_it(matched):
    by_label = matched.examples.groupby("label")["evidence"].unique()
    assert by_label[0].tolist() == ["promoters"]
    assert by_label[1].tolist() == [""]


def test_dropped_promoters_say_why(promoters, pool, genome, signal, splits):
    found = gct.match_negatives(promoters, pool, genome, signal=signal, splits=splits, caliper=0.1, min_retention=0)
    far = found.dropped["nearest"] > 0.1
    assert far.any()
    assert (found.dropped.loc[far, "reason"] == "no candidate within the caliper").all()
    assert (found.dropped.loc[~far, "reason"] == "its candidates serve others").all()


def test_nothing_depends_on_the_order_of_the_candidates(matched, promoters, pool, genome, signal, splits):
    mixed = Pool(pool.windows.sample(frac=1, random_state=3), pool.removed, pool.cleared_by)
    again = gct.match_negatives(promoters, mixed, genome, signal=signal, splits=splits)
    pd.testing.assert_frame_equal(again.examples, matched.examples)


def test_the_same_seed_gives_the_same_result(matched, promoters, pool, genome, signal, splits):
    again = gct.match_negatives(promoters, pool, genome, signal=signal, splits=splits)
    pd.testing.assert_frame_equal(again.examples, matched.examples)
    pd.testing.assert_frame_equal(again.balance.table, matched.balance.table)
    assert again.balance.two_sample_auroc == matched.balance.two_sample_auroc


def test_exact_keys_hold(promoters, pool, genome, signal):
    found = gct.match_negatives(promoters, pool, genome, signal=signal, exact=("chrom",), min_retention=0)
    assert (found.examples.groupby("pair_id")["chrom"].nunique() == 1).all()
    free = gct.match_negatives(promoters, pool, genome, signal=signal)
    assert (free.examples.groupby("pair_id")["chrom"].nunique() > 1).any(), "the key made no difference"


def test_keys_of_ones_own_hold_and_are_no_covariates(promoters, pool, genome, signal):
    ours = promoters.assign(cells=np.where(promoters["start"] % 4800 < 2400, "blood", "liver"))
    theirs = Pool(pool.windows.assign(cells=np.where(pool.windows["start"] // 300 % 2, "blood", "liver")))
    found = gct.match_negatives(ours, theirs, genome, signal=signal, exact=("cells",), min_retention=0)
    assert "cells" not in found.examples
    key = pd.concat([ours, theirs.windows]).set_index(["chrom", "start"])["cells"]
    cells = key.loc[list(zip(found.examples["chrom"], found.examples["start"], strict=True))]
    assert (cells.groupby(found.examples["pair_id"].to_numpy()).nunique() == 1).all()
    with pytest.raises(ShapeError, match="no column 'cells'"):
        gct.match_negatives(promoters, theirs, genome, signal=signal, exact=("cells",))


def test_several_decoys_for_each_promoter(promoters, pool, genome, signal):
    found = gct.match_negatives(promoters, pool, genome, signal=signal, ratio=3)
    sizes = found.examples.groupby("pair_id")["label"].agg(["size", "sum"])
    assert (sizes["sum"] == 1).all()
    assert set(sizes["size"]) <= {2, 3, 4}
    assert (sizes["size"] == 4).sum() > 80
    assert found.record["short"] == (sizes["size"] < 4).sum()
    assert overlapping(found.examples) == 0
    low, high = found.balance.two_sample_auroc[1:]
    assert low < 0.55
    assert high > 0.45


def test_cardinality_matching_keeps_more_where_the_pool_is_scarce(promoters, genome, signal):
    pool = gct.candidate_pool(genome, windows(range(600, SIZE - WIDTH, 2_400)), [promoters], WIDTH)
    near = gct.match_negatives(promoters, pool, genome, signal=signal, caliper=0.3, min_retention=0)
    most = gct.match_negatives(promoters, pool, genome, signal=signal, caliper=3, method="cardinality", min_retention=0)
    assert most.balance.retention > 1.2 * near.balance.retention
    assert most.balance.table["smd_after"].abs().max() < 0.1
    assert set(most.dropped["reason"]) <= {"left out for the balance", "no candidate within the caliper"}


def test_the_loss_of_the_greedy_way_is_stated(matched, promoters, pool, genome, signal, splits):
    greedy = gct.match_negatives(promoters, pool, genome, signal=signal, splits=splits, method="greedy")
    assert greedy.record["assignment"]["train"]["excess"] > 0
    assert matched.record["assignment"]["train"] == {"excess": 0.0, "uncertified": 0}


def test_covariates_that_are_only_measured_are_not_gated(promoters, pool, genome, signal):
    found = gct.match_negatives(
        promoters, pool, genome, ("gc",), signal, also_measured=("accessibility", "gc"), caliper=0.2
    )
    table = found.balance.table.set_index("covariate")
    assert table["matched"].to_dict() == {"gc": True, "accessibility": False}
    worse = found.balance.table.assign(passed=[True, False])
    assert not replace(found.balance, table=worse).failures()
    assert replace(found.balance, table=worse.assign(passed=[False, True])).failures()


def test_a_pool_smaller_than_the_promoters_need_is_refused(promoters, genome, signal, splits):
    pool = gct.candidate_pool(genome, windows(range(600, 20_000, 2_400)), [promoters], WIDTH)
    with pytest.raises(PoolError, match=r"'test' has 9 candidate decoys for 49 promoters, of which 80%(?s:.)*remedy"):
        gct.match_negatives(promoters, pool, genome, signal=signal, splits=splits)
    few = gct.match_negatives(promoters, pool, genome, signal=signal, splits=splits, min_retention=0, caliper=5)
    with pytest.raises(BalanceError, match="of the promoters kept a decoy"):
        few.balance.check(min_retention=0.8)


def test_a_genome_of_gc_alone_is_refused(tmp_path, promoters):
    path = tmp_path / "gc.fa"
    path.write_text("".join(f">{chrom}\n{'GC' * (SIZE // 2)}\n" for chrom in SIZES))
    genome = gct.Genome(path)
    pool = gct.candidate_pool(genome, windows(range(0, SIZE - WIDTH, 300)), [promoters], WIDTH)
    with pytest.warns(GenocontrastWarning, match="everywhere"), pytest.raises(PoolError, match="constant"):
        gct.match_negatives(promoters, pool, genome, covariates=("gc", "cpg"))


def test_windows_of_another_genome_are_refused(promoters, pool, genome, signal):
    beyond = promoters.assign(start=SIZE, end=SIZE + WIDTH)
    with pytest.raises(RegionError, match="chrA"):
        gct.match_negatives(beyond, pool, genome, signal=signal)
    with pytest.raises(Exception, match="chrX"):
        gct.match_negatives(promoters.assign(chrom="chrX"), pool, genome, signal=signal)


def test_a_split_without_promoters_is_named(promoters, pool, genome, signal, splits):
    with pytest.raises(SplitError, match="'test'"):
        gct.match_negatives(promoters[promoters["chrom"] != "chrC"], pool, genome, signal=signal, splits=splits)


def test_nobody_within_the_caliper_is_an_error(promoters, pool, genome, signal):
    with pytest.raises(PoolError, match=r"within the caliper of 1e-09 SD \(147 promoters"):
        gct.match_negatives(promoters, pool, genome, signal=signal, caliper=1e-9)


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ({"covariates": "gc"}, ShapeError, r"covariates is one name(?s:.)*pass \['gc'\]"),
        ({"exact": "chrom"}, ShapeError, "exact is one name"),
        ({"ratio": 0}, ConfigError, "'ratio'.*greater than or equal to 1"),
        ({"ratio": 1.5}, ConfigError, "'ratio'.*integer"),
        ({"caliper": float("nan")}, ConfigError, "'caliper'.*finite"),
        ({"caliper": -0.5}, ConfigError, "'caliper'.*greater than 0"),
        ({"method": "nearest"}, ConfigError, "'method'.*'caliper', 'cardinality' or 'greedy'"),
        ({"tolerance": 0}, ConfigError, "'tolerance'"),
        ({"min_retention": 80}, ConfigError, "'min_retention'.*less than or equal to 1"),
        ({"signal": "atac.bw"}, ShapeError, r"signal is no Signal(?s:.)*gct\.Signal"),
        ({"pool": pd.DataFrame()}, ShapeError, "pool is no Pool.*DataFrame"),
        ({"covariates": []}, ShapeError, "no covariate to match on"),
        ({"seed": -1}, ShapeError, "the seed must be"),
        ({"exact": ["gc"]}, ShapeError, "'gc' is a covariate"),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused(promoters, pool, genome, signal, wrong, error, said):
    given = {"pool": pool, "signal": signal} | wrong
    promoters = promoters.assign(gc=1)
    if isinstance(given["pool"], Pool):
        given["pool"] = replace(pool, windows=pool.windows.assign(gc=1))
    with pytest.raises(error, match=said):
        gct.match_negatives(promoters, given.pop("pool"), genome, **given)


def test_promoters_that_are_given_twice_or_of_another_width_are_refused(promoters, pool, genome, signal):
    twice = pd.concat([promoters, promoters[:2]])
    with pytest.raises(ShapeError, match=r"2 of 149 promoters are given twice.*chrA:1000-1100(?s:.)*remedy"):
        gct.match_negatives(twice, pool, genome, signal=signal)
    with pytest.raises(ShapeError, match=r"one width.*100, 150"):
        gct.match_negatives(promoters.assign(end=promoters["start"] + 150), pool, genome, signal=signal)


@pytest.mark.parametrize("exclude", ["promoters.bed", ["promoters.bed"], {"promoters": "promoters.bed"}])
def test_a_path_is_no_table_of_regions(promoters, genome, exclude):
    with pytest.raises(ShapeError, match=r"no table of regions(?s:.)*gct\.read_regions"):
        gct.candidate_pool(genome, promoters, exclude, WIDTH)


def test_a_single_table_of_exclusions_wants_a_name(promoters, genome):
    with pytest.raises(ShapeError, match="single table"):
        gct.candidate_pool(genome, promoters, promoters, WIDTH)


def test_what_came_out_is_said_in_a_line(promoters, pool, genome, signal):
    found = gct.match_negatives(promoters, pool, genome, signal=signal, ratio=30, min_retention=0)
    decoys, short = (found.examples["label"] == 0).sum(), found.record["short"]
    assert short > 0
    pairs = found.examples["pair_id"].nunique()
    said = f"Matched(pairs {pairs}, decoys {decoys:,}, with fewer decoys than asked for {short}, dropped "
    assert repr(found).startswith(said)
    assert repr(found.balance).startswith(f"Balance({found.balance.verdict}, largest |SMD| ")


def test_a_list_is_no_table_of_promoters(pool, genome, signal):
    with pytest.raises(ShapeError, match=r"no table of regions.*list"):
        gct.match_negatives([1, 2], pool, genome, signal=signal)


def test_a_key_that_no_candidate_has_is_the_reason(promoters, pool, genome, signal):
    theirs = replace(pool, windows=pool.windows.assign(cells="liver"))
    ours = promoters.assign(cells=np.where(np.arange(len(promoters)) < 3, "brain", "liver"))
    found = gct.match_negatives(ours, theirs, genome, signal=signal, exact=("cells",))
    reasons = found.dropped.set_index("name")["reason"]
    assert (reasons[["p0", "p1", "p2"]] == "no candidate of its keys").all()
    assert not (reasons.drop(["p0", "p1", "p2"]) == "no candidate of its keys").any()


def test_a_handful_of_pairs_has_a_line_but_no_auroc(promoters, pool, genome, signal):
    found = gct.match_negatives(promoters[:4], pool, genome, signal=signal, min_retention=0, caliper=2)
    assert "failed" in repr(found)
    assert any("too few to judge" in line for line in found.balance.failures())
    with pytest.raises(BalanceError, match="too few to judge"):
        found.balance.check()
