"""The examples of docs/contrast.md, in their order, as they are printed."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "contrast.md"


def test_the_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = list(re.finditer(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
    names = {}
    for block in blocks:
        if "init_process_group" in block[1]:
            continue  # a script of its own; tests of the distributed losses run the same calls
        line = PAGE.read_text()[: block.start()].count("\n") + 1
        try:
            exec(compile("\n" * line + block[1], str(PAGE), "exec"), names)
        except Exception as error:
            pytest.fail(f"{PAGE.name}, example of line {line}: {error!r}")
    assert len(blocks) >= 10
