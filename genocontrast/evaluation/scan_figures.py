"""How the calls of a genome scan compare with the transcription start sites: a locus is found on either strand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from genocontrast.evaluation.genome_scan import places

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
DISTANCES = (0, 50, 100, 200, 300, 500, 1_000, 2_000, 5_000)
"""Lower edges of the histogram of distances, bp; the last bin is open."""
CURVE_POINTS = 200


def loci(sites: pd.DataFrame, segments: pd.DataFrame, tolerance: int) -> pd.DataFrame:
    """Start sites of segments, and the locus of each: neighbours within the tolerance are one, whatever their strand.

    Parameters
    ----------
    sites : DataFrame
        chrom, start: positions of start sites, 0-based; several may be one.
    segments : DataFrame
        chrom, start, end.
    tolerance : int
        bp.

    Returns
    -------
    DataFrame
        chrom, position, locus (a number from 0), sorted by segment and position.
    """
    parts = []
    for number, (chrom, start, end) in enumerate(places(segments)):
        here = sites.loc[sites["chrom"] == chrom, "start"].unique()
        here = np.sort(here[(here >= start) & (here < end)])
        parts.append(pd.DataFrame({"chrom": chrom, "position": here, "segment": number}))
    found = pd.concat(parts, ignore_index=True)
    begins = (found["segment"] != found["segment"].shift()) | (found["position"].diff() > tolerance)
    return found.assign(locus=begins.cumsum() - 1).drop(columns="segment")


def match_calls(calls: pd.DataFrame, sites: pd.DataFrame, tolerance: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Which calls lie near a start site, and how well each site was seen.

    Parameters
    ----------
    calls : DataFrame
        chrom, position, score; sorted by position within a chromosome.
    sites : DataFrame
        chrom, position; likewise.
    tolerance : int
        Largest distance of a call's position to a site that it finds, bp.

    Returns
    -------
    calls : DataFrame
        With `distance` to the nearest site, bp (infinite on a chromosome without one), and `hit`.
    sites : DataFrame
        With `best`: the highest score of a call within the tolerance, -inf where there is none.
    """
    distance, best = np.full(len(calls), np.inf), np.full(len(sites), -np.inf)
    calls_of, position = calls.groupby("chrom", sort=False).indices, calls["position"].to_numpy()
    scores, at = calls["score"].to_numpy(), sites["position"].to_numpy()
    for chrom, rows in sites.groupby("chrom", sort=False).indices.items():
        mine = calls_of.get(chrom, np.zeros(0, np.int64))
        edges = np.concatenate([[-np.inf], at[rows], [np.inf]])
        behind = np.searchsorted(at[rows], position[mine], side="right")
        distance[mine] = np.minimum(position[mine] - edges[behind], edges[behind + 1] - position[mine])
        first = np.searchsorted(position[mine], at[rows] - tolerance, side="left")
        last = np.searchsorted(position[mine], at[rows] + tolerance, side="right")
        for offset in range(int((last - first).max(initial=0))):
            near = first + offset < last
            reached = scores[mine[first[near] + offset]]
            best[rows[near]] = np.maximum(best[rows[near]], reached)
    return calls.assign(distance=distance, hit=distance <= tolerance), sites.assign(best=best)


def scan_curve(calls: pd.DataFrame, sites: pd.DataFrame, megabases: float) -> pd.DataFrame:
    """Recall, precision and false positives at each threshold that changes them, falling.

    Parameters
    ----------
    calls, sites : DataFrame
        As `match_calls` gives them, sites with their locus.
    megabases : float
        Size of what was scanned, Mb.

    Returns
    -------
    DataFrame
        threshold, calls, recall (share of the loci with a call), precision (share of the calls near a site), f1 (their
        harmonic mean) and false_positives_per_mb.
    """
    best = np.sort(sites.groupby("locus")["best"].max().to_numpy())
    falling = calls.sort_values("score", ascending=False, kind="stable")
    threshold, right = falling["score"].to_numpy(), np.cumsum(falling["hit"].to_numpy())
    last = np.append(threshold[1:] != threshold[:-1], True)[: len(threshold)]
    threshold, right, count = threshold[last], right[last], np.flatnonzero(last) + 1
    recall = (len(best) - np.searchsorted(best, threshold, side="left")) / max(len(best), 1)
    precision = right / count
    f1 = 2 * recall * precision / np.maximum(recall + precision, 1e-12)
    return pd.DataFrame(
        {
            "threshold": threshold,
            "calls": count,
            "recall": recall,
            "precision": precision,
            "f1": f1,
            "false_positives_per_mb": (count - right) / megabases,
        }
    )


def at_threshold(calls: pd.DataFrame, sites: pd.DataFrame, megabases: float, threshold: float) -> dict[str, Any]:
    """The figures of the calls that reach a threshold; recall and precision with their 95 % intervals (Wilson)."""
    best, made = sites.groupby("locus")["best"].max(), calls[calls["score"] >= threshold]
    right = int(made["hit"].sum())
    return {
        "calls": len(made),
        "recall": _share(int((best >= threshold).sum()), len(best)),
        "precision": _share(right, len(made)),
        "false_positives": len(made) - right,
        "false_positives_per_mb": (len(made) - right) / megabases if megabases else None,
        "loci": len(best),
        "megabases": megabases,
    }


def _share(part: int, whole: int) -> dict[str, float] | None:
    """A share with its interval; None of nothing. Source of the interval: Wilson, J Am Stat Assoc 1927."""
    from scipy.stats import binomtest

    if not whole:
        return None
    interval = binomtest(part, whole).proportion_ci(method="wilson")
    return {"value": part / whole, "low": float(interval.low), "high": float(interval.high)}


def distances(calls: pd.DataFrame) -> dict[str, Any]:
    """How far calls lie from the nearest start site: quantiles, bp, and a histogram."""
    found = calls["distance"].to_numpy(np.float64)
    finite = found[np.isfinite(found)]
    counts = np.histogram(finite, [*DISTANCES, np.inf])[0]
    quantiles = np.quantile(finite, QUANTILES).tolist() if len(finite) else [None] * len(QUANTILES)
    return {
        "quantiles": dict(zip(map(str, QUANTILES), quantiles, strict=True)),
        "median": quantiles[QUANTILES.index(0.5)],
        "histogram": {"from": list(DISTANCES), "calls": counts.tolist()},
        "without_site_on_chromosome": int(len(found) - len(finite)),
    }


def best_f1(curve: pd.DataFrame) -> float:
    """The threshold of highest F1, midway to the next lower one; infinite where there is no call."""
    if curve.empty:
        return float("inf")
    rows = curve["threshold"].to_numpy()
    best = int(np.argmax(curve["f1"].to_numpy()))
    return float((rows[best] + rows[min(best + 1, len(rows) - 1)]) / 2)


def thinned(curve: pd.DataFrame) -> dict[str, list[float]]:
    """At most 200 points of a curve, its ends among them, for JSON."""
    keep = np.unique(np.linspace(0, max(len(curve) - 1, 0), min(CURVE_POINTS, len(curve))).round().astype(int))
    columns = ["threshold", "recall", "precision", "false_positives_per_mb"]
    return {name: curve[name].iloc[keep].round(5).tolist() for name in columns}
