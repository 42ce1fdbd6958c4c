"""The genome scan in the report: recall against false positives, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from genocontrast.report.figures import curve_colours
from genocontrast.report.svg import Panel, draw, line_label, shorten, ticks
from genocontrast.report.tables import Table
from genocontrast.report.wording import estimate, listing, number


def scan_panel(scan: Mapping[str, Any]) -> Panel:
    """Recall of the start sites against false positives per Mb, over all thresholds, by scorer."""
    parts = [pd.DataFrame({"name": each["name"], **each["curve"]}) for each in scan["scorers"]]
    frame = pd.concat(parts, ignore_index=True)
    names = [each["name"] for each in scan["scorers"]]
    colours = curve_colours(names)

    def paint(axes: Axes) -> None:
        for line, each in enumerate(reversed(scan["scorers"])):
            name, rows = each["name"], frame[frame["name"] == each["name"]]
            axes.plot(rows["false_positives_per_mb"], rows["recall"], color=colours[name], linewidth=1.6)
            if each["recall"]:
                axes.plot(
                    each["false_positives_per_mb"], each["recall"]["value"], "o", color=colours[name], markersize=5
                )
            line_label(
                axes, 0.97, 0.05 + 0.08 * line, shorten(name), colours[name], ha="right", transform=axes.transAxes
            )
        axes.set(xlabel="False positives per Mb", ylabel="Recall of start sites", ylim=(0, 1.01))
        axes.set_xlim(left=0)
        ticks(axes, x=5, y=5)

    told = listing([f"{each['name']} {_share(each['recall'])} at {_rate(each)}" for each in scan["scorers"]])
    return Panel(
        "scan",
        "Scan of the test split",
        "Each point of a curve is a threshold; the dot is the one that served the validation split best (highest F1; "
        "random positions: as many as the model's calls).",
        f"Recall against false positives per Mb: {told}.",
        draw("scan", paint, (4.4, 3.3)),
        frame,
    )


def _share(share: Mapping[str, float] | None) -> str:
    return estimate(share, 2) if share else "none"


def _rate(each: Mapping[str, Any]) -> str:
    return f"{number(each['false_positives_per_mb'], 0)} false positives per Mb"


def scan_table(scan: Mapping[str, Any]) -> Table:
    """Calls, recall, precision, false positives and distances of each scorer, and in open chromatin alone."""
    rows = []
    for each in scan["scorers"]:
        for where, part in (("everywhere", each), ("open chromatin", each["open_chromatin"])):
            if part:
                away = number(each["distance"]["median"], 0) if part is each else ""
                rate = number(part["false_positives_per_mb"], 0)
                shares = [_share(part["recall"]), _share(part["precision"])]
                rows.append([each["name"], where, f"{part['calls']:,}", *shares, rate, away])
    columns = [
        "By",
        "Where",
        "Calls#",
        "Recall#",
        "Precision#",
        "False positives per Mb#",
        "Median bp to a start site#",
    ]
    note = (
        f"A call finds a start site within {scan['tolerance']} bp of its centre; sites as near to each other are one "
        f"locus, whatever their strand. In brackets: 95 % intervals. Of the model's false positives "
        f"{scan['scorers'][0]['false_positives_on_other_evidence']:,} lie on other evidence of a promoter."
    )
    return Table("Scan of the test split", columns, rows, note, frozenset({0}))


def scan_sentence(scan: Mapping[str, Any]) -> str:
    """What the scan found, in words."""
    ours, chance = scan["scorers"][0], scan["scorers"][-1]
    return (
        f"The pairs above are balanced; a genome is not. Scanned from end to end ({number(scan['megabases'], 2)} Mb, a "
        f"window every {scan['stride']} bp, closed chromatin included, sequence alone), the model makes "
        f"{ours['calls']:,} calls: it finds {_share(ours['recall'])} of {scan['loci']:,} start-site loci, and "
        f"{_share(ours['precision'])} of its calls lie at one ({_rate(ours)}). As many calls at random positions find "
        f"{_share(chance['recall'])}, {_share(chance['precision'])} of them at one."
    )
