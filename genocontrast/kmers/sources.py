"""Where sequence comes from: a genome, regions of it, or the reads of a file; checked before anything is counted."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike
from genocontrast.errors import ConfigError, NamingError, RegionError
from genocontrast.sequence import N_CODE, Codes

if TYPE_CHECKING:
    from genocontrast.genome.reads import Reads

_READS = (".fastq", ".fq", ".bam", ".fastq.gz", ".fq.gz")
_READ_BASES = 1 << 25  # bases of reads that come at once
_INFLATION = 4  # bases in a byte of compressed reads, at most
_LOG = logging.getLogger(__name__)

Named = tuple[str, Codes]


@runtime_checkable
class Chromosomes(Protocol):
    """What counting needs of a genome."""

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each chromosome, bp."""

    def chromosome(self, chrom: str) -> Codes:
        """Codes of a whole chromosome, shape=(size,)."""

    def soft_mask(self, chrom: str) -> NDArray[np.bool_]:
        """Which bases are soft-masked, shape=(size,)."""


def opened(source: Chromosomes | Reads | PathLike) -> Chromosomes | Reads:
    """A path as a Genome, or as Reads where its name is that of reads; anything else as it is."""
    if not isinstance(source, str | os.PathLike):
        return source
    from genocontrast.genome import Genome, Reads

    is_reads = Path(source).name.lower().endswith(_READS)
    return Reads(source) if is_reads else Genome(source)


def chosen(source: Chromosomes | Reads, chroms: Iterable[str] | None, regions: pd.DataFrame | None) -> list[str] | None:
    """The chromosomes to read: those named, or those of the regions, or all; None: reads, which have none.

    Raises
    ------
    ConfigError
        Where reads are given chromosomes or regions, or chromosomes are no list of different names.
    NamingError
        At a chromosome that the genome does not have.
    RegionError
        Where the regions are no table of regions, there are none, or none on a chromosome that is named.
    """
    if not isinstance(source, Chromosomes):
        if chroms is not None or regions is not None:
            raise ConfigError("reads have no chromosomes and no regions", remedy="give a genome, or leave them out")
        return None
    if isinstance(chroms, str):
        raise ConfigError("chromosomes are given as a list of names", value=chroms, remedy=f"write [{chroms!r}]")
    on = None if regions is None else _chroms_of(regions)
    names = list(chroms) if chroms is not None else on if on is not None else list(source.sizes)
    for i, chrom in enumerate(names):
        if chrom not in source.sizes:
            known = ", ".join(list(source.sizes)[:10])
            raise NamingError(
                "the genome has no such chromosome", value=chrom, remedy=f"it has, to begin with: {known}"
            )
        if chrom in names[:i]:
            raise ConfigError("a chromosome is named twice", value=chrom, remedy="name each chromosome once")
        if on is not None and chrom not in on:
            raise RegionError("no region lies on this chromosome", value=chrom, remedy="leave it out, or give regions")
    return names


def bases_of(source: Chromosomes | Reads, chroms: list[str] | None, regions: pd.DataFrame | None) -> int:
    """Bases to count, bp; of reads, the most that a file of that size may hold."""
    if not isinstance(source, Chromosomes):
        return _INFLATION * Path(source.path).stat().st_size
    if regions is None:
        return sum(source.sizes[chrom] for chrom in chroms or [])
    here = regions[regions["chrom"].isin(chroms or [])]
    return int((here["end"] - here["start"]).sum())


def sequences(
    source: Chromosomes | Reads, chroms: list[str] | None, regions: pd.DataFrame | None, soft_masked: bool
) -> Iterator[Named]:
    """Each chromosome or region, with its chromosome's name; of reads, many at once with N between them."""
    if not isinstance(source, Chromosomes):
        for batch in source.batches(_READ_BASES):
            yield source.path.name, np.insert(batch.codes, batch.offsets[1:-1], N_CODE)
        return
    for chrom in chroms or []:
        codes = _chromosome(source, chrom, soft_masked)
        if regions is None:
            yield chrom, codes
            continue
        here = regions.loc[regions["chrom"] == chrom, ["start", "end"]].to_numpy()
        for start, end in here:
            if not 0 <= start < end <= len(codes):
                raise RegionError(f"a region is empty or outside {chrom}", value=f"{chrom}:{start}-{end}")
            yield chrom, codes[start:end]


def _chroms_of(regions: pd.DataFrame) -> list[str]:
    from genocontrast.genome.regions import check_columns

    check_columns(regions)
    if regions.empty:
        raise RegionError("there are no regions to count in", remedy="give at least one, or leave regions out")
    return list(dict.fromkeys(regions["chrom"]))


def _chromosome(genome: Chromosomes, chrom: str, soft_masked: bool) -> Codes:
    codes = genome.chromosome(chrom)
    _LOG.info("counting k-mers: %s, %.2f Mb", chrom, len(codes) / 1e6)
    return codes if soft_masked else np.where(genome.soft_mask(chrom), np.uint8(N_CODE), codes)
