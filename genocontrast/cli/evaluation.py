"""Evaluate the model on held-out chromosomes; find what leaks."""

from pathlib import Path
from typing import Annotated

import typer

from genocontrast.cli.options import Positive, stage_app

app = stage_app("evaluation", "Metrics with intervals, baselines, strand audit, embeddings and motifs.")
_DATA_SET = (
    "CSV or TSV (`sequence` and, for counts by class, `label`), FASTA, or BED and its kin; a folder with a part for "
    "each class, or for each split"
)


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
