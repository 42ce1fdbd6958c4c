"""How objects show themselves, as a line of text or a small table in a notebook, and how a cell shows its progress."""

from __future__ import annotations

import html
import logging
import sys
import time
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

LISTED = 8
"""Names that a description lists."""
_BAR = 20
_TICK = 0.2  # seconds between two changes of a line that are worth a message to the browser
_CELL = "text-align: left; vertical-align: top"


class Described:
    """`__repr__` and a notebook's table from one method, `facts`; a dataclass needs ``repr=False`` beside it."""

    def facts(self) -> dict[str, str]:
        """What to show, by name, the most important first."""
        raise NotImplementedError

    def facts_table(self) -> pd.DataFrame | None:
        """A table to show below the facts in a notebook; None: there is none."""
        return None

    def __repr__(self) -> str:
        said = ", ".join(f"{name} {value}" if value else name for name, value in self.facts().items())
        return f"{type(self).__name__}({_printable(said)})"

    def _repr_html_(self) -> str:
        return card(type(self).__name__, self.facts(), self.facts_table())


def card(title: str, facts: Mapping[str, str], table: pd.DataFrame | None = None) -> str:
    """Facts, and a table below them, as HTML; titles, names and values are text, of which no tag survives."""
    rows = "".join(
        f'<tr><th style="{_CELL}">{_escaped(name)}</th><td style="{_CELL}">{_escaped(value)}</td></tr>'
        for name, value in facts.items()
    )
    below = "" if table is None else _grid(table)
    return f"<div><strong>{_escaped(title)}</strong><table>{rows}</table>{below}</div>"


def _grid(table: pd.DataFrame) -> str:
    head = "".join(f'<th style="{_CELL}">{_escaped(name)}</th>' for name in table.columns)
    rows = (
        "<tr>" + "".join(f'<td style="{_CELL}">{_escaped(value)}</td>' for value in row) + "</tr>"
        for row in table.itertuples(index=False, name=None)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _escaped(value: object) -> str:
    return html.escape(_printable(str(value)), quote=True)


def _printable(text: str) -> str:
    """Line ends and control characters, which a file's name may hold, written as Python writes them."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def listed(names: Iterable[str], most: int = LISTED) -> str:
    """Names with commas, the first ones where they are many."""
    every = [str(name) for name in names]
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def bases(number: int) -> str:
    """A length in the unit that a reader expects: bp, kb or Mb."""
    if number < 10_000:
        return f"{number:,} bp"
    return f"{number / 1e3:,.1f} kb" if number < 1_000_000 else f"{number / 1e6:,.2f} Mb"


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this; IPython is asked only where it is loaded already."""
    shell = _shell()
    return shell is not None and getattr(shell, "kernel", None) is not None


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def bar(done: int, total: int) -> str:
    """How far something is, in characters, so that it needs no widgets: [#####.....] 12/24."""
    filled = _BAR * min(done, total) // max(total, 1)
    return f"[{'#' * filled}{'.' * (_BAR - filled)}] {done:,}/{total:,}"


class CellLine:
    """One line of output below the cell that runs, replaced as the work goes on."""

    def __init__(self) -> None:
        self._cell: Any = None
        self._handle: Any = None
        self._shown = 0.0

    def tick(self, text: str) -> None:
        """Show `text` unless the line has just changed: for loops that turn many times a second."""
        if time.monotonic() - self._shown >= _TICK:
            self.show(text)

    def show(self, text: str) -> None:
        """Put `text` in place of the line; a new cell begins a line of its own."""
        self._shown = time.monotonic()
        data = {"text/plain": text}
        cell = _shell().execution_count
        if self._handle is None or cell != self._cell:
            self._cell = cell
            self._handle = import_module("IPython.display").display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


CELL_LINE = CellLine()


class CellLog(logging.Handler):
    """Shows what the package logs as the cell's line, unless the user has a log of their own."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show the record's message."""
        if logging.getLogger().handlers or not in_notebook():
            return
        try:
            CELL_LINE.show(record.getMessage())
        except Exception:
            self.handleError(record)


def show_progress() -> None:
    """In a notebook, show what the package logs below the cell that runs; a level that the user has set stays."""
    log = logging.getLogger("genocontrast")
    if any(isinstance(handler, CellLog) for handler in log.handlers):
        return
    log.addHandler(CellLog())
    if log.level == logging.NOTSET:
        log.setLevel(logging.INFO)
