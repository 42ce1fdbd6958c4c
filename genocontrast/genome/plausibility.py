"""Do the files belong together? Open chromatin lies on promoters where sequence, annotation and signal agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from genocontrast.genome.assemblies import claimed, identify
from genocontrast.genome.inputs import Inputs
from genocontrast.genome.intervals import overlaps
from genocontrast.sequence import gc_fraction

_TILE = 1 << 20


def plausibility(promoters: pd.DataFrame, inputs: Inputs) -> dict[str, float | None]:
    """GC and signal of the promoters beside those of their chromosomes, and how many peaks lie on promoters.

    Parameters
    ----------
    promoters : pandas.DataFrame
        Promoter windows: chrom, start, end, strand.
    inputs : Inputs
        Genome, signal and peaks.

    Returns
    -------
    dict
        gc_at_tss, gc_genome: fractions; signal_at_tss, signal_genome: mean per base; peaks_on_promoters: fraction
        of the peaks on those chromosomes that overlap a promoter window, None without peaks.
    """
    chromosomes = list(dict.fromkeys(promoters["chrom"]))
    tiles = _tiles({chrom: inputs.genome.sizes[chrom] for chrom in chromosomes})
    widths = (tiles["end"] - tiles["start"]).to_numpy()
    at_tss = float(inputs.signal.mean(promoters).mean())
    genome = float(np.average(inputs.signal.mean(tiles), weights=widths))
    return {
        "gc_at_tss": float(gc_fraction(inputs.genome.codes(promoters)).mean()),
        "gc_genome": _gc(inputs, chromosomes),
        "signal_at_tss": at_tss,
        "signal_genome": genome,
        "peaks_on_promoters": _on_promoters(inputs.open_chromatin, promoters),
    }


def assembly(sizes: Mapping[str, int]) -> dict[str, Any] | None:
    """The well-known assembly that the genome seems to be, for the record: name, agree, differ; see `identify`."""
    found = identify(sizes)
    return None if found is None else {"name": found.name, "agree": found.agree, "differ": found.differ}


def doubts(record: Mapping[str, Any]) -> list[str]:
    """What in the genome stage's record says that the files do not belong together; empty where nothing does."""
    said = []
    found, known = record["plausibility"], record["assembly"]
    if found["signal_at_tss"] <= found["signal_genome"]:
        said.append(
            f"signal at promoters ({found['signal_at_tss']:.3g} per bp) is no higher than on their chromosomes "
            f"({found['signal_genome']:.3g}): are annotation and signal of the same assembly as the sequence?"
        )
    if known:
        for chrom, (size, expected) in known["differ"].items():
            said.append(
                f"{chrom} has {size:,} bp, but {known['agree']} other sequences have the sizes of {known['name']}, "
                f"where it has {expected:,}"
            )
    return said


def remarks(record: Mapping[str, Any]) -> list[str]:
    """What in the record may be wrong, or have its reasons: files whose names speak of another assembly."""
    known = record["assembly"]
    if not known:
        return []
    others = {entry["file"]: claimed(entry["file"]) for entry in record["files"]}
    return [
        f"{file} names {other}; the sequence has the sizes of {known['name']}"
        for file, other in others.items()
        if other not in (None, known["name"])
    ]


def _tiles(sizes: dict[str, int]) -> pd.DataFrame:
    """Whole chromosomes in pieces, so that no track is read whole."""
    rows = [
        (chrom, start, min(start + _TILE, size)) for chrom, size in sizes.items() for start in range(0, size, _TILE)
    ]
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


def _gc(inputs: Inputs, chromosomes: list[str]) -> float:
    codes = [inputs.genome.chromosome(chrom) for chrom in chromosomes]
    return float(np.average([gc_fraction(each) for each in codes], weights=[len(each) for each in codes]))


def _on_promoters(peaks: pd.DataFrame, promoters: pd.DataFrame) -> float | None:
    peaks = peaks[peaks["chrom"].isin(promoters["chrom"].unique())]
    return float(overlaps(peaks, promoters).mean()) if len(peaks) else None
