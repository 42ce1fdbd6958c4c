"""The map of the embedding that a reader can question: every test example, coloured by what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from genocontrast.report.projection import Projection
from genocontrast.report.wording import covariate, plural

_PLACE = ["name", "chrom", "start", "end", "strand"]
_KNOWN = [*_PLACE, "label", "score"]
_HIDDEN = {"pair_id", "split"}
_DIGITS = 4


@dataclass(frozen=True)
class Map:
    """An interactive scatter plot.

    Attributes
    ----------
    name : str
        Identifier and stem of its data file.
    title, caption, alt : str
    data : DataFrame
        A row for each point.
    options : dict
        What the script draws it by: `axes` (column, title), `colours` (column, title, kind: class, ramp or category),
        and `told`, the numbers that a point's label gives.
    """

    name: str
    title: str
    caption: str
    alt: str
    data: pd.DataFrame
    options: dict[str, Any]


def embedding_map(plane: Projection, rows: pd.DataFrame) -> Map:
    """All points of a plane with what is known of each.

    Parameters
    ----------
    plane : Projection
        n points.
    rows : DataFrame
        n rows in the plane's order; any of chrom, start, end, strand, label and score, and covariates.
    """
    known = [column for column in _KNOWN if column in rows]
    measured = [str(c) for c in rows.select_dtypes("number") if c not in {*_KNOWN, *_HIDDEN}]
    frame = rows[[*known, *measured]].reset_index(drop=True)
    frame = frame.round(dict.fromkeys(["score", *measured], _DIGITS))
    text = [str(column) for column in frame.select_dtypes(exclude="number")]
    # tabs and line ends part the cells of the table that the page carries
    frame = frame.assign(**{column: frame[column].astype(str).str.replace(r"\s+", " ", regex=True) for column in text})
    frame = frame.assign(**{column: plane.points[:, axis] for axis, column in enumerate(plane.columns)})
    titles = {"score": "score", **{column: covariate(column) for column in measured}}
    ramps = [{"column": c, "title": titles[c], "kind": "ramp"} for c in titles if c in frame]
    colours = [*_classes(frame), *ramps]
    if "chrom" in frame:
        colours.append({"column": "chrom", "title": "chromosome", "kind": "category"})
    options = {
        "axes": [{"column": c, "title": t} for c, t in zip(plane.columns, plane.titles, strict=True)],
        "colours": colours,
        "told": [[c, titles[c]] for c in titles if c in frame],
    }
    return Map(
        "embedding",
        "Test examples, point by point",
        "Each point is a test example. Point at one, or move among them with the arrow keys, to read its locus. "
        "A gradient of a covariate along the axis that parts the classes would mean a shortcut.",
        f"Map of {plural(len(frame), 'test example')}, coloured by class at first; arrow keys go from point to point.",
        frame,
        options,
    )


def _classes(frame: pd.DataFrame) -> list[dict[str, Any]]:
    if "label" not in frame:
        return []
    names = {"values": ["1", "0"], "names": ["promoters", "decoys"]}
    return [{"column": "label", "title": "class", "kind": "class", **names}]
