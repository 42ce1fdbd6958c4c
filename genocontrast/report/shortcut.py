"""The shortcut audit in the report: what a model learns from each tier of decoys, as a figure, a table and in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from genocontrast.examples import HARD
from genocontrast.report.figures import MODEL
from genocontrast.report.svg import INK, SEQUENCE, Panel, draw, line_label
from genocontrast.report.tables import Table
from genocontrast.report.wording import estimate, listing, number

TIER_NAMES = {"random": "random", "gc": "same GC", "open": "open", HARD: "matched"}
"""The tiers in words; `hard` are the decoys of the model that the report is about."""


def shortcut_frame(shortcut: Mapping[str, Any]) -> pd.DataFrame:
    """The figures in long form: name, trained, tested, pairs, value, low, high."""
    rows = [{**row, **row["auroc"]} for row in shortcut["figures"]]
    return pd.DataFrame(rows)[["name", "trained", "tested", "pairs", "value", "low", "high"]]


def tier_name(tier: str) -> str:
    """A tier in words."""
    return TIER_NAMES.get(tier, tier)


def shortcut_panel(shortcut: Mapping[str, Any]) -> Panel:
    """AUROC of the model trained on each tier (rows) on the test pairs of each tier (columns)."""
    frame, tiers = shortcut_frame(shortcut), shortcut["tiers"]
    table = frame[frame["name"] == MODEL].pivot(index="trained", columns="tested", values="value").loc[tiers, tiers]
    values = table.to_numpy(dtype=float)
    step = np.clip((np.nan_to_num(values) - 0.5) / 0.5 * len(SEQUENCE), 0, len(SEQUENCE) - 1).astype(int)
    names = [tier_name(tier) for tier in tiers]

    def paint(axes: Axes) -> None:
        for (row, column), value in np.ndenumerate(values):
            colour = SEQUENCE[step[row, column]]
            axes.add_patch(Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, color=colour, lw=0, alpha=0.55))
            line_label(axes, column, row, number(value), INK, ha="center", va="center")
        axes.set(xlim=(-0.5, len(tiers) - 0.5), ylim=(len(tiers) - 0.5, -0.5))
        axes.set_xticks(range(len(tiers)), names)
        axes.set_yticks(range(len(tiers)), names)
        axes.set(xlabel="Tested on decoys that are ...", ylabel="Trained on decoys that are ...")
        axes.grid(visible=False)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)

    told = listing(
        [
            f"trained on {tier_name(trained)}: "
            + ", ".join(f"{tier_name(tested)} {number(table.loc[trained, tested])}" for tested in tiers)
            for trained in tiers
        ]
    )
    return Panel(
        "shortcut",
        "What each kind of decoy teaches",
        "AUROC of the same model, trained on one kind of decoy and tested on each, always with the same promoters. "
        "0.5 is guessing; the lighter, the better. Compare the cells of a column: their decoys are the same, and what "
        "was learned from others is not.",
        f"AUROC of models by decoys in training and in test; {told}.",
        draw("shortcut", paint, (4.4, 0.9 + 0.55 * len(tiers)), (0.95, 0.45, 0.1, 0.1)),
        frame,
    )


def shortcut_table(shortcut: Mapping[str, Any]) -> Table:
    """Model and baselines, trained on each tier, on the matched decoys and on those they were trained on."""
    found = {(row["name"], row["trained"], row["tested"]): row["auroc"] for row in shortcut["figures"]}
    names = list(dict.fromkeys(row["name"] for row in shortcut["figures"]))
    rows = [
        [tier_name(trained), name, *(estimate(found[name, trained, tested]) for tested in (trained, HARD))]
        for trained in shortcut["tiers"]
        for name in names
    ]
    absent = "".join(f" Not trained: {tier_name(tier)}, {why}." for tier, why in sorted(shortcut["absent"].items()))
    if _unequal(shortcut):
        allowed = [f"{tier_name(tier)} {shortcut['epochs'][tier]}" for tier in shortcut["tiers"]]
        absent += f" Epochs at most: {listing(allowed)}."
    note = f"AUROC with 95 % bootstrap intervals over pairs; baselines were fitted on the same training pairs.{absent}"
    strong = frozenset(number for number, row in enumerate(rows) if row[1] == MODEL)
    columns = ["Trained on decoys", "By", "Tested on the same kind#", "Tested on matched decoys#"]
    return Table("Model and baselines, by the decoys that they were trained on", columns, rows, note, strong)


def shortcut_sentences(shortcut: Mapping[str, Any]) -> list[str]:
    """What the table amounts to: the easiest tier against the matched one."""
    model = {(row["trained"], row["tested"]): row["auroc"] for row in shortcut["figures"] if row["name"] == MODEL}
    lead = (
        "A model is defined by the distinctions that it was forced to make. Here the same model was also trained on "
        "easier decoys for the same promoters, and each was tested on all of them."
    )
    if not shortcut["gains"]:
        return ["There is no easier tier of decoys to compare with."]
    easiest = shortcut["gains"][0]["trained"]
    gain = shortcut["gains"][0]["difference"]
    told = (
        f"Trained on {tier_name(easiest)} decoys, the model reaches AUROC {number(model[easiest, easiest]['value'])} "
        f"among decoys of that kind and {number(model[easiest, HARD]['value'])} among matched ones; trained on matched "
        f"ones, it reaches {number(model[HARD, HARD]['value'])} there: a difference of {estimate(gain, signed=True)}. "
    )
    if gain["low"] > 0:
        told += "So the matched decoys taught it something that the easier ones did not ask for."
    elif gain["high"] < 0:
        told += "So the easier decoys taught it more: matching has cost more than it gained."
    else:
        told += "The interval includes 0: here the matched decoys taught it nothing that the easier ones did not."
    if _unequal(shortcut):
        told += " The trainings were not allowed the same number of epochs, to which a part of it may be due."
    if shortcut["lessons_before"]:
        before = listing([name.replace("pool", "the pool of all candidates") for name in shortcut["lessons_before"]])
        told += (
            f" Only the model of the matched decoys had lessons before ({before}), to which a part of it may be due."
        )
    return [lead, told]


def _unequal(shortcut: Mapping[str, Any]) -> bool:
    """Whether the trainings were allowed different numbers of epochs."""
    return len({count for count in shortcut["epochs"].values() if count}) > 1
