"""The leakage audit: does a test window overlap, or nearly repeat, a training window, on either strand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from genocontrast.genome.intervals import overlaps
from genocontrast.genome.near_duplicates import CONTAINMENT, WORD, nearly_repeats
from genocontrast.sequence import Codes


@dataclass(frozen=True)
class LeakageAudit:
    """Test windows that training has seen in part; a window may be both."""

    windows: int
    overlapping: int
    near_duplicates: int

    def as_dict(self) -> dict[str, Any]:
        """The audit as it stands in metrics.json."""
        return {
            "windows": self.windows,
            "overlapping": self.overlapping,
            "near_duplicates": self.near_duplicates,
            "word": WORD,
            "containment": CONTAINMENT,
            "passed": self.overlapping == 0 and self.near_duplicates == 0,
            "reason": f"of {self.windows:,} test windows {self.overlapping:,} overlap a training window and "
            f"{self.near_duplicates:,} nearly repeat one",
        }


def leakage_audit(test: pd.DataFrame, train: pd.DataFrame, test_codes: Codes, train_codes: Codes) -> LeakageAudit:
    """Compare test with training windows.

    Parameters
    ----------
    test, train : DataFrame
        chrom, start, end; n and m rows.
    test_codes, train_codes : uint8, shape=(n, length) and (m, length)
        Their sequences.
    """
    repeated = nearly_repeats(test_codes, train_codes)
    return LeakageAudit(len(test), int(overlaps(test, train).sum()), int(repeated.sum()))
