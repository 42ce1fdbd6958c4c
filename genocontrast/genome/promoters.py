"""Transcription start sites from annotation, and the windows around them, aware of strand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from genocontrast.artefacts import PathLike
from genocontrast.errors import RegionError


def start_sites(regions: pd.DataFrame, path: PathLike | None = None) -> pd.DataFrame:
    """The 5' end of each region as a 1-bp region.

    Parameters
    ----------
    regions : pandas.DataFrame
        chrom, start, end, name, score, strand.
    path : path, optional
        The file, for messages.

    Returns
    -------
    pandas.DataFrame
        The same rows with start = tss, end = tss + 1 and a column `tss` (0-based).

    Raises
    ------
    RegionError
        Where a region has no strand.
    """
    unknown = ~regions["strand"].isin(["+", "-"])
    if unknown.any():
        first = regions[unknown].head(3)
        places = ", ".join(f"{row.chrom}:{row.start}-{row.end}" for row in first.itertuples())
        raise RegionError(
            f"{int(unknown.sum())} of {len(regions)} regions have no strand, so no 5' end; the first are {places}",
            path=path,
            remedy="give each promoter region a strand (+ or -; column 6 of BED, 7 of GFF and GTF)",
        )
    tss = np.where(regions["strand"] == "+", regions["start"], regions["end"] - 1)
    return regions.assign(start=tss, end=tss + 1, tss=tss)


def unique_sites(sites: pd.DataFrame) -> pd.DataFrame:
    """One row per start site (chromosome, position, strand): the first in the file's order, sorted by position."""
    unique = sites.drop_duplicates(["chrom", "tss", "strand"])
    return unique.sort_values(["chrom", "tss", "strand"], kind="stable", ignore_index=True)


def promoter_windows(sites: pd.DataFrame, upstream: int, downstream: int) -> pd.DataFrame:
    """Windows around start sites: [tss - upstream, tss + downstream) on "+", mirrored on "-".

    Parameters
    ----------
    sites : pandas.DataFrame
        chrom, strand, tss.
    upstream, downstream : int
        bp; the TSS base is the first of the downstream part.

    Returns
    -------
    pandas.DataFrame
        The rows with start and end of the window, which may lie outside the chromosome.
    """
    forward, tss = sites["strand"] == "+", sites["tss"]
    start = np.where(forward, tss - upstream, tss - downstream + 1)
    return sites.assign(start=start, end=start + upstream + downstream)


def inside(regions: pd.DataFrame, sizes: Mapping[str, int]) -> pd.Series:
    """Whether each region lies within its chromosome."""
    return (regions["start"] >= 0) & (regions["end"] <= regions["chrom"].map(sizes))


def surroundings(regions: pd.DataFrame, upstream: int, downstream: int, sizes: Mapping[str, int]) -> pd.DataFrame:
    """What is kept clear around evidence of promoters: bp around the 5' end, or around all of a region without strand.

    Parameters
    ----------
    regions : pandas.DataFrame
        chrom, start, end, strand.
    upstream, downstream : int
        bp on either side of the 5' base; a region without strand gets the larger of the two on both sides.
    sizes : mapping of str to int
        Sizes of the chromosomes, to which the result is clipped.

    Returns
    -------
    pandas.DataFrame
        chrom, start, end; one row per region.
    """
    strand, widest = regions["strand"], max(upstream, downstream)
    forward, reverse = strand == "+", strand == "-"
    first = regions["start"].where(~reverse, regions["end"] - 1)
    last = regions["end"].where(~forward, regions["start"] + 1)
    start = first - np.select([forward, reverse], [upstream, downstream], widest)
    end = last + np.select([forward, reverse], [downstream, upstream], widest)
    clipped = np.minimum(end, regions["chrom"].map(sizes))
    return pd.DataFrame({"chrom": regions["chrom"], "start": start.clip(lower=0), "end": clipped.astype("int64")})
