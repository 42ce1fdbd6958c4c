"""The command line: `genocontrast <stage> <verb>`. Options and one call each; the work is in the stages."""

import logging
import signal
import sys
import warnings

import typer

from genocontrast.cli import evaluation, genome, init, kmers, negatives, report, training
from genocontrast.errors import GenocontrastError, GenocontrastWarning
from genocontrast.version import __version__

main = typer.Typer(
    name="genocontrast",
    help="Genomic contrastive models: matched hard negatives, strand-true encoders, and reports that prove it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for stage in (genome, negatives, kmers, training, evaluation, report):
    main.add_typer(stage.app, name=stage.__name__.rsplit(".", 1)[-1], help=stage.__doc__)
main.command("init")(init.init)


@main.callback(invoke_without_command=True)
def version(show: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    """Print the version, or run a stage."""
    if show:
        typer.echo(__version__)
        raise typer.Exit


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    if issubclass(category, GenocontrastWarning):
        typer.echo(f"warning: {message}", err=True)


def listen() -> None:
    """Show progress and warnings on standard error."""
    warnings.showwarning = _show_warning
    progress = logging.StreamHandler()
    progress.setFormatter(logging.Formatter("%(message)s"))
    logging.getLogger("genocontrast").addHandler(progress)
    logging.getLogger("genocontrast").setLevel(logging.INFO)


def app() -> None:
    """Entry point: 0 done, 2 wrong usage, 3 bad input, 4 a gate failed; an unexpected error is a traceback and 1."""
    # a scheduler asks a job to end before it kills it: what is half-written is removed on the way out
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    listen()
    try:
        main()
    except GenocontrastError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
