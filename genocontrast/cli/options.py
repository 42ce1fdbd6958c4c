"""Options that every stage shares."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path, typer.Option("--config", help="Configuration, YAML or JSON (config/README.md explains each key).")
]
Results = Annotated[
    Path | None,
    typer.Option("--results", help="Folder of this data set's results.", show_default="results/<name>"),
]


def results_folder(results: Path | None, name: str) -> Path:
    """The folder given, or results/<name> below the working folder."""
    return results or Path("results") / name
