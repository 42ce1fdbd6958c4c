"""From measured windows to an examples table: the pairs of each split, whom they leave out, and their balance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.config import NegativesConfig
from genocontrast.display import Described
from genocontrast.errors import PoolError, SplitError
from genocontrast.examples import COLUMNS, HARD, sort_examples
from genocontrast.negatives.balance import Balance, measure_balance
from genocontrast.negatives.covariates import scales
from genocontrast.negatives.pairing import Rows, pair

_DEFAULTS = NegativesConfig()


@dataclass(frozen=True, repr=False)
class Matched(Described):
    """Promoters with their matched decoys.

    Attributes
    ----------
    examples : DataFrame
        The examples table (see `genocontrast.examples`): a promoter and its decoys share a pair_id.
    dropped : DataFrame
        Promoters without a decoy, with their covariates; nearest: distance to the nearest candidate of their split,
        in standard deviations; reason: "no candidate within the caliper", "its candidates serve others" (better),
        "no candidate of its keys", or with cardinality matching "left out for the balance".
    balance : Balance
        How alike the two classes are.
    pool : DataFrame
        The candidates that could be chosen, disjoint, with split and covariates.
    record : dict
        Counts by split and rule, the scale of each covariate, and how good the assignment is.
    """

    examples: pd.DataFrame
    dropped: pd.DataFrame
    balance: Balance
    pool: pd.DataFrame = field(default_factory=pd.DataFrame)
    record: dict[str, Any] = field(default_factory=dict)

    def facts(self) -> dict[str, str]:
        """What a notebook shows above the table of covariates."""
        pairs, decoys = self.examples["pair_id"].nunique(), int((self.examples["label"] == 0).sum())
        short = self.record.get("short", 0)
        return {
            "pairs": f"{pairs:,}",
            **({"decoys": f"{decoys:,}"} if decoys != pairs else {}),
            **({"with fewer decoys than asked for": f"{short:,}"} if short else {}),
            "dropped": f"{len(self.dropped):,}",
            **self.balance.facts(),
        }

    def facts_table(self) -> pd.DataFrame:
        """The balance of each covariate."""
        return self.balance.facts_table()


@dataclass(frozen=True)
class Plan:
    """How to match.

    Attributes
    ----------
    columns : sequence of str
        Covariates to match on.
    also : sequence of str
        Covariates to compare only.
    keys : sequence of str
        Columns in which promoter and decoy must agree, besides the split.
    caliper, method, tolerance, ratio, max_smd, min_retention
        As in the configuration.
    strict : bool
        Refuse a pool so small that `min_retention` cannot be reached.
    seed : int
    """

    columns: Sequence[str]
    also: Sequence[str] = ()
    keys: Sequence[str] = ()
    caliper: float = _DEFAULTS.caliper
    method: str = _DEFAULTS.method
    tolerance: float = _DEFAULTS.tolerance
    ratio: int = _DEFAULTS.ratio
    max_smd: float = _DEFAULTS.max_smd
    min_retention: float = _DEFAULTS.min_retention
    strict: bool = False
    seed: int = 0


def match_measured(
    promoters: pd.DataFrame,
    candidates: pd.DataFrame,
    plan: Plan,
    cleared_by: Sequence[str] = (),
    record: Mapping[str, Any] | None = None,
) -> Matched:
    """Match windows whose covariates are known; the candidates are disjoint.

    Parameters
    ----------
    promoters, candidates : DataFrame
        chrom, start, end, name, strand, split, the plan's keys and covariates.
    plan : Plan
    cleared_by : sequence of str
        Evidence that no candidate comes near.
    record : mapping, optional
        What to add to the result's record.

    Returns
    -------
    Matched
    """
    scale = scales(promoters, candidates, [*plan.columns, *plan.also], plan.also)
    columns = [column for column in plan.columns if column in scale]
    if not columns:
        raise PoolError("every covariate to match on is constant", remedy="name others in negatives.covariates")
    unit = np.array([scale[column] for column in columns])
    here, there = (frame[columns].to_numpy() / unit for frame in (promoters, candidates))
    decoys = np.full((plan.ratio, len(promoters)), -1)
    nearest = np.full(len(promoters), np.inf)
    notes: dict[str, Any] = {}
    for split in sorted(set(promoters["split"]) | set(candidates["split"])):
        _refuse_few(split, promoters, candidates, plan)
        notes[split] = {"excess": 0.0, "uncertified": 0}
        for wanted, offered in _groups(split, promoters, candidates, plan.keys):
            found = pair(here[wanted], there[offered], plan.caliper, plan.method, plan.tolerance, plan.ratio)
            has = found.chosen >= 0
            decoys[:, wanted] = np.where(has, offered[found.chosen] if len(offered) else -1, -1)
            nearest[wanted] = found.nearest
            notes[split]["excess"] += found.excess
            notes[split]["uncertified"] += found.uncertified
        mine = promoters["split"] == split
        if (decoys[0, mine] < 0).all():
            raise PoolError(
                f"no promoter of the split '{split}' has a decoy within the caliper of {plan.caliper} SD "
                f"({mine.sum():,} promoters, {(candidates['split'] == split).sum():,} candidates)",
                remedy="raise negatives.caliper, relax the pool's rules, or give the split more chromosomes",
            )
    examples = sort_examples(_examples(promoters, candidates, decoys, cleared_by).drop(columns=_extra(plan.keys)))
    kept = decoys[0] >= 0
    dropped = promoters[~kept].assign(nearest=nearest[~kept]).reset_index(drop=True)
    dropped["reason"] = _reasons(dropped["nearest"], plan)
    balance = measure_balance(
        examples, promoters, candidates, scale, columns, plan.max_smd, plan.seed, plan.min_retention
    )
    full = {"method": plan.method, "assignment": notes, "scale": scale, "short": int((decoys[-1, kept] < 0).sum())}
    return Matched(examples, dropped, balance, candidates, {**full, **(record or {})})


def _reasons(nearest: pd.Series, plan: Plan) -> NDArray[np.object_]:
    """Why promoters have no decoy, by the distance to their nearest candidate."""
    if plan.method == "cardinality":
        reason = np.full(len(nearest), "left out for the balance", dtype=object)
    else:
        far = nearest > plan.caliper
        reason = np.where(far, "no candidate within the caliper", "its candidates serve others").astype(object)
    reason[np.isinf(nearest)] = "no candidate of its keys"
    return reason


def _extra(keys: Sequence[str]) -> list[str]:
    """Keys that are no columns of the examples table."""
    return [key for key in keys if key not in COLUMNS]


def _refuse_few(split: str, promoters: pd.DataFrame, candidates: pd.DataFrame, plan: Plan) -> None:
    wanted, offered = ((frame["split"] == split).sum() for frame in (promoters, candidates))
    if not wanted:
        raise SplitError(
            f"no promoter lies in the split '{split}'",
            remedy="give it more chromosomes in genome.splits, or lower negatives.min_accessibility",
        )
    if plan.strict and offered < plan.min_retention * wanted:
        raise PoolError(
            f"the split '{split}' has {offered:,} candidate decoys for {wanted:,} promoters, of which "
            f"{plan.min_retention:.0%} must keep one (negatives.min_retention)",
            remedy="give more open chromatin, tile the peaks (negatives.candidates), or keep smaller buffers",
        )


def _groups(
    split: str, promoters: pd.DataFrame, candidates: pd.DataFrame, keys: Sequence[str]
) -> list[tuple[Rows, Rows]]:
    """Rows of promoters and of candidates that may be paired: of one split, agreeing in all keys."""
    mine, theirs = (np.flatnonzero(frame["split"] == split) for frame in (promoters, candidates))
    if not keys:
        return [(mine, theirs)]
    ours, others = (
        frame.iloc[rows][list(keys)].astype(str).agg("\t".join, axis=1).to_numpy()
        for frame, rows in ((promoters, mine), (candidates, theirs))
    )
    return [(mine[ours == key], theirs[others == key]) for key in np.unique(ours)]


def _examples(
    promoters: pd.DataFrame, candidates: pd.DataFrame, decoys: NDArray[np.int64], cleared_by: Sequence[str]
) -> pd.DataFrame:
    kept = np.flatnonzero(decoys[0] >= 0)
    parts = [promoters.iloc[kept].assign(label=1, evidence="", pair_id=np.arange(len(kept)), log_q=0.0)]
    for chosen in decoys[:, kept]:
        has = np.flatnonzero(chosen >= 0)
        parts.append(decoy_rows(candidates.iloc[chosen[has]], promoters.iloc[kept[has]], has, cleared_by))
    return pd.concat(parts, ignore_index=True).assign(tier=HARD)


def decoy_rows(
    windows: pd.DataFrame,
    promoters: pd.DataFrame,
    pair_id: Rows,
    cleared_by: Sequence[str],
    log_q: float | NDArray[np.float64] = 0.0,
) -> pd.DataFrame:
    """Decoys as examples: on the strands of their promoters, row by row, so that no strand tells the classes apart."""
    rows = windows.reset_index(drop=True)
    rows = rows.assign(label=0, strand=promoters["strand"].to_numpy(), pair_id=pair_id, log_q=log_q)
    rows["evidence"] = ";".join(cleared_by)
    rows["name"] = "decoy_" + rows["chrom"].astype(str) + "_" + rows["start"].astype(str)
    return rows
