"""What the page says of decoys: what was gated and what only measured, who has none, and what the easier ones are."""

from dataclasses import replace

import pandas as pd
import pytest

from genocontrast.examples import sort_examples
from genocontrast.report.decoys import (
    balance_table,
    dropped_table,
    evidence_table,
    reason_table,
    tier_sentences,
    tier_table,
    unused_signal_sentence,
    widest_gap,
)
from genocontrast.report.figures import love_panel
from genocontrast.report.limits import known_limits
from genocontrast.report.methods import methods
from genocontrast.report.results import read_results
from genocontrast.report.sections import sections
from genocontrast.report.tables import split_table
from genocontrast.report.verdict import audit, judge, largest_smd


@pytest.fixture
def read(tmp_path, write):
    def run(**changes):
        return read_results(write(tmp_path / "demo", vectors=False, **changes))

    return run


def limits_of(results):
    return " ".join(known_limits(results, max_smd=0.1))


def test_what_was_measured_only_is_neither_passed_nor_failed(balance):
    table = balance_table(balance)
    gate = {row[0]: row[-2:] for row in table.rows}
    assert list(gate) == [
        "GC content",
        "CpG ratio",
        "accessibility",
        "repeat content",
        "accessibility, unused signal",
    ]
    assert gate["GC content"] == ["yes", "pass"]
    assert gate["repeat content"] == gate["accessibility, unused signal"] == ["no", "not gated"]
    assert "Unused signal" in table.note
    balance["table"][1]["passed"] = False
    assert balance_table(balance).rows[0][-1] == "fail"
    assert len(balance_table(balance | {"signal_check": {"measured": False, "how": "one track"}}).rows) == 4


def test_the_love_plot_sets_measured_covariates_apart(balance):
    panel = love_panel(balance, 0.1)
    assert list(panel.data["covariate"]) == ["gc", "cpg", "accessibility", "repeat"]
    assert list(panel.data["matched"]) == [True, True, True, False]
    assert panel.alt.endswith("Not matched on: repeat from 0.400 to 0.280.")
    assert "Diamonds" in panel.caption
    assert "not matched on this" in panel.svg
    gated = love_panel(balance | {"table": balance["table"][1:]}, 0.1)
    for text in (gated.alt, gated.caption, gated.svg):
        assert "ot matched on" not in text
        assert "Diamonds" not in text


def test_the_verdict_speaks_of_matched_covariates_only(read, balance):
    assert largest_smd(balance) == 0.05  # not 0.28 of the repeats
    found = read(balance=balance)
    assert "a decoy matched on GC content, CpG ratio and accessibility." in judge(found).text
    assert "largest |SMD| 0.050" in audit(found)[0].reason
    balance |= {"passed": False, "failures": ["accessibility: |SMD| 0.310, KS 0.200"]}
    balance["table"][3] |= {"passed": False, "smd_after": 0.31}
    assert judge(read(balance=balance)).text.startswith("The decoys differ from the promoters in accessibility;")


def test_why_the_gate_failed_is_said_beside_the_table(read, balance, config):
    failures = ["the covariates alone tell decoys from promoters: AUROC 0.700 (0.650 to 0.750)"]
    found = read(balance=balance | {"passed": False, "failures": failures})
    blocks = next(part for part in sections(found, config, {}) if part.anchor == "balance").blocks
    assert [block.content for block in blocks if block.kind == "bullets"] == [failures]
    assert all(block.kind != "bullets" for block in sections(read(), config, {})[2].blocks)


def test_several_decoys_of_a_promoter_are_counted(read, balance, metrics, config):
    metrics["splits"]["train"] = {"promoters": 240, "decoys": 470}
    metrics["test"]["prevalence"] = 1 / 3
    balance["matching"]["short"] = 10
    found = read(balance=balance, metrics=metrics)
    assert "learned from 240 promoters and their 470 decoys matched on" in judge(found).text
    assert "Of the test windows 33 % are promoters." in limits_of(found)
    lead = sections(found, config, {})[1].blocks[0].content
    assert lead[1] == "Fewer decoys than were asked for went to 10 promoters."


@pytest.mark.parametrize(
    ("smd", "said", "limit"),
    [(0.23, "still 0.23 SD more open", True), (-0.3, "still 0.30 SD less open", True), (0.04, "balance holds", False)],
)
def test_a_signal_that_was_not_matched_on_is_put_in_plain_words(read, balance, smd, said, limit):
    balance["signal_check"]["smd_after"] = smd
    sentence = unused_signal_sentence(balance)
    assert said in sentence
    assert "winner's curse" in sentence
    assert "all replicates but atac_2.bw" in sentence
    assert ("overstates" in sentence) == limit
    assert ("In signal that was held back" in limits_of(read(balance=balance))) == limit


@pytest.mark.parametrize("check", [None, {"measured": False, "how": "one track that cannot be divided"}])
def test_a_signal_that_could_not_be_held_back_is_a_limit(read, balance, check):
    del balance["signal_check"]
    balance |= {"signal_check": check} if check else {}
    assert unused_signal_sentence(balance).startswith("No part of the signal was held back")
    assert check is None or check["how"] in unused_signal_sentence(balance)
    assert "has not been measured" in limits_of(read(balance=balance))
    balance["table"][3]["matched"] = False
    assert "has not been measured" not in limits_of(read(balance=balance))


def test_limits_tell_measured_from_matched(read, balance):
    limits = limits_of(read(balance=balance))
    assert "repeat content was not matched on and differs between the classes: SMD \u22120.280." in limits
    assert "still differs" not in limits
    balance["table"].append(balance["table"][0] | {"covariate": "tss_distance", "matched": True, "smd_after": 0.12})
    limits = limits_of(read(balance=balance))
    assert "distance to genes" not in limits
    assert "distance to nearest TSS still differs between the classes: SMD +0.120" in limits


def test_evidence_is_listed_with_what_rests_on_it_alone(balance):
    rows = evidence_table(balance).rows
    assert rows[0] == ["TSS \u00b1 500 bp", "1,203", "240"]
    assert rows[1][0] == "sgd.gff3:gene, tRNA_gene"  # a long list can break


def test_promoters_without_a_decoy_stand_beside_the_others(read, balance, metrics):
    table = dropped_table(balance, metrics)
    assert table.rows == [
        ["GC content", "0.560", "0.520", "+0.50"],
        ["accessibility", "3.200", "2.000", "+2.40"],
        ["mean score, test split", "0.614", "0.683", ""],
        ["called promoters, test split", "71 %", "86 %", ""],
    ]
    assert "7 without a decoy" in table.note
    assert reason_table(balance).rows[0] == ["no candidate within the caliper", "23"]
    assert widest_gap(balance) == ("accessibility", pytest.approx(2.4))
    assert "32 promoters without one, which differ most in accessibility (+2.40 SD)" in limits_of(read())
    for unscored in (
        dropped_table(balance, metrics | {"dropped": None}),
        dropped_table(balance | {"permuted": True}, metrics),  # half of those called promoters are decoys
    ):
        assert len(unscored.rows) == 2
        assert "test" not in unscored.note


def test_the_reasons_that_were_given_are_explained(balance):
    assert "Caliper:" in reason_table(balance).note
    assert "serve others" in reason_table(balance).note
    balance["dropped"]["reasons"] = {"left out for the balance": 9}
    assert reason_table(balance).note.startswith("The largest choice of promoters was kept")
    assert "aliper" not in reason_table(balance).note


def test_without_dropped_promoters_there_is_no_table_of_them(read, balance, metrics, config):
    balance["dropped"] = {"reasons": {}, "means": []}
    found = read(balance=balance, metrics=metrics | {"dropped": None})
    titles = [
        table.title
        for block in sections(found, config, {})[1].blocks
        if block.kind == "tables"
        for table in block.content
    ]
    assert "Examples by split" in titles
    assert not {"Why promoters have no decoy", "Promoters without a decoy"} & set(titles)
    assert widest_gap(balance) is None
    assert "scored apart" not in " ".join(methods(found, config)[0])


def test_the_splits_say_how_balanced_each_is(balance):
    rows = {row[0]: row[-1] for row in split_table(balance).rows}
    assert rows == {
        "train": "+0.010 (GC content)",
        "validation": "\u22120.120 (CpG ratio)",
        "test": "\u2013",
        "all": "+0.050 (accessibility)",
    }


def test_classes_are_shown_where_an_annotation_named_them(read, balance, config):
    def titles(found):
        (part,) = [part for part in sections(found, config, {}) if part.anchor == "examples"]
        return [table.title for block in part.blocks if block.kind == "tables" for table in block.content]

    assert "Decoys by annotation" in titles(read())
    assert "Decoys by annotation" not in titles(read(balance=balance | {"classes": []}))


def test_the_tiers_have_the_means_of_their_own_examples(read, balance):
    examples = read().examples
    table = tier_table(examples, balance)
    assert table.columns == ["Tier", "Pairs#", "GC content#", "CpG ratio#", "accessibility#"]
    assert [row[:2] for row in table.rows] == [
        ["hard", "390"],
        ["random", "390"],
        ["gc", "390"],
        ["open", "0"],
        ["nearby", "40"],
    ]
    for row in table.rows:
        mine = examples[examples["tier"] == row[0]]
        for name, cell in zip(("gc", "cpg", "accessibility"), row[2:], strict=True):
            means = [f"{mine.loc[mine['label'] == label, name].mean():.3f}" for label in (1, 0)]
            assert cell == (" | ".join(means) if len(mine) else "\u2013")
    assert table.rows[1][-1].endswith("| 0.125")
    assert not table.rows[0][-1].endswith("| 0.125")


def test_each_tier_is_explained(balance):
    sentences = tier_sentences(balance)
    assert [sentence.split(":")[0] for sentence in sentences] == ["hard", "random", "gc", "open", "nearby"]
    assert "matched with their promoters on GC content, CpG ratio and accessibility;" in sentences[0]
    assert sentences[4].endswith("(350 of 390 promoters without one).")
    assert sentences[1] == "random: drawn from anywhere in the genome."


def test_only_the_table_of_tiers_depends_on_easier_decoys(read, config):
    found = read()
    hard = sort_examples(found.examples[found.examples["tier"] == "hard"])
    other = replace(found, examples=pd.concat([hard, hard.assign(tier="random", gc=0.9)]))

    drawn = {"panels", "map", "errors"}

    def shown(results):
        parts = {part.anchor: part for part in sections(results, config, {})}
        tables = [block for block in parts.pop("examples").blocks if block.kind == "tables"]
        return tables[:-1], [block for part in parts.values() for block in part.blocks if block.kind not in drawn]

    assert shown(other) == shown(found)


@pytest.mark.parametrize(
    ("method", "said", "cited"),
    [
        ("caliper", "by an assignment of least total Euclidean distance (of all pairs", False),
        ("cardinality", "agree within 0.005 standard deviations and whose cumulatives agree within 0.01", True),
        ("greedy", "one promoter after the other, those with the fewest candidates first", False),
    ],
)
def test_the_methods_describe_the_matching(read, config, method, said, cited):
    negatives = config.negatives.model_copy(
        update={"method": method, "ratio": 2, "candidates": ["peaks", "summits"], "exact": ["chrom", "beds/arms.bed"]}
    )
    paragraphs, references = methods(read(), config.model_copy(update={"negatives": negatives}))
    text = paragraphs[1]
    assert said in text
    assert any("Zubizarreta" in reference for reference in references) == cited
    assert ("cost of leaving a promoter out" in text) == (method == "caliper")
    assert ("(of all pairs within the caliper, a first decoy for everybody before a second one)" in text) == (
        method == "caliper"
    )
    assert ("with a caliper of 0.50" in text) == (method != "cardinality")
    assert "from windows tiled every 50 bp over open chromatin and summits of open chromatin that lie" in text
    assert "within the same chromosome, within the same arms every promoter was paired with up to 2 decoys" in text
    assert "held back (matched on all replicates but atac_2.bw, compared in that one)" in text
    assert "was +0.230." in text


def test_an_assignment_that_looked_at_some_candidates_only_says_so(read, balance, config):
    balance["matching"]["assignment"]["train"]["uncertified"] = 7
    assert (
        "among each promoter's nearest candidates (7 had farther ones that could matter)"
        in methods(read(balance=balance), config)[0][1]
    )


def test_mined_rounds_have_a_table(read, config):
    def training(results, config):
        (section,) = [part for part in sections(results, config, {}) if part.anchor == "training"]
        return [table for block in section.blocks if block.kind == "tables" for table in block.content]

    results = read()
    assert training(results, config) == []
    assert "paired anew" not in methods(results, config)[0][2]
    found = {"validation_loss": 0.5, "validation_auroc": 0.8, "epochs": 9, "best_epoch": 4}
    balance = [
        {"covariate": "gc", "matched": True, "smd": -0.08},
        {"covariate": "repeat", "matched": False, "smd": 3.0},
    ]
    mining = {"pairs": 1200, "left": 3, "new": 900, "similarity": {"before": 0.1, "after": 0.7}, "balance": balance}
    rounds = [
        {**found, "round": 0, "mining": None, "chosen": False},
        {**found, "round": 1, "mining": mining, "chosen": True, "validation_loss": 0.4},
    ]
    mined = config.model_copy(update={"training": config.training.model_copy(update={"mined_rounds": 1})})
    results = replace(results, history=results.history | {"rounds": rounds})
    (table,) = training(results, mined)
    assert table.rows == [
        ["matched", "\u2013", "\u2013", "\u2013", "\u2013", "\u2013", "\u2013", "0.5000", "0.800"],
        ["mined, round 1", "1,200", "3", "900", "0.100", "0.700", "0.080", "0.4000", "0.800"],
    ]
    assert table.strong == {1}
    assert (
        "Training was repeated once, each time with the training promoters paired anew" in methods(results, mined)[0][2]
    )
