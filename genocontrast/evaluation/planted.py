"""How many of the motifs planted in a simulated genome a model's motifs recover, and how well their sites agree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike, existing
from genocontrast.errors import FileFormatError
from genocontrast.evaluation.description import enrichment_p, q_values
from genocontrast.evaluation.naming import families
from genocontrast.evaluation.reading import Motif
from genocontrast.evaluation.scan import composition, find_sites
from genocontrast.sequence import Codes

Bools = NDArray[np.bool_]
Floats = NDArray[np.floating]

_COLUMNS = ("chrom", "start", "end", "motif", "matrix_id")
DISTINGUISHES = 0.05
"""q below which a planted family is said to tell promoters from decoys."""
READ = 1.5
"""Contribution of a family's sites, as a multiple of that of bases outside all sites, from which it is read."""


def sites_beside(elements: PathLike) -> Path | None:
    """The sites.tsv that was written with the elements of a simulated genome, None where there is none."""
    path = Path(elements).with_name("sites.tsv")
    return path if path.is_file() else None


def read_sites(path: PathLike) -> pd.DataFrame:
    """Read the planted sites of a simulated genome (tab-separated, 0-based half-open).

    Raises
    ------
    FileFormatError
        Where a needed column is absent.
    """
    sites = pd.read_csv(existing(path), sep="\t", comment="#", dtype={"chrom": str})
    missing = [column for column in _COLUMNS if column not in sites]
    if missing:
        raise FileFormatError(f"not a table of planted sites: no column {', '.join(missing)}", path=path)
    return sites


def planted_masks(windows: pd.DataFrame, sites: pd.DataFrame, width: int) -> dict[str, Bools]:
    """Which bases of each window lie in a planted site of each family, along the window's strand.

    Parameters
    ----------
    windows : pandas.DataFrame
        chrom, start, end, strand; n rows, all `width` bp long.
    sites : pandas.DataFrame
        Of `read_sites`.
    width : int

    Returns
    -------
    dict of str to numpy.ndarray of bool, shape=(n, width)
        By family. Of a site that reaches over the edge, what lies inside.
    """
    masks = {str(family): np.zeros((len(windows), width), dtype=bool) for family in sorted(sites["motif"].unique())}
    start = windows["start"].to_numpy()
    for chrom, here in sites.groupby("chrom"):
        rows = np.flatnonzero(windows["chrom"].to_numpy() == chrom)
        for family, of_family in here.groupby("motif"):
            covered = np.zeros(int(max(of_family["end"].max(), start[rows].max(initial=0) + width)) + 1, dtype=np.int64)
            np.add.at(covered, of_family["start"].to_numpy(), 1)
            np.add.at(covered, of_family["end"].to_numpy(), -1)
            inside = np.cumsum(covered) > 0
            masks[str(family)][rows] = inside[start[rows][:, None] + np.arange(width)]
    reverse = (windows["strand"] == "-").to_numpy()
    return {family: np.where(reverse[:, None], mask[:, ::-1], mask) for family, mask in masks.items()}


def recovery(
    motifs: Sequence[Motif],
    masks: dict[str, Bools],
    matrix_ids: dict[str, str],
    codes: Codes,
    promoter: Bools,
    contributions: Floats,
    attributed: NDArray[np.int64],
) -> dict[str, Any]:
    """Compare learned motifs with planted families.

    Parameters
    ----------
    motifs : sequence of Motif
    masks : dict
        Of `planted_masks`, over all n test windows.
    matrix_ids : dict
        JASPAR identifier of each planted family.
    codes : numpy.ndarray of uint8, shape=(n, width)
        The test windows; `promoter`, shape=(n,), says which are promoters.
    contributions : numpy.ndarray, shape=(m, width)
        Of the windows `attributed`, shape=(m,), rows of codes.

    Returns
    -------
    dict
        families : for each, whether it distinguishes promoters (Fisher's test of windows with a site, q < .05),
        how much more its bases contribute than those outside of all sites, whether the model reads it (half as
        much again), and which motifs found it; motifs : for each, the family that it found by name; recall over the
        families that distinguish and over those that are read, too; precision over motifs; overlap of sites.

    Notes
    -----
    A motif has found a family where the planted matrix is among its matches with q < .05 and its best match is that
    matrix or of JASPAR's same family of factors: TOMTOM cannot tell the matrices of such a family apart.
    """
    anywhere: Bools = np.asarray(np.stack(list(masks.values())).any(0))
    outside = float(np.abs(contributions[~anywhere[attributed]]).mean())
    found = {motif.id: _families_of(motif, matrix_ids) for motif in motifs}
    rows: list[dict[str, Any]] = []
    for family, mask in masks.items():
        holds, here = np.asarray(mask.any(1)), mask[attributed]
        counts = int(holds[promoter].sum()), int(promoter.sum()), int(holds[~promoter].sum()), int((~promoter).sum())
        ratio = float(np.abs(contributions[here]).mean()) / max(outside, 1e-12) if here.any() else 0.0
        rows.append(
            {
                "family": family,
                "matrix_id": matrix_ids[family],
                "promoters_with": counts[0],
                "decoys_with": counts[2],
                "p": enrichment_p(*counts),
                "contribution_ratio": ratio,
                "read": ratio >= READ,
                "motifs": [identifier for identifier, names in found.items() if family in names],
            }
        )
    for row, q in zip(rows, q_values([row["p"] for row in rows]), strict=True):
        row["distinguishes"] = q is not None and q < DISTINGUISHES
    wanted = [row for row in rows if row["distinguishes"]]
    return {
        "families": rows,
        "motifs": [{"id": identifier, "families": names} for identifier, names in found.items()],
        "recall": _share([bool(row["motifs"]) for row in wanted]),
        "recall_read": _share([bool(row["motifs"]) for row in wanted if row["read"]]),
        "distinguishing": len(wanted),
        "read": sum(row["read"] for row in wanted),
        "precision": _share([bool(names) for names in found.values()]),
        "overlap": _overlap(motifs, found, masks, codes, promoter),
    }


def _families_of(motif: Motif, matrix_ids: dict[str, str]) -> list[str]:
    """Planted families that a motif has found."""
    if not motif.matches.named:
        return []
    best, significant = motif.matches.motifs[0].identifier, set(motif.matches.significant())
    known = families()
    return [
        family
        for family, identifier in matrix_ids.items()
        if identifier in significant
        and (identifier == best or (identifier in known and known[identifier] == known.get(best)))
    ]


def _overlap(
    motifs: Sequence[Motif], found: dict[str, list[str]], masks: dict[str, Bools], codes: Codes, promoter: Bools
) -> dict[str, Any]:
    """Bases of planted sites that learned sites of their family cover, and the other way round, in test promoters."""
    background = composition(codes)
    planted = learned = both = 0
    for family, mask in masks.items():
        inside = np.zeros(mask[promoter].shape, dtype=bool)
        for motif in motifs:
            if family in found[motif.id]:
                inside |= covered(find_sites(codes[promoter], motif.matrix, background), len(motif.matrix))
        if inside.any():
            planted, learned = planted + int(mask[promoter].sum()), learned + int(inside.sum())
            both += int((mask[promoter] & inside).sum())
    return {
        "of_planted": both / planted if planted else None,
        "of_learned": both / learned if learned else None,
        "planted_bases": planted,
        "learned_bases": learned,
    }


def covered(sites: Bools, length: int) -> Bools:
    """Bases that lie in a site, shape=(n, places) of begins -> (n, places + length - 1)."""
    steps = np.zeros((len(sites), sites.shape[1] + length), dtype=np.int64)
    steps[:, : sites.shape[1]] += sites
    steps[:, length:] -= sites
    return np.cumsum(steps, axis=1)[:, :-1] > 0


def _share(values: list[bool]) -> float | None:
    return sum(values) / len(values) if values else None
