"""Sequencing reads of FASTQ and BAM files as arrays: streamed, filtered, sampled, and every removal counted."""

from __future__ import annotations

import logging
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from genocontrast.artefacts import PathLike, existing
from genocontrast.errors import ConfigError, FileFormatError, GenocontrastWarning
from genocontrast.genome.bam_reads import BAM_RULES, read_bam
from genocontrast.genome.fastq import explain, read_fastq
from genocontrast.genome.read_batches import (
    MAX_PHRED,
    SUPPORTED,
    ReadBatch,
    Selection,
    Tally,
    rebatched,
    select,
    sums,
    taken,
)
from genocontrast.genome.read_summary import summarise
from genocontrast.genome.tables import reading, suffix
from genocontrast.sequence import N_CODE

__all__ = ["ReadBatch", "Reads"]

_log = logging.getLogger(__name__)
_KINDS = {".fastq": "FASTQ", ".fq": "FASTQ", ".bam": "BAM"}
_SAM_HEADERS = (b"@HD\t", b"@SQ\t", b"@RG\t", b"@PG\t", b"@CO\t")
_FASTQ_RULES = ("too_short", "too_long", "too_many_n", "low_quality", "not_sampled")
_SNIFFED_BYTES = 1 << 17
_SECONDS_BETWEEN_LINES = 5.0
_PHRED64_BYTES, _PHRED64_PROOF, _PHRED64_SEEN = (59, 106), 75, 10_000
# The mean of 150 times 0.001 is not 0.001 to the last bit, and a read of Phred 30 throughout has Phred 30.
_ROUNDING = 1e-9


class Reads:
    """The reads of a file, as often as they are asked for, in bounded memory.

    Parameters
    ----------
    path : path
        FASTQ of four lines per read (plain, gzip or bgzip; Phred+33) or BAM, aligned or not. Of a BAM come the
        primary records, duplicates included, in the orientation in which they were sequenced.
    min_length, max_length : int
        Shorter and longer reads are removed, bp. A read without bases is always too short.
    min_quality : float
        Least Phred of the mean error probability, ``-10 log10(mean of 10^(-Q/10))``. This is what the reads'
        errors add up to; it is lower than the mean of the Phred values.
    max_n_fraction : float
        Largest fraction of bases other than A, C, G, T.
    sample : int or float, optional
        Of the reads that pass the filters, exactly so many (all, if there are fewer; the first use reads the file
        twice), or each with this probability if a float between 0 and 1. The choice depends on the seed and on the
        rank among those that pass, and the order of the file is kept.
    seed : int
        Seed of the sample.
    min_mapq : int
        Least mapping quality, BAM only; unaligned reads have 0.

    Attributes
    ----------
    kind : str
        "FASTQ" or "BAM".
    total : int
        Records of the file; 0 before the first complete pass, as are the next.
    removed : dict of str to int
        Records removed by each rule, in the last complete pass. A record counts for the first rule that it breaks:
        secondary, supplementary, qc_fail, low_mapq (BAM), too_short, too_long, too_many_n, low_quality, not_sampled.

    Raises
    ------
    FileFormatError
        Where the file is missing, truncated, empty, of another kind or malformed, with its line (BAM: record).
    ConfigError
        For an impossible filter.

    Warns
    -----
    GenocontrastWarning
        Where no read passes the filters, or the qualities look like Phred+64.
    """

    def __init__(
        self,
        path: PathLike,
        *,
        min_length: int = 0,
        max_length: int | None = None,
        min_quality: float = 0.0,
        max_n_fraction: float = 1.0,
        sample: float | None = None,
        seed: int = 0,
        min_mapq: int = 0,
    ) -> None:
        _check_range("min_length", min_length, 0, np.inf)
        _check_range("max_length", max_length, max(min_length, 1), np.inf)
        _check_range("min_quality", min_quality, 0, MAX_PHRED)
        _check_range("max_n_fraction", max_n_fraction, 0, 1)
        _check_seed(seed)
        _check_range("min_mapq", min_mapq, 0, 255)
        _check_sample(sample)
        self.path, self.kind = Path(path), _kind(path)
        if self.kind == "FASTQ" and min_mapq:
            raise ConfigError("FASTQ has no mapping quality", path=path, value=min_mapq, remedy="leave out min_mapq")
        self._min_length, self._max_length = max(min_length, 1), np.inf if max_length is None else max_length
        self._min_quality, self._max_n_fraction, self._min_mapq = min_quality, max_n_fraction, min_mapq
        self._fraction = sample if isinstance(sample, float) else None
        self._number = None if sample is None or isinstance(sample, float) else int(sample)
        self._seed = seed
        self._selection: Selection | None = None
        self.total = 0
        self.removed = dict.fromkeys(_FASTQ_RULES if self.kind == "FASTQ" else (*BAM_RULES, *_FASTQ_RULES), 0)

    def __repr__(self) -> str:
        return f"Reads({self.path.name!r}: {self.kind})"

    def batches(self, bases: int = 1 << 24) -> Iterator[ReadBatch]:
        """One pass over the file.

        Parameters
        ----------
        bases : int
            Most bases of a batch; a longer read has a batch of its own. It does not change which reads come.

        Yields
        ------
        ReadBatch
            At least one read each.
        """
        _check_range("bases", bases, 1, np.inf)
        return rebatched(self._chosen(), bases)

    def summary(self) -> dict[str, Any]:
        """Figures of the reads that pass, from one more pass; see `read_summary.summarise` for the keys.

        Returns
        -------
        dict
            As `summarise`, with `total` and `removed` of the pass; fit for JSON.
        """
        figures = summarise(self.batches())
        return {**figures, "total": self.total, "removed": dict(self.removed)}

    def _chosen(self) -> Iterator[ReadBatch]:
        """The sample of the reads that pass, and the counts once the file is read to its end."""
        if self._number is not None and self._selection is None:
            self._selection = select(self._passing(Tally()), self._number, self._seed)
        rng, tally, seen, kept = np.random.default_rng(self._seed), Tally(), 0, 0
        for batch in self._passing(tally):
            keep = np.ones(len(batch), dtype=bool)
            if self._selection is not None:
                keep = self._selection.mask(seen, len(batch))
            elif self._fraction is not None:
                keep = rng.random(len(batch)) < self._fraction
            seen += len(batch)
            kept += int(keep.sum())
            yield taken(batch, keep)
        if self._selection is not None and self._selection.among != seen:
            raise FileFormatError("the file changed between two passes", path=self.path, remedy="read it anew")
        tally.removed["not_sampled"] = seen - kept
        self.removed = {rule: tally.removed[rule] for rule in self.removed}
        self.total = kept + tally.removed.total()
        self._doubt(tally, kept)

    def _passing(self, tally: Tally) -> Iterator[ReadBatch]:
        """The reads that pass the filters, with a line of progress every few seconds."""
        if self.kind == "FASTQ":
            batches = read_fastq(self.path, tally)
        else:
            batches = read_bam(self.path, tally, self._min_mapq, needs_quality=self._min_quality > 0)
        reads, due = 0, time.monotonic() + _SECONDS_BETWEEN_LINES
        for batch in batches:
            reads += len(batch)
            if time.monotonic() >= due:
                _log.info("%s: %s reads so far", self.path.name, f"{reads:,}")
                due = time.monotonic() + _SECONDS_BETWEEN_LINES
            yield self._filtered(batch, tally.removed)
        if not reads + tally.removed.total():
            raise FileFormatError("the file holds no reads", path=self.path, remedy=SUPPORTED)

    def _filtered(self, batch: ReadBatch, removed: Counter[str]) -> ReadBatch:
        lengths = np.diff(batch.offsets)
        n_fraction = sums(batch.codes == N_CODE, batch.offsets) / np.maximum(lengths, 1)
        keep = np.ones(len(batch), dtype=bool)
        for rule, broken in {
            "too_short": lengths < self._min_length,
            "too_long": lengths > self._max_length,
            "too_many_n": n_fraction > self._max_n_fraction,
            "low_quality": batch.quality < self._min_quality - _ROUNDING,
        }.items():
            removed[rule] += int((keep & broken).sum())
            keep &= ~broken
        return taken(batch, keep)

    def _doubt(self, tally: Tally, kept: int) -> None:
        """Warn of a pass that can hardly be what was meant."""
        if not kept:
            went = ", ".join(f"{rule} {number:,}" for rule, number in self.removed.items() if number)
            warnings.warn(f"{self.path}: no read is left ({went})", GenocontrastWarning, stacklevel=2)
        lowest, highest = _PHRED64_BYTES
        if tally.qualities >= _PHRED64_SEEN and tally.lowest >= lowest and _PHRED64_PROOF < tally.highest <= highest:
            message = (
                f"{self.path}: all qualities lie between {chr(tally.lowest)!r} and {chr(tally.highest)!r}, as in old "
                "Phred+64 files; they were read as Phred+33 (if they are Phred+64: seqtk seq -VQ64)"
            )
            warnings.warn(message, GenocontrastWarning, stacklevel=2)


def _check_range(name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:
        limits = f"at least {least}" if most == np.inf else f"between {least} and {most}"
        raise ConfigError(f"{name} must be {limits}", value=value)


def _check_seed(seed: int) -> None:
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
        raise ConfigError("the seed must be a whole number, at least 0", value=seed)


def _check_sample(sample: float | None) -> None:
    whole = isinstance(sample, int | np.integer) and not isinstance(sample, bool) and sample >= 1
    if not (sample is None or whole or (isinstance(sample, float) and 0 < sample < 1)):
        raise ConfigError("sample is neither a number of reads nor a fraction between 0 and 1", value=sample)


def _kind(path: PathLike) -> str:
    """FASTQ or BAM, by content; where the name says otherwise, or it is neither, a FileFormatError."""
    if Path(path).is_dir():
        raise FileFormatError("a folder, not a file", path=path, remedy=SUPPORTED)
    with reading(existing(path)) as handle:
        # More than the first block of a BAM: pysam complains on standard error where that one is damaged.
        start = handle.read(_SNIFFED_BYTES)[:4]
    if not start:
        raise FileFormatError("the file is empty", path=path, remedy=SUPPORTED)
    if start in _SAM_HEADERS or start == b"CRAM":
        problem = "CRAM is not read" if start == b"CRAM" else "SAM text is not read"
        raise FileFormatError(problem, path=path, remedy="convert it: samtools view -b -o reads.bam")
    held = {b"@": "FASTQ", b"B": "BAM" if start == b"BAM\1" else None}.get(start[:1])
    named = _KINDS.get(suffix(path))
    if named == "BAM" and held is None:
        raise FileFormatError("not a BAM file", path=path, remedy=SUPPORTED)
    if named == "FASTQ" and held is None:
        with reading(path) as handle:
            raise explain(path, handle.read(_SNIFFED_BYTES).split(b"\n"), 1)
    if held is None:
        raise FileFormatError("unknown kind of reads", path=path, value=start, remedy=SUPPORTED)
    if named not in (None, held):
        raise FileFormatError(f"named as {named}, but it holds {held}", path=path, remedy="rename it")
    return held
