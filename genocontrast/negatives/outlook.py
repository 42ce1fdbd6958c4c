"""`genocontrast genome check`: what the inputs hold, and the decoys to expect of them, before a night is spent."""

from __future__ import annotations

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from genocontrast.artefacts import existing
from genocontrast.config import SPLITS, Config
from genocontrast.errors import PlausibilityError
from genocontrast.genome.check import blank_table, summary
from genocontrast.genome.plausibility import doubts, remarks
from genocontrast.genome.splits import Splits
from genocontrast.genome.stage import Prepared, prepare
from genocontrast.negatives.stage import INPUTS, gather

FEWEST = 10
"""Promoters that validation and test need at least; training needs a batch."""


def check(config: Config, console: Console | None = None) -> None:
    """Read every input of a data set and print what was found; only the genome's cache is written.

    Raises
    ------
    PlausibilityError
        After all is printed, where the files do not seem to belong together or a split has too few decoys.
    GenocontrastError
        For whatever the genome stage itself would stop at.
    """
    # Names of files and sequences are data: no [markup] and no :emoji: in them.
    console = console or Console(markup=False, emoji=False, highlight=False)
    for path in (config.evaluation.motif_database, config.evaluation.truth):
        if path is not None:
            existing(path)
    prepared = prepare(config)
    console.print(Text(f"Sequence: {prepared.inputs.genome.path.name}, {prepared.inputs.genome.storage()}\n"))
    console.print(summary(prepared.record))
    expected = expected_decoys(prepared, config)
    console.print(_table(expected))
    for remark in remarks(prepared.record):
        console.print(f"warning: {remark}")
    said = doubts(prepared.record) + _too_few(expected, config)
    if said:
        raise PlausibilityError(
            "this would waste your night:\n  - " + "\n  - ".join(said),
            remedy="take all files from one assembly; give more peaks, or less strict rules, where windows are few",
        )


def _too_few(expected: pd.DataFrame, config: Config) -> list[str]:
    """Splits with too few decoys for their promoters, or too few promoters to learn or to measure anything."""
    least = config.negatives.min_retention
    floor = dict.fromkeys(SPLITS, FEWEST) | {"train": config.training.batch_pairs}
    rows = expected.to_dict("records")
    return [
        f"{row['split']}: {row['decoys']:,} decoys for {row['promoters']:,} promoters, of which "
        f"negatives.min_retention asks for {least:.0%}"
        for row in rows
        if row["decoys"] < least * row["promoters"]
    ] + [
        f"{row['split']}: {row['promoters']:,} open promoters, fewer than {floor[row['split']]}"
        for row in rows
        if row["promoters"] < floor[row["split"]]
    ]


def expected_decoys(prepared: Prepared, config: Config) -> pd.DataFrame:
    """Promoters and candidate decoys of each split, by the rules of the negatives stage up to matching.

    Returns
    -------
    DataFrame
        split; promoters: open and disjoint; decoys: open, disjoint and clear of all evidence. Near-duplicates
        across splits are still among them.
    """
    splits = Splits.from_records(prepared.record["segments"])
    tables = {name: getattr(prepared, name) for name in INPUTS}
    windows = gather(config, tables, prepared.inputs.genome, prepared.inputs.signal, splits)
    counts = {"promoters": windows.promoters.rows["split"], "decoys": windows.candidates.rows["split"]}
    rows = [{"split": split} | {what: int(np.sum(its == split)) for what, its in counts.items()} for split in SPLITS]
    return pd.DataFrame(rows)


def _table(expected: pd.DataFrame) -> Table:
    shown = blank_table("Decoys to expect", ["split"], ["open promoters", "candidate decoys", "decoys per promoter"])
    for row in expected.to_dict("records"):
        ratio = f"{row['decoys'] / row['promoters']:.2f}" if row["promoters"] else "-"
        shown.add_row(row["split"], f"{row['promoters']:,}", f"{row['decoys']:,}", ratio)
    return shown
