"""The user's own regions and sequences, scored with the model of a run: results/<name>/predictions/<set>/."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike, checksum, existing, provenance, write_json
from genocontrast.config import Config
from genocontrast.errors import ConfigError, FileFormatError, ModelError, RegionError
from genocontrast.evaluation.prediction import Windows, region_windows, scored_rows, sequence_windows
from genocontrast.evaluation.progress import with_progress
from genocontrast.evaluation.score_files import score_file
from genocontrast.evaluation.score_track import write_track
from genocontrast.evaluation.scoring import Scorer
from genocontrast.genome.fasta import Genome
from genocontrast.genome.intervals import overlaps
from genocontrast.genome.regions import load_regions, resize
from genocontrast.genome.sequence_files import FASTA
from genocontrast.genome.splits import Splits, read_splits
from genocontrast.genome.tables import is_annotation, suffix

if TYPE_CHECKING:
    from genocontrast.training.model import Model

_log = logging.getLogger(__name__)

SCORES, TRACK, RECORD = "scores.tsv", "scores.bw", "scores.json"
TRAINING, PRETRAINING, VALIDATION, UNSEEN = "training", "pretraining", "validation", "no"
SEEN = (TRAINING, PRETRAINING, VALIDATION, UNSEEN)
"""What the model saw of a window's sequence, the gravest first; a window that lies in several is of the first."""


@dataclass(frozen=True)
class Scored:
    """What is known of a set's windows, and of what was left out.

    Attributes
    ----------
    total : int or None
        Windows, where it is known before they are read.
    chunks : iterator of Windows
    facts : dict
        What scores.json says of the file.
    """

    total: int | None
    chunks: Iterator[Windows]
    facts: dict[str, Any]


def set_folder(results: Path, name: str) -> Path:
    """Where the scores of a set lie."""
    return results / "predictions" / name


def is_sequences(source: PathLike) -> bool:
    """Whether a set is of sequences (FASTA), by its extension; all else is read as regions."""
    return suffix(source) in FASTA


def run(config: Config, results: Path, name: str) -> Path:
    """Score a set of `prediction.regions` with the model of `results`/training.

    Parameters
    ----------
    config : Config
    results : Path
        Folder of the data set, results/<name>, of which training/model and genome/genome.json are read.
    name : str
        The set.

    Returns
    -------
    Path
        The folder: scores.tsv, scores.json and, of regions, scores.bw. A window that is mostly N has a row in the table
        and no value in the bigWig.

    Raises
    ------
    ConfigError
        Where the configuration names no such set.
    FileFormatError, NamingError, RegionError
        Where the set is empty or of another genome, or a file that is needed is absent.
    ModelError
        Where the model was trained on another genome file, or on other splits than genome.json names.
    """
    source, folder = _source(config, name), set_folder(results, name)
    record = _record(config, results, name, source)
    scorer = _scorer(config, results, record)
    given = _sequences(source, scorer) if is_sequences(source) else _regions(source, config, results, scorer)
    # what an earlier set of this name left says nothing of this one
    for old in (RECORD, TRACK):
        (folder / old).unlink(missing_ok=True)
    rows = _write_scores(folder / SCORES, record, scorer, given)
    if rows["mostly_n"].all():
        (folder / SCORES).unlink()
        remedy = "give windows with known bases"
        raise RegionError(f"each of the {len(rows)} windows is mostly N, of which no score says anything", path=source,
                          remedy=remedy)  # fmt: skip
    if "chrom" in rows:
        write_track(folder / TRACK, rows[~rows["mostly_n"]], Genome(config.genome.fasta).sizes)
    # last, so that a run cut short has no record
    write_json(folder / RECORD, {**_facts(rows, scorer, given), "provenance": record, "set": name,
                                 "scores": {"file": SCORES, "sha256": checksum(folder / SCORES)}})  # fmt: skip
    _log.info("%s windows scored: %s", f"{len(rows):,}", folder / SCORES)
    return folder


def _source(config: Config, name: str) -> str:
    sets = config.prediction.regions
    if name not in sets:
        known = f"it names {', '.join(sets)}" if sets else "it names none: add `name: file` to prediction.regions"
        raise ConfigError("no such set in prediction.regions", value=name, remedy=known)
    existing(sets[name])
    return sets[name]


def _record(config: Config, results: Path, name: str, source: str) -> dict[str, Any]:
    """Provenance; an error that names the command where the model or the splits are not there yet."""
    model = results / "training" / "model"
    files = {
        "model": (model / "model.safetensors", "training"),
        "model_config": (model / "config.json", "training"),
        "splits": (results / "genome" / "genome.json", "genome"),
    }
    for path, stage in files.values():
        if not path.is_file():
            remedy = f"run `genocontrast {stage} run` first, or name the folder of a finished run with --results"
            raise FileFormatError("no such file", path=path, remedy=remedy)
    inputs: dict[str, PathLike] = {"set": source, **{role: path for role, (path, _) in files.items()}}
    if not is_sequences(source):
        inputs["genome"] = config.genome.fasta
    return provenance("predictions", {"set": name, "prevalence": config.prediction.prevalence}, inputs)


def _scorer(config: Config, results: Path, record: dict[str, Any]) -> Scorer:
    """The run's model; an error where it is not the model of this genome and these splits."""
    from genocontrast.training.model import load_model

    model = load_model(results / "training" / "model")
    learnt = (model.provenance.get("inputs") or {}).get("genome", {}).get("sha256")
    here = record["inputs"].get("genome")
    if here and learnt and learnt != here["sha256"]:
        raise ModelError(
            "the model was trained on another file than genome.fasta", path=here["file"], value=here["sha256"][:12],
            remedy="name the genome of the training, or train on this one",
        )  # fmt: skip
    named = read_splits(results / "genome" / "genome.json").chroms("train")
    others = sorted(set(model.chromosomes.get("train", [])) - set(named))
    if others:
        raise ModelError(
            "the model was trained on chromosomes that genome.json does not name for training", value=", ".join(others),
            path=results / "genome" / "genome.json", remedy="run the workflow again: one of the two is outdated",
        )  # fmt: skip
    return Scorer(model, config.prediction.prevalence)


def _regions(source: str, config: Config, results: Path, scorer: Scorer) -> Scored:
    genome, width = Genome(config.genome.fasta), scorer.model.width
    found = load_regions(source, genome)
    regions, splits = found.regions, read_splits(results / "genome" / "genome.json")
    places = window_places(regions, genome.sizes, width)
    told = places[["start", "end"]].add_prefix("window_").assign(seen=seen_by(places, splits, scorer.model))

    def chunks() -> Iterator[Windows]:
        first = 0
        for windows in region_windows(regions, genome, width, scorer.rows):
            more = told.iloc[first : first + len(windows.rows)].reset_index(drop=True)
            yield Windows(pd.concat([windows.rows, more], axis=1), windows.codes)
            first += len(more)

    why = "on sequences that the genome does not have"
    why += ", or features across the origin of a circular one" if is_annotation(source) else ""
    lost = found.rows - len(regions)
    facts = {
        "kind": "regions",
        "rows": found.rows,
        "skipped": [{"reason": why, "count": lost}] if lost else [],
        "renamed": found.renamed,
        "longer": int(((regions["end"] - regions["start"]) > width).sum()),
        "held": {split: splits.describe(split) for split in ("train", "validation")},
    }
    return Scored(len(regions), chunks(), facts)


def _sequences(source: str, scorer: Scorer) -> Scored:
    facts: dict[str, Any] = {
        "kind": "sequences",
        "rows": None,
        "skipped": [],
        "renamed": {},
        "longer": None,
        "held": {},
    }
    return Scored(None, sequence_windows(source, scorer.model.width, scorer.rows), facts)


def window_places(regions: pd.DataFrame, sizes: dict[str, int], width: int) -> pd.DataFrame:
    """What of each window lies on its chromosome: chrom, start, end, in the order of the regions."""
    windows = resize(regions[["chrom", "start", "end"]], width)
    ends = windows["chrom"].map(sizes).astype("int64")
    return windows.assign(start=windows["start"].clip(lower=0), end=np.minimum(windows["end"], ends))


def seen_by(windows: pd.DataFrame, splits: Splits, model: Model) -> NDArray[np.object_]:
    """What the model saw of each window's sequence, shape=(n,), of `SEEN`: one base in a segment is enough."""
    seen = np.full(len(windows), UNSEEN, dtype=object)
    segments = {
        TRAINING: splits.segments("train"),
        PRETRAINING: pd.DataFrame(model.pretrained_on, columns=["chrom", "start", "end"]),
        VALIDATION: splits.segments("validation"),
    }
    for what in reversed(SEEN[:-1]):
        seen[overlaps(windows, segments[what])] = what
    return seen


def _write_scores(path: Path, record: dict[str, Any], scorer: Scorer, given: Scored) -> pd.DataFrame:
    """Write the table chunk by chunk; gives of each row what the bigWig and the counts need."""
    kept = []
    sized = ((len(windows.rows), windows) for windows in given.chunks)
    with score_file(path, record) as add, closing(with_progress(sized, given.total, "windows scored")) as progress:
        for windows in progress:
            scored = scored_rows(scorer, windows)
            add(scored)
            kept.append(_kept(scored))
    return pd.concat(kept, ignore_index=True)


def _kept(scored: pd.DataFrame) -> pd.DataFrame:
    """The place of each window (not of its region), its probability, and whether it is mostly N or was seen."""
    if "chrom" not in scored:
        return scored[["start", "end", "probability", "mostly_n"]]
    kept = scored[["chrom", "window_start", "window_end", "seen", "probability", "mostly_n"]]
    return kept.rename(columns=lambda column: column.removeprefix("window_"))


def _facts(rows: pd.DataFrame, scorer: Scorer, given: Scored) -> dict[str, Any]:
    model, width = scorer.model, scorer.model.width
    facts = {
        **given.facts,
        "windows": len(rows),
        "mostly_n": int(rows["mostly_n"].sum()),
        "cut": int(((rows["end"] - rows["start"]) < width).sum()),
        "seen": {what: int((rows["seen"] == what).sum()) for what in SEEN} if "seen" in rows else None,
        "width": width,
        "one_strand": scorer.one_strand,
        "model": {
            # a convolution bears no name
            "encoder": model.network.architecture.get("encoder", "convolution"),
            "strands": model.network.strand,
            "seed": model.provenance.get("config", {}).get("seed"),
            "temperature": round(model.temperature, 6),
            "trained_with_genocontrast": model.provenance.get("genocontrast"),
        },
    }
    if facts["kind"] == "sequences":
        # a window that does not begin with its sequence leaves some of it out
        facts |= {"rows": len(rows), "longer": int((rows["start"] > 0).sum())}
    return facts
