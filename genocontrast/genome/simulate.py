"""A genome made on the spot: planted promoters and decoys, open chromatin, annotation, and the truth about all of it.

Everything follows from the seed. The grammar and its oracle live in `grammar`, the background in `landscape`; here
the two are joined and written.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike, atomic_folder
from genocontrast.config import SIMULATED_MEGABASES, SIMULATION_SEED, Config, parse_config
from genocontrast.errors import ConfigError
from genocontrast.genome import grammar, landscape
from genocontrast.genome.grammar import GRAMMAR
from genocontrast.genome.landscape import LANDSCAPE, PROMOTER, Layout
from genocontrast.genome.sites import MATRICES, MOTIFS, Sites, draw_sequences, matrices, place_sites
from genocontrast.sequence import Codes, reverse_complement

_log = logging.getLogger(__name__)
_UPPER, _LOWER = (np.frombuffer(letters, np.uint8) for letters in (b"ACGTN", b"acgtn"))


@dataclass(frozen=True)
class _Chromosome:
    name: str
    codes: Codes
    masked: NDArray[np.bool_]
    layout: Layout
    elements: pd.DataFrame
    sites: pd.DataFrame
    cuts: NDArray[np.float64]


def simulate(out: PathLike, seed: int = SIMULATION_SEED, megabases: float = SIMULATED_MEGABASES) -> Config:
    """Write a simulated genome and its truth to a folder, replacing an older one.

    Files: genome.fa.gz (bgzip, indexed), genes.gtf, atac_rep1.bw, atac_rep2.bw, peaks.narrowPeak, blacklist.bed,
    elements.tsv (planted elements with the oracle's log likelihood ratio) and sites.tsv (every planted site).

    Parameters
    ----------
    out : path
        Folder to write.
    seed : int
        The same seed and size give the same bytes.
    megabases : float
        Size of the genome, Mb, at least 1; the numbers of elements grow with it.

    Returns
    -------
    Config
        The configuration that names these files; all else has its default.

    Raises
    ------
    ConfigError
        At a smaller size.
    """
    if not megabases >= 1:
        raise ConfigError(
            "a simulated genome needs at least 1 Mb", value=megabases, remedy="give --megabases 1 or more"
        )
    rng = np.random.default_rng(seed)
    families = landscape.repeat_consensus(rng, LANDSCAPE)
    sizes = landscape.chromosome_sizes(megabases, LANDSCAPE)
    streams = rng.spawn(len(sizes))
    chromosomes = [
        _chromosome(name, size, families, stream) for (name, size), stream in zip(sizes.items(), streams, strict=True)
    ]
    with atomic_folder(out) as folder:
        _write_fasta(folder / "genome.fa.gz", chromosomes)
        for replicate in (1, 2):
            _write_signal(folder / f"atac_rep{replicate}.bw", chromosomes, rng)
        _write_peaks(folder / "peaks.narrowPeak", chromosomes, rng)
        _write_genes(folder / "genes.gtf", chromosomes, rng)
        _write_blacklist(folder / "blacklist.bed", chromosomes)
        for table in ("elements", "sites"):
            frame = pd.concat([getattr(chromosome, table) for chromosome in chromosomes])
            frame.to_csv(folder / f"{table}.tsv", sep="\t", index=False, lineterminator="\n", float_format="%.6f")
    return _configuration(Path(out))


def _configuration(folder: Path) -> Config:
    files = {
        "fasta": folder / "genome.fa.gz",
        "promoters": folder / "genes.gtf",
        "open_chromatin": [folder / "peaks.narrowPeak"],
        "signal": [folder / f"atac_rep{replicate}.bw" for replicate in (1, 2)],
        "exclude": [folder / "blacklist.bed"],
    }
    named = {key: [*map(str, path)] if isinstance(path, list) else str(path) for key, path in files.items()}
    return parse_config(
        {
            "name": "simulated",
            "genome": {**named, "promoter_features": ["transcript"]},
            "evaluation": {"truth": str(folder / "elements.tsv")},
        }
    )


def _chromosome(name: str, size: int, families: list[Codes], rng: np.random.Generator) -> _Chromosome:
    """Make one chromosome: layout, elements, background, repeats, N and last, so that nothing covers them, sites."""
    _log.info("simulating %s, %.2f Mb", name, size / 1e6)
    layout = landscape.lay_out(size, rng, LANDSCAPE)
    label, n = layout.label, len(layout.label)
    island = rng.random(n) < np.array(LANDSCAPE.island)[label]
    gc = np.where(island, np.array(LANDSCAPE.island_gc)[label], np.array(LANDSCAPE.open_gc)[label])
    gc = gc + rng.normal(0, LANDSCAPE.gc_spread, n)
    codes = landscape.markov_sequence(landscape.composition(layout, island, gc, rng, LANDSCAPE), rng, LANDSCAPE)
    masked = landscape.insert_repeats(codes, layout, families, rng, LANDSCAPE)
    landscape.write_gaps(codes, masked, layout)
    elements = _elements(name, layout, rng).assign(island=island.astype(int))
    arrangements = grammar.draw_arrangements(_states(elements), rng)
    elements["log_likelihood_ratio"] = grammar.log_likelihood_ratio(arrangements)
    sites = _plant(codes, name, layout, elements, place_sites(arrangements, rng), rng)
    openness = rng.normal(np.array(LANDSCAPE.openness)[label], LANDSCAPE.openness_spread)
    elements["openness"] = openness
    return _Chromosome(name, codes, masked, layout, elements, sites, _expected_cuts(layout, np.exp(openness)))


def _elements(name: str, layout: Layout, rng: np.random.Generator) -> pd.DataFrame:
    """Elements of a chromosome, with the kind of grammar of each and its annotated start and summit."""
    promoter, n = layout.label == PROMOTER, len(layout.label)
    kinds = np.where(
        promoter,
        grammar.draw_kinds(GRAMMAR.promoter_kinds, n, rng),
        len(GRAMMAR.promoter_kinds) + grammar.draw_kinds(GRAMMAR.distal_kinds, n, rng),
    )
    error = np.rint(rng.normal(0, LANDSCAPE.summit_error, (2, n))).astype(np.int64)
    half = LANDSCAPE.width // 2
    return pd.DataFrame(
        {
            "chrom": name,
            "start": layout.centre - half,
            "end": layout.centre + half,
            "strand": np.where(layout.forward, "+", "-"),
            "name": [f"{name}_element{i + 1}" for i in range(n)],
            "class": np.where(promoter, "promoter", "distal"),
            "grammar": np.array([kind.name for kind in _KINDS])[kinds],
            "tss": np.where(promoter, layout.start(LANDSCAPE) + error[0], -1),
            "summit": layout.centre + error[1],
        }
    )


_KINDS = GRAMMAR.promoter_kinds + GRAMMAR.distal_kinds


def _states(elements: pd.DataFrame) -> NDArray[np.float64]:
    states = {kind.name: kind.states for kind in _KINDS}
    return np.array([states[name] for name in elements["grammar"]])


def _plant(
    codes: Codes, name: str, layout: Layout, elements: pd.DataFrame, sites: Sites, rng: np.random.Generator
) -> pd.DataFrame:
    """Write the sites into the chromosome, in place, and return them as a table in genome order."""
    width = np.array([len(matrices()[motif]) for motif in MOTIFS])[sites.motif]
    forward = layout.forward[sites.element]
    anchor = layout.start(LANDSCAPE)[sites.element]
    start = np.where(forward, anchor + sites.offset, anchor - sites.offset - width + 1)
    plus = sites.forward == forward
    intact = np.zeros(len(start), dtype=bool)
    for index, motif in enumerate(MOTIFS):
        here = np.flatnonzero(sites.motif == index)
        drawn, intact[here] = draw_sequences(motif, len(here), rng)
        drawn = np.where(plus[here][:, None], drawn, reverse_complement(drawn))
        codes[start[here][:, None] + np.arange(drawn.shape[1])] = drawn
    table = pd.DataFrame(
        {
            "chrom": name,
            "start": start,
            "end": start + width,
            "strand": np.where(plus, "+", "-"),
            "motif": np.array(MOTIFS)[sites.motif],
            "matrix_id": np.array([MATRICES[motif] for motif in MOTIFS])[sites.motif],
            "element": elements["name"].to_numpy()[sites.element],
            "arrangement": np.array(["proper", "improper", "distal"])[sites.state],
            "intact": intact.astype(int),
        }
    )
    return table.sort_values("start", ignore_index=True)


def _expected_cuts(layout: Layout, total: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected Tn5 cuts of each bin: background, a bell for each element, and a plateau for each blacklisted region."""
    step = LANDSCAPE.bin
    cuts = np.full(-(-layout.size // step), LANDSCAPE.background_cuts * step)
    reach = int(4 * LANDSCAPE.peak_sigma / step)
    bins = layout.centre[:, None] // step + np.arange(-reach, reach + 1)
    shape = np.exp(-0.5 * ((bins * step + step / 2 - layout.centre[:, None]) / LANDSCAPE.peak_sigma) ** 2)
    within = np.abs(bins * step - layout.centre[:, None]) < LANDSCAPE.width // 2
    shape *= (total / (shape * within).sum(1))[:, None]
    np.add.at(cuts, bins, shape)
    for start, end in layout.deserts:
        cuts[start // step : end // step] += 40 * LANDSCAPE.background_cuts * step
    for start, end in layout.gaps:
        cuts[start // step : end // step] = 0
    return cuts


def _write_fasta(path: Path, chromosomes: list[_Chromosome], line: int = 60) -> None:
    import pysam

    with pysam.BGZFile(str(path), "wb", None) as handle:
        for chromosome in chromosomes:
            letters = np.where(chromosome.masked, _LOWER[chromosome.codes], _UPPER[chromosome.codes])
            whole = len(letters) // line * line
            rows = np.concatenate(
                [letters[:whole].reshape(-1, line), np.full((whole // line, 1), ord("\n"), np.uint8)], axis=1
            )
            tail = letters[whole:].tobytes()
            handle.write(f">{chromosome.name}\n".encode() + rows.tobytes() + tail + (b"\n" if tail else b""))
    pysam.faidx(str(path))


def _write_signal(path: Path, chromosomes: list[_Chromosome], rng: np.random.Generator) -> None:
    """Write a replicate: Poisson cuts of each bin, per bp."""
    from genocontrast.genome.bigwig import bigwig_to_write

    sizes = {chromosome.name: len(chromosome.codes) for chromosome in chromosomes}
    with bigwig_to_write(path, sizes, sum(len(chromosome.cuts) for chromosome in chromosomes)) as file:
        for chromosome in chromosomes:
            counts = rng.poisson(chromosome.cuts).astype(np.float64) / LANDSCAPE.bin
            edges = np.flatnonzero(np.diff(counts, prepend=-1))
            starts, values = edges * LANDSCAPE.bin, counts[edges]
            ends = np.append(starts[1:], sizes[chromosome.name])
            kept = values > 0
            names = [chromosome.name] * int(kept.sum())
            file.addEntries(names, starts[kept].tolist(), ends=ends[kept].tolist(), values=values[kept].tolist())


def _write_peaks(path: Path, chromosomes: list[_Chromosome], rng: np.random.Generator) -> None:
    """Write a peak for each element, and false ones in the blacklisted regions."""
    lines: list[str] = []
    for chromosome in chromosomes:
        elements, deserts = chromosome.elements, chromosome.layout.deserts
        summit = np.concatenate([elements["summit"], deserts.mean(1).astype(np.int64)])
        height = np.concatenate([np.exp(elements["openness"]) / 10, np.full(len(deserts), 60.0)])
        half = (120 + 30 * np.log1p(height) + rng.integers(0, 40, len(height))).astype(np.int64)
        for at, value, reach in sorted(zip(summit.tolist(), height.tolist(), half.tolist(), strict=True)):
            lines.append(
                f"{chromosome.name}\t{at - reach}\t{at + reach}\tpeak{len(lines) + 1}\t{min(1000, int(20 * value))}\t."
                f"\t{value:.3f}\t{1.5 * value:.3f}\t{1.2 * value:.3f}\t{reach}\n"
            )
    path.write_text("".join(lines))


def _write_genes(path: Path, chromosomes: list[_Chromosome], rng: np.random.Generator) -> None:
    """Write a gene for each promoter as GTF: one or two transcripts from the same start, with exons."""
    lines, number = ["##description: simulated genes\n"], 0
    for chromosome in chromosomes:
        size = len(chromosome.codes)
        promoters = chromosome.elements[chromosome.elements["class"] == "promoter"]
        for tss, strand in zip(promoters["tss"].tolist(), promoters["strand"].tolist(), strict=True):
            number += 1
            room = size - tss - 1 if strand == "+" else tss
            length = int(min(room, max(400, rng.lognormal(7.6, 0.6))))
            lines += _gene_lines(chromosome.name, f"gene{number}", tss, strand, length, rng)
    path.write_text("".join(lines))


def _gene_lines(chrom: str, gene: str, tss: int, strand: str, length: int, rng: np.random.Generator) -> list[str]:
    """GTF lines of one gene; offsets run from the start along the gene, so both strands share the arithmetic."""

    def line(feature: str, begin: int, end: int, attributes: str) -> str:
        low, high = (tss + begin, tss + end) if strand == "+" else (tss - end + 1, tss - begin + 1)
        return f'{chrom}\tsimulated\t{feature}\t{low + 1}\t{high}\t.\t{strand}\t.\tgene_id "{gene}"; {attributes}\n'

    lines = [line("gene", 0, length, 'gene_type "protein_coding";')]
    for transcript in range(1 + int(rng.random() < 0.3)):
        end = length if transcript == 0 else max(200, int(length * rng.uniform(0.5, 0.9)))
        name = f'transcript_id "{gene}.{transcript + 1}";'
        lines.append(line("transcript", 0, end, name))
        cuts = np.sort(
            rng.choice(np.arange(100, end, 50), 2 * int(rng.integers(0, min(4, (end - 100) // 150) + 1)), replace=False)
        )
        bounds = [0, *cuts.tolist(), end]
        for exon, (begin, stop) in enumerate(zip(bounds[::2], bounds[1::2], strict=True)):
            lines.append(line("exon", begin, stop, f'{name} exon_number "{exon + 1}";'))
    return lines


def _write_blacklist(path: Path, chromosomes: list[_Chromosome]) -> None:
    path.write_text(
        "".join(
            f"{c.name}\t{start}\t{end}\tHigh Signal Region\n" for c in chromosomes for start, end in c.layout.deserts
        )
    )
