"""Interval algebra: bedtools, whose temporary files lie in a folder that is always removed, and its one hot path."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.errors import MissingToolError

if TYPE_CHECKING:
    import pybedtools

_BED3 = ["chrom", "start", "end"]


@contextmanager
def _workspace() -> Iterator[Path]:
    """A folder for bedtools' files, removed on success and on failure."""
    if shutil.which("bedtools") is None:
        raise MissingToolError("bedtools is not on PATH", remedy="install bedtools (conda, apt or brew) and try again")
    # Here and not above: it takes half a second to import, and reading and matching need none of it.
    import pybedtools

    before = pybedtools.get_tempdir()
    with tempfile.TemporaryDirectory(prefix="genocontrast.") as folder:
        pybedtools.set_tempdir(folder)
        try:
            yield Path(folder)
        finally:
            pybedtools.set_tempdir(before)


def _names(*tables: pd.DataFrame) -> pd.Index:
    """The chromosomes of all tables, sorted."""
    return pd.Index(sorted({str(chrom) for table in tables for chrom in table["chrom"].unique()}), dtype=object)


def _sorted(regions: pd.DataFrame, names: pd.Index, folder: Path, name: str) -> pybedtools.BedTool:
    """The regions as a sorted BED file whose name column is the row's position.

    Chromosomes are written as c0, c1, ...: rows of a sequence called `chrom`, `track...`, `browser...` or `visibility`
    are headings to bedtools, which leaves them out.
    """
    number = names.get_indexer(pd.Index(regions["chrom"].astype(str)))
    table = regions[_BED3].assign(chrom=number, row=np.arange(len(regions)))
    table = table.sort_values(_BED3, kind="stable")
    # Padded, since bedtools compares names as text.
    table["chrom"] = "c" + table["chrom"].astype(str).str.zfill(len(str(len(names))))
    path = folder / f"{name}.bed"
    table.to_csv(path, sep="\t", header=False, index=False)
    import pybedtools

    return pybedtools.BedTool(str(path))


def _frame(result: pybedtools.BedTool, names: pd.Index) -> pd.DataFrame:
    found = pd.read_csv(result.fn, sep="\t", header=None, names=_BED3, usecols=[0, 1, 2], dtype=str, na_filter=False)
    found["chrom"] = names.to_numpy()[found["chrom"].str[1:].astype("int64")]
    return found.astype({"start": "int64", "end": "int64"})


def overlaps(regions: pd.DataFrame, others: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether each region shares a base with any of the others, on either strand.

    Parameters
    ----------
    regions, others : pandas.DataFrame
        chrom, start, end.

    Returns
    -------
    numpy.ndarray of bool, shape=(n,)
        In the order of `regions`.
    """
    # Two sorted searches count the others that begin before a region's end and those that ended before its start:
    # about ten times as fast as writing, sorting and reading files for bedtools (benchmarks/intervals.py), and this is
    # asked of every candidate window and every rule.
    hit = np.zeros(len(regions), dtype=bool)
    start, end = (regions[column].to_numpy() for column in ("start", "end"))
    theirs = others.groupby("chrom", observed=True).indices
    others_start, others_end = (others[column].to_numpy() for column in ("start", "end"))
    for chrom, rows in regions.groupby("chrom", sort=False, observed=True).indices.items():
        if chrom in theirs:
            begun = np.searchsorted(np.sort(others_start[theirs[chrom]]), end[rows], side="left")
            ended = np.searchsorted(np.sort(others_end[theirs[chrom]]), start[rows], side="right")
            hit[rows] = begun > ended
    return hit


def merge(regions: pd.DataFrame) -> pd.DataFrame:
    """The bases that any region covers, as disjoint regions (chrom, start, end), sorted; touching ones join."""
    if regions.empty:
        return regions[_BED3].reset_index(drop=True)
    names = _names(regions)
    with _workspace() as folder:
        return _frame(_sorted(regions, names, folder, "regions").merge(), names)


def subtract(regions: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """What of the regions no other covers (chrom, start, end), sorted; a region may fall into several pieces."""
    if regions.empty or others.empty:
        return regions[_BED3].sort_values(_BED3, kind="stable", ignore_index=True)
    names = _names(regions, others)
    with _workspace() as folder:
        removed = _sorted(others, names, folder, "others")
        left = _sorted(regions, names, folder, "regions").subtract(removed, nonamecheck=True)
        if not Path(left.fn).stat().st_size:
            return regions.iloc[:0][_BED3].reset_index(drop=True)
        return _frame(left, names)


def nearest_distance(regions: pd.DataFrame, others: pd.DataFrame) -> NDArray[np.int64]:
    """Distance in bp of each region to the nearest other of its chromosome: 0 overlapping, 1 touching, -1 none.

    Returns
    -------
    numpy.ndarray of int64, shape=(n,)
        In the order of `regions`.
    """
    distance = np.full(len(regions), -1, dtype=np.int64)
    if regions.empty or others.empty:
        return distance
    names = _names(regions, others)
    with _workspace() as folder:
        found = _sorted(regions, names, folder, "regions").closest(
            _sorted(others, names, folder, "others"), d=True, t="first", nonamecheck=True
        )
        rows = pd.read_csv(found.fn, sep="\t", header=None, usecols=[3, 8])
    distance[rows[3].to_numpy()] = rows[8].to_numpy()
    return distance


def widen(regions: pd.DataFrame, margin: int, sizes: Mapping[str, int]) -> pd.DataFrame:
    """The regions (chrom, start, end) with `margin` bp more on either side, cut at the chromosome's ends."""
    wide = regions[_BED3].reset_index(drop=True)
    wide["start"] = np.maximum(wide["start"] - margin, 0)
    wide["end"] = np.minimum(wide["end"] + margin, wide["chrom"].map(sizes))
    return wide
