"""Scatter maps of embeddings and k-mer vectors, and sequence logos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from genocontrast.report.projection import LIMIT, MAP_LIMIT, Projection, arrange, project, project_umap
from genocontrast.report.results import Vectors, test_rows
from genocontrast.report.svg import (
    DECOY,
    FIFTH,
    FOURTH,
    MUTED,
    PROMOTER,
    SEQUENCE,
    THIRD,
    Panel,
    dots,
    draw,
    line_label,
    shorten,
)
from genocontrast.report.wording import COVARIATE_NAMES, listing, number, percent, plural

Plane = tuple[Projection, pd.DataFrame]
"""A flat view, and what is known of each of its points."""
_CHUNKS = 12
LETTERS = {"A": THIRD, "C": PROMOTER, "G": FIFTH, "T": DECOY}
_MEMBERS = (PROMOTER, DECOY, THIRD, FOURTH)
_VIEWS = {"pc1": "First two principal components", "umap1": "UMAP"}
_SIZE = (4.4, 3.7)
_MARGINS = (0.35, 0.35, 0.1, 0.35)


def embedding_plane(embeddings: Vectors, seed: int, how: Literal["pca", "umap"] = "pca") -> Plane:
    """The test examples on a plane: principal components of the training examples where the stage wrote them."""
    chosen = test_rows(embeddings.rows)
    here = chosen.index.to_numpy()
    if how == "umap":
        plane = project_umap(embeddings.values[here], seed, MAP_LIMIT)
    elif embeddings.plane is None:
        plane = project(embeddings.values[here], seed, MAP_LIMIT)
    else:
        plane = arrange(embeddings.plane[here], embeddings.explained, seed, MAP_LIMIT)
    return plane, chosen.iloc[plane.rows].reset_index(drop=True)


def embedding_panels(plane: Projection, rows: pd.DataFrame) -> list[Panel]:
    """The test examples' embeddings, coloured by class and by the first covariate at hand, for a page without script.

    Parameters
    ----------
    plane : Projection
    rows : DataFrame
        What is known of each of its points.
    """
    plane, rows = plane.first(LIMIT), rows.head(LIMIT)
    frame = _coordinates(plane, rows[["name"]])
    panels = []
    if "label" in rows:
        panels.append(_class_panel(plane, rows["label"].to_numpy(dtype=int), frame))
    shade = next((name for name in ("gc", "accessibility", "cpg") if name in rows), None)
    if shade:
        shown = rows[shade].to_numpy(dtype=float)
        caption = "The same points. A gradient along the axis that parts the classes would mean a shortcut."
        panels.append(_shaded_panel("embedding-covariate", "Test examples", shade, plane, shown, frame, caption))
    return panels


def kmer_panels(kmers: Vectors, sets: Sequence[Mapping[str, Any]], seed: int) -> list[Panel]:
    """The k-mer vectors, coloured by GC content, by their count of CpG and by the sets of k-mers that they belong to.

    Parameters
    ----------
    kmers : Vectors
    sets : sequence of mapping
        `name` and `kmers` of each set to show, at most four; none: there is no such panel.
    seed : int
        Seed of the order of drawing.
    """
    plane = project(kmers.values, seed)
    rows = kmers.rows.iloc[plane.rows].reset_index(drop=True)
    names = rows["name"].astype(str)
    frame, k = _coordinates(plane, rows[["name"]]), len(names[0])
    caption = (
        f"{plural(len(kmers.rows), f'canonical {k}-mer')}; a {k}-mer and its reverse complement are one point. "
        "Near points stand in like surroundings in the genome."
    )
    shades = {"gc": rows["gc"].to_numpy(dtype=float), "cpg_count": names.str.count("CG").to_numpy(dtype=float)}
    panels = [
        _shaded_panel(name, f"{k}-mer vectors", shade, plane, shades[shade], frame, text)
        for name, shade, text in (("kmers", "gc", caption), ("kmers-cpg", "cpg_count", "The same points."))
    ]
    return [*panels, _member_panel(plane, names, sets, frame)] if sets else panels


def _member_panel(plane: Projection, names: pd.Series, sets: Sequence[Mapping[str, Any]], frame: pd.DataFrame) -> Panel:
    """Members of a few sets over all others; of several sets, a k-mer has the colour of the first."""
    member = np.full(len(names), -1)
    for rank, one in reversed(list(enumerate(sets))):
        member[names.isin(one["kmers"]).to_numpy()] = rank
    labels = [shorten(one["name"].split(" (")[0], 11) for one in sets]  # without the identifier there is room for four

    def paint(axes: Axes) -> None:
        dots(axes, plane.points[member < 0], MUTED, size=2.0, opacity=0.25)
        for rank, (label, colour) in enumerate(zip(labels, _MEMBERS, strict=False)):
            dots(axes, plane.points[member == rank], colour, size=5.0)
            line_label(axes, 0.25 * rank, 1.04, f"\u25cf {label}", colour, transform=axes.transAxes)
        _frame_map(axes, plane)

    listed = listing([one["name"] for one in sets])
    caption = (
        f"The same points. In colour: k-mers of {listed}, nearest to each other in all dimensions; a map's two show "
        f"{percent(sum(plane.explained or ()))} of the variance."
    )
    alt = f"K-mer vectors on the first two principal components; {plural(int((member >= 0).sum()), 'k-mer')} of "
    shown = [sets[rank]["name"] if rank >= 0 else "" for rank in member]
    svg = draw("kmers-motifs", paint, _SIZE, _MARGINS)
    title = "K-mers of known motifs"
    return Panel("kmers-motifs", title, caption, f"{alt}{listed} in colour.", svg, frame.assign(motif=shown))


def _coordinates(plane: Projection, rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(**{column: plane.points[:, axis] for axis, column in enumerate(plane.columns)})


def _class_panel(plane: Projection, labels: NDArray[np.int64], frame: pd.DataFrame) -> Panel:
    def paint(axes: Axes) -> None:
        for part in np.array_split(np.arange(len(labels)), _CHUNKS):  # in turns, so that no class hides the other
            for label, colour in ((0, DECOY), (1, PROMOTER)):
                of_class = part[labels[part] == label]
                dots(axes, plane.points[of_class], colour, opacity=0.7)
        _frame_map(axes, plane)
        line_label(axes, 0, 1.04, "\u25cf promoters", PROMOTER, transform=axes.transAxes)
        line_label(axes, 0.27, 1.04, "\u25cf decoys", DECOY, transform=axes.transAxes)

    alt = f"{_VIEWS[plane.columns[0]]} of {plural(len(labels), 'test embedding')}, promoters and decoys in colour"
    apart = [plane.points[labels == label, 0].mean() for label in (1, 0) if (labels == label).any()]
    if len(apart) == 2:
        spread = max(float(plane.points[:, 0].std()), 1e-12)
        gap = number(abs(apart[0] - apart[1]) / spread, 1)
        alt += f"; the class means lie {gap} standard deviations apart on the first axis"
    caption = "Each point is a test example; the axes know nothing of the classes."
    svg = draw("embedding-class", paint, _SIZE, _MARGINS)
    return Panel("embedding-class", "Test examples by class", caption, alt + ".", svg, frame.assign(label=labels))


def _shaded_panel(
    name: str,
    title: str,
    covariate: str,
    plane: Projection,
    values: NDArray[np.float64],
    frame: pd.DataFrame,
    caption: str,
) -> Panel:
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, [0.02, 0.98]) if len(finite) else (0.0, 1.0)
    step = np.clip((values - low) / max(high - low, 1e-12) * len(SEQUENCE), 0, len(SEQUENCE) - 1)
    step = np.where(np.isfinite(values), step, 0).astype(int)
    label = COVARIATE_NAMES.get(covariate, covariate)

    def paint(axes: Axes) -> None:
        for part in np.array_split(np.arange(len(step)), _CHUNKS):
            for level, colour in enumerate(SEQUENCE):
                dots(axes, plane.points[part[step[part] == level]], colour, opacity=0.85)
        _frame_map(axes, plane)
        _key(axes, label, float(low), float(high))

    across = np.corrcoef(plane.points[:, 0], values)[0, 1] if len(finite) == len(values) and finite.std() > 0 else None
    alt = (
        f"{title} on {_VIEWS[plane.columns[0]].lower()}, coloured by {label} from {number(low, 2)} to {number(high, 2)}"
    )
    alt += f"; its correlation with the first axis is {number(across, 2, signed=True)}." if across is not None else "."
    svg = draw(name, paint, _SIZE, _MARGINS)
    return Panel(name, f"{title} by {label}", caption, alt, svg, frame.assign(**{covariate: values}))


def _frame_map(axes: Axes, plane: Projection) -> None:
    """Equal scales, no ticks: only distances mean something on a map."""
    axes.set_xlabel(plane.titles[0], labelpad=6)
    axes.set_ylabel(plane.titles[1], labelpad=6)
    axes.set(xticks=[], yticks=[])
    left, bottom, right, top = _MARGINS
    size = np.array([_SIZE[0] - left - right, _SIZE[1] - bottom - top])  # inches
    low, high = plane.points.min(0), plane.points.max(0)
    half = 0.53 * max(((high - low) / size).max(), 1e-9) * size  # one scale for both axes, and a rim of 3 %
    centre = (low + high) / 2
    axes.set(xlim=(centre[0] - half[0], centre[0] + half[0]), ylim=(centre[1] - half[1], centre[1] + half[1]))


def _key(axes: Axes, label: str, low: float, high: float) -> None:
    """The colour steps with their ends, above the axes."""
    line_label(axes, 0, 1.04, label, MUTED, transform=axes.transAxes)
    width = 0.04
    start = 1 - 0.1 - width * len(SEQUENCE)
    line_label(axes, start - 0.02, 1.04, number(low, 2), MUTED, ha="right", transform=axes.transAxes)
    for step, colour in enumerate(SEQUENCE):
        corner = (start + width * step, 1.04)
        axes.add_patch(Rectangle(corner, width, 0.035, color=colour, lw=0, transform=axes.transAxes, clip_on=False))
    line_label(axes, 1, 1.04, number(high, 2), MUTED, ha="right", transform=axes.transAxes)


def information(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Heights of a logo in bits: each base's probability times the column's information against even bases.

    shape=(length, 4) -> (length, 4). Source: Schneider and Stephens, Nucleic Acids Res 1990.
    """
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1e-12)
    entropy = -(share * np.log2(np.maximum(share, 1e-12))).sum(1, keepdims=True)
    return share * (2 - entropy)


def logo(name: str, motif: Mapping[str, Any]) -> str:
    """Sequence logo of a motif as inline SVG, letters scaled to bits."""
    import logomaker

    bits = information(np.asarray(motif["matrix"], dtype=np.float64))
    heights = pd.DataFrame(np.where(bits < 0.02, 0.0, bits), columns=list("ACGT"))

    def paint(axes: Axes) -> None:
        style = {"color_scheme": LETTERS, "font_name": "DejaVu Sans", "font_weight": "bold"}
        logomaker.Logo(heights, ax=axes, show_spines=False, baseline_width=0, **style)
        axes.grid(visible=False)
        axes.axhline(0, color=MUTED, linewidth=0.7)
        axes.set(xlim=(-0.5, max(len(heights), 8) - 0.5), ylim=(0, 2), xticks=[], yticks=[0, 1, 2])
        axes.spines["left"].set_visible(False)
        axes.set_ylabel("bits")

    return draw(name, paint, (3.0, 0.95), (0.42, 0.06, 0.02, 0.08))
