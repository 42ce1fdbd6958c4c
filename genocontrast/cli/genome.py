"""Read and check the inputs, or simulate a genome."""

from pathlib import Path
from typing import Annotated

import typer

from genocontrast.cli.options import ConfigFile, stage_app
from genocontrast.config import SIMULATED_MEGABASES, SIMULATION_SEED

app = stage_app("genome", "Check the inputs and write promoters, evidence, open chromatin and chromosome splits.")


@app.command()
def check(config: ConfigFile) -> None:
    """Print what the inputs hold and the decoys to expect; exit non-zero on what would waste a night."""
    from genocontrast.datasets import load_datasets
    from genocontrast.negatives.outlook import check as print_check

    found = load_datasets(config)
    for name, settings in found.items():
        if len(found) > 1:
            typer.echo(f"\n== {name}\n")
        print_check(settings)


@app.command()
def simulate(
    out: Annotated[Path, typer.Option("--out", help="Folder to write the genome, annotation, signal and truth to.")],
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Seed; the same seed gives the same bytes.")
    ] = SIMULATION_SEED,
    megabases: Annotated[
        float, typer.Option("--megabases", min=1, max=50, help="Size of the genome, Mb.")
    ] = SIMULATED_MEGABASES,
) -> None:
    """Make a genome with planted promoters, matched decoys, signal and the truth about all of them."""
    from genocontrast.genome.simulate import simulate as make

    make(out, seed=seed, megabases=megabases)


@app.command("take-in")
def take_in_file(
    source: Annotated[str, typer.Option("--source", help="The file, or its address (http, https).")],
    target: Annotated[Path, typer.Option("--target", help="Where to put it.")],
    sha256: Annotated[str, typer.Option("--sha256", help="SHA-256 that it must have, hexadecimal.")] = "",
    md5: Annotated[str, typer.Option("--md5", help="MD5 that it must have instead, hexadecimal.")] = "",
) -> None:
    """Fetch or copy a file to where the configuration names it, if its checksum is the expected one."""
    from genocontrast.genome.fetch import take_in

    if bool(sha256) == bool(md5):
        raise typer.BadParameter("give either --sha256 or --md5")
    if sha256:
        take_in(source, target, "sha256", sha256)
    else:
        take_in(source, target, "md5", md5)


@app.command()
def reads(
    file: Annotated[Path, typer.Argument(help="FASTQ (.fastq, .fq; plain, gzip or bgzip) or BAM (.bam).")],
    min_length: Annotated[int, typer.Option("--min-length", min=0, help="Remove shorter reads, bp.")] = 0,
    min_quality: Annotated[
        float,
        typer.Option("--min-quality", min=0, max=93, help="Remove reads whose mean error probability is worse, Phred."),
    ] = 0.0,
    max_n_fraction: Annotated[
        float,
        typer.Option("--max-n-fraction", min=0, max=1, help="Remove reads with a larger fraction of unknown bases."),
    ] = 1.0,
    sample: Annotated[
        int | None,
        typer.Option("--sample", min=1, help="Number of reads to draw from those that pass.", show_default="all"),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the sample.")] = 0,
) -> None:
    """Print how many reads a file holds, their lengths and qualities, and what each filter removes."""
    from genocontrast.genome.read_summary import print_reads
    from genocontrast.genome.reads import Reads

    print_reads(
        Reads(
            file,
            min_length=min_length,
            min_quality=min_quality,
            max_n_fraction=max_n_fraction,
            sample=sample,
            seed=seed,
        )
    )
