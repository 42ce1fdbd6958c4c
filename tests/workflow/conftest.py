"""The real Snakemake on the embedded genome: run once a session, looked at by many tests."""

import shutil

import pytest
import yaml
from workflow_runs import ROOT, run_snakemake

from genocontrast.genome.simulate import simulate


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


@pytest.fixture(scope="session")
def quick_config(demo_config):
    """The demo with as little training and evaluation as there may be."""
    config = yaml.safe_load(yaml.safe_dump(demo_config)) | {"name": "quick"}
    config["training"] = {"width": 8, "depth": 1, "epochs": 2, "surrogate_weight": 0}
    config["evaluation"] |= {"bootstraps": 100, "kmer_space": False, "scan": False, "motifs": 2}
    config["prediction"] = {"regions": {"peaks": "resources/simulated/peaks.narrowPeak"}}
    return config


@pytest.fixture(scope="session")
def quick_inputs(tmp_path_factory):
    """Folder with the simulated genome's files, for runs to copy."""
    folder = tmp_path_factory.mktemp("inputs")
    simulate(folder / "resources" / "simulated")
    return folder


@pytest.fixture
def fresh(tmp_path, quick_inputs):
    """An empty working folder with the simulated genome in it."""
    shutil.copytree(quick_inputs / "resources", tmp_path / "resources")
    return tmp_path


@pytest.fixture(scope="session")
def quick_folder(tmp_path_factory, quick_inputs, quick_config):
    """Working folder in which two data sets have run from beginning to end, nothing coming between."""
    folder = tmp_path_factory.mktemp("quick")
    shutil.copytree(quick_inputs / "resources", folder / "resources")
    shared = {key: value for key, value in quick_config.items() if key != "name"}
    rows = ("name\tseed\tevaluation.shortcut_audit\tevaluation.scan", "quick\t1\ttrue\t", "other\t2\tfalse\ttrue")
    (folder / "datasets.tsv").write_text("\n".join(rows) + "\n")
    finished = run_snakemake(folder, {**shared, "datasets": "datasets.tsv"})
    assert finished.returncode == 0, finished.stderr[-4000:]
    return folder
