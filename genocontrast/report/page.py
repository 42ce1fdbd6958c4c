"""The report: one self-contained HTML page, the data of its figures beside it, and a few lines for the terminal."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from genocontrast.artefacts import atomic_folder, provenance, read_json, write_json, write_table
from genocontrast.config import Config
from genocontrast.errors import FileFormatError
from genocontrast.report.badges import badge_panels
from genocontrast.report.carried import carried_json, script
from genocontrast.report.embedding_map import Map
from genocontrast.report.figures import auroc_panel
from genocontrast.report.layout import Section
from genocontrast.report.results import Results, read_results
from genocontrast.report.sections import sections
from genocontrast.report.svg import Panel
from genocontrast.report.verdict import Audit, Verdict, audit, best_baseline, judge, largest_smd
from genocontrast.report.wording import estimate, integer, limits, number, percent, plural
from genocontrast.version import __version__

PAGE = "report.html"
SUMMARY = "summary.json"
_MARKS = {"pass": "\u2713", "fail": "\u2715", "not run": "\u2013"}


def write_report(results: Path, config: Config) -> Path:
    """Write results/<name>/report/: `report.html` and `data/`.

    Parameters
    ----------
    results : Path
        The data set's folder, results/<name>, with the files of all earlier stages.
    config : Config
        The configuration that made them.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    FileFormatError
        Where a stage's file is absent or damaged, or the model's figures are not numbers.
    """
    found = read_results(results)
    record = provenance("report", {**config.report.model_dump(), "seed": config.seed}, found.files())
    checksums = {name: entry["sha256"] for name, entry in record["inputs"].items()}
    try:
        first = _first_screen(found, config)
        parts = sections(found, config, checksums)
    except KeyError as error:
        problem = f"a file of these results has no entry {error}: they may be of another version of genocontrast"
        raise FileFormatError(problem, path=results, remedy="run the stages again") from error
    with atomic_folder(results / "report") as folder:
        _write_data(folder / "data", found, first, parts)
        write_json(folder / "data" / SUMMARY, {"provenance": record, **summarise(found, first.verdict, first.audits)})
        (folder / PAGE).write_text(render(config, found, first, parts), encoding="utf-8")
    return results / "report" / PAGE


@dataclass(frozen=True)
class _FirstScreen:
    """The verdict, the audits with a small figure each (by name), and the figure that sums the report up."""

    verdict: Verdict
    audits: list[Audit]
    panel: Panel
    badges: dict[str, Panel]


def _first_screen(results: Results, config: Config) -> _FirstScreen:
    badges = badge_panels(results, config.negatives.max_smd)
    return _FirstScreen(judge(results), audit(results), auroc_panel(results.metrics), badges)


def render(config: Config, results: Results, first: _FirstScreen, parts: list[Section]) -> str:
    """The page as HTML; every text that came from a file is escaped."""
    loader = PackageLoader("genocontrast.report", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["prose"] = lambda text: text.replace("'", "\u2019")
    text, digest = script()
    shown = [first.panel, *(panel for part in parts for panel in part.panels)]
    return environment.get_template("report.html.j2").render(
        title=config.report.title,
        name=config.name,
        version=__version__,
        css=files("genocontrast.report").joinpath("templates/report.css").read_text(encoding="utf-8"),
        script=text,
        script_digest=digest,
        carried=carried_json(config.name, shown, [each for part in parts for each in part.maps], results),
        verdict=first.verdict,
        audits=first.audits,
        badges=first.badges,
        marks=_MARKS,
        figures=key_figures(results.metrics),
        headline_panel=first.panel,
        sections=parts,
    )


def key_figures(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The headline figures: what it is, its value, its interval or context."""
    test, best = metrics["test"], best_baseline(metrics["baselines"])
    figures = [("AUROC", number(test["auroc"]["value"]), limits(test["auroc"]))]
    if best is not None:
        figures.append((f"best baseline: {best['name']}", number(best["auroc"]["value"]), limits(best["auroc"])))
        gain = best["difference"]
        figures.append(("difference", number(gain["value"], signed=True), limits(gain, signed=True)))
    if metrics.get("oracle"):
        oracle = metrics["oracle"]
        figures.append(
            ("of the way to the oracle", percent(oracle["share"]), f"oracle {number(oracle['auroc']['value'])}")
        )
    return [*figures, ("test pairs", integer(test["pairs"]), plural(len(metrics["per_chromosome"]), "chromosome"))]


def summarise(results: Results, verdict: Verdict, audits: list[Audit]) -> dict[str, Any]:
    """The first screen for machines."""
    metrics, balance = results.metrics, results.balance
    best = best_baseline(metrics["baselines"])
    return {
        "verdict": {"tone": verdict.tone, "title": verdict.title, "text": verdict.text},
        "audits": {item.name.lower(): {"state": item.state, "reason": item.reason} for item in audits},
        "pairs": metrics["test"]["pairs"],
        "auroc": metrics["test"]["auroc"],
        "best_baseline": best and {key: best[key] for key in ("name", "auroc", "difference")},
        "balance": {"retention": balance["retention"], "largest_smd": largest_smd(balance)},
        "missing": results.missing,
    }


def _write_data(folder: Path, results: Results, first: _FirstScreen, parts: list[Section]) -> None:
    folder.mkdir()
    drawn: list[Panel | Map] = [first.panel, *first.badges.values()]
    for part in parts:
        drawn += [*part.panels, *part.maps]
    for each in drawn:
        write_table(folder / f"{each.name}.tsv", each.data)
    write_table(folder / "chromosomes.tsv", pd.DataFrame(results.metrics["per_chromosome"]))
    if results.motifs is not None:
        write_json(folder / "motifs.json", results.motifs["motifs"])


def headline(results: Path) -> str:
    """A few lines for the terminal: where the report is, and what it says.

    Raises
    ------
    FileFormatError
        Where no report has been written.
    """
    folder = results / "report"
    summary = read_json(folder / "data" / SUMMARY)
    best, audits = summary["best_baseline"], summary["audits"]
    baseline = "none was run"
    if best:
        difference = estimate(best["difference"], signed=True)
        baseline = f"{best['name']} {number(best['auroc']['value'])}; difference {difference}"
    lines = {
        "report": os.path.relpath(folder / PAGE),
        "verdict": summary["verdict"]["title"],
        "AUROC": f"{estimate(summary['auroc'])} on {plural(summary['pairs'], 'held-out pair')}",
        "baseline": baseline,
        "strand": audits["strand"]["reason"],
        "balance": f"{audits['balance']['state']}: {audits['balance']['reason']}",
    }
    return "\n".join(f"{name:<9} {text}" for name, text in lines.items())
