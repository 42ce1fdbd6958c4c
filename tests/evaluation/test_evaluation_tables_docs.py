"""The commands and the code of docs/tables.md, as they are printed, on tables of a moment's size."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from genocontrast.cli import main
from genocontrast.training import tables

PAGE = (Path(__file__).parents[2] / "docs" / "tables.md").read_text()


def test_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("train", "dev", "test"):
        lines = ["".join(rng.choice(list("ACGT"), 30)) + f",{i % 2}\n" for i in range(16)]
        Path(f"{name}.csv").write_text("sequence,label\n" + "".join(lines))

    def quick(config):
        return config.model_copy(update={"epochs": 1, "width": 8, "depth": 0, "device": "cpu"})

    fit = tables.fit_pairs
    monkeypatch.setattr(tables, "fit_pairs", lambda one, other, config, **more: fit(one, other, quick(config), **more))
    commands = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)[1].splitlines()
    for command in commands:
        done = CliRunner().invoke(main, shlex.split(command)[1:], catch_exceptions=False)
        assert done.exit_code == 0, f"{command}\n{done.output}"
    written = {"leakage.json", "leaks.tsv", "metrics.json", "predictions.tsv"}
    assert len(commands) == 3
    assert written <= {path.name for path in tmp_path.iterdir()}
    try:
        exec(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1], {})
    except Exception as error:
        pytest.fail(f"the code of docs/tables.md: {error!r}")
