"""Each audit of the report goes red on the fault that it is there for, planted in a real run."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pysam
import pytest

from genocontrast.artefacts import read_parquet, write_parquet
from genocontrast.config import parse_config
from genocontrast.errors import GenocontrastWarning
from genocontrast.evaluation import stage as evaluation
from genocontrast.examples import HARD
from genocontrast.genome import Genome
from genocontrast.genome import stage as genome_stage
from genocontrast.negatives import stage as negatives
from genocontrast.report.results import read_results
from genocontrast.report.verdict import audit
from genocontrast.sequence import decode, encode, reverse_complement
from genocontrast.training import stage as training

pytestmark = pytest.mark.slow

GREEN = {"Balance": "pass", "Shortcut": "pass", "Strand": "pass", "Leakage": "pass"}
QUICK = {
    **{"width": 16, "depth": 1, "dim": 16, "epochs": 12, "patience": 12, "pool": "summary", "device": "cpu"},
    **{"batch_pairs": 16, "learning_rate": 0.01, "average": 0.9, "surrogate_weight": 0.0, "contrastive_weight": 0.05},
}
MOTIF = "GATTACAGTC"


def configure(folder: Path, **sections):
    genome = {
        "fasta": str(folder / "genome.fa.gz"),
        "promoters": str(folder / "genes.gtf"),
        "promoter_features": ["transcript"],
        "open_chromatin": [str(folder / "peaks.narrowPeak")],
        "signal": [str(folder / "atac_rep1.bw")],
    }
    given = {
        "genome": genome,
        "negatives": {"tiers": [], "signal_check": False, "gate": "warn", "min_retention": 0.5},
        "training": QUICK,
        "evaluation": {"bootstraps": 300, "scan": False, "motifs": 1},
    }
    for name, section in sections.items():
        given[name] = {**given[name], **section}
    return parse_config({"name": "planted", **given})


def badges(results: Path) -> dict[str, str]:
    return {item.name: item.state for item in audit(read_results(results))}


@pytest.fixture(scope="module")
def sound(simulated, tmp_path_factory):
    """A run without a fault, its promoters told by a motif alone: its configuration, inputs and results."""
    folder = copy_inputs(simulated, tmp_path_factory.mktemp("inputs") / "sound")
    config, results = configure(folder), tmp_path_factory.mktemp("sound")
    genome_stage.run(config, results)
    promoters = promoters_of(results)

    def drawn(chrom, rng, size):
        codes = bases(rng, np.full(size, 0.45))
        # one promoter in five lacks the motif: classes without any overlap have no calibration
        here = promoters[(promoters["chrom"] == chrom) & (rng.random(len(promoters)) < 0.8)]
        for row in here.itertuples():
            word = encode(MOTIF)
            for place in rng.choice(np.arange(row.start, row.end - len(word), len(word)), 2, replace=False):
                codes[place : place + len(word)] = word if rng.random() < 0.5 else reverse_complement(word)
        return codes

    rewrite(folder / "genome.fa.gz", drawn)
    for stage in (genome_stage, negatives, training, evaluation):
        stage.run(config, results)
    return SimpleNamespace(config=config, results=results, folder=folder)


@pytest.fixture
def changed(sound, tmp_path):
    """A copy of its results, to plant a fault in."""
    return Path(shutil.copytree(sound.results, tmp_path / "planted"))


def test_a_sound_run_is_green(sound):
    assert badges(sound.results) == GREEN


@pytest.fixture(scope="module")
def gc_alone(sound, tmp_path_factory):
    """Inputs without any motif: nothing but the share of G and C tells promoters."""
    folder = copy_inputs(sound.folder, tmp_path_factory.mktemp("inputs") / "gc")
    promoters = promoters_of(sound.results)

    def drawn(chrom, rng, size):
        share = np.full(size, 0.42)
        for row in promoters[promoters["chrom"] == chrom].itertuples():
            share[row.start - 100 : row.end + 100] = 0.47
        return bases(rng, share)

    rewrite(folder / "genome.fa.gz", drawn)
    return folder


def test_decoys_of_another_gc_content_fail_the_balance(gc_alone, changed):
    config = configure(gc_alone, negatives={"caliper": 50.0})
    with pytest.warns(GenocontrastWarning, match="gc"):
        negatives.run(config, changed)
    evaluation.run(config, changed)
    assert badges(changed)["Balance"] == "fail"


def test_a_model_that_can_only_learn_gc_fails_the_shortcut_audit(gc_alone, changed):
    config = configure(gc_alone, negatives={"covariates": ["accessibility"], "also_measured": ["gc"], "caliper": 0.2})
    for stage in (genome_stage, negatives, training, evaluation):
        stage.run(config, changed)
    assert read_results(changed).metrics["signal"]
    assert badges(changed) == GREEN | {"Shortcut": "fail"}


def test_a_plain_network_fails_the_strand_audit(sound, changed):
    config = configure(sound.folder, training={"strand": "free"})
    training.run(config, changed)
    evaluation.run(config, changed)
    assert badges(changed) == GREEN | {"Strand": "fail"}
    assert read_results(changed).metrics["strand"]["flips"] > 0


def test_test_windows_among_the_training_ones_fail_the_leakage_audit(sound, changed):
    path = changed / "negatives" / "examples.parquet"
    examples, record = read_parquet(path)
    pairs = examples.loc[examples["split"] == "test", "pair_id"].unique()[:3]
    seen = examples[examples["pair_id"].isin(pairs)].assign(split="train")
    seen["pair_id"] += examples["pair_id"].max() + 1
    write_parquet(path, pd.concat([examples, seen], ignore_index=True), record)
    evaluation.run(sound.config, changed)
    assert badges(changed) == GREEN | {"Leakage": "fail"}
    assert read_results(changed).metrics["leakage"]["overlapping"] == 6


@pytest.mark.parametrize("turned", [False, True])
def test_copies_of_test_windows_elsewhere_fail_the_leakage_audit(sound, changed, tmp_path, turned):
    """Three training decoys have their bases replaced by those of test promoters, on either strand."""
    folder, examples = (
        copy_inputs(sound.folder, tmp_path / "copied"),
        read_parquet(changed / "negatives/examples.parquet")[0],
    )
    examples = examples[examples["tier"] == HARD]
    tested = examples[(examples["split"] == "test") & (examples["label"] == 1)].head(3)
    into = examples[(examples["split"] == "train") & (examples["label"] == 0)].head(3)
    genome = Genome(sound.folder / "genome.fa.gz")
    copies = genome.codes(tested.assign(strand="-" if turned else "+"), genome_width(tested))

    def planted(chrom, rng, size):
        codes = encode(genome.sequence(chrom, 0, size))
        for row, copy in zip(into.itertuples(), copies, strict=True):
            if row.chrom == chrom:
                codes[row.start : row.end] = copy
        return codes

    rewrite(folder / "genome.fa.gz", planted)
    evaluation.run(configure(folder), changed)
    assert badges(changed) == GREEN | {"Leakage": "fail"}
    leakage = read_results(changed).metrics["leakage"]
    assert leakage["overlapping"] == 0
    assert leakage["near_duplicates"] >= 3


def genome_width(regions: pd.DataFrame) -> int:
    return int((regions["end"] - regions["start"]).iloc[0])


def copy_inputs(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.fai", "*.gzi")))


def promoters_of(results: Path) -> pd.DataFrame:
    return read_parquet(results / "genome" / "promoters.parquet")[0]


def bases(rng: np.random.Generator, share: np.ndarray) -> np.ndarray:
    """Bases of the given shares of G and C, independent of one another."""
    strong, second = rng.random(len(share)) < share, rng.random(len(share)) < 0.5
    return np.where(strong, np.where(second, 1, 2), np.where(second, 0, 3)).astype(np.uint8)


def rewrite(path: Path, change) -> None:
    """Put other bases into a FASTA file, chromosome by chromosome."""
    genome, rng = Genome(path), np.random.default_rng(0)
    plain = path.with_suffix("")
    plain.write_text("".join(f">{chrom}\n{decode(change(chrom, rng, size))}\n" for chrom, size in genome.sizes.items()))
    for left in [path, *path.parent.glob(f"{path.name}.*")]:
        left.unlink()
    pysam.tabix_compress(str(plain), str(path))
