"""The page as a file: self-contained, deterministic, complete, and safe against what its inputs are called."""

import html
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO

import html5lib
import numpy as np
import pandas as pd
import pytest

from genocontrast.artefacts import read_json
from genocontrast.config import PretrainingConfig, SplitsConfig
from genocontrast.errors import FileFormatError
from genocontrast.report import headline, write_report
from genocontrast.report.calibration import probe_table
from genocontrast.report.maps import embedding_panels, embedding_plane
from genocontrast.report.methods import methods
from genocontrast.report.results import Vectors, read_results
from genocontrast.report.sections import _motifs, _portable
from genocontrast.report.stage import run
from genocontrast.report.tables import count_table, sequence_table
from genocontrast.report.verdict import RULES

FIGURES, BADGES = 31, 4
ANCHORS = ["data", "examples", "balance", "performance", "shortcut", "scan", "strand", "training"]
ANCHORS += ["embedding", "kmers", "attention", "motifs", "errors", "limits", "methods"]


class Outline(HTMLParser):
    """Tags in order, identifiers, references, and whether every element is closed in its place."""

    VOID = frozenset({"meta", "link", "br", "hr", "img", "input"})

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.identifiers, self.references = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        values = dict(attributes)
        self.identifiers += [values["id"]] if "id" in values else []
        self.references += [values[key] for key in ("href", "src", "xlink:href") if key in values]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_html_without_a_parse_error(page):
    """Of the HTML standard's own parser; a strict one raises at the first error."""
    html5lib.HTMLParser(strict=True).parse(page.read_text())


def text_of(page):
    return html.unescape(re.sub(r"<[^>]+>", " ", page))


def carried_by(page):
    """The data that a page carries."""
    return json.loads(re.search(r'<script type="application/json" id="carried">(.*?)</script>', page, re.S)[1])


def test_the_same_results_give_the_same_bytes(tmp_path, write, config, page):
    other = write_report(write(tmp_path / "elsewhere" / "demo"), config)
    files = [sorted(path.relative_to(each.parent) for path in each.parent.rglob("*.*")) for each in (page, other)]
    assert files[0] == files[1]
    for name in files[0]:
        assert (page.parent / name).read_bytes() == (other.parent / name).read_bytes()
    assert str(tmp_path) not in other.read_text()


def test_the_page_is_small_whole_and_asks_for_nothing(page):
    written = page.read_text()
    outline = Outline(written)
    assert outline.open == []
    assert outline.tags.count("script") == 2
    assert len(outline.identifiers) == len(set(outline.identifiers))
    assert page.stat().st_size < 1_500_000
    assert "default-src 'none'" in written
    inside = {reference[1:] for reference in outline.references if reference.startswith("#")}
    assert inside <= set(outline.identifiers)
    assert set(ANCHORS) <= inside
    outside = [reference for reference in outline.references if not reference.startswith("#")]
    for reference in outside:
        assert reference == "data:," or (page.parent / reference).is_file()
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org/)", written)


def test_every_reference_to_a_clip_path_is_met(page):
    written = page.read_text()
    assert set(re.findall(r"url\(#([^)]+)\)", written)) <= set(Outline(written).identifiers)


def test_every_figure_has_a_text_alternative_and_its_data(page):
    written = page.read_text()
    alternatives = re.findall(r'role="img" aria-label="([^"]*)"', written)
    assert len(alternatives) == written.split("<script")[0].count("<svg") == FIGURES + BADGES
    assert all(len(alternative) > 30 for alternative in alternatives)
    carried = carried_by(written)["tables"]
    for name in re.findall(r'data-figure="([^"]+)"', written):
        beside = page.parent / "data" / f"{name}.tsv"
        if beside.is_file():
            assert carried[name] == beside.read_text()
        assert len(pd.read_csv(StringIO(carried[name]), sep="\t")) > 0


def test_figure_colours_are_variables_that_the_style_sheet_defines(page):
    written = page.read_text()
    style, body = written.split("</style>")
    body = body.split("<script")[0]
    used = set(re.findall(r"var\((--[\w-]+)\)", body))
    assert {"--promoter", "--decoy", "--ink", "--grid", "--step-0", "--step-5"} <= used
    assert used <= set(re.findall(r"(--[\w-]+):", style))
    assert not re.search(r"(?:fill|stroke): #(?!fff)", body)


def test_the_first_screen_for_machines(page):
    summary = read_json(page.parent / "data" / "summary.json")
    assert summary["auroc"]["value"] == 0.91
    assert summary["best_baseline"]["name"] == "4-mer"
    assert summary["audits"]["leakage"]["state"] == "pass"
    assert set(summary["provenance"]["inputs"]) >= {"evaluation/metrics.json", "kmers/kmers.h5ad"}


def test_the_leakage_section_tells_the_definition_the_rule_and_the_counts(
    tmp_path, write, config, metrics, make_leakage
):
    metrics["leakage"] = make_leakage(near=7)
    written = write_report(write(tmp_path / "demo", metrics=metrics), config).read_text()
    section = re.search(r'<section id="leakage">.*?</section>', written, re.S)[0]
    assert "at least 50 % of its distinct 12-mers" in section
    assert RULES["Leakage"] in html.unescape(section)
    decoys = re.search(r"<tr>\s*<th[^>]*>decoys</th>.*?</tr>", section, re.S)[0]
    assert re.findall(r"<td[^>]*>([\d,]+)</td>", decoys) == ["90", "0", "0", "0", "0", "7", "7"]
    assert 'class="fail"><a href="#leakage"' in written


def test_the_terminal_lines(page, monkeypatch):
    results = page.parent.parent
    monkeypatch.chdir(results.parent.parent)
    lines = dict(line.split(maxsplit=1) for line in headline(results).splitlines())
    assert lines["report"] == "results/demo/report/report.html"
    assert lines["AUROC"] == "0.910 (0.890 to 0.930) on 90 held-out pairs"
    assert lines["baseline"].startswith("4-mer 0.840; difference +0.070")
    assert lines["strand"].startswith("0 of 180 calls flip")
    assert lines["balance"].startswith("pass")


def test_missing_optional_parts_shorten_the_report_and_are_named(tmp_path, write, config, metrics):
    page = write_report(
        write(tmp_path / "demo", vectors=False, motifs=None, metrics=metrics | {"oracle": None}), config
    )
    text = text_of(page.read_text())
    assert "No k-mer vectors were fitted" in text
    assert "Motifs were not looked for" in text
    assert "because their file is absent: motifs" in text
    assert "oracle" not in text
    assert not (page.parent / "data" / "motifs.json").exists()


def test_a_run_that_found_no_motif_says_so(tmp_path, write, motifs):
    found = read_results(write(tmp_path / "demo", motifs=motifs | {"motifs": [], "cooccurrence": [], "truth": None}))
    assert "no motif to show" in _motifs(found).blocks[0].content[0]


def test_a_missing_stage_is_named_with_its_command(tmp_path, write, config):
    results = write(tmp_path / "demo", metrics=None)
    with pytest.raises(FileFormatError, match="genocontrast evaluation run"):
        run(config, results)
    assert not (results / "report").exists()


def test_an_earlier_report_survives_a_failed_one(tmp_path, page, config):
    results = shutil.copytree(page.parent.parent, tmp_path / "demo")
    (results / "kmers/kmers.h5ad").write_bytes(b"not HDF5")
    with pytest.raises(FileFormatError, match="AnnData"):
        write_report(results, config)
    assert (results / "report/report.html").read_bytes() == page.read_bytes()
    assert sorted(path.name for path in results.glob(".*")) == []


def test_hostile_names_stay_text(hostile_page):
    written = hostile_page.read_text()
    outline = Outline(written)
    assert "img" not in outline.tags
    assert outline.tags.count("script") == 2
    assert outline.open == []
    assert text_of(written).count("window.pwned=1") >= 20


def test_absolute_paths_of_the_configuration_stay_out(config):
    genome = config.genome.model_copy(update={"fasta": "/home/ada/secret/genome.fa.gz"})
    shown = _portable(config.model_copy(update={"genome": genome}).model_dump())
    assert "secret" not in str(shown)
    assert shown["genome"]["fasta"] == "genome.fa.gz"


def test_an_assembly_of_many_scaffolds_is_summed_up(genome):
    scaffold = {"size": 1000, "gc": 0.4, "n_fraction": 0.0, "masked_fraction": 0.0, "split": None}
    genome["sequences"] += [{"chrom": f"scaffold_{i}", **scaffold} for i in range(2000)]
    rows = sequence_table(genome).rows
    assert len(rows) == 41
    assert {row[0] for row in rows} >= {"chr1", "chr2", "chr3", "chr4", "chr5"}
    assert rows[-1][:2] == ["1,966 more", "1,966,000"]


def test_sequences_in_blocks_are_described_below_the_table(genome, blocks):
    table = sequence_table(blocks)
    assert table.rows[0][-1] == "blocks"
    assert "train: chr: 3 blocks, 0.7 Mb; validation: chr: 1 block, 0.1 Mb; test: chr: 1 block" in table.note
    assert sequence_table(genome).note == ""


def test_counts_are_ranked_and_groups_flattened():
    table = count_table("Rules", {"evidence": {"tss": 4, "TSS +- 500 bp": 1000}, "too_many_n": 30, "a_cx.bed": 2})
    assert table.rows == [
        ["evidence: TSS \u00b1 500 bp", "1,000"],
        ["too many n", "30"],
        ["evidence: tss", "4"],
        ["a_cx.bed", "2"],
    ]


def test_the_methods_text_cites_in_order(page):
    written = page.read_text()
    prose = re.search(r'<pre class="text"[^>]*>(.*?)</pre>', written, re.S)[1]
    cited = [int(number) for number in re.findall(r"\[(\d+)\]", prose)]
    assert cited == sorted(cited)
    references = re.search(r'<ol class="references">(.*?)</ol>', written, re.S)[1].count("<li>")
    assert sorted(set(cited)) == list(range(1, references + 1))
    assert "300 bp" in prose
    assert "caliper of 0.50" in prose


def test_motif_figures_are_those_of_the_file(page):
    written = page.read_text()
    card = written[written.index("TATA-box") :][:40_000]
    assert "+0.200" in card
    assert re.search(r"decoys with</dt><dd>70 : 20<", card)
    assert "60 : 9 (q &lt; 1e\u2212300)" in card
    assert "+0.40 (+0.30 to +0.50)" in card
    assert "near \u221235 bp" in written
    assert "no database match" in written
    assert re.search(r"<td[^>]*>21\.5</td>", written)  # co-occurrence
    assert "recover 100 % of them" in written
    assert "2.20 (1.70 to 2.90)" in written
    assert "filter 7" in written


def panels_of(embeddings):
    return embedding_panels(*embedding_plane(embeddings, seed=1))


def test_large_embeddings_are_thinned():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"name": [f"e{i}" for i in range(20_000)], "label": rng.integers(0, 2, 20_000)})
    panels = panels_of(Vectors(rng.normal(size=(len(rows), 4)), rows.assign(gc=rng.random(20_000))))
    assert [len(panel.data) for panel in panels] == [3000, 3000]
    assert max(len(panel.svg) for panel in panels) < 150_000


def test_only_test_examples_are_on_the_map(tmp_path, write):
    embeddings = read_results(write(tmp_path / "demo")).embeddings
    rows = embeddings.rows.assign(split=["train"] * 100 + ["test"] * 80)
    panels = panels_of(replace(embeddings, rows=rows))
    shown = panels[0].data.set_index("name")
    assert set(shown.index) == set(rows["name"][100:])
    first = rows["name"][100]
    assert shown.loc[first, ["pc1", "pc2"]].tolist() == pytest.approx(embeddings.plane[100], abs=1e-3)


def test_the_losses_shown_together_are_the_same_loss(page):
    losses = pd.read_csv(page.parent / "data/loss.tsv", sep="\t")
    assert list(losses.columns) == ["epoch", "train_classification", "validation_loss"]


def test_the_methods_name_the_chromosomes_of_each_split(tmp_path, write, config):
    text = methods(read_results(write(tmp_path / "demo", vectors=False)), config)[0]
    held = "Whole chromosomes were assigned to splits (train: chr1, chr2; validation: chr3; test: chr4, chr5);"
    assert held in text[0]
    assert "neighbouring blocks" not in text[0]
    assert "On the test chromosomes" in " ".join(text)


def test_the_methods_describe_blocks_and_folds(tmp_path, write, config, blocks):
    splits = SplitsConfig(by="block", block=90_000, gap=4_000, folds=5, fold=1)
    settings = config.model_copy(update={"genome": config.genome.model_copy(update={"splits": splits})})
    text = methods(read_results(write(tmp_path / "demo", genome=blocks)), settings)[0]
    assert (
        "Blocks of at least 90,000 bp were assigned to splits as fold 2 of 5 (train: chr: 3 blocks, 0.7 Mb; "
        "validation: chr: 1 block, 0.1 Mb; test: chr: 1 block, 0.2 Mb), 4,000 bp being left out between neighbouring "
        "blocks of different splits; everything that was fitted saw the training blocks only"
    ) in text[0]
    assert "chromosomes" not in " ".join(text)


@pytest.mark.parametrize("strand", ["tied", "twin", "free"])
def test_the_methods_name_the_strand_design(tmp_path, write, config, strand):
    settings = config.model_copy(update={"training": config.training.model_copy(update={"strand": strand})})
    text = " ".join(methods(read_results(write(tmp_path / "demo", vectors=False)), settings)[0])
    assert ("same embedding" in text) == (strand != "free")
    assert {"tied": "tied in pairs", "twin": "averaged", "free": "given strand only"}[strand] in text


@pytest.mark.parametrize(
    ("training", "told", "untold"),
    [
        ({"contrastive_weight": 0.0, "surrogate_weight": 0.0}, "trained on a classification loss, with", "InfoNCE"),
        ({"classification_weight": 0.0}, "trained on 0.20 times InfoNCE", "classification loss"),
        (
            {"knots": 9, "pool": "attention"},
            "curves along the window of 9 points, pooled over positions by attention",
            "x",
        ),
        ({"views": [{"mutation": {"rate": 0.1}}]}, "changed at random (mutation)", "x"),
        ({"curriculum": ["pool"]}, "on all promoters of the training split against all candidate decoys", "pretrained"),
        ({"average": 0.0}, "whose filters", "moving average"),
        ({"pretraining": PretrainingConfig(windows="genome")}, "pretrained for 10 epochs on windows side by side", "x"),
        ({"harmony": "upgrad"}, "their gradients combined by upgrad", "x"),
    ],
)
def test_the_methods_tell_how_it_was_trained(tmp_path, write, config, training, told, untold):
    settings = config.model_copy(update={"training": config.training.model_copy(update=training)})
    results = read_results(write(tmp_path / "demo", vectors=False))
    paragraph = methods(results, settings)[0][2]
    assert told in paragraph
    assert untold == "x" or untold not in paragraph


@pytest.mark.parametrize("pooling", ["mean", "sif", "attention"])
def test_the_methods_describe_a_kmer_encoder(tmp_path, write, config, pooling):
    training = config.training.model_copy(update={"encoder": "kmers", "pooling": pooling})
    settings = config.model_copy(update={"training": training})
    text, references = methods(read_results(write(tmp_path / "demo", vectors=False)), settings)
    joined = " ".join(text)
    assert "canonical 6-mers, so that either strand has the same embedding [" in joined
    assert "convolutional" not in joined
    weighing = {
        "mean": "the mean of their vectors",
        "sif": "frequent k-mers weigh less",
        "attention": "learned weights",
    }
    assert weighing[pooling] in joined
    cited = {int(number) for number in re.findall(r"\[(\d+)\]", joined)}
    assert cited == set(range(1, len(references) + 1))


def test_the_methods_describe_how_kmers_were_fitted(tmp_path, write, config):
    options = {"objective": "infonce", "log_q": True, "skip": 5, "spaced": "1110111"}
    settings = config.model_copy(update={"kmers": config.kmers.model_copy(update=options)})
    text, references = methods(read_results(write(tmp_path / "demo")), settings)
    joined = " ".join(text)
    for part in ("over all k-mers", "the nearest 5 positions left out", "spaced seed 1110111", "scores corrected"):
        assert part in joined
    assert "negative samples" not in joined
    cited = {int(number) for number in re.findall(r"\[(\d+)\]", joined)}
    assert cited == set(range(1, len(references) + 1))


def test_the_performance_section_says_whether_probabilities_hold(page, metrics):
    data = pd.read_csv(page.parent / "data" / "reliability.tsv", sep="\t")
    curves = [metrics["calibration"][side]["curve"] for side in ("before", "after")]
    assert list(data["name"]) == ["before"] * 10 + ["calibrated"] * 10
    assert list(data["observed"]) == pytest.approx([each["observed"] for curve in curves for each in curve])
    text = " ".join(text_of(page.read_text()).split())
    assert "Logits were divided by 1.70, a temperature fitted on the validation split" in text
    assert "log loss 0.480 (0.460 to 0.500) 0.430 (0.410 to 0.450)" in text
    assert "expected calibration error 0.080 0.030" in text
    assert "intervals over 42 blocks of pairs (25,000 bp each)" in text
    assert "Were 1 % of the windows promoters, and all others like decoys, the model\u2019s AUPRC" in text.replace(
        "'", "\u2019"
    )
    assert "would be 0.310 (0.290 to 0.330) and its calls right in 5.2 %" in text


def test_the_page_shows_where_the_model_looks(page, config, metrics):
    data = pd.read_csv(page.parent / "data" / "attention.tsv", sep="\t")
    assert list(data["position"]) == [place - config.genome.upstream for place in metrics["attention"]["position"]]
    assert list(data["promoters"]) == metrics["attention"]["promoters"]
    told = f"on promoters it is highest {75 - config.genome.upstream} bp from the TSS, 1.90 times the mean"
    assert told.replace("-", "\u2212") in page.read_text().replace("-", "\u2212")


def test_the_probes_stand_beside_chance(metrics):
    rows = {row[0]: row[1:] for row in probe_table(metrics["probes"]).rows}
    assert rows["logistic regression, AUROC"] == ["0.905 (0.885 to 0.925)", "0.500"]
    assert rows["21 nearest training windows, AUROC"] == ["0.870 (0.850 to 0.890)", "0.500"]
    nearest = "promoters among a test promoter's 10 nearest test windows"
    assert rows[nearest] == ["0.820 (0.800 to 0.840)", "0.497"]
    assert rows["own locus of a moved window among the 10 nearest"][1] == "0.056"
    assert rows["own locus of a moved window nearest"] == ["0.710 (0.690 to 0.730)", "0.006"]
    assert rows["mean cosine of the two strands"] == ["1.000", "0.000"]
