"""The commands and the code of docs/predict.md, as they are printed, on small files."""

import re
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from typer.testing import CliRunner

from genocontrast.artefacts import checksum
from genocontrast.cli import main
from genocontrast.config import load_config, parse_config
from genocontrast.encoders import StrandEncoder
from genocontrast.genome import Genome
from genocontrast.genome.stage import run
from genocontrast.training.model import Model

PAGE = (Path(__file__).parents[1] / "docs" / "predict.md").read_text()


def test_the_page_runs(simulated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, here in (("genome.fa.gz", "genome.fa.gz"), ("atac_rep1.bw", "atac.bw"), ("genes.gtf", "genes.gtf"),
                       ("peaks.narrowPeak", "peaks.narrowPeak")):  # fmt: skip
        shutil.copy(simulated / name, here)
    init, *commands = "".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)).splitlines()
    assert len(commands) == 4

    def call(command):
        done = CliRunner().invoke(main, shlex.split(command)[1:], catch_exceptions=False)
        assert done.exit_code == 0, f"{command}\n{done.output}"

    call(init.replace("genome.fa ", "genome.fa.gz "))
    values = yaml.safe_load(Path("my_cells/config/config.yaml").read_text())
    values |= yaml.safe_load(re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[1])
    Path("my.yaml").write_text(yaml.safe_dump(values))
    config = load_config("my.yaml")
    # a model that was not trained scores as well as any
    run(parse_config(values), Path("results/my_cells"))
    torch.manual_seed(0)
    record = {"inputs": {"genome": {"file": "genome.fa.gz", "sha256": checksum("genome.fa.gz")}}}
    network = StrandEncoder("tied", width=4, depth=0, dim=4).eval()
    model = Model(network, config.genome.width, {"train": [], "validation": []}, record)
    model.save("results/my_cells/training/model")
    shutil.copy("peaks.narrowPeak", "enhancers.bed")
    genome = Genome("genome.fa.gz")
    chrom = next(iter(genome.sizes))
    Path("constructs.fa").write_text(f">one\n{genome.sequence(chrom, 100_000, 100_500)}\n")
    for command in commands:
        call(command)
    found = Path("results/my_cells/predictions")
    assert {path.name for path in (found / "enhancers").iterdir()} == set(re.findall(r"\| `([a-z.]+)` \|", PAGE))
    assert not (found / "constructs" / "scores.bw").exists()
    names = {}
    try:
        exec(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1], names)
    except Exception as error:
        pytest.fail(f"the code of docs/predict.md: {error!r}")
    assert 0 < len(names["new"]) < len(names["scores"]) == len(pd.read_csv("enhancers.bed", sep="\t", header=None))
