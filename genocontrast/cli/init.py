"""Lay down a working folder for one's own files."""

from pathlib import Path
from typing import Annotated

import typer

_NEEDED = {
    "--fasta": "genome sequence",
    "--promoters": "annotation with transcription start sites",
    "--open-chromatin": "peaks",
    "--signal": "accessibility",
}


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to work in; made where it is not there.")],
    fasta: Annotated[Path | None, typer.Option("--fasta", help="Genome: FASTA or 2bit.")] = None,
    promoters: Annotated[
        Path | None, typer.Option("--promoters", help="Transcription start sites: GFF3, GTF or BED.")
    ] = None,
    open_chromatin: Annotated[
        list[Path] | None, typer.Option("--open-chromatin", help="Peaks, BED or narrowPeak; repeatable.")
    ] = None,
    signal: Annotated[
        list[Path] | None,
        typer.Option("--signal", help="bigWig, bedGraph, fragments, BAM or CRAM, one for each replicate; repeatable."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the data set.", show_default="that of the folder")
    ] = None,
    workflow: Annotated[
        Path | None,
        typer.Option("--workflow", help="workflow/Snakefile of a checkout.", show_default="beside the package"),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write although the check finds fault; nothing is ever overwritten.")
    ] = False,
) -> None:
    """Check a genome's files and lay down a configuration and a Snakefile for them; exit with 3 on a fault."""
    given = dict(zip(_NEEDED, (fasta, promoters, open_chromatin, signal), strict=True))
    missing = [f"{option} ({_NEEDED[option]})" for option, value in given.items() if not value]
    if missing:
        raise typer.BadParameter(f"give {', '.join(missing)}")
    from genocontrast.project import lay_down

    files = {option.lstrip("-").replace("-", "_"): value for option, value in given.items() if value}
    typer.echo(lay_down(folder, files, name, workflow, force=force))
