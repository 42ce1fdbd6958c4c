import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genocontrast.artefacts import read_json, write_json
from genocontrast.config import parse_config
from genocontrast.errors import FileFormatError
from genocontrast.kmers import KmerEmbedding, count_kmers
from genocontrast.kmers.stage import run
from genocontrast.sequence import decode, encode

YEAST = (
    Path(os.environ.get("GENOCONTRAST_DATA", Path(__file__).parents[3] / "shared/data"))
    / "yeast"
    / "S_cerevisiae.R64.fasta.gz"
)


@pytest.fixture
def project(tmp_path, markov_codes):
    """A configuration and a results folder as the genome stage leaves it; chrC is in no split."""
    fasta = tmp_path / "genome.fa"
    poison = np.zeros(5000, np.uint8)
    chromosomes = {**markov_codes, "chrC": poison}
    fasta.write_text("".join(f">{chrom}\n{decode(codes)}\n" for chrom, codes in chromosomes.items()))
    splits = {"chrA": "train", "chrB": "validation", "chrC": "test"}
    segments = [{"chrom": c, "start": 0, "end": len(chromosomes[c]), "split": split} for c, split in splits.items()]
    results = tmp_path / "results"
    write_json(results / "genome" / "genome.json", {"segments": segments})
    genome = {"fasta": str(fasta), "promoters": "none.bed", "signal": ["none.bw"]}
    kmers = {"k": 4, "dim": 8, "iterations": 10}
    return parse_config({"name": "tiny", "seed": 3, "genome": genome, "kmers": kmers}), results


def test_stage_fits_on_training_chromosomes_only_and_says_which(project, markov_codes, genome_of):
    config, results = project
    run(config, results)
    record = read_json(results / "kmers" / "kmers.json")
    assert record["chromosomes"] == {"train": ["chrA"], "validation": ["chrB"]}
    assert set(record["losses"]) == {"start", "final", "best_constant", "zero", "full_rank"}
    assert record["provenance"]["config"]["seed"] == record["settings"]["seed"] == 3
    embedding = KmerEmbedding.load(results / "kmers" / "kmers.h5ad")
    expected = count_kmers(genome_of(markov_codes), 4, 5, chroms=["chrA"])
    np.testing.assert_array_equal(embedding.tokens, expected.tokens)
    assert embedding.record == record
    assert (results / "kmers" / "kmers.word2vec.txt").read_text().startswith("136 8\nAAAA ")


def test_stage_fits_on_training_blocks_only(project, markov_codes, genome_of):
    config, results = project
    rows = [("train", 0, 20_000), ("validation", 25_000, 40_000), ("train", 45_000, 60_000)]
    segments = [{"chrom": "chrA", "start": start, "end": end, "split": split} for split, start, end in rows]
    write_json(results / "genome" / "genome.json", {"segments": segments})
    run(config, results)
    record = read_json(results / "kmers" / "kmers.json")
    assert record["regions"] == {
        "train": [["chrA", 0, 20_000], ["chrA", 45_000, 60_000]],
        "validation": [["chrA", 25_000, 40_000]],
    }
    embedding = KmerEmbedding.load(results / "kmers" / "kmers.h5ad")
    train = pd.DataFrame({"chrom": "chrA", "start": [0, 45_000], "end": [20_000, 60_000]})
    expected = count_kmers(genome_of(markov_codes), 4, 5, chroms=["chrA"], regions=train)
    np.testing.assert_array_equal(embedding.tokens, expected.tokens)
    assert embedding.record == record


def test_stage_gives_the_same_bytes_and_leaves_nothing_else(project):
    config, results = project
    run(config, results)
    first = {path.name: path.read_bytes() for path in (results / "kmers").iterdir()}
    run(config, results)
    assert {path.name: path.read_bytes() for path in (results / "kmers").iterdir()} == first
    assert set(first) == {"kmers.h5ad", "kmers.word2vec.txt", "kmers.json"}
    assert not any(str(results.parent).encode() in content for content in first.values())


def test_stage_without_splits_says_what_to_run(project):
    config, results = project
    write_json(results / "genome" / "genome.json", {"splits": {"train": ["chrA"]}})
    with pytest.raises(FileFormatError, match="run the genome stage"):
        run(config, results)
    assert not (results / "kmers").exists()


@pytest.mark.skipif(not YEAST.is_file(), reason=f"no yeast genome at {YEAST}")
def test_yeast_vectors_predict_a_chromosome_that_they_have_not_seen(genome_of):
    chromosomes, name = {}, ""
    with gzip.open(YEAST, "rt") as lines:
        for line in lines:
            if line.startswith(">"):
                name = line[1:].split()[0]
                chromosomes[name] = []
            elif name in ("chrI", "chrVII"):
                chromosomes[name].append(line.strip())
    genome = genome_of({chrom: encode("".join(chromosomes[chrom])) for chrom in ("chrI", "chrVII")})
    fitted = KmerEmbedding.fit(genome, k=5, dim=32, validation_chroms=["chrI"], iterations=60)
    losses = fitted.record["losses"]
    # 1.749 is the optimum on chrI itself with no limit on the dimensions
    assert 1.749 < losses["final"]["validation"] < 2.0 < losses["start"]["validation"] < losses["best_constant"]
    assert "ATATA" in set(fitted.nearest("TATAA", n=6)["kmer"])
