"""What the report says of decoys: how like the promoters they are, who was left without one, and the easier tiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from genocontrast.examples import HARD, covariate_columns
from genocontrast.report.tables import Table
from genocontrast.report.wording import NOTHING, covariate, integer, limits, listing, number, percent, plural, rule

TIERS = {
    HARD: "matched with their promoters; the model is tested on these, and all other figures here are of them",
    "random": "drawn from anywhere in the genome",
    "gc": "drawn from anywhere in the genome, for a GC content like the promoter's",
    "open": "drawn from the open chromatin that the hard ones were chosen from, unmatched",
    "nearby": "the nearest clear window beside the promoter; promoters that have none are left out",
}
"""Each tier in words, in the order of the page."""
UNUSED_SMD = 0.1
"""Imbalance in a signal that was not matched on from which the report speaks of it as a limit."""


def balance_table(balance: Mapping[str, Any]) -> Table:
    """Each covariate before and after matching, and the signal that was held back."""
    rows = [_balance_row(covariate(row["covariate"]), row) for row in ranked(balance)]
    note = (
        "SMD: difference of the means in standard deviations of the promoters. All promoters: those without a decoy "
        "too, against the same decoys. KS: largest gap of the two cumulatives. The gate asks for balance in what was "
        "matched on; the other rows are measured only."
    )
    check = balance.get("signal_check") or {}
    if check.get("measured"):
        rows.append(_balance_row("accessibility, unused signal", check))
        note += " Unused signal: from matching again with a part of the signal held back, compared in that part."
    names = ["SMD before#", "SMD after#", "All promoters#", "KS before#", "KS after#", "Variance ratio#"]
    columns = ["Covariate", *names, "Matched on", "Gate"]
    return Table("Covariates before and after matching", columns, rows, note)


def ranked(balance: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Rows of the balance, those of the covariates that were matched on first."""
    return sorted(balance["table"], key=lambda row: not row["matched"])


def _balance_row(name: str, row: Mapping[str, Any]) -> list[str]:
    matched = bool(row.get("matched"))
    return [
        name,
        *(number(row.get(f"smd_{when}"), signed=True) for when in ("before", "after", "all")),
        *(number(row[f"ks_{when}"]) for when in ("before", "after")),
        number(row["variance_ratio_after"], 2),
        "yes" if matched else "no",
        ("pass" if row["passed"] else "fail") if matched else "not gated",
    ]


def two_sample_sentence(balance: Mapping[str, Any]) -> str:
    """How well the covariates together tell decoys from promoters."""
    found = balance["two_sample"]
    if found["auroc"] is None:
        return "The pairs are too few for a classifier to judge by their covariates."
    return (
        "A classifier that sees only the covariates that were matched on tells promoters from their decoys with AUROC "
        f"{number(found['auroc'])} (95 % interval {limits(found)}); 0.5 is perfect balance."
    )


def unused_signal_sentence(balance: Mapping[str, Any]) -> str:
    """What a signal that was not matched on says of the balance."""
    check = balance.get("signal_check")
    if check is None:
        return "No part of the signal was held back to check the balance (negatives.signal_check is off)."
    if not check["measured"]:
        return f"No part of the signal was held back to check the balance: {check['how']}."
    smd = check["smd_after"]
    found = (
        f"promoters and decoys differ by {number(smd, 2, signed=True)} SD: the balance holds."
        if abs(smd) <= UNUSED_SMD
        else f"promoters are still {still_open(smd)} than their decoys. A part of the signal is noisier than all of "
        "it, so this overstates how far the real pairs are apart."
    )
    return (
        "Accessibility is measured with noise, and matching on it picks decoys whose noise happens to be high: they "
        "look as open as their promoters and are less so (the winner's curse). So the matching was repeated with a "
        f"part of the signal held back ({check['how']}). In the part that was not matched on, {found}"
    )


def still_open(smd: float) -> str:
    """How much more, or less, open promoters are."""
    return f"{number(abs(smd), 2)} SD {'more' if smd > 0 else 'less'} open"


def evidence_table(balance: Mapping[str, Any]) -> Table:
    """What keeps decoys away from promoters, and what each rule does that no other one does."""
    rows = [[rule(row["rule"]), integer(row["touched"]), integer(row["alone"])] for row in balance["evidence"]]
    note = "What a single rule touches would be a candidate without it: these windows rest on that evidence alone."
    return Table("Evidence that keeps decoys away", ["Rule", "Candidates touched#", "By it alone#"], rows, note)


def reason_table(balance: Mapping[str, Any]) -> Table:
    """Why promoters have no decoy."""
    reasons = sorted(balance["dropped"]["reasons"].items(), key=lambda item: -item[1])
    notes = {
        "no candidate within the caliper": "Caliper: the largest difference that a pair may have.",
        "its candidates serve others": "Candidates serve others where those fit them better.",
        "left out for the balance": "The largest choice of promoters was kept to which as many candidates are alike.",
    }
    note = " ".join(text for reason, text in notes.items() if reason in balance["dropped"]["reasons"])
    rows = [[reason, integer(count)] for reason, count in reasons]
    return Table("Why promoters have no decoy", ["Reason", "Promoters#"], rows, note)


def dropped_table(balance: Mapping[str, Any], metrics: Mapping[str, Any]) -> Table:
    """Promoters without a decoy beside those with one: covariates, and how the model scores them."""
    scale = balance["matching"]["scale"]
    rows = [
        [covariate(name), number(without), number(with_), number((without - with_) / scale[name], 2, signed=True)]
        for name, without, with_ in ((row["covariate"], row["dropped"], row["kept"]) for row in _means(balance))
    ]
    note = "Means; the difference is in standard deviations of the promoters."
    scored = metrics["dropped"]
    if scored and not balance.get("permuted"):
        rows.append(["mean score, test split", number(scored["mean_score"]), number(scored["kept_mean_score"]), ""])
        rows.append(["called promoters, test split", percent(scored["recall"]), percent(scored["kept_recall"]), ""])
        note += (
            f" Scores and calls: of the test split ({integer(scored['promoters'])} without a decoy), at the threshold "
            "tuned on the validation pairs."
        )
    columns = ["", "Without a decoy#", "With a decoy#", "Difference, SD#"]
    return Table("Promoters without a decoy", columns, rows, note)


def _means(balance: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(balance["dropped"]["means"])


def widest_gap(balance: Mapping[str, Any]) -> tuple[str, float] | None:
    """The covariate in which promoters without a decoy differ most from the others, and by how many SD."""
    scale = balance["matching"]["scale"]
    gaps = [(row["covariate"], (row["dropped"] - row["kept"]) / scale[row["covariate"]]) for row in _means(balance)]
    return max(gaps, key=lambda gap: abs(gap[1]), default=None)


def tier_table(examples: pd.DataFrame, balance: Mapping[str, Any]) -> Table:
    """Pairs of each tier, and the means of both classes."""
    covariates = [name for name in covariate_columns(examples) if name in balance["matching"]["scale"]]
    means = examples.groupby(["tier", "label"])[covariates].mean().to_dict()
    rows = []
    for tier in tiers(balance):
        cells = [_two_means(means[name], tier) for name in covariates]
        rows.append([tier, integer(balance["tiers"][tier]["pairs"]), *cells])
    note = "In each cell the mean of the promoters, then that of their decoys."
    columns = ["Tier", "Pairs#", *(f"{covariate(name)}#" for name in covariates)]
    return Table("Tiers of decoys", columns, rows, note)


def _two_means(means: Mapping[Any, float], tier: str) -> str:
    """Means of the promoters and of the decoys of a tier; a dash where it was left out."""
    found = [number(means[tier, label]) for label in (1, 0) if (tier, label) in means]
    return " | ".join(found) or NOTHING


def tiers(balance: Mapping[str, Any]) -> list[str]:
    """The tiers of the run, the matched one first."""
    return sorted(balance["tiers"], key=lambda tier: (list(TIERS).index(tier) if tier in TIERS else len(TIERS), tier))


def tier_sentences(balance: Mapping[str, Any]) -> list[str]:
    """What each tier is, a sentence each."""
    matched = listing([covariate(row["covariate"]) for row in balance["table"] if row["matched"]])
    words = TIERS | {HARD: TIERS[HARD].replace("promoters;", f"promoters on {matched};")}
    return [f"{tier}: {words[tier]}{_lacking(balance['tiers'][tier])}." for tier in tiers(balance) if tier in words]


def _lacking(record: Mapping[str, Any]) -> str:
    """What a tier lacks of the promoters of the matched one."""
    lacking = record.get("of", record["pairs"]) - record["pairs"]
    return f" ({integer(lacking)} of {plural(record['of'], 'promoter')} without one)" if lacking else ""


def short_sentence(balance: Mapping[str, Any]) -> Sequence[str]:
    """Of a run with several decoys per promoter: how many promoters have fewer than were asked for."""
    short = balance["matching"]["short"]
    if not short:
        return []
    return [f"Fewer decoys than were asked for went to {plural(short, 'promoter')}."]
