"""Training of the encoder of k-mers: what it learns, what it starts with, what is kept of it."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from genocontrast import artefacts
from genocontrast.config import TrainingConfig, parse_config
from genocontrast.encoders import KmerEncoder
from genocontrast.encoders.kmer import POOLINGS
from genocontrast.errors import ConfigError, FileFormatError, GenocontrastWarning, ModelError
from genocontrast.evaluation.attribution import attribute
from genocontrast.genome import Genome
from genocontrast.kmers import KmerEmbedding
from genocontrast.sequence import canonical_table, encode, reverse_complement
from genocontrast.training import fit, load_model, stage
from genocontrast.training.data import PairCodes
from genocontrast.training.fitting import fit_pairs
from genocontrast.training.model import Model

TINY = TrainingConfig(encoder="kmers", dim=4, epochs=3, patience=3, batch_pairs=8, max_shift=3, device="cpu")
MOTIF = "GATTACAGAT"


def random_vectors(k=3, vector_dim=6, seed=0):
    rng, n_tokens = np.random.default_rng(seed), len(canonical_table(k)[1])
    vectors = rng.normal(size=(n_tokens, vector_dim)).astype(np.float32)
    return SimpleNamespace(k=k, vectors=vectors, tokens=rng.integers(1, 99, n_tokens))


def motif_pairs(n, seed, width=60, flank=3):
    """Promoters hold a motif, on either strand; decoys hold its bases in another order."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 4, (2, n, width + 2 * flank), dtype=np.uint8)
    motif = encode(MOTIF)
    for label in (0, 1):
        for row in rows[label]:
            at = int(rng.integers(10, width - 20))
            row[at : at + len(motif)] = motif if label else rng.permutation(motif)
            if rng.random() < 0.5:
                row[:] = reverse_complement(row)
    return PairCodes(rows[1], rows[0], flank)


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


# --- what it learns


@pytest.mark.parametrize("pooling", POOLINGS)
def test_learns_which_motif_promoters_hold(pooling):
    config = TINY.model_copy(
        update={"pooling": pooling, "dim": 16, "epochs": 10, "batch_pairs": 32, "learning_rate": 0.01, "dropout": 0.0}
    )
    kmers = random_vectors(k=5, vector_dim=16)
    network, history = fit_pairs(motif_pairs(300, 1), motif_pairs(150, 2), config, kmers)
    assert max(row["validation_auroc"] for row in history) > 0.8
    assert not np.array_equal(network.vectors.detach(), kmers.vectors)
    model, codes = Model(network, 60, {}, {}), motif_pairs(150, 2).promoters[:, 3:-3]
    mirrored = reverse_complement(codes)
    assert (model.score_codes(codes) == model.score_codes(mirrored)).all()
    # attribution takes it as it takes the convolution, and finds the motif
    present = attribute(model, codes).contributions
    inside = np.stack([_covered(row) for row in codes])
    assert present[inside].mean() > present[~inside].mean() + 2 * present[~inside].std() / np.sqrt(inside.sum())


def _covered(codes):
    """Where the motif lies, on either strand."""
    motif, found = encode(MOTIF), np.zeros(len(codes), bool)
    for pattern in (motif, reverse_complement(motif)):
        hits = (np.lib.stride_tricks.sliding_window_view(codes, len(motif)) == pattern).all(1)
        for at in np.flatnonzero(hits):
            found[at : at + len(motif)] = True
    return found


# --- what it starts with


def test_the_vectors_it_starts_with_matter():
    pairs, validation = motif_pairs(20, 0), motif_pairs(8, 1)
    networks = [fit_pairs(pairs, validation, TINY, random_vectors(seed=seed))[0] for seed in (1, 1, 2)]
    assert same(*networks[:2])
    assert not same(*networks[1:])


@pytest.mark.parametrize("change", ["vectors", "tokens"])
def test_a_checkpoint_of_other_vectors_is_left_alone(tmp_path, change):
    pairs, validation = motif_pairs(20, 0), motif_pairs(8, 1)
    before, now = random_vectors(), random_vectors()
    setattr(now, change, getattr(now, change) + 1)
    expected, _ = fit_pairs(pairs, validation, TINY, now)
    fit_pairs(pairs, validation, TINY, before, checkpoints=tmp_path)
    with pytest.warns(GenocontrastWarning, match="training begins again"):
        found, _ = fit_pairs(pairs, validation, TINY, now, checkpoints=tmp_path)
    assert same(expected, found)


def test_missing_and_needless_vectors_are_named():
    pairs, validation = motif_pairs(16, 0), motif_pairs(8, 1)
    with pytest.raises(ConfigError, match=r"there are none.*'kmers'[\s\S]*argument kmers"):
        fit_pairs(pairs, validation, TINY)
    plain = TINY.model_copy(update={"encoder": "convolution"})
    with pytest.raises(ConfigError, match=r"no use for them.*'convolution'"):
        fit_pairs(pairs, validation, plain, random_vectors())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"training": {"encoder": "kmers", "strand": "free"}}, "strand free has no meaning"),
        ({"training": {"encoder": "kmers"}, "kmers": {"k": 5, "spaced": "1101011"}}, "1101011: remove it"),
        ({"training": {"encoder": "transformer"}}, r"'training\.encoder'.*'transformer'"),
        ({"training": {"pooling": "max"}}, r"'training\.pooling'.*'max'"),
    ],
)
def test_settings_that_do_not_go_together_are_named(values, message):
    genome = {"fasta": "g.fa", "promoters": "p.bed", "signal": ["s.bw"]}
    with pytest.raises(ConfigError, match=message):
        parse_config({"name": "x", "genome": genome, **values})


# --- what is kept of it


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_saved_model_says_the_same(tmp_path, pooling):
    config = TINY.model_copy(update={"pooling": pooling, "epochs": 1})
    network, _ = fit_pairs(motif_pairs(16, 0), motif_pairs(8, 1), config, random_vectors())
    model = Model(network, 60, {}, {})
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert isinstance(loaded.network, KmerEncoder)
    assert loaded.network.architecture == network.architecture
    codes = motif_pairs(9, 3).promoters
    assert (loaded.score_codes(codes) == model.score_codes(codes)).all()
    assert (loaded.embed_codes(codes) == model.embed_codes(codes)).all()


def test_a_model_of_an_unknown_encoder_is_named(tmp_path):
    network, _ = fit_pairs(motif_pairs(16, 0), motif_pairs(8, 1), TINY, random_vectors())
    model = Model(network, 60, {}, {})
    for changes, problem in (
        ({"encoder": "transformer"}, "unknown encoder"),
        ({"pooling": "max"}, "pooling is none of"),
        ({"k": 4}, "do not fit the architecture"),
        ({"heads": 2}, "unknown architecture"),
    ):
        model.save(tmp_path / "model")
        path = tmp_path / "model" / "config.json"
        description = artefacts.read_json(path)
        artefacts.write_json(path, {**description, "architecture": {**network.architecture, **changes}})
        with pytest.raises(ModelError, match=problem):
            load_model(tmp_path / "model")


@pytest.fixture
def genome(tmp_path, monkeypatch):
    monkeypatch.setenv("GENOCONTRAST_CACHE", str(tmp_path / "cache"))
    rng, path = np.random.default_rng(7), tmp_path / "genome.fa"
    letters = ("".join(rng.choice(list("ACGT"), 3000)) for _ in range(3))
    path.write_text("".join(f">chr{number}\n{text}\n" for number, text in enumerate(letters, 1)))
    return Genome(path)


def example_table():
    rows = [
        (f"chr{chrom}", start, start + 60, f"{chrom}_{start}", "+", label, 100 * chrom + pair, "hard", split)
        for chrom, split in ((1, "train"), (2, "validation"), (3, "test"))
        for pair in range(12)
        for label, start in enumerate((200 * pair, 200 * pair + 100))
    ]
    columns = ["chrom", "start", "end", "name", "strand", "label", "pair_id", "tier", "split"]
    return pd.DataFrame(rows, columns=columns).assign(log_q=0.0, evidence="", gc=0.5)


def test_fit_says_which_vectors_it_started_with(genome):
    models = [fit(example_table(), genome, TINY, random_vectors(seed=seed)) for seed in (1, 1, 2)]
    sums = [model.provenance["inputs"]["kmers"]["sha256"] for model in models]
    assert sums[0] == sums[1] != sums[2]
    assert models[0].provenance["config"]["encoder"] == "kmers"


def test_the_stage_reads_the_vectors_of_the_kmers_stage(genome, tmp_path):
    results, place = tmp_path / "results", tmp_path / "results" / "kmers" / "kmers.h5ad"
    artefacts.write_parquet(results / "negatives" / "examples.parquet", example_table())
    inputs = {"fasta": str(genome.path), "promoters": "x.bed", "signal": ["x.bw"], "upstream": 40, "downstream": 20}
    config = parse_config({"name": "x", "seed": 4, "genome": inputs, "training": TINY.model_dump()})
    with pytest.raises(FileFormatError, match=r"kmers\.h5ad: no such file"):
        stage.run(config, results)
    kmers = KmerEmbedding.fit(genome, chroms=["chr1"], k=3, dim=4)
    kmers.save(place)
    stage.run(config, results)
    model = load_model(results / "training" / "model")
    assert set(model.provenance["inputs"]) == {"examples", "genome", "kmers"}
    assert model.provenance["inputs"]["kmers"] == {"file": "kmers.h5ad", "sha256": artefacts.checksum(place)}
    assert same(model.network, fit(example_table(), genome, TINY, kmers, seed=4).network)


@pytest.mark.parametrize("pooling", ["mean", "sif"])
def test_an_untrained_encoder_pools_as_the_embedding_does(genome, pooling):
    kmers = KmerEmbedding.fit(genome, chroms=["chr1"], k=5, dim=4)
    assert (kmers.tokens == 0).any()
    codes, windows = genome.codes(example_table()), torch.from_numpy(genome.one_hot(example_table(), 60))
    pooled = KmerEncoder.from_vectors(kmers, pooling).pooled(windows)
    np.testing.assert_allclose(pooled.detach(), kmers.embed(codes, pooling), atol=1e-5)
