"""Which part of the genome trains, chooses or tests a model: whole chromosomes, or blocks with gaps between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike, read_json
from genocontrast.config import SPLITS, Split, SplitsConfig
from genocontrast.errors import FileFormatError, SplitError
from genocontrast.genome.fasta import Genome

SHARES: Mapping[Split, float] = {"train": 0.70, "validation": 0.15, "test": 0.15}
"""Shares of the promoters that automatic splits aim at."""
_COLUMNS = ["chrom", "start", "end", "split"]
_LISTED = 12
"""Chromosomes that a description names."""


@dataclass(frozen=True, eq=False)
class Splits:
    """Disjoint segments of the genome, each in one split.

    Attributes
    ----------
    table : DataFrame
        chrom, start, end, split; bp, 0-based half-open; chromosome by chromosome in the genome's order, then by
        start. What no segment covers is in no split.
    """

    table: pd.DataFrame

    @classmethod
    def of_chromosomes(cls, chosen: Mapping[str, str], sizes: Mapping[str, int]) -> Self:
        """Whole chromosomes: `chosen` names the split of each, `sizes` their lengths in bp, in the genome's order."""
        return cls(_table((chrom, 0, size, chosen[chrom]) for chrom, size in sizes.items() if chrom in chosen))

    @classmethod
    def from_records(cls, records: Iterable[Mapping[str, Any]]) -> Self:
        """The splits that `records` gave."""
        return cls(_table(tuple(record[column] for column in _COLUMNS) for record in records))

    def records(self) -> list[dict[str, Any]]:
        """The segments as plain values, for JSON."""
        rows = self.table[_COLUMNS].itertuples(index=False, name=None)
        return [dict(zip(_COLUMNS, row, strict=True)) for row in rows]

    def of(self, regions: pd.DataFrame) -> NDArray[np.object_]:
        """The split of each region: that of the segment which holds it wholly.

        Parameters
        ----------
        regions : pandas.DataFrame
            chrom, start, end; n rows.

        Returns
        -------
        object array, shape=(n,)
            None for a region that lies in a gap, across a border or on a chromosome that is in no split.
        """
        found = np.full(len(regions), None, dtype=object)
        start, end = regions["start"].to_numpy(), regions["end"].to_numpy()
        segments = {str(chrom): rows for chrom, rows in self.table.groupby("chrom", sort=False)}
        for chrom, rows in regions.groupby("chrom", sort=False, observed=True).indices.items():
            if str(chrom) not in segments:
                continue
            starts, ends, names = (segments[str(chrom)][column].to_numpy() for column in ("start", "end", "split"))
            at = np.searchsorted(starts, start[rows], side="right") - 1
            within = (at >= 0) & (end[rows] <= ends[at])
            found[rows[within]] = names[at[within]]
        return found

    def segments(self, split: str) -> pd.DataFrame:
        """The segments of a split: chrom, start, end."""
        return self.table.loc[self.table["split"] == split, _COLUMNS[:3]].reset_index(drop=True)

    def chroms(self, split: str) -> list[str]:
        """The chromosomes on which a split has segments, in the genome's order."""
        return list(dict.fromkeys(self.segments(split)["chrom"]))

    @property
    def whole(self) -> bool:
        """Whether whole chromosomes are in a split: none has segments of two."""
        return not self.table["chrom"].duplicated().any()

    @property
    def unit(self) -> str:
        """What is held out, in words: chromosomes or blocks."""
        return "chromosomes" if self.whole else "blocks"

    def describe(self, split: str) -> str:
        """A split in words: "chr1, chr2", or "chr: 31 blocks, 3.1 Mb"."""
        chroms, mine = self.chroms(split), self.segments(split)
        if self.whole:
            more = f" and {len(chroms) - _LISTED:,} more" if len(chroms) > _LISTED else ""
            return ", ".join(chroms[:_LISTED]) + more
        where = chroms[0] if len(chroms) == 1 else f"{len(chroms):,} chromosomes"
        megabases = (mine["end"] - mine["start"]).sum() / 1e6
        return f"{where}: {len(mine):,} block{'s' if len(mine) != 1 else ''}, {megabases:,.1f} Mb"


def read_splits(path: PathLike) -> Splits:
    """The splits in the genome stage's genome.json; a FileFormatError where it holds none."""
    records = read_json(path).get("segments")
    if not records:
        raise FileFormatError("the file names no segments of splits", path=path, remedy="run the genome stage again")
    return Splits.from_records(records)


def assign_splits(splits: SplitsConfig, promoters: pd.DataFrame, genome: Genome) -> Splits:
    """Share the genome out among the splits.

    Parameters
    ----------
    splits : SplitsConfig
        Chromosomes by split; none named: chromosomes or blocks, balanced by promoter count.
    promoters : pandas.DataFrame
        Windows: chrom, start, end.
    genome : Genome
        The names and sizes that exist.

    Returns
    -------
    Splits
        Without the sealed chromosomes and (automatic) those without promoters. A block without promoters goes with
        the block before it.

    Raises
    ------
    SplitError
        For an unknown chromosome, a split without promoters, or too few chromosomes or blocks to share out.
    """
    named: dict[str, str] = {chrom: split for split in SPLITS for chrom in getattr(splits, split)}
    unknown = [chrom for chrom in [*named, *splits.sealed] if chrom not in genome.sizes]
    if unknown:
        known = ", ".join(list(genome.sizes)[:30])
        raise SplitError(
            f"genome.splits names {', '.join(unknown)}, which the genome does not have", remedy=f"it has {known}"
        )
    chosen = Splits.of_chromosomes(named, genome.sizes) if named else _automatic(splits, promoters, genome.sizes)
    held = chosen.of(promoters)
    for split in SPLITS:
        if not (held == split).any():
            raise SplitError(
                f"no promoter lies on the {chosen.unit} of the split '{split}'",
                remedy="name chromosomes that have promoters in genome.splits, or none at all to split automatically"
                if named
                else "choose another genome.splits.block, or a smaller genome.splits.gap",
            )
    return chosen


def _table(rows: Iterable[tuple[Any, ...]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=_COLUMNS).astype({"start": "int64", "end": "int64"})


def _automatic(splits: SplitsConfig, promoters: pd.DataFrame, sizes: Mapping[str, int]) -> Splits:
    units = _units(splits, {chrom: size for chrom, size in sizes.items() if chrom not in splits.sealed})
    counts = _promoters_in(units, promoters)
    goals = [1 / splits.folds] * splits.folds if splits.folds else list(SHARES.values())
    shared = int((counts > 0).sum())
    if shared < len(goals):
        raise _too_few(shared, splits)
    # A unit without promoters goes with a neighbour of its chromosome: fewer borders, so less is lost to gaps.
    units["part"] = np.where(counts > 0, _balanced(counts, goals), np.nan)
    units["part"] = units.groupby("chrom", sort=False)["part"].ffill()
    units["part"] = units.groupby("chrom", sort=False)["part"].bfill()
    units = units[units["part"].notna()].reset_index(drop=True)
    units["split"] = [_split_of(int(part), splits) for part in units["part"]]
    return Splits(_with_gaps(_merged(units), splits.gap))


def _units(splits: SplitsConfig, sizes: Mapping[str, int]) -> pd.DataFrame:
    """What is shared out: chromosomes, or the equal blocks that each is cut into; chrom, start, end."""
    rows = []
    for chrom, size in sizes.items():
        blocks = max(size // splits.block, 1) if splits.by == "block" else 1
        borders = [size * i // blocks for i in range(blocks + 1)]
        rows += [(chrom, start, end) for start, end in pairwise(borders)]
    return pd.DataFrame(rows, columns=_COLUMNS[:3])


def _promoters_in(units: pd.DataFrame, promoters: pd.DataFrame) -> NDArray[np.int64]:
    """Promoters whose centre lies in each unit."""
    counts = np.zeros(len(units), dtype=np.int64)
    centre = ((promoters["start"] + promoters["end"]) // 2).to_numpy()
    starts, rows_of = units["start"].to_numpy(), units.groupby("chrom", sort=False).indices
    for chrom, rows in promoters.groupby("chrom", sort=False, observed=True).indices.items():
        if chrom in rows_of:
            mine = rows_of[chrom]
            at = np.searchsorted(starts[mine], centre[rows], side="right") - 1
            np.add.at(counts, mine[at], 1)
    return counts


def _balanced(counts: NDArray[np.int64], goals: Sequence[float]) -> NDArray[np.int64]:
    """Give each unit, largest first, to the part that lacks most promoters; no part stays empty.

    Parameters
    ----------
    counts : int64, shape=(n,)
        Promoters of each unit; at least as many units as parts have some.
    goals : sequence of float
        Share of each part.

    Returns
    -------
    int64, shape=(n,)
        Part of each unit; 0 for those without promoters.
    """
    # Ties go by the genome's order, since sorting is stable.
    waiting = [unit for unit in np.argsort(-counts, kind="stable").tolist() if counts[unit]]
    lacking = [goal * int(counts.sum()) for goal in goals]
    parts, empty = np.zeros(len(counts), dtype=np.int64), set(range(len(goals)))
    for position, unit in enumerate(waiting):
        candidates = sorted(empty) if len(waiting) - position == len(empty) else range(len(goals))
        part = max(candidates, key=lacking.__getitem__)
        parts[unit] = part
        empty.discard(part)
        lacking[part] -= int(counts[unit])
    return parts


def _split_of(part: int, splits: SplitsConfig) -> Split:
    if not splits.folds:
        return list(SHARES)[part]
    return {splits.fold: SPLITS[2], (splits.fold + 1) % splits.folds: SPLITS[1]}.get(part, SPLITS[0])


def _merged(units: pd.DataFrame) -> pd.DataFrame:
    """Neighbours of one chromosome and one split as one segment."""
    begins = (units["chrom"] != units["chrom"].shift()) | (units["split"] != units["split"].shift())
    merged = units.groupby(begins.cumsum()).agg({"chrom": "first", "start": "min", "end": "max", "split": "first"})
    return merged.reset_index(drop=True)


def _with_gaps(segments: pd.DataFrame, gap: int) -> pd.DataFrame:
    """Take `gap` bp out at each border inside a chromosome, half on each side."""
    follows = (segments["chrom"] == segments["chrom"].shift()).to_numpy()
    precedes = (segments["chrom"] == segments["chrom"].shift(-1)).to_numpy()
    start = segments["start"] + follows * (gap - gap // 2)
    return segments.assign(start=start, end=segments["end"] - precedes * (gap // 2))


def _too_few(shared: int, splits: SplitsConfig) -> SplitError:
    units = "blocks" if splits.by == "block" else "chromosomes"
    wanted = f"{splits.folds} folds" if splits.folds else "train, validation and test"
    remedy = "set genome.splits.by to block" if splits.by == "chromosome" else "choose a smaller genome.splits.block"
    fewer = ", ask for fewer folds" if splits.folds else ""
    sealed = ", or seal fewer chromosomes" if splits.sealed else ""
    return SplitError(f"{shared} {units} have promoters; {wanted} need one each", remedy=remedy + fewer + sealed)
