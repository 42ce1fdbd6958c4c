"""Train the promoter encoder."""

import typer

from genocontrast.cli.options import ConfigFile, Results, results_folder

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _stage() -> None:
    """Keep `run` a sub-command."""


@app.command()
def run(config: ConfigFile, results: Results = None) -> None:
    """Train the strand-tied encoder on promoters and matched decoys; resumes after a kill."""
    from genocontrast.config import load_config
    from genocontrast.training import stage

    settings = load_config(config)
    stage.run(settings, results_folder(results, settings.name))
