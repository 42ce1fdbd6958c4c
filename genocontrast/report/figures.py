"""The figures of the report, each with its alternative text and the data behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from genocontrast.report.decoys import ranked
from genocontrast.report.svg import (
    DECOY,
    FOURTH,
    GRID,
    INK,
    MUTED,
    PROMOTER,
    THIRD,
    Panel,
    dots,
    draw,
    label_margin,
    line_label,
    shorten,
    ticks,
)
from genocontrast.report.wording import covariate, estimate, listing, number, plural

MODEL, ORACLE = "model", "oracle"


def auroc_frame(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """AUROC with interval of the model, its baselines (best first) and the oracle: name, value, low, high."""
    rows = [{"name": MODEL, **metrics["test"]["auroc"]}]
    ranked = sorted(metrics["baselines"], key=lambda baseline: -baseline["auroc"]["value"])
    rows += [{"name": baseline["name"], **baseline["auroc"]} for baseline in ranked]
    if metrics.get("oracle"):
        rows.append({"name": ORACLE, **metrics["oracle"]["auroc"]})
    return pd.DataFrame(rows)[["name", "value", "low", "high"]]


def auroc_panel(metrics: Mapping[str, Any]) -> Panel:
    """AUROC of the model, the baselines and the oracle with their intervals: the report in one figure."""
    frame = auroc_frame(metrics)
    height, labels = 0.6 + 0.27 * len(frame), [shorten(name) for name in frame["name"]]

    def paint(axes: Axes) -> None:
        low, high = min(0.5, frame["low"].min()), max(0.55, frame["high"].max())
        reach = high - low
        axes.axvline(0.5, color=MUTED, linewidth=0.8, dashes=(3, 2))
        for row, (name, value, left, right) in enumerate(frame.itertuples(index=False)):
            colour = {MODEL: PROMOTER, ORACLE: INK}.get(name, MUTED)
            axes.plot([left, right], [row, row], color=colour, linewidth=3.2 if name == MODEL else 1.8)
            axes.plot([value], [row], "o", color=colour, markersize=7 if name == MODEL else 5)
            line_label(axes, right + 0.03 * reach, row, number(value), colour, va="center")
        axes.set(ylim=(len(frame) - 0.5, -0.5), xlim=(low - 0.04 * reach, high + 0.17 * reach))
        axes.set_yticks(range(len(frame)), labels)
        for label in axes.get_yticklabels():
            label.set_color(PROMOTER if label.get_text() == MODEL else INK)
        axes.set_xlabel("AUROC on the test pairs (0.5 is guessing)", loc="right")
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        ticks(axes, x=5)

    svg = draw("auroc", paint, (4.4, height), (label_margin(labels), 0.45, 0.1, 0.05))
    told = listing([f"{row.name} {estimate(row._asdict())}" for row in _named(frame)], limit=12)
    return Panel(
        "auroc",
        "How well each tells promoters from decoys",
        "Dots: AUROC on the test pairs; bars: 95 % bootstrap intervals over blocks of pairs. A baseline whose bar "
        "reaches the model's explains as much with less.",
        f"AUROC with 95 % intervals on the test pairs: {told}.",
        svg,
        frame,
    )


def _named(frame: pd.DataFrame) -> list[Any]:
    return list(frame.itertuples(index=False, name="Row"))


def curve_colours(names: Sequence[str]) -> dict[str, str]:
    """Colour of each curve: the model always blue, the others in order."""
    others = [name for name in names if name != MODEL]
    cycle = (DECOY, THIRD, FOURTH, MUTED)
    return {MODEL: PROMOTER, **{name: cycle[min(i, len(cycle) - 1)] for i, name in enumerate(others)}}


def curve_frame(curves: Mapping[str, Mapping[str, Sequence[float]]]) -> pd.DataFrame:
    """Curves in long form: name, x, y; the model first."""
    names = sorted(curves, key=lambda name: (name != MODEL, name))
    parts = [pd.DataFrame({"name": name, "x": curves[name]["x"], "y": curves[name]["y"]}) for name in names]
    return pd.concat(parts, ignore_index=True)


def roc_panel(metrics: Mapping[str, Any]) -> Panel:
    """ROC curves of the model and its baselines."""
    areas = auroc_frame(metrics).set_index("name")["value"]
    return _curve_panel("roc", "ROC", metrics["curves"]["roc"], areas, ("False positive rate", "True positive rate"))


def pr_panel(metrics: Mapping[str, Any]) -> Panel:
    """Precision-recall curves of the model and its baselines."""
    areas = {MODEL: metrics["test"]["auprc"]["value"]}
    areas |= {baseline["name"]: baseline["auprc"]["value"] for baseline in metrics["baselines"]}
    chance = metrics["test"]["prevalence"]
    return _curve_panel("pr", "Precision and recall", metrics["curves"]["pr"], areas, ("Recall", "Precision"), chance)


def _curve_panel(
    name: str,
    title: str,
    curves: Mapping[str, Any],
    areas: Mapping[str, float] | pd.Series,
    axis_names: tuple[str, str],
    chance: float | None = None,
) -> Panel:
    frame = curve_frame(curves)
    names = list(dict.fromkeys(frame["name"]))
    colours = curve_colours(names)

    def paint(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1] if chance is None else [chance, chance], color=MUTED, linewidth=0.8, dashes=(3, 2))
        for line, curve in enumerate(reversed(names)):
            rows = frame[frame["name"] == curve]
            axes.plot(rows["x"], rows["y"], color=colours[curve], linewidth=2.0 if curve == MODEL else 1.3)
            label = f"{shorten(curve)}  {number(areas.get(curve))}"
            line_label(axes, 0.97, 0.05 + 0.075 * line, label, colours[curve], ha="right", transform=axes.transAxes)
        axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel=axis_names[0], ylabel=axis_names[1])
        ticks(axes, x=5, y=5)

    told = listing([f"{curve} {number(areas.get(curve))}" for curve in names], limit=12)
    return Panel(
        name,
        title,
        "Test pairs; the number is the area under the curve. Dashed: guessing.",
        f"{title} curves on the test pairs, area under each: {told}.",
        draw(name, paint, (4.4, 3.3)),
        frame,
    )


def love_panel(balance: Mapping[str, Any], max_smd: float) -> Panel:
    """Absolute standardised mean difference of each covariate before and after matching; matched ones first."""
    frame = pd.DataFrame(ranked(balance))[["covariate", "smd_before", "smd_after", "matched"]]
    labels = [shorten(covariate(name)) for name in frame["covariate"]]
    measured_only = not frame["matched"].all()
    tall, top = 0.18 + 0.34 * len(frame), 0.51 if measured_only else 0.32  # inches

    def paint(axes: Axes) -> None:
        _love_marks(axes, frame, max_smd)
        axes.set_yticks(range(len(frame)), labels)
        for label, matched in zip(axes.get_yticklabels(), frame["matched"], strict=True):
            label.set_color(INK if matched else MUTED)
        axes.set_xlabel("|standardised mean difference|", loc="right")
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        above: Any = {"y": 1 + (top - 0.25) / tall, "transform": axes.transAxes}
        line_label(axes, 1.0, text="\u25cb all candidates", colour=DECOY, ha="right", **above)
        line_label(axes, 0.0, text="\u25cf matched decoys", colour=PROMOTER, **above)
        if measured_only:
            above["y"] = 1 + 0.07 / tall
            line_label(axes, 0.0, text="\u25c7 matched decoys, not matched on this", colour=PROMOTER, **above)
        ticks(axes, x=6)

    caption = (
        "Circles, open: promoters against the whole pool of candidates; filled: against the decoys matched to them. "
        "The gate asks every covariate that was matched on to fall inside the grey band (|SMD| up to "
        f"{number(max_smd, 2)}).{' Diamonds: covariates that were measured only.' if measured_only else ''}"
    )
    alt = f"Absolute standardised mean difference before and after matching: {_from_to(frame[frame['matched']])}."
    alt += f" Not matched on: {_from_to(frame[~frame['matched']])}." if measured_only else ""
    svg = draw("balance", paint, (4.4, 0.45 + tall + top), (label_margin(labels), 0.45, 0.1, top))
    return Panel("balance", "Are the decoys like the promoters?", caption, alt, svg, pd.DataFrame(ranked(balance)))


def _love_marks(axes: Axes, frame: pd.DataFrame, max_smd: float) -> None:
    """The band that the gate asks for, behind what it applies to; a line of marks for each covariate."""
    before, after = frame["smd_before"].abs().to_numpy(), frame["smd_after"].abs().to_numpy()
    rows, gated = np.arange(len(frame)), frame["matched"].to_numpy(dtype=bool)
    right = max(before.max(initial=0), after.max(initial=0), 2 * max_smd) * 1.08
    hollow: Any = {"markerfacecolor": "none", "markeredgewidth": 1.6}
    axes.add_patch(Rectangle((0, -0.6), max_smd, gated.sum() + 0.1, color=GRID, linewidth=0, zorder=0))
    axes.hlines(rows, after, before, color=MUTED, linewidth=1)
    axes.plot(before, rows, "o", color=DECOY, markersize=6, **hollow)
    axes.plot(after[gated], rows[gated], "o", color=PROMOTER, markersize=7)
    axes.plot(after[~gated], rows[~gated], "D", color=PROMOTER, markersize=5, **hollow)
    axes.set(ylim=(len(frame) - 0.5, -0.6), xlim=(-0.02 * right, right))


def _from_to(frame: pd.DataFrame) -> str:
    rows = [
        f"{row.covariate} from {number(abs(row.smd_before))} to {number(abs(row.smd_after))}" for row in _named(frame)
    ]
    return listing(rows, limit=12)


def score_panel(predictions: pd.DataFrame) -> Panel:
    """Scores of test promoters and decoys."""
    edges = np.linspace(0, 1, 41)
    scores, labels = predictions["score"].to_numpy(dtype=float), predictions["label"].to_numpy()
    counts = {label: np.histogram(scores[labels == label].clip(0, 1), edges)[0] for label in (1, 0)}
    frame = pd.DataFrame({"from": edges[:-1], "to": edges[1:], "promoters": counts[1], "decoys": counts[0]}).round(4)

    def paint(axes: Axes) -> None:
        for label, colour in ((0, DECOY), (1, PROMOTER)):
            axes.stairs(counts[label], edges, color=colour, fill=True, alpha=0.25, linewidth=0)
            axes.stairs(counts[label], edges, color=colour, linewidth=1.5)
        top = max(counts[0].max(initial=1), counts[1].max(initial=1))
        axes.set(xlim=(0, 1), ylim=(0, top * 1.12), xlabel="Model's probability of promoter", ylabel="Test examples")
        line_label(axes, 0.03, 0.94, "decoys", DECOY, transform=axes.transAxes)
        line_label(axes, 0.97, 0.94, "promoters", PROMOTER, ha="right", transform=axes.transAxes)
        ticks(axes, x=5, y=4)

    middle = {label: float(np.median(scores[labels == label])) if (labels == label).any() else None for label in (1, 0)}
    return Panel(
        "scores",
        "Scores of the test examples",
        "The less the two overlap, the better the model tells the classes apart.",
        f"Histogram of scores; the median is {number(middle[1], 2)} for promoters, {number(middle[0], 2)} for decoys.",
        draw("scores", paint),
        frame,
    )


def strand_panel(strand: Mapping[str, Any]) -> Panel:
    """Scores of windows and of their reverse complements, by the network alone."""
    points = np.array(strand["points"], dtype=float).reshape(-1, 2)
    threshold = strand["threshold"]

    def paint(axes: Axes) -> None:
        for line in (axes.axvline, axes.axhline):
            line(threshold, color=GRID, linewidth=1)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, dashes=(3, 2))
        dots(axes, points, PROMOTER, opacity=0.6)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="Score", ylabel="Score of the reverse complement")
        axes.set_aspect("equal")
        ticks(axes, x=5, y=5)

    network = strand["network"]
    return Panel(
        "strand",
        "Scores of both strands",
        f"{plural(len(points), 'test window')} through the network alone. Off the diagonal: the score depends on the "
        "strand. In the upper left and lower right quarter the call flips.",
        f"Scatter of scores of {plural(len(points), 'window')} and of their reverse complements; the largest "
        f"difference among all test windows is {network['max_difference']:.2g}.",
        draw("strand", paint),
        pd.DataFrame(points, columns=["score", "reverse_complement"]),
    )


def training_panels(history: Mapping[str, Any]) -> list[Panel]:
    """Losses, and the validation AUROC, by epoch."""
    epochs = pd.DataFrame(history["epochs"])
    best = history["best_epoch"]
    # the validation loss is that of classification; the training loss may hold the contrastive one besides
    training = "train_classification" if "train_classification" in epochs else "train_loss"
    lines = {training: ("training", DECOY), "validation_loss": ("validation", PROMOTER)}
    caption = f"The model kept is that of epoch {best} (dotted), the best on the validation split."
    told = f"{caption} Its loss there is that at the temperature of calibration."
    panels = [_epoch_panel("loss", "Classification loss", epochs, lines, best, told)]
    others = {"validation_auroc": "Validation AUROC", "train_contrastive": "Contrastive loss (training)"}
    for column, title in others.items():
        if column in epochs:
            line = {column: (title, PROMOTER if column.startswith("validation") else DECOY)}
            panels.append(_epoch_panel(column.replace("_", "-"), title, epochs, line, best, caption))
    return panels


def _epoch_panel(
    name: str, title: str, epochs: pd.DataFrame, lines: Mapping[str, tuple[str, str]], best: int, caption: str
) -> Panel:
    def paint(axes: Axes) -> None:
        axes.axvline(best, color=MUTED, linewidth=0.9, dashes=(1, 2))
        for column, (_, colour) in lines.items():
            axes.plot(epochs["epoch"], epochs[column], color=colour, linewidth=1.7)
            dots(axes, epochs[["epoch", column]].to_numpy(dtype=float)[-1:], colour, 4.5)
        for place, (label, colour) in enumerate(lines.values()):
            if len(lines) > 1:
                line_label(axes, 0.97, 0.92 - 0.08 * place, label, colour, ha="right", transform=axes.transAxes)
        axes.set(xlabel="Epoch", ylabel=title)
        axes.margins(x=0.02, y=0.08)
        ticks(axes, x=6, y=5)

    told = listing(
        [f"{label} from {number(epochs[c].iloc[0])} to {number(epochs[c].iloc[-1])}" for c, (label, _) in lines.items()]
    )
    alt = f"{title} over {plural(len(epochs), 'epoch')}: {told}; the best epoch is {best}."
    return Panel(name, title, caption, alt, draw(name, paint), epochs[["epoch", *lines]])
