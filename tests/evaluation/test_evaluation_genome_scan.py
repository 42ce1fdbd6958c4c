"""The genome scan on planted truth: windows, calls and figures against brute force."""

import itertools
import json

import numpy as np
import pandas as pd
import pyBigWig
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from genocontrast.artefacts import read_json, write_json, write_parquet
from genocontrast.config import parse_config
from genocontrast.errors import ConfigError, SplitError
from genocontrast.evaluation.genome_scan import Track, default_stride, find_calls, random_tracks, scan, write_bigwig
from genocontrast.evaluation.scan_figures import (
    at_threshold,
    best_f1,
    distances,
    loci,
    match_calls,
    scan_curve,
    thinned,
)
from genocontrast.evaluation.scan_stage import Landmarks, leading, nth_score, scan_splits, shared_bases, write_scan
from genocontrast.genome import Genome
from genocontrast.genome.splits import Splits
from genocontrast.sequence import decode, encode

WIDTH, STRIDE = 40, 8
WORD = "GATTACACCA"


@pytest.fixture
def planted(tmp_path, make_examples):
    """Chromosomes t (training), v (validation) and c (test) with a word at each start site, and a run of N in c."""
    rng = np.random.default_rng(1)
    sites = {"t": range(200, 5000, 200), "v": [15, *range(300, 3900, 300), 3985], "c": [15, 700, 745, 2000, 2600, 3985]}
    letters = {}
    for chrom, size in (("t", 5000), ("v", 4000), ("c", 4000)):
        codes = rng.integers(0, 4, size).astype(np.uint8)
        for at in sites[chrom]:
            codes[at - 5 : at + 5] = encode(WORD)
        letters[chrom] = codes
    letters["c"][1000:1600] = 4
    fasta = tmp_path / "genome.fa"
    fasta.write_text("".join(f">{chrom}\n{decode(codes)}\n" for chrom, codes in letters.items()))
    segments = [("t", 0, 5000, "train"), ("v", 0, 4000, "validation"), ("c", 0, 4000, "test")]
    splits = Splits(pd.DataFrame(segments, columns=["chrom", "start", "end", "split"]))
    rows = [(chrom, at, at + 1) for chrom, places in sites.items() for at in places]
    examples = make_examples({"train": 20, "validation": 10, "test": 10}, WIDTH).assign(chrom="t")
    return Genome(fasta), splits, pd.DataFrame(rows, columns=["chrom", "start", "end"]), examples


NOTHING = pd.DataFrame({"chrom": [], "start": [], "end": []}).astype({"start": "int64", "end": "int64"})


def test_windows_and_their_scores_are_those_of_a_plain_loop(planted, known_model, near_centre, monkeypatch):
    genome = planted[0]
    score = near_centre(WORD)
    segments = pd.DataFrame({"chrom": ["c", "c", "v"], "start": [0, 1572, 3970], "end": [1001, 4000, 4000]})
    expected = []
    for chrom, start, end in segments.itertuples(index=False):
        rows = []
        for at in range(start, end - WIDTH + 1, STRIDE):
            codes = genome.chromosome(chrom)[at : at + WIDTH]
            rows.append(np.nan if (codes == 4).mean() > 0.5 else score(codes[None])[0])
        expected.append(rows)
    for chunk in (1, 7 * WIDTH, 1 << 20):
        monkeypatch.setattr("genocontrast.evaluation.genome_scan.CHUNK", chunk)
        tracks = scan(score, genome, segments, WIDTH, STRIDE)
        for track, rows in zip(tracks, expected, strict=True):
            np.testing.assert_allclose(track.scores, rows)
    assert [len(rows) for rows in expected] == [121, 299, 0]
    assert np.isnan(expected[1][0])
    assert np.isfinite(expected[0][-1])


def calls_by_hand(scores, apart):
    """Maxima, plateaus by their middle, then the highest first; heights are all different, or -inf."""
    heights = [-np.inf, *np.where(np.isnan(scores), -np.inf, scores), -np.inf]
    peaks = []
    for height, run in itertools.groupby(range(1, len(heights) - 1), key=lambda at: heights[at]):
        run = list(run)
        if heights[run[0] - 1] < height > heights[run[-1] + 1]:
            peaks.append((height, (run[0] + run[-1]) // 2))
    kept = []
    for _, at in sorted(peaks, reverse=True):
        if all(abs(at - other) >= apart for other in kept):
            kept.append(at)
    return sorted(at - 1 for at in kept)


@settings(max_examples=40)
@given(
    arrays(np.float64, st.integers(0, 40), elements=st.integers(0, 1000).map(lambda value: value / 1000), unique=True),
    st.lists(st.integers(0, 39), max_size=6),
    st.integers(4, 30),
    st.integers(1, 12),
)
def test_calls_are_maxima_of_which_the_highest_come_first(scores, unknown, width, stride):
    scores = scores.copy()
    scores[[at for at in unknown if at < len(scores)]] = np.nan
    stride = min(stride, width)
    calls = find_calls([Track("c", 100, scores, stride, width)])
    rows = calls_by_hand(scores, -(-width // stride))
    assert calls["start"].tolist() == [100 + stride * row for row in rows]
    assert calls["position"].tolist() == [100 + stride * row + width // 2 for row in rows]
    assert (calls["end"] - calls["start"]).eq(width).all()
    assert calls["score"].tolist() == scores[rows].tolist()
    assert (np.diff(calls["start"]) >= width).all()


def test_the_first_and_the_last_window_can_be_calls_and_a_plateau_is_called_in_its_middle():
    calls = find_calls([Track("c", 0, np.array([0.9, 0.1, 0.5, 0.5, 0.5, 0.1, 0.8]), 10, 20)])
    assert calls["start"].tolist() == [0, 30, 60]


@settings(max_examples=20)
@given(st.permutations(range(40)), st.integers(1, 5))
def test_calls_at_a_threshold_are_those_of_the_scores_above_it(order, apart):
    """So that one pass gives the whole curve."""
    scores = np.array(order, np.float64)
    every = find_calls([Track("c", 0, scores, 1, apart)])
    for threshold in range(0, 40, 7):
        above = find_calls([Track("c", 0, np.where(scores >= threshold, scores, np.nan), 1, apart)])
        assert above["start"].tolist() == every.loc[every["score"] >= threshold, "start"].tolist()


sites_and_calls = st.tuples(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 120)), max_size=12),
    st.lists(st.tuples(st.sampled_from("abd"), st.integers(0, 120), st.integers(0, 9)), max_size=14),
    st.integers(0, 25),
)


@settings(max_examples=60)
@given(sites_and_calls)
def test_recall_precision_and_false_positives_are_those_of_brute_force(drawn):
    places, called, tolerance = drawn
    segments = pd.DataFrame({"chrom": ["a", "a", "b", "c"], "start": [0, 60, 10, 0], "end": [50, 100, 110, 121]})
    listed = pd.DataFrame(places, columns=["chrom", "start"]).astype({"chrom": object, "start": "int64"})
    sites = loci(listed, segments, tolerance)
    inside = [
        [at for at in sorted({at for name, at in places if name == chrom}) if start <= at < end]
        for chrom, start, end in segments.itertuples(index=False)
    ]
    groups = []
    for (chrom, _, _), members in zip(segments.itertuples(index=False), inside, strict=True):
        for number, at in enumerate(members):
            if number and at - members[number - 1] <= tolerance:
                groups[-1][1].append(at)
            else:
                groups.append((chrom, [at]))
    assert sites["locus"].nunique() == len(groups)
    calls = pd.DataFrame(sorted(set(called)), columns=["chrom", "position", "score"])
    calls = calls.astype({"chrom": object, "position": "int64", "score": "float64"})
    made, seen = match_calls(calls, sites, tolerance)
    every = [(chrom, at) for chrom, members in groups for at in members]
    for row in made.itertuples():
        away = [abs(row.position - at) for chrom, at in every if chrom == row.chrom]
        assert row.distance == min(away, default=np.inf)
    curve = scan_curve(made, seen, 2.0)
    assert curve["threshold"].tolist() == sorted(set(calls["score"]), reverse=True)
    for threshold in (*curve["threshold"], 100.0):
        reached = [(row.chrom, row.position) for row in calls.itertuples() if row.score >= threshold]
        right = [any(c == chrom and abs(p - at) <= tolerance for chrom, at in every) for c, p in reached]
        found = [
            any(c == chrom and abs(p - at) <= tolerance for c, p in reached for at in members)
            for chrom, members in groups
        ]
        figures = at_threshold(made, seen, 2.0, threshold)
        assert figures["calls"] == len(reached)
        assert figures["false_positives_per_mb"] == right.count(False) / 2
        assert (figures["recall"] or {}).get("value") == (sum(found) / len(found) if found else None)
        assert (figures["precision"] or {}).get("value") == (sum(right) / len(right) if right else None)
        point = curve[curve["threshold"] == threshold]
        if len(point):
            assert point["recall"].item() == (sum(found) / len(found) if found else 0)
            assert point["precision"].item() == sum(right) / len(right)
            assert point["false_positives_per_mb"].item() == right.count(False) / 2


def test_distances_are_summed_up():
    found = distances(pd.DataFrame({"distance": [0.0, 60.0, 60.0, 9000.0, np.inf]}))
    assert found["median"] == 60
    assert found["histogram"]["calls"] == [1, 2, 0, 0, 0, 0, 0, 0, 1]
    assert found["without_site_on_chromosome"] == 1
    assert distances(pd.DataFrame({"distance": []}))["median"] is None


def test_planted_sites_are_all_found_and_nothing_else(planted, known_model, near_centre):
    genome, splits, sites, examples = planted
    marks = Landmarks(sites, NOTHING, NOTHING)
    model = known_model(near_centre(WORD), WIDTH)
    found, calls, _ = scan_splits(model, examples, genome, splits, marks, STRIDE, 20, seed=1)
    ours = found["scorers"][0]
    assert (found["sites"], found["loci"]) == (6, 6)
    assert found["megabases"] == 0.0034
    assert ours["recall"]["value"] == ours["precision"]["value"] == 1
    assert ours["false_positives"] == 0
    assert len(calls) == 6
    assert ours["distance"]["quantiles"]["0.9"] <= STRIDE
    assert (np.abs(calls["position"].to_numpy() - [15, 700, 745, 2000, 2600, 3985]) <= 10).all()
    assert not ((calls["start"] >= 1000) & (calls["end"] <= 1600)).any()
    names = [each["name"] for each in found["scorers"]]
    assert names == ["model", "4-mer", "random positions"]
    assert found["scorers"][-1]["calls"] == ours["calls"]
    assert found["scorers"][-1]["recall"]["value"] < 1
    assert ours["open_chromatin"] is None
    json.dumps(found, allow_nan=False)


def test_wrong_calls_are_counted_and_those_on_other_evidence_named(planted, known_model, near_centre):
    genome, splits, sites, examples = planted
    known = sites[~sites["start"].isin([2000, 2600])]  # the word stands there all the same
    evidence = pd.DataFrame({"chrom": ["c"], "start": [1950], "end": [2050]})
    peaks = pd.DataFrame({"chrom": ["c", "c", "v"], "start": [600, 650, 0], "end": [800, 750, 4000]})
    model = known_model(near_centre(WORD), WIDTH)
    found, *_ = scan_splits(model, examples, genome, splits, Landmarks(known, evidence, peaks), STRIDE, 60, seed=1)
    ours = found["scorers"][0]
    assert (found["sites"], found["loci"]) == (4, 3)  # 700 and 745 are one locus at a tolerance of 60 bp
    assert (ours["calls"], ours["false_positives"], ours["false_positives_on_other_evidence"]) == (6, 2, 1)
    assert ours["false_positives_per_mb"] == pytest.approx(2 / 0.0034)
    inside = ours["open_chromatin"]
    assert (inside["calls"], inside["loci"], inside["false_positives"], inside["megabases"]) == (2, 1, 0, 0.0002)


def test_a_model_of_one_strand_is_scanned_on_both(planted, known_model):
    genome, splits, sites, examples = planted

    def forward_only(codes):
        return (codes[:, :10] == encode(WORD)).all(1) * 1.0

    model = known_model(forward_only, WIDTH, "free")
    *_, tracks = scan_splits(model, examples, genome, splits, Landmarks(sites, NOTHING, NOTHING), 1, 20, seed=1)
    reached = np.flatnonzero(tracks[0].scores > 0)
    assert set(tracks[0].scores[reached]) == {0.5}


def test_random_positions_know_nothing_of_the_scores():
    tracks = [Track("c", 0, np.where(np.arange(2000) % 7 == 3, np.nan, 1.0), 5, 20)]
    one, two, other = (random_tracks(tracks, seed)[0].scores for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert (np.isnan(one) == np.isnan(tracks[0].scores)).all()
    assert not np.array_equal(one[0], other[0])
    assert np.nanmean(one) == pytest.approx(0.5, abs=0.05)


def test_thresholds():
    curve = pd.DataFrame({"threshold": [0.9, 0.8, 0.6], "f1": [0.2, 0.7, 0.5]})
    assert best_f1(curve) == pytest.approx(0.7)
    assert best_f1(curve[:0]) == np.inf
    calls = pd.DataFrame({"score": [0.1, 0.9, 0.5]})
    assert [nth_score(calls, count) for count in (0, 1, 2, 9)] == [np.inf, 0.9, 0.5, 0.1]
    assert (
        thinned(scan_curve(calls.assign(hit=True), pd.DataFrame({"locus": [], "best": []}), 1.0))["recall"] == [0] * 3
    )


def test_a_large_validation_split_is_cut():
    segments = pd.DataFrame({"chrom": ["a", "b", "c"], "start": [10, 0, 0], "end": [60, 100, 5]})
    assert leading(segments, 80).to_numpy().tolist() == [["a", 10, 60], ["b", 0, 30]]
    assert leading(segments, 50).to_numpy().tolist() == [["a", 10, 60]]
    assert leading(segments, 1000).equals(segments)


def test_bases_that_regions_and_segments_share():
    regions = pd.DataFrame({"chrom": ["a", "a", "b"], "start": [0, 50, 0], "end": [20, 80, 10]})
    segments = pd.DataFrame({"chrom": ["a", "a", "c"], "start": [10, 60, 0], "end": [30, 100, 50]})
    assert shared_bases(regions, segments) == 10 + 20


def test_the_track_has_each_score_around_its_windows_centre(tmp_path):
    scores = np.array([0.25, np.nan, 0.5, 0.75])
    tracks = [Track("b", 100, scores, 10, 40), Track("a", 0, np.full(3, np.nan), 10, 40)]
    write_bigwig(tmp_path / "x.bw", tracks, {"a": 500, "b": 1000})
    with pyBigWig.open(str(tmp_path / "x.bw")) as file:
        assert file.chroms() == {"a": 500, "b": 1000}
        assert file.intervals("b") == ((115, 125, 0.25), (135, 145, 0.5), (145, 155, 0.75))
    assert [path.name for path in tmp_path.iterdir()] == ["x.bw"]


def config_of(genome, **evaluation):
    files = {"fasta": str(genome.path), "promoters": "p.bed", "signal": ["s.bw"], "upstream": 30, "downstream": 20}
    return parse_config({"name": "x", "genome": files, "evaluation": evaluation})


def test_the_stage_writes_scan_and_removes_it_where_none_is_wanted(planted, tmp_path, known_model, near_centre):
    genome, splits, sites, examples = planted
    results = tmp_path / "results"
    write_json(results / "genome/genome.json", {"segments": splits.records()})
    write_parquet(results / "genome/evidence.parquet", sites.assign(source="x", kind="tss"))
    write_parquet(results / "genome/open_chromatin.parquet", NOTHING)
    folder, model = results / "evaluation", known_model(near_centre(WORD), WIDTH)
    write_scan(folder, model, examples, genome, config_of(genome), {"stage": "evaluation"})
    assert sorted(path.name for path in folder.iterdir()) == ["scan.bed", "scan.bw", "scan.json"]
    found = read_json(folder / "scan.json")
    assert (found["run"], found["stride"], found["tolerance"]) == (True, 8, 30)
    bed = pd.read_csv(folder / "scan.bed", sep="\t", header=None)
    assert len(bed) == found["scorers"][0]["calls"] == 6
    assert bed[4].between(700, 1000).all()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_scan(folder, model, examples, genome, config_of(genome), {"stage": "evaluation"})
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}
    write_scan(folder, model, examples, genome, config_of(genome, scan=False), {})
    assert [path.name for path in folder.iterdir()] == ["scan.json"]
    assert read_json(folder / "scan.json")["run"] is False


def test_a_split_without_start_sites_is_named(planted, known_model, near_centre):
    genome, splits, sites, examples = planted
    marks = Landmarks(sites[sites["chrom"] != "v"], NOTHING, NOTHING)
    with pytest.raises(SplitError, match="validation"):
        scan_splits(known_model(near_centre(WORD), WIDTH), examples, genome, splits, marks, STRIDE, 20, 1)


def test_strides():
    assert [default_stride(width) for width in (50, 250, 3)] == [10, 50, 1]
    with pytest.raises(ConfigError, match=r"scan_stride is 60 bp and a window 50 bp"):
        parse_config(
            {
                "name": "x",
                "genome": {"fasta": "g", "promoters": "p", "signal": ["s"], "upstream": 30, "downstream": 20},
                "evaluation": {"scan_stride": 60},
            }
        )
