"""Matplotlib figures as small inline SVG: the page's own font and colours, so that a figure turns dark with the page.

Colours are drawn as marker values and rewritten to CSS variables; text stays text; identifiers carry the figure's name,
because all figures share one document. The same figure gives the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

INK, MUTED, GRID = "#1c2530", "#5c6773", "#dde2e8"
PROMOTER, DECOY, THIRD, FOURTH, FIFTH = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"
SEQUENCE = ("#00224e", "#2a3f6d", "#575d6d", "#7d7c78", "#a59c74", "#d2c060")
"""Okabe and Ito's colours, and six steps of cividis; CSS gives each its value for a light and a dark page."""

_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    PROMOTER: "promoter",
    DECOY: "decoy",
    THIRD: "third",
    FOURTH: "fourth",
    FIFTH: "fifth",
    **{colour: f"step-{step}" for step, colour in enumerate(SEQUENCE)},
}
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "genocontrast",
    "path.simplify": False,
    "text.parse_math": False,  # a name that holds a dollar sign is a name
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.5,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.major.pad": 4,
    "ytick.major.pad": 4,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "lines.solid_capstyle": "round",
}


@dataclass(frozen=True)
class Panel:
    """A figure of the page.

    Attributes
    ----------
    name : str
        Identifier of the figure and stem of its data file.
    title, caption : str
        What it is, and how to read it.
    alt : str
        What a reader who cannot see it should know, the finding included.
    svg : str
        Inline SVG.
    data : DataFrame
        The figures behind it; an empty frame writes no file.
    """

    name: str
    title: str
    caption: str
    alt: str
    svg: str
    data: pd.DataFrame = field(default_factory=pd.DataFrame)


def draw(
    name: str,
    paint: Callable[[Axes], None],
    size: tuple[float, float] = (4.4, 3.1),
    margins: tuple[float, float, float, float] = (0.52, 0.45, 0.1, 0.1),
) -> str:
    """Inline SVG of one pair of axes.

    Parameters
    ----------
    name : str
        Identifier, unique in the page.
    paint : callable
        Draws on the axes.
    size : tuple of float
        Width and height, inches.
    margins : tuple of float
        Left, bottom, right and top of the axes, inches. They are fixed because the reader's font is not known here.
    """
    with rc_context(_STYLE):
        figure = Figure(figsize=size)
        left, bottom, right, top = margins
        width, height = 1 - (left + right) / size[0], 1 - (bottom + top) / size[1]
        paint(figure.add_axes((left / size[0], bottom / size[1], width, height)))
        buffer = io.StringIO()
        blank = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=blank)
    return _inline(buffer.getvalue(), name)


def label_margin(names: Iterable[str]) -> float:
    """Inches that row labels need, in the widest font that a reader is likely to have."""
    return min(0.22 + 0.064 * max((len(name) for name in names), default=0), 2.2)


def shorten(name: str, limit: int = 24) -> str:
    """A row label that fits its margin."""
    return name if len(name) <= limit else name[: limit - 1] + "\u2026"


def ticks(axes: Axes, x: int | None = None, y: int | None = None) -> None:
    """Limit the count of ticks on an axis."""
    for axis, count in ((axes.xaxis, x), (axes.yaxis, y)):
        if count is not None:
            axis.set_major_locator(MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]))


def line_label(axes: Axes, x: float, y: float, text: str, colour: str, **options: object) -> None:
    """A label in the colour of what it names, with a halo of the page's colour so that lines do not cross it."""
    axes.text(x, y, text, color=colour, gid="halo", **options)  # type: ignore[arg-type]


def dots(axes: Axes, points: NDArray[np.float64], colour: str, size: float = 3.2, opacity: float = 1.0) -> None:
    """Points, shape=(n, 2), as one path of round-capped strokes: a tenth of the bytes of one marker each."""
    codes = np.tile([Outline.MOVETO, Outline.LINETO], len(points))
    outline = Outline(points.repeat(2, axis=0), codes)
    axes.add_patch(PathPatch(outline, fill=False, ec=colour, lw=size, capstyle="round", alpha=opacity))


def _inline(svg: str, name: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.S)
    svg = re.sub(r"font-family: [^;\"]+(; )?", "", svg)
    svg = re.sub(r' (d|x|y|transform|width|height)="([^"]*)"', _short, svg)
    svg = _own_identifiers(svg, name)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    svg = re.sub(r">\s+<", "><", svg).replace("\n", " ").strip()
    return re.sub(
        r'<svg [^>]*viewBox="0 0 ([\d.]+) ([\d.]+)"[^>]*>', r'<svg viewBox="0 0 \1 \2" aria-hidden="true">', svg
    )


def _short(match: re.Match[str]) -> str:
    """Two decimals are a fiftieth of a pixel."""
    text = re.sub(r"(\.\d\d)\d+", r"\1", match[2])
    return f' {match[1]}="{" ".join(text.split())}"'


def _own_identifiers(svg: str, name: str) -> str:
    """Drop identifiers that nothing refers to; prefix the others with the figure's name."""
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    svg = svg.replace(' id="halo"', ' class="halo"')
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", svg)
    return re.sub(r'(url\(#|xlink:href="#)', lambda m: f"{m[1].removeprefix('xlink:')}{name}-", svg)
