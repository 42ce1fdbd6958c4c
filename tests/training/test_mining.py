import itertools

import numpy as np
import pandas as pd
import pytest

from genocontrast.errors import BalanceError, FileFormatError, ModelError, PoolError, ShapeError, SplitError
from genocontrast.genome import Genome
from genocontrast.negatives import covariates, pairing
from genocontrast.negatives.pairing import LEFT_OUT, rematch
from genocontrast.sequence import reverse_complement
from genocontrast.training import mine_negatives, mining
from genocontrast.training.data import flanked_codes, pair_rows

WIDTH, DIM = 30, 64


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    rng = np.random.default_rng(3)
    fasta = tmp_path_factory.mktemp("mining") / "genome.fa"
    lines = [f">chr{i}\n{''.join('ACGT'[code] for code in rng.integers(0, 4, 8000))}\n" for i in (1, 2, 3)]
    fasta.write_text("".join(lines))
    return Genome(fasta)


class Planted:
    """A model that knows the windows it was told of, and no other."""

    def __init__(self):
        self.vectors = {}

    def learn(self, windows, vectors, genome):
        for codes, vector in zip(flanked_codes(windows.assign(strand="+"), genome, 0), vectors, strict=True):
            for strand in (codes, reverse_complement(codes)):
                self.vectors[strand.tobytes()] = vector

    def embed_codes(self, codes):
        return np.array([self.vectors[row.tobytes()] for row in codes], np.float32)


class World:
    """Promoters with vectors and GC, their decoys, and further candidates of the training split.

    Windows of the other splits are in every table, on the same and on other chromosomes, and unknown to the model.
    """

    def __init__(self, genome, promoters, old, pool, gc=None, old_gc=None, pool_gc=None, of=None):
        of = np.arange(len(promoters)) if of is None else np.asarray(of)
        self.genome, self.model = genome, Planted()
        place = itertools.count(0, 50)
        sides = {}
        for name, vectors, value in (("promoter", promoters, gc), ("old", old, old_gc), ("pool", pool, pool_gc)):
            start = np.array([next(place) for _ in vectors], np.int64)
            rows = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + WIDTH, "split": "train"})
            rows["gc"] = np.arange(len(vectors)) % 3 / 100 if value is None else np.asarray(value, float)
            rows["name"] = [f"{name}{i}" for i in range(len(vectors))]
            if len(vectors):
                self.model.learn(rows, np.asarray(vectors, np.float32), genome)
            sides[name] = rows
        self.promoters = sides["promoter"].assign(label=1, pair_id=of[0] + np.arange(len(promoters)), evidence="")
        self.promoters["strand"] = ["+-"[i % 2] for i in range(len(promoters))]
        self.old = sides["old"].assign(label=0, pair_id=of, evidence="peaks;TSS")
        self.old["strand"] = self.promoters["strand"].to_numpy()[of]
        hard = pd.concat([self.promoters, self.old])
        elsewhere = [
            hard.assign(chrom=chrom, start=hard["start"] + move, end=hard["end"] + move, split=split)
            for split, chrom, move in (("validation", "chr2", 0), ("test", "chr3", 0), ("validation", "chr1", 4000))
        ]
        easier = hard.assign(tier="random", start=hard["start"] + 6000, end=hard["end"] + 6000)
        self.examples = pd.concat([hard.assign(tier="hard"), *(rows.assign(tier="hard") for rows in elsewhere), easier])
        self.examples = self.examples.assign(log_q=0.0).sample(frac=1, random_state=1).reset_index(drop=True)
        pool = pd.concat([sides["pool"], sides["old"]]).assign(strand="+")
        others = pool.assign(chrom="chr2", split="validation", start=pool["start"] + 9, end=pool["end"] + 9)
        self.pool = pd.concat([others, pool]).sample(frac=1, random_state=2).reset_index(drop=True)

    def mine(self, caliper=0.5, scale=None, **options):
        scale = scale or {"gc": 1.0}
        return mine_negatives(self.model, self.examples, self.pool, self.genome, scale, caliper, **options)

    def chosen(self, mined):
        """Names of the windows that each promoter got."""
        names = {row["start"]: row["name"] for _, row in self.pool.query("split == 'train'").iterrows()}
        names |= {row["start"]: row["name"] for _, row in self.old.iterrows()}
        decoys = mined.examples.query("label == 0")
        return {
            f"promoter{pair}": sorted(names[start] for start in rows["start"])
            for pair, rows in decoys.groupby("pair_id")
        }


def axis(*parts):
    """A vector of length 1 with the given parts: (dimension, weight)."""
    vector = np.zeros(DIM)
    for dimension, weight in parts:
        vector[dimension] = weight
    vector[DIM - 1] = np.sqrt(max(1 - (vector**2).sum(), 0))
    return vector


def far(n, first=20):
    """Vectors that are like nothing else."""
    return [axis((first + i, 1.0)) for i in range(n)]


def unit(rng, *shape):
    vectors = rng.normal(size=shape)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


PROMOTERS = [axis((i, 1.0)) for i in range(6)]
"""Promoters that are unlike one another; most tests set the cap themselves."""


def test_each_promoter_gets_the_candidate_that_the_model_takes_for_it(genome):
    confusing = [axis((i, 0.8)) for i in (3, 1, 0, 2, 5, 4)]
    world = World(genome, PROMOTERS, far(6), confusing + far(4, 30))
    mined = world.mine(cap=0.9)
    expected = {f"promoter{of}": [f"pool{i}"] for i, of in enumerate((3, 1, 0, 2, 5, 4))}
    assert world.chosen(mined) == expected
    record = mined.record
    assert {name: record[name] for name in ("promoters", "pairs", "decoys", "new", "same", "kept", "left")} == {
        "promoters": 6, "pairs": 6, "decoys": 6, "new": 6, "same": 0, "kept": 0, "left": 0
    }  # fmt: skip
    assert record["candidates"] == 16
    assert record["similarity"] == {"before": pytest.approx(0, abs=1e-6), "after": pytest.approx(0.8, abs=1e-6)}
    assert repr(mined) == "Mined(6 pairs, 6 new decoys)"


def test_what_is_mined_are_examples_like_the_others_of_the_training_split(genome):
    world = World(genome, PROMOTERS, far(6), [axis((i, 0.8)) for i in range(3)])
    world.pool["mappable"] = 1.0  # a column that the examples do not have
    examples = world.mine(cap=0.9).examples
    assert set(examples.columns) == set(world.examples.columns)
    assert set(examples["split"]) == {"train"}
    assert set(examples["tier"]) == {"mined"}
    assert (examples["log_q"] == 0).all()
    promoter, decoy = pair_rows(examples)
    assert (examples["pair_id"].to_numpy()[promoter] == examples["pair_id"].to_numpy()[decoy]).all()
    assert (examples["strand"].to_numpy()[promoter] == examples["strand"].to_numpy()[decoy]).all()
    assert set(examples["strand"]) == {"+", "-"}
    decoys = examples.query("label == 0")
    assert set(decoys["evidence"]) == {"peaks;TSS"}
    assert list(decoys["name"]) == [f"decoy_chr1_{start}" for start in decoys["start"]]
    same = ["chrom", "start", "end", "name", "strand", "pair_id", "gc"]
    pd.testing.assert_frame_equal(
        examples.query("label == 1")[same].reset_index(drop=True), world.promoters[same], check_dtype=False
    )


def test_a_twin_of_a_promoter_is_left_out_and_counted(genome):
    # promoters come in pairs of cosine 0.9: what is more like one than that may be a promoter itself
    pairs = [axis((i // 2, np.sqrt(0.9)), (10 + i, np.sqrt(0.1))) for i in range(6)]
    twin = 0.99 * pairs[3] + np.sqrt(1 - 0.99**2) * axis((25, 1.0))
    world = World(genome, pairs, far(6, 30), [twin, 0.7 * pairs[3] + np.sqrt(0.51) * axis((26, 1.0))])
    mined = world.mine()
    assert mined.record["cap"] == pytest.approx(0.9, abs=1e-6)
    assert mined.record["removed"]["too like a promoter"] == 1
    assert mined.record["candidates"] == 7
    assert "pool0" not in {name for names in world.chosen(mined).values() for name in names}
    without_guard = world.chosen(world.mine(cap=1.0))
    assert "pool0" in {name for names in without_guard.values() for name in names}


def test_the_cap_is_the_99th_percentile_of_the_nearest_other_promoters(genome):
    rng = np.random.default_rng(0)
    vectors = unit(rng, 20, DIM)
    nearest = [max(one @ other for j, other in enumerate(vectors) if j != i) for i, one in enumerate(vectors)]
    world = World(genome, vectors, [-vector for vector in vectors], [])
    assert world.mine().record["cap"] == pytest.approx(np.quantile(nearest, 0.99), abs=1e-6)


def test_a_decoy_that_proves_to_be_a_promoters_twin_is_not_kept_and_its_promoter_leaves(genome):
    old = far(6)
    old[2] = axis((4, 0.99))  # like promoter 4, whose decoy it is not
    gc = np.arange(6) * 2.0
    world = World(genome, PROMOTERS, old, [], gc=gc, old_gc=gc)
    mined = world.mine(cap=0.9)
    assert world.chosen(mined) == {f"promoter{i}": [f"old{i}"] for i in (0, 1, 3, 4, 5)}
    assert (mined.record["left"], mined.record["same"], mined.record["pairs"]) == (1, 5, 5)
    assert set(mined.examples["pair_id"]) == {0, 1, 3, 4, 5}


def test_no_decoy_lies_beyond_the_caliper_however_like_its_promoter(genome):
    confusing = [axis((0, 0.8)), axis((0, 0.5)), axis((1, 0.8))]
    world = World(genome, PROMOTERS, far(6), confusing, pool_gc=[1.2, 0.9, -1.2])
    chosen = world.chosen(world.mine(cap=0.9, scale={"gc": 2.0}))
    assert chosen["promoter0"] == ["pool1"]  # 0.45 SD away; pool0 is 0.6
    assert "pool2" not in {name for names in chosen.values() for name in names}


def test_the_caliper_applies_to_matched_covariates_only_and_the_others_are_compared(genome):
    world = World(genome, PROMOTERS, far(6), [axis((i, 0.8)) for i in range(6)])
    for table in (world.examples, world.pool):
        table["open_fraction"] = np.where(table["name"].str.startswith("pool"), 5.0, 0.0)
        table["gc"] = np.arange(len(table)) % 3 / 1000
    mined = world.mine(cap=0.9, scale={"gc": 1.0, "open_fraction": 2.0}, matched=["gc"])
    assert mined.record["new"] == 6
    gc, other = mined.record["balance"]
    assert (gc["covariate"], gc["matched"], other["covariate"], other["matched"]) == (
        "gc",
        True,
        "open_fraction",
        False,
    )
    assert other["smd"] == pytest.approx(-2.5)
    assert abs(gc["smd"]) < 0.01
    assert set(mined.record["two_sample"]) == {"auroc", "low", "high"}
    chosen = world.chosen(world.mine(cap=0.9, scale={"gc": 1.0, "open_fraction": 2.0}))
    assert sorted(itertools.chain(*chosen.values())) == [f"old{i}" for i in range(6)]


def test_a_promoter_that_finds_nothing_keeps_its_decoy_unless_another_has_taken_it(genome):
    gc = np.array([0.0, 2, 4, 6, 8, 10])
    old_gc = gc + np.array([0.3, 0, 0, 0, 0, 0])  # beyond the narrower caliper of the round
    world = World(genome, PROMOTERS, far(6), [], gc=gc, old_gc=old_gc)
    mined = world.mine(caliper=0.1, cap=0.9)
    assert (mined.record["kept"], mined.record["same"], mined.record["left"]) == (1, 5, 0)
    assert world.chosen(mined)["promoter0"] == ["old0"]
    gc[1], old_gc[1] = 0.3, 0.3  # promoter 1 finds the decoy of promoter 0, and it looks like promoter 1
    world = World(genome, PROMOTERS, [axis((1, 0.8)), *far(5)], [], gc=gc, old_gc=old_gc)
    mined = world.mine(caliper=0.1, cap=0.9)
    assert world.chosen(mined)["promoter1"] == ["old0"]
    assert "promoter0" not in world.chosen(mined)
    assert (mined.record["left"], mined.record["kept"], mined.record["pairs"]) == (1, 0, 5)


def test_a_decoy_of_before_that_is_not_in_the_pool_still_can_be_one(genome):
    world = World(genome, PROMOTERS, far(6), [])
    world.pool = world.pool[world.pool["name"] != "old3"]
    mined = world.mine(cap=0.9)
    assert mined.record["pairs"] == 6
    assert ["old3"] in world.chosen(mined).values()


def test_a_window_of_the_pool_that_overlaps_a_promoter_is_removed_and_counted(genome):
    world = World(genome, PROMOTERS, far(6), [])
    moved = world.promoters.iloc[:2].assign(start=lambda rows: rows["start"] + 5, end=lambda rows: rows["end"] + 5)
    world.pool = pd.concat([world.pool, moved[world.pool.columns]])
    mined = world.mine(cap=0.9)  # the model does not know them either
    assert mined.record["removed"]["overlaps a promoter"] == 2


def test_as_many_decoys_as_before_all_of_them_different(genome):
    of = [0, 0, 1, 1, 2, 2, 3, 4, 5]
    confusing = [axis((i, weight)) for weight in (0.5, 0.8) for i in range(6)]
    world = World(genome, PROMOTERS, far(9), confusing, of=of)
    mined = world.mine(cap=0.9)
    chosen = world.chosen(mined)
    assert [len(chosen[f"promoter{i}"]) for i in range(6)] == [2, 2, 2, 1, 1, 1]
    for i in range(6):
        assert chosen[f"promoter{i}"] == sorted([f"pool{6 + i}", f"pool{i}"][: len(chosen[f"promoter{i}"])])
    taken = [name for names in chosen.values() for name in names]
    assert len(taken) == len(set(taken)) == mined.record["decoys"] == 9
    promoter, _ = pair_rows(mined.examples)
    assert len(promoter) == 9


def test_a_second_decoy_is_kept_where_only_one_is_found(genome):
    gc, old_gc = np.arange(6) * 2.0, np.array([0.3, 0.3, 2, 4, 6, 8, 10])
    world = World(genome, PROMOTERS, far(7), [axis((0, 0.8))], gc=gc, old_gc=old_gc, of=[0, 0, 1, 2, 3, 4, 5])
    mined = world.mine(caliper=0.1, cap=0.9)
    assert world.chosen(mined)["promoter0"] == ["old0", "pool0"]
    assert (mined.record["new"], mined.record["kept"], mined.record["decoys"]) == (1, 1, 7)


def test_promoter_and_decoy_agree_in_the_keys(genome):
    world = World(genome, PROMOTERS, far(6), [axis((i, 0.8)) for i in range(6)])
    arm = {f"{kind}{i}": "left" if i < 3 else "right" for kind in ("promoter", "old") for i in range(6)}
    arm |= {f"pool{i}": "left" if i in (0, 1, 5) else "right" for i in range(6)}
    for table in (world.examples, world.pool):
        table["arm"] = table["name"].map(arm)
    mined = world.mine(cap=0.9, keys=["arm"])
    for promoter, names in world.chosen(mined).items():
        assert {arm[name] for name in names} == {arm[promoter]}
    assert world.chosen(mined)["promoter0"] == ["pool0"]
    assert world.chosen(mined)["promoter2"] != ["pool2"]
    assert "arm" not in mined.examples


def brute_force(cost, row=0, taken=()):
    """Least sum of costs of all ways to give each row a column of its own or none; nan: not allowed."""
    if row == len(cost):
        return 0.0
    best = LEFT_OUT + brute_force(cost, row + 1, taken)
    for column, paid in enumerate(cost[row]):
        if column not in taken and not np.isnan(paid):
            best = min(best, paid + brute_force(cost, row + 1, (*taken, column)))
    return best


@pytest.mark.parametrize("seed", range(4))
def test_mined_pairs_equal_brute_force(genome, monkeypatch, seed):
    monkeypatch.setattr(mining, "DRIFT", np.inf)
    rng = np.random.default_rng(seed)
    promoters, old, pool = (unit(rng, n, 5) for n in (6, 6, 2))
    gc = rng.normal(size=6)
    value = np.concatenate([rng.normal(size=2), gc + rng.uniform(-0.5, 0.5, 6)])
    world = World(genome, promoters, old, pool, gc, value[2:], value[:2])
    like = promoters @ np.concatenate([pool, old]).T
    cap = np.sort(like.max(0))[-2] + 1e-3  # one candidate is barred
    cost = np.where(np.abs(gc[:, None] - value) <= 0.5, 1.0 - like, np.nan)
    cost[:, like.max(0) > cap] = np.nan
    mined = world.mine(cap=cap)
    names = ["pool0", "pool1", *(f"old{i}" for i in range(6))]
    paid = [
        cost[int(promoter.removeprefix("promoter")), names.index(name)]
        for promoter, (name,) in world.chosen(mined).items()
    ]
    assert mined.record["removed"]["too like a promoter"] == 1
    assert sum(paid) + LEFT_OUT * (6 - len(paid)) == pytest.approx(brute_force(cost), abs=1e-5)


def test_blocks_change_nothing_and_nothing_is_random(genome, monkeypatch):
    rng = np.random.default_rng(5)
    sizes = (12, 12, 30)
    world = World(genome, *(unit(rng, n, 8) for n in sizes), *(rng.normal(size=n) for n in sizes))
    whole = world.mine()
    for module, name, value in (
        (mining, "BLOCK", 5),
        (covariates, "CHUNK", 7 * WIDTH),
        (pairing, "BLOCK", 3),
        (pairing, "EDGES", 4),
    ):
        monkeypatch.setattr(module, name, value)
    world.examples = world.examples.sample(frac=1, random_state=9)
    again = world.mine()
    pd.testing.assert_frame_equal(whole.examples, again.examples)
    assert again.record["cap"] == pytest.approx(whole.record["cap"], abs=1e-6)
    assert {k: v for k, v in whole.record.items() if k not in ("cap", "similarity")} == {
        k: v for k, v in again.record.items() if k not in ("cap", "similarity")
    }


def test_promoters_of_which_not_all_candidates_were_looked_at_are_counted(genome, monkeypatch):
    monkeypatch.setattr(pairing, "MANY", 4)
    gc = np.arange(6) * 2.0
    world = World(genome, PROMOTERS, far(6), far(5, 30), gc=gc, old_gc=gc, pool_gc=[0.1, 0.2, 0.3, 0.4, 2.1])
    assert world.mine(cap=0.9).record["cut_short"] == 1


def test_few_promoters_may_drift_more(genome, monkeypatch):
    asked = []

    def spy(here, *rest):
        asked.append(rest[-1])
        return rematch(here, *rest)

    monkeypatch.setattr(mining, "rematch", spy)
    World(genome, PROMOTERS, far(6), far(4, 30)).mine(cap=0.9)
    monkeypatch.setattr(mining, "DRIFT", 0.4)
    World(genome, PROMOTERS, far(6), far(4, 30)).mine(cap=0.9)
    assert asked == [pytest.approx(0.5 / np.sqrt(6)), 0.4]


def test_what_mining_cannot_work_with_is_named(genome):
    world = World(genome, PROMOTERS, far(6), [])
    with pytest.raises(PoolError, match="no decoy to any of 6 promoters"):
        world.mine(cap=-1.0)
    with pytest.raises(ShapeError, match="pool has no column 'cpg'"):
        world.examples["cpg"] = 0.0
        world.mine()
    world.pool["cpg"] = 0.0
    with pytest.raises(ShapeError, match="differ in width"):
        mine_negatives(world.model, world.examples, world.pool.assign(end=world.pool["end"] + 1), genome, {"gc": 1}, 1)
    with pytest.raises(FileFormatError, match="not one promoter and its decoys"):
        mine_negatives(world.model, world.examples.query("pair_id > 0 or label == 1"), world.pool, genome, {"gc": 1}, 1)
    with pytest.raises(SplitError, match="no promoter of the tier 'hard'"):
        mine_negatives(world.model, world.examples.query("split == 'test'"), world.pool, genome, {"gc": 1}, 1)
    with pytest.raises(BalanceError, match="too few"):
        world.examples = world.examples[world.examples["pair_id"] < 3]
        world.mine(cap=0.9)


def test_mining_says_what_it_is_to_compare_and_refuses_a_broken_model(genome):
    world = World(genome, PROMOTERS, far(6), far(4, 30))
    with pytest.raises(ShapeError, match="no covariate to compare"):
        world.mine(matched=[])
    with pytest.raises(ShapeError, match="'cpg' has no standard deviation"):
        world.mine(matched=["gc", "cpg"])
    for vector in world.model.vectors.values():
        vector[0] = np.nan
    with pytest.raises(ModelError, match="of 6 windows is not finite"):
        world.mine()
