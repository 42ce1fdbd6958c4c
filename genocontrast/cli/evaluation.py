"""Evaluate the model on held-out chromosomes or a table, audit shortcuts and leaks, and score anything with it."""

from pathlib import Path
from typing import Annotated

import typer

from genocontrast.cli.options import ConfigFile, Positive, PredictionSet, Results, results_folder, stage_app
from genocontrast.config import EvaluationConfig

app = stage_app("evaluation", "Metrics with intervals, baselines, strand audit, genome scan, embeddings and motifs.")
_BOOTSTRAPS = EvaluationConfig().bootstraps
_DATA_SET = (
    "CSV or TSV (`sequence` and, for counts by class, `label`), FASTA, or BED and its kin; a folder with a part for "
    "each class, or for each split"
)


@app.command("csv")
def evaluate_on_table(
    model: Annotated[Path, typer.Option("--model", help="Folder of a trained model.")],
    data: Annotated[
        Path, typer.Option("--data", help="Labelled sequences: CSV or TSV (`sequence,label`), gzip or not; a folder.")
    ],
    json: Annotated[Path | None, typer.Option("--json", help="File to write the figures to.")] = None,
    predictions: Annotated[
        Path | None, typer.Option("--predictions", help="File for the probability of each sequence, tab-separated.")
    ] = None,
    positive: Positive = None,
    bootstraps: Annotated[
        int, typer.Option("--bootstraps", min=100, help="Resamples of the sequences for the intervals.")
    ] = _BOOTSTRAPS,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the resamples.")] = 1,
) -> None:
    """Print MCC, accuracy, F1, AUROC and AUPRC of a model on a table, with 95 % intervals, and both strands' calls."""
    from genocontrast.evaluation.tables import evaluate_file

    evaluate_file(model, data, json, predictions, positive=positive, bootstraps=bootstraps, seed=seed)


@app.command()
def leakage(
    train: Annotated[Path, typer.Option("--train", help=f"What was trained on: {_DATA_SET}.")],
    test: Annotated[Path, typer.Option("--test", help="What is tested on, in any of these forms.")],
    genome: Annotated[
        Path | None, typer.Option("--genome", help="FASTA or 2bit file that regions lie on.", show_default="none")
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", help="File to write the counts to.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File for the test examples that were seen, tab-separated.")
    ] = None,
    positive: Positive = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 4 where any test example was seen.")] = False,
) -> None:
    """Count test examples that overlap, repeat or nearly repeat (half of their 12-mers) a training one."""
    from genocontrast.evaluation.leakage_files import audit_files

    audit_files(train, test, genome, json, out, positive=positive, strict=strict)


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
            help="Share of promoters among what is scored, which its probabilities are for.",
            show_default="one half, as in training",
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


@app.command()
def predictions(config: ConfigFile, name: PredictionSet, results: Results = None) -> None:
    """Score a set of `prediction.regions` with this data set's model: scores.tsv and .json, and of regions .bw."""
    from genocontrast.config import load_config
    from genocontrast.evaluation.predictions import run

    settings = load_config(config)
    run(settings, results_folder(results, settings.name), name)
