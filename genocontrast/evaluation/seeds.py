"""The same training with other seeds: how much of a model's figures is chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.errors import ModelError
from genocontrast.evaluation.metrics import auprc, auroc

if TYPE_CHECKING:
    from genocontrast.genome.fasta import Genome
    from genocontrast.training.model import Model


def seed_figures(models: Mapping[int, Model], test: pd.DataFrame, genome: Genome) -> dict[str, Any] | None:
    """Figures of models that differ by their seed alone, on the same test examples; None of a single model.

    Parameters
    ----------
    models : mapping of int to Model
        By seed, the model of the report first.
    test : pandas.DataFrame
        Examples of the test split.
    genome : Genome

    Returns
    -------
    dict or None
        rows : seed, auroc and auprc of each model; auroc, auprc : mean and sd (n - 1) over them.

    Raises
    ------
    ModelError
        Where one was trained on windows of another width: it is of another run.
    """
    if len(models) < 2:
        return None
    labels = test["label"].to_numpy()
    widths = {seed: model.width for seed, model in models.items()}
    first = next(iter(widths.values()))
    for seed, width in widths.items():
        if width != first:
            remedy = "train it again: genocontrast training seed"
            raise ModelError(f"the model of seed {seed} reads windows of {width} bp, not {first} bp", remedy=remedy)
    codes = genome.codes(test, first)
    rows = []
    for seed, model in models.items():
        logits = model.logits_codes(codes).astype(np.float64)
        rows.append({"seed": seed, "auroc": auroc(labels, logits), "auprc": auprc(labels, logits)})
    return {
        "rows": rows,
        **{name: _spread(np.array([row[name] for row in rows])) for name in ("auroc", "auprc")},
    }


def _spread(values: NDArray[np.float64]) -> dict[str, float]:
    return {"mean": float(values.mean()), "sd": float(values.std(ddof=1))}
