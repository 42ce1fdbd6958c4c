"""UMAP as the other view: asked for by the configuration, an extra, named where it is absent."""

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from genocontrast.errors import ConfigError
from genocontrast.report import write_report


@pytest.fixture
def asked(config):
    return config.model_copy(update={"report": config.report.model_copy(update={"projection": "umap"})})


class FirstColumns:
    """In place of UMAP: the first two columns, and what it was asked for."""

    asked = None

    def __init__(self, **options):
        FirstColumns.asked = options

    def fit_transform(self, values):
        return np.asarray(values[:, :2], np.float32)


def test_its_absence_is_told_with_the_remedy(tmp_path, write, asked, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ConfigError, match=r"report.projection asks for UMAP, which is not installed") as caught:
        write_report(write(tmp_path / "demo"), asked)
    assert "genocontrast[umap]" in caught.value.remedy
    assert not (tmp_path / "demo" / "report").exists()


def test_the_map_and_its_drawings_are_of_umap(tmp_path, write, asked, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=FirstColumns))
    page = write_report(write(tmp_path / "demo"), asked)
    assert FirstColumns.asked == {"n_neighbors": 15, "random_state": asked.seed, "n_jobs": 1}
    for name in ("embedding", "embedding-class"):
        table = pd.read_csv(page.parent / "data" / f"{name}.tsv", sep="\t")
        assert {"umap1", "umap2"} <= set(table.columns)
        assert "pc1" not in table
    text = page.read_text()
    assert "UMAP 1" in text
    assert "variance" not in text[text.index('id="embedding"') : text.index('id="kmers"')]
