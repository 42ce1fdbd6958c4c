"""What the report says of promoters, pool, decoys and their balance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genocontrast.artefacts import atomic
from genocontrast.config import SPLITS, Config
from genocontrast.errors import BalanceError
from genocontrast.genome.intervals import overlaps
from genocontrast.negatives.balance import Balance
from genocontrast.negatives.decoys import Matched
from genocontrast.negatives.pool import Pool, Sieve


def summarise(
    matched: Matched, promoters: Sieve, candidates: Sieve, pool: Pool, annotation: pd.DataFrame, config: Config
) -> dict[str, Any]:
    """The content of balance.json, but for its provenance."""
    examples, settings = matched.examples, config.negatives
    by_split = {
        split: {
            "promoters": int((rows["label"] == 1).sum()),
            "decoys": int((rows["label"] == 0).sum()),
            "pool": int((candidates.rows["split"] == split).sum()),
            "dropped": int((matched.dropped["split"] == split).sum()),
            **_largest_smd(rows, matched),
        }
        for split, rows in ((split, examples[examples["split"] == split]) for split in SPLITS)
    }
    features = config.genome.annotation.features if config.genome.annotation else None
    return {
        "passed": not matched.balance.failures(),
        "failures": matched.balance.failures(),
        "retention": matched.balance.retention,
        "table": matched.balance.table.to_dict("records"),
        "two_sample": _two_sample(matched.balance),
        "counts": {"promoters": promoters.removed, "pool": {**pool.removed, **candidates.removed}},
        "evidence": pool.evidence.to_dict("records"),
        "splits": by_split,
        "dropped": dropped_promoters(matched),
        "matching": matched.record,
        "classes": decoy_classes(examples[examples["label"] == 0], annotation, features) if features else [],
        "permuted": settings.permute_labels,
    }


def _two_sample(balance: Balance) -> dict[str, float | None]:
    """AUROC of telling the classes by the matched covariates, with its interval; None where the pairs are too few."""
    try:
        found: Sequence[float | None] = balance.two_sample_auroc
    except BalanceError:
        found = [None] * 3
    return dict(zip(("auroc", "low", "high"), found, strict=True))


def _largest_smd(rows: pd.DataFrame, matched: Matched) -> dict[str, Any]:
    """The matched covariate in which promoters and decoys of one split differ most; the gate is of all splits."""
    table, scale = matched.balance.table, matched.record["scale"]
    names = list(table["covariate"][table["matched"]])
    means = rows.groupby("label")[names].mean()
    if len(means) < 2:
        return {"largest_smd": None, "of": None}
    smd = (means.loc[1] - means.loc[0]) / pd.Series({name: scale[name] for name in names})
    widest = int(smd.abs().to_numpy().argmax())
    return {"largest_smd": float(smd.to_numpy()[widest]), "of": names[widest]}


def dropped_promoters(matched: Matched) -> dict[str, Any]:
    """How many promoters were dropped for which reason, and how they differ from those that stayed."""
    dropped, kept = matched.dropped, matched.examples[matched.examples["label"] == 1]
    reasons = dropped["reason"].value_counts().sort_index()
    differ = [
        {"covariate": name, "dropped": float(dropped[name].mean()), "kept": float(kept[name].mean())}
        for name in matched.balance.table["covariate"]
        if len(dropped)
    ]
    return {"reasons": {str(reason): int(count) for reason, count in reasons.items()}, "means": differ}


def decoy_classes(decoys: pd.DataFrame, annotation: pd.DataFrame, features: Sequence[str]) -> list[dict[str, Any]]:
    """Count decoys by the first feature that holds their centre; 'intergenic' where none does."""
    centre = (decoys["start"] + decoys["end"]) // 2
    points = pd.DataFrame({"chrom": decoys["chrom"], "start": centre, "end": centre + 1})
    kind = np.full(len(decoys), "intergenic", dtype=object)
    for feature in reversed(features):
        kind[overlaps(points, annotation[annotation["feature"] == feature])] = feature
    names, counts = np.unique(kind.astype(str), return_counts=True)
    return [{"class": str(name), "decoys": int(count)} for name, count in zip(names, counts, strict=True)]


def write_bed(path: Path, examples: pd.DataFrame) -> None:
    """Examples for a genome browser: BED6, score 1000 for promoters and 0 for decoys."""
    score = np.where(examples["label"] == 1, 1000, 0)
    bed = examples[["chrom", "start", "end", "name"]].assign(score=score, strand=examples["strand"])
    with atomic(path) as temporary:
        bed.sort_values(["chrom", "start", "end"], kind="stable").to_csv(temporary, sep="\t", header=False, index=False)
