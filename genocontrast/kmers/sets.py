"""Which sequence trains vectors and which is held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from genocontrast.errors import ConfigError, SplitError
from genocontrast.kmers.sources import Chromosomes, chosen

if TYPE_CHECKING:
    from genocontrast.genome.reads import Reads


@dataclass(frozen=True)
class Sets:
    """What is trained on and what is held out.

    Parameters
    ----------
    trained : list of str or None
        Chromosomes; None: reads, which have none.
    held_out : list of str
        Chromosomes that tell when to stop.
    watched_in : DataFrame or None
        Regions to count in on those; None: all of them.
    """

    trained: list[str] | None
    held_out: list[str]
    watched_in: pd.DataFrame | None

    @classmethod
    def of(
        cls,
        source: Chromosomes | Reads,
        regions: pd.DataFrame | None,
        chroms: Sequence[str] | None,
        validation_regions: pd.DataFrame | None,
        validation_chroms: Sequence[str] | None,
    ) -> Self:
        """The sets that the arguments of `KmerEmbedding.fit` mean.

        Raises
        ------
        ConfigError, NamingError, RegionError
            As `sources.chosen`.
        SplitError
            Where a base is in both, or nothing is left to train on.
        """
        if not isinstance(source, Chromosomes):
            if any(given is not None for given in (regions, chroms, validation_regions, validation_chroms)):
                raise ConfigError("reads have no chromosomes, regions and validation", remedy="leave them out")
            return cls(None, [], None)
        apart = regions is not None and validation_regions is not None
        watched_in = regions if validation_regions is None else validation_regions
        held_out: list[str] = []
        if validation_chroms is not None or validation_regions is not None:
            held_out = chosen(source, validation_chroms, watched_in) or []
        if chroms is None:
            offered = chosen(source, None, regions) or []
            trained = [chrom for chrom in offered if apart or chrom not in held_out]
        else:
            trained = chosen(source, chroms, regions) or []
        _check_apart(trained, held_out, regions, validation_regions)
        return cls(trained, held_out, watched_in)

    def record(self, regions: pd.DataFrame | None) -> dict[str, Any]:
        """Chromosomes and regions of both, as plain values."""
        trained = self.trained or []
        return {
            "chromosomes": {"train": trained, "validation": self.held_out},
            "regions": {"train": _places(regions, trained), "validation": _places(self.watched_in, self.held_out)},
        }


def _places(regions: pd.DataFrame | None, chroms: list[str]) -> list[list[Any]] | None:
    """The regions on some chromosomes, chrom, start and end; None: the whole chromosomes."""
    if regions is None:
        return None
    columns = regions.loc[regions["chrom"].isin(chroms), ["chrom", "start", "end"]].to_dict("list")
    return [list(place) for place in zip(*columns.values(), strict=True)]


def _check_apart(
    trained: list[str], held_out: list[str], regions: pd.DataFrame | None, validation_regions: pd.DataFrame | None
) -> None:
    """Refuse (SplitError) sequence for both training and validation, and nothing to train on."""
    from genocontrast.genome.intervals import overlaps

    remedy = "name each chromosome for one of the two only"
    if not trained:
        raise SplitError("no chromosome is left to train on", remedy=remedy)
    both = sorted(set(trained) & set(held_out))
    if not both:
        return
    if regions is None or validation_regions is None:
        raise SplitError("chromosomes for both training and validation", value=both, remedy=remedy)
    shared = overlaps(validation_regions, regions[regions["chrom"].isin(both)])
    if shared.any():
        raise SplitError(
            f"{shared.sum():,} validation regions overlap a training region", remedy="leave a gap between the two"
        )
