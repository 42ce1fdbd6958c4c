"""The reads of BAM files, as they were sequenced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pysam
from numpy.typing import NDArray

from genocontrast.errors import FileFormatError
from genocontrast.genome.alignments import alignment_file, quiet
from genocontrast.genome.read_batches import MAX_PHRED, TRANSLATION, ReadBatch, Tally, phred

BAM_RULES = ("secondary", "supplementary", "qc_fail", "low_mapq")
_BLOCK = 1 << 22
"""Bases that are parsed at a time."""
_MOST_RECORDS = 100_000
_MISSING = 255
"""What BAM stores in place of a quality that is not known."""


def read_bam(path: Path, tally: Tally, min_mapq: int, *, needs_quality: bool) -> Iterator[ReadBatch]:
    """The primary reads of a BAM file, in blocks; alignments of other kinds are counted."""
    with alignment_file(path) as handle:
        primary = _primary(handle, tally.removed, min_mapq)
        while True:
            # Not around the yield: what the caller does meanwhile may well be told.
            with quiet():
                block = _bam_block(primary)
            if not block:
                return
            yield _bam_batch(path, block, needs_quality)


def _primary(
    alignments: Iterable[pysam.AlignedSegment], removed: Counter[str], min_mapq: int
) -> Iterator[tuple[int, pysam.AlignedSegment]]:
    for number, record in enumerate(alignments, start=1):
        broken = (record.is_secondary, record.is_supplementary, record.is_qcfail, record.mapping_quality < min_mapq)
        rule = next((rule for rule, does in zip(BAM_RULES, broken, strict=True) if does), None)
        if rule is None:
            yield number, record
        else:
            removed[rule] += 1


class _BamRead(NamedTuple):
    number: int
    name: str
    sequence: str
    quality: bytes | None


def _bam_block(primary: Iterator[tuple[int, pysam.AlignedSegment]]) -> list[_BamRead]:
    """The next reads, as they were sequenced."""
    block: list[_BamRead] = []
    bases = 0
    for number, record in primary:
        # Of the qualities only the mean is asked for, which has no direction.
        sequence, quality = record.get_forward_sequence() or "", record.query_qualities
        stored = None if quality is None else bytes(quality)
        block.append(_BamRead(number, record.query_name or "*", sequence, stored))
        bases += len(sequence)
        if bases >= _BLOCK or len(block) >= _MOST_RECORDS:
            break
    return block


def _bam_batch(path: Path, block: list[_BamRead], needs_quality: bool) -> ReadBatch:
    offsets = np.append(0, np.cumsum([len(read.sequence) for read in block]))
    letters = "".join(read.sequence for read in block)
    codes = np.frombuffer(letters.encode("latin-1").translate(TRANSLATION), np.uint8)
    unknown = bytes([_MISSING])
    stored = (unknown * len(read.sequence) if read.quality is None else read.quality for read in block)
    quality = np.frombuffer(b"".join(stored), np.uint8)
    missing = quality == _MISSING
    checks: list[tuple[NDArray[np.bool_], str, Callable[[int], object], str]] = [
        (codes == 255, "not a DNA letter", lambda at: letters[at], "give bases in IUPAC letters"),
        (~missing & (quality > MAX_PHRED), "no Phred quality", lambda at: int(quality[at]), "write the BAM anew"),
        (missing & needs_quality, "the read has no qualities", lambda _: None, "leave out min_quality"),
    ]
    for flawed, problem, value, remedy in checks:
        if flawed.any():
            at = int(flawed.argmax())
            read = block[int(np.searchsorted(offsets, at, side="right")) - 1]
            problem = f"record {read.number} ({read.name}): {problem}"
            raise FileFormatError(problem, path=path, value=value(at), remedy=remedy)
    return ReadBatch([read.name for read in block], codes, offsets, phred(quality, offsets))
