"""Negatives matched by GC as `chrombpnet prep nonpeaks` makes them: its algorithm and its cost, in our own words.

chrombpnet itself asks for Python 3.8 and TensorFlow 2.8 and cannot be installed beside today's libraries. Source:
kundajelab/chrombpnet, helpers/make_gc_matched_negatives (Pampari et al., bioRxiv 2024).

The same: the whole chromosome as one upper-case string, C and G counted by `str.count` once per stride and summed
into bins; all bins written as BED with GC to two decimals; the foreground read row by row (`iterrows`) through
pyfaidx; `bedtools slop` by half a window, `bedtools intersect -v`; the candidates read line by line into lists by GC;
one positive after the other draws an index of its GC's list until it is new, remembers it in a list, and steps by
0.01 in a random direction where a list is missing or spent.

Not the same: the draws of one positive are bounded (the original goes on for ever once all candidates are spent);
one fold instead of train, validation and test; one negative per positive; no progress bars and no histogram drawn at
the end (both would cost it time); the middle of a region stands for the summit.
"""

from __future__ import annotations

import random
import subprocess
import tempfile
from itertools import accumulate
from pathlib import Path

import pandas as pd

DRAWS = 100_000
"""Draws and steps that one positive may take."""
_BED = ["chrom", "start", "end"]


def genome_bins(fasta: Path, target: Path, width: int, stride: int) -> dict[str, int]:
    """Write windows of `width` bp every `stride` bp with their GC fraction; sizes of the chromosomes, bp."""
    import pyfaidx

    whole, rest = divmod(width, stride)
    sizes = {}
    with pyfaidx.Fasta(str(fasta), as_raw=True) as genome, open(target, "w") as out:
        for chrom in genome.keys():  # noqa: SIM118, a Fasta is no dict
            letters = genome[chrom][:].upper()
            sizes[chrom] = len(letters)
            starts = range(0, len(letters), stride)
            heads = [letters.count("C", i, i + rest) + letters.count("G", i, i + rest) for i in starts if rest]
            tails = [
                letters.count("C", i + rest, i + stride) + letters.count("G", i + rest, i + stride) for i in starts
            ]
            strides = [head + tail for head, tail in zip(heads, tails, strict=True)] if rest else tails
            before = [0, *accumulate(strides)]
            for row in range(len(range(0, len(letters) - width, stride))):
                count = before[row + whole] - before[row] + (heads[row + whole] if rest else 0)
                out.write(f"{chrom}\t{row * stride}\t{row * stride + width}\t{round(count / width, 2)}\n")
    return sizes


def foreground_gc(fasta: Path, regions: Path, sizes: dict[str, int], target: Path, width: int) -> None:
    """Write windows centred on the regions with their GC fraction; those beyond a chromosome's end are left out."""
    import pyfaidx

    with pyfaidx.Fasta(str(fasta)) as genome, open(target, "w") as out:
        for _, row in pd.read_csv(regions, header=None, sep="\t").iterrows():
            start = (row[1] + row[2]) // 2 - width // 2
            if start < 0 or start + width > sizes[row[0]]:
                continue
            letters = str(genome[row[0]][start : start + width]).upper()
            fraction = round((letters.count("G") + letters.count("C")) / width, 2)
            out.write(f"{row[0]}\t{start}\t{start + width}\t{fraction}\n")


def exclude(bins: Path, regions: Path, sizes: dict[str, int], width: int) -> Path:
    """The bins that lie clear of the regions widened by half a window."""
    table, widened, candidates = (bins.with_name(name) for name in ("chrom.sizes", "exclude.bed", "candidates.bed"))
    table.write_text("".join(f"{chrom}\t{size}\n" for chrom, size in sizes.items()))
    with open(widened, "w") as out:
        command = ["bedtools", "slop", "-i", str(regions), "-g", str(table), "-b", str(width // 2)]
        subprocess.run(command, check=True, stdout=out)
    with open(candidates, "w") as out:
        subprocess.run(["bedtools", "intersect", "-v", "-a", str(bins), "-b", str(widened)], check=True, stdout=out)
    return candidates


def choose(candidates: Path, foreground: Path, seed: int) -> pd.DataFrame:
    """A candidate of like GC for each foreground window, none twice; fewer where the candidates run out."""
    rng = random.Random(seed)
    offered: dict[float, list[tuple[str, int, int]]] = {}
    for line in candidates.read_text().splitlines():
        chrom, start, end, gc = line.split("\t")
        offered.setdefault(float(gc), []).append((chrom, int(start), int(end)))
    used: dict[float, list[int]] = {gc: [] for gc in offered}
    chosen = []
    for _, row in pd.read_csv(foreground, header=None, sep="\t").iterrows():
        gc = row[3]
        for _ in range(DRAWS):
            if gc not in offered or len(used[gc]) >= len(offered[gc]):
                gc = round(min(max(gc + (0.01 if rng.random() > 0.5 else -0.01), 0.01), 0.99), 2)
                continue
            index = rng.randint(0, len(offered[gc]) - 1)
            if index not in used[gc]:
                used[gc].append(index)
                chosen.append(offered[gc][index])
                break
    return pd.DataFrame(chosen, columns=_BED)


def gc_matched(fasta: Path, regions: Path, width: int, stride: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Negatives for the regions of a BED file: chrom, start, end."""
    with tempfile.TemporaryDirectory() as name:
        bins, foreground = Path(name) / "bins.bed", Path(name) / "foreground.bed"
        sizes = genome_bins(fasta, bins, width, stride)
        foreground_gc(fasta, regions, sizes, foreground, width)
        return choose(exclude(bins, regions, sizes, width), foreground, seed)
