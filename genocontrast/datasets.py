"""Several data sets of one run: a configuration that they share, and a sample sheet of what differs."""

from __future__ import annotations

import copy
import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from genocontrast.config import Config, parse_config, read_mapping
from genocontrast.errors import ConfigError

SHEET = "datasets"
"""Key of a configuration that names the sample sheet."""


def parse_datasets(values: Mapping[str, Any], path: str | Path | None = None) -> dict[str, Config]:
    """The configuration of each data set, by name.

    Without a key `datasets` it is the one that the mapping describes. With it, that key names a tab-separated table:
    a row for each data set, a column `name`, and further columns that are settings of the configuration by their
    dotted keys, such as `seed` or `genome.signal`. A cell replaces the shared setting; an empty one leaves it. Text is
    taken as it stands; numbers, true, false, null, and lists or mappings in brackets are read as YAML.

    Parameters
    ----------
    values : mapping
        The configuration file's keys and values.
    path : path, optional
        Where they come from, for messages.

    Raises
    ------
    ConfigError
        Naming the file, the line, the value and the remedy.
    """
    shared = dict(values)
    sheet = shared.pop(SHEET, None)
    if sheet is None:
        config = parse_config(shared, path)
        return {config.name: config}
    if not isinstance(sheet, str):
        raise ConfigError(f"'{SHEET}' must be the path of a table", path=path, value=sheet)
    found: dict[str, Config] = {}
    for line, row in _rows(Path(sheet)):
        changed = copy.deepcopy(shared)
        for key, cell in row.items():
            if cell:
                _put(changed, key, cell if key == "name" else _value(cell, sheet, line), sheet, line)
        try:
            config = parse_config(changed)
        except ConfigError as error:
            if path is not None and _is_shared(error, row):
                parse_config(changed, path)
            raise ConfigError(error.problem, path=sheet, line=line, value=error.value, remedy=error.remedy) from None
        if config.name in found:
            raise ConfigError("two data sets have one name", path=sheet, line=line, value=config.name)
        found[config.name] = config
    if not found:
        raise ConfigError("no data set", path=sheet, remedy="add a row for each: its name, and what differs")
    return found


def load_datasets(path: str | Path) -> dict[str, Config]:
    """Read the configuration of each data set, by name, from YAML or JSON; see `parse_datasets`."""
    return parse_datasets(read_mapping(path), path)


def _is_shared(error: ConfigError, row: Mapping[str, str]) -> bool:
    """Whether an error is of a setting whose section no column of the sheet touches: it stands in the shared file."""
    section = re.search(r"'(\w+)", error.problem)
    return section is not None and not any(key.split(".")[0] == section[1] for key in row)


def _rows(sheet: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line and cells of each row of a sample sheet; empty lines and lines that begin with # are passed over."""
    try:
        lines = sheet.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the sample sheet cannot be read: {error}", path=sheet) from None
    told = [(number, text) for number, text in enumerate(lines, 1) if text.strip() and not text.startswith("#")]
    rows = zip((number for number, _ in told), csv.reader((text for _, text in told), delimiter="\t"), strict=True)
    first = next(rows, None)
    if first is None or "name" not in first[1]:
        remedy = "begin with a line of tab-separated column names, one of them `name`"
        raise ConfigError("the sample sheet has no column 'name'", path=sheet, line=first and first[0], remedy=remedy)
    line, columns = first
    if len(set(columns)) < len(columns):
        raise ConfigError("two columns have one name", path=sheet, line=line)
    for line, cells in rows:
        if len(cells) != len(columns):
            raise ConfigError(
                f"{len(cells)} cells, but {len(columns)} columns", path=sheet, line=line, remedy="separate by tabs"
            )
        yield line, dict(zip(columns, (cell.strip() for cell in cells), strict=True))


def _value(cell: str, sheet: str, line: int) -> Any:
    """A cell as a setting: of YAML no more than told, since a plain path may hold ': ' or ' #'."""
    import yaml

    try:
        value = yaml.safe_load(cell)
    except (yaml.YAMLError, ValueError):
        if cell[0] in "[{":
            raise ConfigError("not YAML", path=sheet, line=line, value=cell, remedy="close the brackets") from None
        return cell
    return value if value is None or cell[0] in "[{" or isinstance(value, bool | int | float) else cell


def _put(values: dict[str, Any], key: str, value: Any, sheet: str, line: int) -> None:
    """Set a dotted key."""
    *sections, last = key.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"'{section}' of the column '{key}' is no section", path=sheet, line=line)
        values = inner
    values[last] = value
