"""The page on a set of the user's own regions or sequences: what was scored, how, and how far to trust it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from genocontrast.artefacts import atomic, checksum, existing, read_json
from genocontrast.config import Config
from genocontrast.errors import FileFormatError
from genocontrast.evaluation.predictions import (
    PRETRAINING,
    RECORD,
    SCORES,
    SEEN,
    TRACK,
    TRAINING,
    UNSEEN,
    VALIDATION,
    set_folder,
)
from genocontrast.report.layout import Block, Section
from genocontrast.report.page import PAGE as REPORT
from genocontrast.report.page import SUMMARY, fill
from genocontrast.report.svg import DECOY, PROMOTER, Panel, draw, line_label, ticks
from genocontrast.report.tables import Table
from genocontrast.report.wording import NOTHING, estimate, integer, listing, number, percent, plural

PAGE = "page.html"
TEMPLATE = "predictions.html.j2"
TOP = 50
"""Windows listed one by one."""
_BINS = 40
_MET = {
    TRAINING: "the model was trained on",
    PRETRAINING: "it has seen in pretraining",
    VALIDATION: "stopped and calibrated its training",
}
"""What the model did with the sequence of a window."""
_TEXT = dict.fromkeys(("chrom", "name", "strand", "seen"), str)


@dataclass(frozen=True)
class Predictions:
    """A scored set: its record (scores.json) and its rows (scores.tsv), and what the report says of the model."""

    record: dict[str, Any]
    rows: pd.DataFrame
    report: dict[str, Any] | None

    @property
    def has_places(self) -> bool:
        """Whether these are regions of the genome."""
        return self.record["kind"] == "regions"

    @property
    def noun(self) -> str:
        """What one of them is called."""
        return "region" if self.has_places else "sequence"

    @property
    def known(self) -> pd.DataFrame:
        """The rows that a score says something of: those that are not mostly N."""
        return self.rows[~self.rows["mostly_n"]]


def write_page(config: Config, results: Path, name: str) -> Path:
    """Write results/<name>/predictions/<set>/page.html from what `genocontrast evaluation predictions` left there.

    The report of the model, where there is one, gives the sentence on how good it is.

    Raises
    ------
    FileFormatError
        Where the set has not been scored, or its table is not the one that its record speaks of.
    """
    found, folder = read_predictions(results, name), set_folder(results, name)
    panel = histogram(found)
    parts = [
        Section("scores", "Scores", [Block("panels", [panel])]),
        Section("top", "Highest scores", [Block("tables", [top_table(found)])]),
        Section("counts", "What was scored", [Block("tables", count_tables(found))]),
        Section("limits", "Limits", [Block("bullets", limits(found))]),
        Section("provenance", "Provenance", [Block("tables", [model_table(found.record), input_table(found.record)])]),
    ]
    files = [SCORES, *([TRACK] if found.has_places else []), RECORD]
    text = fill(
        TEMPLATE,
        f"{config.name}-{name}",
        parts,
        [panel],
        {},
        title="Predictions",
        first="In short",
        does="",
        heading=f"{plural(found.record['windows'], found.noun)} of {name}, scored with the model of {config.name}",
        sentences=in_short(found),
        files=files,
        report=f"../../report/{REPORT}" if found.report else None,
    )
    with atomic(folder / PAGE) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return folder / PAGE


def read_predictions(results: Path, name: str) -> Predictions:
    """A scored set; a FileFormatError where its files are absent or not of one run."""
    folder = set_folder(results, name)
    remedy = f"run `genocontrast evaluation predictions --set {name}` first"
    if not (folder / RECORD).is_file():
        raise FileFormatError("this set has not been scored", path=folder / RECORD, remedy=remedy)
    record = read_json(folder / RECORD)
    if checksum(folder / SCORES) != record["scores"]["sha256"]:
        raise FileFormatError("the table is not the one that scores.json speaks of", path=folder / SCORES,
                              remedy=remedy.replace("first", "again"))  # fmt: skip
    # a name may be called NA
    rows = pd.read_csv(existing(folder / SCORES), sep="\t", dtype=_TEXT, keep_default_na=False)
    return Predictions(record, rows, _report(results, record))


def _report(results: Path, record: dict[str, Any]) -> dict[str, Any] | None:
    """The summary of the model's report; None where there is none, or it is of another model."""
    summary, metrics = results / "report" / "data" / SUMMARY, results / "evaluation" / "metrics.json"
    if not (summary.is_file() and metrics.is_file()):
        return None
    judged = read_json(metrics).get("provenance", {}).get("inputs", {}).get("model", {}).get("sha256")
    return read_json(summary) if judged == record["provenance"]["inputs"]["model"]["sha256"] else None


def in_short(found: Predictions) -> list[str]:
    """The first sentences: how good the model is, what it saw of these sequences, and what was left out."""
    sentences = [_model_sentence(found), _seen_sentence(found)]
    record = found.record
    if record["mostly_n"]:
        windows = plural(record["mostly_n"], "window")
        sentences.append(f"{windows} of more than half N have no place in the figures below: their scores say little.")
    for each in record["skipped"]:
        sentences.append(f"{plural(each['count'], 'row')} of the file lie {each['reason']} and were left out.")
    return sentences


def _model_sentence(found: Predictions) -> str:
    if found.report is None:
        return "No report of this model lies beside these scores: how good it is, they do not say."
    auroc, pairs = found.report["auroc"], plural(found.report["pairs"], "held-out pair")
    verdict = found.report["verdict"]["title"].removesuffix(".")
    return (
        f"The report says of this model: \u201c{verdict}\u201d; its AUROC is {estimate(auroc)} on {pairs} of promoters "
        "and matched decoys."
    )


def _seen_sentence(found: Predictions) -> str:
    counts = found.record["seen"]
    if counts is None:
        return "Sequences of a FASTA file bear no places: which of them the model was trained on cannot be said."
    total = sum(counts.values())
    told = [f"{integer(counts[what])} in sequence that {words}" for what, words in _MET.items() if counts[what]]
    if not told:
        return "No window lies in sequence that the model was trained on."
    return (
        f"Warning: among {plural(total, 'window')} are {listing(told)}. Scores of sequence that a model has met "
        f"are more certain than they should be; only those of the other {integer(counts[UNSEEN])} are of sequence new "
        "to it."
    )


def _seen(what: str) -> str:
    return "not seen" if what == UNSEEN else what


def histogram(found: Predictions) -> Panel:
    """Probabilities of the windows; of regions, those that the model has seen apart from the others."""
    edges, rows = np.linspace(0, 1, _BINS + 1), found.known
    scores = rows["probability"].to_numpy(dtype=float).clip(0, 1)
    unseen = (rows["seen"] == UNSEEN).to_numpy() if found.has_places else np.ones(len(rows), dtype=bool)
    counts = {"new": np.histogram(scores[unseen], edges)[0], "seen": np.histogram(scores[~unseen], edges)[0]}
    frame = pd.DataFrame({"from": edges[:-1], "to": edges[1:], **counts}).round(4)
    shown = {"new": ("new to the model", PROMOTER, 0.97, "right"), "seen": ("seen by the model", DECOY, 0.03, "left")}
    if unseen.all():
        shown.pop("seen")
        frame = frame.drop(columns="seen")

    def paint(axes: Axes) -> None:
        for which, (label, colour, x, side) in shown.items():
            axes.stairs(counts[which], edges, color=colour, fill=True, alpha=0.25, linewidth=0)
            axes.stairs(counts[which], edges, color=colour, linewidth=1.5)
            if len(shown) > 1:
                line_label(axes, x, 0.94, label, colour, ha=side, transform=axes.transAxes)
        top = max(int(counts[which].max(initial=1)) for which in shown)
        axes.set(xlim=(0, 1), ylim=(0, top * 1.18), xlabel="Model's probability of promoter", ylabel="Windows")
        ticks(axes, x=5, y=4)

    half = plural(int((scores >= 0.5).sum()), "window")
    return Panel(
        "histogram",
        "How the scores are distributed",
        f"{half} of {integer(len(scores))} have a probability of 0.5 or more. {prevalence_sentence(found.record)}",
        f"Histogram of probabilities; their median is {number(float(np.median(scores)), 2)}, {half} have 0.5 or more.",
        draw("histogram", paint),
        frame,
    )


def prevalence_sentence(record: dict[str, Any]) -> str:
    """Which share of promoters the probabilities are for."""
    given = record["provenance"]["config"]["prevalence"]
    if given is None:
        return "Probabilities are for a file of which one half are promoters, as in training."
    return f"Probabilities are for a file of which {100 * given:g} % are promoters."


def top_table(found: Predictions) -> Table:
    """The highest scores, in the file's order where they are equal."""
    rows = found.known.sort_values("probability", ascending=False, kind="stable").head(TOP)
    cells = []
    for row in rows.to_dict("records"):
        place = f"{row.get('chrom', row['name'])}:{integer(row['start'])}-{integer(row['end'])}"
        more = [row["name"], row["strand"]] if found.has_places else []
        last = [_seen(row["seen"])] if found.has_places else []
        cells.append([place, *more, number(row["probability"], 4), *last])
    if found.has_places:
        columns = ["Locus", "Name", "Strand", "Probability#", "Seen in"]
        note = "Coordinates as in BED: 0-based, the end not included. What was scored is the window around the centre."
    else:
        columns, note = (
            ["Window in its sequence", "Probability#"],
            "Coordinates are 0-based, the end not included.",
        )
    return Table(f"The {plural(len(cells), 'highest score')}", columns, cells, note)


def count_tables(found: Predictions) -> list[Table]:
    """How many rows became windows, and what the model saw of them."""
    record, width = found.record, integer(found.record["width"])
    rows = [["rows of the file", integer(record["rows"])]]
    rows += [[f"left out: {each['reason']}", integer(each["count"])] for each in record["skipped"]]
    rows += [
        [f"windows of {width} bp scored", integer(record["windows"])],
        ["of them mostly N", integer(record["mostly_n"])],
        ["of them beyond their sequence's end, where they read as N", integer(record["cut"])],
        [f"{found.noun}s longer than {width} bp, of which the centre was scored", integer(record["longer"])],
    ]
    tables = [Table("Counts", ["What", "Number#"], rows)]
    if record["seen"]:
        total, bins = record["windows"], found.known
        seen = []
        for what in SEEN:
            scores = bins.loc[bins["seen"] == what, "probability"]
            median = number(float(scores.median()) if len(scores) else None)
            count = record["seen"][what]
            seen.append([_seen(what), integer(count), percent(count / total, 1), median])
        held = "; ".join(f"{split}: {where}" for split, where in record["held"].items())
        note = f"One base of a window is enough. In the order given, where several hold. The splits: {held}."
        tables.append(
            Table(
                "What the model saw of these sequences",
                ["Seen in", "Windows#", "Share#", "Median probability#"],
                seen,
                note,
            )
        )
    return tables


def limits(found: Predictions) -> list[str]:
    """What the scores do not say."""
    width = integer(found.record["width"])
    said = [
        "The model learned to tell promoters from decoys that were matched to them; its report says on what. Sequence "
        "that is like neither it has hardly met, and a high score there is no evidence.",
        prevalence_sentence(found.record) + " Among other sequence, such as a whole genome, promoters are rarer and "
        "fewer of the high scores are true; prediction.prevalence rescales them, which changes no rank.",
        f"Scored is the window of {width} bp around the centre of each {found.noun}, "
        + ("on either strand alike." if not found.record["one_strand"] else
           "on both strands, of which the mean is given: the model reads one."),
    ]  # fmt: skip
    if found.has_places:
        said.append(
            "The bigWig holds the windows that were scored, not the regions of the file; where windows overlap, a base "
            "has the highest of their probabilities. Windows that are mostly N have no value."
        )
        said.append("Copies of training sequence elsewhere in the genome count as new here, though the model has "
                    "seen their like.")  # fmt: skip
    return said


def model_table(record: dict[str, Any]) -> Table:
    """Which model gave the scores."""
    model = record["model"]
    rows = [[what.replace("_", " "), NOTHING if value is None else str(value)] for what, value in model.items()]
    rows += [["window, bp", integer(record["width"])], ["prevalence", _prevalence(record)]]
    return Table("Model", ["What", "Value"], rows)


def _prevalence(record: dict[str, Any]) -> str:
    given = record["provenance"]["config"]["prevalence"]
    return "one half" if given is None else str(given)


def input_table(record: dict[str, Any]) -> Table:
    """What the scores were made of, with checksums."""
    made = record["provenance"]
    rows = [[role.replace("_", " "), entry["file"], entry["sha256"]] for role, entry in made["inputs"].items()]
    rows.append(["scores", record["scores"]["file"], record["scores"]["sha256"]])
    note = f"genocontrast {made['genocontrast']}. The same inputs give the same bytes."
    return Table("Files", ["Role", "File", "SHA-256"], rows, note)
