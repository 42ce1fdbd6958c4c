"""Regions: BED, narrowPeak, broadPeak, GFF3 and GTF as one table, 0-based and half-open."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike
from genocontrast.errors import FileFormatError, GenocontrastWarning, RegionError
from genocontrast.genome.assemblies import advice
from genocontrast.genome.formats import COLUMNS_READ, parse_annotation, parse_bed
from genocontrast.genome.names import reconcile
from genocontrast.genome.tables import circular_sequences, is_annotation, read_columns

if TYPE_CHECKING:
    from genocontrast.genome.fasta import Genome


@dataclass(frozen=True)
class RegionFile:
    """What was read from a file, and what was not.

    Attributes
    ----------
    regions : pandas.DataFrame
        See `read_regions`.
    rows : int
        Rows of the asked-for features, before any was dropped.
    renamed : dict of str to str
        Chromosome names of the file that the genome spells otherwise.
    """

    regions: pd.DataFrame
    rows: int
    renamed: dict[str, str]


def read_regions(path: PathLike, genome: Genome | None = None, features: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a BED, narrowPeak, broadPeak, GFF3 or GTF file, plain, gzip or bgzip.

    Parameters
    ----------
    path : path
        The extension tells GFF3 and GTF; everything else is read as BED, ten columns as narrowPeak.
    genome : Genome, optional
        Chromosome names are brought into its naming, and regions beyond a chromosome's end are refused.
    features : sequence of str, optional
        Feature types (column 3) to take from GFF3 or GTF; None or empty takes all. BED has none: ignored.

    Returns
    -------
    pandas.DataFrame
        chrom, start, end (0-based, half-open), name, score (NaN where absent), strand (+ - .), in the file's
        order. Further, `feature`, `gene` and `gene_type` for GFF3 and GTF; `signal_value`, `p_value` and `q_value` for
        narrowPeak and broadPeak; `summit` (0-based position, -1 where absent) for narrowPeak, and for BED whose thick
        part is one base in every row, as in the CAGE peaks of FANTOM5.

    Raises
    ------
    FileFormatError, RegionError, NamingError
        With file, line, value and remedy.
    """
    return load_regions(path, genome, features).regions


def load_regions(path: PathLike, genome: Genome | None = None, features: Sequence[str] | None = None) -> RegionFile:
    """Like `read_regions`, with the counts and the renaming."""
    annotation = is_annotation(path)
    # Of a large annotation only the rows asked for are held in memory; none of them left, all are read to say so.
    keep = {2: list(features)} if annotation and features else None
    table = read_columns(path, COLUMNS_READ, keep)
    if keep and table.empty:
        table = read_columns(path, COLUMNS_READ)
    if table.empty:
        raise FileFormatError("no regions in this file", path=path, remedy="leave it out of the configuration")
    regions = parse_annotation(table, path, features) if annotation else parse_bed(table, path)
    rows = len(regions)
    renamed: dict[str, str] = {}
    if genome is not None:
        counts = regions["chrom"].value_counts(sort=False)
        renaming = reconcile({str(name): int(count) for name, count in counts.items()}, genome.sizes, path)
        regions = regions.assign(chrom=regions["chrom"].map(renaming.names)).dropna(subset="chrom")
        if annotation:
            regions = _without_origin(regions, genome.sizes, renaming.names, path)
        check_within(regions, genome.sizes, path)
        renamed = renaming.renamed
    return RegionFile(regions.reset_index(drop=True), rows, renamed)


def _without_origin(
    regions: pd.DataFrame, sizes: Mapping[str, int], names: Mapping[str, str], path: PathLike
) -> pd.DataFrame:
    """Leave out the features that cross the origin of a circular sequence: GFF3 lets them end beyond it."""
    size = by_chromosome(regions, sizes, absent=-1)
    crossing = ((regions["start"] < size) & (regions["end"] > size)).to_numpy()
    if not crossing.any():
        return regions
    circular = {names[name] for name in circular_sequences(path) if name in names}
    crossing &= regions["chrom"].isin(circular).to_numpy()
    if crossing.any():
        message = f"{path}: {int(crossing.sum())} features across the origin of a circular sequence are left out"
        warnings.warn(message, GenocontrastWarning, stacklevel=4)
    return regions[~crossing]


def check_within(regions: pd.DataFrame, sizes: Mapping[str, int], path: PathLike | None = None) -> None:
    """Check that every region is within its chromosome and not empty.

    Parameters
    ----------
    regions : pandas.DataFrame
        chrom, start, end; with `path`, the index holds its lines.
    sizes : mapping of str to int
        Sizes of the chromosomes, bp.

    Raises
    ------
    RegionError
        Naming how many are not, and the first of them.
    """
    check_columns(regions)
    refuse_outside(regions, by_chromosome(regions, sizes, absent=-1), sizes, path)


def refuse_outside(
    regions: pd.DataFrame, size: NDArray[np.int64], sizes: Mapping[str, int], path: PathLike | None = None
) -> None:
    """Raise for regions that are empty or beyond the `size` of their chromosome, shape=(n,), -1 where it has none."""
    start, end = regions["start"].to_numpy(), regions["end"].to_numpy()
    bad = ~((start >= 0) & (start < end) & (end <= size))
    if not bad.any():
        return
    first = regions[bad].head(3)
    places = [f"{row.chrom}:{row.start}-{row.end}" for row in first.itertuples()]
    chrom = first["chrom"].iloc[0]
    known = f"{chrom} has {sizes[chrom]} bp" if chrom in sizes else f"there is no sequence {chrom!r}"
    more = f"; the first are {', '.join(places)}" if len(places) > 1 else ""
    raise RegionError(
        f"{int(bad.sum())} of {len(regions)} regions are empty or outside their chromosome; {known}{more}",
        path=path,
        line=None if path is None else int(first.index[0]),
        value=places[0],
        remedy="clip the regions, or use a file of the same assembly as the genome" + advice(regions, sizes),
    )


def check_columns(regions: pd.DataFrame) -> None:
    """Check that a table has chrom, start and end, whole numbers, and strands that are + - or ., where it has any.

    Raises
    ------
    RegionError
        Naming the column, and the first value that is none.
    """
    remedy = "give a table with chrom, start and end, 0-based and half-open, as gct.read_regions does"
    for column in ("chrom", "start", "end"):
        if column not in regions:
            raise RegionError(f"the regions have no column {column!r}", value=list(regions.columns)[:8], remedy=remedy)
    for column in ("start", "end"):
        if not pd.api.types.is_integer_dtype(regions[column]) and len(regions):
            value = regions[column].iloc[0]
            raise RegionError(f"the column {column!r} does not hold whole numbers", value=value, remedy=remedy)
    if "strand" in regions:
        odd = ~regions["strand"].isin(["+", "-", "."])
        if odd.any():
            problem = f"the strand of {int(odd.sum())} of {len(regions)} regions is none of + - ."
            raise RegionError(problem, value=regions["strand"][odd].iloc[0], remedy="write . where it is not known")


def by_chromosome(regions: pd.DataFrame, values: Mapping[str, int], absent: int) -> NDArray[np.int64]:
    """A number of each region's chromosome, shape=(n,): `absent` for a chromosome without one."""
    codes, names = pd.factorize(regions["chrom"])
    return np.array([values.get(name, absent) for name in names] + [absent], dtype=np.int64)[codes]


def resize(regions: pd.DataFrame, width: int) -> pd.DataFrame:
    """Regions of one width around the same centres: start is (start + end) // 2 - width // 2, on either strand."""
    start = (regions["start"] + regions["end"]) // 2 - width // 2
    return regions.assign(start=start, end=start + width)
