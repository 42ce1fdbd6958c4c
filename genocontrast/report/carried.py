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
from genocontrast.report.results import Results
from genocontrast.report.svg import Panel


def carried_json(name: str, panels: Iterable[Panel], maps: Iterable[Map], results: Results) -> str:
    """The data of figures as JSON that is safe inside a script element.

    Parameters
    ----------
    name : str
        Of the data set: the start of the names of saved files.
    panels, maps : iterable
        The figures of the page.
    results : Results
        Whose motifs' matrices are carried, too.
    """
    shown = list(maps)
    drawn: list[Panel | Map] = [*panels, *shown]
    tables = {each.name: _tsv(each.data) for each in drawn if len(each.data.columns)}
    for rank, motif in enumerate((results.motifs or {}).get("motifs", []), start=1):
        tables[f"motif-{rank}"] = _tsv(pd.DataFrame(motif["matrix"], columns=list("ACGT")))
    return script_safe({"name": name, "tables": tables, "maps": {each.name: each.options for each in shown}})


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
