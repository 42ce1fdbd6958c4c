"""The report stage."""

from __future__ import annotations

from pathlib import Path

from genocontrast.config import Config
from genocontrast.report.page import write_report


def run(config: Config, results: Path) -> None:
    """Write `results`/report from the files of the earlier stages."""
    write_report(results, config)
