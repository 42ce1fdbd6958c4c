"""What the figures do not show: said in the report, not left to the reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genocontrast.genome.splits import Splits
from genocontrast.report.decoys import UNUSED_SMD, still_open, widest_gap
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
        f"Of the test windows {percent(metrics['test']['prevalence'])} are promoters. In a genome promoters are rare, "
        "so that the precision of a genome-wide scan is far lower than the precision-recall curve suggests.",
        f"The intervals resample blocks of pairs within {plural(len(metrics['per_chromosome']), 'test chromosome')}; "
        "they do not cover another genome, tissue or training seed.",
        *_split_limits(splits),
        *_leakage_limits(metrics, splits.unit),
        *(f"Not in this report, because its figures are not numbers: {what}." for what in results.unusable),
        *(f"Not in this report, because their file is absent: {what}." for what in results.missing),
    ]


def _matching_limits(balance: Mapping[str, Any], max_smd: float) -> list[str]:
    table = balance["table"]
    matched, measured = ([row["covariate"] for row in table if row["matched"] == side] for side in (True, False))
    never = [name for name in dict.fromkeys(["gc", "cpg", "accessibility", "repeat", *measured]) if name not in matched]
    other = [*map(covariate, never), "longer k-mers", "conservation", "histone marks"]
    if not {"tss_distance"} & {*matched, *measured}:
        other.append("distance to genes")
    return [
        f"Decoys were not matched on {listing(other, limit=12)}; the model may use any of these.",
        _retention_limit(balance),
        *_unused_signal_limits(balance),
        *(
            f"{covariate(row['covariate'])} still differs between the classes: SMD "
            f"{number(row['smd_after'], signed=True)}, the gate asks for {AT_MOST} {number(max_smd, 2)}."
            for row in table
            if row["matched"] and abs(row["smd_after"]) > max_smd
        ),
        *(
            f"{covariate(row['covariate'])} was not matched on and differs between the classes: SMD "
            f"{number(row['smd_after'], signed=True)}."
            for row in table
            if not row["matched"] and abs(row["smd_after"]) > max_smd
        ),
    ]


def _retention_limit(balance: Mapping[str, Any]) -> str:
    dropped = sum(counts["dropped"] for counts in balance["splits"].values())
    if not dropped:
        return "Every eligible promoter found a decoy."
    gap = widest_gap(balance)
    differ = "" if gap is None else f", which differ most in {covariate(gap[0])} ({number(gap[1], 2, signed=True)} SD)"
    return (
        f"{percent(balance['retention'], 1)} of the eligible promoters found a decoy. The test figures say nothing of "
        f"the {plural(dropped, 'promoter')} without one{differ}."
    )


def _unused_signal_limits(balance: Mapping[str, Any]) -> list[str]:
    check = balance.get("signal_check")
    if check and check["measured"] and abs(check["smd_after"]) > UNUSED_SMD:
        return [
            "Promoters and decoys are alike in the accessibility that was matched on. In signal that was held back "
            f"promoters are {still_open(check['smd_after'])}, which overstates how far the real pairs are apart; what "
            "is left of it in the sequence, the model may use."
        ]
    if any(row["covariate"] == "accessibility" and row["matched"] for row in balance["table"]) and not (
        check and check["measured"]
    ):
        return ["Whether the balance in accessibility holds in signal that was not matched on has not been measured."]
    return []


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
