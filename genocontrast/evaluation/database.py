"""Known motifs: reading them, naming learned ones by them, and writing motifs in MEME's minimal format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike, atomic, existing
from genocontrast.errors import FileFormatError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class KnownMotif:
    """A motif of the database: identifier, name (the factor) and probabilities of A, C, G, T, shape=(length, 4)."""

    identifier: str
    name: str
    matrix: Floats

    @property
    def label(self) -> str:
        """Name and, where it differs, identifier."""
        return self.name if self.name == self.identifier else f"{self.name} ({self.identifier})"


def shipped_database() -> Path:
    """The motifs that come with the package: JASPAR's of vertebrates, to name learned ones by."""
    return _resource("jaspar_vertebrates.meme")


def shipped_selection() -> Path:
    """A few motifs of different families that come with the package: those of the simulated genome, and some more."""
    return _resource("jaspar.meme")


def _resource(name: str) -> Path:
    return Path(str(resources.files("genocontrast") / "resources" / name))


def read_motifs(path: PathLike) -> list[KnownMotif]:
    """Read motifs in MEME's minimal or JASPAR's format.

    Raises
    ------
    FileFormatError
        Where the file is neither, or holds no motif.
    """
    from Bio import motifs

    text = existing(path).read_text(errors="replace")
    meme = text.lstrip().startswith("MEME")
    with open(path) as handle:
        try:
            records = motifs.parse(handle, "minimal" if meme else "jaspar")
        except (ValueError, IndexError, KeyError) as error:
            raise FileFormatError(
                f"not a motif file: {error}", path=path, remedy="give MEME minimal or JASPAR format"
            ) from None
    if not records:
        raise FileFormatError("the file holds no motif", path=path, remedy="give MEME minimal or JASPAR format")
    factors = _meme_names(text) if meme else {}
    return [
        KnownMotif(identifier, factors.get(identifier) or record.name, _matrix(record))
        for record in records
        for identifier in [record.name if meme else record.matrix_id]
    ]


def _meme_names(text: str) -> dict[str, str]:
    """Second names on MOTIF lines, which Biopython does not keep."""
    lines = [line.split() for line in text.splitlines() if line.startswith("MOTIF")]
    return {words[1]: " ".join(words[2:]) for words in lines if len(words) > 2}


def _matrix(record: object) -> Floats:
    counts = np.array([list(record.counts[base]) for base in "ACGT"], dtype=np.float64).T  # type: ignore[attr-defined]
    return (counts + 1e-6) / (counts + 1e-6).sum(1, keepdims=True)


def similarity(one: Floats, other: Floats) -> float:
    """Pearson correlation of two probability matrices at their best offset and orientation.

    Columns beyond either motif's end count as uniform, so that a short overlap scores low.
    """
    length, query = len(one), (one - 0.25).ravel()
    best = -1.0
    for turned in (other, other[::-1, ::-1]):
        padded = np.pad(turned - 0.25, ((length - 1, length - 1), (0, 0)))
        # every offset at which the two overlap
        places = sliding_window_view(padded, length, axis=0).transpose(0, 2, 1).reshape(-1, 4 * length)
        size = float(np.sqrt((query**2).sum() * ((turned - 0.25) ** 2).sum()))
        best = max(best, float((places @ query).max()) / max(size, 1e-12))
    return best


def write_meme(path: PathLike, motifs: Sequence[tuple[str, str | None, Floats, int]], background: Floats) -> None:
    """Write motifs (identifier, name, probabilities, sites) in MEME's minimal format, atomically."""
    frequencies = " ".join(f"{base} {share:.5f}" for base, share in zip("ACGT", background, strict=True))
    blocks = [f"MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n\nBackground letter frequencies\n{frequencies}\n"]
    for identifier, name, matrix, sites in motifs:
        rows = "\n".join(" ".join(f"{value:.6f}" for value in row) for row in matrix)
        title = identifier if name is None else f"{identifier} {name.replace(' ', '_')}"
        blocks.append(
            f"MOTIF {title}\nletter-probability matrix: alength= 4 w= {len(matrix)} nsites= {sites} E= 0\n{rows}\n"
        )
    with atomic(path) as temporary:
        temporary.write_text("\n".join(blocks))
