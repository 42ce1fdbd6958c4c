"""Write the report."""

import typer

from genocontrast.cli.options import ConfigFile, Results, results_folder

app = typer.Typer(no_args_is_help=True)


@app.command()
def run(config: ConfigFile, results: Results = None) -> None:
    """Write one self-contained HTML page and its figures' data."""
    from genocontrast.config import load_config
    from genocontrast.report import stage

    settings = load_config(config)
    stage.run(settings, results_folder(results, settings.name))


@app.command()
def headline(config: ConfigFile, results: Results = None) -> None:
    """Print where the report is and its headline figures."""
    from genocontrast.config import load_config
    from genocontrast.report.page import headline as lines

    typer.echo(lines(results_folder(results, load_config(config).name)))
