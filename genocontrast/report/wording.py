"""Numbers, intervals and lists as a reader meets them: one style for page, figures and terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

MINUS = "\u2212"
NOTHING = "\u2013"
PLUS_MINUS = "\u00b1"
AT_MOST = "\u2264"


def number(value: float | None, digits: int = 3, signed: bool = False) -> str:
    """A number with a fixed count of decimals and a true minus sign; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return NOTHING
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def integer(value: float | None) -> str:
    """A count with thousands separators."""
    return NOTHING if value is None else f"{int(value):,}"


def percent(fraction: float | None, digits: int = 0) -> str:
    """A fraction as a percentage."""
    return NOTHING if fraction is None else f"{100 * fraction:.{digits}f} %"


def limits(interval: Mapping[str, float], digits: int = 3, signed: bool = False) -> str:
    """The two ends of an interval: ``0.889 to 0.933``."""
    return f"{number(interval['low'], digits, signed)} to {number(interval['high'], digits, signed)}"


def estimate(interval: Mapping[str, float], digits: int = 3, signed: bool = False) -> str:
    """A value with its interval: ``0.912 (0.889 to 0.933)``."""
    return f"{number(interval['value'], digits, signed)} ({limits(interval, digits, signed)})"


def plural(count: int, noun: str, many: str | None = None) -> str:
    """A count with its noun: ``1 pair``, ``1,204 pairs``."""
    return f"{integer(count)} {noun if count == 1 else many or noun + 's'}"


def listing(items: Sequence[Any], limit: int = 8) -> str:
    """A list in words: ``a, b and c``; a long one ends in a count."""
    names = [str(item) for item in items]
    if len(names) > limit:
        names = [*names[:limit], f"{integer(len(names) - limit)} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"


COVARIATE_NAMES = {
    "gc": "GC content",
    "cpg": "CpG ratio",
    "cpg_count": "number of CpG",
    "accessibility": "accessibility",
    "open_fraction": "open fraction",
    "repeat": "repeat content",
    "n": "uncalled bases",
    "tss_distance": "distance to nearest TSS",
    "kmers": "3-mer composition",
    "kmers_1": "3-mer axis 1",
    "kmers_2": "3-mer axis 2",
    "kmers_3": "3-mer axis 3",
}
"""What the covariates are called in prose; one that is not listed keeps its name."""


def covariate(name: str) -> str:
    """A covariate's name in prose."""
    return COVARIATE_NAMES.get(name, name)


def rule(name: str) -> str:
    """The name of a rule with a true plus-minus sign; lists can break between their items."""
    return re.sub(r",(?=\S)", ", ", name.replace("+-", PLUS_MINUS))
