"""The real Snakemake on the embedded genome: run once a session, looked at by many tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def run_snakemake(folder, config, *arguments):
    """Run the workflow in `folder` with the configuration (a mapping); returns the finished process."""
    path = folder / f"{config['name']}.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "workflow/Snakefile", "--directory", folder]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [*map(str, command), "--configfile", str(path), "--cores", "2", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )


@pytest.fixture(scope="session")
def demo_config():
    return yaml.safe_load((ROOT / "config/config.yaml").read_text())


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory, demo_config):
    """Working folder in which the demo has run from beginning to end, exactly as configured."""
    folder = tmp_path_factory.mktemp("demo")
    finished = run_snakemake(folder, demo_config)
    assert finished.returncode == 0, finished.stderr[-4000:]
    return folder


@pytest.fixture(scope="session")
def demo(demo_folder):
    """Results folder of the demo."""
    return demo_folder / "results" / "demo"


@pytest.fixture(scope="session")
def snakemake():
    """`run_snakemake`, for tests that start runs of their own."""
    return run_snakemake
