import json

import numpy as np
import pandas as pd
import pytest

from genocontrast.evaluation.cohesion import VIEWS, cohesion, composition_classes, relations
from genocontrast.evaluation.database import KnownMotif, read_motifs
from genocontrast.evaluation.kmer_sets import KmerSet, best_shares, distinct, motif_kmers, site_kmers
from genocontrast.evaluation.kmer_similarity import cosine, edit_distance, ppmi_cosine, shares_overlap
from genocontrast.evaluation.kmer_space import Source, composition_of, kmer_space, why_not
from genocontrast.genome import Genome
from genocontrast.genome.regions import read_regions
from genocontrast.sequence import canonical_table, canonical_tokens, decode, encode, kmer_name, reverse_complement

K = 5
EVEN = np.full(4, 0.25)


def names_of(k):
    return [kmer_name(int(kmer), k) for kmer in canonical_table(k)[1]]


def mirrored(name):
    return decode(reverse_complement(encode(name)))


def token(name):
    return int(canonical_tokens(encode(name), len(name))[0])


def column(**share):
    rest = (1 - sum(share.values())) / (4 - len(share)) if len(share) < 4 else 0
    return [share.get(base, rest) for base in "ACGT"]


def exactly(letters):
    return np.array([column(**{letter: 1.0}) for letter in letters])


def planted_sets(rng, classes, n_sets=6, size=8):
    """Random sets of tokens that share none."""
    return list(rng.choice(np.flatnonzero(classes >= 0), (n_sets, size), replace=False))


def vectors_with(rng, sets, n_tokens, dim=16, spread=0.2):
    """Random vectors, but the members of a set lie around one centre."""
    vectors = rng.normal(size=(n_tokens, dim))
    for members in sets:
        vectors[members] = rng.normal(size=dim) + spread * rng.normal(size=(len(members), dim))
    return vectors


@pytest.fixture(scope="module")
def classes():
    return composition_classes(K, np.full(len(names_of(K)), 7))


@pytest.fixture(scope="module")
def relation():
    return relations(K)


def levenshtein(one, other):
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        before, row = row, [i]
        for j, b in enumerate(other, start=1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b)))
    return row[-1]


@pytest.mark.parametrize("k", [3, 4, 5])
def test_edit_distance_is_that_of_a_plain_loop(k):
    found, names = edit_distance(k), names_of(k)
    rng = np.random.default_rng(0)
    for i, j in rng.integers(0, len(names), (400, 2)):
        expected = min(levenshtein(names[i], names[j]), levenshtein(names[i], mirrored(names[j])))
        assert found[i, j] == found[j, i] == expected
    assert (found.diagonal() == 0).all()


@pytest.mark.parametrize("least", [None, 2, 4])
def test_overlap_is_that_of_a_plain_loop(least):
    found, names = shares_overlap(K, least), names_of(K)
    shared = range(K - 2 if least is None else least, K)
    for i, one in enumerate(names[:80]):
        for j, other in enumerate(names):
            expected = any(
                one.endswith(turned[:n]) or one.startswith(turned[-n:])
                for turned in (other, mirrored(other))
                for n in shared
            )
            assert found[i, j] == found[j, i] == expected


def test_cosines_of_rows_of_zeros_are_zero():
    found = cosine([[1, 0], [2, 0], [0, 0], [0, -3]])
    np.testing.assert_allclose(found, [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]], atol=1e-6)


def test_rows_of_positive_mutual_information():
    rng = np.random.default_rng(1)
    pairs = rng.integers(0, 4, (12, 12)).astype(float)
    pairs += pairs.T
    share = pairs.sum(1) / pairs.sum()
    with np.errstate(divide="ignore"):
        rows = np.log(pairs / pairs.sum() / np.outer(share, share)).clip(min=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(ppmi_cosine(pairs), rows @ rows.T, atol=1e-5)


def test_members_of_a_hand_made_motif():
    # CACGT, then G more often than A, and a column that says nothing
    matrix = np.vstack([exactly("CACGT"), [column(G=0.6, A=0.38)], [EVEN]])
    shares = best_shares(matrix, 5, EVEN)
    assert shares[token("CACGT")] == pytest.approx(1)
    assert shares[token("ACGTG")] == shares[token("CACGT")]  # its reverse complement
    assert 0.9 < shares[token("ACGTA")] < 1
    assert shares[token("CACGA")] < 0.2
    members = motif_kmers([KnownMotif("M1", "E-box", matrix)], 5, EVEN)[0].tokens
    # the windows CACGT, ACGTR and CGTRN
    assert {names_of(5)[i] for i in members} == {
        min(name, mirrored(name)) for name in ("CACGT", "ACGTA", *(f"CGT{r}{n}" for r in "AG" for n in "ACGT"))
    }
    assert (np.diff(shares[members]) <= 0).all()


def test_a_motif_shorter_than_k_lies_anywhere_inside():
    shares = best_shares(exactly("CGCG"), 5, EVEN)
    inside = {name for name in names_of(5) if "CGCG" in name}
    assert {names_of(5)[i] for i in np.flatnonzero(shares >= 0.99)} == inside
    assert best_shares(exactly("CG"), 5, EVEN).max() == -np.inf  # 4 bits are too few for 5 bases


def test_a_motif_without_information_has_no_members():
    flat = KnownMotif("M", "flat", np.tile(EVEN, (8, 1)))
    assert len(motif_kmers([flat], 5, EVEN)[0].tokens) == 0


def test_small_and_repeated_sets_are_counted():
    sets = [
        KmerSet("a", "a", np.array([1, 2, 3, 4])),
        KmerSet("b", "b", np.array([5, 6])),
        KmerSet("c", "c", np.array([2, 3, 4, 9])),
        KmerSet("d", "d", np.array([4, 5, 6, 7])),
    ]
    kept, counts = distinct(sets)
    assert [one.name for one in kept] == ["a", "d"]
    assert counts == {"of": 4, "measured": 2, "too_few_kmers": 1, "repeated": 1}


def test_classes_agree_in_gc_and_cpg_and_in_frequency():
    rng = np.random.default_rng(2)
    occurrences = rng.integers(0, 50, len(names_of(6)))
    found, names = composition_classes(6, occurrences), names_of(6)
    table = pd.DataFrame({"of": found, "n": occurrences})
    table["gc"] = [sum(base in "GC" for base in name) for name in names]
    table["cpg"] = ["CG" in name for name in names]
    assert ((table["of"] < 0) == (table["n"] == 0)).all()
    seen = table[table["of"] >= 0]
    assert (seen.groupby("of")[["gc", "cpg"]].nunique() == 1).all(axis=None)
    for _, same in seen.groupby(["gc", "cpg"]):
        limits = same.groupby("of")["n"].agg(["min", "max"]).sort_values("min")
        assert (limits["max"].to_numpy()[:-1] <= limits["min"].to_numpy()[1:]).all()
        assert same["of"].nunique() == min(max(len(same) // 20, 1), 4)


def test_planted_sets_cohere(classes, relation):
    rng = np.random.default_rng(3)
    sets = planted_sets(rng, classes)
    found = cohesion(cosine(vectors_with(rng, sets, len(classes))), sets, classes, relation, 99, 1)
    assert np.nanmin(found.auroc[:, 0]) > 0.97
    assert (found.p[:, 0] == 0.01).all()
    assert found.pooled_p[0] == 0.01
    assert found.mean(0, 1).low > 0.97


def test_random_vectors_cohere_by_chance_only(classes, relation):
    figures, chances, pooled = [], [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        sets = planted_sets(rng, classes, n_sets=3)
        found = cohesion(cosine(rng.normal(size=(len(classes), 8))), sets, classes, relation, 99, seed)
        figures.append(found.auroc[:, 0])
        chances.append(found.p[:, 0])
        pooled.append(found.pooled_p[0])
    assert np.mean(figures) == pytest.approx(0.5, abs=0.02)
    p = np.concatenate(chances)
    assert 0.4 < p.mean() < 0.6
    assert 0.01 <= (p <= 0.1).mean() <= 0.19
    assert 0.35 < np.mean(pooled) < 0.65


def reference(similarity, members, classes, relation, view):
    """The figure by plain loops, and pairs without a control."""
    shares, without = [], 0
    for a in members:
        for b in members:
            if a == b or (view and relation[a, b] < 0):
                continue
            controls = [c for c in range(len(classes)) if classes[c] == classes[b] and c not in members]
            controls = [c for c in controls if not view or relation[a, c] >= 0]
            controls = [c for c in controls if view < 2 or relation[a, c] == relation[a, b]]
            if not controls:
                without += 1
                continue
            below = [
                (similarity[a, c] < similarity[a, b]) + (similarity[a, c] == similarity[a, b]) / 2 for c in controls
            ]
            shares.append(np.mean(below))
    return (np.mean(shares) if shares else np.nan), len(shares), without


@pytest.mark.parametrize("view", range(3))
def test_figures_are_those_of_plain_loops(classes, relation, view):
    rng = np.random.default_rng(4)
    sets = [*planted_sets(rng, classes, 3), np.array([token(name) for name in ("CACGT", "ACGTA", "CACGA", "AACGT")])]
    similarity = np.round(cosine(rng.normal(size=(len(classes), 3))), 1)  # with ties
    found = cohesion(similarity, sets, classes, relation, 9, 1)
    for i, members in enumerate(sets):
        auroc, pairs, without = reference(similarity, set(members.tolist()), classes, relation, view)
        assert found.auroc[i, view] == pytest.approx(auroc, nan_ok=True)
        assert (found.pairs[i, view], found.without_control[i, view]) == (pairs, without)


def test_at_the_same_edit_distance_the_letters_tell_nothing(classes, relation):
    sets = planted_sets(np.random.default_rng(5), classes)
    found = cohesion(-edit_distance(K).astype(np.float32), sets, classes, relation, 9, 1)
    assert found.auroc[:, 2] == pytest.approx(0.5)


def test_controls_have_exactly_the_gc_of_the_member(classes, relation):
    gc = np.array([sum(base in "GC" for base in name) for name in names_of(K)])
    similarity = np.where(gc[:, None] == gc, 1.0, 0.0)  # only composition: nearer is who has the same
    sets = [np.flatnonzero(gc == count)[:6] for count in (1, 2, 3)]
    found = cohesion(similarity, sets, classes, relation, 19, 1)
    assert found.auroc[:, 0] == pytest.approx(0.5)
    assert (found.p[:, 0] == 1).all()


def test_pairs_without_a_control_are_counted(relation):
    rare = np.arange(len(names_of(K)))  # everybody a composition of its own
    found = cohesion(np.eye(len(rare)), [np.array([1, 5, 9])], rare, relation, 9, 1)
    assert np.isnan(found.auroc[0]).all()
    assert found.pairs[0, 0] == 0
    assert found.without_control[0, 0] == 6
    assert np.isnan(found.pooled_p[0])
    assert found.mean(0, 1) is None


def test_unseen_kmers_are_neither_members_nor_controls(relation):
    rng = np.random.default_rng(6)
    occurrences = rng.integers(1, 9, len(names_of(K)))
    sets = planted_sets(rng, occurrences, 2)
    vectors = vectors_with(rng, sets, len(occurrences))
    occurrences[sets[0][:3]] = 0
    vectors[occurrences == 0] = 1000.0
    found = cohesion(cosine(vectors), sets, composition_classes(K, occurrences), relation, 9, 1)
    assert found.pairs[0, 0] == 5 * 4
    assert found.auroc[0, 0] > 0.9


def test_the_same_permutation_is_drawn_for_all_sets(classes, relation):
    """A set given twice is no second piece of evidence: the pooled p is that of the set alone."""
    rng = np.random.default_rng(7)
    one = planted_sets(rng, classes, 1)[0]
    similarity = cosine(rng.normal(size=(len(classes), 4)))
    alone = cohesion(similarity, [one], classes, relation, 199, 1)
    twice = cohesion(similarity, [one] * 5, classes, relation, 199, 1)
    assert twice.pooled_p[0] == alone.pooled_p[0] == alone.p[0, 0]


def test_the_record_is_plain_json_and_the_same_again(classes):
    rng = np.random.default_rng(8)
    sets = [KmerSet(f"M{i}", f"factor {i}", one) for i, one in enumerate(planted_sets(rng, classes))]
    vectors = vectors_with(rng, [one.tokens for one in sets], len(classes))
    sources = [
        Source("k-mer vectors", 0, lambda: cosine(vectors)),
        Source("rows of co-occurrence", 0, lambda: cosine(rng.permuted(vectors, axis=0))),
        Source("edit distance", None, lambda: -edit_distance(K).astype(np.float32)),
        Source("k-mer vectors", 4, lambda: cosine(vectors)),
    ]
    truths = {"motifs": [*sets, KmerSet("S", "small", np.array([1]))], "sites": []}
    found = kmer_space(sources, truths, K, np.full(len(classes), 3), permutations=19)
    json.dumps(found, allow_nan=False)
    assert found["truths"]["motifs"]["counts"] == {"of": 7, "measured": 6, "too_few_kmers": 1, "repeated": 0}
    ours, rows, letters, beyond = found["truths"]["motifs"]["sources"]
    assert ours["views"]["all"]["gain"] is beyond["views"]["all"]["gain"] is None
    assert rows["views"]["all"]["gain"]["low"] > 0
    assert letters["views"]["apart"]["gain"]["value"] == pytest.approx(
        ours["views"]["apart"]["auroc"]["value"] - letters["views"]["apart"]["auroc"]["value"]
    )
    assert set(ours["views"]) == set(VIEWS)
    first = found["truths"]["motifs"]["sets"][0]
    assert first["kmers"] == [names_of(K)[i] for i in sets[0].tokens]
    assert len(first["auroc"]["all"]) == len(sources)
    assert found["truths"]["sites"]["sources"][0]["views"]["all"]["auroc"] is None
    assert found["truths"]["sites"]["sets"] == []


def test_composition_of_what_was_counted():
    occurrences = np.zeros(len(names_of(K)), np.int64)
    occurrences[token("AAAAA")], occurrences[token("ACGTC")] = 3, 1
    np.testing.assert_allclose(composition_of(K, occurrences), [0.425, 0.075, 0.075, 0.425])


class Vectors:
    """What `why_not` asks of k-mer vectors."""

    def __init__(self, k, spaced=None):
        self.k, self.spaced = k, spaced


@pytest.mark.parametrize(
    ("vectors", "wanted", "reason"),
    [
        (Vectors(6), True, None),
        (Vectors(6), False, "kmer_space is false"),
        (None, True, "the kmers stage has not run"),
        (Vectors(8), True, "k is 8"),
        (Vectors(5, spaced="1101011"), True, "spaced"),
    ],
)
def test_the_reason_for_not_running_is_said(vectors, wanted, reason):
    found = why_not(vectors, wanted)
    assert found is None if reason is None else reason in found


def site_genome(tmp_path, n=60, gap=1000):
    rng = np.random.default_rng(9)
    codes = rng.integers(0, 4, n * gap).astype(np.uint8)
    centres = np.arange(n) * gap + gap // 2
    for centre in centres:
        codes[centre - 4 : centre + 4] = encode("TTACCCGG") if centre % 2000 < 1000 else encode("CCGGGTAA")
    (tmp_path / "genome.fa").write_text(f">c\n{decode(codes)}\n>d\n{'A' * 500}\n")
    return Genome(tmp_path / "genome.fa"), pd.DataFrame({"chrom": "c", "start": centres, "end": centres + 1})


def test_kmers_enriched_at_sites(tmp_path, monkeypatch):
    monkeypatch.setenv("GENOCONTRAST_CACHE", str(tmp_path / "cache"))
    genome, sites = site_genome(tmp_path)
    segments = pd.DataFrame({"chrom": ["c", "d"], "start": [0, 0], "end": [40_000, 500]})
    found = site_kmers("X", sites, genome, segments, 6)
    assert set(found.tokens[:3].tolist()) == {token(name) for name in ("TTACCC", "TACCCG", "ACCCGG")}
    # nothing is read outside of the segments, and nobody is enriched where there are no sites
    assert len(site_kmers("X", sites, genome, segments.iloc[1:], 6).tokens) == 0
    beside = sites.assign(start=sites["start"] + 300, end=sites["end"] + 300)
    assert not set(site_kmers("X", beside, genome, segments, 6).tokens) & set(found.tokens[:3])


def test_kmers_at_the_sites_of_reb1(data, tmp_path, monkeypatch):
    folder = data / "yeast"
    if not (folder / "chipexo" / "Reb1_CX.bed").is_file():
        pytest.skip(f"the ChIP-exo sites are absent: no {folder / 'chipexo'}")
    monkeypatch.setenv("GENOCONTRAST_CACHE", str(tmp_path / "cache"))
    genome = Genome(folder / "S_cerevisiae.R64.fasta.gz")
    chroms = ["chrI", "chrII", "chrV", "chrVII"]
    segments = pd.DataFrame({"chrom": chroms, "start": 0, "end": [genome.sizes[chrom] for chrom in chroms]})
    sites = read_regions(folder / "chipexo" / "Reb1_CX.bed", genome)
    found = site_kmers("Reb1", sites, genome, segments, 6)
    assert {token("TTACCC"), token("TACCCG"), token("ACCCGG")} <= set(found.tokens)
    # data and database agree: Reb1's matrix holds the strongest of them
    matrix = next(motif for motif in read_motifs(folder / "yeast_motifs.jaspar") if motif.name == "REB1")
    known = motif_kmers([matrix], 6, composition_of(6, np.ones(2080, np.int64)))[0]
    assert np.isin(found.tokens[:3], known.tokens).mean() >= 2 / 3
