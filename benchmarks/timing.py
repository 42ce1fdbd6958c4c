"""What the benchmarks share: interleaved repeats, medians of ratios, a table and JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

Contenders = Mapping[str, Callable[[], object]]


def interleaved(contenders: Contenders, repeats: int) -> dict[str, list[float]]:
    """Wall seconds of each contender, which take turns so that a slow moment of the machine strikes all alike."""
    for run in contenders.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(repeats):
        names = list(contenders)
        for name in names[repeat % len(names) :] + names[: repeat % len(names)]:
            start = time.perf_counter()
            result = contenders[name]()
            seconds[name].append(time.perf_counter() - start)
            # Giving the memory back is no part of the next contender's time.
            del result
            print(f"  {repeat + 1}/{repeats} {name}: {seconds[name][-1]:.3f} s", file=sys.stderr)
    return seconds


def against(seconds: Mapping[str, Sequence[float]], ours: str) -> list[dict[str, Any]]:
    """One row per contender: median seconds, and the median, least and largest ratio of its time to ours."""
    rows = []
    for name, times in seconds.items():
        ratios = sorted(theirs / own for theirs, own in zip(times, seconds[ours], strict=True))
        row = {"contender": name, "seconds": statistics.median(times), "times_ours": statistics.median(ratios)}
        rows.append(row | {"least": ratios[0], "most": ratios[-1]})
    return rows


def in_process(script: Path, *arguments: str) -> dict[str, float]:
    """Run a script in a process of its own: what it prints as JSON, and its whole wall time as `process_seconds`."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, str(script), *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1]) | {"process_seconds": time.perf_counter() - start}


def peak_mb() -> float:
    """Most memory that this process has held, MB; getrusage would count what its parent held before."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def environment(packages: Sequence[str]) -> dict[str, Any]:
    """Versions and machine, without its name."""
    return {
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "packages": {name: version(name) for name in packages},
    }


def show(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows of one shape as a table."""
    texts = [[f"{value:,.3g}" if isinstance(value, float) else str(value) for value in row.values()] for row in rows]
    heads = list(rows[0])
    widths = [max(len(head), *(len(text[i]) for text in texts)) for i, head in enumerate(heads)]
    print(f"\n{title}")
    for line in [heads, ["-" * width for width in widths], *texts]:
        print(
            "  ".join(
                [line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))]
            )
        )


def arguments(description: str, repeats: int = 7) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--repeats", type=int, default=repeats, help="repeats of each contender, taking turns")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    return parser


def write(path: Path | None, figures: Mapping[str, Any]) -> None:
    """Write the figures where `--json` says."""
    if path is not None:
        path.write_text(json.dumps(figures, indent=2) + "\n")
