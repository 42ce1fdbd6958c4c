"""The negatives stage: promoters and matched decoys of one data set."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genocontrast.artefacts import atomic, provenance, read_parquet, write_json, write_parquet
from genocontrast.config import SPLITS, Config, NegativesConfig
from genocontrast.errors import BalanceError, GenocontrastWarning, PoolError
from genocontrast.examples import check_examples
from genocontrast.genome.fasta import Genome
from genocontrast.genome.inputs import open_signal
from genocontrast.genome.intervals import overlaps, widen
from genocontrast.genome.near_duplicates import nearly_repeats
from genocontrast.genome.signal import Signal
from genocontrast.genome.splits import Splits, read_splits
from genocontrast.negatives.balance import Balance
from genocontrast.negatives.covariates import accessibility, measure
from genocontrast.negatives.matching import Matched, match_negatives
from genocontrast.negatives.pool import Pool, Sieve, candidate_pool, describe
from genocontrast.negatives.thinning import disjoint, likeness

INPUTS = ("promoters", "evidence", "open_chromatin", "excluded", "annotation")


def run(config: Config, results: Path) -> None:
    """Build the examples of `results`/negatives from the files of `results`/genome."""
    stage = results / "negatives"
    tables = {name: read_parquet(results / "genome" / f"{name}.parquet")[0] for name in INPUTS}
    genome = Genome(config.genome.fasta)
    signal = open_signal(config.genome, genome)
    splits = read_splits(results / "genome" / "genome.json")
    promoters = open_promoters(tables["promoters"], signal, config)
    pool = open_pool(genome, tables, promoters.rows, splits, signal, config)
    pool = drop_repeats(genome, promoters, pool, splits)
    settings = config.negatives
    matched = match_negatives(
        promoters.rows,
        pool,
        genome,
        settings.covariates,
        signal,
        caliper=settings.caliper,
        max_smd=settings.max_smd,
        splits=splits,
        seed=config.seed,
    )
    gate(matched.balance, settings)
    examples = check_examples(
        permute_within_pairs(matched.examples, config.seed) if settings.permute_labels else matched.examples
    )
    inputs = {name: results / "genome" / f"{name}.parquet" for name in INPUTS} | {"fasta": Path(config.genome.fasta)}
    record = provenance("negatives", {**settings.model_dump(), "seed": config.seed}, inputs)
    summary = summarise(matched, promoters, pool, splits, tables["annotation"], config)
    write_parquet(stage / "examples.parquet", examples, record)
    write_parquet(stage / "dropped.parquet", matched.dropped, record)
    write_bed(stage / "examples.bed", examples)
    write_json(stage / "balance.json", {"provenance": record, **summary})


def gate(balance: Balance, settings: NegativesConfig) -> None:
    """Stop at an unbalanced decoy set, or warn where the configuration says so."""
    try:
        balance.check(settings.min_retention)
    except BalanceError as error:
        if settings.gate == "stop":
            raise
        warnings.warn(str(error), GenocontrastWarning, stacklevel=2)


def open_promoters(promoters: pd.DataFrame, signal: Signal, config: Config) -> Sieve:
    """Promoters that are open and do not overlap a more accessible one."""
    sieve = Sieve(promoters)
    openness = accessibility(sieve.rows, signal)
    sieve.drop("closed promoter", openness < config.negatives.min_accessibility)
    sieve.drop(
        "overlaps a more accessible promoter",
        ~disjoint(sieve.rows, openness[openness >= config.negatives.min_accessibility]),
    )
    if sieve.rows.empty:
        raise PoolError(
            f"no promoter is left of {len(promoters):,}; removed: {describe(sieve.removed)}",
            remedy="lower negatives.min_accessibility, or check that signal and annotation are of one assembly",
        )
    return sieve


def open_pool(
    genome: Genome,
    tables: dict[str, pd.DataFrame],
    promoters: pd.DataFrame,
    splits: Splits,
    signal: Signal,
    config: Config,
) -> Pool:
    """Candidate decoys of the splits' chromosomes: clear of all evidence, open and disjoint."""
    settings = config.negatives
    tiled = settings.candidates == "tiles"
    covered = set(splits.table["chrom"])
    sizes = {chrom: size for chrom, size in genome.sizes.items() if chrom in covered}
    whole = pd.DataFrame({"chrom": list(sizes), "start": 0, "end": list(sizes.values())})
    peaks = tables["open_chromatin"]
    pool = candidate_pool(
        genome,
        whole if tiled else peaks[peaks["chrom"].isin(covered)],
        exclusions(tables, config, genome),
        config.genome.width,
        settings.stride if tiled else None,
        config.genome.max_n_fraction,
    )
    sieve = Sieve(pool.windows)
    sieve.drop("in no split (gap or border)", pd.isna(splits.of(sieve.rows)))
    sieve.drop("closed", accessibility(sieve.rows, signal) < settings.min_accessibility)
    if sieve.rows.empty:
        raise PoolError(
            f"no candidate decoy in a split is open; removed: {describe({**pool.removed, **sieve.removed})}",
            remedy="lower negatives.min_accessibility, or check that the signal is of this assembly",
        )
    training = splits.of(promoters) == "train"
    priority = likeness(
        measure(promoters[training], genome, settings.covariates, signal),
        measure(sieve.rows, genome, settings.covariates, signal),
        splits.of(sieve.rows) == "train",
    )
    sieve.drop("overlaps a window more like a promoter", ~disjoint(sieve.rows, priority))
    return Pool(sieve.rows, {**pool.removed, **sieve.removed}, pool.cleared_by)


def drop_repeats(genome: Genome, promoters: Sieve, pool: Pool, splits: Splits) -> Pool:
    """Remove windows of the other splits that nearly repeat a training window: they would leak into its figures.

    Paralogs and mobile elements lie on both sides of any split. Removes from `promoters` in place.
    """
    candidates = Sieve(pool.windows)
    known = pd.concat([sieve.rows[["chrom", "start", "end", "strand"]] for sieve in (promoters, candidates)])
    training = genome.codes(known[splits.of(known) == "train"])
    for sieve in (promoters, candidates):
        repeats = splits.of(sieve.rows) != "train"
        repeats[repeats] = nearly_repeats(genome.codes(sieve.rows[repeats]), training)
        sieve.drop("nearly repeats a training window", repeats)
    return Pool(candidates.rows, {**pool.removed, **candidates.removed}, pool.cleared_by)


def exclusions(tables: dict[str, pd.DataFrame], config: Config, genome: Genome) -> dict[str, pd.DataFrame]:
    """Named regions that no decoy may overlap: promoters, TSS +- buffer, each evidence, blacklist."""
    evidence = tables["evidence"]
    tss = evidence[evidence["kind"] == "tss"]
    named = {
        "promoters": tables["promoters"],
        f"TSS +- {config.negatives.tss_buffer} bp": widen(tss, config.negatives.tss_buffer, genome.sizes),
    }
    for source, rows in evidence[evidence["kind"] == "evidence"].groupby("source", sort=True):
        named[str(source)] = rows
    if len(tables["excluded"]):
        named["excluded regions"] = tables["excluded"]
    return named


def permute_within_pairs(examples: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Swap the labels of a random half of the pairs: the negative control, in which nothing can be learned."""
    rng = np.random.default_rng(seed)
    swapped = rng.random(int(examples["pair_id"].max()) + 1) < 0.5
    label = np.where(swapped[examples["pair_id"]], 1 - examples["label"], examples["label"])
    return examples.assign(label=label.astype("int8"))


def decoy_classes(
    decoys: pd.DataFrame, annotation: pd.DataFrame, features: Sequence[str] | None
) -> list[dict[str, Any]]:
    """Count decoys by the first feature that holds their centre; 'intergenic' where none does."""
    centre = (decoys["start"] + decoys["end"]) // 2
    points = pd.DataFrame({"chrom": decoys["chrom"], "start": centre, "end": centre + 1})
    kind = np.full(len(decoys), "intergenic", dtype=object)
    for feature in reversed(features or []):
        kind[overlaps(points, annotation[annotation["feature"] == feature])] = feature
    names, counts = np.unique(kind.astype(str), return_counts=True)
    return [{"class": str(name), "decoys": int(count)} for name, count in zip(names, counts, strict=True)]


def summarise(
    matched: Matched,
    promoters: Sieve,
    pool: Pool,
    splits: Splits,
    annotation: pd.DataFrame,
    config: Config,
) -> dict[str, Any]:
    """What the report says of promoters, pool, decoys and their balance."""
    examples, settings = matched.examples, config.negatives
    by_split, pool_split = {}, splits.of(pool.windows)
    for split in SPLITS:
        rows = examples[examples["split"] == split]
        by_split[split] = {
            "promoters": int((rows["label"] == 1).sum()),
            "decoys": int((rows["label"] == 0).sum()),
            "pool": int((pool_split == split).sum()),
            "dropped": int((matched.dropped["split"] == split).sum()),
        }
    features = config.genome.annotation.features if config.genome.annotation else None
    value, low, high = matched.balance.two_sample_auroc
    return {
        "passed": not matched.balance.failures(settings.min_retention),
        "retention": matched.balance.retention,
        "table": matched.balance.table.assign(matched=True).to_dict("records"),
        "two_sample": {"auroc": value, "low": low, "high": high},
        "counts": {"promoters": promoters.removed, "pool": pool.removed},
        "splits": by_split,
        "classes": decoy_classes(examples[examples["label"] == 0], annotation, features),
        "permuted": settings.permute_labels,
    }


def write_bed(path: Path, examples: pd.DataFrame) -> None:
    """Examples for a genome browser: BED6, score 1000 for promoters and 0 for decoys."""
    score = np.where(examples["label"] == 1, 1000, 0)
    bed = examples[["chrom", "start", "end", "name"]].assign(score=score, strand=examples["strand"])
    with atomic(path) as temporary:
        bed.sort_values(["chrom", "start", "end"], kind="stable").to_csv(temporary, sep="\t", header=False, index=False)
