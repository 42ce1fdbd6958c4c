"""What `genocontrast genome check` prints: the record of the genome stage as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from genocontrast.config import SPLITS
from genocontrast.genome.splits import Splits

_MOST_SEQUENCES = 40


def summary(record: Mapping[str, Any]) -> Group:
    """What a genome record (genome.json) holds, for the terminal: tables with a blank line between them."""
    parts: list[Table | Text] = [_sequences(record), _assembly(record), _splits(record), _files(record)]
    parts += [_classes(record), _counts(record), _plausibility(record)]
    return Group(*(Padding(part, (0, 0, 1, 0)) for part in parts))


def blank_table(title: str, left: list[str], right: list[str]) -> Table:
    """An empty table with columns of words on the left and of numbers on the right."""
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for heading in left:
        table.add_column(heading, overflow="fold")
    for heading in right:
        table.add_column(heading, justify="right")
    return table


def _sequences(record: Mapping[str, Any]) -> Table:
    sealed = record["splits"]["sealed"]
    table = blank_table("Sequences", ["sequence", "split"], ["bp", "GC", "N", "masked"])
    shown = record["sequences"][:_MOST_SEQUENCES]
    for row in shown:
        split = "sealed" if row["chrom"] in sealed else row["split"] or "-"
        shares = [f"{row[key]:.1%}" for key in ("gc", "n_fraction", "masked_fraction")]
        table.add_row(row["chrom"], split, f"{row['size']:,}", *shares)
    rest = record["sequences"][_MOST_SEQUENCES:]
    if rest:
        table.add_row(f"... {len(rest)} more", "", f"{sum(row['size'] for row in rest):,}", "", "", "")
    return table


def _assembly(record: Mapping[str, Any]) -> Text:
    known = record["assembly"]
    if known is None:
        return Text("Assembly: none that is known here")
    return Text(f"Assembly: {known['agree']} sequences have the sizes of {known['name']}")


def _splits(record: Mapping[str, Any]) -> Text:
    splits = Splits.from_records(record["segments"])
    return Text("Splits: " + "; ".join(f"{split}: {splits.describe(split)}" for split in SPLITS))


def _files(record: Mapping[str, Any]) -> Table:
    table = blank_table("Files", ["role", "file", "renamed", "removed"], ["rows", "kept"])
    for entry in record["files"]:
        renamed = [f"{old} -> {new}" for old, new in entry["renamed"].items()]
        more = f" and {len(renamed) - 2} more" if len(renamed) > 2 else ""
        rows = ["-" if entry[key] is None else f"{entry[key]:,}" for key in ("rows", "kept")]
        removed = ", ".join(f"{rule.replace('_', ' ')} {count:,}" for rule, count in entry.get("removed", {}).items())
        table.add_row(entry["role"], entry["file"], ", ".join(renamed[:2]) + more, removed, *rows)
    return table


def _classes(record: Mapping[str, Any]) -> Table:
    right = ["regions", "bp covered", "outside evidence", "median bp to TSS"]
    shown = blank_table("Regions by class", ["class", "name"], right)
    for row in record["classes"]:
        # What makes promoters or speaks of them is evidence itself.
        told = row["bp"] and row["class"] not in ("promoters", "evidence")
        clear = f"{row['clear_bp'] / row['bp']:.0%}" if told else "-"
        away = "-" if row["bp_to_tss"] is None else f"{row['bp_to_tss']:,.0f}"
        shown.add_row(row["class"], row["name"], f"{row['regions']:,}", f"{row['bp']:,}", clear, away)
    return shown


def _counts(record: Mapping[str, Any]) -> Table:
    table = blank_table("Counts", ["what"], ["number"])
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
