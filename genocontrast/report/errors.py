"""The most confident errors in the report: what each is, where, and which bases the model was convinced by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from numpy.typing import NDArray

from genocontrast.report.maps import LETTERS
from genocontrast.report.svg import INK, MUTED, Panel, draw, line_label, ticks
from genocontrast.report.wording import covariate, integer, listing, number, plural

STRETCH = 10
"""Bases that are spelled out, around the strongest contribution."""
_KINDS = {"decoys": "decoy taken for a promoter", "promoters": "promoter taken for a decoy"}


@dataclass(frozen=True)
class ErrorCard:
    """An error: its attribution track, and what is known of it as pairs of words and value."""

    panel: Panel
    facts: list[tuple[str, str]]


def error_cards(errors: Mapping[str, Any], upstream: int) -> dict[str, list[ErrorCard]]:
    """A card for each error, by kind, the worst first; all tracks share one scale."""
    everything = [one for kind in _KINDS for one in errors[kind]]
    top = max((max(map(abs, one["contributions"]), default=0.0) for one in everything), default=1.0)
    cards: dict[str, list[ErrorCard]] = {}
    for kind, told in _KINDS.items():
        ranked = enumerate(errors[kind], start=1)
        cards[kind] = [_card(f"error-{kind}-{rank}", told, one, upstream, top or 1.0) for rank, one in ranked]
    return cards


def locus(place: Mapping[str, Any]) -> str:
    """A place as genome browsers write it, with its strand."""
    # browsers count from 1
    return f"{place['chrom']}:{place['start'] + 1:,}\u2013{place['end']:,} ({place['strand']})".replace("-)", "\u2212)")


def _card(name: str, kind: str, one: Mapping[str, Any], upstream: int, top: float) -> ErrorCard:
    track = np.asarray(one["contributions"], dtype=np.float64)
    bases = np.array(list(one["sequence"]))
    position = np.arange(len(track)) - upstream
    frame = pd.DataFrame({"position": position, "base": bases, "contribution": track})
    first = _strongest(track)
    word = "".join(bases[first : first + STRETCH])

    def paint(axes: Axes) -> None:
        axes.axhline(0, color=MUTED, linewidth=0.7)
        for base, colour in LETTERS.items():
            axes.add_patch(_bars(position[bases == base], track[bases == base], colour))
        middle = float(position[first : first + STRETCH].mean())
        inside = min(max(middle, position[0] + 0.12 * len(track)), position[-1] - 0.12 * len(track))
        line_label(axes, inside, 1.12 * top, word, INK, ha="center", va="bottom")
        axes.plot([middle] * 2, [1.02 * top, 1.1 * top], color=INK, linewidth=0.8)
        axes.set(ylim=(-1.1 * top, 1.45 * top), xlim=(position[0] - 1, position[-1] + 1))
        axes.set(xlabel="bp from the TSS (decoys: as their promoter)", ylabel="Contribution")
        axes.grid(axis="x", visible=False)
        axes.spines["bottom"].set_visible(False)
        ticks(axes, x=6, y=3)

    up = plural(int((track > 0).sum()), "base")
    alt = (
        f"Contribution of each base of {one['name']}, a {kind}, to the promoter logit; {up} speak for a promoter, "
        f"and {word} at {number(float(position[first]), 0)} bp weighs most."
    )
    svg = draw(name, paint, (4.4, 1.75), (0.6, 0.42, 0.08, 0.04))
    return ErrorCard(Panel(name, f"{one['name']}: {kind}", "", alt, svg, frame), _facts(one))


def _facts(one: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = [("locus", locus(one)), ("score", number(one["score"]))]
    facts += [(covariate(name), number(value)) for name, value in one["covariates"].items()]
    if one["nearest_site"] is not None:
        facts.append(("centre to start site", f"{integer(one['nearest_site'])} bp"))
    if one["feature"] is not None:
        facts.append(("lies in", one["feature"]))
    mates = [f"{mate['name']}, {locus(mate)}, score {number(mate['score'])}" for mate in one["mates"]]
    return [*facts, ("paired with", listing(mates, limit=2))]


def _bars(position: NDArray[np.int64], height: NDArray[np.float64], colour: str) -> PathPatch:
    """Bars from 0 as one path."""
    points = np.stack([np.stack([position, np.zeros(len(position))], 1), np.stack([position, height], 1)], 1)
    outline = Outline(points.reshape(-1, 2), np.tile([Outline.MOVETO, Outline.LINETO], len(position)))
    return PathPatch(outline, fill=False, ec=colour, lw=1.0, capstyle="butt")


def _strongest(track: NDArray[np.float64]) -> int:
    """Where the stretch begins whose contributions are largest, whatever their sign."""
    if len(track) <= STRETCH:
        return 0
    return int(np.abs(np.convolve(track, np.ones(STRETCH), mode="valid")).argmax())
