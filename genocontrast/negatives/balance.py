"""Are the decoys really like the promoters? Measured before and after matching, and gated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.config import NegativesConfig
from genocontrast.display import Described
from genocontrast.errors import BalanceError

_GATE = NegativesConfig()
FOLDS = 5
RESAMPLES = 200
AUROC_MARGIN = 0.05
KS_FLOOR = 0.05


@dataclass(frozen=True, eq=False, repr=False)
class Balance(Described):
    """How alike promoters and decoys are.

    Attributes
    ----------
    table : DataFrame
        A row per covariate: covariate; smd, variance_ratio and ks, each ``_before`` (all promoters against the whole
        pool), ``_after`` (promoters that kept a decoy against their decoys) and ``_all`` (all promoters against the
        decoys: what dropping promoters did); matched; passed. SMD is in standard deviations of the unmatched training
        promoters, the same before and after; the variance ratio is promoters over decoys.
    retention : float
        Fraction of the promoters that kept a decoy.
    examples : DataFrame
        pair_id, label and the matched covariates of the retained pairs.
    seed : int
        Seed of the folds and resamples of `two_sample_auroc`.
    max_smd, min_retention : float
        The gate's limits.
    two_sample_auroc : tuple of float
        See below.
    """

    table: pd.DataFrame
    retention: float
    examples: pd.DataFrame
    seed: int = 0
    max_smd: float = _GATE.max_smd
    min_retention: float = _GATE.min_retention

    @cached_property
    def two_sample_auroc(self) -> tuple[float, float, float]:
        """AUROC (value, low, high) of telling promoters from decoys by the matched covariates; 0.5 is perfect.

        Computed when it is first asked for, as `check` does.
        """
        names = [str(name) for name in self.examples if name not in ("pair_id", "label")]
        return two_sample_auroc(self.examples, names, self.seed)

    def facts(self) -> dict[str, str]:
        """What a notebook shows above the table of covariates."""
        worst = max(
            self.table[self.table["matched"]].to_dict("records"), key=lambda covariate: abs(covariate["smd_after"])
        )
        return {
            "balance": "failed" if self.failures() else "passed",
            "retention": f"{self.retention:.1%}",
            "largest |SMD|": f"{abs(worst['smd_after']):.3f} ({worst['covariate']})",
            "two-sample AUROC": self._told(),
        }

    def facts_table(self) -> pd.DataFrame:
        """The covariates, as far as they are read at a glance; `table` has all."""
        return self.table[["covariate", "smd_before", "smd_after", "ks_after", "matched", "passed"]].round(3)

    def _told(self) -> str:
        try:
            value, low, high = self.two_sample_auroc
        except BalanceError:
            return "too few pairs"
        return f"{value:.3f} ({low:.3f} to {high:.3f})"

    @property
    def max_ks(self) -> float:
        """The gate's limit of KS: that of a two-sample test at alpha = .05 where the pairs are few."""
        return ks_limit(int((self.examples["label"] == 1).sum()))

    def failures(self, min_retention: float | None = None) -> list[str]:
        """What is wrong with the balance, a line each; empty when it passes. Pooled over the splits."""
        floor = self.min_retention if min_retention is None else min_retention
        lines = []
        for row in self.table[self.table["matched"] & ~self.table["passed"]].to_dict("records"):
            said = [f"|SMD| {abs(row['smd_after']):.3f} (limit {self.max_smd:g})"] * (
                abs(row["smd_after"]) > self.max_smd
            ) + [f"KS {row['ks_after']:.3f} (limit {self.max_ks:.3f})"] * (row["ks_after"] > self.max_ks)
            lines.append(f"{row['covariate']}: {', '.join(said)}")
        try:
            value, low, high = self.two_sample_auroc
        except BalanceError as error:
            lines.append(error.problem)
        else:
            if abs(value - 0.5) > AUROC_MARGIN and not low <= 0.5 <= high:
                lines.append(
                    f"the covariates alone tell decoys from promoters: AUROC {value:.3f} ({low:.3f} to {high:.3f})"
                )
        if self.retention < floor:
            lines.append(f"only {self.retention:.1%} of the promoters kept a decoy (floor {floor:.0%})")
        return lines

    def check(self, min_retention: float | None = None) -> None:
        """Raise a BalanceError with the table and the remedies where the balance fails."""
        failures = self.failures(min_retention)
        if failures:
            shown = self.table[["covariate", "smd_before", "smd_after", "ks_after", "matched", "passed"]]
            raise BalanceError(
                "the decoys fail the balance gate:\n  " + "\n  ".join(failures) + f"\n{shown.round(3).to_string()}",
                remedy="a smaller negatives.caliper balances better and drops more promoters; a larger pool (more "
                "open chromatin, smaller buffers) or a smaller negatives.ratio retains more, and so may "
                "negatives.method: cardinality, whose negatives.tolerance says how well it balances; "
                "negatives.min_retention states the floor; negatives.gate: warn goes on, to look at what was dropped",
            )

    @property
    def verdict(self) -> str:
        """One phrase for a reader."""
        return f"balance {'failed' if self.failures() else 'passed'}, retention {self.retention:.1%}"


def measure_balance(
    examples: pd.DataFrame,
    promoters: pd.DataFrame,
    candidates: pd.DataFrame,
    scale: Mapping[str, float],
    matched: Sequence[str],
    max_smd: float = _GATE.max_smd,
    seed: int = 0,
    min_retention: float = _GATE.min_retention,
) -> Balance:
    """Balance of matched examples against that of all promoters and the whole pool.

    Parameters
    ----------
    examples : DataFrame
        The matched examples.
    promoters, candidates : DataFrame
        All promoters and candidates before matching, with the covariates.
    scale : mapping of str to float
        Standard deviation of each covariate to compare, over the unmatched training promoters.
    matched : sequence of str
        The covariates that were matched on: the others are shown, and neither gated nor given to the classifier.
    max_smd : float
        Largest absolute standardised mean difference that passes.
    seed : int
        Seed of folds and resamples.
    min_retention : float
        Smallest retention that passes.
    """
    positive, negative = examples[examples["label"] == 1], examples[examples["label"] == 0]
    max_ks = ks_limit(len(positive))
    rows = []
    for name, spread in scale.items():
        row: dict[str, object] = {"covariate": name}
        for when, ours, theirs in (
            ("before", promoters, candidates), ("after", positive, negative), ("all", promoters, negative)
        ):  # fmt: skip
            row |= {f"{what}_{when}": value for what, value in compare(ours[name], theirs[name], spread).items()}
        passed = abs(float(str(row["smd_after"]))) <= max_smd and float(str(row["ks_after"])) <= max_ks
        rows.append({**row, "matched": name in matched, "passed": bool(passed)})
    pairs = examples[["pair_id", "label", *matched]]
    retention = len(positive) / max(len(promoters), 1)
    return Balance(pd.DataFrame(rows), retention, pairs, seed, max_smd, min_retention)


def ks_limit(pairs: int) -> float:
    """Largest KS that passes: that of a two-sample test at alpha = .05 where the pairs are few."""
    return float(max(KS_FLOOR, 1.36 * np.sqrt(2 / max(pairs, 1))))


def compare(ours: pd.Series, theirs: pd.Series, spread: float) -> dict[str, float]:
    """SMD, variance ratio and KS of one covariate in two samples; the SMD in units of `spread`."""
    variance = float(theirs.var())
    return {
        "smd": float(ours.mean() - theirs.mean()) / spread,
        "variance_ratio": float(ours.var()) / max(variance, 1e-12),
        "ks": largest_gap(ours.to_numpy(), theirs.to_numpy()),
    }


def largest_gap(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """Kolmogorov-Smirnov statistic: the largest gap between the cumulatives of two samples.

    scipy.stats has it as well, and takes a second and a half to import.
    """
    ours, theirs = np.sort(ours), np.sort(theirs)
    places = np.concatenate([ours, theirs])
    below = (np.searchsorted(sample, places, side="right") / max(len(sample), 1) for sample in (ours, theirs))
    return float(np.abs(np.subtract(*below)).max(initial=0.0))


def two_sample_auroc(examples: pd.DataFrame, covariates: Sequence[str], seed: int) -> tuple[float, float, float]:
    """AUROC of a classifier that sees the covariates only, with a 95 % interval over pairs.

    Logistic regression on the covariates, their squares and products, so that a difference in spread is seen too;
    scores are out of fold, and all of a pair share a fold. Source: Lopez-Paz and Oquab, ICLR 2017.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    pairs = examples["pair_id"].nunique()
    if pairs < FOLDS:
        raise BalanceError(
            f"{pairs} pairs are too few to judge the balance",
            remedy="raise negatives.caliper, or give more promoters and open chromatin",
        )
    classifier = LogisticRegression(max_iter=1000, solver="newton-cholesky", class_weight="balanced")
    model = make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False), StandardScaler(), classifier)
    folds = GroupKFold(FOLDS, shuffle=True, random_state=seed)
    values, labels = examples[list(covariates)].to_numpy(), examples["label"].to_numpy()
    score = cross_val_predict(model, values, labels, groups=examples["pair_id"], cv=folds, method="decision_function")
    return _auroc_interval(score, labels, examples["pair_id"].to_numpy(), np.random.default_rng(seed))


def _auroc_interval(
    score: NDArray[np.float64], labels: NDArray[np.int8], pair_id: NDArray[np.int32], rng: np.random.Generator
) -> tuple[float, float, float]:
    """AUROC, and its interval over resampled pairs: a resample gives weights, and the scores are sorted only once."""
    number = np.unique(pair_id, return_inverse=True)[1]
    order = np.argsort(score, kind="stable")
    ties = np.concatenate([[0], np.cumsum(np.diff(score[order]) > 0)])
    promoter, of_pair = labels[order] == 1, number[order]

    def auroc(weight: NDArray) -> float:
        mine = weight[of_pair]
        ours = np.bincount(ties, np.where(promoter, mine, 0.0))
        theirs = np.bincount(ties, np.where(promoter, 0.0, mine))
        below = np.cumsum(theirs) - theirs / 2
        return float((ours * below).sum() / (ours.sum() * theirs.sum()))

    pairs = int(number.max()) + 1
    resampled = [auroc(np.bincount(rng.integers(0, pairs, pairs), minlength=pairs)) for _ in range(RESAMPLES)]
    low, high = np.quantile(resampled, [0.025, 0.975])
    return auroc(np.ones(pairs)), float(low), float(high)
