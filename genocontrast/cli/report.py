"""Write the report."""

import typer

from genocontrast.cli.options import ConfigFile, Results, results_folder, stage_app

app = stage_app("report", "Write one self-contained HTML page and its figures' data.")


@app.command()
def headline(config: ConfigFile, results: Results = None) -> None:
    """Print where the report is and its headline figures."""
    from genocontrast.config import load_config
    from genocontrast.report.page import headline as lines

    typer.echo(lines(results_folder(results, load_config(config).name)))
