"""The leakage audit: has training seen a test example, by place, base for base or nearly, on either strand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from genocontrast.genome.intervals import overlaps
from genocontrast.genome.near_duplicates import CONTAINMENT, WORD, nearly_repeats
from genocontrast.genome.repeats import Flags, repeats_between
from genocontrast.sequence import Codes

CLASSES = {"positive": 1, "negative": 0}


@dataclass(frozen=True)
class LeakageAudit:
    """Test examples that training has seen, each of which may be so in several ways.

    Parameters
    ----------
    leaks : DataFrame of bool, n rows
        `exact_repeats` and `near_duplicates` of a training example on either strand (an exact repeat of 12 bp or more
        is a near one, too); `overlapping`, where both sets have places. With labels also `overlapping_same_class`
        and `exact_repeats_same_class`: a training example of the same label is met. With pretraining also
        `pretrained_on`: the example overlaps sequence that the encoder has seen without labels.
    labels : array of int, shape=(n,), optional
        Class of each test example, 1 or 0.
    """

    leaks: pd.DataFrame
    labels: np.ndarray | None = None

    @property
    def windows(self) -> int:
        """Test examples."""
        return len(self.leaks)

    @property
    def overlapping(self) -> int | None:
        """Test examples that overlap a training example; None where their places are not known."""
        return self._count("overlapping")

    @property
    def exact_repeats(self) -> int | None:
        """Test examples that are a training example."""
        return self._count("exact_repeats")

    @property
    def near_duplicates(self) -> int | None:
        """Test examples that nearly repeat a training example, or do so exactly."""
        return self._count("near_duplicates")

    @property
    def leaking(self) -> Flags:
        """Whether each test example was seen in any way, shape=(n,)."""
        return np.asarray(self.leaks.to_numpy(bool).any(axis=1))

    def _count(self, kind: str) -> int | None:
        return int(self.leaks[kind].sum()) if kind in self.leaks else None

    def by_class(self) -> list[dict[str, Any]]:
        """Counts of each class that is there, and of all: name, windows, the kinds of leaks and those of any kind."""
        rows = {"all": np.ones(self.windows, dtype=bool)}
        if self.labels is not None:
            rows = {**{name: self.labels == label for name, label in CLASSES.items()}, **rows}
        leaks = self.leaks.assign(leaking=self.leaking)
        return [
            {
                "class": name,
                "windows": int(members.sum()),
                **{str(kind): int(n) for kind, n in leaks[members].sum().items()},
            }
            for name, members in rows.items()
        ]

    def reason(self) -> str:
        """The finding in a sentence."""
        found = [] if self.overlapping is None else [f"{self.overlapping:,} overlap a training window"]
        found.append(f"{self.exact_repeats:,} repeat one exactly")
        if "pretrained_on" in self.leaks:
            found.append(f"{self._count('pretrained_on'):,} overlap sequence of the pretraining")
        last = f"{self.near_duplicates:,} nearly repeat one"
        return f"of {self.windows:,} test windows {', '.join(found)} and {last}"

    def as_dict(self) -> dict[str, Any]:
        """The audit as it stands in metrics.json."""
        return {
            "windows": self.windows,
            "overlapping": self.overlapping,
            "exact_repeats": self.exact_repeats,
            "near_duplicates": self.near_duplicates,
            "by_class": self.by_class(),
            "word": WORD,
            "containment": CONTAINMENT,
            "passed": not self.leaking.any(),
            "reason": self.reason(),
        }


def leakage_audit(
    test: pd.DataFrame,
    train: pd.DataFrame,
    test_codes: Codes,
    train_codes: Codes,
    pretrained_on: Sequence[tuple[str, int, int]] = (),
) -> LeakageAudit:
    """Compare test with training examples.

    Parameters
    ----------
    test, train : DataFrame
        n and m rows; chrom, start, end where both have places, label where both have classes.
    test_codes, train_codes : uint8, shape=(n, length) and (m, length)
        Their sequences.
    pretrained_on : sequence of (chrom, start, end), optional
        Segments that the encoder has seen without labels (`Model.pretrained_on`).
    """
    placed, labelled = ({*columns} <= {*test} & {*train} for columns in (("chrom", "start", "end"), ("label",)))
    leaks: dict[str, Flags] = {}
    if placed:
        leaks["overlapping"] = overlaps(test, train)
    if placed and labelled:
        leaks["overlapping_same_class"] = np.zeros(len(test), dtype=bool)
    if placed and pretrained_on:
        leaks["pretrained_on"] = overlaps(test, pd.DataFrame(pretrained_on, columns=["chrom", "start", "end"]))
    leaks["exact_repeats"] = repeats_between(test_codes, train_codes)
    if labelled:
        leaks["exact_repeats_same_class"] = np.zeros(len(test), dtype=bool)
        for label in CLASSES.values():
            ours, theirs = (table["label"].to_numpy() == label for table in (test, train))
            if placed:
                leaks["overlapping_same_class"][ours] = overlaps(test[ours], train[theirs])
            leaks["exact_repeats_same_class"][ours] = repeats_between(test_codes[ours], train_codes[theirs])
    leaks["near_duplicates"] = nearly_repeats(test_codes, train_codes)
    return LeakageAudit(pd.DataFrame(leaks), test["label"].to_numpy() if labelled else None)
