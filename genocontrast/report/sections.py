"""The sections of the report below its first screen: what each shows, and what it says where a part is missing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

import yaml

from genocontrast.config import Config
from genocontrast.report import motifs as reading
from genocontrast.report.attention import attention_panel
from genocontrast.report.calibration import calibration_table, probe_table, reliability_panel
from genocontrast.report.decoys import (
    balance_table,
    dropped_table,
    evidence_table,
    reason_table,
    short_sentence,
    tier_sentences,
    tier_table,
    two_sample_sentence,
    unused_signal_sentence,
)
from genocontrast.report.embedding_map import embedding_map
from genocontrast.report.errors import error_cards
from genocontrast.report.figures import love_panel, pr_panel, roc_panel, score_panel, strand_panel, training_panels
from genocontrast.report.kmers import shown_sets, space_sentences, space_tables
from genocontrast.report.layout import Block, Gap, Section, drawn
from genocontrast.report.limits import known_limits
from genocontrast.report.maps import embedding_panels, embedding_plane, kmer_panels
from genocontrast.report.methods import methods
from genocontrast.report.results import Results
from genocontrast.report.scan import scan_panel, scan_sentence, scan_table
from genocontrast.report.shortcut import shortcut_panel, shortcut_sentences, shortcut_table
from genocontrast.report.soundness import why_no_calibration, why_no_curve, why_no_losses, why_no_scores
from genocontrast.report.tables import (
    artefact_table,
    chromosome_table,
    class_table,
    count_table,
    file_table,
    leakage_table,
    performance_table,
    plausibility_table,
    round_table,
    seed_table,
    sequence_table,
    split_table,
    strand_table,
)
from genocontrast.report.verdict import RULES, largest_smd
from genocontrast.report.wording import number, percent, plural
from genocontrast.version import __version__

STAGES = ("genome", "negatives", "kmers", "training", "evaluation", "report")


def sections(results: Results, config: Config, checksums: Mapping[str, str]) -> list[Section]:
    """All sections in the order of the page."""
    return [
        _data(results, config, checksums),
        _examples(results),
        _balance(results, config),
        _performance(results),
        _shortcut(results),
        _scan(results),
        _strand(results),
        _leakage(results),
        _training(results),
        _embedding(results, config),
        _kmers(results, config),
        _attention(results, config),
        _motifs(results),
        _errors(results, config),
        Section("limits", "Limits", [Block("bullets", known_limits(results, config.negatives.max_smd))]),
        _methods(results, config),
    ]


def _data(results: Results, config: Config, checksums: Mapping[str, str]) -> Section:
    loop = f"for stage in {' '.join(STAGES)}; do\n  genocontrast $stage run --config config.yaml || break\ndone"
    lead = (
        f"Data set {config.name}, seed {config.seed}, genocontrast {__version__}. The same inputs give the same bytes."
    )
    blocks = [
        Block("prose", [lead]),
        Block("tables", [file_table(results.genome)]),
        Block("code", loop, "To reproduce, with the configuration below saved as config.yaml"),
        Block("folded", yaml.safe_dump(_portable(config.model_dump()), sort_keys=False), "Configuration"),
        Block("tables", [plausibility_table(results.genome), sequence_table(results.genome)]),
        Block("tables", [artefact_table(checksums)]),
        *([Block("files", results.tracks, "For a genome browser")] if results.tracks else []),
    ]
    return Section("data", "Data and provenance", blocks)


def _portable(value: Any) -> Any:
    """The configuration without this machine's folders."""
    if isinstance(value, dict):
        return {key: _portable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_portable(item) for item in value]
    return os.path.basename(value) if isinstance(value, str) and os.path.isabs(value) else value


def _examples(results: Results) -> Section:
    balance = results.balance
    promoters = balance["counts"].get("promoters", {})
    pool = balance["counts"].get("pool", balance["counts"] if not promoters else {})
    tables = [split_table(balance), *([class_table(balance)] if balance["classes"] else [])]
    tables += [count_table("Reading the files", results.genome["counts"])] if results.genome.get("counts") else []
    tables += [count_table("Promoters removed, by rule", promoters)] if promoters else []
    tables += [count_table("Pool of decoys, and removed by rule", pool)] if pool else []
    lead = "A decoy is open chromatin (or a tile of the genome) that is not a promoter, paired with a promoter like it."
    blocks = [Block("prose", [lead, *short_sentence(balance)]), Block("tables", [*tables, evidence_table(balance)])]
    if balance["dropped"]["means"]:
        blocks.append(Block("tables", [reason_table(balance), dropped_table(balance, results.metrics)]))
    if len(balance["tiers"]) > 1:
        easier = (
            "For the same promoters there are easier decoys, to compare with. Those of all tiers are clear of all "
            "evidence of promoters."
        )
        blocks += [Block("prose", [easier]), Block("bullets", tier_sentences(balance))]
        blocks.append(Block("tables", [tier_table(results.examples, balance)]))
    return Section("examples", "Promoters and decoys", blocks)


def _balance(results: Results, config: Config) -> Section:
    balance, gate = results.balance, config.negatives
    state = "passed" if balance["passed"] else "failed"
    lead = (
        f"The gate {state}: largest |SMD| of what was matched on {number(largest_smd(balance))} (at most "
        f"{number(gate.max_smd, 2)}), {percent(balance['retention'], 1)} of the promoters kept (at least "
        f"{percent(gate.min_retention)}). {RULES['Balance']}"
    )
    blocks = [
        Block("prose", [lead, two_sample_sentence(balance), unused_signal_sentence(balance)]),
        *([Block("bullets", balance["failures"])] if balance["failures"] else []),
        Block("panels", [love_panel(balance, gate.max_smd)]),
        Block("tables", [balance_table(balance)]),
    ]
    return Section("balance", "Balance", blocks)


def _performance(results: Results) -> Section:
    metrics = results.metrics
    lead = [
        f"All figures are of test pairs, on {results.splits.unit} that neither the model nor a baseline was fitted on. "
        f"The shortcut audit is made of them. {RULES['Shortcut']}"
    ]
    if metrics.get("oracle"):
        oracle = metrics["oracle"]
        lead.append(
            "The genome is simulated, so the truth is known. An oracle that scores each window by the grammar it was "
            f"planted with reaches AUROC {number(oracle['auroc']['value'])}: no model can do better. Of the way from "
            f"chance to it, this one covers {percent(oracle['share'])}."
        )
    curves, calibration, probes = (metrics.get(name) for name in ("curves", "calibration", "probes"))
    unknown = why_no_calibration(calibration)
    scores, reason = results.predictions, why_no_scores(results.predictions)
    shapes = {"ROC": ("roc", roc_panel), "Precision and recall": ("pr", pr_panel)}
    blocks = [
        Block("prose", lead),
        Block(
            "panels",
            [
                drawn(title, why_no_curve((curves or {}).get(name)), partial(make, metrics))
                for title, (name, make) in shapes.items()
            ],
        ),
        Block("tables", [performance_table(metrics)]),
        Block("panels", [drawn("Scores of the test examples", reason, lambda: score_panel(scores)), _chroms(metrics)]),
        Block("panels", [Gap("Calibration", unknown)] if unknown else _calibration(calibration)),
    ]
    if metrics.get("seeds"):
        blocks.append(Block("tables", [seed_table(metrics["seeds"])]))
    if probes:
        blocks.append(Block("tables", [probe_table(probes)]))
    return Section("performance", "Performance", blocks)


def _calibration(calibration: Any) -> list[Any]:
    return [reliability_panel(calibration), calibration_table(calibration)]


def _chroms(metrics: Mapping[str, Any]) -> Any:
    reason = None if metrics["per_chromosome"] else "The metrics name no test chromosome."
    return drawn("By test chromosome", reason, lambda: chromosome_table(metrics))


def _shortcut(results: Results) -> Section:
    shortcut = results.shortcut
    if not shortcut or not shortcut["run"]:
        return Section("shortcut", "Shortcuts", [_absent("The model was not trained on easier decoys in this run.")])
    blocks = [
        Block("prose", shortcut_sentences(shortcut)),
        Block("panels", [shortcut_panel(shortcut)]),
        Block("tables", [shortcut_table(shortcut)]),
    ]
    return Section("shortcut", "Shortcuts", blocks)


def _scan(results: Results) -> Section:
    scan = results.scan
    if not scan or not scan["run"]:
        why = f": {scan['reason']}" if scan else ""
        return Section("scan", "Genome scan", [_absent(f"The test split was not scanned in this run{why}.")])
    blocks = [
        Block("prose", [scan_sentence(scan)]),
        Block("panels", [scan_panel(scan)]),
        Block("tables", [scan_table(scan)]),
    ]
    return Section("scan", "Genome scan", blocks)


def _strand(results: Results) -> Section:
    strand = results.metrics.get("strand")
    if not strand:
        return Section("strand", "Strand", [_absent("The strand audit has not run.")])
    lead = (
        "A window can be written down from either strand and is the same piece of DNA, so a call must not depend on "
        "which one was chosen. Each test window was scored as it stands and as its reverse complement: by the model, "
        "which may settle on one strand before it reads, and by its network alone, which shows rounding at most."
    )
    blocks = [Block("prose", [f"{lead} {RULES['Strand']}"])]
    if strand.get("points"):
        blocks.append(Block("panels", [strand_panel(strand)]))
    return Section("strand", "Strand", [*blocks, Block("tables", [strand_table(strand)])])


def _leakage(results: Results) -> Section:
    leakage = results.metrics.get("leakage")
    if not leakage:
        return Section("leakage", "Leakage", [_absent("The leakage audit has not run.")])
    lead = (
        "A test window leaks where it overlaps a training window, where it repeats one base for base, or where a "
        f"single training window holds at least {percent(leakage['containment'])} of its distinct "
        f"{leakage['word']}-mers (it nearly repeats it); a sequence and its reverse complement count as one. "
        f"{RULES['Leakage']}"
    )
    return Section("leakage", "Leakage", [Block("prose", [lead]), Block("tables", [leakage_table(leakage)])])


def _training(results: Results) -> Section:
    epochs = plural(len(results.history["epochs"]), "epoch")
    lead = f"Training ran for {epochs}; the model of epoch {results.history['best_epoch']} was kept."
    reason = why_no_losses(results.history)
    panels = [Gap("Classification loss", reason)] if reason else training_panels(results.history)
    blocks = [Block("prose", [lead]), Block("panels", panels)]
    if "rounds" in results.history:
        blocks.append(Block("tables", [round_table(results.history["rounds"])]))
    return Section("training", "Training", blocks)


def _embedding(results: Results, config: Config) -> Section:
    if results.embeddings is None or len(results.embeddings.rows) < 2:
        return Section("embedding", "Embedding", [_absent("No embeddings were written for this run.")])
    plane, rows = embedding_plane(results.embeddings, config.seed, config.report.projection)
    chart = Block("map", (embedding_map(plane, rows), embedding_panels(plane, rows)))
    return Section("embedding", "Embedding", [chart])


def _kmers(results: Results, config: Config) -> Section:
    if results.kmers is None or len(results.kmers.rows) < 2:
        return Section("kmers", "K-mer space", [_absent("No k-mer vectors were fitted for this run.")])
    space = results.kmer_space
    blocks = [Block("panels", kmer_panels(results.kmers, shown_sets(space), config.seed))]
    if space is None or not space["run"]:
        why = f": {space['reason']}" if space else ""
        return Section("kmers", "K-mer space", [*blocks, _absent(f"Whether the space means something: not run{why}.")])
    blocks += [Block("prose", space_sentences(space)), Block("tables", space_tables(space))]
    return Section("kmers", "K-mer space", blocks)


def _attention(results: Results, config: Config) -> Section:
    profile = results.metrics.get("attention")
    if not profile:
        return Section("attention", "Attention", [_absent("The encoder has no attention over positions to show.")])
    return Section("attention", "Attention", [Block("panels", [attention_panel(profile, config.genome.upstream)])])


def _motifs(results: Results) -> Section:
    if results.motifs is None:
        return Section("motifs", "Motifs", [_absent("Motifs were not looked for in this run.")])
    motifs = results.motifs
    blocks = [_absent("No stretch of sequence stood out: the model has no motif to show.")]
    if motifs["motifs"]:
        cards = [reading.motif_card(rank, motif) for rank, motif in enumerate(motifs["motifs"], start=1)]
        blocks = [Block("prose", reading.motif_sentences(motifs)), Block("logos", cards)]
    if motifs["cooccurrence"]:
        blocks.append(Block("tables", [reading.cooccurrence_table(motifs)]))
    if motifs["truth"]:
        blocks += [
            Block("prose", [reading.truth_sentence(motifs["truth"])]),
            Block("tables", [reading.truth_table(motifs)]),
        ]
    if motifs["binding"]:
        blocks.append(Block("tables", [reading.binding_table(motifs["binding"])]))
    if motifs["filters"]:
        title = "Filters of the first convolution that tell the classes apart best, as motifs"
        blocks.append(Block("logos", [reading.filter_card(row) for row in motifs["filters"]], title))
    return Section("motifs", "Motifs", blocks)


def _errors(results: Results, config: Config) -> Section:
    errors = results.errors
    if not errors or not (errors["decoys"] or errors["promoters"]):
        return Section("errors", "Most confident errors", [_absent("The worst errors were not looked at in this run.")])
    lead = (
        "Test decoys with the highest scores and test promoters with the lowest, and what each base added to or took "
        "from the promoter logit (attributed as for the motifs, 5\u2032 to 3\u2032 on the strand of the "
        "example). The stretch that weighs most is spelled out. All tracks share one scale; base colours are those of "
        "the logos."
    )
    doubt = (
        "A decoy that scores like a promoter need not be an error: it may be a promoter that the annotation lacks, or "
        "one that is used in other cells. A promoter that scores low may be used elsewhere, or be annotated wrongly."
    )
    cards = error_cards(errors, config.genome.upstream)
    titles = {"decoys": "Decoys that score highest", "promoters": "Promoters that score lowest"}
    blocks = [Block("errors", cards[kind], title) for kind, title in titles.items() if cards[kind]]
    return Section("errors", "Most confident errors", [Block("prose", [lead, doubt]), *blocks])


def _methods(results: Results, config: Config) -> Section:
    paragraphs, references = methods(results, config)
    lead = "Written from this run's configuration, ready to paste."
    blocks = [
        Block("prose", [lead]),
        Block("code", "\n\n".join(paragraphs)),
        Block("numbered", references, "References"),
    ]
    return Section("methods", "Methods", blocks)


def _absent(sentence: str) -> Block:
    return Block("prose", [sentence])
