import filecmp
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
import pysam
import pytest
from scipy.spatial import cKDTree
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genocontrast.errors import ConfigError
from genocontrast.genome import grammar
from genocontrast.genome.grammar import GRAMMAR, IMPROPER, OTHER, PROPER, Arrangements
from genocontrast.genome.simulate import simulate
from genocontrast.genome.sites import MATRICES, MOTIFS, information, matrices, place_sites, sharpen
from genocontrast.sequence import cpg_ratio, encode, gc_fraction, reverse_complement

FILES = [
    "atac_rep1.bw",
    "atac_rep2.bw",
    "blacklist.bed",
    "elements.tsv",
    "genes.gtf",
    "genome.fa.gz",
    "genome.fa.gz.fai",
    "genome.fa.gz.gzi",
    "peaks.narrowPeak",
    "sites.tsv",
]
WIDTH = 300


@dataclass
class World:
    folder: Path
    elements: pd.DataFrame
    sites: pd.DataFrame
    raw: dict[str, str]
    codes: dict[str, np.ndarray]

    @property
    def promoter(self):
        return (self.elements["class"] == "promoter").to_numpy()

    def windows(self):
        """Windows as the pipeline cuts them: TSS-200..TSS+100 on the promoter's strand; around a decoy's summit."""
        elements = self.elements
        at_tss = np.where(elements["strand"] == "+", elements["tss"] - 200, elements["tss"] - 99)
        start = np.where(self.promoter, at_tss, elements["summit"] - WIDTH // 2)
        return np.stack([self.codes[c][s : s + WIDTH] for c, s in zip(elements["chrom"], start, strict=True)]), start

    def cuts(self, replicate, start):
        with pyBigWig.open(str(self.folder / f"atac_rep{replicate}.bw")) as handle:
            values = {c: np.nan_to_num(handle.values(c, 0, len(s), numpy=True)) for c, s in self.codes.items()}
        return np.array([values[c][s : s + WIDTH].sum() for c, s in zip(self.elements["chrom"], start, strict=True)])


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated") / "genome"
    simulate(folder, seed=5, megabases=4.0)
    with pysam.FastaFile(str(folder / "genome.fa.gz")) as handle:
        raw = {name: handle.fetch(name) for name in handle.references}
    return World(
        folder,
        pd.read_csv(folder / "elements.tsv", sep="\t"),
        pd.read_csv(folder / "sites.tsv", sep="\t"),
        raw,
        {name: encode(sequence) for name, sequence in raw.items()},
    )


@pytest.fixture(scope="module")
def matched(world):
    """Pairs (promoter, decoy) by greedy nearest matching on GC, CpG and accessibility; and their windows."""
    windows, start = world.windows()
    accessibility = np.log1p((world.cuts(1, start) + world.cuts(2, start)) / 2)
    covariates = np.stack([gc_fraction(windows), cpg_ratio(windows), accessibility], axis=1)
    promoters, decoys = np.flatnonzero(world.promoter), np.flatnonzero(~world.promoter)
    scaled = covariates / covariates[promoters].std(0)
    distance, nearest = cKDTree(scaled[decoys]).query(scaled[promoters], k=300)
    used, pairs = set(), []
    for i in np.random.default_rng(0).permutation(len(promoters)):
        free = [j for d, j in zip(distance[i], nearest[i], strict=True) if d <= 0.5 and j not in used]
        if free:
            used.add(free[0])
            pairs.append((promoters[i], decoys[free[0]]))
    return np.array(pairs), windows, covariates


def auroc(promoters, decoys):
    return roc_auc_score(np.repeat([1, 0], [len(promoters), len(decoys)]), np.concatenate([promoters, decoys]))


def standardised_difference(one, other):
    return (one.mean() - other.mean()) / np.sqrt((one.var() + other.var()) / 2)


def canonical_kmers(windows, k):
    powers = 4 ** np.arange(k)[::-1]
    forward = np.lib.stride_tricks.sliding_window_view(windows, k, axis=1).astype(np.int64)
    ids = np.minimum(forward @ powers, (3 - forward[..., ::-1]) @ powers)
    return np.stack([np.bincount(row, minlength=4**k) for row in ids])


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        simulate(tmp_path / name, seed=seed, megabases=1.0)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == FILES
    assert filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", FILES, shallow=False)[0] == FILES
    same = filecmp.cmpfiles(tmp_path / "a", tmp_path / "c", FILES, shallow=False)[0]
    assert set(same) <= {"genome.fa.gz.fai"}  # sizes of chromosomes do not depend on the seed


def test_a_genome_too_small_is_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(ConfigError, match="at least 1 Mb"):
        simulate(tmp_path / "small", seed=1, megabases=0.2)
    assert list(tmp_path.iterdir()) == []


def test_elements_are_whole_disjoint_and_far_enough_apart(world):
    for chrom, rows in world.elements.groupby("chrom"):
        assert (rows["end"] - rows["start"] == WIDTH).all()
        assert (rows["start"].to_numpy()[1:] > rows["end"].to_numpy()[:-1] + 350).all()
        for start, end in zip(rows["start"], rows["end"], strict=True):
            assert (world.codes[chrom][start:end] < 4).all()


def test_numbers_grow_with_the_genome_and_every_chromosome_has_enough_decoys(world):
    counts = world.elements.groupby(["chrom", "class"]).size().unstack()
    assert counts["promoter"].sum() == pytest.approx(1600, rel=0.02)
    assert (counts["distal"] > 1.6 * counts["promoter"]).all()
    assert len(counts) == 9
    assert set(world.elements.groupby("class")["strand"].value_counts(normalize=True).round(1)) == {0.5}


def test_intact_sites_score_high_by_their_matrix_on_the_recorded_strand(world):
    other_strand = {}
    for motif, rows in world.sites.groupby("motif"):
        matrix = matrices()[motif]
        odds = np.log2((matrix + 0.01) / 1.04 / 0.25)  # written out here: the score of an ordinary scan
        found = np.stack(
            [world.codes[c][s:e] for c, s, e in zip(rows["chrom"], rows["start"], rows["end"], strict=True)]
        )
        found = np.where((rows["strand"] == "-").to_numpy()[:, None], reverse_complement(found), found)
        score = odds[np.arange(len(odds)), found].sum(1) / odds.max(1).sum()
        intact = rows["intact"].to_numpy() == 1
        assert (rows["matrix_id"] == MATRICES[motif]).all()
        assert score[intact].mean() > 0.75, motif
        assert (score[intact] >= GRAMMAR.site_score).all(), motif
        assert score[~intact].mean() < score[intact].mean() - 0.25, motif
        reverse = odds[np.arange(len(odds)), reverse_complement(found)].sum(1) / odds.max(1).sum()
        other_strand[motif] = reverse[intact].mean() - score[intact].mean()
    directed = {pair_site for pair in GRAMMAR.pairs for pair_site in _directed(pair)}
    assert all(other_strand[motif] < -0.5 for motif in directed)
    assert world.sites["intact"].mean() == pytest.approx(1 - GRAMMAR.decay, abs=0.01)


def _directed(pair):
    return [name for name, strand in zip((pair.first, pair.second), pair.strands, strict=True) if strand != "."]


def test_sites_lie_within_their_element_and_do_not_overlap(world):
    merged = world.sites.merge(world.elements, left_on="element", right_on="name", suffixes=("", "_element"))
    assert len(merged) == len(world.sites)
    assert (merged["start"] >= merged["start_element"]).all()
    assert (merged["end"] <= merged["end_element"]).all()
    for _, rows in world.sites.groupby("chrom"):
        assert (rows["start"].to_numpy()[1:] >= rows["end"].to_numpy()[:-1]).all()


def test_a_proper_tata_box_stands_where_it_should(world):
    """Hand geometry: TATAAAA, 22 bp, then an initiator whose third base is the start; on the gene's strand."""
    proper = world.sites[world.sites["arrangement"] == "proper"]
    seen = 0
    for _, rows in proper[proper["motif"].isin(["TATA", "Inr"])].groupby("element"):
        sites = rows.set_index("motif")
        if len(sites) != 2:
            continue
        tata, inr, seen = sites.loc["TATA"], sites.loc["Inr"], seen + 1
        assert tata["strand"] == inr["strand"]
        gap = inr["start"] - tata["end"] if inr["strand"] == "+" else tata["start"] - inr["end"]
        assert 21 <= gap <= 23
    assert seen > 300
    inr = world.sites[world.sites["motif"] == "Inr"].merge(
        world.elements[world.promoter], left_on="element", right_on="name", suffixes=("", "_element")
    )
    # an initiator that points the wrong way still covers the start, with another of its bases
    start = np.where(inr["strand_element"] == "+", inr["start"] + 2, inr["end"] - 3)
    offset = start - inr["tss"]
    assert abs(offset.mean()) < 1
    assert 3 < offset.std() < 7


def test_decoys_hold_no_start_and_summits_keep_their_distance(world):
    for chrom, rows in world.elements.groupby("chrom"):
        tss = np.sort(rows.loc[rows["class"] == "promoter", "tss"].to_numpy())
        distal = rows[rows["class"] == "distal"]
        assert (distal["tss"] == -1).all()
        distance = np.abs(distal["summit"].to_numpy()[:, None] - tss).min(1)
        assert distance.min() >= 650, chrom  # so that the window stays clear of the start by 500 bp


def test_annotation_agrees_with_the_starts(world):
    gtf = pd.read_csv(
        world.folder / "genes.gtf",
        sep="\t",
        comment="#",
        names=["chrom", "source", "feature", "start", "end", "score", "strand", "frame", "attributes"],
    )
    assert (gtf["start"] <= gtf["end"]).all()
    assert (gtf["end"] <= gtf["chrom"].map({c: len(s) for c, s in world.codes.items()})).all()
    transcripts = gtf[gtf["feature"] == "transcript"]
    five_prime = np.where(transcripts["strand"] == "+", transcripts["start"], transcripts["end"]) - 1
    annotated = set(zip(transcripts["chrom"], five_prime, transcripts["strand"], strict=True))
    promoters = world.elements[world.promoter]
    assert annotated == set(zip(promoters["chrom"], promoters["tss"], promoters["strand"], strict=True))
    genes = (gtf["feature"] == "gene").sum()
    assert genes == len(promoters)
    assert 1.2 * genes < len(transcripts) < 1.4 * genes
    exons = gtf[gtf["feature"] == "exon"].copy()
    exons["id"] = exons["attributes"].str.extract(r'transcript_id "([^"]+)"')
    transcripts = transcripts.assign(id=transcripts["attributes"].str.extract(r'transcript_id "([^"]+)"')).set_index(
        "id"
    )
    bounds = exons.groupby("id").agg(start=("start", "min"), end=("end", "max"))
    assert (bounds["start"] == transcripts["start"].reindex(bounds.index)).all()
    assert (bounds["end"] == transcripts["end"].reindex(bounds.index)).all()
    assert set(bounds.index) == set(transcripts.index)


def test_peaks_cover_the_elements_and_false_ones_are_blacklisted(world):
    peaks = pd.read_csv(world.folder / "peaks.narrowPeak", sep="\t", header=None)
    blacklist = pd.read_csv(world.folder / "blacklist.bed", sep="\t", header=None)
    summit = peaks[1] + peaks[9]
    assert ((peaks[1] >= 0) & (summit < peaks[2])).all()
    planted = set(zip(world.elements["chrom"], world.elements["summit"], strict=True))
    is_planted = np.array([key in planted for key in zip(peaks[0], summit, strict=True)])
    assert is_planted.sum() == len(planted)
    for chrom, at in zip(peaks.loc[~is_planted, 0], summit[~is_planted], strict=True):
        assert ((blacklist[0] == chrom) & (blacklist[1] <= at) & (at < blacklist[2])).any()
    assert (~is_planted).sum() == len(blacklist) > 0


def test_replicates_show_the_openness_of_elements_with_independent_noise(world):
    _, start = world.windows()
    one, two = (np.log1p(world.cuts(replicate, start)) for replicate in (1, 2))
    assert np.corrcoef(one, world.elements["openness"])[0, 1] > 0.9
    assert 0.01 < (one - two).std() < 0.3
    between = world.elements["start"].to_numpy() + 370  # past the peak, before the next one
    assert np.median(world.cuts(1, between)) < 0.5 * np.median(np.exp(one))


def test_background_has_isochores_repeats_gaps_and_few_cpg(world):
    gc, cpg = [], []
    for name, codes in world.codes.items():
        outside = np.ones(len(codes), dtype=bool)
        for at in world.elements.loc[world.elements["chrom"] == name, "start"]:
            outside[max(at - 160, 0) : at + 460] = False
        lower = np.array([letter.islower() for letter in world.raw[name]])
        assert 0.15 < lower.mean() < 0.35
        assert 0.001 < (codes == 4).mean() < 0.2
        background = np.where(outside & ~lower, codes, 4).astype(np.uint8)
        gc += [gc_fraction(background[i : i + 150_000]) for i in range(0, len(codes) - 150_000, 150_000)]
        cpg.append(cpg_ratio(background))
    assert max(cpg) < 0.45
    assert max(gc) - min(gc) > 0.06


def test_classes_overlap_in_gc_and_openness_but_differ_before_matching(world, matched):
    pairs, _, covariates = matched
    promoter = world.promoter
    for column in range(3):
        values = covariates[:, column]
        before = standardised_difference(values[promoter], values[~promoter])
        after = standardised_difference(values[pairs[:, 0]], values[pairs[:, 1]])
        assert 0.2 < before < 0.6
        assert abs(after) < 0.1
    assert len(pairs) >= 0.8 * promoter.sum()


def test_the_likelihood_ratio_is_that_of_the_definition():
    """Each slot, state, kind and violation written out for single elements, without arrays."""
    rng = np.random.default_rng(0)
    kinds = GRAMMAR.promoter_kinds + GRAMMAR.distal_kinds
    states = np.array([kind.states for kind in kinds])[rng.integers(0, len(kinds), 400)]
    drawn = grammar.draw_arrangements(states, rng)
    expected = [_log_ratio(drawn, i) for i in range(400)]
    np.testing.assert_allclose(grammar.log_likelihood_ratio(drawn), expected, rtol=1e-9)


def _log_ratio(drawn, i):
    likelihood = []
    for kinds in (GRAMMAR.promoter_kinds, GRAMMAR.distal_kinds):
        total = 0.0
        for kind in kinds:
            product = kind.weight
            for slot in range(drawn.pair.shape[1]):
                if drawn.pair[i, slot] >= 0:
                    given = [_given_state(drawn, i, slot, state) for state in (PROPER, IMPROPER, OTHER)]
                    product *= sum(p * q for p, q in zip(kind.states, given, strict=True))
            total += product
        likelihood.append(total)
    return np.log(likelihood[0] / likelihood[1])


def _given_state(drawn, i, slot, state):
    pair, gap = GRAMMAR.pairs[drawn.pair[i, slot]], int(drawn.gap[i, slot])
    if drawn.state[i, slot] == OTHER or state == OTHER:
        return float(drawn.state[i, slot] == state)
    usual = dict(zip(range(pair.gap - 1, pair.gap + 2), GRAMMAR.gap_weights, strict=True)).get(gap, 0.0)
    swapped, flipped = bool(drawn.swapped[i, slot]), int(drawn.flipped[i, slot])
    if state == PROPER:
        return 0.0 if swapped or flipped >= 0 else usual
    if swapped:
        return usual / 3
    if flipped >= 0:
        return usual / 3 / len(_directed(pair))
    low, high = pair.gaps
    return 1 / 3 / (high - low + 1) if low <= gap <= high else 0.0


def test_the_likelihood_ratio_is_calibrated():
    """Bayes: with equal priors, the fraction of promoters among elements of a ratio r is r / (1 + r)."""
    rng = np.random.default_rng(1)
    ratios, labels = [], []
    for label, kinds in ((1, GRAMMAR.promoter_kinds), (0, GRAMMAR.distal_kinds)):
        kind = grammar.draw_kinds(kinds, 20_000, rng)
        drawn = grammar.draw_arrangements(np.array([k.states for k in kinds])[kind], rng)
        ratios.append(grammar.log_likelihood_ratio(drawn))
        labels.append(np.full(20_000, label))
    probability, label = 1 / (1 + np.exp(-np.concatenate(ratios))), np.concatenate(labels)
    for low in np.arange(0, 1, 0.2):
        here = (probability >= low) & (probability < low + 0.2)
        assert label[here].mean() == pytest.approx(probability[here].mean(), abs=0.035)
    assert 0.90 < roc_auc_score(label, probability) < 0.97


def test_arrangements_that_look_alike_have_the_same_ratio():
    """A wrong spacing that happens to be a proper one cannot be told from it, so the oracle must not."""
    pair = np.array([[2, -1, -1, -1]])
    no, none, gap = np.zeros((1, 4), bool), np.full((1, 4), -1), np.full((1, 4), GRAMMAR.pairs[2].gap)
    ratios = [
        grammar.log_likelihood_ratio(Arrangements(pair, np.full((1, 4), state), no, none, gap))[0]
        for state in (PROPER, IMPROPER)
    ]
    assert ratios[0] == ratios[1] > 0


def test_the_oracle_is_good_but_not_perfect(world, matched):
    pairs, _, _ = matched
    ratio = world.elements["log_likelihood_ratio"].to_numpy()
    assert 0.90 < auroc(ratio[world.promoter], ratio[~world.promoter]) < 0.97
    assert 0.90 < auroc(ratio[pairs[:, 0]], ratio[pairs[:, 1]]) < 0.97
    # graded, not noise on labels alone: most promoters lie where decoys lie too, at many levels
    assert len(np.unique(ratio.round(3))) > 200


def test_shortcuts_fail_on_matched_pairs(world, matched):
    pairs, windows, covariates = matched
    for column in range(3):
        values = covariates[:, column]
        assert 0.45 < auroc(values[pairs[:, 0]], values[pairs[:, 1]]) < 0.55
    ratio = world.elements["log_likelihood_ratio"].to_numpy()
    held_out = world.elements["chrom"].isin(["chr1", "chr4"]).to_numpy()[pairs[:, 0]]
    test = held_out & world.elements["chrom"].isin(["chr1", "chr4"]).to_numpy()[pairs[:, 1]]
    train = ~held_out & ~world.elements["chrom"].isin(["chr1", "chr4"]).to_numpy()[pairs[:, 1]]
    counts = canonical_kmers(windows, 4)
    model = make_pipeline(StandardScaler(with_std=True), LogisticRegression(C=0.01, max_iter=500))
    model.fit(counts[pairs[train].ravel()], np.tile([1, 0], train.sum()))
    score = model.decision_function(counts)
    one, other = pairs[test].T
    oracle = auroc(ratio[one], ratio[other])
    assert auroc(score[one], score[other]) < oracle - 0.15
    shuffled = (world.elements["grammar"] == "shuffled").to_numpy()[other]
    assert 0.4 < auroc(score[one], score[other[shuffled]]) < 0.6
    assert 0.4 < shuffled.mean() < 0.7


def test_shuffled_decoys_hold_the_motifs_of_promoters(world):
    """The same number of sites of each motif, of elements with each pair; only arrangements differ."""
    sites = world.sites.merge(world.elements[["name", "grammar"]], left_on="element", right_on="name")
    per_element = sites.groupby(["grammar", "motif"]).size() / world.elements["grammar"].value_counts()
    typical, shuffled = per_element["typical"], per_element["shuffled"]
    for motif in {site for pair in GRAMMAR.pairs for site in (pair.first, pair.second)}:
        assert typical[motif] == pytest.approx(shuffled[motif], abs=0.06), motif
    proper = sites.groupby("grammar")["arrangement"].apply(lambda states: (states == "proper").mean())
    assert proper["typical"] > 0.85
    assert proper["shuffled"] < 0.15
    assert proper["other"] < 0.1


def test_no_arrangement_makes_sites_collide():
    """Every pair in every slot at its widest gap; neighbouring slots stay apart."""
    rng = np.random.default_rng(2)
    drawn = grammar.draw_arrangements(np.tile([0.0, 1.0, 0.0], (20_000, 1)), rng)
    sites = place_sites(drawn, rng)
    width = np.array([len(matrices()[name]) for name in MOTIFS])[sites.motif]
    order = np.lexsort([sites.offset, sites.element])
    element, begin, end = sites.element[order], sites.offset[order], (sites.offset + width)[order]
    neighbours = element[1:] == element[:-1]
    assert (begin[1:] >= end[:-1])[neighbours].all()
    assert begin.min() >= -200
    assert end.max() <= 100


def test_the_matrices_are_jaspar_and_their_release_is_recorded():
    text = resources.files("genocontrast").joinpath("resources/jaspar.meme").read_text()
    assert re.search(r"^# JASPAR20\d\d", text, flags=re.MULTILINE)
    assert set(MATRICES.values()) <= set(re.findall(r"^MOTIF (\S+)", text, flags=re.MULTILINE))
    for name, matrix in matrices().items():
        np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-9)
        assert information(sharpen(matrix, GRAMMAR.site_bits)) >= min(GRAMMAR.site_bits, information(matrix)), name
    assert "".join("ACGT"[i] for i in matrices()["TATA"].argmax(1)) == "TATAAAA"


def test_sharpening_keeps_a_matrix_that_is_sharp_enough():
    sharp, vague = np.array([[0.97, 0.01, 0.01, 0.01]]), np.array([[0.4, 0.3, 0.2, 0.1]])
    assert sharpen(sharp, 1.5) is sharp
    assert information(sharpen(vague, 1.5)) == pytest.approx(1.5, abs=1e-6)
    assert sharpen(vague, 1.5).argmax() == 0
