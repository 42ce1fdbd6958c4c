"""Figures of sequencing reads, and what `genocontrast genome reads` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group
from rich.table import Table

from genocontrast.sequence import N_CODE

if TYPE_CHECKING:
    from genocontrast.genome.reads import ReadBatch, Reads

_QUANTILES = {"min": 0.0, "5%": 0.05, "median": 0.5, "95%": 0.95, "max": 1.0}
_STEPS_PER_PHRED = 100


def summarise(batches: Iterable[ReadBatch]) -> dict[str, Any]:
    """Figures of reads, in memory that does not grow with their number.

    Parameters
    ----------
    batches : iterable of ReadBatch

    Returns
    -------
    dict
        reads and bases; length (bp) and quality (Phred of the mean error probability, to 0.01), each a dict of
        min, 5%, median, 95%, max; length also n50: reads at least so long hold half of the bases; gc (fraction of
        the called bases) and n_fraction. None where there is nothing to say. A quantile is the smallest value
        that so many of the reads do not exceed.
    """
    lengths: Counter[int] = Counter()
    qualities: Counter[int] = Counter()
    bases = np.zeros(N_CODE + 1, dtype=np.int64)
    for batch in batches:
        _count(lengths, np.diff(batch.offsets))
        known = batch.quality[~np.isnan(batch.quality)]
        _count(qualities, np.rint(known * _STEPS_PER_PHRED).astype(np.int64))
        bases += np.bincount(batch.codes, minlength=N_CODE + 1)
    called, total = int(bases[:N_CODE].sum()), int(bases.sum())
    return {
        "reads": lengths.total(),
        "bases": total,
        "length": {**_quantiles(lengths), "n50": _n50(lengths)} if lengths else None,
        "quality": {key: step / _STEPS_PER_PHRED for key, step in _quantiles(qualities).items()} if qualities else None,
        "gc": int(bases[1] + bases[2]) / called if called else None,
        "n_fraction": int(bases[N_CODE]) / total if total else None,
    }


def _count(counts: Counter[int], values: NDArray[np.int64]) -> None:
    found, numbers = np.unique(values, return_counts=True)
    counts.update(dict(zip(found.tolist(), numbers.tolist(), strict=True)))


def _quantiles(counts: Counter[int]) -> dict[str, int]:
    values = sorted(counts)
    reached = np.cumsum([counts[value] for value in values])
    # Ranks rather than fractions, so that rounding cannot pick a neighbour.
    ranks = {key: max(int(np.ceil(round(q * reached[-1], 6))), 1) for key, q in _QUANTILES.items()}
    return {key: values[int(np.searchsorted(reached, rank))] for key, rank in ranks.items()}


def _n50(lengths: Counter[int]) -> int:
    values = sorted(lengths, reverse=True)
    bases = np.cumsum([value * lengths[value] for value in values])
    return values[int(np.searchsorted(2 * bases, bases[-1]))]


def print_reads(reads: Reads, console: Console | None = None) -> None:
    """Read a file of reads and print its figures and what each filter removed; nothing is written."""
    figures = reads.summary()
    (console or Console()).print(Group(_figures(reads.path.name, figures), "", _removals(figures)))


def _table(title: str, heading: str, *numbers: str) -> Table:
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    table.add_column(heading, overflow="fold")
    for number in numbers:
        table.add_column(number, justify="right")
    return table


def _figures(name: str, figures: dict[str, Any]) -> Table:
    table = _table(f"Reads of {name}", "what", "value")
    table.add_row("reads", f"{figures['reads']:,}")
    table.add_row("bases, bp", f"{figures['bases']:,}")
    for key, label in (("gc", "GC"), ("n_fraction", "N")):
        table.add_row(label, "-" if figures[key] is None else f"{figures[key]:.2%}")
    for key in (*_QUANTILES, "n50"):
        label = "N50" if key == "n50" else key
        table.add_row(f"length, bp: {label}", "-" if figures["length"] is None else f"{figures['length'][key]:,}")
    for key in _QUANTILES:
        shown = "-" if figures["quality"] is None else f"{figures['quality'][key]:.2f}"
        table.add_row(f"quality, Phred of mean error: {key}", shown)
    return table


def _removals(figures: dict[str, Any]) -> Table:
    table = _table("Removed", "rule", "records", "share")
    for rule, number in {**figures["removed"], "kept": figures["reads"], "in the file": figures["total"]}.items():
        table.add_row(rule.replace("_", " "), f"{number:,}", f"{number / figures['total']:.1%}")
    return table
