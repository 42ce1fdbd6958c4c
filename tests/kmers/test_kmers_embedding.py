import json

import numpy as np
import pandas as pd
import pytest

from genocontrast.errors import (
    ConfigError,
    FileFormatError,
    ModelError,
    NamingError,
    RegionError,
    ShapeError,
    SplitError,
)
from genocontrast.kmers import KmerEmbedding, count_kmers
from genocontrast.sequence import canonical_table, decode, encode, kmer_name, reverse_complement

SETTINGS = {"k": 4, "dim": 8, "iterations": 10}


@pytest.fixture(scope="module")
def genome(markov_codes, genome_of):
    return genome_of(markov_codes)


@pytest.fixture(scope="module")
def fitted(genome):
    return KmerEmbedding.fit(genome, validation_chroms=["chrB"], **SETTINGS)


@pytest.fixture(scope="module")
def partly_seen(genome_of):
    """Fitted on a sequence that lacks most 4-mers."""

    return KmerEmbedding.fit(genome_of({"c": encode("AACCAGATCA" * 30)}), **SETTINGS)


def test_a_kmer_and_its_reverse_complement_are_one_vector(fitted):
    np.testing.assert_array_equal(fitted.vector("AACG"), fitted.vector("CGTT"))
    np.testing.assert_array_equal(fitted.vector("aacg"), fitted.vector("CGTT"))
    assert not np.array_equal(fitted.vector("AACG"), fitted.vector("GCAA"))  # reversed only
    assert fitted.vector("ACGT").shape == (8,)


def test_losses_are_of_the_chromosomes_that_the_record_names(fitted, genome):
    assert fitted.record["chromosomes"] == {"train": ["chrA"], "validation": ["chrB"]}
    losses = fitted.record["losses"]
    for split, chrom in (("train", "chrA"), ("validation", "chrB")):
        assert fitted.loss(count_kmers(genome, 4, 5, chroms=[chrom])) == pytest.approx(losses["final"][split], rel=1e-5)
    assert losses["final"]["validation"] < losses["start"]["validation"] < losses["best_constant"] < losses["zero"]
    assert losses["full_rank"] < losses["final"]["train"]
    assert fitted.record["kmers"]["occurrences"] == fitted.tokens.sum() == 60_000 - 3 - 50 - 3


def test_held_out_sequence_does_not_touch_training(genome, markov_codes, genome_of):
    other = genome_of({**markov_codes, "chrC": np.zeros(500, np.uint8)})
    one = KmerEmbedding.fit(genome, chroms=["chrA"], **SETTINGS)
    two = KmerEmbedding.fit(other, chroms=["chrA"], **SETTINGS)
    np.testing.assert_array_equal(one.vectors, two.vectors)


def test_regions_limit_the_training_sequence(genome):
    regions = pd.DataFrame({"chrom": ["chrA", "chrA", "chrB"], "start": [2000, 9000, 0], "end": [7000, 9100, 3000]})
    fitted = KmerEmbedding.fit(genome, regions, validation_chroms=["chrB"], **SETTINGS)
    assert fitted.tokens.sum() == (5000 - 3) + (100 - 3)
    assert fitted.record["regions"] == {
        "train": [["chrA", 2000, 7000], ["chrA", 9000, 9100]],
        "validation": [["chrB", 0, 3000]],
    }


def test_training_and_validation_may_be_regions_of_one_chromosome(genome, markov_codes, genome_of):
    train = pd.DataFrame({"chrom": "chrA", "start": [2000, 30_000], "end": [20_000, 40_000]})
    held = pd.DataFrame({"chrom": ["chrA", "chrB"], "start": [21_000, 0], "end": [29_000, 9000]})
    fitted = KmerEmbedding.fit(genome, train, validation_regions=held, **SETTINGS)
    assert fitted.record["chromosomes"] == {"train": ["chrA"], "validation": ["chrA", "chrB"]}
    assert fitted.record["regions"]["validation"] == [["chrA", 21_000, 29_000], ["chrB", 0, 9000]]
    final = fitted.record["losses"]["final"]
    for split, chroms, regions in (("train", ["chrA"], train), ("validation", ["chrA", "chrB"], held)):
        assert fitted.loss(count_kmers(genome, 4, 5, chroms=chroms, regions=regions)) == pytest.approx(
            final[split], rel=1e-5
        )
    other = {chrom: codes.copy() for chrom, codes in markov_codes.items()}
    other["chrA"][20_000:30_000] = other["chrB"][:] = 0  # held out or in a gap: training must not see it
    again = KmerEmbedding.fit(genome_of(other), train, **SETTINGS)
    np.testing.assert_array_equal(again.tokens, fitted.tokens)


def test_regions_for_both_training_and_validation_are_refused(genome):
    train = pd.DataFrame({"chrom": ["chrA", "chrB"], "start": [0, 0], "end": [2000, 2000]})
    held = pd.DataFrame({"chrom": ["chrA", "chrB"], "start": [2000, 1999], "end": [4000, 4000]})
    with pytest.raises(SplitError, match="1 validation regions overlap a training region"):
        KmerEmbedding.fit(genome, train, validation_regions=held, **SETTINGS)
    with pytest.raises(SplitError, match="both training and validation"):
        KmerEmbedding.fit(genome, validation_regions=held, chroms=["chrA"], **SETTINGS)


def test_a_region_on_a_chromosome_that_does_not_exist_is_named(genome):
    with pytest.raises(NamingError, match="chrZ"):
        KmerEmbedding.fit(genome, pd.DataFrame({"chrom": ["chrA", "chrZ"], "start": 0, "end": 900}), **SETTINGS)


def test_nearest_is_sorted_by_cosine_and_leaves_out_the_query(fitted):
    table = fitted.nearest("AACG", n=5)
    assert list(table.columns) == ["kmer", "similarity", "count"]
    unit = fitted.vectors / np.linalg.norm(fitted.vectors, axis=1, keepdims=True)
    names = [kmer_name(int(i), 4) for i in canonical_table(4)[1]]
    similarity = unit @ unit[names.index("AACG")]
    order = [i for i in np.argsort(-similarity) if names[i] != "AACG"][:5]
    assert table["kmer"].tolist() == [names[i] for i in order]
    np.testing.assert_allclose(table["similarity"], similarity[order], atol=1e-5)
    assert len(fitted.nearest("AACG", n=1000)) == 135


def test_analogy_is_nearest_to_the_sum_of_unit_vectors(fitted):
    table = fitted.analogy("AAAA", "AAAC", "CCCA", n=3)
    unit = fitted.vectors / np.linalg.norm(fitted.vectors, axis=1, keepdims=True)
    names = [kmer_name(int(i), 4) for i in canonical_table(4)[1]]
    a, b, c = (unit[names.index(name)] for name in ("AAAA", "AAAC", "CCCA"))
    target = b - a + c
    similarity = unit @ target / np.linalg.norm(target)
    order = [i for i in np.argsort(-similarity) if names[i] not in ("AAAA", "AAAC", "CCCA")][:3]
    assert table["kmer"].tolist() == [names[i] for i in order]
    np.testing.assert_allclose(table["similarity"], similarity[order], atol=1e-5)
    # either strand names the same k-mer
    assert fitted.analogy("TTTT", "GTTT", "TGGG", n=3).equals(table)


def test_an_analogy_with_an_unseen_kmer_says_which(partly_seen):
    with pytest.raises(ModelError, match="GGGG"):
        partly_seen.analogy("AACC", "GGGG", "ATCA")


def test_neighbours_in_sequence_are_neighbours_in_space(genome):
    fitted = KmerEmbedding.fit(genome, chroms=["chrA"], k=4, dim=16, iterations=60)
    near = fitted.nearest("AAAA", n=6)["kmer"].tolist()
    assert {"AAAC", "AAAG", "CAAA", "GAAA"} & set(near)


@pytest.mark.parametrize("kmer", ["ACG", "ACGTA", "ACGN", "AC-T", ""])
def test_an_invalid_kmer_is_refused(fitted, kmer):
    with pytest.raises(ShapeError, match="not a"):
        fitted.vector(kmer)


def test_an_unseen_kmer_has_no_vector_and_says_so(partly_seen):
    with pytest.raises(ModelError, match=r"GGGG[\s\S]*remedy"):
        partly_seen.vector("GGGG")
    assert "CCCC" not in partly_seen.nearest("AACC", n=1000)["kmer"].tolist()
    assert partly_seen.record["kmers"]["seen"] + partly_seen.record["kmers"]["unseen"] == 136
    assert not partly_seen.vectors[partly_seen.tokens == 0].any()


def test_embed_is_the_mean_over_kmers(fitted):
    codes = np.stack([encode("ACGTTGNCCATA"), encode("AAAAAAAAAAAA"), encode("NNNNNNNNNNNN")])
    kmers = ["ACGT", "CGTT", "GTTG", "CCAT", "CATA"]
    embedded = fitted.embed(codes)
    np.testing.assert_allclose(embedded[0], np.mean([fitted.vector(kmer) for kmer in kmers], axis=0), atol=1e-6)
    np.testing.assert_allclose(embedded[1], fitted.vector("AAAA"), atol=1e-6)
    assert not embedded[2].any()


def test_sif_weights_frequent_kmers_less(fitted):
    codes = encode("ACGTTGNCCATA")[None]
    kmers = ["ACGT", "CGTT", "GTTG", "CCAT", "CATA"]
    names = [kmer_name(int(i), 4) for i in canonical_table(4)[1]]
    tokens = [int(np.flatnonzero((fitted.vectors == fitted.vector(kmer)).all(1))[0]) for kmer in kmers]
    assert {names[token] for token in tokens} == {"ACGT", "AACG", "CAAC", "ATGG", "CATA"}
    weights = np.array([1e-3 / (1e-3 + fitted.tokens[token] / fitted.tokens.sum()) for token in tokens])
    expected = np.average([fitted.vector(kmer) for kmer in kmers], axis=0, weights=weights)
    np.testing.assert_allclose(fitted.embed(codes, pool="sif")[0], expected, atol=1e-6)
    assert not np.allclose(fitted.embed(codes), fitted.embed(codes, pool="sif"), atol=1e-3)
    with pytest.raises(ShapeError, match=r"neither mean nor sif \(got 'max'\)"):
        fitted.embed(codes, pool="max")


def test_spaced_seeds_embed_their_own_letters(genome, tmp_path):
    fitted = KmerEmbedding.fit(genome, spaced="11011", **SETTINGS)
    embedded = fitted.embed(encode("ACGTA")[None])
    np.testing.assert_allclose(embedded[0], fitted.vector("ACTA"), atol=1e-6)
    np.testing.assert_array_equal(fitted.vector("ACTA"), fitted.vector("TAGT"))
    codes = np.random.default_rng(0).integers(0, 5, (20, 50)).astype(np.uint8)
    np.testing.assert_array_equal(fitted.embed(codes), fitted.embed(reverse_complement(codes)))
    fitted.save(tmp_path / "kmers.h5ad")
    assert KmerEmbedding.load(tmp_path / "kmers.h5ad").spaced == "11011"


def test_masks_shares_and_negatives_reach_the_fit(genome_of, markov_codes):
    mask = np.zeros(60_000, bool)
    mask[:50_000] = True
    genome = genome_of(markov_codes, {"chrA": mask})
    masked = KmerEmbedding.fit(genome, chroms=["chrA"], soft_masked=False, **SETTINGS)
    assert masked.tokens.sum() == 10_000 - 3
    few = KmerEmbedding.fit(genome, chroms=["chrA"], negatives=1, **SETTINGS)
    assert few.record["losses"]["zero"] == pytest.approx(2 * np.log(2))
    drawn = KmerEmbedding.fit(genome, chroms=["chrA"], share=0.5, k=4, dim=8, iterations=1)
    assert drawn.record["settings"]["share"] == 0.5


def test_the_record_names_only_what_was_trained_on(genome):
    regions = pd.DataFrame({"chrom": ["chrA"], "start": [2000], "end": [7000]})
    with pytest.raises(RegionError, match="'chrB'"):
        KmerEmbedding.fit(genome, regions, chroms=["chrA", "chrB"], **SETTINGS)
    with pytest.raises(RegionError, match="'chrB'"):
        KmerEmbedding.fit(genome, regions, validation_chroms=["chrB"], **SETTINGS)


def test_the_share_of_regions_is_what_their_bases_afford(genome, monkeypatch):
    seen = {}

    def share(k, window, bases, memory):
        seen["bases"] = bases
        return 1.0

    monkeypatch.setattr("genocontrast.kmers.embedding.affordable_share", share)
    regions = pd.DataFrame({"chrom": ["chrA", "chrB"], "start": [2000, 0], "end": [7000, 100]})
    KmerEmbedding.fit(genome, regions, validation_chroms=["chrB"], **SETTINGS)
    assert seen["bases"] == 5000


@pytest.mark.parametrize("options", [{"objective": "infonce"}, {"log_q": True}, {"skip": 3}, {"subsample": 1e-3}])
def test_every_option_is_fitted_recorded_and_scored(genome, options):
    fitted = KmerEmbedding.fit(genome, validation_chroms=["chrB"], **SETTINGS, **options)
    name, value = next(iter(options.items()))
    assert fitted.record["settings"][name] == value
    losses = fitted.record["losses"]
    assert losses["final"]["validation"] < losses["best_constant"]
    skip = options.get("skip", 0)
    held_out = count_kmers(genome, 4, 5, chroms=["chrB"], skip=skip)
    assert fitted.loss(held_out) == pytest.approx(losses["final"]["validation"], rel=1e-5)


def test_kmers_of_nine_letters_are_fitted_from_draws(genome, monkeypatch):
    monkeypatch.setattr("genocontrast.kmers.sampled._PAIRS", 256)
    options = {"k": 9, "dim": 4, "iterations": 1, "chroms": ["chrA"]}
    one, two = (KmerEmbedding.fit(genome, **options) for _ in range(2))
    np.testing.assert_array_equal(one.vectors, two.vectors)
    seen = one.names[int(one.tokens.argmax())]
    np.testing.assert_array_equal(one.vector(seen), one.vector(decode(reverse_complement(encode(seen)))))
    assert one.record["settings"]["share"] == 1
    losses = one.record["losses"]
    assert losses["final"]["train"] < losses["best_constant"] < losses["zero"]


def test_counts_may_be_made_elsewhere(genome, fitted):
    train, held_out = (count_kmers(genome, 4, 5, chroms=[chrom]) for chrom in ("chrA", "chrB"))
    again = KmerEmbedding.from_counts(train, held_out, dim=8, iterations=10)
    np.testing.assert_array_equal(again.vectors, fitted.vectors)
    assert again.record["sequences"] == fitted.record["sequences"]
    with pytest.raises(ShapeError, match=r"different settings.*window=5 and 4"):
        KmerEmbedding.from_counts(train, count_kmers(genome, 4, 4, chroms=["chrB"]))
    with pytest.raises(SplitError, match=r"both for training and for validation \(got 'chrB'\)"):
        KmerEmbedding.from_counts(train + held_out, held_out)


def test_vectors_of_reads(tmp_path, markov_codes):
    reads = [decode(markov_codes["chrB"][i : i + 100]) for i in range(0, 20_000, 100)]
    path = tmp_path / "reads.fastq"
    path.write_text("".join(f"@{i}\n{read}\n+\n{'I' * 100}\n" for i, read in enumerate(reads)))
    fitted = KmerEmbedding.fit(path, **SETTINGS)
    assert fitted.tokens.sum() == 200 * 97
    assert fitted.record["sequences"]["train"] == {"reads.fastq": 20_000}
    with pytest.raises(ConfigError, match="reads have no chromosomes"):
        KmerEmbedding.fit(path, validation_chroms=["chr1"], **SETTINGS)


def test_cuda_that_is_absent_is_named(genome):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(ModelError, match=r"no CUDA device[\s\S]*kmers.device"):
        KmerEmbedding.fit(genome, device="cuda", **SETTINGS)


def test_embed_leaves_out_unseen_kmers(partly_seen):
    embedded = partly_seen.embed(encode("AACCNGGGGG")[None])
    np.testing.assert_allclose(embedded[0], partly_seen.vector("AACC"), atol=1e-6)


def test_both_strands_embed_to_the_same_bits(fitted, monkeypatch):
    codes = np.random.default_rng(0).integers(0, 5, (50, 200)).astype(np.uint8)
    forward = fitted.embed(codes)
    np.testing.assert_array_equal(forward, fitted.embed(reverse_complement(codes)))
    monkeypatch.setattr("genocontrast.kmers.embedding._EMBED_BASES", 1500)
    np.testing.assert_array_equal(forward, fitted.embed(codes))


@pytest.mark.parametrize("shape", [(10,), (2, 3), (2, 3, 4)])
def test_embed_refuses_other_shapes(fitted, shape):
    with pytest.raises(ShapeError, match="length >= 4"):
        fitted.embed(np.zeros(shape, np.uint8))
    assert fitted.embed(np.zeros((0, 10), np.uint8)).shape == (0, 8)


def test_save_and_load_give_back_everything_in_the_same_bytes(fitted, genome, tmp_path):
    fitted.save(tmp_path / "one.h5ad")
    again = KmerEmbedding.fit(genome, validation_chroms=["chrB"], **SETTINGS)
    again.save(tmp_path / "two.h5ad")
    assert (tmp_path / "one.h5ad").read_bytes() == (tmp_path / "two.h5ad").read_bytes()
    loaded = KmerEmbedding.load(tmp_path / "one.h5ad")
    assert (loaded.k, loaded.record) == (4, fitted.record)
    for name in ("vectors", "contexts", "tokens"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(fitted, name))
        assert getattr(loaded, name).dtype == getattr(fitted, name).dtype
    assert {path.name for path in tmp_path.iterdir()} == {"one.h5ad", "two.h5ad"}


def test_h5ad_is_plain_anndata(fitted, tmp_path):
    import anndata

    fitted.save(tmp_path / "kmers.h5ad")
    data = anndata.read_h5ad(tmp_path / "kmers.h5ad")
    assert data.shape == (136, 8)
    assert data.obs_names[0] == "AAAA"
    assert data.obs.loc["CCCG", "gc"] == 1
    assert data.obs.loc["CGCG", "cpg"] == 2
    assert data.obs.loc["GCCA" if "GCCA" in data.obs_names else "TGGC", "cpg"] == 0
    assert data.obs["count"].sum() == fitted.tokens.sum()
    assert json.loads(data.uns["provenance"])["settings"]["k"] == 4


def test_another_or_a_truncated_file_is_refused(fitted, tmp_path):
    import anndata
    import h5py

    (tmp_path / "text.h5ad").write_text("not HDF5")
    anndata.AnnData(np.zeros((2, 2))).write_h5ad(tmp_path / "other.h5ad")
    with h5py.File(tmp_path / "hdf5.h5ad", "w") as handle:
        handle["numbers"] = [1, 2]
    fitted.save(tmp_path / "cut.h5ad")
    (tmp_path / "cut.h5ad").write_bytes((tmp_path / "cut.h5ad").read_bytes()[:9000])
    for name in ("text.h5ad", "hdf5.h5ad", "cut.h5ad", "other.h5ad", "absent.h5ad"):
        with pytest.raises(FileFormatError, match=name):
            KmerEmbedding.load(tmp_path / name)


def test_word2vec_text_holds_the_seen_kmers(partly_seen, tmp_path):
    partly_seen.to_word2vec(tmp_path / "vectors.txt")
    head, *lines = (tmp_path / "vectors.txt").read_text().splitlines()
    seen = int((partly_seen.tokens > 0).sum())
    assert head == f"{seen} 8"
    assert len(lines) == seen
    for line in lines:
        kmer, *values = line.split(" ")
        np.testing.assert_allclose([float(value) for value in values], partly_seen.vector(kmer), rtol=1e-5, atol=1e-6)


def test_seed_decides_the_start(genome):
    one, two = (KmerEmbedding.fit(genome, chroms=["chrB"], seed=seed, **SETTINGS) for seed in (1, 2))
    assert not np.array_equal(one.vectors, two.vectors)
    assert one.record["settings"]["seed"] == 1


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"k": 11}, "'k'"), ({"dim": 1}, "'dim'"), ({"k": 3, "dim": 33}, "number of strand-tied 3-mers, 32"),
     ({"negatives": 0}, "'negatives'"), ({"window": 0}, "'window'"), ({"k": 8, "memory": 1}, "GiB"),
     ({"objective": "glove"}, "'objective'"), ({"subsample": -1}, "'subsample'"), ({"device": "tpu"}, "'device'"),
     ({"seed": -1}, "'seed'")],
)  # fmt: skip
def test_impossible_settings_are_refused(genome, settings, named):
    with pytest.raises(ConfigError, match=named):
        KmerEmbedding.fit(genome, **settings)


def test_training_and_validation_must_be_apart(genome):
    with pytest.raises(SplitError, match="chrB"):
        KmerEmbedding.fit(genome, chroms=["chrA", "chrB"], validation_chroms=["chrB"], **SETTINGS)
    with pytest.raises(SplitError, match="no chromosome is left"):
        KmerEmbedding.fit(genome, validation_chroms=["chrA", "chrB"], **SETTINGS)


def test_loss_wants_counts_of_the_same_kmers(fitted, genome):
    with pytest.raises(ShapeError, match="4-mers, the letters under the ones of 11011"):
        fitted.loss(count_kmers(genome, 4, 5, chroms=["chrB"], spaced="11011"))
    with pytest.raises(ShapeError, match="5-mers"):
        fitted.loss(count_kmers(genome, 5, 5, chroms=["chrB"]))
