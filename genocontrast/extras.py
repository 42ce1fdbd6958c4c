"""Packages of the optional extras, asked for before any work begins rather than missed at its end."""

from __future__ import annotations

from importlib.util import find_spec

from genocontrast.errors import MissingToolError

EXTRAS = {"report": ("jinja2", "logomaker", "matplotlib", "memelite")}
"""Packages that an extra brings, by the names under which they are imported."""


def require(extra: str) -> None:
    """Raise a MissingToolError, with the command that installs them, where packages of `extra` are missing."""
    missing = [name for name in EXTRAS[extra] if find_spec(name) is None]
    if missing:
        raise MissingToolError(
            f"this step needs packages that are not installed: {', '.join(missing)}",
            remedy=f"pip install 'genocontrast[{extra}]'",
        )
