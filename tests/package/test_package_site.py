"""The documentation: it builds without warnings, asks nothing of the network, and says what the code says."""

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import typer

import genocontrast
from genocontrast import errors
from genocontrast.cli import main
from genocontrast.config import parse_config

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TEXTS = [ROOT / "README.md", ROOT / "config" / "README.md", *sorted(DOCS.rglob("*.md"))]
SVG = "{http://www.w3.org/2000/svg}"
FILES = {"name": "a", "genome": {"fasta": "genome.fa", "promoters": "genes.gtf", "signal": ["atac.bw"]}}


@pytest.fixture(scope="module")
def maker():
    """The modules that make pages."""
    sys.path.insert(0, str(DOCS / "_site"))
    try:
        yield {name: importlib.import_module(name) for name in ("pages", "reference", "results")}
    finally:
        sys.path.remove(str(DOCS / "_site"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Folder of the built site."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_the_site_asks_nothing_of_the_network(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 35
    loading = re.compile(r"<(?:script|link|img|iframe|source|object|embed)\b[^>]*?(?:src|href|data)=[\"']?([^\"'\s>]+)")
    for page in pages:
        assert not [address for address in loading.findall(page.read_text()) if re.match(r"(https?:)?//", address)]
    for sheet in site.rglob("*.css"):
        assert not re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^)]*", sheet.read_text())
    # what the theme's script would fetch: diagrams, and facts of a repository
    texts = "".join(page.read_text() for page in pages)
    assert 'class="mermaid"' not in texts
    assert "data-md-component=source" not in texts.replace('"', "")


def test_every_public_name_has_its_docstring_on_a_page(site, maker):
    index = (site / "reference" / "index.html").read_text()
    for name in set(genocontrast.__all__) - {"__version__"}:
        assert f"gct.{name}<" in index
    assert "Write results/&lt;name&gt;/report/" in index  # text in angle brackets is no element
    for package in maker["reference"].PACKAGES:
        page = (site / maker["reference"].page_of(package)).with_suffix(".html").read_text()
        for path in maker["reference"].names_of(package).values():
            assert f'id="{path}"' in page
    others = (site / "reference" / "top.html").read_text()
    for path in maker["reference"].top_names().values():
        assert f'id="{path}"' in others
    assert "chrom, start, end" in (site / "reference" / "genome.html").read_text()


def test_every_command_is_in_the_reference(site):
    page = (site / "reference" / "commands.html").read_text()
    for stage, group in typer.main.get_command(main).commands.items():
        for verb in getattr(group, "commands", {"": None}):
            assert f"<code>{f'genocontrast {stage} {verb}'.strip()}</code>" in page


def test_texts_of_the_repository_are_pages_with_links_of_the_site(site, maker):
    home = (site / "index.html").read_text()
    assert 'href="negatives.html"' in home
    assert 'href="configuration.html"' in home
    assert 'href="files/NOTICE"' in home
    assert (site / "files" / "NOTICE").read_text() == (ROOT / "NOTICE").read_text()
    code = "[a](docs/negatives.md)\n```python\nhandlers[0](docs/negatives.md)\n```\n"
    assert maker["pages"].relinked(code, "index.md") == code.replace("[a](docs/", "[a](")


def test_links_also_work_in_the_repository(maker):
    pages = maker["pages"]
    for text in TEXTS:
        for plain, piece in pages.prose(text.read_text()):
            for link in pages._LINK.finditer(piece) if plain else ():
                assert (text.parent / link[2]).is_file(), f"{text.name}: {link[2]}"


def test_tables_of_the_benchmarks_are_those_of_the_stored_json(site):
    page = (site / "benchmarks.html").read_text()
    stored = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
    assert stored
    for file in stored:
        assert f"{file.name[:-5]}.py" in page
        assert (ROOT / "benchmarks" / f"{file.stem}.py").is_file()
        for value in json.loads(file.read_text()).values():
            for row in value if isinstance(value, list) else ():
                assert all(head in page for head in row)


def test_a_stored_run_is_rendered_number_by_number(maker, tmp_path):
    rows = [{"contender": "ours", "seconds": 0.12345, "bytes": 12345}, {"contender": "a|b", "seconds": 4321.9}]
    (tmp_path / "speed.json").write_text(json.dumps({"examples": 7, "environment": {"cores": 2}, "n = 5": rows}))
    text = maker["results"].rendered(tmp_path)
    for line in ("| ours | 0.123 | 12,345 |", "| a\\|b | 4,322 |  |", "| examples | 7 |", "| environment | cores 2 |"):
        assert line in text
    assert text.index("### speed.py") < text.index("n = 5:")


def test_the_rooms_of_the_picture_are_those_of_the_import_contract():
    picture = ElementTree.parse(DOCS / "house.svg")
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    rooms = [text.text for text in picture.iter(f"{SVG}text") if text.get("class") == "room"]
    assert rooms == [layer.removeprefix("genocontrast.") for layer in layers]
    stages = [group.find(f"{SVG}text").text for group in picture.iter(f"{SVG}g") if group.get("class") == "stage"]
    commands = typer.main.get_command(main).commands
    assert set(stages) == {name for name, command in commands.items() if hasattr(command, "commands")}


def faq():
    """Message and error class of each entry of the page on errors."""
    return re.findall(r"^### `(.+)`\n\n(\w+)\.", (DOCS / "errors.md").read_text(), re.MULTILINE)


def test_messages_of_the_faq_are_those_of_the_code(maker):
    flat = {(message.error, " ".join(message.problem.split())) for message in made(maker)}
    flat.add(("ConfigError", "unknown key '...'"))  # made where pydantic's complaints are put into words; see below
    assert len(faq()) > 20
    assert not [entry for entry in faq() if entry[::-1] not in flat]


def made(maker):
    return set(maker["reference"].messages(ROOT / "genocontrast"))


def test_the_reference_lists_every_message(site, maker):
    found = made(maker)
    assert len(found) > 300
    page = (site / "reference" / "errors.html").read_text()
    named = {name for name, value in vars(errors).items() if isinstance(value, type) and name.endswith("Error")}
    assert all(f"{name} (" in page for name in named)
    assert page.count("<li><code>") >= len({(message.error, message.problem) for message in found})


def test_messages_that_need_no_run_read_as_the_faq_has_them(tmp_path, monkeypatch):
    from genocontrast.genome.intervals import _workspace

    raised = {}
    for name, action in {
        "unknown key": lambda: parse_config({**FILES, "negatves": {}}, "my.yaml"),
        "no such file": lambda: genocontrast.Genome(tmp_path / "missing.fa"),
        "bedtools": lambda: _workspace().__enter__(),
    }.items():
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(errors.GenocontrastError) as caught:
            action()
        raised[name] = (type(caught.value).__name__, caught.value.problem)
    patterns = {(error, re.escape(text).replace(re.escape("..."), ".+")) for text, error in faq()}
    for error, problem in raised.values():
        assert [1 for name, pattern in patterns if name == error and re.fullmatch(pattern, problem)], problem


def commands_in(text):
    """Calls of our command line in the shell examples of a text."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["genocontrast"]:
                yield words[1:]


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_in_the_texts_exist(page):
    for words in commands_in(page.read_text()):
        command, rest = typer.main.get_command(main), list(words)
        while hasattr(command, "commands"):
            command = command.commands[rest.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= options


def test_there_are_commands_to_check():
    assert sum(1 for page in TEXTS for _ in commands_in(page.read_text())) > 12
