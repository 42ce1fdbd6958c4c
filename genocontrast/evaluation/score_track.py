"""Scores of windows that may overlap, as bigWig: at each base the highest."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike


def write_track(path: PathLike, windows: pd.DataFrame, sizes: dict[str, int]) -> None:
    """Write probabilities as bigWig, atomically: at each base the highest of the windows that cover it.

    Parameters
    ----------
    path : path
    windows : DataFrame
        chrom, start, end, probability; of one width but for those cut at a chromosome's end, in any order.
    sizes : dict of str to int
        Chromosomes in the order of the file.
    """
    from genocontrast.genome.bigwig import bigwig_to_write

    rows_of = windows.groupby("chrom", sort=False, observed=True).indices
    with bigwig_to_write(path, sizes, 2 * len(windows)) as file:
        for chrom in sizes:
            if chrom not in rows_of:
                continue
            columns = (windows[column].to_numpy()[rows_of[chrom]] for column in ("start", "end", "probability"))
            starts, ends, values = highest(*columns)
            file.addEntries([chrom] * len(starts), starts.tolist(), ends=ends.tolist(), values=values.tolist())


def highest(
    starts: NDArray[np.int64], ends: NDArray[np.int64], values: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """The highest value over each base that windows cover: disjoint ascending starts, ends and values, shape=(m,).

    No window holds another one that begins or ends elsewhere, as with windows of one width: then those that cover a
    base follow one another in the order of their starts, and a table of maxima over powers of two answers for all.
    """
    order = np.lexsort((ends, starts))
    starts, ends, table = starts[order], ends[order], values[order].astype(np.float64)
    edges = np.union1d(starts, ends)
    low = np.searchsorted(ends, edges[:-1], side="right")
    high = np.searchsorted(starts, edges[:-1], side="right")
    found, step = np.full(len(low), np.nan), 1
    while step <= (high - low).max():
        # `table` holds the maximum of the `step` windows from each one on
        rows = np.flatnonzero((high - low >= step) & (high - low < 2 * step))
        found[rows] = np.maximum(table[low[rows]], table[high[rows] - step])
        table = np.maximum(table[:-step], table[step:])
        step *= 2
    covered = high > low
    starts, ends, found = edges[:-1][covered], edges[1:][covered], found[covered]
    return _joined(starts, ends, found)


def _joined(
    starts: NDArray[np.int64], ends: NDArray[np.int64], values: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Neighbours of one value as one interval: a third of the bytes where windows overlap."""
    opens = np.ones(len(starts), dtype=bool)
    opens[1:] = (starts[1:] != ends[:-1]) | (values[1:] != values[:-1])
    return starts[opens], ends[np.roll(opens, -1)], values[opens]
