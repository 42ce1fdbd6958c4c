"""Transcription start sites from annotation, and the windows around them, aware of strand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from genocontrast.artefacts import PathLike
from genocontrast.config import Position
from genocontrast.errors import RegionError


def start_sites(regions: pd.DataFrame, path: PathLike | None = None, position: Position = "five_prime") -> pd.DataFrame:
    """The transcription start site of each region, as a 1-bp region.

    Parameters
    ----------
    regions : pandas.DataFrame
        chrom, start, end, name, score, strand, and `summit` for that position.
    path : path, optional
        The file, for messages.
    position : "five_prime" or "summit"
        The 5' end of transcripts and TSS, or the summit of CAGE peaks.

    Returns
    -------
    pandas.DataFrame
        The same rows with start = tss, end = tss + 1 and a column `tss` (0-based).

    Raises
    ------
    RegionError
        Where a region has no strand, or no summit though the summit is asked for.
    """
    unknown = ~regions["strand"].isin(["+", "-"])
    remedy = "give each promoter region a strand (+ or -; column 6 of BED, 7 of GFF and GTF)"
    _refuse(regions, unknown, "no strand, so no 5' end", path, remedy)
    if position == "summit":
        summit = regions.get("summit", pd.Series(-1, index=regions.index))
        remedy = "give CAGE peaks as narrowPeak, or as BED whose thick part (columns 7 and 8) is the start site"
        _refuse(regions, summit < 0, "no summit", path, remedy)
        tss = summit.to_numpy()
    else:
        tss = np.where(regions["strand"] == "+", regions["start"], regions["end"] - 1)
    return regions.assign(start=tss, end=tss + 1, tss=tss)


def _refuse(regions: pd.DataFrame, bad: pd.Series, lack: str, path: PathLike | None, remedy: str) -> None:
    if bad.any():
        places = ", ".join(f"{row.chrom}:{row.start}-{row.end}" for row in regions[bad].head(3).itertuples())
        problem = f"{int(bad.sum())} of {len(regions)} regions have {lack}; the first are {places}"
        raise RegionError(problem, path=path, remedy=remedy)


def most_5prime(sites: pd.DataFrame) -> pd.DataFrame:
    """The start sites of each gene that lie furthest upstream; a site of no gene stands for itself.

    Parameters
    ----------
    sites : pandas.DataFrame
        See `start_sites`; genes are told by `gene`, or by `name` where there is none ("." is no gene).
    """
    gene = sites.get("gene", sites["name"])
    upstream = np.where(sites["strand"] == "+", -sites["tss"], sites["tss"])
    furthest = pd.Series(upstream, index=sites.index).groupby([sites["chrom"], sites["strand"], gene]).transform("max")
    return sites[(upstream == furthest) | (gene == ".")]


def unique_sites(sites: pd.DataFrame) -> pd.DataFrame:
    """One row per start site (chromosome, position, strand), the first in the file's order, sorted by position.

    `score` becomes the highest score of its rows, and a column `transcripts` counts them.
    """
    place = ["chrom", "tss", "strand"]
    rows = sites.groupby(place)
    counted = sites.assign(score=rows["score"].transform("max"), transcripts=rows["tss"].transform("size"))
    return counted.drop_duplicates(place).sort_values(place, kind="stable", ignore_index=True)


def collapse(sites: pd.DataFrame, within: int) -> pd.DataFrame:
    """One start site of each that lie within some bp of one another on a strand: the best, which keeps its place.

    The best has the highest score (where there are scores), then the most transcripts, then lies furthest upstream.
    Sites within `within` bp of a kept one go, so that a chain of sites never joins into one.

    Parameters
    ----------
    sites : pandas.DataFrame
        See `unique_sites`.
    within : int
        bp; 0 keeps every site.
    """
    keep = np.ones(len(sites), dtype=bool)
    for (_, strand), rows in sites.reset_index(drop=True).groupby(["chrom", "strand"]):
        tss = rows["tss"].to_numpy()
        upstream = tss if strand == "+" else -tss
        score = rows["score"].fillna(-np.inf).to_numpy()
        gone = np.zeros(len(rows), dtype=bool)
        for best in np.lexsort((upstream, -rows["transcripts"].to_numpy(), -score)):
            if not gone[best]:
                near = slice(*np.searchsorted(tss, [tss[best] - within, tss[best] + within + 1]))
                gone[near] = np.arange(len(tss))[near] != best
        keep[rows.index[gone]] = False
    return sites[keep].reset_index(drop=True)


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
