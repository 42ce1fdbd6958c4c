"""The report: one self-contained page that a biologist reads in a minute and a reviewer can check."""

from __future__ import annotations

from typing import Any

from genocontrast.extras import require

require("report")

__all__ = ["headline", "write_report"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from genocontrast.report import page

    return getattr(page, name)
