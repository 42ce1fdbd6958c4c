"""One page over several data sets or models: what each report says, side by side, and whether it may be compared."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from genocontrast.artefacts import atomic
from genocontrast.errors import FileFormatError
from genocontrast.report.layout import Section
from genocontrast.report.page import PAGE, fill
from genocontrast.report.results import REQUIRED, Results, read_results
from genocontrast.report.svg import INK, MUTED, PROMOTER, Panel, draw, label_margin, line_label, shorten, ticks
from genocontrast.report.verdict import Audit, Verdict, audit, best_baseline, judge
from genocontrast.report.wording import estimate, integer, listing, number, percent, plural

TEMPLATE = "compare.html.j2"
HEADS = [
    ("AUROC", True),
    ("Best baseline", False),
    ("Difference", True),
    ("Kept", True),
    ("Test pairs", True),
]
"""Heads of an entry's figures, and whether each is of numbers."""


@dataclass(frozen=True)
class Entry:
    """A data set of the comparison.

    Attributes
    ----------
    name : str
        Its folder, with its parent's where two have the same name.
    results : Results
    verdict : Verdict
    audits : list of Audit
    link : str, or None
        Where its report lies, as seen from the page.
    """

    name: str
    results: Results
    verdict: Verdict
    audits: list[Audit]
    link: str | None

    @property
    def figures(self) -> list[tuple[str, bool]]:
        """The cells of its row after the verdict, and whether each is a number."""
        metrics, best = self.results.metrics, best_baseline(self.results.metrics["baselines"])
        return [
            (estimate(metrics["test"]["auroc"]), True),
            (f"{best['name']} {number(best['auroc']['value'])}" if best else "none", False),
            (estimate(best["difference"], signed=True) if best else "", True),
            (percent(self.results.balance["retention"], 1), True),
            (integer(metrics["test"]["pairs"]), True),
        ]


def write_comparison(folders: Sequence[Path], out: Path) -> Path:
    """Write one self-contained page over several results folders.

    Parameters
    ----------
    folders : sequence of path
        results/<name> of each data set, in the order of the page.
    out : path
        The page. Reports that lie beside or below it are linked.

    Raises
    ------
    FileFormatError
        Where a folder holds no results, or a folder is given twice.
    """
    entries = read_entries(folders, out)
    panel = compare_panel(entries)
    text = fill(
        TEMPLATE,
        "comparison",
        [Section("figure", "AUROC", [])],
        [panel],
        {},
        title="Comparison of reports",
        first="Side by side",
        does="",
        heading=f"{plural(len(entries), 'report')}, side by side",
        entries=entries,
        heads=HEADS,
        audits=[each.name for each in entries[0].audits],
        figure=panel,
        remarks=comparability(entries),
    )
    with atomic(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return out


def read_entries(folders: Sequence[Path], out: Path) -> list[Entry]:
    """The results of each folder, with what their report says."""
    resolved = [folder.resolve() for folder in folders]
    repeated = [folder for folder, count in Counter(resolved).items() if count > 1]
    if repeated:
        raise FileFormatError("the folder is given twice", path=repeated[0].name, remedy="name each folder once")
    for folder in folders:
        if not any((folder / name).is_file() for name in REQUIRED):
            raise FileFormatError(
                "not a folder of results: it holds none of the stages' files",
                path=folder,
                remedy="name folders results/<name>, as the workflow writes them",
            )
    alike = Counter(folder.name for folder in resolved)
    entries = []
    for given, folder in zip(folders, resolved, strict=True):
        name = folder.name if alike[folder.name] == 1 else f"{folder.parent.name}/{folder.name}"
        results = read_results(given)
        entries.append(Entry(name, results, judge(results), audit(results), _link(folder, out)))
    return entries


def _link(folder: Path, out: Path) -> str | None:
    """The report as seen from the page: only one beside or below it, so that no page tells of other folders."""
    report = folder / "report" / PAGE
    path = Path(os.path.relpath(report, out.resolve().parent)).as_posix()
    return path if report.is_file() and not path.startswith("../../") else None


def comparability(entries: Sequence[Entry]) -> list[str]:
    """What stands against comparing the AUROCs, a sentence each; or that nothing does."""
    metrics = [entry.results.metrics for entry in entries]
    remarks = []
    if _differ(_checksum(entry.results.genome, "fasta") for entry in entries):
        remarks.append("The genomes differ, and with them what there is to tell apart.")
    if _differ(sorted(_segments(entry.results)) for entry in entries):
        parts = [f"{entry.name}: {entry.results.splits.describe('test')}" for entry in entries]
        remarks.append(f"The test splits differ ({'; '.join(parts)}).")
    if _differ(round(found["test"]["prevalence"], 6) for found in metrics):
        shares = [f"{entry.name} {percent(m['test']['prevalence'])}" for entry, m in zip(entries, metrics, strict=True)]
        remarks.append(f"The share of promoters among the test examples differs ({listing(shares)}).")
    if _differ(_matched(entry.results) for entry in entries):
        remarks.append("The decoys were not matched on the same covariates: some are easier to tell from promoters.")
    if not remarks and _differ(_checksum(found, "examples") for found in metrics):
        remarks.append("The examples differ: other promoters, or other decoys for them.")
    if remarks:
        return [*remarks, "So the AUROCs are not comparable; compare each model with the baselines on its own data."]
    return [
        "All were tested on the same split of the same genome, so the AUROCs may be compared. Their intervals are of "
        "each model alone: where two overlap, the difference may still be clear, since both saw the same examples."
    ]


def _differ(values: Any) -> bool:
    return len({repr(value) for value in values}) > 1


def _checksum(record: Any, role: str) -> str | None:
    found = (record.get("provenance") or {}).get("inputs", {}).get(role)
    return found and found["sha256"]


def _segments(results: Results) -> list[tuple[str, int, int]]:
    rows = [row for row in results.genome["segments"] if row["split"] == "test"]
    return [(row["chrom"], row["start"], row["end"]) for row in rows]


def _matched(results: Results) -> list[str]:
    return sorted(row["covariate"] for row in results.balance["table"] if row["matched"])


def compare_panel(entries: Sequence[Entry]) -> Panel:
    """AUROC with interval of each model, beside the best baseline on the same examples."""
    rows = []
    for entry in entries:
        best = best_baseline(entry.results.metrics["baselines"])
        rows.append({"name": entry.name, "of": "model", **entry.results.metrics["test"]["auroc"]})
        if best:
            rows.append({"name": entry.name, "of": f"best baseline: {best['name']}", **best["auroc"]})
    frame = pd.DataFrame(rows)[["name", "of", "value", "low", "high"]]
    names = list(dict.fromkeys(frame["name"]))
    labels = [shorten(name) for name in names]
    place = {name: row for row, name in enumerate(names)}

    def paint(axes: Axes) -> None:
        low, high = min(0.5, frame["low"].min()), max(0.55, frame["high"].max())
        reach = high - low
        axes.axvline(0.5, color=MUTED, linewidth=0.8, dashes=(3, 2))
        for name, of, value, left, right in frame.itertuples(index=False):
            ours = of == "model"
            colour, row = (PROMOTER, place[name] - 0.13) if ours else (MUTED, place[name] + 0.17)
            axes.plot([left, right], [row, row], color=colour, linewidth=2.8 if ours else 1.5)
            inside, size = (colour, 6.5) if ours else ("none", 5)
            axes.plot([value], [row], "o", color=colour, markerfacecolor=inside, markersize=size)
            if ours:
                line_label(axes, right + 0.03 * reach, row, number(value), colour, va="center")
        axes.set(ylim=(len(names) - 0.4, -0.7), xlim=(low - 0.04 * reach, high + 0.17 * reach))
        axes.set_yticks(range(len(names)), labels)
        for label in axes.get_yticklabels():
            label.set_color(INK)
        axes.set_xlabel("AUROC on each one's own test pairs (0.5 is guessing)", loc="right")
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        ticks(axes, x=5)

    told = [f"{row['name']}, {row['of']} {estimate(row)}" for row in rows]
    return Panel(
        "comparison",
        "How well each model tells promoters from decoys",
        "Filled: the model; hollow: the best baseline on the same examples; bars: 95 % intervals.",
        f"AUROC with 95 % intervals: {listing(told, limit=24)}.",
        draw("comparison", paint, (4.4, 0.6 + 0.42 * len(names)), (label_margin(labels), 0.45, 0.1, 0.05)),
        frame,
    )
