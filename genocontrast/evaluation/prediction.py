"""Promoter probabilities of the regions of any file, or of the sequences of a FASTA file, into one table."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike, provenance
from genocontrast.evaluation.progress import with_progress
from genocontrast.evaluation.score_files import extension, score_file
from genocontrast.evaluation.scoring import Scorer, mostly_n
from genocontrast.genome.encoding import read_packed
from genocontrast.genome.fasta import Genome
from genocontrast.genome.regions import read_regions, resize
from genocontrast.sequence import CODE_BITS, N_CODE, Codes, one_strand

_log = logging.getLogger(__name__)
_REGION_COLUMNS = ["chrom", "start", "end", "name", "strand"]


class Windows(NamedTuple):
    """A chunk of windows: what is known of each (n rows), and their sequences, uint8, shape=(n, width)."""

    rows: pd.DataFrame
    codes: Codes


def predict_regions(
    model_folder: PathLike, regions: PathLike, genome: PathLike, out: PathLike, prevalence: float | None = None
) -> int:
    """Score the windows around the centres of a file's regions, in the file's order.

    Parameters
    ----------
    model_folder : path
        As the training stage writes it.
    regions : path
        BED, narrowPeak, broadPeak, GFF3 or GTF. Regions may have any length; what a window holds beyond a
        chromosome's end reads as N.
    genome : path
        FASTA or 2bit.
    out : path
        .tsv, .tsv.gz, .parquet or .bed (see `score_file`). Columns chrom, start, end, name and strand of the region,
        `probability`, and `mostly_n` where more than half of the window is N. Of a model that reads one strand (free)
        also `probability_forward`, on the region's own strand, and `probability_reverse`, of which `probability` is
        the mean.
    prevalence : float, optional
        Fraction of promoters among these regions, between 0 and 1; default: that of the training pairs.

    Returns
    -------
    int
        Windows scored.

    Raises
    ------
    FileFormatError, NamingError, RegionError
        Where the file holds no region, or one beyond its chromosome, or is of another genome.
    """
    from genocontrast.training.model import load_model

    extension(out)
    scorer, sequence = Scorer(load_model(model_folder), prevalence), Genome(genome)
    table = read_regions(regions, sequence)
    record = _record(model_folder, {"prevalence": prevalence}, {"regions": regions, "genome": genome})
    return _write(out, record, scorer, region_windows(table, sequence, scorer.model.width, scorer.rows), len(table))


def predict_sequences(
    model_folder: PathLike, fasta: PathLike, out: PathLike, tile: int | None = None, prevalence: float | None = None
) -> int:
    """Score the central window of each sequence of a FASTA file, or windows along it, in the file's order.

    Parameters
    ----------
    model_folder, out, prevalence
        As in `predict_regions`; the columns are name, start and end of the window within the sequence.
    fasta : path
        FASTA or 2bit. A sequence shorter than the model's windows stands in the middle of one, between N.
    tile : int, optional
        Step between windows along each sequence, bp; the last one ends with the sequence.

    Returns
    -------
    int
        Windows scored.
    """
    from genocontrast.training.model import load_model

    extension(out)
    scorer = Scorer(load_model(model_folder), prevalence)
    record = _record(model_folder, {"prevalence": prevalence, "tile": tile}, {"fasta": fasta})
    return _write(out, record, scorer, sequence_windows(fasta, scorer.model.width, scorer.rows, tile), None)


def _record(model_folder: PathLike, options: dict[str, Any], inputs: dict[str, PathLike]) -> dict[str, Any]:
    folder = Path(model_folder)
    model = {"model": folder / "model.safetensors", "model_config": folder / "config.json"}
    return provenance("predict", options, {**inputs, **model})


def _write(out: PathLike, record: dict[str, Any], scorer: Scorer, chunks: Iterator[Windows], total: int | None) -> int:
    if scorer.one_strand:
        _log.info("this model reads one strand: both are scored, and `probability` is their mean")
    sized = ((len(windows.rows), windows) for windows in chunks)
    count = flagged = 0
    with score_file(out, record) as add, closing(with_progress(sized, total, "windows scored")) as progress:
        for windows in progress:
            scored = scored_rows(scorer, windows)
            add(scored)
            count += len(scored)
            flagged += int(scored["mostly_n"].sum())
    _log.info("%s windows scored%s: %s", f"{count:,}", f", {flagged:,} of them mostly N" if flagged else "", out)
    return count


def scored_rows(scorer: Scorer, windows: Windows) -> pd.DataFrame:
    """The rows of a chunk with their probabilities."""
    strands = scorer.strands(windows.codes)
    probabilities = {"probability": strands.mean(1)}
    if scorer.one_strand:
        probabilities |= {"probability_forward": strands[:, 0], "probability_reverse": strands[:, 1]}
    return windows.rows.assign(**probabilities, mostly_n=mostly_n(windows.codes))


def region_windows(regions: pd.DataFrame, genome: Genome, width: int, rows: int) -> Iterator[Windows]:
    """Windows around the centres of regions, at most `rows` at a time."""
    from genocontrast.training.data import flanked_codes

    for first in range(0, len(regions), rows):
        chunk = regions[_REGION_COLUMNS].iloc[first : first + rows].reset_index(drop=True)
        yield Windows(chunk, flanked_codes(resize(chunk, width), genome, flank=0))


def sequence_windows(fasta: PathLike, width: int, rows: int, tile: int | None = None) -> Iterator[Windows]:
    """Windows of the sequences of a file, at most `rows` at a time, each sequence being held whole."""
    names: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    waiting: list[Codes] = []
    for name, codes in _sequences(fasta):
        places = window_starts(codes, width, tile)
        for first in range(0, len(places), rows):
            here = places[first : first + rows]
            names += [name] * len(here)
            starts += np.maximum(here, 0).tolist()
            ends += np.minimum(here + width, len(codes)).tolist()
            waiting.append(cut(codes, here, width))
            if len(names) >= rows:
                yield Windows(pd.DataFrame({"name": names, "start": starts, "end": ends}), np.concatenate(waiting))
                names, starts, ends, waiting = [], [], [], []
    if names:
        yield Windows(pd.DataFrame({"name": names, "start": starts, "end": ends}), np.concatenate(waiting))


def _sequences(fasta: PathLike) -> Iterator[tuple[str, Codes]]:
    for name, pieces in groupby(read_packed(fasta), key=lambda piece: piece[0]):
        yield name, np.frombuffer(b"".join(packed for _, packed in pieces), np.uint8) & CODE_BITS


def window_starts(codes: Codes, width: int, tile: int | None = None) -> NDArray[np.int64]:
    """Where windows begin in a sequence: around its centre, or every `tile` bp and at its end, shape=(n,).

    Where sequence and window differ by an odd number of bases, two windows are as central: it is that which lies nearer
    to the beginning of the strand that sorts first, so that both strands of a sequence have one window.
    """
    if tile is None or len(codes) <= width:
        start, odd = divmod(len(codes) - width, 2)
        return np.array([start + int(odd and one_strand(codes[None])[1][0])])
    return np.union1d(np.arange(0, len(codes) - width + 1, tile), [len(codes) - width])


def cut(codes: Codes, starts: NDArray[np.int64], width: int) -> Codes:
    """Windows of a sequence, (length,) -> (n, width); what lies outside of it reads as N."""
    before, after = max(-int(starts.min()), 0), max(int(starts.max()) + width - len(codes), 0)
    if before or after:
        codes = np.pad(codes, (before, after), constant_values=N_CODE)
    return sliding_window_view(codes, width)[starts + before]
