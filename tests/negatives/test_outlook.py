"""`genocontrast genome check`: the decoys that a run would then have, and what it refuses."""

import io
import subprocess
import sys

import pytest
import yaml
from rich.console import Console

from genocontrast.artefacts import read_parquet
from genocontrast.config import parse_config
from genocontrast.errors import FileFormatError, PlausibilityError
from genocontrast.genome.stage import prepare, run
from genocontrast.negatives.outlook import check, expected_decoys
from genocontrast.negatives.stage import run as run_negatives


def settings(simulated, **negatives):
    genome = {
        "fasta": str(simulated / "genome.fa.gz"), "promoters": str(simulated / "genes.gtf"),
        "signal": [str(simulated / f"atac_rep{n}.bw") for n in (1, 2)],
        "open_chromatin": [str(simulated / "peaks.narrowPeak")], "exclude": [str(simulated / "blacklist.bed")],
    }  # fmt: skip
    return {"name": "demo", "genome": genome, "negatives": {"min_retention": 0.1, "gate": "warn", **negatives}}


def test_the_decoys_to_expect_are_those_that_a_run_has(simulated, tmp_path):
    config = parse_config(settings(simulated))
    expected = expected_decoys(prepare(config), config).set_index("split")
    run(config, tmp_path)
    run_negatives(config, tmp_path)
    examples = read_parquet(tmp_path / "negatives" / "examples.parquet")[0]
    examples = examples[examples["tier"] == "hard"]
    dropped = read_parquet(tmp_path / "negatives" / "dropped.parquet")[0]
    for split, row in expected.iterrows():
        promoters = ((examples["split"] == split) & (examples["label"] == 1)).sum() + (dropped["split"] == split).sum()
        assert row["promoters"] == promoters
        assert row["decoys"] >= ((examples["split"] == split) & (examples["label"] == 0)).sum() > 0


def test_it_prints_and_passes(simulated):
    console = Console(file=io.StringIO(), width=160)
    check(parse_config(settings(simulated)), console)
    text = console.file.getvalue()
    for part in ("encoded once into", "Regions by class", "Decoys to expect", "Plausibility", "decoys per promoter"):
        assert part in text


def test_too_few_decoys_are_refused_after_all_is_printed(simulated):
    console = Console(file=io.StringIO(), width=160)
    with pytest.raises(PlausibilityError, match=r"waste your night(.|\n)*train: \d+ decoys for \d+ promoters"):
        check(parse_config(settings(simulated, min_retention=1.0, tss_buffer=3_000)), console)
    assert "Decoys to expect" in console.file.getvalue()


def test_too_few_promoters_are_refused(simulated):
    values = settings(simulated)
    values["genome"]["tss_collapse"] = 10**8
    with pytest.raises(
        PlausibilityError, match=r"train: \d open promoters, fewer than 64(.|\n)*test: \d open promoters"
    ):
        check(parse_config(values), Console(file=io.StringIO()))


def test_a_missing_file_of_a_later_stage_is_named_at_once(simulated, tmp_path):
    values = settings(simulated) | {"evaluation": {"motif_database": str(tmp_path / "nope.meme")}}
    with pytest.raises(FileFormatError, match=r"nope\.meme: no such file"):
        check(parse_config(values), Console(file=io.StringIO()))


def test_names_are_printed_as_they_are(simulated, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    values = settings(simulated)
    odd = tmp_path / "peaks [red] :bug:.narrowPeak"
    odd.write_bytes((simulated / "peaks.narrowPeak").read_bytes())
    values["genome"]["open_chromatin"] = [str(odd)]
    check(parse_config(values))
    assert "[red] :bug:" in " ".join(capsys.readouterr().out.split())


def test_the_command_exits_with_three_on_the_wrong_signal(simulated, tmp_path):
    values = settings(simulated)
    (tmp_path / "off.bed").write_text("".join(f"chr{n}\t5\t60\n" for n in (1, 2, 3)))
    values["genome"]["signal"] = [str(tmp_path / "off.bed")]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    command = [sys.executable, "-c", "from genocontrast.cli import app; app()", "genome", "check", "--config"]
    done = subprocess.run([*command, str(tmp_path / "config.yaml")], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "no higher than on their chromosomes" in done.stderr
    assert "Decoys to expect" in done.stdout
