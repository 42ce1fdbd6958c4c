"""Which chromosomes train, validate and test: a chromosome is never torn between splits."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from genocontrast.config import SPLITS, Split, SplitsConfig
from genocontrast.errors import SplitError
from genocontrast.genome.fasta import Genome

SHARES: Mapping[Split, float] = {"train": 0.70, "validation": 0.15, "test": 0.15}
"""Shares of the promoters that automatic splits aim at."""


def assign_splits(splits: SplitsConfig, promoters: pd.DataFrame, genome: Genome) -> dict[str, Split]:
    """The split of each chromosome that is in one.

    Parameters
    ----------
    splits : SplitsConfig
        Chromosomes by split; none named: balanced by promoter count.
    promoters : pandas.DataFrame
        A column `chrom`.
    genome : Genome
        The names that exist.

    Returns
    -------
    dict of str to str
        In the genome's order; sealed chromosomes and those without promoters (automatic) are absent.

    Raises
    ------
    SplitError
        For an unknown chromosome, a split without promoters, or fewer than three chromosomes to share out.
    """
    named: dict[str, Split] = {chrom: split for split in SPLITS for chrom in getattr(splits, split)}
    unknown = [chrom for chrom in [*named, *splits.sealed] if chrom not in genome.sizes]
    if unknown:
        known = ", ".join(list(genome.sizes)[:30])
        raise SplitError(
            f"genome.splits names {', '.join(unknown)}, which the genome does not have", remedy=f"it has {known}"
        )
    found = promoters["chrom"].value_counts()
    counts = {chrom: int(found.get(chrom, 0)) for chrom in genome.sizes if chrom not in splits.sealed}
    chosen = named or _balanced(counts)
    for split in SPLITS:
        if not any(counts.get(chrom) for chrom, its in chosen.items() if its == split):
            raise SplitError(
                f"no promoter lies on the chromosomes of the split '{split}'",
                remedy="name chromosomes that have promoters in genome.splits, or none at all to split automatically",
            )
    return {chrom: chosen[chrom] for chrom in genome.sizes if chrom in chosen}


def _balanced(counts: Mapping[str, int]) -> dict[str, Split]:
    """Give each chromosome, largest first, to the split that lacks most promoters; no split stays empty."""
    # Ties go by the genome's order, since sorting is stable.
    waiting = sorted((chrom for chrom, count in counts.items() if count), key=lambda chrom: -counts[chrom])
    if len(waiting) < len(SPLITS):
        raise SplitError(
            f"{len(waiting)} chromosomes have promoters; train, validation and test need one each",
            remedy="use a genome with three or more sequences, or seal fewer of them",
        )
    total = sum(counts.values())
    lacking = {split: SHARES[split] * total for split in SPLITS}
    chosen: dict[str, Split] = {}
    for position, chrom in enumerate(waiting):
        empty = [split for split in SPLITS if split not in chosen.values()]
        candidates = empty if len(waiting) - position == len(empty) else list(SPLITS)
        split = max(candidates, key=lambda name: lacking[name])
        chosen[chrom] = split
        lacking[split] -= counts[chrom]
    return chosen
