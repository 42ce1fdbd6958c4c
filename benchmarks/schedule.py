"""How long many data sets of a large genome take on a cluster: the workflow's jobs, laid out on so many slots.

    python benchmarks/schedule.py --data-sets 100 --slots 20 100 400

A slot runs one job of two cores at a time. What a job costs is stated below with where it comes from: measured here, or
extrapolated from what was. A job begins as soon as what it needs is there and a slot is free, the longest chain first.
"""

from __future__ import annotations

import argparse
import heapq
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from genocontrast.artefacts import write_json

PROMOTERS, EPOCHS = 20_000, 40
PAIR_EPOCH = 7.0 / 2640 * 1.6
"""Seconds of two cores for a pair in an epoch: the demo's 7 s for 2,640 pairs (width 48), 1.6 times for width 64."""
START = 15.0
"""Seconds that a job takes to be submitted, started and noticed: as in the tests on Slurm."""


@dataclass(frozen=True)
class Job:
    """A rule's job: what it costs (s of a slot), where that is from, and the rules that it waits for."""

    seconds: float
    source: str
    after: tuple[str, ...] = ()


JOBS = {
    "genome": Job(60, "a minute is assumed: reading and checking the files; the genome is encoded once for all"),
    "negatives": Job(126, "measured to 1.5 Gb, extrapolated to 3 Gb", ("genome",)),
    "kmers": Job(300, "counting 3.1 Gb from the rate per Mb (90 s), and the fit and its writing", ("genome",)),
    "training": Job(PAIR_EPOCH * PROMOTERS * EPOCHS, "the demo's rate, 20,000 pairs, 40 epochs", ("negatives",)),
    **{
        f"training_{tier}": Job(PAIR_EPOCH * PROMOTERS * EPOCHS, "as training", ("negatives",))
        for tier in ("random", "gc", "open")
    },
    "evaluation": Job(
        1800,
        "half an hour is assumed: its scan of the test split grows with that; the demo's 2.4 Mb take 15 s",
        ("training", "training_random", "training_gc", "training_open", "kmers"),
    ),
    "report": Job(20, "measured for 20,000 examples: 4 s", ("evaluation",)),
}


def main() -> None:
    """Print the cost of each job and the time of the whole for each number of slots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-sets", type=int, default=100)
    parser.add_argument("--slots", type=int, nargs="+", default=[20, 100, 400])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    jobs = [{"job": name, "seconds": round(job.seconds), "from": job.source} for name, job in JOBS.items()]
    total = sum(job.seconds + START for job in JOBS.values()) * options.data_sets / 3600
    plans = [
        {"slots": slots, "hours": round(finish(options.data_sets, slots) / 3600, 1)} for slots in sorted(options.slots)
    ]
    print(pd.DataFrame(jobs).to_string(index=False))
    print(f"\n{options.data_sets} data sets: {total:,.0f} hours of slots\n{pd.DataFrame(plans).to_string(index=False)}")
    if options.json:
        write_json(options.json, {"jobs": jobs, "slot_hours": round(total), "plans": plans})


def finish(data_sets: int, slots: int) -> float:
    """Seconds until the last job ends."""
    rank = {name: longest(name) for name in JOBS}
    waits = {(each, name): len(job.after) for each in range(data_sets) for name, job in JOBS.items()}
    ready = [(-rank[name], each, name) for (each, name), count in waits.items() if not count]
    heapq.heapify(ready)
    running: list[tuple[float, int, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < slots:
            _, each, name = heapq.heappop(ready)
            heapq.heappush(running, (now + JOBS[name].seconds + START, each, name))
        now, each, name = heapq.heappop(running)
        for other, job in JOBS.items():
            if name in job.after:
                waits[each, other] -= 1
                if not waits[each, other]:
                    heapq.heappush(ready, (-rank[other], each, other))
    return now


def longest(name: str) -> float:
    """Seconds of the longest chain of jobs that begins with this one."""
    behind = [longest(other) for other, job in JOBS.items() if name in job.after]
    return JOBS[name].seconds + START + max(behind, default=0.0)


if __name__ == "__main__":
    main()
