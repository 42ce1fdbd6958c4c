"""What the page carries, so that a forwarded file is whole: the data of its figures, and its one script."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

import pandas as pd

from genocontrast.report.embedding_map import Map
from genocontrast.report.svg import Panel


def carried_json(name: str, shown: Iterable[Panel | Map], matrices: Mapping[str, pd.DataFrame]) -> str:
    """The data of figures as JSON that is safe inside a script element.

    Parameters
    ----------
    name : str
        The start of the names of saved files.
    shown : iterable of Panel or Map
        The figures of the page.
    matrices : mapping of str to DataFrame
        Further tables, by the figure that they belong to.
    """
    drawn = list(shown)
    frames = {**{each.name: each.data for each in drawn}, **matrices}
    tables = {figure: _tsv(frame) for figure, frame in frames.items() if len(frame.columns)}
    maps = {each.name: each.options for each in drawn if isinstance(each, Map)}
    return script_safe({"name": name, "tables": tables, "maps": maps})


def motif_matrices(motifs: Mapping[str, Any] | None) -> dict[str, pd.DataFrame]:
    """The matrix behind each logo, by the name of its figure."""
    if not motifs:
        return {}
    shown = {f"motif-{rank}": motif["matrix"] for rank, motif in enumerate(motifs["motifs"], start=1)}
    shown |= {f"filter-{row['filter']}": row["matrix"] for row in motifs["filters"]}
    return {figure: pd.DataFrame(matrix, columns=list("ACGT")) for figure, matrix in shown.items()}


def script_safe(value: Mapping[str, Any]) -> str:
    """JSON in which nothing can end a script element or start a comment or a tag."""
    text = json.dumps(value, ensure_ascii=True, sort_keys=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _tsv(frame: pd.DataFrame) -> str:
    return str(frame.to_csv(sep="\t", index=False, lineterminator="\n"))


def script() -> tuple[str, str]:
    """The page's script, and its digest for the content security policy, under which no other one runs."""
    text = files("genocontrast.report").joinpath("templates/report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return text, f"sha256-{digest}"
