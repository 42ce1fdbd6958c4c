"""Plain loops, compiled on first use: numba is imported only then, and keeps the result for the next process."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any


@cache
def compiled(function: Callable[..., Any], fastmath: bool = False) -> Callable[..., Any]:
    """The function in machine code, which other threads may run beside.

    Parameters
    ----------
    function : callable
        Plain loops over arrays.
    fastmath : bool
        Let sums be taken in another order, which makes vector instructions of them.

    Notes
    -----
    Without a folder that may hold the result it is compiled again each time.
    """
    from numba import njit

    options: dict[str, Any] = {"nogil": True, "fastmath": fastmath, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # numba: no locator available, neither beside the file nor in the user's cache
        return njit(**options)(function)
