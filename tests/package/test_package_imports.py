"""What is imported, and when: a light core, and extras whose absence is told at once."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from genocontrast.errors import MissingToolError
from genocontrast.extras import EXTRAS, require

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMPORTED_AS = {"biopython": "Bio", "pyyaml": "yaml", "scikit-learn": "sklearn", "umap-learn": "umap"}
BROUGHT_ALONG = {"pydantic_core": "pydantic", "triton": "torch"}
"""Packages that another one always brings; triton comes with torch where it works."""


def python(code, *arguments):
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)


def names(requirements):
    found = (re.match(r"[A-Za-z0-9_.-]+", requirement)[0].lower() for requirement in requirements)
    return {IMPORTED_AS.get(name, name) for name in found}


def imports():
    """Package and file of each import of something outside of Python and of ourselves."""
    found = set()
    for file in sorted((ROOT / "genocontrast").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module]
            for module in modules:
                top = module.split(".")[0]
                if top not in sys.stdlib_module_names and top != "genocontrast":
                    found.add((BROUGHT_ALONG.get(top, top).lower(), file.relative_to(ROOT / "genocontrast").as_posix()))
    return found


@pytest.mark.parametrize("module", ["genocontrast", "genocontrast.cli"])
def test_an_import_is_light(module):
    loaded = python(f"import sys, {module}; print(*sorted(name.split('.')[0] for name in sys.modules))")
    assert loaded.returncode == 0, loaded.stderr
    heavy = {"torch", "lightning", "numpy", "pandas", "scipy", "sklearn", "numba", "matplotlib", "anndata", "pysam"}
    assert not heavy & set(loaded.stdout.split())


def test_reading_genomes_needs_no_torch():
    done = python("import sys, genocontrast as gct; gct.Genome, gct.match_negatives; print('torch' in sys.modules)")
    assert done.stdout.strip() == "False", done.stderr


def test_every_public_name_loads():
    done = python("import genocontrast as gct\nfor name in gct.__all__: getattr(gct, name)\nprint(len(gct.__all__))")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 20


def test_the_core_depends_on_what_it_imports_and_on_nothing_else():
    core = {name.lower() for name in names(PROJECT["dependencies"])}
    extras = PROJECT["optional-dependencies"]
    optional = {name.lower() for extra in ("report", "umap", "harmony") for name in names(extras[extra])}
    imported = imports()
    assert core == {package for package, _ in imported} - optional
    assert not core & optional


def test_packages_of_the_report_are_imported_by_what_asks_for_them():
    assert set(EXTRAS["report"]) == names(PROJECT["optional-dependencies"]["report"])
    files = {file for package, file in imports() if package in EXTRAS["report"]}
    assert {file for file in files if not file.startswith("report/")} == {"evaluation/naming.py"}


@pytest.mark.parametrize("package", EXTRAS["report"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(package, monkeypatch):
    require("report")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingToolError, match=rf"not installed: {package}\n.*pip install 'genocontrast\[report\]'"):
        require("report")


@pytest.mark.parametrize(
    ("package", "code"),
    [
        ("matplotlib", "import genocontrast as gct; gct.write_report"),
        ("jinja2", "import genocontrast.report.compare"),
        ("memelite", "from genocontrast.evaluation.naming import match_motifs; match_motifs([0], [])"),
        ("memelite", "from genocontrast.evaluation.stage import run; run(None, None)"),
    ],
)
def test_what_needs_the_extra_asks_for_it_first(package, code):
    lines = ["import sys", f"sys.modules[{package!r}] = None", "from genocontrast.errors import MissingToolError"]
    lines += ["try:", f"    {code}", "except MissingToolError as error:", "    print(error)"]
    done = python("\n".join(lines))
    assert done.returncode == 0, done.stderr
    assert f"not installed: {package}" in done.stdout


def test_the_command_line_says_it_without_a_traceback(tmp_path):
    code = "import sys; sys.modules['logomaker'] = None; from genocontrast.cli import app; app()"
    done = python(code, "report", "compare", str(tmp_path), str(tmp_path))
    assert done.returncode == MissingToolError.exit_code
    assert done.stderr.startswith("error: this step needs packages that are not installed: logomaker")
    assert "Traceback" not in done.stderr
