"""Are the decoys really like the promoters? Measured before and after matching, and gated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from genocontrast.config import NegativesConfig
from genocontrast.errors import BalanceError

_GATE = NegativesConfig()
FOLDS = 5
RESAMPLES = 200
AUROC_MARGIN = 0.05
KS_FLOOR = 0.05


@dataclass(frozen=True)
class Balance:
    """How alike promoters and decoys are.

    Attributes
    ----------
    table : DataFrame
        A row per covariate: covariate, smd_before, smd_after, ks_before, ks_after, variance_ratio_after, passed.
        SMD is in standard deviations of the unmatched training promoters, the same before and after.
    two_sample_auroc : tuple of float
        AUROC (value, low, high) of telling promoters from decoys by the covariates alone; 0.5 is perfect balance.
    retention : float
        Fraction of the promoters that kept a decoy.
    """

    table: pd.DataFrame
    two_sample_auroc: tuple[float, float, float]
    retention: float

    def failures(self, min_retention: float = _GATE.min_retention) -> list[str]:
        """What is wrong with the balance, a line each; empty when it passes."""
        lines = [
            f"{row['covariate']}: |SMD| {abs(row['smd_after']):.3f}, KS {row['ks_after']:.3f}"
            for _, row in self.table[~self.table["passed"]].iterrows()
        ]
        value, low, high = self.two_sample_auroc
        if abs(value - 0.5) > AUROC_MARGIN and not low <= 0.5 <= high:
            lines.append(
                f"the covariates alone tell decoys from promoters: AUROC {value:.3f} ({low:.3f} to {high:.3f})"
            )
        if self.retention < min_retention:
            lines.append(f"only {self.retention:.1%} of the promoters kept a decoy (floor {min_retention:.0%})")
        return lines

    def check(self, min_retention: float = _GATE.min_retention) -> None:
        """Raise a BalanceError with the table and the remedies where the balance fails."""
        failures = self.failures(min_retention)
        if failures:
            raise BalanceError(
                "the decoys are not like the promoters:\n  " + "\n  ".join(failures) + f"\n{self.table.to_string()}",
                remedy="a smaller negatives.caliper balances better and drops more promoters; a larger pool "
                "(more open chromatin, smaller buffers) retains more; negatives.min_retention states the floor",
            )

    @property
    def verdict(self) -> str:
        """One phrase for a reader."""
        return f"balance {'failed' if self.failures() else 'passed'}, retention {self.retention:.1%}"


def measure_balance(
    examples: pd.DataFrame,
    promoters: pd.DataFrame,
    candidates: pd.DataFrame,
    covariates: Sequence[str],
    max_smd: float = _GATE.max_smd,
    seed: int = 0,
) -> Balance:
    """Balance of matched examples against that of all promoters and the whole pool.

    Parameters
    ----------
    examples : DataFrame
        The matched examples.
    promoters, candidates : DataFrame
        All promoters and candidates before matching, with `split` and the covariates.
    covariates : sequence of str
        Columns to compare.
    max_smd : float
        Largest absolute standardised mean difference that passes.
    seed : int
        Seed of folds and resamples.
    """
    positive, negative = examples[examples["label"] == 1], examples[examples["label"] == 0]
    training = promoters[promoters["split"] == "train"]
    max_ks = max(KS_FLOOR, 1.36 * np.sqrt(2 / max(len(positive), 1)))  # two-sample KS at alpha = .05
    rows = []
    for name in covariates:
        spread = float(training[name].std(ddof=1)) or 1.0
        after = (positive[name].mean() - negative[name].mean()) / spread
        ks_after = _ks(positive[name], negative[name])
        rows.append(
            {
                "covariate": name,
                "smd_before": (promoters[name].mean() - candidates[name].mean()) / spread,
                "smd_after": after,
                "ks_before": _ks(promoters[name], candidates[name]),
                "ks_after": ks_after,
                "variance_ratio_after": positive[name].var() / max(negative[name].var(), 1e-12),
                "passed": bool(abs(after) <= max_smd and ks_after <= max_ks),
            }
        )
    auroc = two_sample_auroc(examples, covariates, seed)
    return Balance(pd.DataFrame(rows), auroc, len(positive) / max(len(promoters), 1))


def _ks(first: pd.Series, second: pd.Series) -> float:
    return float(ks_2samp(first, second, method="asymp").statistic)


def two_sample_auroc(examples: pd.DataFrame, covariates: Sequence[str], seed: int) -> tuple[float, float, float]:
    """AUROC of a classifier that sees the covariates only, with a 95 % interval over pairs.

    Logistic regression on the covariates and their squares, so that a difference in spread is seen too; scores are
    out of fold, and the two of a pair share a fold. Source: Lopez-Paz and Oquab, ICLR 2017.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    pairs = examples.sort_values(["pair_id", "label"], kind="stable")
    if len(pairs) < 2 * FOLDS:
        raise BalanceError(
            f"{len(pairs) // 2} pairs are too few to judge the balance",
            remedy="raise negatives.caliper, or give more promoters and open chromatin",
        )
    model = make_pipeline(
        StandardScaler(), PolynomialFeatures(2, include_bias=False), LogisticRegression(max_iter=1000)
    )
    folds = GroupKFold(FOLDS, shuffle=True, random_state=seed)
    values, labels = pairs[list(covariates)].to_numpy(), pairs["label"].to_numpy()
    score = cross_val_predict(model, values, labels, groups=pairs["pair_id"], cv=folds, method="decision_function")
    decoy, promoter = score.reshape(-1, 2).T  # (pairs,) each: label 0 sorts first
    return _auroc_interval(promoter, decoy, np.random.default_rng(seed))


def _auroc_interval(
    promoter: NDArray[np.float64], decoy: NDArray[np.float64], rng: np.random.Generator
) -> tuple[float, float, float]:
    from sklearn.metrics import roc_auc_score

    labels = np.repeat([1, 0], len(promoter))

    def auroc(rows: NDArray[np.int64]) -> float:
        return float(roc_auc_score(labels, np.concatenate([promoter[rows], decoy[rows]])))

    n = len(promoter)
    resampled = [auroc(rng.integers(0, n, n)) for _ in range(RESAMPLES)]
    low, high = np.quantile(resampled, [0.025, 0.975])
    return auroc(np.arange(n)), float(low), float(high)
