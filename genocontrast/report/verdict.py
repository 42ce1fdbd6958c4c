"""What the figures amount to, in plain words, and the four audits. No claim is made that an interval does not carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from genocontrast.report.results import Results
from genocontrast.report.wording import covariate, estimate, integer, limits, listing, number, percent, plural

State = Literal["pass", "fail", "not run"]
Tone = Literal["good", "caution", "bad"]
NETWORK_DEVIATION = 1e-4
"""Largest difference between the strands' scores that rounding may cause in a network of float32."""
_RANKS = "There it ranks a promoter above a decoy with AUROC"


@dataclass(frozen=True)
class Audit:
    """One of the four audits: its state as a word, and the figure that decides it."""

    name: str
    state: State
    reason: str
    anchor: str


@dataclass(frozen=True)
class Verdict:
    """The report in one sentence (`title`) and in one paragraph (`text`)."""

    tone: Tone
    title: str
    text: str


def is_covariate_only(baseline: Mapping[str, Any]) -> bool:
    """Whether a baseline sees nothing but the covariates (composition, openness), no sequence."""
    return baseline["name"] == "covariates" or baseline["name"].endswith(" only")


def best_baseline(baselines: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The baseline with the highest AUROC."""
    return max(baselines, key=lambda baseline: baseline["auroc"]["value"], default=None)


def unbeaten(baselines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Baselines that the model does not beat: the interval of the difference does not lie above 0."""
    return [baseline for baseline in baselines if not baseline["difference"]["low"] > 0]


def baseline_name(name: str) -> str:
    """A baseline's name inside a sentence."""
    return f"the {'all-covariates' if name == 'covariates' else name.replace(' only', '-only')} baseline"


def judge(results: Results) -> Verdict:
    """The verdict: the balance gate first, then signal against chance, then the model against its baselines."""
    metrics, balance = results.metrics, results.balance
    tone, title, finding = _against_baselines(metrics) if metrics["signal"] else _no_signal(metrics)
    if balance.get("permuted"):
        tone, title, finding = _negative_control(metrics)
    sentences = [_what_was_done(results), finding]
    if metrics.get("oracle") and metrics["signal"]:
        oracle = metrics["oracle"]
        sentences.append(
            f"An oracle that knows the planted grammar reaches {number(oracle['auroc']['value'])}; the model covers "
            f"{percent(oracle['share'])} of the way from chance to it."
        )
    if not balance["passed"]:
        title = f"The balance gate failed. {title}"
        tone = "bad"
        sentences.insert(0, _gate_failure(balance))
    sentences.append(_audits_in_words(audit(results)))
    return Verdict(tone, title, " ".join(sentences))


def _what_was_done(results: Results) -> str:
    pairs = results.metrics["splits"]["train"]["promoters"]
    matched = [covariate(row["covariate"]) for row in results.balance["table"] if row["matched"]]
    how = f" matched on {listing(matched)}" if matched else ""
    decoys = results.metrics["splits"]["train"]["decoys"]
    taught = f"{plural(pairs, 'pair')}, each a promoter and a decoy"
    if decoys != pairs:
        taught = f"{plural(pairs, 'promoter')} and their {plural(decoys, 'decoy')}"
    strand = results.metrics.get("strand")
    symmetric = "strand-symmetric " if strand and strand["flips"] == 0 else ""
    chroms = plural(len({row["chrom"] for row in results.metrics["per_chromosome"]}), "chromosome")
    where = chroms if results.splits.whole else f"blocks of {chroms}"
    return (
        f"A {symmetric}contrastive model learned from {taught}{how}. "
        f"It was tested on {plural(results.metrics['test']['pairs'], 'pair')} from {where} that it never saw."
    )


def _no_signal(metrics: Mapping[str, Any]) -> tuple[Tone, str, str]:
    auroc = metrics["test"]["auroc"]
    side = "includes" if auroc["high"] >= 0.5 else "lies below"
    text = (
        f"{_RANKS} {number(auroc['value'])} (95 % interval {limits(auroc)}), "
        f"an interval that {side} 0.5, which is guessing. Embeddings, motifs and scores of this model mean nothing."
    )
    return "bad", "No signal: the model does not tell promoters from decoys.", text


def _against_baselines(metrics: Mapping[str, Any]) -> tuple[Tone, str, str]:
    auroc, best = metrics["test"]["auroc"], best_baseline(metrics["baselines"])
    found = (
        f"There it ranks a promoter above a decoy with AUROC {number(auroc['value'])} (95 % interval {limits(auroc)})."
    )
    if best is None:
        return "caution", "The model tells promoters from decoys; no baseline was run.", found
    name, difference = baseline_name(best["name"]), best["difference"]
    found += f" The best simpler model, {name}, reaches {number(best['auroc']['value'])}: "
    apart = f"the difference is {number(difference['value'], signed=True)} ({limits(difference, signed=True)})"
    if difference["high"] < 0:
        text = f"{found}{apart}, so the simpler model is the better one."
        return "bad", f"A baseline wins: {name} beats the model.", text
    if difference["low"] <= 0:
        text = f"{found}{apart}, an interval that includes 0, so the data do not tell the two apart."
        return "caution", f"A tie: the model is no better than {name}.", text
    rest = [baseline_name(baseline["name"]) for baseline in unbeaten(metrics["baselines"])]
    if rest:
        text = f"{found}{apart}. It does not clearly beat {listing(rest)}."
        return "caution", f"The model beats {name}, but not every baseline.", text
    return "good", "The model beats every simpler explanation tested.", f"{found}{apart}, in the model's favour."


def _negative_control(metrics: Mapping[str, Any]) -> tuple[Tone, str, str]:
    auroc = metrics["test"]["auroc"]
    start = "This run is a negative control: promoter and decoy were swapped at random within pairs, so that nothing "
    start += f"can be learned. The AUROC is {number(auroc['value'])} (95 % interval {limits(auroc)}): "
    if metrics["signal"]:
        text = f"{start}above chance where chance is all there is, so something leaks. Don't trust the unpermuted run."
        return "bad", "The negative control failed: there is signal in shuffled labels.", text
    return "good", "No signal, as it should be: the negative control passed.", f"{start}no signal, as it should be."


def _audits_in_words(audits: Sequence[Audit]) -> str:
    """Which audits pass, fail and were not run."""
    named = {state: [item.name.lower() for item in audits if item.state == state] for state in get_args(State)}
    if len(named["pass"]) == len(audits):
        return f"All {len(audits)} audits pass."
    said = {"pass": ("passes", "pass"), "fail": ("fails", "fail"), "not run": ("was not run", "were not run")}
    parts = [f"{listing(names)} {said[state][len(names) > 1]}" for state, names in named.items() if names]
    return f"Of the audits {'; '.join(parts)}."


def _gate_failure(balance: Mapping[str, Any]) -> str:
    failed = [covariate(row["covariate"]) for row in balance["table"] if row["matched"] and not row["passed"]]
    what = f"The decoys differ from the promoters in {listing(failed)}" if failed else "The decoys are not good enough"
    kept = f"{percent(balance['retention'])} of the promoters found a decoy"
    return f"{what}; {kept}. Scores may reflect that difference and not what makes a promoter."


RULES = {
    "Balance": "It passes where every covariate that was matched on is within its limit and enough promoters are kept.",
    "Shortcut": "It passes where the lower end of the 95 % interval of (AUROC of the model \u2212 that of the best "
    "baseline that sees covariates alone) lies above 0.",
    "Strand": "It passes where no call flips, and the network itself differs between the strands by no more than "
    f"rounding ({NETWORK_DEVIATION:g} in a score).",
    "Leakage": "It passes where no test window overlaps a training window or nearly repeats one, on either strand.",
}
"""When each badge is green."""


def audit(results: Results) -> list[Audit]:
    """The four audits in the order of the page."""
    return [
        _balance_audit(results.balance),
        _shortcut_audit(results.metrics["baselines"]),
        _strand_audit(results.metrics.get("strand")),
        _leakage_audit(results.metrics.get("leakage")),
    ]


def largest_smd(balance: Mapping[str, Any]) -> float:
    """Largest absolute standardised mean difference after matching, of the covariates that were matched on."""
    return max((abs(row["smd_after"]) for row in balance["table"] if row["matched"]), default=0.0)


def _balance_audit(balance: Mapping[str, Any]) -> Audit:
    reason = f"largest |SMD| {number(largest_smd(balance))}; {percent(balance['retention'])} of promoters kept"
    return Audit("Balance", "pass" if balance["passed"] else "fail", reason, "balance")


def _shortcut_audit(baselines: Sequence[Mapping[str, Any]]) -> Audit:
    best = best_baseline([baseline for baseline in baselines if is_covariate_only(baseline)])
    if best is None:
        return Audit("Shortcut", "not run", "no covariate-only baseline", "performance")
    state: State = "pass" if best["difference"]["low"] > 0 else "fail"
    name = "all covariates" if best["name"] == "covariates" else best["name"]
    return Audit("Shortcut", state, f"{estimate(best['difference'], signed=True)} AUROC over {name}", "performance")


def _strand_audit(strand: Mapping[str, Any] | None) -> Audit:
    if not strand:
        return Audit("Strand", "not run", "no strand audit in the metrics", "strand")
    reason = f"{integer(strand['flips'])} of {plural(strand['examples'], 'call')} flip with the strand"
    deviation = strand["network"]["max_difference"]
    if deviation > NETWORK_DEVIATION:
        reason += f"; the network itself differs by {deviation:.2g}"
    alike = strand["flips"] == 0 and deviation <= NETWORK_DEVIATION
    return Audit("Strand", "pass" if alike else "fail", reason, "strand")


def _leakage_audit(leakage: Mapping[str, Any] | None) -> Audit:
    if not leakage or leakage.get("passed") is None:
        return Audit("Leakage", "not run", "overlap of test and training not audited", "leakage")
    return Audit("Leakage", "pass" if leakage["passed"] else "fail", str(leakage.get("reason", "")), "leakage")
