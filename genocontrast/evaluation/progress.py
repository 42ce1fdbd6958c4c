"""Progress of long loops on standard error: a bar on a terminal, a line every few seconds anywhere else."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Generator, Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")

EVERY = 5.0
"""Seconds between two lines; what takes less says nothing."""
_log = logging.getLogger(__name__)


def with_progress(chunks: Iterable[tuple[int, T]], total: int | None, what: str) -> Generator[T]:
    """Yield the chunks and show how far they are.

    Parameters
    ----------
    chunks : iterable of (int, object)
        How much each chunk holds, and the chunk.
    total : int or None
        How much all of them hold; None: not known.
    what : str
        What is counted, such as "windows scored".
    """
    console = Console(stderr=True)
    drawn = console.is_terminal and os.environ.get("TERM") != "dumb"
    columns = TextColumn("{task.completed:,.0f} {task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not drawn) as bar:
        task, done, told = bar.add_task(what, total=total), 0, time.monotonic()
        for size, chunk in chunks:
            yield chunk
            done += size
            bar.update(task, completed=done)
            if not drawn and time.monotonic() - told >= EVERY:
                told = time.monotonic()
                _log.info("%s%s %s", f"{done:,}", "" if total is None else f" of {total:,}", what)
