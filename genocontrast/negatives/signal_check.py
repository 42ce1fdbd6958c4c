"""Is the balance real? Matching on a noisy signal picks decoys whose noise is high: a signal not used shows it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from genocontrast.config import GenomeConfig
from genocontrast.genome.fasta import Genome
from genocontrast.genome.signal import Signal
from genocontrast.negatives.covariates import accessibility
from genocontrast.negatives.decoys import Plan, match_measured

_KEY = "accessibility"


def check_signal(
    promoters: pd.DataFrame, candidates: pd.DataFrame, plan: Plan, config: GenomeConfig, genome: Genome
) -> dict[str, Any]:
    """Match on one part of the accessibility, and compare the pairs in the other part.

    The parts are the last of several replicates and all others, or two random halves of the fragments of one file.
    Less signal is noisier than all of it, so that the imbalance found is more than that of the real pairs.

    Parameters
    ----------
    promoters, candidates : DataFrame
        As for `match_measured`; their accessibility is replaced.
    plan : Plan
    config : GenomeConfig
        Names the files.
    genome : Genome

    Returns
    -------
    dict
        measured: whether it could be done; how: in words; if so, the retention, and SMD, variance ratio and KS
        before and after, of the part that was not matched on.
    """
    if _KEY not in plan.columns:
        return {"measured": False, "how": "accessibility is not matched on"}
    signal = partial(Signal, genome=genome, shift=config.signal_shift, min_mapq=config.signal_min_mapq)
    if len(config.signal) > 1:
        used, unused = signal(config.signal[:-1]), signal(config.signal[-1:])
        how = f"matched on all replicates but {Path(config.signal[-1]).name}, compared in that one"
    elif Signal.divisible(config.signal):
        used, unused = (signal(config.signal, half=half) for half in (0, 1))
        how = "matched on one random half of the fragments or reads, compared in the other half"
    else:
        return {"measured": False, "how": "one track that cannot be divided into fragments; give a second replicate"}
    promoters, candidates = (
        rows.assign(**{_KEY: accessibility(rows, used), "unused": accessibility(rows, unused)})
        for rows in (promoters, candidates)
    )
    matched = match_measured(promoters, candidates, Plan(**{**vars(plan), "also": ["unused"], "min_retention": 0.0}))
    row = matched.balance.table.set_index("covariate").loc["unused"].to_dict()
    figures = {str(name): value for name, value in row.items() if str(name).endswith(("_before", "_after"))}
    return {"measured": True, "how": how, "retention": matched.balance.retention, **figures}
