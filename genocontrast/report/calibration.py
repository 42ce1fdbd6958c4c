"""Whether probabilities can be believed, and what the frozen embeddings know: a figure and a table of the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from genocontrast.report.svg import DECOY, MUTED, PROMOTER, Panel, draw, line_label, ticks
from genocontrast.report.tables import Table
from genocontrast.report.wording import NOTHING, estimate, number, percent

_SIDES = {"before": ("before", DECOY), "after": ("calibrated", PROMOTER)}


def reliability_panel(calibration: Mapping[str, Any]) -> Panel:
    """Share of promoters among test windows of like probability, before and after the temperature."""
    parts = [pd.DataFrame(calibration[side]["curve"]).assign(name=name) for side, (name, _) in _SIDES.items()]
    frame = pd.concat(parts, ignore_index=True)[["name", "predicted", "observed", "low", "high", "count"]]

    def paint(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, dashes=(3, 2))
        for line, (name, colour) in enumerate(_SIDES.values()):
            rows = frame[frame["name"] == name]
            whole = name != "before"  # told apart without colour, too
            axes.vlines(rows["predicted"], rows["low"], rows["high"], color=colour, linewidth=1.2)
            style: Any = {"linewidth": 1.7 if whole else 1.0, "markersize": 5}
            axes.plot(
                rows["predicted"],
                rows["observed"],
                "o-" if whole else "s--",
                color=colour,
                **style,
                markerfacecolor=colour if whole else "none",
            )
            line_label(axes, 0.97, 0.05 + 0.08 * line, name, colour, ha="right", transform=axes.transAxes)
        axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="Model's probability of promoter", ylabel="Share of promoters")
        ticks(axes, x=5, y=5)

    error = {side: calibration[side]["ece"] for side in _SIDES}
    return Panel(
        "reliability",
        "Can the probabilities be believed?",
        f"Test windows in bins of equal count, with 95 % intervals; on the dashed line a probability is as frequent as "
        f"it says. Logits were divided by {number(calibration['temperature'], 2)}, a temperature fitted on the "
        f"validation split; before: by 1. All holds at the test windows' prevalence of "
        f"{percent(calibration['prevalence'])}; at another one the probabilities have to be rescaled.",
        f"Reliability curves of the test windows; the expected calibration error is {number(error['before'])} before "
        f"and {number(error['after'])} after calibration.",
        draw("reliability", paint, (4.4, 3.3)),
        frame,
    )


def calibration_table(calibration: Mapping[str, Any]) -> Table:
    """Log loss, Brier score and calibration error before and after the temperature."""
    sides = [calibration[side] for side in _SIDES]
    rows = [
        ["log loss", *(estimate(found["log_loss"]) for found in sides)],
        ["Brier score", *(estimate(found["brier"]) for found in sides)],
        ["expected calibration error", *(number(found["ece"]) for found in sides)],
    ]
    note = "Lower is better. One half for each window would have a log loss of 0.693 and a Brier score of 0.250."
    return Table("Calibration on the test pairs", ["", *(f"{name}#" for name, _ in _SIDES.values())], rows, note)


def probe_table(probes: Mapping[str, Any]) -> Table:
    """What simple methods get out of the embeddings, whose encoder stays as it is."""
    linear, knn, retrieval, locus = (probes[name] for name in ("linear", "knn", "retrieval", "locus"))
    rows = [
        ["logistic regression, AUROC", estimate(linear["auroc"]), "0.500"],
        [f"{knn['neighbours']} nearest training windows, AUROC", estimate(knn["auroc"]), "0.500"],
        [
            f"promoters among a test promoter's {retrieval['k']} nearest test windows",
            estimate(retrieval),
            number(retrieval["prevalence"]),
        ],
        *([_recall(found["k"]), estimate(found), number(found["chance"])] for found in locus["recall"]),
        [f"mean squared distance of windows moved by {locus['shift']} bp", number(probes["alignment"]), "2.000"],
        ["uniformity of test windows", number(probes["uniformity"]), NOTHING],
        ["mean cosine of the two strands", number(probes["strand_cosine"]), "0.000"],
    ]
    note = (
        "Fitted on training embeddings, tuned on the validation split; in brackets 95 % intervals, where there are. "
        "Chance: of embeddings that point anywhere. Uniformity: log mean exp(\u22122 squared distance), lower is more "
        "even, 0 is all alike."
    )
    return Table("What the frozen embeddings know", ["Probe", "Test windows#", "Chance#"], rows, note)


def _recall(k: int) -> str:
    return f"own locus of a moved window {'nearest' if k == 1 else f'among the {k} nearest'}"
