"""The genome scan of the evaluation stage: the model, a 4-mer model and random positions on the test segments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genocontrast.artefacts import read_parquet, write_json, write_table
from genocontrast.config import Config
from genocontrast.errors import SplitError
from genocontrast.evaluation.baselines import BASELINE_K, kmer_scorer
from genocontrast.evaluation.genome_scan import (
    Score,
    Track,
    called_bases,
    default_stride,
    find_calls,
    places,
    random_tracks,
    scan,
    write_bigwig,
)
from genocontrast.evaluation.scan_figures import (
    at_threshold,
    best_f1,
    distances,
    loci,
    match_calls,
    scan_curve,
    thinned,
)
from genocontrast.evaluation.score_files import bed_rows
from genocontrast.evaluation.scoring import Scorer
from genocontrast.genome.intervals import merge, overlaps
from genocontrast.genome.splits import Splits, read_splits

if TYPE_CHECKING:
    from genocontrast.genome.fasta import Genome
    from genocontrast.training.model import Model

MODEL, RANDOM = "model", "random positions"
VALIDATION_BASES = 20_000_000
"""Bases of the validation split that the threshold is chosen on: more would change it little, and take long."""
_FILES = ("scan.bed", "scan.bw")


@dataclass(frozen=True)
class Landmarks:
    """What calls are compared with.

    Attributes
    ----------
    sites : DataFrame
        chrom, start: every start site, 0-based.
    evidence : DataFrame
        chrom, start, end: further evidence of promoters, where a call without a start site need not be wrong.
    open_chromatin : DataFrame
        chrom, start, end; may be empty.
    """

    sites: pd.DataFrame
    evidence: pd.DataFrame
    open_chromatin: pd.DataFrame


@dataclass(frozen=True)
class Part:
    """The scan of one split by one scorer: its calls and the split's sites, matched, and the size in Mb."""

    calls: pd.DataFrame
    sites: pd.DataFrame
    megabases: float

    @property
    def curve(self) -> pd.DataFrame:
        """Figures over all thresholds."""
        return scan_curve(self.calls, self.sites, self.megabases)


def write_scan(
    folder: Path, model: Model, examples: pd.DataFrame, genome: Genome, config: Config, record: Mapping[str, Any]
) -> None:
    """Write scan.json, scan.bed (the calls) and scan.bw (the scores), or scan.json alone where no scan is wanted."""
    if not config.evaluation.scan:
        for name in _FILES:
            (folder / name).unlink(missing_ok=True)
        reason = "evaluation.scan is false"
        write_json(folder / "scan.json", {"provenance": dict(record), "run": False, "reason": reason})
        return
    results = folder.parent
    splits, marks = read_splits(results / "genome" / "genome.json"), read_landmarks(results / "genome")
    stride = config.evaluation.scan_stride or default_stride(model.width)
    tolerance = max(config.genome.upstream, config.genome.downstream)
    found, calls, tracks = scan_splits(model, examples, genome, splits, marks, stride, tolerance, config.seed)
    write_bigwig(folder / "scan.bw", tracks, genome.sizes)
    named = calls.assign(name=[f"call_{number}" for number in range(1, len(calls) + 1)], probability=calls["score"])
    write_table(folder / "scan.bed", bed_rows(named), header=False)
    write_json(folder / "scan.json", {"provenance": dict(record), "run": True, **found})


def read_landmarks(folder: Path) -> Landmarks:
    """The start sites, further evidence and open chromatin of results/<name>/genome/."""
    evidence = read_parquet(folder / "evidence.parquet")[0]
    is_site = evidence["kind"] == "tss"
    return Landmarks(evidence[is_site], evidence[~is_site], read_parquet(folder / "open_chromatin.parquet")[0])


def scan_splits(
    model: Model,
    examples: pd.DataFrame,
    genome: Genome,
    splits: Splits,
    marks: Landmarks,
    stride: int,
    tolerance: int,
    seed: int,
) -> tuple[dict[str, Any], pd.DataFrame, list[Track]]:
    """Scan the validation segments to choose a threshold, and the test segments to measure it.

    Parameters
    ----------
    model : Model
    examples : DataFrame
        Examples table of one tier: what the 4-mer model is fitted on.
    genome : Genome
    splits : Splits
    marks : Landmarks
    stride : int
        Step between windows, bp.
    tolerance : int
        Largest distance of a call's centre to a start site that it finds, bp. The larger of a promoter's two arms: a
        window so far off still covers half of the promoter's, on whichever strand.
    seed : int
        Of the random positions.

    Returns
    -------
    figures : dict
        What scan.json holds, less its provenance.
    calls : DataFrame
        Calls of the model on the test segments: chrom, start, end, position, score, distance, hit.
    tracks : list of Track
        The model's scores on the test segments.
    """
    scorer = Scorer(model)
    kmers = kmer_scorer(examples, genome.codes(examples, model.width))
    made = {"validation": leading(splits.segments("validation"), VALIDATION_BASES), "test": splits.segments("test")}

    def tracks_of(score: Score, split: str, name: str) -> list[Track]:
        return scan(score, genome, made[split], model.width, stride, f"windows of the {split} split scanned ({name})")

    def part(tracks: list[Track], split: str) -> Part:
        sites = loci(marks.sites, made[split], tolerance)
        if sites.empty:
            raise SplitError(f"no start site lies in the split '{split}'", remedy="set evaluation.scan to false")
        calls = find_calls(tracks)
        return Part(*match_calls(calls, sites, tolerance), called_bases(genome, made[split]) / 1e6)

    found, tested, tracks = [], {}, {}
    for name, score in ((MODEL, scorer), (f"{BASELINE_K}-mer", kmers)):
        threshold = best_f1(part(tracks_of(score, "validation", name), "validation").curve)
        tracks[name] = tracks_of(score, "test", name)
        tested[name] = part(tracks[name], "test")
        found.append({"name": name, **figures(tested[name], threshold, made["test"], marks)})
    anywhere = part(random_tracks(tracks[MODEL], seed), "test")
    as_many = nth_score(anywhere.calls, found[0]["calls"])
    found.append({"name": RANDOM, **figures(anywhere, as_many, made["test"], marks)})
    calls = tested[MODEL].calls
    return (
        {
            "stride": stride,
            "width": model.width,
            "tolerance": tolerance,
            "windows": sum(len(track.scores) for track in tracks[MODEL]),
            "megabases": tested[MODEL].megabases,
            "sites": len(tested[MODEL].sites),
            "loci": int(tested[MODEL].sites["locus"].nunique()),
            "threshold": {"of": "the validation split", "rule": "highest F1"},
            "scorers": found,
        },
        calls[calls["score"] >= found[0]["threshold"]].reset_index(drop=True),
        tracks[MODEL],
    )


def leading(segments: pd.DataFrame, bases: int) -> pd.DataFrame:
    """The first segments up to so many bases together, the last one cut (chrom, start, end)."""
    before = (segments["end"] - segments["start"]).cumsum().shift(fill_value=0)
    end = np.minimum(segments["end"], segments["start"] + (bases - before))
    return segments.assign(end=end)[before < bases].reset_index(drop=True)


def nth_score(calls: pd.DataFrame, count: int) -> float:
    """The threshold that `count` calls reach, or all of them where there are fewer; infinite for none."""
    falling = np.sort(calls["score"].to_numpy())[::-1][:count]
    return float(falling[-1]) if len(falling) else float("inf")


def figures(part: Part, threshold: float, segments: pd.DataFrame, marks: Landmarks) -> dict[str, Any]:
    """Figures of one scorer: at its threshold, in open chromatin alone, over all thresholds, and its distances."""
    reached = part.calls[part.calls["score"] >= threshold]
    wrong = _centres(reached[~reached["hit"]])
    return {
        "threshold": threshold if np.isfinite(threshold) else None,
        **at_threshold(part.calls, part.sites, part.megabases, threshold),
        "false_positives_on_other_evidence": int(overlaps(wrong, marks.evidence).sum()),
        "distance": distances(reached),
        "curve": thinned(part.curve),
        "open_chromatin": _in_open(part, threshold, segments, marks.open_chromatin),
    }


def _in_open(part: Part, threshold: float, segments: pd.DataFrame, peaks: pd.DataFrame) -> dict[str, Any] | None:
    """The figures of calls whose centre, and of loci of which a site, lies in open chromatin; None without peaks."""
    if peaks.empty:
        return None
    is_open = overlaps(_centres(part.sites), peaks)
    inside = part.sites["locus"].isin(part.sites.loc[is_open, "locus"])
    calls, sites = part.calls[overlaps(_centres(part.calls), peaks)], part.sites[inside]
    return at_threshold(calls, sites, shared_bases(merge(peaks), segments) / 1e6, threshold)


def _centres(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"chrom": rows["chrom"], "start": rows["position"], "end": rows["position"] + 1})


def shared_bases(regions: pd.DataFrame, segments: pd.DataFrame) -> int:
    """Bases that disjoint regions and segments share."""
    total = 0
    for chrom, start, end in places(segments):
        here = regions[regions["chrom"] == chrom]
        inside = np.minimum(here["end"].to_numpy(), end) - np.maximum(here["start"].to_numpy(), start)
        total += int(np.maximum(inside, 0).sum())
    return total
