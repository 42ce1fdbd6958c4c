"""Chromosome names of one file in the naming of the genome: chr1, 1, chrI, I; chrM, MT, chrmt, Mito."""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from genocontrast.artefacts import PathLike
from genocontrast.errors import GenocontrastWarning, NamingError

MAX_LOST = 0.1
"""A file of which a larger share lies on no sequence of the genome is refused."""
_MITOCHONDRION = {"M", "MT", "MITO", "MTDNA", "MITOCHONDRION", "MITOCHONDRION_GENOME"}
_PLASTID = {"C", "PT", "PLTD", "PLASTID", "CHLOROPLAST"}
_ROMAN = re.compile(r"X{0,3}(?:IX|IV|V?I{0,3})")
_VALUES = {"I": 1, "V": 5, "X": 10}


@dataclass(frozen=True)
class Renaming:
    """How the names of one file read in the genome's naming.

    Attributes
    ----------
    names : dict of str to str
        Every name of the file that the genome has, under any spelling, to the genome's name.
    dropped : dict of str to int
        Names that the genome lacks, with their numbers of rows.
    """

    names: dict[str, str]
    dropped: dict[str, int]

    @property
    def renamed(self) -> dict[str, str]:
        """Only the names that change."""
        return {old: new for old, new in self.names.items() if old != new}


def _stem(name: str) -> str:
    """Upper-case name without its `chr` and leading zeros; one spelling for the mitochondrion, one for the plastid."""
    stem = re.sub(r"^chr(omosome)?_?(?=.)", "", name, flags=re.IGNORECASE).upper().lstrip("0")
    return "MT" if stem in _MITOCHONDRION else "PT" if stem in _PLASTID else stem


def _number(stem: str) -> str:
    """The Arabic form of a Roman numeral; anything else as it is."""
    if not stem or not _ROMAN.fullmatch(stem):
        return stem
    values = [_VALUES[letter] for letter in stem]
    following = [*values[1:], 0]
    return str(sum(-value if value < after else value for value, after in zip(values, following, strict=True)))


def _is_roman(names: Iterable[str]) -> bool:
    """Whether a set of names counts in Roman numerals. X alone is a sex chromosome, and digits rule it out."""
    stems = {_stem(name) for name in names}
    numerals = {stem for stem in stems if stem and _ROMAN.fullmatch(stem)}
    return bool(numerals - {"X"}) and not any(stem.isdigit() for stem in stems)


def _index(names: Iterable[str], roman: bool) -> dict[str, list[str]]:
    index: dict[str, list[str]] = defaultdict(list)
    for name in names:
        index[_number(_stem(name)) if roman else _stem(name)].append(name)
    return index


def _candidates(names: Iterable[str], known: Iterable[str]) -> dict[str, list[str]]:
    """What each name may be: the same name, else those of the same stem, else those of the same number."""
    names, known = list(names), list(known)
    stems, numbers = _index(known, roman=False), _index(known, roman=_is_roman(known))
    roman = _is_roman(names)
    exact = set(known)

    def found(name: str) -> list[str]:
        stem = _stem(name)
        # A stem decides before a number does: X is the genome's chrX where it has one, ten only where it has not.
        return [name] if name in exact else stems.get(stem) or numbers.get(_number(stem) if roman else stem, [])

    return {name: found(name) for name in names}


def translate(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Names that can mean exactly one of the known sequences, with that sequence."""
    return {name: found[0] for name, found in _candidates(names, known).items() if len(found) == 1}


def _match(counts: Mapping[str, int], known: list[str], path: PathLike) -> dict[str, str]:
    """The one sequence that each name means; names without any are left out, one with several is refused."""
    candidates = _candidates(counts, known)
    for name, found in candidates.items():
        if len(found) > 1:
            raise NamingError(
                f"{name!r} may be {' or '.join(found)} of the genome", path=path, remedy="use the genome's own names"
            )
    mapping = {name: found[0] for name, found in candidates.items() if found}
    # hg19 has chrM and chrMT: beside the genome's own name, another spelling of it is another sequence.
    return {name: new for name, new in mapping.items() if name == new or new not in counts or _stem(name) != "MT"}


def _refuse_merging(mapping: Mapping[str, str], path: PathLike) -> None:
    sources = defaultdict(list)
    for old, new in mapping.items():
        sources[new].append(old)
    for new, olds in sources.items():
        if len(olds) > 1:
            raise NamingError(
                f"{' and '.join(map(repr, sorted(olds)))} of this file both read as {new!r} of the genome",
                path=path,
                remedy="the file mixes two namings or belongs to another genome; give it one naming",
            )


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:5]) + (f" ... ({len(listed)} in all)" if len(listed) > 5 else "")


def reconcile(counts: Mapping[str, int], known: Iterable[str], path: PathLike, unit: str = "rows") -> Renaming:
    """Read a file's chromosome names in the genome's naming.

    Parameters
    ----------
    counts : mapping of str to int
        Names of the file and how many rows (or bp, see `unit`) each has.
    known : iterable of str
        Names of the genome's sequences.
    path : path
        The file, for messages.
    unit : str
        What `counts` counts, for messages.

    Returns
    -------
    Renaming

    Warns
    -----
    GenocontrastWarning
        Where at most a tenth of the rows lies on sequences that the genome lacks: they are dropped.

    Raises
    ------
    NamingError
        Where more than a tenth does, or where a name could mean two sequences.
    """
    known = list(known)
    mapping = _match(counts, known, path)
    _refuse_merging(mapping, path)
    dropped = {name: int(count) for name, count in counts.items() if name not in mapping}
    total, lost = sum(counts.values()), sum(dropped.values())
    if lost > MAX_LOST * total:
        raise NamingError(
            f"{lost} of {total} {unit} lie on sequences that the genome does not have; "
            f"this file says {_some(dropped)}; the genome says {_some(known)}",
            path=path,
            remedy="take both files from one assembly, or rename the sequences of one of them",
        )
    if dropped:
        message = f"{path}: {lost} of {total} {unit} dropped, on sequences that the genome lacks: {_some(dropped)}"
        warnings.warn(message, GenocontrastWarning, stacklevel=3)
    return Renaming(mapping, dropped)
