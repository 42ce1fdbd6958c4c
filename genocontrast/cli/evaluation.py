"""Evaluate the model on held-out chromosomes, audit its shortcuts, and score anything with it."""

from pathlib import Path
from typing import Annotated

import typer

from genocontrast.cli.options import ConfigFile, Results, results_folder, stage_app

app = stage_app("evaluation", "Metrics with intervals, baselines, strand audit, genome scan, embeddings and motifs.")


@app.command()
def shortcut(config: ConfigFile, results: Results = None) -> None:
    """Test the models of all tiers of decoys on every tier, beside the baselines (after `training tier`)."""
    from genocontrast.config import load_config
    from genocontrast.evaluation.shortcut import run

    settings = load_config(config)
    run(settings, results_folder(results, settings.name))


@app.command()
def predict(
    model: Annotated[Path, typer.Option("--model", help="Folder of the model, as the training stage wrote it.")],
    out: Annotated[Path, typer.Option("--out", help="File for the scores: .tsv, .tsv.gz, .parquet or .bed.")],
    regions: Annotated[
        Path | None,
        typer.Option("--regions", help="BED, narrowPeak, GFF: the model's window around each centre; with --genome."),
    ] = None,
    genome: Annotated[Path | None, typer.Option("--genome", help="FASTA or 2bit that the regions lie on.")] = None,
    fasta: Annotated[Path | None, typer.Option("--fasta", help="FASTA or 2bit: sequences to score themselves.")] = None,
    tile: Annotated[
        int | None,
        typer.Option(
            "--tile", min=1, help="Step between windows along the sequences, bp.", show_default="the central window"
        ),
    ] = None,
    prevalence: Annotated[
        float | None,
        typer.Option(
            "--prevalence",
            min=0,
            max=1,
            help="Fraction of promoters among what is scored.",
            show_default="that of the training pairs",
        ),
    ] = None,
) -> None:
    """Score regions or sequences: the probability of a promoter, 0 to 1 (0 to 1000 in BED), in their order."""
    from genocontrast.evaluation.prediction import predict_regions, predict_sequences

    if fasta is not None and regions is None and genome is None:
        predict_sequences(model, fasta, out, tile, prevalence)
    elif regions is not None and genome is not None and fasta is None and tile is None:
        predict_regions(model, regions, genome, out, prevalence)
    else:
        raise typer.BadParameter("give either --regions and --genome, or --fasta (with --tile, if wanted)")
