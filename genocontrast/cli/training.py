"""Train the promoter encoder."""

from pathlib import Path
from typing import Annotated

import typer

from genocontrast.cli.options import ConfigFile, Positive, Results, results_folder, stage_app
from genocontrast.config import TableConfig
from genocontrast.training.processes import spread

app = stage_app(
    "training",
    "Train the strand-tied encoder on promoters and matched decoys; resumes after a kill.",
    before=lambda settings: spread(settings.training),
)
_DEFAULT = TableConfig()
_CONFIG_HELP = "Configuration, YAML or JSON, of which `training` and `seed` are read."
_EPOCHS_HELP = "Largest number of passes over the training table."


@app.command("csv")
def train_on_tables(
    train: Annotated[
        Path, typer.Option("--train", help="Labelled sequences: CSV or TSV (`sequence,label`), gzip or not; a folder.")
    ],
    dev: Annotated[Path, typer.Option("--dev", help="The same of others, that tell when to stop; never trained on.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write the model to.")],
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", min=0, max=2**32 - 1, help="Seed of everything random.", show_default=f"{_DEFAULT.seed}"
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", min=1, help=_EPOCHS_HELP, show_default=f"{_DEFAULT.training.epochs}"),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help=_CONFIG_HELP, show_default="the defaults of config/README.md")
    ] = None,
    positive: Positive = None,
) -> None:
    """Train on a table of sequences and labels, without a genome; resumes after a kill."""
    from genocontrast.config import load_table_config
    from genocontrast.training.tables import train_tables

    settings = _DEFAULT if config is None else load_table_config(config)
    spread(settings.training)
    model = train_tables(train, dev, out, settings.changed(seed, epochs), positive=positive)
    best = min(model.history, key=lambda row: row["validation_loss"])
    typer.echo(f"windows of {model.width:,} bp, best epoch {best['epoch']}: {out}")


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
    spread(settings.training)
    run_tier(settings, results_folder(results, settings.name), tier)


@app.command()
def seed(
    config: ConfigFile,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="The other seed.")],
    results: Results = None,
) -> None:
    """Train with another seed, which shows how much of the figures is chance; resumes after a kill."""
    from genocontrast.config import load_config
    from genocontrast.training.stage import run_seed

    settings = load_config(config)
    spread(settings.training)
    run_seed(settings, results_folder(results, settings.name), seed)
