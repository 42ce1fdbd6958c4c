"""Is the balance real? Matching on a noisy signal picks decoys whose noise is high: a signal not used shows it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from genocontrast.config import Config
from genocontrast.errors import PoolError
from genocontrast.genome.fasta import Genome
from genocontrast.genome.signal import Signal
from genocontrast.negatives.covariates import Covariates, accessibility
from genocontrast.negatives.decoys import Plan, match_measured

_OPENNESS = ("accessibility", "open_fraction")
"""Covariates that are measured from the signal."""


def check_signal(
    promoters: pd.DataFrame, candidates: pd.DataFrame, plan: Plan, config: Config, genome: Genome
) -> dict[str, Any]:
    """Match on one part of the accessibility, and compare the pairs in the other part.

    The parts are the last of several replicates and all others, or two random halves of the fragments of one file.
    Less signal is noisier than all of it, so that the imbalance found is more than that of the real pairs.

    Parameters
    ----------
    promoters, candidates : DataFrame
        As for `match_measured`; what was measured from the signal is measured again from a part of it.
    plan : Plan
    config : Config
        Names the files.
    genome : Genome

    Returns
    -------
    dict
        measured: whether it could be done; how: in words; if so, the retention, and SMD, variance ratio and KS
        before and after, of the part that was not matched on.
    """
    openness = [name for name in _OPENNESS if name in plan.columns]
    if not openness:
        return _unmeasured("accessibility is not matched on")
    files, tracks = config.genome.signal, config.negatives.tracks
    again = [name for name, path in tracks.items() if name in plan.columns and path in files]
    if again:
        return _unmeasured(f"the track '{again[0]}', which is matched on, is the signal itself")
    signal = partial(Signal, genome=genome, shift=config.genome.signal_shift, min_mapq=config.genome.signal_min_mapq)
    if len(files) > 1:
        used, unused = signal(files[:-1]), signal(files[-1:])
        how = f"matched on all replicates but {Path(files[-1]).name}, compared in that one"
    elif Signal.divisible(files):
        used, unused = (signal(files, half=half) for half in (0, 1))
        how = "matched on one random half of the fragments or reads, compared in the other half"
    else:
        return _unmeasured("one track that cannot be divided into fragments; give a second replicate")
    ruler = Covariates(openness, genome, used, reference=promoters[promoters["split"] == "train"])
    promoters, candidates = (
        rows.assign(**ruler.measure(rows), unused=accessibility(rows, unused)) for rows in (promoters, candidates)
    )
    try:
        matched = match_measured(promoters, candidates, replace(plan, also=["unused"], strict=False))
    except PoolError as error:
        return _unmeasured(f"on a part of the signal nothing can be matched: {error.problem}")
    if "unused" not in matched.record["scale"]:
        return _unmeasured("the part that was held back is the same in all windows")
    row = matched.balance.table.set_index("covariate").loc["unused"].to_dict()
    figures = {str(name): value for name, value in row.items() if str(name).endswith(("_before", "_after"))}
    return {"measured": True, "how": how, "retention": matched.balance.retention, **figures}


def _unmeasured(why: str) -> dict[str, Any]:
    return {"measured": False, "how": why}
