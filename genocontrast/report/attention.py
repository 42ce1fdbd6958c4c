"""Where along the window the model looks, in the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from genocontrast.report.svg import DECOY, MUTED, PROMOTER, Panel, draw, line_label, ticks
from genocontrast.report.wording import number

_CLASSES = {"promoters": (PROMOTER, "-"), "decoys": (DECOY, "--")}


def attention_panel(profile: Mapping[str, Any], upstream: int) -> Panel:
    """Mean attention of promoters and decoys along the window, `upstream` bp of which lie before the TSS."""
    frame = pd.DataFrame(profile)
    frame["position"] -= upstream
    highest = frame.iloc[int(frame["promoters"].argmax())]

    def paint(axes: Axes) -> None:
        axes.axhline(1, color=MUTED, linewidth=0.8, dashes=(3, 2))
        axes.axvline(0, color=MUTED, linewidth=0.8)
        for line, (name, (colour, style)) in enumerate(_CLASSES.items()):
            axes.plot(frame["position"], frame[name], style, color=colour, linewidth=1.7)
            line_label(axes, 0.03, 0.92 - 0.08 * line, name, colour, transform=axes.transAxes)
        top = max(frame["promoters"].max(), frame["decoys"].max(), 1.0)
        axes.set(ylim=(0, 1.25 * top), xlabel="bp from the TSS (decoys: as their promoter)", ylabel="Attention")
        axes.margins(x=0)
        ticks(axes, x=5, y=4)

    return Panel(
        "attention",
        "Where the model looks",
        "Mean weight of each position in the attention pool, over heads and both strands; 1 (dashed) is what it would "
        "be if all positions counted alike. It shows where evidence is gathered, not what it says: attributions and "
        "motifs do.",
        f"Mean attention along test windows; on promoters it is highest {number(highest['position'], 0)} bp from the "
        f"TSS, {number(highest['promoters'], 2)} times the mean.",
        draw("attention", paint, (4.4, 2.8)),
        frame,
    )
