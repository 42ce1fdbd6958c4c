"""Every file that a configuration names is an input of some stage."""

import pytest

from genocontrast.config import parse_config
from genocontrast.needs import artefacts, files

EVERYTHING = {
    "name": "all",
    "genome": {
        "fasta": "genome.fa",
        "promoters": "promoters.bed",
        "open_chromatin": ["open.bed"],
        "signal": ["signal.bw"],
        "exclude": ["exclude.bed"],
        "evidence": [{"path": "evidence.bed"}],
        "annotation": {"path": "annotation.gff", "features": ["CDS"]},
    },
    "negatives": {
        "tracks": {"conservation": "track.bw"},
        "also_measured": ["conservation"],
        "exact": ["chrom", "exact.bed"],
    },
    "evaluation": {"truth": "truth.tsv", "motif_database": "motifs.meme", "binding_sites": {"Reb1": "reb1.bed"}},
}
STAGES = ("genome", "negatives", "kmers", "training", "evaluation")


def paths_in(value):
    if isinstance(value, dict):
        return [path for inner in value.values() for path in paths_in(inner)]
    if isinstance(value, list):
        return [path for inner in value for path in paths_in(inner)]
    return [value] if isinstance(value, str) and "." in value else []


def test_no_file_is_forgotten():
    read = {path for stage in STAGES for path in files(parse_config(EVERYTHING), stage)}
    assert read == set(paths_in(EVERYTHING))


def test_each_stage_reads_the_genome_and_none_twice():
    config = parse_config(EVERYTHING)
    for stage in STAGES:
        assert files(config, stage)[0] == "genome.fa"
        assert len(set(files(config, stage))) == len(files(config, stage))


@pytest.mark.parametrize(
    ("training", "stage", "needed"),
    [
        ({}, "training", []),
        ({"encoder": "kmers"}, "training", ["kmers/kmers.h5ad"]),
        ({"encoder": "kmers"}, "training_tier", ["kmers/kmers.h5ad"]),
        ({"mined_rounds": 1}, "training", ["negatives/pool.parquet", "negatives/balance.json"]),
        ({"mined_rounds": 1}, "training_tier", []),
        ({"curriculum": ["pool"]}, "training", ["negatives/pool.parquet", "negatives/dropped.parquet"]),
        ({"curriculum": ["random"]}, "training", []),
        ({"pretraining": {"windows": "open"}}, "training", ["genome/genome.json", "genome/open_chromatin.parquet"]),
    ],
)
def test_settings_ask_for_artefacts(training, stage, needed):
    assert artefacts(parse_config({**EVERYTHING, "training": training}), stage) == needed
