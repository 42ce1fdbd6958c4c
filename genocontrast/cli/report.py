"""Write the report."""

from pathlib import Path
from typing import Annotated

import typer

from genocontrast.cli.options import ConfigFile, PredictionSet, Results, results_folder, stage_app

app = stage_app("report", "Write one self-contained HTML page and its figures' data.")


@app.command()
def headline(config: ConfigFile, results: Results = None) -> None:
    """Print where the report is and its headline figures; of several data sets, one after another."""
    from genocontrast.datasets import load_datasets
    from genocontrast.report.page import headline as lines

    names = list(load_datasets(config))
    if results and len(names) > 1:
        raise typer.BadParameter("--results is the folder of one data set: leave it out")
    typer.echo("\n\n".join(lines(results_folder(results, name)) for name in names))


@app.command()
def compare(
    results: Annotated[list[Path], typer.Argument(help="Folders results/<name> of two or more data sets or models.")],
    out: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("compare.html"),
) -> None:
    """Write one page over several reports: verdicts, figures and audits side by side."""
    from genocontrast.report.compare import write_comparison

    typer.echo(write_comparison(results, out))


@app.command()
def predictions(config: ConfigFile, name: PredictionSet, results: Results = None) -> None:
    """Write the page on a set of `prediction.regions` (after `evaluation predictions`)."""
    from genocontrast.config import load_config
    from genocontrast.report.predictions import write_page

    settings = load_config(config)
    typer.echo(write_page(settings, results_folder(results, settings.name), name))
