"""Tracks of Tn5 cuts: ATAC fragments, and the reads of a BAM or CRAM file."""

from __future__ import annotations

import logging
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pysam

from genocontrast.artefacts import PathLike, existing
from genocontrast.errors import FileFormatError
from genocontrast.genome.regions import load_regions
from genocontrast.genome.tables import is_gzip, reading, truncated
from genocontrast.genome.tracks import Floats, Ints, Track, by_sequence, fast_table, offsets, ragged, same_sequences

if TYPE_CHECKING:
    from genocontrast.genome.fasta import Genome

_log = logging.getLogger(__name__)
_PROGRESS = 5_000_000
"""Reads between two messages."""
_FLAGS = {"secondary": 0x100, "supplementary": 0x800, "duplicate": 0x400, "qc_fail": 0x200}
_ANY_FLAG = sum(_FLAGS.values())
_REVERSE = 0x10
_CRAM_MAGIC = b"CRAM"
_CRAM_FIELDS = "required_fields=0x3e"
"""FLAG, RNAME, POS, MAPQ and CIGAR: without the bases no reference is needed, nor looked for in the network."""


class Cuts(Track):
    """Sorted cut positions of each chromosome; the profile is their pile-up, each cut `smoothing` bp wide."""

    _cuts: dict[str, Ints]
    smoothing: int

    def _sums(self, chrom: str, starts: Ints, ends: Ints) -> Floats:
        cuts = self._cuts[chrom]
        return (np.searchsorted(cuts, ends) - np.searchsorted(cuts, starts)).astype(np.float64)

    def _profile(self, chrom: str, starts: Ints, ends: Ints) -> Floats:
        cuts, widths = self._cuts[chrom], ends - starts
        left = self.smoothing // 2
        right = self.smoothing - left

        def height(places: Ints) -> Ints:
            """Cuts with -left <= place - cut < right."""
            above = np.searchsorted(cuts, places + left, side="right")
            return above - np.searchsorted(cuts, places - right, side="right")

        first = offsets(widths)
        steps = np.zeros(int(widths.sum()), dtype=np.int64)
        for step, lag in ((1, -left), (-1, right)):
            low, high = np.searchsorted(cuts, starts - lag, side="right"), np.searchsorted(cuts, ends - lag)
            places = cuts[ragged(low, high)] + np.repeat(first - starts + lag, high - low)
            steps += step * np.bincount(places, minlength=len(steps))
        steps[first] = height(starts)
        steps[first[1:]] -= height(ends[:-1] - 1)
        return np.cumsum(steps).astype(np.float64)


class Fragments(Cuts):
    """ATAC fragments, already shifted for Tn5: one cut at `start` and one at `end - 1`."""

    def __init__(self, path: PathLike, genome: Genome | None, smoothing: int) -> None:
        super().__init__(path, genome)
        self.smoothing = smoothing
        _refuse_read_pairs(path)
        fragments = fast_table(path, {"chrom": "category", "start": "int64", "end": "int64"})
        if fragments is None:
            fragments = load_regions(path).regions
        starts, ends = fragments["start"].to_numpy(), fragments["end"].to_numpy()
        groups = by_sequence(fragments, self, genome)
        self._cuts = {chrom: np.sort(np.concatenate([starts[rows], ends[rows] - 1])) for chrom, rows in groups.items()}
        self.chroms = self._cuts.keys()


def _refuse_read_pairs(path: PathLike) -> None:
    """The BEDPE of bedtools has two reads per row: its first interval is no fragment."""
    with reading(path) as handle:
        for line, raw in enumerate(handle.read(1 << 14).splitlines(), start=1):
            fields = raw.split(b"\t")
            if len(fields) >= 6 and fields[3] == fields[0] and fields[4].isdigit():
                raise FileFormatError(
                    "the rows hold two reads each, not a fragment",
                    path=path,
                    line=line,
                    remedy="write one fragment per row: chrom, start of the first read, end of the second",
                )


class Alignments(Cuts):
    """Reads of a BAM or CRAM file: one cut at the 5' end of each primary, mapped, unique read, shifted for Tn5."""

    def __init__(
        self, path: PathLike, genome: Genome | None, smoothing: int, shift: tuple[int, int], min_mapq: int
    ) -> None:
        super().__init__(path, genome)
        self.smoothing = smoothing
        with _alignment_file(path) as handle:
            sizes = dict(zip(handle.references, handle.lengths, strict=True))
            # Before the reads, which take minutes: a file of another assembly is refused at once.
            names, self.renamed = same_sequences(sizes, genome, path)
            found, removed = _read_cuts(handle, path, shift, min_mapq)
        self.rows = rows = sum(map(len, found.values())) + sum(removed.values())
        self._sizes = {new: sizes[old] for old, new in names.items()}
        self._cuts = {new: np.zeros(0, dtype=np.int64) for new in names.values()}
        for old, cuts in found.items():
            if old not in names:
                removed["unknown_sequence"] += len(cuts)
                continue
            within = (cuts >= 0) & (cuts < sizes[old])
            removed["outside"] += int((~within).sum())
            self._cuts[names[old]] = np.sort(cuts[within])
        self.removed = {rule: count for rule, count in removed.items() if count}
        self.kept = sum(map(len, self._cuts.values()))
        self.chroms = self._cuts.keys()
        _refuse_empty(self.kept, rows, self.removed, path)


def _refuse_empty(kept: int, rows: int, removed: Mapping[str, int], path: PathLike) -> None:
    if kept:
        return
    counts = ", ".join(f"{rule} {count}" for rule, count in removed.items())
    raise FileFormatError(
        f"none of {rows} reads is left: {counts}" if rows else "the file holds no reads",
        path=path,
        remedy="give aligned reads; where all have a low mapping quality, lower min_mapq",
    )


@contextmanager
def _alignment_file(path: PathLike) -> Iterator[pysam.AlignmentFile]:
    """Open a BAM or CRAM file, htslib's own messages off; a FileFormatError where it is none, cut or damaged."""
    with open(existing(path), "rb") as raw:
        is_cram = raw.read(4) == _CRAM_MAGIC
    if not is_cram and not is_gzip(path):
        raise _not_alignments(path)
    before = pysam.set_verbosity(0)
    try:
        options = [_CRAM_FIELDS] if is_cram else None
        with pysam.AlignmentFile(str(path), check_sq=False, format_options=options) as handle:
            if not (handle.is_bam or handle.is_cram):
                raise _not_alignments(path)
            yield handle
    except ValueError:
        raise truncated(path) if is_cram else _not_alignments(path) from None
    except OSError:
        raise truncated(path) from None
    finally:
        pysam.set_verbosity(before)


def _not_alignments(path: PathLike) -> FileFormatError:
    return FileFormatError("not a BAM or CRAM file", path=path, remedy="samtools view -b turns SAM text into BAM")


def _read_cuts(
    handle: pysam.AlignmentFile, path: PathLike, shift: tuple[int, int], min_mapq: int
) -> tuple[dict[str, Ints], Counter[str]]:
    """Shifted cuts of each sequence in the file's order, and the reads removed by each rule."""
    cuts = [array("q") for _ in handle.references]
    removed: Counter[str] = Counter()
    for number, read in enumerate(handle.fetch(until_eof=True), start=1):
        end = read.reference_end
        if end is None:  # unmapped by its flag, or no alignment is stored
            removed["unmapped"] += 1
        elif (rule := _removed_by(read, min_mapq)) is not None:
            removed[rule] += 1
        elif read.flag & _REVERSE:
            cuts[read.reference_id].append(end - 1 + shift[1])
        else:
            cuts[read.reference_id].append(read.reference_start + shift[0])
        if number % _PROGRESS == 0:
            _log.info("%s: %d reads", path, number)
    found = zip(handle.references, cuts, strict=True)
    return {name: np.frombuffer(its, dtype=np.int64) for name, its in found if its}, removed


def _removed_by(read: pysam.AlignedSegment, min_mapq: int) -> str | None:
    """The first rule that a mapped read breaks."""
    if read.flag & _ANY_FLAG:
        return next(rule for rule, bit in _FLAGS.items() if read.flag & bit)
    return "low_mapq" if read.mapping_quality < min_mapq else None
