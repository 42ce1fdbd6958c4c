"""Where the time of a run goes: seconds, CPU use and peak memory of each job.

    python benchmarks/demo.py --json demo.json                 # runs the demo in a folder of its own, with 2 cores
    python benchmarks/demo.py --folder . --name demo           # of a run that there is, no-op rerun included

Seconds are those that Snakemake measured around each job; what it takes itself, to plan, start and check jobs, is the
difference to the whole.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

from genocontrast.artefacts import write_json

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Run where there is nothing yet, read what was measured, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="working folder of a finished run; default: a new one")
    parser.add_argument("--name", default="demo", help="name of the data set")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.folder:
        found: dict[str, Any] = {"cores": options.cores}
        found |= {"rerun_seconds": run(options.folder, options.cores), **read(options.folder, options.name)}
    else:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for part in ("config", "workflow"):
                shutil.copytree(ROOT / part, folder / part)
            seconds = run(folder, options.cores)
            rerun = run(folder, options.cores)
            found = {"cores": options.cores, "seconds": seconds, "rerun_seconds": rerun, **read(folder, "demo")}
    print(pd.DataFrame(found["jobs"]).to_string(index=False))
    for key in ("seconds", "rerun_seconds", "seconds_in_jobs"):
        if key in found:
            print(f"{key:18}{found[key]}")
    if options.json:
        write_json(options.json, found)


def run(folder: Path, cores: int) -> float:
    """Wall seconds of the workflow in a folder."""
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--quiet", "all"]
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return round(time.perf_counter() - start, 1)


def read(folder: Path, name: str) -> dict[str, Any]:
    """What was measured of each job, the longest first."""
    files = [*folder.glob("resources/benchmarks/*.tsv"), *(folder / "results" / name / "benchmarks").glob("*.tsv")]
    jobs = []
    for file in files:
        row = pd.read_csv(file, sep="\t").iloc[-1]
        jobs.append(
            {
                "job": file.stem,
                "seconds": round(float(row["s"]), 1),
                "cpu_seconds": round(float(row["cpu_time"]), 1),
                "cpus": round(float(row["cpu_time"]) / float(row["s"]), 2),
                "peak_mb": round(float(row["max_rss"])),
            }
        )
    jobs.sort(key=lambda job: -job["seconds"])
    return {"jobs": jobs, "seconds_in_jobs": round(sum(job["seconds"] for job in jobs), 1)}


if __name__ == "__main__":
    main()
