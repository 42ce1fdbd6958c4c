"""Running the real Snakemake, and what it leaves."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def command_of(folder, config, *arguments, snakefile=ROOT / "workflow/Snakefile"):
    """The command that runs the workflow in `folder` with the configuration (a mapping)."""
    path = folder / f"{config.get('name', 'datasets')}.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "--snakefile", snakefile, "--directory", folder]
    cores = () if "--jobs" in arguments else ("--cores", "2")
    return [*map(str, command), "--configfile", str(path), *cores, *arguments]


def environment_of(**changes):
    """This environment, with the interpreter's commands on the PATH."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", **changes}


def run_snakemake(folder, config, *arguments, snakefile=ROOT / "workflow/Snakefile"):
    """Run the workflow in `folder` with the configuration (a mapping); returns the finished process."""
    return subprocess.run(
        command_of(folder, config, *arguments, snakefile=snakefile),
        env=environment_of(),
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )


def artefacts_in(results):
    """Checksum of each file that a run leaves, but for logs and timings, by its path."""
    found = {}
    for path in sorted(Path(results).rglob("*")):
        name = path.relative_to(results).as_posix()
        if path.is_file() and not {"logs", "benchmarks"} & set(path.relative_to(results).parts):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
