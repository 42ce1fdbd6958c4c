"""Options that every stage shares, and the command `run` that they all have."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from genocontrast.config import Config

ConfigFile = Annotated[
    Path, typer.Option("--config", help="Configuration, YAML or JSON (config/README.md explains each key).")
]
Results = Annotated[
    Path | None,
    typer.Option("--results", help="Folder of this data set's results.", show_default="results/<name>"),
]

Positive = Annotated[
    str | None,
    typer.Option("--positive", help="Label, file or folder of the positive class.", show_default="1, positive"),
]

PredictionSet = Annotated[str, typer.Option("--set", help="Name of one of the files in prediction.regions.")]


def results_folder(results: Path | None, name: str) -> Path:
    """The folder given, or results/<name> below the working folder."""
    return results or Path("results") / name


def stage_app(stage: str, does: str, before: Callable[[Config], None] = lambda settings: None) -> typer.Typer:
    """The commands of a stage: `run`, which does what `does` says, and `before` before it imports the stage."""
    app = typer.Typer(no_args_is_help=True)

    @app.callback()
    def _stage() -> None:
        """Keep `run` a sub-command where it is the only one."""

    @app.command(help=does)
    def run(config: ConfigFile, results: Results = None) -> None:
        from genocontrast.config import load_config

        settings = load_config(config)
        before(settings)
        import_module(f"genocontrast.{stage}.stage").run(settings, results_folder(results, settings.name))

    return app
