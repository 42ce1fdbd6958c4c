"""Count k-mers, fit strand-tied vectors to the counts, and look at them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from genocontrast.cli.options import stage_app
from genocontrast.config import KmersConfig

app = stage_app("kmers", "Count co-occurring k-mers on the training chromosomes and fit their vectors.")
_DEFAULT = KmersConfig()


def _setting(name: str, flag: str | None = None) -> Any:
    """The option of a setting of the `kmers` section, with its text."""
    text = " ".join((KmersConfig.model_fields[name].description or "").split())
    return typer.Option(flag or f"--{name.replace('_', '-')}", help=text)


Counts = Annotated[Path, typer.Argument(help="Counts, as `kmers count` or `kmers merge` wrote them.")]


@app.command()
def count(
    source: Annotated[Path, typer.Argument(help="FASTA or 2bit; or reads: FASTQ (.fastq, .fq; plain or gzip), BAM.")],
    out: Annotated[Path, typer.Option("--out", help="File to write the counts to.")],
    k: Annotated[int, _setting("k")] = _DEFAULT.k,
    window: Annotated[int, _setting("window")] = _DEFAULT.window,
    skip: Annotated[int, _setting("skip")] = _DEFAULT.skip,
    spaced: Annotated[str | None, _setting("spaced")] = _DEFAULT.spaced,
    soft_masked: Annotated[bool, _setting("soft_masked", "--soft-masked/--no-soft-masked")] = _DEFAULT.soft_masked,
    share: Annotated[
        float,
        typer.Option("--share", help="Share of the pairs to count, in lists; the same for all that is to be merged."),
    ] = 1.0,
    chrom: Annotated[
        list[str] | None, typer.Option("--chrom", help="Chromosome to count, repeatable.", show_default="all")
    ] = None,
    memory: Annotated[float, _setting("memory")] = _DEFAULT.memory,
    regions: Annotated[
        Path | None, typer.Option("--regions", help="BED, narrowPeak, GFF: count in these only.", show_default="whole")
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads.", show_default="all cores")] = None,
) -> None:
    """Count pairs of k-mers; counts of chromosomes add up exactly (`kmers merge`)."""
    from genocontrast.genome import read_regions
    from genocontrast.kmers.counting import count_kmers, opened

    genome: Any = opened(source)
    counted = count_kmers(
        genome, k, window, chroms=chrom, regions=None if regions is None else read_regions(regions, genome=genome),
        skip=skip, spaced=spaced, soft_masked=soft_masked, share=share, memory=memory, threads=threads,
    )  # fmt: skip
    counted.save(out)
    typer.echo(f"{counted.tokens.sum():,} {k}-mers, {counted.total:,.0f} weighted pairs: {out}")


@app.command()
def merge(
    files: Annotated[list[Path], typer.Argument(help="Counts of different sequences, made with the same settings.")],
    out: Annotated[Path, typer.Option("--out", help="File to write the sum to.")],
) -> None:
    """Add up the counts of several files, such as those of single chromosomes."""
    from genocontrast.kmers import merge as add_up

    total = add_up(files)
    total.save(out)
    typer.echo(f"{total.tokens.sum():,} {total.k}-mers of {len(total.sequences)} sequences: {out}")


@app.command()
def fit(
    counts: Counts,
    out: Annotated[Path, typer.Option("--out", help="File for the vectors (.h5ad); word2vec text goes beside it.")],
    validation: Annotated[
        Path | None, typer.Option("--validation", help="Counts of other sequences, that tell when to stop.")
    ] = None,
    dim: Annotated[int, _setting("dim")] = _DEFAULT.dim,
    objective: Annotated[str, _setting("objective")] = _DEFAULT.objective,
    log_q: Annotated[bool, _setting("log_q", "--log-q/--no-log-q")] = _DEFAULT.log_q,
    negatives: Annotated[float, _setting("negatives")] = _DEFAULT.negatives,
    subsample: Annotated[float, _setting("subsample")] = _DEFAULT.subsample,
    iterations: Annotated[int, _setting("iterations")] = _DEFAULT.iterations,
    device: Annotated[str, _setting("device")] = _DEFAULT.device,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the start.")] = 1,
) -> None:
    """Fit vectors to counts."""
    from genocontrast.kmers import CooccurrenceCounts, KmerEmbedding

    fitted = KmerEmbedding.from_counts(
        CooccurrenceCounts.load(counts), None if validation is None else CooccurrenceCounts.load(validation), dim,
        objective, log_q=log_q, negatives=negatives, subsample=subsample, iterations=iterations, device=device,
        seed=seed,
    )  # fmt: skip
    fitted.save(out)
    fitted.to_word2vec(out.with_suffix(".word2vec.txt"))
    final = fitted.record["losses"]["final"]
    held_out = "" if final["validation"] is None else f", held out {final['validation']:.4f}"
    typer.echo(f"{fitted.dim} dimensions, loss {final['train']:.4f}{held_out}: {out}")


@app.command()
def nearest(
    vectors: Annotated[Path, typer.Argument(help="Vectors (.h5ad), as `kmers run` or `kmers fit` wrote them.")],
    kmer: Annotated[str, typer.Argument(help="A k-mer; its reverse complement is the same one.")],
    n: Annotated[int, typer.Option("-n", min=1, help="Number of k-mers to print.")] = 10,
) -> None:
    """Print the k-mers nearest to one: cosine similarity, and occurrences in training."""
    from genocontrast.kmers import KmerEmbedding

    typer.echo(
        KmerEmbedding.load(vectors).nearest(kmer.upper(), n).to_string(index=False, float_format="{:.3f}".format)
    )
