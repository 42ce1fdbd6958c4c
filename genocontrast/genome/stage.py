"""The genome stage: check the inputs, make the promoters, share the genome out among the splits."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genocontrast.artefacts import provenance, write_json, write_parquet, write_table
from genocontrast.config import SPLITS, Config, GenomeConfig
from genocontrast.errors import GenocontrastWarning, RegionError
from genocontrast.genome.inputs import Inputs
from genocontrast.genome.intervals import merge, nearest_distance, overlaps, subtract
from genocontrast.genome.names import MAX_LOST
from genocontrast.genome.plausibility import assembly, doubts, plausibility, remarks
from genocontrast.genome.promoters import collapse, inside, most_5prime, promoter_windows, unique_sites
from genocontrast.genome.splits import Splits, assign_splits
from genocontrast.sequence import N_CODE, gc_fraction

_PROMOTER_COLUMNS = ["chrom", "start", "end", "name", "score", "strand", "tss"]


@dataclass(frozen=True)
class Prepared:
    """What the stage makes, before it is written: tables, and the record that becomes genome.json."""

    promoters: pd.DataFrame
    evidence: pd.DataFrame
    open_chromatin: pd.DataFrame
    excluded: pd.DataFrame
    annotation: pd.DataFrame
    record: dict[str, Any]
    inputs: Inputs


def prepare(config: Config) -> Prepared:
    """Read and check every input of a data set, and make its promoters and splits.

    Raises
    ------
    FileFormatError, NamingError, RegionError, SplitError
        Naming file, line, value and remedy.
    """
    inputs = Inputs(config.genome)
    promoters, counts = _promoters(inputs, config)
    chosen = assign_splits(config.genome.splits, promoters, inputs.genome)
    sealed = promoters["chrom"].isin(config.genome.splits.sealed)
    within = pd.Series(chosen.of(promoters)).notna()
    counts |= {"sealed": int(sealed.sum()), "outside_splits": int((~within & ~sealed).sum())}
    promoters = promoters[within].reset_index(drop=True)
    counts |= {"promoters": len(promoters), "open_chromatin": len(inputs.open_chromatin)}
    counts["evidence_with_tss"] = sum(entry.get("with_tss", 0) for entry in inputs.files)
    counts |= {"evidence": len(inputs.evidence), "excluded_regions": len(inputs.excluded)}
    record = {
        "provenance": provenance("genome", portable(config.genome), inputs.paths),
        "sequences": _sequences(inputs, chosen),
        "assembly": assembly(inputs.genome.sizes),
        "files": inputs.files,
        "counts": counts,
        "classes": _classes(promoters, inputs),
        "splits": {split: chosen.chroms(split) for split in SPLITS}
        | {"sealed": [chrom for chrom in inputs.genome.sizes if chrom in config.genome.splits.sealed]},
        "segments": chosen.records(),
        "plausibility": plausibility(promoters, inputs),
    }
    tables = (inputs.evidence, inputs.open_chromatin, inputs.excluded, inputs.annotation)
    return Prepared(promoters, *tables, record, inputs)


def run(config: Config, results: Path) -> None:
    """Write results/genome/: promoters, evidence, open chromatin, exclusions, annotation and genome.json."""
    prepared = prepare(config)
    for doubt in doubts(prepared.record) + remarks(prepared.record):
        warnings.warn(doubt, GenocontrastWarning, stacklevel=2)
    folder, record = Path(results) / "genome", prepared.record["provenance"]
    for name in ("promoters", "evidence", "open_chromatin", "excluded", "annotation"):
        write_parquet(folder / f"{name}.parquet", getattr(prepared, name), record)
    bed = prepared.promoters[_PROMOTER_COLUMNS[:6]]
    write_table(folder / "promoters.bed", bed.assign(score=0), header=False)
    # Last, so that a run cut short has no genome.json.
    write_json(folder / "genome.json", prepared.record)


def portable(config: GenomeConfig) -> dict[str, Any]:
    """The genome section with file names in place of paths, the same on every machine."""

    def bare(value: Any, key: str = "") -> Any:
        if isinstance(value, Mapping):
            return {name: bare(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [bare(item, key) for item in value]
        is_path = key in ("fasta", "promoters", "open_chromatin", "signal", "exclude", "path")
        return Path(value).name if is_path and isinstance(value, str) else value

    return bare(config.model_dump(mode="json"))


def _promoters(inputs: Inputs, config: Config) -> tuple[pd.DataFrame, dict[str, int]]:
    """Promoter windows, and how many each filter removed."""
    sites, counts = _sites(inputs.sites, config.genome)
    windows = promoter_windows(sites, config.genome.upstream, config.genome.downstream)[_PROMOTER_COLUMNS]

    def keep(rule: str, good: np.ndarray) -> pd.DataFrame:
        counts[rule] = int((~good).sum())
        return windows[good].reset_index(drop=True)

    windows = keep("outside_chromosome", inside(windows, inputs.genome.sizes).to_numpy())
    windows = keep("excluded", ~overlaps(windows, inputs.excluded))
    unknown = (inputs.genome.codes(windows) == N_CODE).mean(1) if len(windows) else np.zeros(0)
    windows = keep("too_many_n", unknown <= config.genome.max_n_fraction)
    if windows.empty:
        removed = ", ".join(f"{rule} {count}" for rule, count in counts.items())
        raise RegionError("no promoter is left", path=config.genome.promoters, remedy=f"look at what went: {removed}")
    return windows, counts


def _sites(sites: pd.DataFrame, config: GenomeConfig) -> tuple[pd.DataFrame, dict[str, int]]:
    """The start sites that make promoters, and how many each choice left out."""
    counts = {"transcripts": len(sites)}

    def count(rule: str, kept: pd.DataFrame) -> pd.DataFrame:
        counts[rule] = len(sites) - len(kept)
        return kept

    if config.promoter_gene_types:
        sites = count("other_gene_type", _of_types(sites, config))
    if config.tss_min_score is not None:
        if sites["score"].isna().all():
            remedy = "leave genome.tss_min_score out, or give a file with scores"
            raise RegionError("no region has a score", path=config.promoters, remedy=remedy)
        sites = count("low_score", sites[sites["score"] >= config.tss_min_score])
    if config.tss_choice == "most_5prime":
        without = int((sites.get("gene", sites["name"]) == ".").sum())
        if without > MAX_LOST * len(sites):
            problem = f"{without} of {len(sites)} start sites name no gene, by which the most 5' one is chosen"
            remedy = "give GFF3 with Parent or gene_id, GTF with gene_id, or BED with the gene as name"
            raise RegionError(problem, path=config.promoters, remedy=remedy)
        sites = count("not_most_5prime", most_5prime(sites))
    sites = count("duplicate_tss", unique_sites(sites))
    if config.tss_collapse:
        sites = count("collapsed_tss", collapse(sites, config.tss_collapse))
    return sites, counts


def _of_types(sites: pd.DataFrame, config: GenomeConfig) -> pd.DataFrame:
    """The start sites of genes of the types asked for."""
    types = sites.get("gene_type", pd.Series(".", index=sites.index))
    kept = sites[types.isin(config.promoter_gene_types)]
    if kept.empty:
        found = types[types != "."].value_counts().index[:5]
        told = f"name one of: {', '.join(found)}" if len(found) else "the file names no gene_type or gene_biotype"
        raise RegionError(
            "no start site is of a gene of these types", path=config.promoters,
            value=", ".join(config.promoter_gene_types), remedy=f"correct genome.promoter_gene_types; {told}",
        )  # fmt: skip
    return kept


def _classes(promoters: pd.DataFrame, inputs: Inputs) -> list[dict[str, Any]]:
    """Regions of each class: how many, the bases they cover, those clear of all evidence, and how far from a TSS."""
    evidence, annotation = inputs.evidence, inputs.annotation
    named = [("promoters", "", promoters), ("open chromatin", "", inputs.open_chromatin)]
    named += [("excluded", "", inputs.excluded)]
    named += [("evidence", str(source), rows) for source, rows in evidence.groupby("source", sort=False)]
    named += [("annotation", str(feature), rows) for feature, rows in annotation.groupby("feature", sort=False)]
    rows = []
    for kind, name, regions in named:
        covered = merge(regions)
        row = {"class": kind, "name": name, "regions": len(regions), "bp": _bases(covered)}
        row |= {"clear_bp": _bases(subtract(covered, evidence)), "bp_to_tss": _to_tss(regions, inputs.sites)}
        rows.append(row)
    return rows


def _bases(regions: pd.DataFrame) -> int:
    return int((regions["end"] - regions["start"]).sum())


def _to_tss(regions: pd.DataFrame, sites: pd.DataFrame) -> float | None:
    """Median distance, bp, to the nearest TSS of the chromosome; None where no region's chromosome has one."""
    distance = nearest_distance(regions, sites)
    return float(np.median(distance[distance >= 0])) if (distance >= 0).any() else None


def _sequences(inputs: Inputs, chosen: Splits) -> list[dict[str, Any]]:
    """Size, composition and split of each sequence; "blocks" where it holds several splits."""
    held = chosen.table.groupby("chrom", sort=False)["split"].unique()
    split = {chrom: names[0] if len(names) == 1 else "blocks" for chrom, names in held.items()}
    rows = []
    for chrom, size in inputs.genome.sizes.items():
        codes = inputs.genome.chromosome(chrom)
        rows.append(
            {
                "chrom": chrom,
                "size": size,
                "gc": float(gc_fraction(codes)),
                "n_fraction": float((codes == N_CODE).mean()),
                "masked_fraction": float(inputs.genome.soft_mask(chrom).mean()),
                "split": split.get(chrom),
            }
        )
    return rows
