"""Which well-known assembly a file belongs to, by the sizes of its chromosomes or by its name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import pandas as pd

from genocontrast.artefacts import PathLike
from genocontrast.genome.names import translate

_SYNONYMS = {
    "grch38": "hg38",
    "grch37": "hg19",
    "hs37d5": "hg19",
    "ncbi36": "hg18",
    "chm13": "hs1",
    "t2t": "hs1",
    "grcm39": "mm39",
    "grcm38": "mm10",
    "bdgp6": "dm6",
    "wbcel235": "ce11",
    "r64": "sacCer3",
}


@dataclass(frozen=True)
class Assembly:
    """A well-known assembly that a set of chromosome sizes agrees with.

    Attributes
    ----------
    name : str
        Its UCSC name.
    agree : int
        Chromosomes that have its sizes.
    differ : dict of str to (int, int)
        Chromosomes that have not: size found and size expected, bp.
    """

    name: str
    agree: int
    differ: dict[str, tuple[int, int]]


@cache
def known_assemblies() -> dict[str, dict[str, int]]:
    """Chromosome sizes, bp, of the assemblies that are told apart, by name."""
    source = files("genocontrast").joinpath("resources", "assemblies.tsv")
    with source.open() as handle:
        table = pd.read_csv(handle, sep="\t", comment="#")
    return {str(name): dict(zip(rows["chrom"], rows["size"], strict=True)) for name, rows in table.groupby("assembly")}


@cache
def _all_names() -> tuple[str, ...]:
    """Every name of a chromosome that some assembly has."""
    return tuple({chrom: None for known in known_assemblies().values() for chrom in known})


def identify(sizes: Mapping[str, int]) -> Assembly | None:
    """The known assembly whose sizes most chromosomes have, under any spelling of their names; None without a majority.

    Parameters
    ----------
    sizes : mapping of str to int
        Sizes of some or all chromosomes, bp.
    """
    found = []
    # Of a draft's many contigs only those count that some assembly has by name.
    sizes = {chrom: sizes[chrom] for chrom in translate(sizes, _all_names())}
    for name, known in known_assemblies().items():
        shared = {old: known[new] for old, new in translate(sizes, known).items()}
        differ = {chrom: (sizes[chrom], size) for chrom, size in shared.items() if sizes[chrom] != size}
        found.append(Assembly(name, len(shared) - len(differ), differ))
    best = max(found, key=lambda assembly: (assembly.agree, -len(assembly.differ)))
    # One size may coincide, that of a mitochondrion often does.
    return best if best.agree > len(best.differ) else None


def claimed(path: PathLike) -> str | None:
    """The assembly that a file's name speaks of: 'hg19' of 'peaks.hg19.bed'; None where it names none or two."""
    known = {name.lower(): name for name in known_assemblies()} | _SYNONYMS
    words = re.split(r"[^a-z0-9]+", Path(path).name.lower())
    names = {known[word] for word in words if word in known}
    return names.pop() if len(names) == 1 else None


def advice(found: pd.DataFrame | Mapping[str, int], sizes: Mapping[str, int]) -> str:
    """What well-known assemblies say of a file that does not fit the genome: '' where they say nothing.

    Parameters
    ----------
    found : DataFrame or mapping of str to int
        The file's regions (chrom, end), or the sizes in its header.
    sizes : mapping of str to int
        Sizes of the genome's chromosomes, bp.
    """
    genome = identify(sizes)
    if genome is None:
        return ""
    if isinstance(found, Mapping):
        file = identify(found)
        of = f", those of the file {file.name}'s" if file and file.name != genome.name else ""
        return f" (its sizes are {genome.name}'s{of})"
    others = [name for name in that_hold(found) if name != genome.name]
    fit = f"; the regions would fit {' or '.join(others)}" if others else ""
    return f" (its sizes are {genome.name}'s{fit})"


def that_hold(regions: pd.DataFrame) -> list[str]:
    """Known assemblies that have all the chromosomes of some regions, each long enough for them."""
    ends = {str(chrom): int(end) for chrom, end in regions.groupby("chrom", observed=True)["end"].max().items()}
    held = []
    for name, known in known_assemblies().items():
        names = translate(ends, known)
        if len(names) == len(ends) and all(ends[old] <= known[new] for old, new in names.items()):
            held.append(name)
    return held
