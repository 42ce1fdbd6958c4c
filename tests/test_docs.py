"""The examples of the pages on Python, in their order, as they are printed."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize(("page", "fewest"), [("contrast.md", 10), ("encoders.md", 5)])
def test_the_examples_run(page, fewest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (DOCS / page).read_text()
    blocks = list(re.finditer(r"```python\n(.*?)```", text, re.DOTALL))
    names = {}
    for block in blocks:
        if "init_process_group" in block[1]:
            continue  # a script of its own; tests of the distributed losses run the same calls
        line = text[: block.start()].count("\n") + 1
        try:
            exec(compile("\n" * line + block[1], page, "exec"), names)
        except Exception as error:
            pytest.fail(f"{page}, example of line {line}: {error!r}")
    assert len(blocks) >= fewest
