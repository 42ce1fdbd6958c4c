"""Bad input through the command line: a non-zero exit, one clear message, nothing under a final name."""

import gzip
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml


def run(folder, stage, config, *arguments):
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return subprocess.run(
        [Path(sys.executable).parent / "genocontrast", stage, *(arguments or ["run"]), "--config", path],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture
def inputs(simulated, tmp_path):
    """A working folder with its own copy of the simulated files, to spoil, and a configuration."""
    for name in ("genes.gtf", "peaks.narrowPeak", "blacklist.bed", "genome.fa.gz", "atac_rep1.bw"):
        shutil.copy(simulated / name, tmp_path / name)
    config = {
        "name": "bad",
        "genome": {
            "fasta": "genome.fa.gz",
            "promoters": "genes.gtf",
            "open_chromatin": ["peaks.narrowPeak"],
            "signal": ["atac_rep1.bw"],
            "exclude": ["blacklist.bed"],
        },
    }
    return tmp_path, config


def refused(finished, folder, *words, code=3):
    assert finished.returncode == code, finished.stderr
    assert "Traceback" not in finished.stderr
    assert finished.stderr.count("error:") == 1
    for word in words:
        assert word in finished.stderr, finished.stderr
    results = folder / "results"
    assert not [path for path in results.rglob("*") if path.is_file()] if results.exists() else True


def test_missing_file(inputs):
    folder, config = inputs
    config["genome"]["promoters"] = "nowhere.gtf"
    refused(run(folder, "genome", config), folder, "nowhere.gtf", "no such file", "remedy")


def test_truncated_fasta(inputs):
    folder, config = inputs
    whole = gzip.decompress((folder / "genome.fa.gz").read_bytes())
    packed = gzip.compress(whole, mtime=0)
    (folder / "genome.fa.gz").write_bytes(packed[: len(packed) // 2])
    refused(run(folder, "genome", config), folder, "genome.fa.gz", "truncated")


def test_region_beyond_the_chromosome(inputs):
    folder, config = inputs
    with open(folder / "blacklist.bed", "a") as handle:
        handle.write("chr1\t10\t999999999\tbeyond\n")
    line = (folder / "blacklist.bed").read_text().count("\n")
    refused(run(folder, "genome", config), folder, "blacklist.bed", f"line {line}", "999999999", "remedy")


def test_negative_width(inputs):
    folder, config = inputs
    lines = (folder / "peaks.narrowPeak").read_text().splitlines()
    fields = lines[4].split("\t")
    fields[1], fields[2] = fields[2], fields[1]
    lines[4] = "\t".join(fields)
    (folder / "peaks.narrowPeak").write_text("\n".join(lines) + "\n")
    refused(run(folder, "genome", config), folder, "peaks.narrowPeak", "line 5", "remedy")


def test_unknown_chromosome_names(inputs):
    folder, config = inputs
    text = (folder / "genes.gtf").read_text().replace("chr", "NC_00")
    (folder / "genes.gtf").write_text(text)
    refused(run(folder, "genome", config), folder, "genes.gtf", "NC_00", "chr1", "remedy")


def test_unknown_key(inputs):
    folder, config = inputs
    config["negatives"] = {"calliper": 1}
    refused(run(folder, "genome", config), folder, "config.yaml", "negatives.calliper", "caliper")


def test_no_candidate_left(inputs):
    folder, config = inputs
    config["negatives"] = {"tss_buffer": 5_000_000}
    assert run(folder, "genome", config).returncode == 0
    finished = run(folder, "negatives", config)
    assert finished.returncode == 3
    assert "no candidate decoy is left" in finished.stderr
    assert "TSS +- 5000000 bp" in finished.stderr
    assert not (folder / "results/bad/negatives").exists()


def test_split_without_promoters(inputs):
    folder, config = inputs
    lines = (folder / "genes.gtf").read_text().splitlines(keepends=True)
    chroms = sorted({line.split("\t")[0] for line in lines if not line.startswith("#")})
    (folder / "genes.gtf").write_text("".join(line for line in lines if not line.startswith(f"{chroms[-1]}\t")))
    config["genome"]["splits"] = {"train": chroms[:-2], "validation": [chroms[-2]], "test": [chroms[-1]]}
    finished = run(folder, "genome", config)
    if finished.returncode == 0:
        finished = run(folder, "negatives", config)
    assert finished.returncode == 3
    assert "test" in finished.stderr
    assert "remedy" in finished.stderr


def test_balance_gate_has_its_own_exit_code(inputs):
    folder, config = inputs
    config["negatives"] = {"min_retention": 1.0, "caliper": 0.2}
    assert run(folder, "genome", config).returncode == 0
    finished = run(folder, "negatives", config)
    assert finished.returncode == 4
    assert "of the promoters kept a decoy" in finished.stderr
    assert not (folder / "results/bad/negatives").exists()


def test_wrong_usage_is_told_from_bad_input(inputs):
    folder, config = inputs
    assert run(folder, "genome", config, "runn").returncode == 2
