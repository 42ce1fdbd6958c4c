"""The most confident errors: decoys that the model takes for promoters, and promoters that it takes for decoys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genocontrast.evaluation.attribution import attribute
from genocontrast.examples import covariate_columns
from genocontrast.genome.intervals import nearest_distance, overlaps
from genocontrast.sequence import decode

if TYPE_CHECKING:
    from genocontrast.genome.fasta import Genome
    from genocontrast.training.model import Model

SHOWN = 5
"""Errors of each class."""
DIGITS = 5
NOWHERE = "intergenic"


def confident_errors(
    model: Model,
    test: pd.DataFrame,
    scores: np.ndarray,
    genome: Genome,
    evidence: pd.DataFrame | None = None,
    annotation: pd.DataFrame | None = None,
    shown: int = SHOWN,
) -> dict[str, Any]:
    """The decoys with the highest and the promoters with the lowest scores, with what there is to know of them.

    Parameters
    ----------
    model : Model
    test : DataFrame
        n examples of one tier with whole pairs, both classes.
    scores : array, shape=(n,)
        Promoter probability of each.
    genome : Genome
    evidence : DataFrame, optional
        chrom, start, end, kind: start sites (`tss`) and other evidence of promoters.
    annotation : DataFrame, optional
        chrom, start, end, feature.
    shown : int
        Errors of each class at most.

    Returns
    -------
    dict
        `decoys` and `promoters`, the worst first; each has its place, score, rank among its class, covariates, pair
        mates, nearest start site (bp; None on a chromosome without one), the feature that holds its centre, and the
        sequence of its window with the contribution of each base to the promoter logit, 5' to 3' on its own strand.
    """
    rows = test.reset_index(drop=True).assign(score=np.asarray(scores, dtype=np.float64))
    # a tie goes to the first in the order of the table
    falling = rows.sort_values("score", ascending=False, kind="stable")
    rising = rows.sort_values("score", kind="stable")
    chosen = {
        "decoys": falling[falling["label"] == 0].head(shown),
        "promoters": rising[rising["label"] == 1].head(shown),
    }
    return {
        "width": model.width,
        **{name: _described(model, part, rows, genome, evidence, annotation) for name, part in chosen.items()},
    }


def _described(
    model: Model,
    chosen: pd.DataFrame,
    rows: pd.DataFrame,
    genome: Genome,
    evidence: pd.DataFrame | None,
    annotation: pd.DataFrame | None,
) -> list[dict[str, Any]]:
    if chosen.empty:
        return []
    codes = genome.codes(chosen, model.width)
    contributions = attribute(model, codes).contributions
    sites = _site_distances(chosen, evidence)
    features = _features(chosen, annotation)
    names = covariate_columns(chosen.drop(columns="score"))
    return [
        {
            **_place(row),
            "covariates": {name: _finite(row[name]) for name in names},
            "mates": [_place(mate) for _, mate in _mates(row, rows).iterrows()],
            "nearest_site": site,
            "feature": feature,
            "sequence": decode(window),
            "contributions": np.round(track.astype(np.float64), DIGITS).tolist(),
        }
        for (_, row), site, feature, window, track in zip(
            chosen.iterrows(), sites, features, codes, contributions, strict=True
        )
    ]


def _place(row: pd.Series) -> dict[str, Any]:
    words = {key: str(row[key]) for key in ("name", "chrom", "strand")}
    return {**words, "start": int(row["start"]), "end": int(row["end"]), "score": round(float(row["score"]), DIGITS)}


def _mates(row: pd.Series, rows: pd.DataFrame) -> pd.DataFrame:
    return rows[(rows["pair_id"] == row["pair_id"]) & (rows["label"] != row["label"])]


def _finite(value: Any) -> float | None:
    return round(float(value), DIGITS) if np.isfinite(value) else None


def _centres(rows: pd.DataFrame) -> pd.DataFrame:
    middle = (rows["start"] + rows["end"]) // 2
    return pd.DataFrame({"chrom": rows["chrom"], "start": middle, "end": middle + 1}).reset_index(drop=True)


def _site_distances(rows: pd.DataFrame, evidence: pd.DataFrame | None) -> list[int | None]:
    """Distance of each centre to the nearest start site."""
    if evidence is None:
        return [None] * len(rows)
    found = nearest_distance(_centres(rows), evidence[evidence["kind"] == "tss"][["chrom", "start", "end"]])
    return [None if distance < 0 else int(distance) for distance in found]


def _features(rows: pd.DataFrame, annotation: pd.DataFrame | None) -> list[str | None]:
    """The features that hold each centre, in alphabetical order; None where there is no annotation."""
    if annotation is None or annotation.empty:
        return [None] * len(rows)
    centres, kinds = _centres(rows), sorted(set(annotation["feature"]))
    inside = {kind: overlaps(centres, annotation[annotation["feature"] == kind]) for kind in kinds}
    held = [[kind for kind in kinds if inside[kind][number]] for number in range(len(rows))]
    return [", ".join(names) or NOWHERE for names in held]
