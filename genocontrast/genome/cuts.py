"""Tracks of Tn5 cuts: ATAC fragments, and the reads of a BAM or CRAM file."""

from __future__ import annotations

import logging
import re
import zlib
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pysam
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike
from genocontrast.errors import FileFormatError
from genocontrast.genome.alignments import alignment_file, quiet
from genocontrast.genome.names import reconcile, translate
from genocontrast.genome.regions import load_regions
from genocontrast.genome.tables import reading
from genocontrast.genome.tracks import (
    Floats,
    Ints,
    Track,
    by_sequence,
    fast_table,
    offsets,
    ragged,
    refuse_beyond,
    same_sizes,
)

if TYPE_CHECKING:
    from genocontrast.genome.fasta import Genome

_log = logging.getLogger(__name__)
_PROGRESS = 5_000_000
"""Reads between two messages."""
_FLAGS = {"secondary": 0x100, "supplementary": 0x800, "duplicate": 0x400, "qc_fail": 0x200}
_ANY_FLAG = sum(_FLAGS.values())
_REVERSE = 0x10
_OVERHANG = 10
"""bp by which a shift for Tn5 may push a fragment past the end of its chromosome."""
_MIXER = 0x9E3779B1
_HEADINGS = (b"#", b"track", b"browser")
_DECIMAL, _NUMBER = re.compile(rb"[-+]?\d*\.\d+(e[-+]?\d+)?", re.I), re.compile(rb"[-+]?\d*\.?\d+(e[-+]?\d+)?", re.I)


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

    def __init__(self, path: PathLike, genome: Genome | None, smoothing: int, half: int | None) -> None:
        super().__init__(path, genome)
        self.smoothing = smoothing
        _refuse_no_fragments(path)
        fragments = fast_table(path, {"chrom": "category", "start": "int64", "end": "int64"})
        if fragments is None:
            fragments = load_regions(path).regions
        starts, ends = fragments["start"].to_numpy(), fragments["end"].to_numpy()
        groups = by_sequence(fragments, self, genome)
        if genome is not None:
            groups = self._within(fragments, groups, genome)
        if half is not None:
            groups = self._halved(fragments, groups, half)
        self._cuts = {chrom: np.sort(np.concatenate([starts[rows], ends[rows] - 1])) for chrom, rows in groups.items()}
        self.chroms = self._cuts

    def _within(
        self, fragments: pd.DataFrame, groups: dict[str, NDArray[np.intp]], genome: Genome
    ) -> dict[str, NDArray[np.intp]]:
        """The rows but for the few that the shift has pushed over the end, which are counted."""
        over = refuse_beyond(fragments, groups, self, genome, _OVERHANG)
        outside = int((over > 0).sum())
        if outside:
            self.removed["outside"] = outside
            self.kept = len(fragments) - sum(self.removed.values())
        return {chrom: rows[over[rows] == 0] for chrom, rows in groups.items()}

    def _halved(
        self, fragments: pd.DataFrame, groups: dict[str, NDArray[np.intp]], half: int
    ) -> dict[str, NDArray[np.intp]]:
        """The rows of one half, by a hash of start and end: copies of a fragment share their noise, and so a half."""
        halves = (pd.util.hash_pandas_object(fragments[["start", "end"]], index=False) % 2).to_numpy()
        halved = {chrom: rows[halves[rows] == half] for chrom, rows in groups.items()}
        self.kept = sum(map(len, halved.values()))
        if other := sum(map(len, groups.values())) - self.kept:
            self.removed["other_half"] = other
        return halved


def _refuse_no_fragments(path: PathLike) -> None:
    """Judge by the first rows: read pairs, single reads and bedGraph all look like fragments in their first columns."""
    with reading(path) as handle:
        head = handle.read(1 << 14)
    lines = head.splitlines()[: None if len(head) < 1 << 14 else -1]
    rows = [
        (n, line.split(b"\t")) for n, line in enumerate(lines, 1) if line.strip() and not line.startswith(_HEADINGS)
    ]
    for line, fields in rows:
        if len(fields) >= 6 and fields[3] == fields[0] and fields[4].isdigit() and fields[5].isdigit():
            remedy = "write one fragment per row: chrom, start of the first read, end of the second"
            raise FileFormatError("the rows hold two reads each, not a fragment", path=path, line=line, remedy=remedy)
    if rows and all(len(fields) >= 6 and fields[5].strip() in (b"+", b"-") for _, fields in rows):
        remedy = "write one fragment per row: chrom, start of the first read, end of the second; or give the BAM itself"
        raise FileFormatError("the rows hold single reads, not fragments", path=path, line=rows[0][0], remedy=remedy)
    fourth = [fields[3].strip() if len(fields) > 3 else b"" for _, fields in rows]
    if any(map(_DECIMAL.fullmatch, fourth)) and all(map(_NUMBER.fullmatch, fourth)):
        problem = "the fourth column holds values, as in a bedGraph: these are no fragments"
        raise FileFormatError(problem, path=path, line=rows[0][0], remedy="name it .bedgraph")


class Alignments(Cuts):
    """Reads of a BAM or CRAM file: one cut at the 5' end of each primary, mapped, unique read, shifted for Tn5."""

    def __init__(
        self,
        path: PathLike,
        genome: Genome | None,
        smoothing: int,
        half: int | None,
        shift: tuple[int, int],
        min_mapq: int,
    ) -> None:
        super().__init__(path, genome)
        self.smoothing = smoothing
        with alignment_file(path, named=half is not None) as handle:
            sizes = dict(zip(handle.references, handle.lengths, strict=True))
            # Before the reads, which take minutes: a file of another assembly is refused at once.
            known = self._known(sizes, genome)
            names = same_sizes(sizes, known, genome, path)
            with quiet():
                found, halves, removed = _read_cuts(handle, path, shift, min_mapq, halved=half is not None)
        if genome is not None:
            # A second genome in the header, such as a spike-in, is no fault as long as few reads lie on it.
            counts = {name: len(found.get(name, ())) for name in sizes if name in known or name in found}
            reconcile(counts, genome.sizes, path, unit="reads")
        self.rows = rows = sum(map(len, found.values())) + sum(removed.values())
        self._sizes = {new: sizes[old] for old, new in names.items()}
        self._cuts = {new: np.zeros(0, dtype=np.int64) for new in names.values()}
        for old, cuts in found.items():
            if old not in names:
                removed["unknown_sequence"] += len(cuts)
                continue
            within = (cuts >= 0) & (cuts < sizes[old])
            removed["outside"] += int((~within).sum())
            if half is not None:
                other = within & (halves[old] != half)
                removed["other_half"] += int(other.sum())
                within &= ~other
            self._cuts[names[old]] = np.sort(cuts[within])
        self.removed = {rule: count for rule, count in removed.items() if count}
        self.kept = sum(map(len, self._cuts.values()))
        self.chroms = self._cuts
        _refuse_empty(self.kept, rows, self.removed, path)

    def _known(self, sizes: dict[str, int], genome: Genome | None) -> dict[str, str]:
        """Names of the header that the genome has, in its naming; where it has none of them, a NamingError."""
        if genome is None:
            return {name: name for name in sizes}
        known = translate(sizes, genome.sizes)
        renaming = reconcile({name: sizes[name] for name in known or sizes}, genome.sizes, self.path, unit="bp")
        self.renamed = renaming.renamed
        return renaming.names


def _refuse_empty(kept: int, rows: int, removed: Mapping[str, int], path: PathLike) -> None:
    if kept:
        return
    counts = ", ".join(f"{rule} {count}" for rule, count in removed.items())
    raise FileFormatError(
        f"none of {rows} reads is left: {counts}" if rows else "the file holds no reads",
        path=path,
        remedy="give aligned reads; where all have a low mapping quality, lower min_mapq",
    )


def _read_cuts(
    handle: pysam.AlignmentFile, path: PathLike, shift: tuple[int, int], min_mapq: int, *, halved: bool
) -> tuple[dict[str, Ints], dict[str, NDArray[np.int8]], Counter[str]]:
    """Shifted cuts of each sequence in the file's order, their halves if asked for, and the reads that rules remove."""
    cuts = [array("q") for _ in handle.references]
    halves = [array("b") for _ in handle.references]
    removed: Counter[str] = Counter()
    for number, read in enumerate(handle.fetch(until_eof=True), start=1):
        end = read.reference_end
        if end is None or read.reference_id < 0:  # unmapped by its flag, or no alignment or place is stored
            removed["unmapped"] += 1
        elif (rule := _removed_by(read, min_mapq)) is not None:
            removed[rule] += 1
        else:
            place = end - 1 + shift[1] if read.flag & _REVERSE else read.reference_start + shift[0]
            cuts[read.reference_id].append(place)
            if halved:
                halves[read.reference_id].append(_half(read.query_name, path))
        if number % _PROGRESS == 0:
            _log.info("%s: %d reads", path, number)
    return _arrays(handle.references, cuts), _arrays(handle.references, halves), removed


def _arrays(names: Sequence[str], found: Sequence[array]) -> dict[str, NDArray]:
    return {name: np.frombuffer(its, dtype=its.typecode) for name, its in zip(names, found, strict=True) if its}


def _half(name: str | None, path: PathLike) -> int:
    """Half of a read by its name alone, so that mates fall together, in whatever order the file has them."""
    if not name or name == "*":
        remedy = "give a file whose reads have names: those of mates are the same"
        raise FileFormatError("a read has no name, by which mates fall into the same half", path=path, remedy=remedy)
    pair = name[:-2] if name.endswith(("/1", "/2")) else name
    # A bit of a CRC is the parity of some bits of the name, which may hold the place; the product's upper bits are not.
    return (zlib.crc32(pair.encode()) * _MIXER >> 31) & 1


def _removed_by(read: pysam.AlignedSegment, min_mapq: int) -> str | None:
    """The first rule that a mapped read breaks."""
    if read.flag & _ANY_FLAG:
        return next(rule for rule, bit in _FLAGS.items() if read.flag & bit)
    return "low_mapq" if read.mapping_quality < min_mapq else None
