"""The tables of the report: cells as text, ready to print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from genocontrast.config import SPLITS
from genocontrast.genome.splits import Splits
from genocontrast.report.wording import NOTHING, covariate, estimate, integer, number, percent, plural, rule

SEQUENCES_SHOWN = 40
"""Sequences listed one by one; assemblies of many scaffolds are summed up."""


@dataclass(frozen=True)
class Table:
    """Text cells under named columns.

    Attributes
    ----------
    title : str
        Caption of the table.
    columns : sequence of str
        A name that ends in ``#`` heads a column of numbers, which is set flush right; the mark is not printed.
    rows : list of list of str
    note : str
        A remark below the table.
    strong : set of int
        Rows to set in bold.
    """

    title: str
    columns: Sequence[str]
    rows: list[list[str]]
    note: str = ""
    strong: frozenset[int] = frozenset()

    @property
    def heads(self) -> list[tuple[str, bool]]:
        """Column names, and whether each holds numbers."""
        return [(column.removesuffix("#"), column.endswith("#")) for column in self.columns]


def performance_table(metrics: Mapping[str, Any]) -> Table:
    """Model, baselines (best first) and oracle with their intervals."""
    test = metrics["test"]
    rows = [["model", estimate(test["auroc"]), estimate(test["auprc"]), estimate(test["mcc"]), ""]]
    for baseline in sorted(metrics["baselines"], key=lambda baseline: -baseline["auroc"]["value"]):
        figures = [estimate(baseline[name]) for name in ("auroc", "auprc", "mcc")]
        rows.append([baseline["name"], *figures, estimate(baseline["difference"], signed=True)])
    if metrics.get("oracle"):
        oracle = metrics["oracle"]
        rows.append(["oracle (planted truth)", estimate(oracle["auroc"]), "", "", ""])
    expected = test["expected"]
    note = (
        f"In brackets: 95 % percentile bootstrap intervals over {plural(test['blocks'], 'block')} of pairs "
        f"({integer(test['block'])} bp each). Difference: AUROC of the model minus that of the baseline in the same "
        f"resamples. AUPRC is to be read against a prevalence of {percent(test['prevalence'])}. Were "
        f"{100 * expected['prevalence']:g} % of the windows promoters, and all others like decoys, the model's AUPRC "
        f"would be {estimate(expected['auprc'])} and its calls right in {percent(expected['precision']['value'], 1)}."
    )
    columns = ["Model", "AUROC#", "AUPRC#", "MCC#", "Model \u2212 baseline, AUROC#"]
    return Table("Performance on the test pairs", columns, rows, note, frozenset({0}))


def seed_table(seeds: Mapping[str, Any]) -> Table:
    """The same training with other seeds, on the same test pairs."""
    rows = [[str(row["seed"]), number(row["auroc"]), number(row["auprc"])] for row in seeds["rows"]]
    spread = [f"{number(seeds[name]['mean'])} \u00b1 {number(seeds[name]['sd'])}" for name in ("auroc", "auprc")]
    note = (
        "The same training, differing by chance alone: mean \u00b1 standard deviation. All other figures are of the "
        "first seed's model."
    )
    rows.append([f"mean of {len(rows)}", *spread])
    return Table("With other seeds", ["Seed", "AUROC#", "AUPRC#"], rows, note)


def round_table(rounds: Sequence[Mapping[str, Any]]) -> Table:
    """Trainings on the matched decoys and on mined ones: what mining found, and how each did on validation pairs."""
    rows = []
    for each in rounds:
        mining = each["mining"] or {}
        cosine = mining.get("similarity", {"before": None, "after": None})
        widest = max((abs(row["smd"]) for row in mining.get("balance", []) if row["matched"]), default=None)
        rows.append(
            [
                "matched" if not mining else f"mined, round {each['round']}",
                *(integer(mining.get(key)) for key in ("pairs", "left", "new")),
                *(number(value) for value in (cosine["before"], cosine["after"], widest)),
                number(each["validation_loss"], 4),
                number(each["validation_auroc"]),
            ]
        )
    note = (
        "Cosine: mean similarity of decoys to their promoters, in the embedding that mined them, before and after. "
        "Only training pairs are mined; the validation pairs, the same for all rounds, are the matched ones. The "
        "round in bold has the lowest validation loss and was kept."
    )
    columns = ["Decoys", "Pairs#", "Left out#", "New#", "Cosine before#", "After#", "Largest |SMD|#", "Loss#", "AUROC#"]
    kept = frozenset(number for number, each in enumerate(rounds) if each["chosen"])
    return Table("Rounds of training", columns, rows, note, kept)


def chromosome_table(metrics: Mapping[str, Any]) -> Table:
    """AUROC on each test chromosome."""
    rows = [[row["chrom"], integer(row["pairs"]), number(row["auroc"])] for row in metrics["per_chromosome"]]
    unknown = any(row["auroc"] is None or not isfinite(row["auroc"]) for row in metrics["per_chromosome"])
    note = "No AUROC where a chromosome holds a single class." if unknown else ""
    return Table("By test chromosome", ["Chromosome", "Pairs#", "AUROC#"], rows, note)


def split_table(balance: Mapping[str, Any]) -> Table:
    """Promoters, candidates, decoys and dropped promoters of each split."""
    counts = balance["splits"]
    names = [name for name in SPLITS if name in counts]
    keys = ("promoters", "pool", "decoys", "dropped")
    rows = [[name, *(integer(counts[name].get(key)) for key in keys), _widest(counts[name])] for name in names]
    gated = [row for row in balance["table"] if row["matched"]]
    widest = max(gated, key=lambda row: abs(row["smd_after"]))
    of_all = _widest({"largest_smd": widest["smd_after"], "of": widest["covariate"]})
    rows.append(["all", *(integer(sum(counts[name].get(key) or 0 for name in names)) for key in keys), of_all])
    columns = ["Split", "Promoters kept#", "Candidate decoys#", "Decoys matched#", "Promoters without a decoy#"]
    note = "Largest SMD: of what was matched on, within the split; the gate is of all splits together."
    return Table("Examples by split", [*columns, "Largest SMD#"], rows, note, frozenset({len(rows) - 1}))


def _widest(counts: Mapping[str, Any]) -> str:
    smd = counts.get("largest_smd")
    return NOTHING if smd is None else f"{number(smd, signed=True)} ({covariate(counts['of'])})"


def count_table(title: str, counts: Mapping[str, Any]) -> Table:
    """What each rule counted; groups of counts are flattened."""
    ranked = sorted(_flat(counts), key=lambda row: -(row[1] or 0))  # totals come first; a JSON file keeps no order
    return Table(title, ["What", "Count#"], [[name, integer(count)] for name, count in ranked])


def _flat(counts: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, int | None]]:
    for name, count in counts.items():
        # a rule may be a file's name, which stays as it is
        label = f"{prefix}{rule(name.replace('_', ' ') if name.isidentifier() else name)}"
        if isinstance(count, Mapping):
            yield from _flat(count, f"{label}: ")
        else:
            yield label, count


def class_table(balance: Mapping[str, Any]) -> Table:
    """Decoys by the annotation that holds their centre."""
    classes = sorted(balance["classes"], key=lambda row: (-row["decoys"], row["class"]))
    total = sum(row["decoys"] for row in classes)
    rows = [[row["class"], integer(row["decoys"]), percent(row["decoys"] / max(total, 1))] for row in classes]
    return Table("Decoys by annotation", ["Where the centre lies", "Decoys#", "Share#"], rows)


def file_table(genome: Mapping[str, Any]) -> Table:
    """The input files with rows, kept rows and checksums."""
    inputs = genome["provenance"]["inputs"]
    sums = {entry["file"]: entry["sha256"] for entry in inputs.values()}
    rows = [
        [
            row["role"],
            row["file"],
            integer(row.get("rows")),
            integer(row.get("kept")),
            integer(len(row.get("renamed") or {})) if row.get("renamed") else "",
            sums.get(row["file"], ""),
        ]
        for row in genome["files"]
    ]
    listed = {row["file"] for row in genome["files"]}
    rows += [
        [role, entry["file"], "", "", "", entry["sha256"]]
        for role, entry in sorted(inputs.items())
        if entry["file"] not in listed
    ]
    columns = ["Role", "File", "Rows#", "Kept#", "Names translated#", "SHA-256"]
    return Table("Input files", columns, rows)


def artefact_table(checksums: Mapping[str, str]) -> Table:
    """The artefacts that the report was made from."""
    rows = [[name, value] for name, value in checksums.items()]
    return Table("Artefacts that this report was made from", ["File in the results folder", "SHA-256"], rows)


def sequence_table(genome: Mapping[str, Any]) -> Table:
    """The sequences with their split; those beyond a page's worth are summed up."""
    sequences = genome["sequences"]
    shown = sequences
    if len(sequences) > SEQUENCES_SHOWN:
        shown = sorted(sequences, key=lambda row: (row["split"] is None, -row["size"]))[:SEQUENCES_SHOWN]
    rows = [
        [
            row["chrom"],
            integer(row["size"]),
            percent(row["gc"], 1),
            percent(row["masked_fraction"], 1),
            row["split"] or "",
        ]
        for row in shown
    ]
    rest = len(sequences) - len(shown)
    if rest:
        size = sum(row["size"] for row in sequences) - sum(row["size"] for row in shown)
        rows.append([f"{integer(rest)} more", integer(size), "", "", ""])
    splits = Splits.from_records(genome["segments"])
    held = "; ".join(f"{split}: {splits.describe(split)}" for split in SPLITS)
    note = "" if splits.whole else f"Sequences in blocks are shared among the splits: {held}."
    return Table("Sequences", ["Sequence", "Length, bp#", "GC#", "Soft-masked#", "Split"], rows, note)


def plausibility_table(genome: Mapping[str, Any]) -> Table:
    """Whether annotation, signal and genome fit together at all."""
    found = genome["plausibility"]
    rows = [
        ["GC content", percent(found.get("gc_at_tss"), 1), percent(found.get("gc_genome"), 1)],
        ["accessibility signal per bp", number(found.get("signal_at_tss")), number(found.get("signal_genome"))],
    ]
    note = ""
    if found.get("peaks_on_promoters") is not None:
        note = f"Peaks of open chromatin that lie on a promoter: {percent(found['peaks_on_promoters'], 1)}."
    return Table("Do the files belong together?", ["", "In promoters#", "Genome#"], rows, note)


def strand_table(strand: Mapping[str, Any]) -> Table:
    """How calls, scores and embeddings differ between the strands."""
    rows = [
        [words, *(show(side[figure]) for side in (strand, strand["network"]))]
        for words, figure, show in (
            ("calls that flip", "flips", integer),
            ("largest difference of a score", "max_difference", "{:.2g}".format),
            ("largest distance between embeddings", "max_embedding_distance", "{:.2g}".format),
            ("least cosine of embeddings", "min_embedding_cosine", "{:.6f}".format),
        )
    ]
    return Table(f"Of {plural(strand['examples'], 'test window')}", ["", "Model#", "Its network alone#"], rows)


_LEAKS = {
    "windows": "Test windows",
    "overlapping": "Overlap a training window",
    "overlapping_same_class": "of the same class",
    "pretrained_on": "Overlap sequence of the pretraining",
    "exact_repeats": "Repeat one exactly",
    "exact_repeats_same_class": "of the same class",
    "near_duplicates": "Nearly repeat one",
    "leaking": "Any of these",
}


def leakage_table(leakage: Mapping[str, Any]) -> Table:
    """Test windows of each class that training has seen, by the way in which it has."""
    classes = {"positive": "promoters", "negative": "decoys"}
    kinds = [kind for kind in _LEAKS if kind in leakage["by_class"][0]]
    rows = [
        [classes.get(row["class"], row["class"]), *(integer(row[kind]) for kind in kinds)]
        for row in leakage["by_class"]
    ]
    columns = ["Class", *(f"{_LEAKS[kind]}#" for kind in kinds)]
    return Table("Test windows that training has seen", columns, rows, strong=frozenset({len(rows) - 1}))
