"""Fit strand-tied k-mer vectors."""

import typer

from genocontrast.cli.options import ConfigFile, Results, results_folder

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _stage() -> None:
    """Keep `run` a sub-command."""


@app.command()
def run(config: ConfigFile, results: Results = None) -> None:
    """Count co-occurring k-mers on the training chromosomes and fit their vectors."""
    from genocontrast.config import load_config
    from genocontrast.kmers import stage

    settings = load_config(config)
    stage.run(settings, results_folder(results, settings.name))
