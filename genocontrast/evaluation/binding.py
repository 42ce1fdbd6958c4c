"""Whether a model looks where proteins bind: attribution at measured sites against like places beside them.

A control position lies in the same promoter, at most 50 bp away, so that it is as far from the start; it has a like GC
content, and neither a measured site nor a hit of the factor's matrix near.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.evaluation.database import KnownMotif
from genocontrast.evaluation.reading import Motif
from genocontrast.evaluation.scan import composition, find_sites
from genocontrast.sequence import Codes

Bools = NDArray[np.bool_]
Floats = NDArray[np.floating]
Ints = NDArray[np.int64]

HALF = 10
"""Bases on each side of a position that belong to it."""
REACH = 50
"""Largest distance of a control from its site, bp: both are about as far from the start."""
GC_APART = 0.1
"""Largest difference in GC content between a site and its controls."""
CLEAR = 2 * HALF + 1
"""Least distance of a control from a measured site, bp."""
BOOTSTRAPS = 1000
LEAST_PROMOTERS = 3
"""Promoters without which there is no interval."""


def binding_table(
    promoters: pd.DataFrame,
    codes: Codes,
    contributions: Floats,
    sites: Mapping[str, pd.DataFrame],
    database: Sequence[KnownMotif],
    motifs: Sequence[Motif],
    seed: int,
) -> dict[str, Any]:
    """Attribution at measured binding sites, factor by factor.

    Parameters
    ----------
    promoters : pandas.DataFrame
        chrom, start, end, strand of the n attributed promoters.
    codes : numpy.ndarray of uint8, shape=(n, width)
    contributions : numpy.ndarray, shape=(n, width)
    sites : mapping of str to pandas.DataFrame
        chrom, start, end by factor; the centre of each row is the site.
    database : sequence of KnownMotif
        Where the factor's matrix is looked up by name.
    motifs : sequence of Motif
        Learned motifs: has one of them the factor among its matches?
    seed : int
        Of the bootstrap over promoters.

    Returns
    -------
    dict
        factors : for each, sites, promoters and matched sites, whether a motif bears its name (best match, q < .05),
        and fold : |contribution| per bp at sites over that at controls, with a 95 % interval, None with
        fewer than three promoters; named : factors with a name; promoters : n.
    """
    by_name = {known.name.upper(): known for known in database}
    background = composition(codes)
    rows = []
    for factor, table in sites.items():
        known = by_name.get(factor.upper())
        window, place = places_in(promoters, table, codes.shape[1])
        hits = np.zeros(codes.shape, dtype=bool)
        if known is not None and len(known.matrix) <= codes.shape[1]:
            begins = find_sites(codes, known.matrix, background)
            hits[:, len(known.matrix) // 2 :][:, : begins.shape[1]] = begins
        pairs = matched_controls(codes, window, place, hits)
        rows.append(
            {
                "factor": factor,
                "matrix": None if known is None else known.identifier,
                "sites": len(window),
                "promoters": len(np.unique(window)),
                "matched": len(pairs.window),
                "motifs": [
                    m.id for m in motifs if m.matches.named and m.matches.motifs[0].name.upper() == factor.upper()
                ],
                "fold": pairs.fold(contributions, seed),
            }
        )
    named = sum(bool(row["motifs"]) for row in rows)
    return {"factors": rows, "named": named, "promoters": len(promoters)}


def places_in(promoters: pd.DataFrame, sites: pd.DataFrame, width: int) -> tuple[Ints, Ints]:
    """Windows that hold the centres of sites with HALF bp to spare, and where, along the windows' strands."""
    centre = (sites["start"].to_numpy() + sites["end"].to_numpy()) // 2
    same = promoters["chrom"].to_numpy()[:, None] == sites["chrom"].to_numpy()
    offset = centre - promoters["start"].to_numpy()[:, None]
    window, site = np.nonzero(same & (offset >= HALF) & (offset < width - HALF))
    place = offset[window, site]
    reverse = promoters["strand"].to_numpy()[window] == "-"
    place = np.where(reverse, width - 1 - place, place)
    order = np.lexsort((place, window))
    return window[order], place[order]


class Pairs:
    """Sites and the controls of each, as a mask."""

    def __init__(self, window: Ints, place: Ints, controls: Bools) -> None:
        self.window, self.place, self.controls = window, place, controls

    def fold(self, contributions: Floats, seed: int) -> dict[str, float] | None:
        """Mean |contribution| at sites over that at their controls, with an interval; None with too few promoters."""
        if len(np.unique(self.window)) < LEAST_PROMOTERS:
            return None
        mass = around(np.abs(contributions)) / (2 * HALF + 1)
        at = mass[self.window, self.place]
        beside = (mass[self.window] * self.controls).sum(1) / self.controls.sum(1)
        promoter, member = np.unique(self.window, return_inverse=True)
        sums = np.stack([np.bincount(member, values) for values in (at, beside)])  # (2, promoters)
        drawn = np.random.default_rng(seed).integers(0, len(promoter), (BOOTSTRAPS, len(promoter)))
        above, below = sums[:, drawn].sum(2)
        low, high = np.quantile(above / np.maximum(below, 1e-12), [0.025, 0.975])
        return {"value": float(at.sum() / max(beside.sum(), 1e-12)), "low": float(low), "high": float(high)}


def matched_controls(codes: Codes, window: Ints, place: Ints, hits: Bools) -> Pairs:
    """The sites that have controls by the rule above, with these.

    Parameters
    ----------
    codes : numpy.ndarray of uint8, shape=(n, width)
    window, place : numpy.ndarray of int64, shape=(sites,)
    hits : numpy.ndarray of bool, shape=(n, width)
        Centres of the hits of the factor's matrix.
    """
    n, width = codes.shape
    position = np.arange(width)
    gc = around(((codes == 1) | (codes == 2)).astype(np.float64)) / (2 * HALF + 1)  # (n, width)
    barred = around(hits.astype(np.float64)) > 0.5
    barred[:, :HALF] = barred[:, width - HALF :] = True
    near = np.zeros((n, width), dtype=bool)
    for row, at in zip(window, place, strict=True):
        near[row, max(at - CLEAR + 1, 0) : at + CLEAR] = True
    controls = (
        ~barred[window]
        & ~near[window]
        & (np.abs(position - place[:, None]) <= REACH)
        & (np.abs(gc[window] - gc[window, place][:, None]) <= GC_APART)
    )
    kept = controls.any(1)
    return Pairs(window[kept], place[kept], controls[kept])


def around(values: Floats) -> Floats:
    """Sum of the values within HALF bp of each position, shape=(n, width); fewer at the edges."""
    total = np.cumsum(np.pad(values, ((0, 0), (HALF + 1, HALF))), axis=1)
    return total[:, 2 * HALF + 1 :] - total[:, : -2 * HALF - 1]
