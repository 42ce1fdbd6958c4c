"""The configurations that come with the repository: valid, complete, and honest about what they fetch."""

import gzip
import hashlib
import re
from pathlib import Path

import pytest
import yaml

from genocontrast.config import Config
from genocontrast.datasets import SHEET, parse_datasets
from genocontrast.errors import ConfigError
from genocontrast.needs import files

ROOT = Path(__file__).parents[1]
SHIPPED = sorted((ROOT / "config").glob("*.yaml"))
STAGES = ("genome", "negatives", "kmers", "training", "evaluation")
UNCHANGED = {  # what is named otherwise where it was kept
    "S_cerevisiae.fasta.gz": "S_cerevisiae.R64.fasta.gz",
    "S_cerevisiae.gff3.gz": "S_cerevisiae.SGD.gff3.gz",
    "hmmratac_SRR1822137.narrowPeak": "hmmratac_yeast500k_bedpe_accessible_regions.narrowPeak",
}


def filled(path):
    """A configuration's values, with a checksum wherever one is to be filled in."""
    values = yaml.safe_load(path.read_text())
    for download in values.get("downloads", {}).values():
        if "sha256" not in download:
            download["md5"] = download["md5"] or "0" * 32
    return values


@pytest.fixture
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_they_are_valid(path, at_root):
    values = filled(path)
    assert parse_datasets(values, path)
    assert set(values) <= {*Config.model_fields, SHEET}


@pytest.mark.parametrize("name", ["sacCer3.yaml", "hg38.yaml"])
def test_all_that_they_read_is_fetched_and_all_that_is_fetched_is_read(name, at_root):
    read, fetched = set(), set()
    for config in parse_datasets(filled(ROOT / "config" / name)).values():
        read |= {path for stage in STAGES for path in files(config, stage)}
        fetched |= set(config.downloads)
        addresses = [download.url for download in config.downloads.values()]
        assert len(set(addresses)) == len(addresses)
        assert all(address.startswith("https://") for address in addresses)
    assert read == fetched


def test_hg38_refuses_to_run_until_its_checksums_are_filled_in(at_root):
    path = ROOT / "config/hg38.yaml"
    values = yaml.safe_load(path.read_text())
    missing = [name for name, each in values["downloads"].items() if not (each.get("sha256") or each["md5"])]
    assert len(missing) == 4
    accession = Path(missing[0]).name.split(".")[0]
    lines = path.read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if text.strip() == f"{missing[0]}:")
    expected = (
        rf"hg38\.yaml, line {line}: 'downloads\.{re.escape(missing[0])}': .*has no checksum: fill in .*`md5`"
        rf".*https://www\.encodeproject\.org/files/{accession}/\?format=json"
    )
    with pytest.raises(ConfigError, match=expected):
        parse_datasets(values, path)


def test_the_sheet_of_hg38_gives_each_cell_type_its_own_files(at_root):
    found = parse_datasets(filled(ROOT / "config/hg38.yaml"))
    assert list(found) == ["K562", "HepG2", "GM12878"]
    own = [{*config.genome.open_chromatin, *config.genome.signal} for config in found.values()]
    assert len(set.union(*own)) == 6
    assert len({config.genome.fasta for config in found.values()}) == 1
    text = (ROOT / "config/hg38.yaml").read_text()
    for name, files_of_it in zip(found, own, strict=True):
        block = text.split(f"# {name}, ")[1].split("\n  # ")[0]
        assert all(f"{path}:" in block for path in files_of_it), name


def test_hg38_splits_every_chromosome_once(at_root):
    splits = next(iter(parse_datasets(filled(ROOT / "config/hg38.yaml")).values())).genome.splits
    named = [*splits.train, *splits.validation, *splits.test, *splits.sealed]
    assert sorted(named) == sorted(f"chr{name}" for name in [*range(1, 23), "X", "Y", "M"])


def test_an_encode_address_names_its_file():
    for path, download in yaml.safe_load((ROOT / "config/hg38.yaml").read_text())["downloads"].items():
        name = Path(path).name
        if name.startswith("ENCFF"):
            accession = name.split(".")[0]
            assert download["url"] == f"https://www.encodeproject.org/files/{accession}/@@download/{name}"
        else:
            assert download["url"].endswith(f"/{name}")


def test_the_yeast_of_sacCer3_is_that_of_yeast(at_root):
    """But for where files lie, their peaks, and what says so."""
    yeast, public = (yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()) for name in ("yeast", "sacCer3"))
    for section in ("negatives", "training"):
        assert public[section] == yeast[section]
    for key in ("promoter_features", "upstream", "downstream", "splits"):
        assert public["genome"][key] == yeast["genome"][key]
    plain = [[{**entry, "path": ""} for entry in values["genome"]["evidence"]] for values in (yeast, public)]
    assert plain[0] == plain[1]


def test_the_checksums_of_sacCer3_are_those_of_the_files(data):
    folder = data / "yeast"
    for path, download in yaml.safe_load((ROOT / "config/sacCer3.yaml").read_text())["downloads"].items():
        name = path.removeprefix("resources/sacCer3/")
        kept = folder / UNCHANGED.get(name, name)
        content = kept.read_bytes() if kept.is_file() else gzip.decompress((folder / f"{name}.gz").read_bytes())
        assert hashlib.sha256(content).hexdigest() == download["sha256"], name
