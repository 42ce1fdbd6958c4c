"""Do the files belong together? Open chromatin lies on promoters where sequence, annotation and signal agree."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from genocontrast.errors import GenocontrastWarning
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

    Warns
    -----
    GenocontrastWarning
        Where the signal is no higher at promoters than elsewhere.
    """
    chromosomes = list(dict.fromkeys(promoters["chrom"]))
    tiles = _tiles({chrom: inputs.genome.sizes[chrom] for chrom in chromosomes})
    widths = (tiles["end"] - tiles["start"]).to_numpy()
    at_tss = float(inputs.signal.mean(promoters).mean())
    genome = float(np.average(inputs.signal.mean(tiles), weights=widths))
    if at_tss <= genome:
        warnings.warn(
            f"signal at promoters ({at_tss:.3g} per bp) is no higher than on their chromosomes ({genome:.3g}): "
            "are annotation and signal of the same assembly as the sequence?",
            GenocontrastWarning,
            stacklevel=2,
        )
    return {
        "gc_at_tss": float(gc_fraction(inputs.genome.codes(promoters)).mean()),
        "gc_genome": _gc(inputs, chromosomes),
        "signal_at_tss": at_tss,
        "signal_genome": genome,
        "peaks_on_promoters": _on_promoters(inputs.open_chromatin, promoters),
    }


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
