"""Tables of the benchmarks' stored JSON (`python benchmarks/NAME.py --json benchmarks/results/NAME.json`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

HEAD = """
## Stored runs

Made from the JSON that the scripts wrote with `--json`, as it lies in `benchmarks/results/`; nothing is typed off. The
machine has 2 cores, which it shared with other work: seconds are upper bounds and differ from the tables above, ratios
and sizes hardly do.
"""


def shown(value: Any) -> str:
    """A value as text: numbers to three significant digits."""
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {shown(part)}" for name, part in value.items())
    return str(value).replace("|", "\\|")


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows of one shape as a Markdown table."""
    heads = list(rows[0])
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    return [*lines, *("| " + " | ".join(shown(row.get(head)) for head in heads) + " |" for row in rows), ""]


def is_table(value: Any) -> bool:
    """Whether a value is a list of rows."""
    return isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) for row in value)


def section(name: str, figures: Mapping[str, Any]) -> str:
    """One benchmark: its plain figures, then its tables."""
    lines = [f"### {name}.py", ""]
    facts = {key: value for key, value in figures.items() if not is_table(value)}
    if facts:
        lines += table([{"figure": key.replace("_", " "), "value": value} for key, value in facts.items()])
    for key, value in figures.items():
        if is_table(value):
            lines += [f"{key}:", "", *table(value)]
    return "\n".join(lines)


def rendered(folder: Path) -> str:
    """All stored runs of a folder as Markdown."""
    files = sorted(folder.glob("*.json"))
    return "\n".join([HEAD, *(section(file.stem, json.loads(file.read_text())) for file in files)])


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Add the stored runs to the page of the benchmarks."""
    if page.file.src_uri != "benchmarks.md":
        return markdown
    return markdown + rendered(Path(config.config_file_path).parent / "benchmarks" / "results")
