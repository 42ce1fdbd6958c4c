"""What `genocontrast genome check` prints: the record of the genome stage as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from genocontrast.config import SPLITS, Config
from genocontrast.genome.splits import Splits
from genocontrast.genome.stage import prepare

_MOST_SEQUENCES = 40


def print_check(config: Config, console: Console | None = None) -> None:
    """Read every input of a data set and print what was found; nothing is written."""
    (console or Console()).print(summary(prepare(config).record))


def summary(record: Mapping[str, Any]) -> Group:
    """Sequences, splits, files, counts and plausibility of a genome record (genome.json) for the terminal."""
    return Group(_sequences(record), _splits(record), _files(record), _counts(record), _plausibility(record))


def _table(title: str, left: list[str], right: list[str]) -> Table:
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for heading in left:
        table.add_column(heading, overflow="fold")
    for heading in right:
        table.add_column(heading, justify="right")
    return table


def _sequences(record: Mapping[str, Any]) -> Table:
    sealed = record["splits"]["sealed"]
    table = _table("Sequences", ["sequence", "split"], ["bp", "GC", "N", "masked"])
    shown = record["sequences"][:_MOST_SEQUENCES]
    for row in shown:
        split = "sealed" if row["chrom"] in sealed else row["split"] or "-"
        shares = [f"{row[key]:.1%}" for key in ("gc", "n_fraction", "masked_fraction")]
        table.add_row(row["chrom"], split, f"{row['size']:,}", *shares)
    rest = record["sequences"][_MOST_SEQUENCES:]
    if rest:
        table.add_row(f"... {len(rest)} more", "", f"{sum(row['size'] for row in rest):,}", "", "", "")
    return table


def _splits(record: Mapping[str, Any]) -> Text:
    splits = Splits.from_records(record["segments"])
    return Text("Splits: " + "; ".join(f"{split}: {splits.describe(split)}" for split in SPLITS))


def _files(record: Mapping[str, Any]) -> Table:
    table = _table("Files", ["role", "file", "renamed"], ["rows", "kept"])
    for entry in record["files"]:
        renamed = [f"{old} -> {new}" for old, new in entry["renamed"].items()]
        more = f" and {len(renamed) - 2} more" if len(renamed) > 2 else ""
        rows = ["-" if entry[key] is None else f"{entry[key]:,}" for key in ("rows", "kept")]
        table.add_row(entry["role"], entry["file"], ", ".join(renamed[:2]) + more, *rows)
    return table


def _counts(record: Mapping[str, Any]) -> Table:
    table = _table("Counts", ["what"], ["number"])
    for what, number in record["counts"].items():
        table.add_row(what.replace("_", " "), f"{number:,}")
    return table


def _plausibility(record: Mapping[str, Any]) -> Text:
    found = record["plausibility"]
    peaks = found["peaks_on_promoters"]
    on = "no peaks given" if peaks is None else f"{peaks:.0%} of the peaks lie on promoters"
    ratio = found["signal_at_tss"] / found["signal_genome"] if found["signal_genome"] else float("nan")
    return Text(
        f"Plausibility: GC {found['gc_at_tss']:.3f} at promoters, {found['gc_genome']:.3f} on their chromosomes; "
        f"signal {found['signal_at_tss']:.3g} and {found['signal_genome']:.3g} per bp ({ratio:.1f} x); {on}"
    )
