"""All files that the configuration's genome section names, read and brought into the genome's naming."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genocontrast.config import GenomeConfig
from genocontrast.errors import GenocontrastWarning, RegionError
from genocontrast.genome.bedgraph import BedGraph
from genocontrast.genome.bigwig import BigWig
from genocontrast.genome.fasta import Genome
from genocontrast.genome.names import MAX_LOST
from genocontrast.genome.promoters import start_sites, surroundings
from genocontrast.genome.regions import load_regions
from genocontrast.genome.signal import BIGWIG, Signal
from genocontrast.genome.tables import is_annotation, suffix

_PLACES = {"chrom": "object", "start": "int64", "end": "int64"}
_BED3 = list(_PLACES)
_PEAKS = {**_PLACES, "name": "object", "score": "float64", "strand": "object", "summit": "int64"}


class Inputs:
    """The inputs of one data set.

    Parameters
    ----------
    config : GenomeConfig
        The genome section.

    Attributes
    ----------
    genome : Genome
    signal : Signal
    sites : pandas.DataFrame
        Every TSS of the annotation: chrom, start, end, name, score, strand, tss.
    open_chromatin : pandas.DataFrame
        Peaks with `summit`: the centre where a file gives none.
    evidence : pandas.DataFrame
        chrom, start, end, source, kind.
    excluded, annotation : pandas.DataFrame
        chrom, start, end, and source or feature.
    files : list of dict
        role, file, rows, kept and renamed of each file; of a track as evidence rows are its regions.
    paths : dict of str to str
        Path of each file by its role.
    """

    def __init__(self, config: GenomeConfig) -> None:
        self.files: list[dict[str, Any]] = []
        self.paths: dict[str, str] = {}
        self.genome = Genome(config.fasta)
        sequences = len(self.genome.sizes)
        self._record("fasta", config.fasta, rows=sequences, kept=sequences, renamed={})
        promoters = self._read("promoters", config.promoters, config.promoter_features)
        self.sites = start_sites(self._with_strand(promoters, config.promoters), config.promoters, config.tss_position)
        self.signal = open_signal(config, self.genome)
        for path, entry in zip(config.signal, self.signal.files, strict=True):
            self._record("signal", path, **{key: value for key, value in entry.items() if key != "file"})
        self.open_chromatin = self._open_chromatin(config)
        self.excluded = self._excluded(config)
        self.evidence = self._evidence(config)
        self.annotation = self._annotation(config)

    def _record(self, role: str, path: str, **entry: Any) -> None:
        number = sum(known["role"] == role for known in self.files)
        self.paths[f"{role}.{number}" if number else role] = path
        self.files.append({"role": role, "file": Path(path).name, **entry})

    def _read(self, role: str, path: str, features: Sequence[str] | None = None) -> pd.DataFrame:
        found = load_regions(path, self.genome, features)
        self._record(role, path, rows=found.rows, kept=len(found.regions), renamed=found.renamed)
        return found.regions

    def _with_strand(self, regions: pd.DataFrame, path: str) -> pd.DataFrame:
        """Leave a few regions without strand out, as assemblers of transcripts write them; many are refused later."""
        unknown = ~regions["strand"].isin(["+", "-"])
        if not 0 < unknown.sum() <= MAX_LOST * len(regions):
            return regions
        lost = int(unknown.sum())
        self.files[-1] |= {"kept": len(regions) - lost, "removed": {"no_strand": lost}}
        warnings.warn(
            f"{path}: {lost} of {len(regions)} regions have no strand and are left out",
            GenocontrastWarning,
            stacklevel=3,
        )
        return regions[~unknown]

    def _open_chromatin(self, config: GenomeConfig) -> pd.DataFrame:
        parts = [_with_summit(self._read("open_chromatin", path))[list(_PEAKS)] for path in config.open_chromatin]
        return pd.concat(parts, ignore_index=True) if parts else _empty(_PEAKS)

    def _excluded(self, config: GenomeConfig) -> pd.DataFrame:
        parts = [self._read("exclude", path)[_BED3].assign(source=Path(path).name) for path in config.exclude]
        return pd.concat(parts, ignore_index=True) if parts else _empty({**_PLACES, "source": "object"})

    def _evidence(self, config: GenomeConfig) -> pd.DataFrame:
        parts = [self.sites[_BED3].assign(source=_source(config.promoters, config.promoter_features), kind="tss")]
        names: list[str] = []
        for entry in config.evidence:
            if entry.threshold is None:
                regions = self._read("evidence", entry.path, entry.features)
            else:
                regions = self._reaching(entry.path, entry.threshold)
            if entry.only_without_tss:
                known = regions["name"].isin(self.sites["name"]) & (regions["name"] != ".")
                self.files[-1]["with_tss"] = int(known.sum())
                regions = regions[~known]
            around = surroundings(regions, entry.upstream, entry.downstream, self.genome.sizes)
            name = _source(entry.path, entry.features)
            names.append(name)
            # two replicates' peaks.bed in folders of their own, or one file read twice, stay two pieces of evidence
            source = f"{name} ({names.count(name)})" if names.count(name) > 1 else name
            parts.append(around.assign(source=source, kind="evidence"))
        return pd.concat(parts, ignore_index=True)

    def _reaching(self, path: str, threshold: float) -> pd.DataFrame:
        """Runs of bases on which a track reaches a threshold, as regions without name or strand."""
        track = BigWig(path, self.genome) if suffix(path) in BIGWIG else BedGraph(path, self.genome)
        parts, highest = [], -np.inf
        with track.opened() as opened:
            for chrom in (chrom for chrom in self.genome.sizes if chrom in track.chroms):
                starts, ends, top = opened.runs(chrom, threshold)
                highest = max(highest, top)
                parts.append(pd.DataFrame({"chrom": chrom, "start": starts, "end": ends}))
        regions = pd.concat(parts, ignore_index=True).assign(name=".", strand=".")
        if regions.empty:
            remedy = (
                "lower it; a track of the reverse strand may hold negative values, whose sign is then to be changed"
            )
            problem = f"no base reaches the threshold of {threshold:.7g}: this track's highest value is {highest:.7g}"
            raise RegionError(problem, path=path, remedy=remedy)
        self._record("evidence", path, rows=len(regions), kept=len(regions), renamed=track.renamed)
        return regions

    def _annotation(self, config: GenomeConfig) -> pd.DataFrame:
        if config.annotation is None:
            return _empty({**_PLACES, "feature": "object"})
        return self._read("annotation", config.annotation.path, config.annotation.features)[[*_BED3, "feature"]]


def open_signal(config: GenomeConfig, genome: Genome) -> Signal:
    """The accessibility of a data set, as its configuration says."""
    return Signal(config.signal, genome, shift=config.signal_shift, min_mapq=config.signal_min_mapq)


def _empty(types: Mapping[str, str]) -> pd.DataFrame:
    return pd.DataFrame(columns=list(types)).astype(dict(types))


def _source(path: str, features: Sequence[str]) -> str:
    """The name of evidence: its file, and the features taken where it is an annotation."""
    return f"{Path(path).name}:{','.join(features)}" if features and is_annotation(path) else Path(path).name


def _with_summit(regions: pd.DataFrame) -> pd.DataFrame:
    """The centre stands in for a summit that the file does not give."""
    centre = (regions["start"] + regions["end"]) // 2
    summit = regions.get("summit", centre)
    return regions.assign(summit=summit.where(summit >= 0, centre))
