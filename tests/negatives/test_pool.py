"""The pool and its rules, on regions drawn at random and against plain loops."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from genocontrast.errors import PoolError, RegionError, ShapeError
from genocontrast.genome.fasta import Genome
from genocontrast.negatives.pool import Sieve, candidate_pool, lay_out, summit_windows, tiled_windows
from genocontrast.negatives.thinning import disjoint, likeness, overlap_one_another
from genocontrast.sequence import decode

WIDTH = 10
SIZES = {"chr1": 400, "chr2": 250}


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("pool") / "genome.fa"
    codes = {chrom: rng.integers(0, 4, size, dtype=np.uint8) for chrom, size in SIZES.items()}
    codes["chr1"][100:140] = 4
    path.write_text("".join(f">{chrom}\n{decode(row)}\n" for chrom, row in codes.items()))
    return Genome(path)


def regions(*rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end"]).astype({"start": "int64", "end": "int64"})


some = st.lists(st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(0, 230), st.integers(1, 40)), max_size=8).map(
    lambda rows: [(chrom, start, min(start + length, SIZES[chrom])) for chrom, start, length in rows]
)


def touches(row, others):
    return any(row[0] == chrom and row[1] < end and start < row[1] + WIDTH for chrom, start, end in others)


@settings(deadline=None)
@given(some.filter(bool), st.dictionaries(st.sampled_from(["a", "b", "c"]), some, max_size=3))
def test_each_rule_counts_what_it_touches_and_what_it_alone_touches(genome, peaks, rules):
    windows = {(c, (s + e) // 2 - WIDTH // 2) for c, s, e in peaks}
    inside = [row for row in windows if row[1] >= 0 and row[1] + WIDTH <= SIZES[row[0]]]
    hit = {row: [rule for rule, others in rules.items() if touches(row, others)] for row in inside}
    left = {row for row in inside if not hit[row] and (row[0] != "chr1" or not 100 - WIDTH < row[1] < 140)}
    exclude = {rule: regions(*others) for rule, others in rules.items()}
    if not left:
        with pytest.raises(PoolError, match=rf"no candidate decoy is left of {len(windows)} windows"):
            candidate_pool(genome, regions(*peaks), exclude, WIDTH, max_n_fraction=0)
        return
    pool = candidate_pool(genome, regions(*peaks), exclude, WIDTH, max_n_fraction=0)
    assert set(zip(pool.windows["chrom"], pool.windows["start"], strict=True)) == left
    for row in pool.evidence.to_dict("records"):
        assert row["touched"] == sum(row["rule"] in rules for rules in hit.values())
        assert row["alone"] == sum([row["rule"]] == rules for rules in hit.values())
    removed = {rule: sum(rules[:1] == [rule] for rules in hit.values()) for rule in rules}
    assert {rule: pool.removed[rule] for rule in rules} == removed
    assert pool.removed["candidate windows"] - len(left) == sum(list(pool.removed.values())[1:])
    assert pool.cleared_by == tuple(rules)


def test_summits_and_tiles_make_one_pool_without_doubles(genome):
    peaks = regions(("chr2", 0, 30), ("chr2", 200, 220))
    both = candidate_pool(genome, peaks, [], WIDTH, stride=10, summits=True)
    assert both.windows["start"].tolist() == [10, 205, 0, 20, 200, 210]
    assert both.removed["candidate windows"] == 6
    layouts = [(peaks, None), (peaks, 10)]
    pd.testing.assert_frame_equal(lay_out(genome, layouts, {}, WIDTH).windows, both.windows)


def test_exclusions_may_come_as_a_list(genome):
    pool = candidate_pool(genome, regions(("chr1", 0, 10), ("chr2", 0, 10)), [regions(("chr1", 5, 6))], WIDTH)
    assert pool.windows["chrom"].tolist() == ["chr2"]
    assert pool.removed["excluded regions 1"] == 1


def test_evidence_that_removes_everything_says_so(genome):
    everything = regions(("chr1", 0, 400), ("chr2", 0, 250))
    with pytest.raises(
        PoolError, match=r"no candidate decoy is left of 2 windows; removed: (?s:.)*CAGE 2(?s:.)*remedy"
    ):
        candidate_pool(genome, regions(("chr1", 0, 20), ("chr2", 50, 60)), {"CAGE": everything}, WIDTH)


@pytest.mark.parametrize("stranger", [("chr9", 0, 10), ("chr2", 250, 300)])
def test_a_blacklist_of_another_assembly_is_refused(genome, stranger):
    peaks = regions(("chr1", 0, 20))
    with pytest.raises(RegionError, match=rf"blacklist: 1 of 2 regions lie outside the genome .*{stranger[0]}"):
        candidate_pool(genome, peaks, {"blacklist": regions(("chr1", 300, 310), stranger)}, WIDTH)
    with pytest.raises(RegionError, match="open chromatin: 1 of 1 regions"):
        candidate_pool(genome, regions(stranger), {}, WIDTH)


@pytest.mark.parametrize(("width", "stride"), [(0, None), (-5, None), (10, 0), (10, -1)])
def test_windows_need_a_width_and_a_step(genome, width, stride):
    with pytest.raises(ShapeError, match="must be positive"):
        candidate_pool(genome, regions(("chr1", 0, 50)), {}, width, stride)


def test_no_peaks_make_no_pool(genome):
    with pytest.raises(PoolError, match="left of 0 windows"):
        candidate_pool(genome, regions(), {}, WIDTH)


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(0, 120), st.integers(0, 3)), max_size=40))
def test_disjoint_keeps_the_best_of_each_neighbourhood(rows):
    rows = list({(chrom, start): (chrom, start, p) for chrom, start, p in rows}.values())
    table = pd.DataFrame(rows, columns=["chrom", "start", "priority"]).astype({"start": int})
    table["end"] = table["start"] + WIDTH
    keep = disjoint(table, table["priority"].to_numpy(float))

    taken = []  # the definition, written as a loop
    for i in sorted(range(len(rows)), key=lambda i: (-rows[i][2], rows[i][1])):
        if all(rows[i][0] != rows[j][0] or abs(rows[i][1] - rows[j][1]) >= WIDTH for j in taken):
            taken.append(i)
    # equal priority and start on two chromosomes do not compete, so order among them is immaterial
    assert set(np.flatnonzero(keep)) == set(taken)
    assert not overlap_one_another(table[keep])
    close = [(a, b) for a in rows for b in rows if a is not b and a[0] == b[0] and abs(a[1] - b[1]) < WIDTH]
    assert overlap_one_another(table) == bool(close)


def test_summit_windows_fall_back_to_the_centre():
    table = pd.DataFrame({"chrom": "chr1", "start": [100, 200], "end": [160, 300], "summit": [110, -1]})
    windows = summit_windows(table, WIDTH)
    assert windows["start"].tolist() == [105, 245]
    assert (windows["end"] - windows["start"] == WIDTH).all()


@given(st.integers(0, 60), st.integers(1, 25))
def test_tiles_lie_within_their_region(length, stride):
    table = pd.DataFrame({"chrom": ["chr1", "chr2"], "start": [7, 0], "end": [7 + length, 3]})
    tiles = tiled_windows(table, WIDTH, stride)
    assert tiles["start"].tolist() == list(range(7, 7 + length - WIDTH + 1, stride))


def test_the_sieve_counts_each_rule():
    sieve = Sieve(pd.DataFrame({"x": [1, 2, 3, 4]}))
    sieve.drop("odd", np.array([True, False, True, False]))
    sieve.drop("four", (sieve.rows["x"] == 4).to_numpy())
    assert sieve.removed == {"odd": 2, "four": 1}
    assert sieve.rows["x"].tolist() == [2]


def test_likeness_is_the_log_odds_of_a_logistic_regression():
    rng = np.random.default_rng(0)
    promoters = pd.DataFrame(rng.normal([1.0, 0.5], [1.0, 0.3], (300, 2)), columns=["gc", "cpg"])
    shown = pd.DataFrame(rng.normal(0, 1, (700, 2)), columns=["gc", "cpg"])
    held_out = pd.DataFrame(rng.normal(0, 2, (100, 2)), columns=["gc", "cpg"])
    train = np.arange(800) < 700
    found = likeness(promoters, pd.concat([shown, held_out], ignore_index=True), train)
    values = pd.concat([promoters, shown]).to_numpy()
    scaler = StandardScaler().fit(values)
    terms = PolynomialFeatures(2, include_bias=False)
    model = LogisticRegression(tol=1e-9, max_iter=10_000).fit(
        terms.fit_transform(scaler.transform(values)), np.repeat([1, 0], [300, 700])
    )
    rows = np.concatenate([shown.to_numpy(), held_out.to_numpy()])
    theirs = model.decision_function(terms.transform(scaler.transform(rows)))
    # scikit-learn's ridge spares the constant
    assert found == pytest.approx(theirs, rel=0.02, abs=0.05)
    changed = held_out + 100
    again = likeness(promoters, pd.concat([shown, changed], ignore_index=True), train)
    assert again[:700] == pytest.approx(found[:700]), "fitted on what is not training data"


def test_likeness_needs_examples_of_both():
    windows = pd.DataFrame({"gc": [0.1, 0.9]})
    assert likeness(windows, windows, np.array([False, False])).tolist() == [0, 0]
    assert likeness(windows[:0], windows, np.array([True, True])).tolist() == [0, 0]
