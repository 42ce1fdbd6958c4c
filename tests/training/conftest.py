"""A small genome, and a training in two processes that nothing came between."""

import pytest
from process_runs import by_command, write_inputs


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A genome of three chromosomes, and what the stages before training leave of it."""
    folder = tmp_path_factory.mktemp("processes")
    write_inputs(folder)
    return folder


@pytest.fixture(scope="session")
def undisturbed(folder):
    """A training in two processes that nothing came between, and what it printed."""
    return by_command(folder, "two", processes=2)
