"""Read and check the inputs, or simulate a genome."""

from pathlib import Path
from typing import Annotated

import typer

from genocontrast.cli.options import ConfigFile, stage_app
from genocontrast.config import SIMULATED_MEGABASES, SIMULATION_SEED

app = stage_app("genome", "Check the inputs and write promoters, evidence, open chromatin and chromosome splits.")


@app.command()
def check(config: ConfigFile) -> None:
    """Print what the inputs hold, and exit non-zero on what would waste a night; only the genome's cache is written."""
    from genocontrast.config import load_config
    from genocontrast.genome.check import print_check

    print_check(load_config(config))


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
