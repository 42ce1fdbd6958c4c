"""What tests of several stages share: where the real data lies, and a small simulated genome."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def data():
    """The folder of real data; a test that asks for it is skipped where it is absent."""
    folder = Path(os.environ.get("GENOCONTRAST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real data is absent: no folder {folder} (GENOCONTRAST_DATA names another)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _private_cache(tmp_path_factory):
    """Encoded genomes of the tests stay out of the user's cache."""
    before = os.environ.get("GENOCONTRAST_CACHE")
    os.environ["GENOCONTRAST_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["GENOCONTRAST_CACHE"]
    else:
        os.environ["GENOCONTRAST_CACHE"] = before


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """Folder of a small simulated genome."""
    from genocontrast.genome.simulate import simulate

    folder = tmp_path_factory.mktemp("simulated")
    simulate(folder, seed=7, megabases=2.0)
    return folder
