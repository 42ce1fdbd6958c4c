"""The negatives stage: promoters and matched decoys of one data set."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genocontrast.artefacts import provenance, read_parquet, write_json, write_parquet
from genocontrast.config import Config, NegativesConfig
from genocontrast.errors import BalanceError, GenocontrastWarning, PoolError, RegionError
from genocontrast.examples import HARD, check_examples, check_frozen, digest, sort_examples
from genocontrast.genome.fasta import Genome
from genocontrast.genome.inputs import open_signal
from genocontrast.genome.intervals import widen
from genocontrast.genome.near_duplicates import nearly_repeats
from genocontrast.genome.regions import read_regions
from genocontrast.genome.signal import Signal
from genocontrast.genome.splits import Splits, read_splits
from genocontrast.negatives.balance import Balance
from genocontrast.negatives.covariates import Covariates, accessibility, columns_of
from genocontrast.negatives.decoys import Plan, match_measured
from genocontrast.negatives.matching import with_split
from genocontrast.negatives.pool import Pool, Sieve, describe, lay_out, whole_chromosomes
from genocontrast.negatives.signal_check import check_signal
from genocontrast.negatives.summary import summarise, write_bed
from genocontrast.negatives.thinning import disjoint, overlap_one_another, thin
from genocontrast.negatives.tiers import build_tiers

OUTPUTS = ("examples.parquet", "dropped.parquet", "pool.parquet", "examples.bed", "balance.json")
INPUTS = ("promoters", "evidence", "open_chromatin", "excluded", "annotation")


@dataclass(frozen=True)
class Windows:
    """Promoters and candidates of a data set, before they are matched.

    Attributes
    ----------
    promoters, candidates : Sieve
        Rows with split, keys and covariates, and what each rule removed.
    pool : Pool
        The candidates before they were measured and thinned.
    covariates : Covariates
        What they were measured by.
    plan : Plan
        What they are to be matched on.
    """

    promoters: Sieve
    candidates: Sieve
    pool: Pool
    covariates: Covariates
    plan: Plan


def run(config: Config, results: Path) -> None:
    """Build the examples of `results`/negatives from the files of `results`/genome.

    An older run's files go first, and balance.json is written last: where a run fails, nothing is left that a later
    stage could take for its result.
    """
    stage, settings = results / "negatives", config.negatives
    for name in OUTPUTS:
        (stage / name).unlink(missing_ok=True)
    tables = {name: read_parquet(results / "genome" / f"{name}.parquet")[0] for name in INPUTS}
    genome = Genome(config.genome.fasta)
    splits = read_splits(results / "genome" / "genome.json")
    windows = gather(config, tables, genome, open_signal(config.genome, genome), splits)
    drop_repeats(genome, windows.promoters, windows.candidates)
    promoters, candidates = windows.promoters.rows, windows.candidates.rows
    matched = match_measured(promoters, candidates, windows.plan, windows.pool.cleared_by, windows.covariates.fitted)
    gate(matched.balance, settings)
    tiers = build_tiers(
        settings.tiers, matched.examples, candidates, genome, windows.covariates, splits,
        exclusions(tables, config, genome), _margin(config), config.genome.max_n_fraction, config.seed,
    )  # fmt: skip
    examples = sort_examples(pd.concat([matched.examples, tiers.examples], ignore_index=True))
    examples = check_examples(permute_within_pairs(examples, config.seed) if settings.permute_labels else examples)
    if settings.frozen is not None:
        check_frozen(examples, settings.frozen)
    summary = summarise(matched, windows.promoters, windows.candidates, windows.pool, tables["annotation"], config)
    pairs = len(promoters) - len(matched.dropped)
    summary["tiers"] = {"hard": {"pairs": pairs, "of": pairs, "removed": {}}} | tiers.record
    summary["digest"] = digest(examples)
    if settings.signal_check:
        summary["signal_check"] = check_signal(promoters, candidates, windows.plan, config, genome)
    inputs = {name: results / "genome" / f"{name}.parquet" for name in INPUTS} | {"fasta": Path(config.genome.fasta)}
    inputs |= {f"track.{name}": Path(path) for name, path in settings.tracks.items()}
    inputs |= {column: Path(path) for column, path in key_columns(settings.exact).items() if column != "chrom"}
    record = provenance("negatives", {**portable(settings), "seed": config.seed}, inputs)
    write_parquet(stage / "examples.parquet", examples, record)
    write_parquet(stage / "dropped.parquet", matched.dropped, record)
    write_parquet(stage / "pool.parquet", matched.pool, record)
    write_bed(stage / "examples.bed", examples[examples["tier"] == HARD])
    write_json(stage / "balance.json", {"provenance": record, **summary})


def portable(settings: NegativesConfig) -> dict[str, Any]:
    """The section with file names in place of paths, the same on every machine."""
    tracks = {name: Path(path).name for name, path in settings.tracks.items()}
    return settings.model_dump() | {"tracks": tracks, "exact": [Path(path).name for path in settings.exact]}


def gate(balance: Balance, settings: NegativesConfig) -> None:
    """Stop at an unbalanced decoy set, or warn where the configuration says so."""
    try:
        balance.check()
    except BalanceError as error:
        if settings.gate == "stop":
            raise
        warnings.warn(str(error), GenocontrastWarning, stacklevel=2)


def gather(
    config: Config, tables: Mapping[str, pd.DataFrame], genome: Genome, signal: Signal, splits: Splits
) -> Windows:
    """Promoters and candidate decoys: open, clear of all evidence, disjoint, and measured."""
    settings = config.negatives
    promoters = open_promoters(tables["promoters"], signal, config)
    pool = open_pool(genome, tables, splits, signal, config)
    keys = list(key_columns(settings.exact))
    promoters.rows, candidates = (
        with_split(with_names(rows, settings.exact, genome), splits, keys) for rows in (promoters.rows, pool.windows)
    )
    reference = promoters.rows[promoters.rows["split"] == "train"]
    names = [*settings.covariates, *settings.also_measured]
    tracks = {name: Signal(settings.tracks[name], genome) for name in settings.tracks if name in names}
    tss = tables["evidence"][tables["evidence"]["kind"] == "tss"]
    ruler = Covariates(names, genome, signal, tracks, tss, reference)
    columns = [column for name in dict.fromkeys(settings.covariates) for column in columns_of(name)]
    promoters.rows = promoters.rows.join(ruler.measure(promoters.rows))
    sieve = thin(promoters.rows, candidates.join(ruler.measure(candidates)), columns)
    plan = Plan(
        columns, [column for column in ruler.columns if column not in columns], keys, settings.caliper,
        settings.method, settings.tolerance, settings.ratio, settings.max_smd,
        settings.min_retention, settings.gate == "stop", config.seed,
    )  # fmt: skip
    return Windows(promoters, sieve, pool, ruler, plan)


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
    genome: Genome, tables: Mapping[str, pd.DataFrame], splits: Splits, signal: Signal, config: Config
) -> Pool:
    """Candidate decoys in a split: clear of all evidence, and open; they may overlap."""
    settings = config.negatives
    # Of a genome that is tiled, the chromosomes of no split are not: for chr8 alone, human's 3 Gb would take minutes.
    covered, peaks = set(splits.table["chrom"]), tables["open_chromatin"]
    whole = whole_chromosomes({chrom: size for chrom, size in genome.sizes.items() if chrom in covered})
    places = {"summits": (peaks, None), "peaks": (peaks, settings.stride), "genome": (whole, settings.stride)}
    pool = lay_out(
        genome,
        [places[kind] for kind in dict.fromkeys(settings.candidates)],
        exclusions(tables, config, genome),
        config.genome.width,
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
    return Pool(sieve.rows, {**pool.removed, **sieve.removed}, pool.cleared_by, pool.evidence)


def key_columns(exact: Sequence[str]) -> dict[str, str]:
    """The column of each of `negatives.exact`: chrom itself, or exact_1, exact_2, ... for files."""
    return {"chrom" if path == "chrom" else f"exact_{number}": path for number, path in enumerate(exact, 1)}


def with_names(windows: pd.DataFrame, exact: Sequence[str], genome: Genome) -> pd.DataFrame:
    """The windows with a column for each file of named regions: the name of the region that holds each, or ''."""
    for column, path in key_columns(exact).items():
        if column == "chrom":
            continue
        regions = read_regions(path, genome=genome)
        if overlap_one_another(regions):
            raise RegionError("named regions overlap one another", path=path, remedy="give each base one name")
        held = Splits(regions.sort_values(["chrom", "start"]).rename(columns={"name": "split"})).of(windows)
        windows = windows.assign(**{column: pd.Series(held, index=windows.index).fillna("")})
    return windows


def drop_repeats(genome: Genome, promoters: Sieve, candidates: Sieve) -> None:
    """Remove windows of the other splits that nearly repeat a training window: they would leak into its figures.

    Paralogs and mobile elements lie on both sides of any split. The rows have a split.
    """
    known = pd.concat([sieve.rows[["chrom", "start", "end", "strand", "split"]] for sieve in (promoters, candidates)])
    training = genome.codes(known[known["split"] == "train"])
    for sieve in (promoters, candidates):
        repeats = (sieve.rows["split"] != "train").to_numpy()
        repeats[repeats] = nearly_repeats(genome.codes(sieve.rows[repeats]), training)
        sieve.drop("nearly repeats a training window", repeats)


def exclusions(tables: Mapping[str, pd.DataFrame], config: Config, genome: Genome) -> dict[str, pd.DataFrame]:
    """Named regions that no decoy may overlap: promoters and TSS with their margins, each evidence, blacklist."""
    evidence, margin = tables["evidence"], _margin(config)
    tss = evidence[evidence["kind"] == "tss"]
    named = {
        f"promoters +- {margin} bp": widen(tables["promoters"], margin, genome.sizes),
        f"TSS +- {config.negatives.tss_buffer} bp": widen(tss, config.negatives.tss_buffer, genome.sizes),
    }
    for source, rows in evidence[evidence["kind"] == "evidence"].groupby("source", sort=True):
        named[str(source)] = rows
    if len(tables["excluded"]):
        named["excluded regions"] = tables["excluded"]
    return named


def _margin(config: Config) -> int:
    margin = config.negatives.promoter_margin
    return config.genome.width if margin is None else margin


def permute_within_pairs(examples: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Swap the labels of a random half of the pairs: the negative control, in which nothing can be learned.

    With several decoys a pair, the promoter changes places with the first of them; all tiers swap the same pairs.
    """
    rng = np.random.default_rng(seed)
    swapped = rng.random(int(examples["pair_id"].max()) + 1) < 0.5
    decoys = examples[examples["label"] == 0]
    moves = (examples["label"] == 1).to_numpy()
    moves[examples.index.get_indexer(decoys.index[~decoys.duplicated(["tier", "pair_id"])])] = True
    label = np.where(swapped[examples["pair_id"]] & moves, 1 - examples["label"], examples["label"])
    return examples.assign(label=label.astype("int8"))
