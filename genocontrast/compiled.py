"""Plain loops, compiled on first use: numba is imported only then, and keeps the result for the next process."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function in machine code; without a folder that may hold the result it is compiled again each time."""
    from numba import njit

    try:
        return njit(cache=True)(function)
    except RuntimeError:  # numba: no locator available, neither beside the file nor in the user's cache
        return njit(function)
