"""Each notebook runs from beginning to end in a kernel of its own, without clutter, and is kept without outputs."""

import ast
import copy
import re
import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LONGEST = 240
"""Seconds: a notebook takes less than a minute on a quiet core, but the first use of TOMTOM compiles for longer."""
ids = {"ids": lambda path: path.stem}


def executed(notebook, folder):
    """The notebook with its outputs; a cell that fails, fails the test with its traceback."""
    return NotebookClient(notebook, timeout=LONGEST, resources={"metadata": {"path": str(folder)}}).execute()


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def plain(notebook):
    return [output["data"].get("text/plain", "") for output in outputs(notebook) if "data" in output]


def unclean(notebook):
    """What git should not hold: results, counters, and what editors leave behind."""
    said = [] if set(notebook.metadata) <= {"kernelspec", "language_info"} else ["metadata of an editor"]
    if set(notebook.metadata.get("language_info", {})) - {"name"}:
        said.append("the version of the Python that ran it")
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        said.append("a kernel of one machine")
    for number, cell in enumerate(notebook.cells):
        if cell.get("outputs"):
            said.append(f"outputs of cell {number}")
        if cell.get("execution_count") is not None:
            said.append(f"the count of cell {number}")
        if cell.metadata:
            said.append(f"metadata of cell {number}")
        if cell["id"] != f"cell-{number:02}":
            said.append(f"a random id of cell {number}")
    return said


def test_there_are_the_six():
    assert [path.stem for path in NOTEBOOKS] == [
        "hard_negatives", "info_nce", "kmer_space", "quickstart", "train_and_read", "your_own_genome"
    ]  # fmt: skip


@pytest.mark.parametrize("path", NOTEBOOKS, **ids)
def test_is_clean(path):
    assert unclean(nbformat.read(path, as_version=4)) == []


def test_every_kind_of_dirt_is_noticed():
    clean = nbformat.read(NOTEBOOKS[0], as_version=4)
    code = next(number for number, cell in enumerate(clean.cells) if cell.cell_type == "code")
    dirt = {
        f"outputs of cell {code}": lambda book: book.cells[code].outputs.append(nbformat.v4.new_output("stream")),
        f"the count of cell {code}": lambda book: book.cells[code].update(execution_count=3),
        f"metadata of cell {code}": lambda book: book.cells[code].metadata.update(collapsed=True),
        f"a random id of cell {code}": lambda book: book.cells[code].update(id="8f3a"),
        "metadata of an editor": lambda book: book.metadata.update(vscode={}),
        "the version of the Python that ran it": lambda book: book.metadata.language_info.update(version="3.12.1"),
        "a kernel of one machine": lambda book: book.metadata.kernelspec.update(name="my-env"),
    }
    for name, leave in dirt.items():
        book = copy.deepcopy(clean)
        leave(book)
        assert unclean(book) == [name]


@pytest.mark.parametrize("path", NOTEBOOKS, **ids)
def test_uses_public_names_only(path):
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    names = []
    for node in ast.walk(ast.parse("\n".join(cells))):
        if isinstance(node, ast.Attribute):
            names.append(node.attr)
        elif isinstance(node, ast.ImportFrom):
            names += [*(node.module or "").split("."), *(alias.name for alias in node.names)]
    assert [name for name in names if re.match("_[^_]", name)] == []


@pytest.mark.parametrize("path", NOTEBOOKS, **ids)
def test_links_lead_somewhere(path):
    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert [link for link in links if not (FOLDER / link).exists()] == []


@pytest.mark.parametrize("path", NOTEBOOKS, **ids)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the Jupyter machinery, not ours
def test_runs(path, tmp_path):
    begun = time.monotonic()
    finished = executed(nbformat.read(path, as_version=4), tmp_path)
    assert time.monotonic() - begun < LONGEST
    assert [output["text"] for output in outputs(finished) if output.get("name") == "stderr"] == [], "clutter"
    for cell in finished.cells:
        lines = [output for output in cell.get("outputs", []) if output["output_type"] == "display_data"]
        progress = [line for line in lines if set(line["data"]) == {"text/plain"}]
        assert len(progress) <= 1, "progress is one line, which is replaced"
    if path.stem in ("quickstart", "train_and_read"):
        assert [text for text in plain(finished) if re.match(r"epoch 6/6  train .* AUROC ", text)]
        assert [text for text in plain(finished) if text.startswith("Model(encoder StrandEncoder, strand tied, width ")]
    if path.stem == "quickstart":
        assert "0.0" in plain(finished), "the two strands have different scores"
        assert (tmp_path / "model" / "model.safetensors").is_file()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_progress_in_a_kernel_is_one_line_of_its_cell(tmp_path):
    cells = [
        "import logging\nimport genocontrast as gct\nlog = logging.getLogger('genocontrast.a.stage')\n"
        "log.info('begun %d', 1)\nlog.info('done <b>%d</b>', 2)\nlog.debug('unheard')",
        "log.info('another cell')\n3",
        "'one handler' * (len([*logging.getLogger('genocontrast').handlers]) == 1)",
        "logging.basicConfig(level='WARNING', filename='mine.log', format='%(message)s')\nlog.info('to my log')\n4",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    finished = executed(notebook, tmp_path)
    found = [[output["data"] for output in cell.outputs] for cell in finished.cells]
    assert found == [
        [{"text/plain": "done <b>2</b>"}],
        [{"text/plain": "another cell"}, {"text/plain": "3"}],
        [{"text/plain": "'one handler'"}],
        [{"text/plain": "4"}],
    ]
    assert (tmp_path / "mine.log").read_text() == "to my log\n"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_kernel_shows_tables_and_completes_public_names(tmp_path):
    cells = [
        "from pathlib import Path\nimport genocontrast as gct\n"
        "Path('<i>.fa').write_text('>chr1\\n' + 'ACGT' * 50 + '\\n')\ngct.Genome('<i>.fa')",
        "[name for name in get_ipython().Completer.all_completions('gct.') if 'match' in name or 'import' in name]",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    first, second = executed(notebook, tmp_path).cells
    shown = first.outputs[-1]["data"]
    assert shown["text/plain"] == "Genome(file <i>.fa, size 200 bp, sequences 1: chr1)"
    assert "&lt;i&gt;.fa" in shown["text/html"]
    assert "<i>" not in shown["text/html"]
    assert "match_negatives" in second.outputs[-1]["data"]["text/plain"]
    assert "import" not in second.outputs[-1]["data"]["text/plain"]
