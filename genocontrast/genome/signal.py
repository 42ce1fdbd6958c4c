"""Accessibility along the genome: bigWig, bedGraph, ATAC fragments or alignments, averaged over replicates."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike
from genocontrast.display import Described, listed
from genocontrast.errors import FileFormatError, RegionError, ShapeError
from genocontrast.genome.bedgraph import BedGraph
from genocontrast.genome.bigwig import BigWig
from genocontrast.genome.cuts import Alignments, Fragments
from genocontrast.genome.regions import check_columns, check_within
from genocontrast.genome.tables import suffix
from genocontrast.genome.tracks import Floats, Ints, Track, by_name, offsets, ragged

if TYPE_CHECKING:
    from genocontrast.genome.fasta import Genome

BIGWIG = {".bw", ".bigwig"}
BEDGRAPH = {".bedgraph", ".bdg", ".bg"}
_FRAGMENTS = {".bed", ".bedpe", ".tsv"}
_ALIGNMENTS = {".bam", ".cram"}
_KINDS = "bigWig (.bw, .bigwig), bedGraph (.bedgraph, .bdg, .bg), fragments (.bed, .bedpe, .tsv), BAM or CRAM"
_BLOCK = 1 << 22
"""bp of windows whose profile is held in memory at a time."""


class Signal(Described):
    """Accessibility of windows, averaged over replicates; bases without data count as 0.

    Parameters
    ----------
    paths : path or sequence of paths
        One file per replicate, of any kinds: bigWig (.bw, .bigwig); bedGraph (.bedgraph, .bdg, .bg; also .gz); ATAC
        fragments (.bed, .bedpe, .tsv; also .gz: chrom, start, end, already shifted for Tn5), with one cut at `start`
        and one at `end - 1`; alignments (.bam, .cram; no index, and no reference for CRAM), with one cut at the 5' end
        of each primary, mapped read that is no duplicate and passed quality control.
    genome : Genome, optional
        Chromosome names are brought into its naming. A chromosome of the genome that a file lacks has no signal;
        without a genome it is an error.
    shift : (int, int)
        bp added to the cuts of forward and of reverse reads of alignments, to the middle of Tn5's duplication
        (Buenrostro et al., Nat Methods 2013).
    min_mapq : int
        Reads of alignments with a lower mapping quality are left out.
    smoothing : int
        Width, bp, to which each cut is extended, centred, for `max`, `summit` and `open_fraction`, as MACS does with
        ``--shift -75 --extsize 150``. bigWig and bedGraph are taken as they are.
    half : 0 or 1, optional
        Take a fixed random half of each file's fragments (equal ones fall together) or reads (mates fall together,
        told by their name): halves 0 and 1 share none, and are all of them together. See `divisible`.

    Attributes
    ----------
    files : list of dict
        For each replicate: file; rows (fragments, intervals or reads) and kept (None for bigWig); removed, the number
        by rule (unmapped, secondary, supplementary, duplicate, qc_fail, low_mapq, outside, unknown_sequence,
        other_half; only rules that removed any), so that rows are kept and removed together; renamed.

    Raises
    ------
    FileFormatError, NamingError, RegionError
        For a file that is missing, truncated, empty, of an unknown kind or of another assembly. Intervals of a bedGraph
        may end up to 1,000 bp past their chromosome, and are cut there; fragments up to 10 bp, and are removed.
    ShapeError
        For a negative `min_mapq`, a `smoothing` below 1 or half of a bigWig or bedGraph.

    Warns
    -----
    GenocontrastWarning
        Where a bedGraph was cut at the end of a chromosome, or at most a tenth of a file (rows; reads of alignments; bp
        of a bigWig) lies on sequences that the genome lacks.

    Notes
    -----
    `max`, `summit` and `open_fraction` hold the profile of a few Mb at a time, but that of a longer region whole: asked
    for a whole chromosome of 250 Mb they need several GB.
    """

    def __init__(
        self,
        paths: PathLike | Sequence[PathLike],
        genome: Genome | None = None,
        shift: tuple[int, int] = (4, -5),
        min_mapq: int = 30,
        smoothing: int = 150,
        half: int | None = None,
    ) -> None:
        listed = _listed(paths)
        if not listed:
            raise FileFormatError("no signal file", remedy=f"name at least one file: {_KINDS}")
        if smoothing < 1:
            raise ShapeError("smoothing must be at least 1 bp", value=smoothing)
        if min_mapq < 0:
            raise ShapeError("min_mapq must be at least 0", value=min_mapq)
        if half is not None:
            _check_half(half, listed)
        self._sizes = None if genome is None else genome.sizes
        self._tracks = [_open(path, genome, shift, min_mapq, smoothing, half) for path in listed]
        self.files: list[dict[str, Any]] = [
            {
                "file": Path(path).name,
                "rows": track.rows,
                "kept": track.kept,
                "removed": track.removed,
                "renamed": track.renamed,
            }
            for path, track in zip(listed, self._tracks, strict=True)
        ]

    def facts(self) -> dict[str, str]:
        """What a notebook shows: the files, and what was left out of them."""
        removed = sum(sum(entry["removed"].values()) for entry in self.files)
        renamed = sorted({f"{old} -> {new}" for entry in self.files for old, new in entry["renamed"].items()})
        return {
            "files": f"{len(self.files):,}: {listed(str(entry['file']) for entry in self.files)}",
            **({"removed": f"{removed:,}"} if removed else {}),
            **({"renamed": listed(renamed, 3)} if renamed else {}),
        }

    @staticmethod
    def divisible(paths: PathLike | Sequence[PathLike]) -> bool:
        """Whether every file holds fragments or reads, by its extension, so that `half` can be asked for."""
        return all(suffix(path) in _FRAGMENTS | _ALIGNMENTS for path in _listed(paths))

    def mean(self, regions: pd.DataFrame) -> NDArray[np.float64]:
        """Mean signal per base of each region; of cuts their number, not smoothed, per base.

        Parameters
        ----------
        regions : pandas.DataFrame
            chrom, start, end; widths may differ.

        Returns
        -------
        numpy.ndarray of float64, shape=(n,)
        """
        total = np.zeros(len(regions))
        with self._opened() as tracks:
            for chrom, rows, starts, ends in self._by_chrom(regions):
                for track in tracks:
                    total[rows] += track.sums(chrom, starts, ends)
                total[rows] /= (ends - starts) * len(tracks)
        return total

    def max(self, regions: pd.DataFrame) -> NDArray[np.float64]:
        """Highest value of the profile, which is the mean of the replicates at each base, in each region.

        Parameters
        ----------
        regions : pandas.DataFrame
            chrom, start, end; widths may differ.

        Returns
        -------
        numpy.ndarray of float64, shape=(n,)
            Of cuts: how many lie within half of `smoothing` of the base.
        """
        return self._of_profile(regions, np.float64, lambda block: _peaks(block)[0])

    def summit(self, regions: pd.DataFrame) -> NDArray[np.int64]:
        """Where the profile is highest in each region; the region's centre where it has no signal at all.

        Parameters
        ----------
        regions : pandas.DataFrame
            chrom, start, end; widths may differ.

        Returns
        -------
        numpy.ndarray of int64, shape=(n,)
            0-based position: the middle of the first run of bases that share the highest value.
        """
        return self._of_profile(regions, np.int64, lambda block: block.starts + _peaks(block)[1] - block.first)

    def open_fraction(self, regions: pd.DataFrame, threshold: float) -> NDArray[np.float64]:
        """Part of each region's bases on which the profile reaches a threshold.

        Parameters
        ----------
        regions : pandas.DataFrame
            chrom, start, end; widths may differ.
        threshold : float
            Above 0, in the units of `max`.

        Returns
        -------
        numpy.ndarray of float64, shape=(n,)
            0 to 1.

        Raises
        ------
        ShapeError
            At a threshold that is not above 0: bases without data would count as open.
        """
        if not threshold > 0:
            raise ShapeError("the threshold of open bases must be above 0", value=threshold)

        def part(block: _Block) -> Floats:
            reached = np.concatenate([[0], np.cumsum(block.profile >= threshold)])
            return (reached[block.last] - reached[block.first]) / (block.last - block.first)

        return self._of_profile(regions, np.float64, part)

    def _of_profile(self, regions: pd.DataFrame, dtype: type, measure: Callable[[_Block], NDArray]) -> NDArray:
        """What `measure` finds in the profile of each region, shape=(n,)."""
        found: NDArray = np.zeros(len(regions), dtype=dtype)
        with self._opened() as tracks:
            for block in self._blocks(regions, tracks):
                found[block.rows] = measure(block)
        return found

    @contextmanager
    def _opened(self) -> Iterator[list[Track]]:
        with ExitStack() as stack:
            yield [stack.enter_context(track.opened()) for track in self._tracks]

    def _by_chrom(self, regions: pd.DataFrame) -> Iterator[tuple[str, NDArray[np.intp], Ints, Ints]]:
        """Chromosome, rows, starts and ends of the regions of each chromosome."""
        _check(regions, self._sizes)
        starts, ends = (regions[column].to_numpy(np.int64) for column in ("start", "end"))
        for chrom, rows in by_name(regions).items():
            yield chrom, rows, starts[rows], ends[rows]

    def _blocks(self, regions: pd.DataFrame, tracks: Sequence[Track]) -> Iterator[_Block]:
        """The regions in blocks of about `_BLOCK` bp, so that memory stays bounded; a longer region is held whole."""
        for chrom, rows, starts, ends in self._by_chrom(regions):
            order = np.argsort(starts, kind="stable")
            cumulated = np.cumsum((ends - starts)[order])
            for its in np.split(order, np.flatnonzero(np.diff((cumulated - 1) // _BLOCK)) + 1):
                yield _profiled(tracks, chrom, rows[its], starts[its], ends[its])


@dataclass(frozen=True)
class _Block:
    """Regions and the profile of all bases that they cover, end to end: region i has ``profile[first[i]:last[i]]``."""

    rows: NDArray[np.intp]
    starts: Ints
    first: Ints
    last: Ints
    profile: Floats


def _profiled(tracks: Sequence[Track], chrom: str, rows: NDArray[np.intp], starts: Ints, ends: Ints) -> _Block:
    reached = np.maximum.accumulate(ends)
    opens = np.concatenate([[True], starts[1:] > reached[:-1]])
    span_starts, span_ends = starts[opens], reached[np.append(opens[1:], True)]
    profile = np.zeros(int((span_ends - span_starts).sum()))
    for track in tracks:
        profile += track.profile(chrom, span_starts, span_ends)
    first = starts + (offsets(span_ends - span_starts) - span_starts)[np.cumsum(opens) - 1]
    return _Block(rows, starts, first, first + ends - starts, profile / len(tracks))


def _peaks(block: _Block) -> tuple[Floats, Ints]:
    """Highest value of each region, and the index into the profile of the middle of its first run."""
    edges = np.concatenate([[0], np.flatnonzero(np.diff(block.profile)) + 1, [len(block.profile)]])
    values = block.profile[edges[:-1]]
    low = np.searchsorted(edges, block.first, side="right") - 1
    high = np.searchsorted(edges, block.last)
    runs, begin = ragged(low, high), offsets(high - low)
    heights = values[runs]
    highest = np.maximum.reduceat(heights, begin)
    hits = np.flatnonzero(heights == np.repeat(highest, high - low))
    run = runs[hits[np.searchsorted(hits, begin)]]
    return highest, (np.maximum(edges[run], block.first) + np.minimum(edges[run + 1], block.last)) // 2


def _check(regions: pd.DataFrame, sizes: dict[str, int] | None) -> None:
    """Regions lie within the genome; without one, each track knows whether they lie within its chromosomes."""
    check_columns(regions)
    missing = regions[["chrom", "start", "end"]].isna().any(axis=1).to_numpy()
    if missing.any():
        chrom, start, end = regions.iloc[int(np.argmax(missing))][["chrom", "start", "end"]]
        problem = f"{missing.sum()} of {len(missing)} regions have no chromosome, start or end"
        raise RegionError(problem, value=f"{chrom}:{start}-{end}", remedy="leave them out")
    if sizes is not None:
        return check_within(regions, sizes)
    bad = ~((regions["start"] >= 0) & (regions["start"] < regions["end"])).to_numpy()
    if bad.any():
        chrom, start, end = regions.iloc[int(np.argmax(bad))][["chrom", "start", "end"]]
        raise RegionError(f"{bad.sum()} of {len(bad)} regions are empty or negative", value=f"{chrom}:{start}-{end}")
    return None


def _listed(paths: PathLike | Sequence[PathLike]) -> list[PathLike]:
    return [paths] if isinstance(paths, str | os.PathLike) else list(paths)


def _check_half(half: int, paths: Sequence[PathLike]) -> None:
    """Before any file is read, which takes minutes."""
    if half not in (0, 1):
        raise ShapeError("half must be 0, 1 or None", value=half)
    for path in paths:
        if suffix(path) in BIGWIG | BEDGRAPH:
            remedy = "give the fragments or reads that it was made of (.bed, .bedpe, .tsv, .bam, .cram)"
            raise ShapeError("a bigWig or bedGraph cannot be halved: its reads are summed", path=path, remedy=remedy)


def _open(
    path: PathLike, genome: Genome | None, shift: tuple[int, int], min_mapq: int, smoothing: int, half: int | None
) -> Track:
    kind = suffix(path)
    if kind in BIGWIG:
        return BigWig(path, genome)
    if kind in BEDGRAPH:
        return BedGraph(path, genome)
    if kind in _FRAGMENTS:
        return Fragments(path, genome, smoothing, half)
    if kind in _ALIGNMENTS:
        return Alignments(path, genome, smoothing, half, shift, min_mapq)
    raise FileFormatError("unknown kind of signal file", path=path, remedy=f"give {_KINDS}")
