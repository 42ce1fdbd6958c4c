import numpy as np
import pytest
from typer.testing import CliRunner

from genocontrast.cli import main
from genocontrast.config import KmersConfig
from genocontrast.errors import FileFormatError
from genocontrast.kmers import CooccurrenceCounts, KmerEmbedding, count_kmers
from genocontrast.kmers.counts import CountSettings
from genocontrast.sequence import decode


@pytest.fixture
def fasta(tmp_path, markov_codes):
    path = tmp_path / "genome.fa"
    path.write_text("".join(f">{chrom}\n{decode(codes)}\n" for chrom, codes in markov_codes.items()))
    return path


def run(*arguments):
    found = CliRunner().invoke(main, ["kmers", *map(str, arguments)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_chromosomes_are_counted_apart_merged_fitted_and_looked_up(fasta, tmp_path, markov_codes, genome_of):
    for chrom in markov_codes:
        run("count", fasta, "--out", tmp_path / f"{chrom}.counts", "--chrom", chrom, "--k", 4, "--skip", 1)
    text = run("merge", tmp_path / "chrA.counts", tmp_path / "chrB.counts", "--out", tmp_path / "all.counts")
    assert "2 sequences" in text
    merged = CooccurrenceCounts.load(tmp_path / "all.counts")
    whole = count_kmers(genome_of(markov_codes), 4, 5, skip=1)
    np.testing.assert_array_equal(merged.values, whole.values)
    options = ("--dim", 8, "--iterations", 10, "--validation", tmp_path / "chrB.counts")
    run("fit", tmp_path / "chrA.counts", "--out", tmp_path / "kmers.h5ad", *options)
    fitted = KmerEmbedding.load(tmp_path / "kmers.h5ad")
    assert fitted.record["settings"]["skip"] == 1
    assert (tmp_path / "kmers.word2vec.txt").read_text().startswith("136 8\n")
    rows = run("nearest", tmp_path / "kmers.h5ad", "aacg", "-n", 3).splitlines()
    assert [row.split()[0] for row in rows[1:]] == fitted.nearest("AACG", 3)["kmer"].tolist()


def test_regions_limit_what_is_counted(fasta, tmp_path):
    (tmp_path / "r.bed").write_text("chrA\t2000\t3000\n")
    run("count", fasta, "--out", tmp_path / "r.counts", "--regions", tmp_path / "r.bed", "--k", 4)
    assert CooccurrenceCounts.load(tmp_path / "r.counts").tokens.sum() == 997


def test_the_options_reach_the_counts_and_the_fit(fasta, tmp_path):
    fasta.write_text(fasta.read_text().replace("A" * 3, "aaa"))
    options = ("--k", 5, "--spaced", "1101011", "--no-soft-masked", "--share", 0.5, "--window", 3)
    run("count", fasta, "--out", tmp_path / "some.counts", *options)
    counts = CooccurrenceCounts.load(tmp_path / "some.counts")
    assert counts.settings == CountSettings(5, 3, 0, "1101011", soft_masked=False, share=0.5)
    assert 0 < counts.tokens.sum() < 80_000  # of 90,000, were none masked
    run("count", fasta, "--out", tmp_path / "all.counts", "--k", 4)
    options = (
        "--objective",
        "infonce",
        "--log-q",
        "--subsample",
        0.01,
        "--iterations",
        5,
        "--dim",
        4,
        "--negatives",
        2,
    )
    text = run("fit", tmp_path / "all.counts", "--out", tmp_path / "kmers.h5ad", *options)
    assert "loss" in text
    settings = KmerEmbedding.load(tmp_path / "kmers.h5ad").record["settings"]
    expected = {"objective": "infonce", "log_q": True, "subsample": 0.01, "iterations": 5, "dim": 4, "negatives": 2}
    assert settings | expected == settings


def test_a_folder_is_no_file_to_write(fasta, tmp_path):
    with pytest.raises(FileFormatError, match="a folder, not a file"):
        run("count", fasta, "--out", tmp_path, "--k", 4)


def test_help_gives_the_text_and_default_of_the_configuration():
    text = " ".join(run("count", "--help").replace("│", " ").split())
    for name in ("window", "skip"):
        field = KmersConfig.model_fields[name]
        assert " ".join((field.description or "").split())[:40] in text
        assert f"[default: {field.default}]" in text


def test_a_file_that_holds_no_counts_is_named(tmp_path):
    (tmp_path / "x.counts").write_text("nothing")
    with pytest.raises(FileFormatError, match=r"x\.counts[\s\S]*kmers count"):
        run("fit", tmp_path / "x.counts", "--out", tmp_path / "kmers.h5ad")
    assert not (tmp_path / "kmers.h5ad").exists()
