"""What the figures do not show: said in the report, not left to the reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genocontrast.genome.splits import Splits
from genocontrast.report.results import Results
from genocontrast.report.verdict import baseline_name, unbeaten
from genocontrast.report.wording import AT_MOST, covariate, estimate, listing, number, percent, plural


def known_limits(results: Results, max_smd: float) -> list[str]:
    """What the figures do not show, a sentence each."""
    balance, metrics = results.balance, results.metrics
    splits = results.splits
    return [
        *_matching_limits(balance, max_smd),
        *_baseline_limits(metrics),
        "Test pairs hold one promoter for each decoy. In a genome promoters are rare, so that the precision of a "
        "genome-wide scan is far lower than the precision-recall curve suggests.",
        f"The intervals resample pairs within {plural(len(metrics['per_chromosome']), 'test chromosome')}; they do not "
        "cover another genome, tissue or training seed.",
        *_split_limits(splits),
        *_leakage_limits(metrics, splits.unit),
        *(f"Not in this report, because their file is absent: {what}." for what in results.missing),
    ]


def _matching_limits(balance: Mapping[str, Any], max_smd: float) -> list[str]:
    matched = [row["covariate"] for row in balance["table"] if row.get("matched")]
    never = [name for name in ("gc", "cpg", "accessibility", "repeat") if name not in matched]
    unmatched = [covariate(name) for name in never]
    other = [*unmatched, "longer k-mers", "conservation", "histone marks", "distance to genes"]
    sentences = [f"Decoys were not matched on {listing(other)}; the model may use any of these."]
    dropped = sum(counts.get("dropped", 0) for counts in balance["splits"].values())
    sentences.append(
        f"{percent(balance['retention'], 1)} of the eligible promoters found a decoy; nothing here speaks for the "
        f"{plural(dropped, 'promoter')} for which the pool held none that was alike."
        if dropped
        else "Every eligible promoter found a decoy."
    )
    far = [row for row in balance["table"] if abs(row["smd_after"]) > max_smd]
    sentences += [
        f"{covariate(row['covariate'])} still differs between the classes: SMD "
        f"{number(row['smd_after'], signed=True)}, the gate asks for {AT_MOST} {number(max_smd, 2)}."
        for row in far
    ]
    return sentences


def _baseline_limits(metrics: Mapping[str, Any]) -> list[str]:
    return [
        f"The model does not beat {baseline_name(baseline['name'])}: difference in AUROC "
        f"{estimate(baseline['difference'], signed=True)}."
        for baseline in unbeaten(metrics["baselines"])
    ]


def _split_limits(splits: Splits) -> list[str]:
    if splits.whole:
        return []
    return [
        "Test blocks lie between training blocks of the same chromosome. What neighbours share beyond the gap "
        "(composition, duplicated genes, chromatin domains) the model may use, so the figures may be better than on a "
        "chromosome that it never saw."
    ]


def _leakage_limits(metrics: Mapping[str, Any], unit: str) -> list[str]:
    leakage = metrics.get("leakage")
    if leakage and leakage["passed"] is False:
        return [f"Leakage: {leakage['reason']}, so the figures are too good by what these windows give away."]
    if leakage:
        return []
    return [
        f"The leakage audit has not run: whole {unit} are held out, so windows cannot overlap, but near-identical "
        "copies (recent duplicates, repeats) may sit on both sides of the split."
    ]
