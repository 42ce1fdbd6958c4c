"""The verdict says what the intervals carry, and no more."""

import pytest

from genocontrast.report.limits import known_limits
from genocontrast.report.results import read_results
from genocontrast.report.verdict import audit, judge


def interval(value, width=0.02):
    return {"value": value, "low": value - width, "high": value + width}


@pytest.fixture
def judged(tmp_path, write):
    def run(**changes):
        found = read_results(write(tmp_path / "demo", vectors=False, **changes))
        return judge(found), {item.name: item for item in audit(found)}, known_limits(found, max_smd=0.1)

    return run


def with_difference(metrics, name, value, width=0.02):
    for baseline in metrics["baselines"]:
        if baseline["name"] == name:
            baseline["difference"] = interval(value, width)
            baseline["auroc"] = interval(metrics["test"]["auroc"]["value"] - value)
    return metrics


def test_a_model_that_beats_every_baseline(judged):
    verdict, audits, limits = judged()
    assert verdict.tone == "good"
    assert verdict.title == "The model beats every simpler explanation tested."
    for part in ("240 pairs", "90 pairs", "2 chromosomes", "0.910 (95 % interval 0.890 to 0.930)", "4-mer", "0.840"):
        assert part in verdict.text
    assert "+0.070 (+0.050 to +0.090)" in verdict.text
    assert "89 %" in verdict.text
    assert [item.state for item in audits.values()] == ["pass"] * 4
    assert verdict.text.endswith("All 4 audits pass.")
    assert not any("does not beat" in line for line in limits)


def test_no_signal_is_said_and_nothing_is_claimed(judged, metrics):
    metrics |= {"signal": False}
    metrics["test"]["auroc"] = interval(0.51, 0.03)
    verdict, _, _ = judged(metrics=metrics)
    assert verdict.tone == "bad"
    assert verdict.title.startswith("No signal")
    assert "includes 0.5" in verdict.text
    assert "mean nothing" in verdict.text
    assert "favour" not in verdict.text
    assert "oracle" not in verdict.text


def test_a_baseline_that_wins(judged, metrics):
    verdict, audits, limits = judged(metrics=with_difference(metrics, "4-mer", -0.05))
    assert (verdict.tone, verdict.title) == ("bad", "A baseline wins: the 4-mer baseline beats the model.")
    assert "\u22120.050 (\u22120.070 to \u22120.030)" in verdict.text
    assert "simpler model is the better one" in verdict.text
    assert audits["Shortcut"].state == "pass"  # 4-mers are sequence, not a covariate
    assert any("does not beat the 4-mer baseline" in line for line in limits)


def test_a_tie_is_not_a_win(judged, metrics):
    verdict, _, _ = judged(metrics=with_difference(metrics, "4-mer", 0.01))
    assert verdict.tone == "caution"
    assert verdict.title.startswith("A tie: the model is no better than the 4-mer baseline")
    assert "includes 0" in verdict.text


def test_the_best_covariate_baseline_decides_the_shortcut_audit(judged, metrics):
    _, audits, _ = judged(metrics=with_difference(metrics, "covariates", 0.015))
    assert audits["Shortcut"].state == "fail"
    assert "all covariates" in audits["Shortcut"].reason


def test_beating_the_best_baseline_only_is_not_beating_all(judged, metrics):
    metrics["baselines"][0]["difference"] = interval(0.36, 0.4)
    verdict, _, _ = judged(metrics=metrics)
    assert verdict.tone == "caution"
    assert "not every baseline" in verdict.title
    assert "does not clearly beat the GC-only baseline" in verdict.text


def test_without_baselines_nothing_is_compared(judged, metrics):
    verdict, audits, _ = judged(metrics=metrics | {"baselines": []})
    assert "no baseline was run" in verdict.title
    assert verdict.tone == "caution"
    assert audits["Shortcut"].state == "not run"


def test_a_failed_gate_comes_first(judged, balance):
    balance |= {"passed": False, "retention": 0.61}
    balance["table"][1] |= {"passed": False, "smd_after": 0.31}
    verdict, audits, limits = judged(balance=balance)
    assert verdict.tone == "bad"
    assert verdict.title.startswith("The balance gate failed.")
    assert verdict.text.startswith("The decoys differ from the promoters in GC content; 61 % of the promoters")
    assert audits["Balance"].state == "fail"
    assert any("GC content still differs" in line for line in limits)


def test_a_network_that_reads_strands_differently_fails_behind_calls_that_agree(judged, metrics):
    metrics["strand"]["network"]["max_difference"] = 0.2
    assert judged(metrics=metrics)[1]["Strand"].state == "fail"


def test_strand_flips_fail_the_strand_audit(judged, metrics):
    metrics["strand"]["flips"] = 3
    assert judged(metrics=metrics)[1]["Strand"].state == "fail"
    assert judged(metrics={**metrics, "strand": None})[1]["Strand"].state == "not run"


@pytest.mark.parametrize(("passed", "state"), [(True, "pass"), (False, "fail"), (None, "not run")])
def test_leakage_is_reported_where_it_was_audited(judged, metrics, passed, state):
    metrics["leakage"]["passed"] = passed
    assert judged(metrics=metrics)[1]["Leakage"].state == state


def test_the_verdict_names_the_audits_that_fail_and_those_not_run(judged, metrics):
    metrics["strand"]["flips"] = 3
    metrics["leakage"] = None
    text = judged(metrics=metrics)[0].text
    assert text.endswith("Of the audits balance and shortcut pass; strand fails; leakage was not run.")


def test_a_negative_control_should_find_nothing(judged, balance, metrics):
    balance["permuted"] = True
    assert judged(balance=balance)[0].title.startswith("The negative control failed")
    metrics |= {"signal": False}
    verdict, _, _ = judged(balance=balance, metrics=metrics)
    assert verdict.tone == "good"
    assert "as it should be" in verdict.title


def test_limits_say_that_test_blocks_have_neighbours_in_training(judged, blocks, metrics):
    def said(limits):
        return [line for line in limits if "between training blocks" in line]

    assert not said(judged()[2])
    limits = judged(genome=blocks, metrics=metrics | {"leakage": None})[2]
    assert len(said(limits)) == 1
    assert any("whole blocks are held out" in line for line in limits)


def test_limits_name_what_was_not_matched_and_who_was_left_out(judged, balance):
    limits = judged(balance=balance)[2]
    assert "repeat content" in limits[0]
    assert "GC content" not in limits[0]
    assert "93.0 %" in limits[1]
    assert "32 promoters" in limits[1]
    for counts in balance["splits"].values():
        counts["dropped"] = 0
    assert "Every eligible promoter" in judged(balance=balance)[2][1]
