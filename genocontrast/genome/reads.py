"""Sequencing reads of FASTQ and BAM files as arrays: streamed, filtered, sampled, and every removal counted."""

from __future__ import annotations

import logging
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pysam
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike, existing
from genocontrast.errors import ConfigError, FileFormatError, GenocontrastWarning
from genocontrast.genome.read_summary import summarise
from genocontrast.genome.tables import reading, suffixes, truncated
from genocontrast.sequence import ENCODING, N_CODE, Codes

_log = logging.getLogger(__name__)
_KINDS = {".fastq": "FASTQ", ".fq": "FASTQ", ".bam": "BAM"}
_SAM_HEADERS = (b"@HD\t", b"@SQ\t", b"@RG\t", b"@PG\t", b"@CO\t")
_SUPPORTED = "give FASTQ (.fastq, .fq; plain, gzip or bgzip) or BAM (.bam)"
_FOUR_LINES = "a read is four lines: @name, sequence, + and qualities"

_FASTQ_RULES = ("too_short", "too_long", "too_many_n", "low_quality", "not_sampled")
_BAM_RULES = ("secondary", "supplementary", "qc_fail", "low_mapq")

_BLOCK = 1 << 22
"""Bytes of FASTQ, or bases of BAM, that are parsed at a time."""
_LONGEST_RECORD = 1 << 28
_SNIFFED_BYTES = 1 << 17
_MOST_RECORDS = 100_000
_SECONDS_BETWEEN_LINES = 5.0

_PHRED_OFFSET = 33
_MAX_PHRED = 93
_MISSING = 255
"""What BAM stores in place of a quality that is not known."""
_ERROR = np.where(np.arange(256) <= _MAX_PHRED, 10.0 ** (-np.arange(256) / 10), np.nan)
_PHRED64_BYTES, _PHRED64_PROOF, _PHRED64_SEEN = (59, 106), 75, 10_000
# The mean of 150 times 0.001 is not 0.001 to the last bit, and a read of Phred 30 throughout has Phred 30.
_ROUNDING = 1e-9
_TRANSLATION = ENCODING.tobytes()


@dataclass(frozen=True)
class ReadBatch:
    """Reads in the order of their file; read `i` has the bases ``codes[offsets[i]:offsets[i + 1]]``.

    Attributes
    ----------
    names : list of str
        Up to the first space; the two reads of a pair may share one.
    codes : numpy.ndarray of uint8, shape=(total,)
        Integer codes (A C G T N) of all reads, one after the other.
    offsets : numpy.ndarray of int64, shape=(n + 1,)
    quality : numpy.ndarray of float64, shape=(n,)
        Phred of each read's mean error probability; NaN where the file has no qualities.
    """

    names: list[str]
    codes: Codes
    offsets: NDArray[np.int64]
    quality: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.names)


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
        _check_range("min_quality", min_quality, 0, _MAX_PHRED)
        _check_range("max_n_fraction", max_n_fraction, 0, 1)
        _check_range("seed", seed, 0, np.inf)
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
        self._selection: _Selection | None = None
        self.total = 0
        self.removed = dict.fromkeys(_FASTQ_RULES if self.kind == "FASTQ" else (*_BAM_RULES, *_FASTQ_RULES), 0)

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
        return _rebatched(self._chosen(), bases)

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
            self._selection = _select(self._passing(_Tally()), self._number, self._seed)
        rng, tally, seen, kept = np.random.default_rng(self._seed), _Tally(), 0, 0
        for batch in self._passing(tally):
            keep = np.ones(len(batch), dtype=bool)
            if self._selection is not None:
                keep = self._selection.mask(seen, len(batch))
            elif self._fraction is not None:
                keep = rng.random(len(batch)) < self._fraction
            seen += len(batch)
            kept += int(keep.sum())
            yield _taken(batch, keep)
        if self._selection is not None and self._selection.among != seen:
            raise FileFormatError("the file changed between two passes", path=self.path, remedy="read it anew")
        tally.removed["not_sampled"] = seen - kept
        self.removed = {rule: tally.removed[rule] for rule in self.removed}
        self.total = kept + tally.removed.total()
        self._doubt(tally, kept)

    def _passing(self, tally: _Tally) -> Iterator[ReadBatch]:
        """The reads that pass the filters, with a line of progress every few seconds."""
        if self.kind == "FASTQ":
            batches = _read_fastq(self.path, tally)
        else:
            batches = _read_bam(self.path, tally, self._min_mapq, needs_quality=self._min_quality > 0)
        reads, due = 0, time.monotonic() + _SECONDS_BETWEEN_LINES
        for batch in batches:
            reads += len(batch)
            if time.monotonic() >= due:
                _log.info("%s: %s reads so far", self.path.name, f"{reads:,}")
                due = time.monotonic() + _SECONDS_BETWEEN_LINES
            yield self._filtered(batch, tally.removed)
        if not reads + tally.removed.total():
            raise FileFormatError("the file holds no reads", path=self.path, remedy=_SUPPORTED)

    def _filtered(self, batch: ReadBatch, removed: Counter[str]) -> ReadBatch:
        lengths = np.diff(batch.offsets)
        n_fraction = _sums(batch.codes == N_CODE, batch.offsets) / np.maximum(lengths, 1)
        keep = np.ones(len(batch), dtype=bool)
        for rule, broken in {
            "too_short": lengths < self._min_length,
            "too_long": lengths > self._max_length,
            "too_many_n": n_fraction > self._max_n_fraction,
            "low_quality": batch.quality < self._min_quality - _ROUNDING,
        }.items():
            removed[rule] += int((keep & broken).sum())
            keep &= ~broken
        return _taken(batch, keep)

    def _doubt(self, tally: _Tally, kept: int) -> None:
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


@dataclass
class _Tally:
    """What a pass counts on its way."""

    removed: Counter[str] = field(default_factory=Counter)
    qualities: int = 0
    lowest: int = 255
    highest: int = 0


def _check_range(name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:
        limits = f"at least {least}" if most == np.inf else f"between {least} and {most}"
        raise ConfigError(f"{name} must be {limits}", value=value)


def _check_sample(sample: float | None) -> None:
    whole = isinstance(sample, int | np.integer) and not isinstance(sample, bool) and sample >= 1
    if not (sample is None or whole or (isinstance(sample, float) and 0 < sample < 1)):
        raise ConfigError("sample is neither a number of reads nor a fraction between 0 and 1", value=sample)


def _kind(path: PathLike) -> str:
    """FASTQ or BAM, by content; where the name says otherwise, or it is neither, a FileFormatError."""
    if Path(path).is_dir():
        raise FileFormatError("a folder, not a file", path=path, remedy=_SUPPORTED)
    with reading(existing(path)) as handle:
        # More than the first block of a BAM: pysam complains on standard error where that one is damaged.
        start = handle.read(_SNIFFED_BYTES)[:4]
    if not start:
        raise FileFormatError("the file is empty", path=path, remedy=_SUPPORTED)
    if start in _SAM_HEADERS or start == b"CRAM":
        problem = "CRAM is not read" if start == b"CRAM" else "SAM text is not read"
        raise FileFormatError(problem, path=path, remedy="convert it: samtools view -b -o reads.bam")
    held = {b"@": "FASTQ", b"B": "BAM" if start == b"BAM\1" else None}.get(start[:1])
    named = _KINDS.get("".join(suffixes(path)[-1:]))
    if named == "BAM" and held is None:
        raise FileFormatError("not a BAM file", path=path, remedy=_SUPPORTED)
    if named == "FASTQ" and held is None:
        with reading(path) as handle:
            raise _explain(path, handle.read(_SNIFFED_BYTES).split(b"\n"), 1)
    if held is None:
        raise FileFormatError("unknown kind of reads", path=path, value=start, remedy=_SUPPORTED)
    if named not in (None, held):
        raise FileFormatError(f"named as {named}, but it holds {held}", path=path, remedy="rename it")
    return held


def _read_fastq(path: Path, tally: _Tally) -> Iterator[ReadBatch]:
    """All reads of a FASTQ file, in blocks; the first read that is malformed raises, with its line."""
    rest, line = b"", 1
    with reading(path) as handle:
        while True:
            more = handle.read(max(_BLOCK, len(rest)))
            text = rest + more
            lines = text.split(b"\n")
            if not more and lines[-1]:
                lines.append(b"")
            complete = _complete(lines)
            if complete:
                batch = _parse(lines[:complete], tally)
                if batch is None:
                    raise _explain(path, lines[:complete], line)
                yield batch
            rest, line = b"\n".join(lines[complete:]), line + complete
            if not more and rest.strip(b"\n"):
                raise _explain(path, lines[complete:-1], line)
            if not more:
                return
            if len(rest) > _LONGEST_RECORD:
                problem = f"no read ends within {_LONGEST_RECORD >> 20} MiB"
                raise FileFormatError(problem, path=path, line=line, remedy=_FOUR_LINES)


def _complete(lines: list[bytes]) -> int:
    """How many lines belong to complete records; the last is what follows the last line end, blank ones are none."""
    complete = (len(lines) - 1) // 4 * 4
    headers = lines[:complete:4]
    if b"" in headers:
        first = 4 * headers.index(b"")
        if not any(lines[first:]):
            return first
    return complete


def _parse(lines: list[bytes], tally: _Tally) -> ReadBatch | None:
    """Complete records, or None where one is malformed and `_explain` must say how."""
    headers, sequences, pluses, qualities = (lines[row::4] for row in range(4))
    lengths = [len(sequence) for sequence in sequences]
    letters, quality = b"".join(sequences), np.frombuffer(b"".join(qualities), np.uint8)
    codes = letters.translate(_TRANSLATION)
    lowest, highest = int(quality.min(initial=255)), int(quality.max(initial=0))
    if (
        any(header[:1] != b"@" or not header[1:2].strip() or b"\r" in header for header in headers)
        or any(plus != b"+" and not _repeats(plus, header) for plus, header in zip(pluses, headers, strict=True))
        or lengths != [len(line) for line in qualities]
        or b"\xff" in codes
        or lowest < _PHRED_OFFSET
        or highest > _PHRED_OFFSET + _MAX_PHRED
    ):
        return None
    tally.qualities += len(quality)
    tally.lowest, tally.highest = min(tally.lowest, lowest), max(tally.highest, highest)
    offsets = np.append(0, np.cumsum(lengths))
    names = [header[1:].split(None, 1)[0].decode("utf-8", "replace") for header in headers]
    return ReadBatch(names, np.frombuffer(codes, np.uint8), offsets, _phred(quality - _PHRED_OFFSET, offsets))


def _repeats(plus: bytes, header: bytes) -> bool:
    """Whether a '+' line repeats the '@' line or its name."""
    return plus[:1] == b"+" and plus[1:] in (header[1:], header[1:].split(None, 1)[0])


def _explain(path: PathLike, lines: Sequence[bytes], first: int) -> FileFormatError:
    """What is wrong in the first malformed record of `lines`; `first` is the line of the file that they begin with."""
    for at in range(0, len(lines), 4):
        flaw = _flaw(lines[at : at + 4])
        if flaw is not None:
            row, problem, value, remedy = flaw
            return FileFormatError(problem, path=path, line=first + at + row, value=value, remedy=remedy)
    return FileFormatError("not readable as FASTQ", path=path, line=first, remedy=_FOUR_LINES)


_Flaw = tuple[int, str, str | None, str]


def _flaw(record: Sequence[bytes]) -> _Flaw | None:
    """Row within the record, problem, value and remedy; None for a sound record."""
    for row, line in enumerate(record):
        if b"\r" in line:
            return row, "the line ends as on Windows (CRLF)", None, "convert it with dos2unix"
    return _header_flaw(record[0]) or _sequence_flaw(record) or _quality_flaw(record)


def _shown(line: bytes) -> str:
    return line[:30].decode("ascii", "replace")


def _header_flaw(header: bytes) -> _Flaw | None:
    if not header:
        return 0, "an empty line in place of a read's '@name'", None, "remove it"
    if header[:1] == b">":
        return 0, "a FASTA record: it has no qualities", _shown(header), _SUPPORTED
    if header[:1] != b"@":
        return 0, "the read's first line does not begin with '@'", _shown(header), _FOUR_LINES
    if not header[1:2].strip():
        return 0, "the read has no name", None, "name it right after '@'"
    return None


def _sequence_flaw(record: Sequence[bytes]) -> _Flaw | None:
    sequence, plus = record[1] if len(record) > 1 else b"", record[2] if len(record) > 2 else b"+"
    column = _first_foreign(sequence)
    if column is not None:
        problem, remedy = f"not a DNA letter, column {column + 1}", "give DNA in IUPAC letters; N is an unknown base"
        return 1, problem, _shown(sequence[column : column + 1]), remedy
    if plus[:1] == b"+":
        return None
    if plus and _first_foreign(plus) is None:
        problem = "the sequence goes on in a second line, or the '+' line is missing"
        return 2, problem, _shown(plus), f"{_FOUR_LINES}; seqtk seq -l0 joins longer records"
    return 2, "the '+' line is missing", _shown(plus), _FOUR_LINES


def _first_foreign(sequence: bytes) -> int | None:
    foreign = np.flatnonzero(ENCODING[np.frombuffer(sequence, np.uint8)] == 255)
    return int(foreign[0]) if len(foreign) else None


def _quality_flaw(record: Sequence[bytes]) -> _Flaw | None:
    if len(record) < 4:
        return 0, "the file ends inside the read that begins here", _shown(record[0]), "copy or download it again"
    header, sequence, plus, quality = record
    if len(plus) > 1 and not _repeats(plus, header):
        return 2, "the '+' line names another read than the '@' line", _shown(plus), _FOUR_LINES
    if len(sequence) != len(quality):
        problem = f"{len(sequence)} bases but {len(quality)} qualities"
        return 3, problem, None, f"{_FOUR_LINES}; the file may be cut or damaged"
    for column, byte in enumerate(quality, start=1):
        if not 0 <= byte - _PHRED_OFFSET <= _MAX_PHRED:
            problem = f"not a Phred+33 quality ('!' to '~'), column {column}"
            return 3, problem, _shown(bytes([byte])), "give Phred+33 qualities"
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """The messages of htslib on standard error would say the same as our errors, less well."""
    verbosity = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(verbosity)


def _read_bam(path: Path, tally: _Tally, min_mapq: int, *, needs_quality: bool) -> Iterator[ReadBatch]:
    """The primary reads of a BAM file, in blocks; alignments of other kinds are counted."""
    try:
        with _quiet():
            handle = pysam.AlignmentFile(str(path), "rb", check_sq=False)
        with handle:
            primary = _primary(handle, tally.removed, min_mapq)
            while True:
                with _quiet():
                    block = _bam_block(primary)
                if not block:
                    return
                yield _bam_batch(path, block, needs_quality)
    except (OSError, ValueError, NotImplementedError):
        raise truncated(path) from None


def _primary(
    alignments: Iterable[pysam.AlignedSegment], removed: Counter[str], min_mapq: int
) -> Iterator[tuple[int, pysam.AlignedSegment]]:
    for number, record in enumerate(alignments, start=1):
        broken = (record.is_secondary, record.is_supplementary, record.is_qcfail, record.mapping_quality < min_mapq)
        rule = next((rule for rule, does in zip(_BAM_RULES, broken, strict=True) if does), None)
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
    codes = np.frombuffer(letters.encode("latin-1").translate(_TRANSLATION), np.uint8)
    unknown = bytes([_MISSING])
    stored = (unknown * len(read.sequence) if read.quality is None else read.quality for read in block)
    quality = np.frombuffer(b"".join(stored), np.uint8)
    missing = quality == _MISSING
    checks: list[tuple[NDArray[np.bool_], str, Callable[[int], object], str]] = [
        (codes == 255, "not a DNA letter", lambda at: letters[at], "give bases in IUPAC letters"),
        (~missing & (quality > _MAX_PHRED), "no Phred quality", lambda at: int(quality[at]), "write the BAM anew"),
        (missing & needs_quality, "the read has no qualities", lambda _: None, "leave out min_quality"),
    ]
    for flawed, problem, value, remedy in checks:
        if flawed.any():
            at = int(flawed.argmax())
            read = block[int(np.searchsorted(offsets, at, side="right")) - 1]
            problem = f"record {read.number} ({read.name}): {problem}"
            raise FileFormatError(problem, path=path, value=value(at), remedy=remedy)
    return ReadBatch([read.name for read in block], codes, offsets, _phred(quality, offsets))


def _sums(values: NDArray, offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum of each read's values, shape=(n,); 0 for a read without bases."""
    sums = np.zeros(len(offsets) - 1)
    filled = np.diff(offsets) > 0
    if filled.any():
        sums[filled] = np.add.reduceat(values, offsets[:-1][filled], dtype=np.float64)
    return sums


def _phred(quality: Codes, offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Phred of each read's mean error probability, shape=(n,); NaN without bases or qualities."""
    lengths = np.diff(offsets)
    mean = np.full(len(lengths), np.nan)
    np.divide(_sums(_ERROR[quality], offsets), lengths, out=mean, where=lengths > 0)
    return -10 * np.log10(mean) + 0.0


def _taken(batch: ReadBatch, keep: NDArray[np.bool_]) -> ReadBatch:
    """The reads where `keep`, shape=(n,), is true."""
    if keep.all():
        return batch
    lengths = np.diff(batch.offsets)
    return ReadBatch(
        [batch.names[row] for row in np.flatnonzero(keep).tolist()],
        batch.codes[np.repeat(keep, lengths)],
        np.append(0, np.cumsum(lengths[keep])),
        batch.quality[keep],
    )


def _rebatched(batches: Iterable[ReadBatch], bases: int) -> Iterator[ReadBatch]:
    """The same reads in batches of as many as fit."""
    held: list[ReadBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(int(part.offsets[-1]) for part in held) <= bases:
            continue
        whole, start = _concatenated(held), 0
        while whole.offsets[-1] - whole.offsets[start] > bases:
            fits = int(np.searchsorted(whole.offsets, whole.offsets[start] + bases, side="right")) - 1
            end = max(fits, start + 1)
            yield _part(whole, start, end)
            start = end
        held = [_part(whole, start, len(whole))]
    last = _concatenated(held)
    if len(last):
        yield last


def _concatenated(batches: Sequence[ReadBatch]) -> ReadBatch:
    lengths = [np.diff(batch.offsets) for batch in batches]
    return ReadBatch(
        [name for batch in batches for name in batch.names],
        np.concatenate([np.zeros(0, np.uint8), *(batch.codes for batch in batches)]),
        np.cumsum(np.concatenate([np.zeros(1, np.int64), *lengths])),
        np.concatenate([np.zeros(0), *(batch.quality for batch in batches)]),
    )


def _part(batch: ReadBatch, start: int, end: int) -> ReadBatch:
    """Reads [start, end), copied so that the rest can be freed."""
    offsets = batch.offsets[start : end + 1]
    codes = batch.codes[offsets[0] : offsets[-1]].copy()
    return ReadBatch(batch.names[start:end], codes, offsets - offsets[0], batch.quality[start:end].copy())


@dataclass(frozen=True)
class _Selection:
    """Ranks of the chosen reads, in order, among so many that pass the filters."""

    ranks: NDArray[np.int64]
    among: int

    def mask(self, seen: int, number: int) -> NDArray[np.bool_]:
        """Which of the next reads are chosen, shape=(number,)."""
        chosen = np.zeros(number, dtype=bool)
        first, last = np.searchsorted(self.ranks, [seen, seen + number])
        chosen[self.ranks[first:last] - seen] = True
        return chosen


def _select(batches: Iterable[ReadBatch], number: int, seed: int) -> _Selection:
    """Choose reads uniformly: each draws a key, and the smallest keys win; memory grows with `number` alone."""
    rng = np.random.default_rng(seed)
    keys, ranks, seen = np.zeros(0), np.zeros(0, np.int64), 0
    for batch in batches:
        keys = np.append(keys, rng.random(len(batch)))
        ranks = np.append(ranks, np.arange(seen, seen + len(batch)))
        seen += len(batch)
        if len(keys) > number:
            smallest = np.argpartition(keys, number - 1)[:number]
            keys, ranks = keys[smallest], ranks[smallest]
    return _Selection(np.sort(ranks), seen)
