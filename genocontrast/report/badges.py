"""The small figures of the first screen, one for each audit: what its badge says, seen at a glance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from genocontrast.report.figures import MODEL
from genocontrast.report.results import Results
from genocontrast.report.svg import DECOY, GRID, INK, MUTED, PROMOTER, Panel, draw, shorten
from genocontrast.report.verdict import best_baseline, is_covariate_only
from genocontrast.report.wording import covariate, estimate, integer, listing, number

ROWS = 4
"""Rows of every small figure, so that all four have one scale."""
_SIZE, _LEFT, _RIGHT = (2.35, 0.7), 0.93, 0.34
_LEAKS = {"overlapping": "overlaps", "exact_repeats": "copies", "near_duplicates": "near copies"}


def badge_panels(results: Results, max_smd: float) -> dict[str, Panel]:
    """A small figure for each audit that has run, by the audit's name."""
    metrics = results.metrics
    panels = {
        "Balance": _balance(results.balance, max_smd),
        "Shortcut": _shortcut(metrics),
        "Strand": _strand(metrics.get("strand")),
        "Leakage": _leakage(metrics.get("leakage")),
    }
    return {name: panel for name, panel in panels.items() if panel is not None}


def _panel(name: str, alt: str, paint: Callable[[Axes], None], frame: pd.DataFrame) -> Panel:
    def painted(axes: Axes) -> None:
        paint(axes)
        axes.set(ylim=(ROWS - 0.5, -0.5), xticks=[], yticks=[])
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)

    svg = draw(f"badge-{name}", painted, _SIZE, (_LEFT, 0.02, _RIGHT, 0.02))
    return Panel(f"badge-{name}", "", "", alt, svg, frame)


def _label(axes: Axes, row: float, text: str, colour: str = MUTED) -> None:
    axes.text(-0.04, row, text, color=colour, ha="right", va="center", transform=axes.get_yaxis_transform())


def _value(axes: Axes, row: float, text: str, colour: str = INK) -> None:
    axes.text(1.04, row, text, color=colour, va="center", transform=axes.get_yaxis_transform())


def _centred(count: int) -> np.ndarray:
    """Places of `count` rows, in the middle of the figure."""
    return np.arange(count) + (ROWS - count) / 2


def _balance(balance: Mapping[str, Any], max_smd: float) -> Panel | None:
    """Love plot of what was matched on, the widest first."""
    table = [row for row in balance["table"] if row["matched"]]
    table = sorted(table, key=lambda row: -abs(row["smd_after"]))[:ROWS]
    if not table:
        return None
    frame = pd.DataFrame(table)[["covariate", "smd_before", "smd_after"]]
    before, after = frame["smd_before"].abs().to_numpy(), frame["smd_after"].abs().to_numpy()
    right = max(before.max(), after.max(), 2 * max_smd) * 1.06
    rows = _centred(len(frame))

    def paint(axes: Axes) -> None:
        axes.add_patch(Rectangle((0, -0.5), max_smd, ROWS, color=GRID, linewidth=0))
        axes.hlines(rows, after, before, color=MUTED, linewidth=0.8)
        axes.plot(before, rows, "o", color=DECOY, markersize=4, markerfacecolor="none", markeredgewidth=1.2)
        axes.plot(after, rows, "o", color=PROMOTER, markersize=5)
        for row, name, value in zip(rows, frame["covariate"], after, strict=True):
            _label(axes, row, shorten(covariate(name), 13))
            _value(axes, row, number(value, 2), INK if value <= max_smd else DECOY)
        axes.set_xlim(-0.03 * right, right)

    told = listing([f"{covariate(row['covariate'])} {number(abs(row['smd_after']))}" for row in table])
    return _panel("balance", f"|SMD| after matching, the gate at {number(max_smd, 2)}: {told}.", paint, frame)


def _shortcut(metrics: Mapping[str, Any]) -> Panel | None:
    """AUROC of the model above the best baselines that see covariates only."""
    found = [baseline for baseline in metrics["baselines"] if is_covariate_only(baseline)]
    if best_baseline(found) is None:
        return None
    ranked = sorted(found, key=lambda baseline: -baseline["auroc"]["value"])[: ROWS - 1]
    shown = [{"name": MODEL, **metrics["test"]["auroc"]}, *({"name": b["name"], **b["auroc"]} for b in ranked)]
    frame = pd.DataFrame(shown)[["name", "value", "low", "high"]]
    rows = _centred(len(frame))

    def paint(axes: Axes) -> None:
        axes.axvline(0.5, color=MUTED, linewidth=0.8, dashes=(3, 2))
        for row, (name, value, low, high) in zip(rows, frame.itertuples(index=False), strict=True):
            colour = PROMOTER if name == MODEL else MUTED
            axes.plot([low, high], [row, row], color=colour, linewidth=2.4)
            axes.plot([value], [row], "o", color=colour, markersize=5)
            _label(axes, row, shorten(name.removesuffix(" only"), 13), PROMOTER if name == MODEL else MUTED)
            _value(axes, row, number(value, 2), colour if name == MODEL else INK)
        left = min(0.45, float(frame["low"].min()) - 0.02)
        axes.set_xlim(left, max(1.0, float(frame["high"].max())))

    told = listing([f"{row['name']} {estimate(row)}" for row in shown])
    return _panel("shortcut", f"AUROC with 95 % intervals, guessing at 0.5: {told}.", paint, frame)


def _strand(strand: Mapping[str, Any] | None) -> Panel | None:
    """Calls that flip, of the model and of its network alone."""
    if not strand:
        return None
    sides = {"model": strand, "its network": strand["network"]}
    counts = [(name, side["flips"]) for name, side in sides.items()]
    return _shares("strand", "Calls that flip with the strand", counts, strand["examples"])


def _leakage(leakage: Mapping[str, Any] | None) -> Panel | None:
    """Test windows that training has seen, by the way in which it has."""
    if not leakage or not leakage.get("windows"):
        return None
    counts = [(words, leakage[key]) for key, words in _LEAKS.items() if leakage.get(key) is not None]
    return _shares("leakage", "Test windows that training has seen", counts, leakage["windows"]) if counts else None


def _shares(name: str, what: str, counts: Sequence[tuple[str, int]], of: int) -> Panel:
    """Bars of parts of a whole: a hollow one is none."""
    frame = pd.DataFrame({"what": [words for words, _ in counts], "count": [n for _, n in counts], "of": of})
    rows = _centred(len(counts))

    def paint(axes: Axes) -> None:
        for row, (words, count) in zip(rows, counts, strict=True):
            axes.add_patch(Rectangle((0, row - 0.22), 1, 0.44, facecolor=GRID, linewidth=0))
            # a single window is seen, too
            width = max(count / max(of, 1), 0.015) if count else 0
            axes.add_patch(Rectangle((0, row - 0.22), width, 0.44, facecolor=DECOY, linewidth=0))
            _label(axes, row, words)
            _value(axes, row, integer(count), DECOY if count else INK)
        axes.set_xlim(0, 1)

    told = listing([f"{words} {integer(count)}" for words, count in counts])
    return _panel(name, f"{what}, of {integer(of)}: {told}.", paint, frame)
