"""The genome and negatives stages from end to end on a genome of one chromosome, split by blocks."""

import gzip
import shutil

import numpy as np
import pandas as pd
import pyBigWig
import pytest

from genocontrast.artefacts import read_json, read_parquet
from genocontrast.config import SPLITS, parse_config
from genocontrast.evaluation.leakage import leakage_audit
from genocontrast.examples import read_examples
from genocontrast.genome import stage as genome_stage
from genocontrast.genome.fasta import Genome
from genocontrast.genome.splits import read_splits
from genocontrast.negatives import stage as negatives_stage
from genocontrast.sequence import decode

BLOCK, GAP = 20_000, 1_500


def join_signal(source, target, offsets, size):
    joined = pyBigWig.open(str(target), "w")
    joined.addHeader([("all", size)])
    with pyBigWig.open(str(source)) as track:
        for chrom, offset in offsets.items():
            for start, end, value in track.intervals(chrom) or []:
                joined.addEntries(["all"], [start + offset], ends=[end + offset], values=[value])
    joined.close()


def join_table(source, target, offsets, columns):
    """Rows of a table moved to the joined chromosome; `columns` hold coordinates."""
    rows = [line.split("\t") for line in source.read_text().splitlines() if line.strip() and line[0] != "#"]
    for row in rows:
        for column in columns:
            row[column] = str(int(row[column]) + offsets[row[0]])
        row[0] = "all"
    target.write_text("".join("\t".join(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def one_chromosome(simulated, tmp_path_factory):
    """The simulated genome with its chromosomes joined into a single one."""
    folder = tmp_path_factory.mktemp("joined")
    genome = Genome(simulated / "genome.fa.gz")
    sizes = list(genome.sizes.values())
    offsets = dict(zip(genome.sizes, (np.cumsum(sizes) - sizes).tolist(), strict=True))
    with gzip.open(folder / "genome.fa.gz", "wt") as fasta:
        fasta.write(">all\n" + "".join(decode(genome.chromosome(chrom)) for chrom in offsets) + "\n")
    for name in ("atac_rep1.bw", "atac_rep2.bw"):
        join_signal(simulated / name, folder / name, offsets, sum(sizes))
    for name, columns in (("genes.gtf", (3, 4)), ("peaks.narrowPeak", (1, 2)), ("blacklist.bed", (1, 2))):
        join_table(simulated / name, folder / name, offsets, columns)
    return folder


@pytest.fixture(scope="module")
def joined_results(one_chromosome, tmp_path_factory):
    folder = one_chromosome
    config = parse_config(
        {
            "name": "joined",
            "genome": {
                "fasta": str(folder / "genome.fa.gz"), "promoters": str(folder / "genes.gtf"),
                "signal": [str(folder / f"atac_rep{n}.bw") for n in (1, 2)],
                "open_chromatin": [str(folder / "peaks.narrowPeak")], "exclude": [str(folder / "blacklist.bed")],
                "splits": {"by": "block", "block": BLOCK, "gap": GAP},
            },
            "negatives": {"min_retention": 0, "max_smd": 9, "caliper": 2.0},
        }
    )  # fmt: skip
    results = tmp_path_factory.mktemp("joined") / "results"
    genome_stage.run(config, results)
    negatives_stage.run(config, results)
    yield results
    shutil.rmtree(results)


def test_every_example_lies_wholly_in_a_segment_of_its_split(joined_results):
    examples = read_examples(joined_results / "negatives" / "examples.parquet")
    splits = read_splits(joined_results / "genome" / "genome.json")
    assert set(examples["split"]) == set(SPLITS)
    assert examples.groupby("split").size().min() > 20
    for example in examples.itertuples():
        mine = splits.segments(example.split)
        assert ((mine["start"] <= example.start) & (example.end <= mine["end"])).sum() == 1


def test_no_examples_of_different_splits_are_closer_than_the_gap(joined_results):
    examples = read_examples(joined_results / "negatives" / "examples.parquet").sort_values("start")
    left, right = examples.iloc[:-1], examples.iloc[1:]
    torn = (left["split"].to_numpy() != right["split"].to_numpy()).nonzero()[0]
    assert len(torn) > 10, "the blocks of the splits alternate"
    distance = right["start"].to_numpy() - left["end"].to_numpy()
    assert distance[torn].min() >= GAP


def test_no_test_window_was_seen_in_training(joined_results, one_chromosome):
    examples = read_examples(joined_results / "negatives" / "examples.parquet")
    genome = Genome(one_chromosome / "genome.fa.gz")
    test, train = (examples[examples["split"] == split] for split in ("test", "train"))
    audit = leakage_audit(test, train, genome.codes(test), genome.codes(train))
    assert (audit.windows, audit.overlapping, audit.near_duplicates) == (len(test), 0, 0)


def test_what_lies_in_gaps_is_counted(joined_results):
    record = read_json(joined_results / "genome" / "genome.json")
    counts, splits = record["counts"], read_splits(joined_results / "genome" / "genome.json")
    promoters = read_parquet(joined_results / "genome" / "promoters.parquet")[0]
    assert counts["promoters"] == len(promoters)
    assert not pd.isna(splits.of(promoters)).any()
    assert counts["outside_splits"] > 0
    filters = ("duplicate_tss", "outside_chromosome", "excluded", "too_many_n", "sealed", "outside_splits")
    assert counts["transcripts"] - sum(counts[name] for name in filters) == len(promoters)
    removed = read_json(joined_results / "negatives" / "balance.json")["counts"]["pool"]
    assert removed["in no split (gap or border)"] > 0
    by_split = read_json(joined_results / "negatives" / "balance.json")["splits"]
    left = removed.pop("candidate windows") - sum(removed.values())
    assert sum(by_split[split]["pool"] for split in SPLITS) == left


def test_the_record_says_what_is_in_blocks(joined_results):
    record = read_json(joined_results / "genome" / "genome.json")
    assert record["splits"] == {"train": ["all"], "validation": ["all"], "test": ["all"], "sealed": []}
    assert [row["split"] for row in record["sequences"]] == ["blocks"]
