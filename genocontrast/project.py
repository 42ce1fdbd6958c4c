"""A working folder for the user's own files, laid down after they were checked: `genocontrast init`."""

from __future__ import annotations

import json
import os
import shlex
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genocontrast.artefacts import atomic
from genocontrast.config import Config, Section, parse_config
from genocontrast.errors import FileFormatError, GenocontrastError, GenocontrastWarning, MissingToolError

CONFIG, SNAKEFILE = "config/config.yaml", "workflow/Snakefile"
PROFILE = "workflow/profiles/default/config.yaml"
Files = Mapping[str, Path | Sequence[Path]]
"""The files of the section `genome`, by their keys there."""

_LIKELY = {
    "genome": ("promoter_features", "upstream", "downstream", "exclude"),
    "genome.splits": ("by",),
    "negatives": ("tss_buffer", "min_retention", "gate"),
    "training": ("epochs",),
    "prediction": ("regions",),
    "report": ("title",),
}
"""Settings that a user is likely to change: they are written out, with the defaults and the texts of the model."""


def lay_down(folder: Path, files: Files, name: str | None = None, workflow: Path | None = None, *,
             force: bool = False) -> str:  # fmt: skip
    """Check the files as `genocontrast genome check` does, and write a configuration and a Snakefile for them.

    Parameters
    ----------
    folder : Path
        The working folder; may exist, but hold none of the files that are written.
    files : mapping
        fasta, promoters, open_chromatin and signal.
    name : str, optional
        Name of the data set; default: that of the folder.
    workflow : Path, optional
        The Snakefile of genocontrast; default: that of the checkout which the package is imported from.
    force : bool
        Whether to write although the check finds fault; what it found is then a warning.

    Returns
    -------
    str
        What was written, and what to do next.

    Raises
    ------
    GenocontrastError
        Before anything is written: where a file exists already, there is no workflow, or the check finds fault.
    """
    source = workflow_file(workflow)
    profile = source.parent / "profiles" / "default" / "config.yaml"
    written = {
        CONFIG: "",
        SNAKEFILE: snakefile(source),
        **({PROFILE: profile.read_text(encoding="utf-8")} if profile.is_file() else {}),
    }
    for path in written:
        if (folder / path).exists():
            raise FileFormatError("the file exists, and is never overwritten", path=folder / path,
                                  remedy="name another folder, or move the file away")  # fmt: skip
    name = name or Path(os.path.abspath(folder)).name
    _check(parse_config({"name": name, "genome": _paths(files, None)}), force)
    written[CONFIG] = configuration(name, _paths(files, folder))
    for path, text in written.items():
        with atomic(folder / path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return _next_steps(folder, name, list(written))


def workflow_file(given: Path | None) -> Path:
    """The Snakefile of the workflow, which is part of a checkout but not of an installed package.

    Raises
    ------
    MissingToolError
        Where there is none, or what was given is not this workflow's.
    """
    source = Path(os.path.abspath(given or Path(__file__).parents[1] / SNAKEFILE))
    if (source.parent / "rules" / "common.smk").is_file() and source.is_file():
        return source
    problem = "not the Snakefile of genocontrast" if given else "the workflow does not come with an installed package"
    raise MissingToolError(
        problem,
        path=given,
        remedy="take a checkout of genocontrast's repository, and name its Snakefile with --workflow",
    )


def snakefile(source: Path) -> str:
    """A Snakefile that runs the workflow in another folder.

    It includes the workflow's own file rather than using it as a module: of a module, Snakemake runs no `onstart`,
    which writes the configuration that all rules read. An included file's default target does not count.
    """
    return f"""# The workflow of genocontrast, in this folder, with {CONFIG}. Rules of your own may follow.
include: {json.dumps(str(source), ensure_ascii=False)}


rule everything:
    default_target: True
    input:
        rules.all.input,
"""


def configuration(name: str, genome: Mapping[str, str | list[str]]) -> str:
    """The configuration as YAML: what was given, and the likely settings with their defaults and meaning."""
    lines = [
        "# Every other key has a default: genocontrast's config/README.md lists them. Paths are absolute, or relative",
        "# to the folder that holds config/, in which the workflow runs.",
        f"name: {_yaml(name)}",
        "",
        "genome:",
        *[f"  {key}: {_yaml(value)}" for key, value in genome.items()],
    ]
    for section, keys in _LIKELY.items():
        *outer, last = section.split(".")
        indent = "  " * len(outer)
        lines += [] if section == "genome" else [*([] if outer else [""]), f"{indent}{last}:"]
        model = _section(section)
        for key in keys:
            field = model.model_fields[key]
            told = textwrap.wrap(" ".join((field.description or "").split()), 100, break_on_hyphens=False)
            lines += [f"{indent}  # {line}" for line in told]
            lines.append(f"{indent}  {key}: {_yaml(field.default)}")
    return "\n".join(lines) + "\n"


def _section(dotted: str) -> type[Section]:
    model: Any = Config
    for part in dotted.split("."):
        model = model.model_fields[part].annotation
    return model


def _yaml(value: Any) -> str:
    """JSON, which is YAML on one line, with text that any name of a file survives."""
    return json.dumps(value, ensure_ascii=False)


def _paths(files: Files, folder: Path | None) -> dict[str, str | list[str]]:
    """Files as the configuration names them: in `folder` as seen from it, so that it can be moved; others absolute."""

    def named(path: Path) -> str:
        whole = Path(os.path.abspath(path))
        inside = folder is not None and whole.is_relative_to(os.path.abspath(folder))
        return str(whole.relative_to(os.path.abspath(folder)) if inside and folder is not None else whole)

    return {
        key: named(value) if isinstance(value, Path) else [named(path) for path in value]
        for key, value in files.items()
    }


def _check(config: Config, force: bool) -> None:
    from genocontrast.negatives.outlook import check

    try:
        check(config)
    except GenocontrastError as error:
        if not force:
            remedy = f"{error.remedy or 'mend the file'}; nothing was written, --force writes it all the same, to edit"
            raise type(error)(
                error.problem, path=error.path, line=error.line, value=error.value, remedy=remedy
            ) from None
        warnings.warn(str(error), GenocontrastWarning, stacklevel=3)


def _next_steps(folder: Path, name: str, written: list[str]) -> str:
    return f"""In {folder}: {", ".join(written)}
Next:
  cd {shlex.quote(str(folder))}
  snakemake --cores 2    # the report: results/{name}/report/report.html
After a change of config/config.yaml:
  genocontrast genome check --config {CONFIG}"""
