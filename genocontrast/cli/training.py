"""Train the promoter encoder."""

from typing import Annotated

import typer

from genocontrast.cli.options import ConfigFile, Results, results_folder, stage_app

app = stage_app("training", "Train the strand-tied encoder on promoters and matched decoys; resumes after a kill.")


@app.command()
def tier(
    config: ConfigFile,
    tier: Annotated[str, typer.Option("--tier", help="Decoys to train on: random, gc, open or nearby.")],
    results: Results = None,
) -> None:
    """Train on easier decoys for the same promoters, for the shortcut audit; resumes after a kill."""
    from genocontrast.config import load_config
    from genocontrast.training.tiers import run_tier

    settings = load_config(config)
    run_tier(settings, results_folder(results, settings.name), tier)
