"""The reference: a page for each package from its docstrings, commands from their help, messages from the code."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PACKAGES = {
    "genome": "Genome, regions, signal, reads",
    "negatives": "Decoys and balance",
    "kmers": "K-mer vectors",
    "contrast": "The contrastive engine",
    "encoders": "Encoders",
    "encoders.views": "Views",
    "training": "Training and prediction",
    "evaluation": "Evaluation",
    "report": "Report",
}
"""Package -> title of its page."""
TOP = "reference/top.md"


@dataclass(frozen=True)
class Message:
    """An error as it is written in the code; `...` stands for what is filled in."""

    error: str
    problem: str
    remedy: str


def page_of(package: str) -> str:
    """Page of a package."""
    return f"reference/{package.rsplit('.', 1)[-1]}.md"


def names_of(package: str) -> dict[str, str]:
    """Public functions and classes of a package, by name, and where each is defined."""
    module = import_module(f"genocontrast.{package}")
    found = {name: getattr(module, name) for name in module.__all__}
    return {
        name: f"{value.__module__}.{value.__qualname__}"
        for name, value in found.items()
        if inspect.isclass(value) or inspect.isroutine(value)
    }


def package_page(package: str, title: str) -> str:
    """The page of a package: what each name's docstring says."""
    head = f"# {title}\n\n`genocontrast.{package}`\n\n"
    return head + "\n".join(f"::: {path}\n" for path in names_of(package).values())


def homes_of_names() -> dict[str, str]:
    """Page on which each public name is explained, by where it is defined."""
    return {path: page_of(package) for package in PACKAGES for path in names_of(package).values()}


def top_names() -> dict[str, str]:
    """Names of `import genocontrast as gct` that no package of `PACKAGES` has, and where each is defined."""
    import genocontrast

    values = {name: getattr(genocontrast, name) for name in genocontrast.__all__ if name != "__version__"}
    paths = {name: f"{value.__module__}.{value.__qualname__}" for name, value in values.items()}
    return {name: path for name, path in paths.items() if path not in homes_of_names()}


def top_page() -> str:
    """The page of these names."""
    return "# Configuration and simulation\n\n" + "\n".join(f"::: {path}\n" for path in top_names().values())


def index_page() -> str:
    """The names of `import genocontrast as gct`, and the page that each one is explained on."""
    import genocontrast

    homes = homes_of_names() | dict.fromkeys(top_names().values(), TOP)
    lines = ["# Reference", "", "Names of `import genocontrast as gct`; each page has those of its package too.", ""]
    for name in genocontrast.__all__:
        value = getattr(genocontrast, name)
        if name == "__version__":
            continue
        path = f"{value.__module__}.{value.__qualname__}"
        first = (inspect.getdoc(value) or "").splitlines()[0]
        lines.append(f"- [`gct.{name}`]({homes[path].removeprefix('reference/')}#{path}): {first}")
    lines += ["", "Packages:", ""]
    lines += [
        f"- [{title}]({page_of(package).removeprefix('reference/')}): `genocontrast.{package}`"
        for package, title in PACKAGES.items()
    ]
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """What `--help` says of every command."""
    import typer
    from typer.cli import get_docs_for_click

    from genocontrast.cli import main

    command = typer.main.get_command(main)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="genocontrast")
    return text.replace("# `genocontrast`", "# Commands", 1)


def messages(package: Path) -> Iterator[Message]:
    """Every error of ours that is made in the package with a text of its own."""
    classes = set(re.findall(r"^class (\w+Error)\(", (package / "errors.py").read_text(), re.MULTILINE))
    for file in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in classes and node.args:
                problem = _template(node.args[0])
                remedies = [_template(word.value) for word in node.keywords if word.arg == "remedy"]
                if problem.strip(". "):
                    yield Message(node.func.id, problem, remedies[0] if remedies else "")


def _template(node: ast.expr) -> str:
    """A text with `...` for each part that is filled in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_template(part) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _template(node.left) + _template(node.right)
    return "..."


def errors_page(package: Path) -> str:
    """Error classes, and the messages of each."""
    from genocontrast import errors

    lines = [
        "# Errors",
        "",
        "Every error of ours is a `GenocontrastError` of `genocontrast.errors`. Below each class are its messages as",
        "the code has them; `...` stands for what is filled in. File, line and value are added where they are known.",
        "[The common ones](../errors.md) are explained. The number is the exit code of the command line.",
        "",
    ]
    found = sorted(set(messages(package)), key=lambda message: (message.problem, message.remedy))
    for name, error in vars(errors).items():
        if inspect.isclass(error) and issubclass(error, errors.GenocontrastError):
            lines += [f"## {name} ({error.exit_code})", "", (inspect.getdoc(error) or "").splitlines()[0], ""]
            for message in found:
                if message.error == name:
                    remedy = f": {_inline(message.remedy)}" if message.remedy.strip(". ") else ""
                    lines.append(f"- `{_inline(message.problem)}`{remedy}")
            lines.append("")
    return "\n".join(lines)


def _inline(text: str) -> str:
    return " ".join(text.replace("`", "'").split())


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the reference."""
    made = {page_of(package): package_page(package, title) for package, title in PACKAGES.items()}
    made["reference/index.md"] = index_page()
    made[TOP] = top_page()
    made["reference/commands.md"] = commands_page()
    made["reference/errors.md"] = errors_page(Path(config.config_file_path).parent / "genocontrast")
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    return files
