"""A scan of segments from end to end: windows at even steps, their scores, and calls at their local maxima."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike
from genocontrast.evaluation.progress import with_progress
from genocontrast.evaluation.scoring import CHUNK, mostly_n
from genocontrast.genome.fasta import Genome
from genocontrast.sequence import N_CODE, Codes

Floats = NDArray[np.float64]
Score = Callable[[Codes], NDArray]
"""Scores of windows, uint8, shape=(n, width) -> (n,); larger for promoters."""

STRIDES = 5
"""Windows that cover a base, unless a stride is given: the best one is then a tenth of a window away at most."""


def places(regions: pd.DataFrame) -> list[tuple[str, int, int]]:
    """Chrom, start and end of each region."""
    columns = (regions[column].tolist() for column in ("chrom", "start", "end"))
    return list(zip(*columns, strict=True))


def default_stride(width: int) -> int:
    """The step between windows, bp, where none is asked for: a fifth of their width."""
    return max(width // STRIDES, 1)


@dataclass(frozen=True)
class Track:
    """The scores along one segment.

    Attributes
    ----------
    chrom : str
    start : int
        Where the first window begins, bp.
    scores : float64, shape=(n,)
        Of the windows that begin at start, start + stride, ...; NaN where more than half of a window is N.
    stride, width : int
        bp.
    """

    chrom: str
    start: int
    scores: Floats
    stride: int
    width: int

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where each window begins, bp, shape=(n,)."""
        return self.start + self.stride * np.arange(len(self.scores))


def scan(
    score: Score, genome: Genome, segments: pd.DataFrame, width: int, stride: int, what: str = "windows scanned"
) -> list[Track]:
    """Score windows at even steps over segments; no more than a chunk of them is held at a time.

    Parameters
    ----------
    score : callable
    genome : Genome
    segments : DataFrame
        chrom, start, end; each window lies wholly in one. Shorter ones have none.
    width, stride : int
        Of the windows, and from one to the next, bp.
    what : str
        What the progress says.
    """
    tracks = [
        Track(chrom, start, np.full(max((end - start - width) // stride + 1, 0), np.nan), stride, width)
        for chrom, start, end in places(segments)
    ]
    total = sum(len(track.scores) for track in tracks)
    with closing(with_progress(_chunks(genome, segments, tracks, max(CHUNK // width, 1)), total, what)) as progress:
        for target, codes in progress:
            known = ~mostly_n(codes)
            if known.any():
                target[known] = score(codes[known])
    return tracks


def _chunks(
    genome: Genome, segments: pd.DataFrame, tracks: Sequence[Track], rows: int
) -> Iterator[tuple[int, tuple[Floats, Codes]]]:
    """Windows, and the scores that they are to have, `rows` at a time."""
    for track, (_, _, end) in zip(tracks, places(segments), strict=True):
        if not len(track.scores):
            continue
        segment = genome.chromosome(track.chrom)[track.start : end]
        windows = sliding_window_view(segment, track.width)[:: track.stride]
        for first in range(0, len(track.scores), rows):
            part = slice(first, first + rows)
            yield len(track.scores[part]), (track.scores[part], np.ascontiguousarray(windows[part]))


def find_calls(tracks: Sequence[Track]) -> pd.DataFrame:
    """The local maxima of the scores, the highest first where several lie within one window's width.

    What is kept does not depend on a threshold: the calls at a threshold are those that reach it.

    Returns
    -------
    DataFrame
        chrom, start, end (the window), position (its centre, 0-based) and score; along the tracks. A plateau is called
        in its middle.
    """
    from scipy.signal import find_peaks

    parts = [pd.DataFrame({"chrom": [], "start": [], "score": []}).astype({"chrom": object, "start": "int64"})]
    for track in tracks:
        # a rim of the lowest value, so that the first and the last window may be maxima
        heights = np.pad(np.nan_to_num(track.scores, nan=-np.inf), 1, constant_values=-np.inf)
        apart = -(-track.width // track.stride)
        rows = find_peaks(heights, distance=apart)[0] - 1
        parts.append(pd.DataFrame({"chrom": track.chrom, "start": track.starts[rows], "score": track.scores[rows]}))
    calls, width = pd.concat(parts, ignore_index=True), tracks[0].width if tracks else 0
    return calls.assign(end=calls["start"] + width, position=calls["start"] + width // 2)


def random_tracks(tracks: Sequence[Track], seed: int) -> list[Track]:
    """The same windows with scores drawn at random: calls of them lie anywhere, as far apart as those of a model."""
    rng = np.random.default_rng(seed)
    return [
        Track(
            track.chrom,
            track.start,
            np.where(np.isnan(track.scores), np.nan, rng.random(len(track.scores))),
            track.stride,
            track.width,
        )
        for track in tracks
    ]


def called_bases(genome: Genome, segments: pd.DataFrame) -> int:
    """Bases of the segments that are not N."""
    return sum(int((genome.chromosome(chrom)[start:end] != N_CODE).sum()) for chrom, start, end in places(segments))


def write_bigwig(path: PathLike, tracks: Sequence[Track], sizes: dict[str, int]) -> None:
    """Write scores as bigWig, atomically: each window's score on the stride around its centre; none where it is NaN."""
    from genocontrast.genome.bigwig import bigwig_to_write

    order = {chrom: number for number, chrom in enumerate(sizes)}
    with bigwig_to_write(path, sizes, sum(len(track.scores) for track in tracks)) as file:
        for track in sorted(tracks, key=lambda track: (order[track.chrom], track.start)):
            known = np.flatnonzero(~np.isnan(track.scores))
            for run in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
                if len(run):
                    first = int(track.starts[run[0]]) + track.width // 2 - track.stride // 2
                    values = track.scores[run].tolist()
                    file.addEntries(track.chrom, first, values=values, span=track.stride, step=track.stride)
