"""Which regions overlap others: our sorted searches beside bedtools through pybedtools.

    python benchmarks/intervals.py [--json FILE]

This is asked of every candidate window and every rule that clears decoys, and the reason why that one operation does
not go through bedtools. Both sides start from tables and give one truth value per region; the answers are compared
first.
"""

from __future__ import annotations

import tempfile
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import timing

SIZES = ((500_000, 10_000), (50_000, 50_000))


def make_regions(count: int, widest: int, rng: np.random.Generator) -> pd.DataFrame:
    """Regions anywhere on five chromosomes, in no order."""
    start = rng.integers(0, 30_000_000, count)
    chrom = np.array(["chr1", "chr2", "chr3", "chr10", "chrX"], dtype=object)[rng.integers(0, 5, count)]
    return pd.DataFrame({"chrom": chrom, "start": start, "end": start + rng.integers(1, widest, count)})


def bedtools(regions: pd.DataFrame, others: pd.DataFrame) -> np.ndarray:
    """Sorted files, `bedtools intersect -u -sorted`, and back."""
    import pybedtools

    hit = np.zeros(len(regions), dtype=bool)
    with tempfile.TemporaryDirectory() as folder:
        tools = []
        for name, table in (("regions", regions), ("others", others)):
            rows = table.assign(row=np.arange(len(table))).sort_values(["chrom", "start", "end"])
            rows.to_csv(f"{folder}/{name}.bed", sep="\t", header=False, index=False)
            tools.append(pybedtools.BedTool(f"{folder}/{name}.bed"))
        found = tools[0].intersect(tools[1], u=True, sorted=True, output=f"{folder}/found.bed")
        hit[pd.read_csv(found.fn, sep="\t", header=None, usecols=[3])[3]] = True
    return hit


def main() -> None:
    """Compare the answers, time, print and write."""
    from genocontrast.genome.intervals import overlaps

    options = timing.arguments(__doc__.splitlines()[0]).parse_args()
    rng = np.random.default_rng(0)
    figures: dict[str, Any] = {"environment": timing.environment(("genocontrast", "numpy", "pandas", "pybedtools"))}
    for regions, others in SIZES:
        left, right = make_regions(regions, 500, rng), make_regions(others, 700, rng)
        if not np.array_equal(overlaps(left, right), bedtools(left, right)):
            raise SystemExit("the two sides disagree")
        contenders = {"genocontrast": partial(overlaps, left, right), "bedtools": partial(bedtools, left, right)}
        rows = timing.against(timing.interleaved(contenders, options.repeats), "genocontrast")
        timing.show(f"{regions:,} regions against {others:,}", rows)
        figures[f"{regions} against {others}"] = rows
    timing.write(options.json, figures)


if __name__ == "__main__":
    main()
