import json
from pathlib import Path

import pytest
import yaml

from genocontrast import config as cfg
from genocontrast.errors import ConfigError

ROOT = Path(__file__).parents[1]
MINIMAL = {"name": "x", "genome": {"fasta": "g.fa", "promoters": "p.bed", "signal": ["s.bw"]}}


def with_value(dotted, value):
    values = json.loads(json.dumps(MINIMAL))
    *sections, key = dotted.split(".")
    place = values
    for section in sections:
        place = place.setdefault(section, {})
    place[key] = value
    return values


@pytest.mark.parametrize(
    ("dotted", "value", "message"),
    [
        ("genome.upstrem", 100, r"unknown key 'genome\.upstrem'[\s\S]*upstream"),
        ("nam", "x", r"unknown key 'nam'[\s\S]*name"),
        ("negatives.candidates", "peaks", r"'negatives\.candidates'.*'peaks'"),
        ("genome.upstream", -5, r"'genome\.upstream'.*-5"),
        ("genome.upstream", 10, r"a window needs at least 50 bp"),
        ("negatives.caliper", 0, r"'negatives\.caliper'"),
        ("name", "a b", r"'name'.*'a b'"),
        ("genome.splits", {"train": ["chr1"]}, "validation and test"),
        ("genome.splits", {"train": ["a"], "validation": ["b"], "test": ["a"]}, "more than one split: a"),
        ("genome.splits", {"folds": 2}, "2 folds are too few"),
        ("genome.splits", {"folds": 3, "fold": 3}, "fold 3 of 3 folds"),
        ("genome.splits", {"fold": 1}, "fold 1 of 0 folds"),
        ("genome.splits", {"by": "arm"}, r"'genome\.splits\.by'.*'arm'"),
        ("genome.splits", {"by": "block", "train": ["a"], "validation": ["b"], "test": ["c"]}, "name no chromosomes"),
        ("genome.splits", {"folds": 4, "train": ["a"], "validation": ["b"], "test": ["c"]}, "name no chromosomes"),
        ("genome.splits", {"by": "block", "block": 500, "gap": 500}, "gap of 500 bp leaves nothing of a block"),
        ("genome.splits", {"by": "block", "gap": 39}, r"my\.yaml: genome\.splits\.gap is 39 bp.*must be 40 bp or more"),
        ("genome.fasta", "${GENOCONTRAST_NO_SUCH_VARIABLE}/g.fa", "GENOCONTRAST_NO_SUCH_VARIABLE is not set"),
        ("training.epochs", "many", r"'training\.epochs'.*'many'"),
        ("downloads", {"a": {"url": "http://x/b.bw"}}, r"'downloads\.a': b\.bw has no checksum: .*`sha256`.*`md5`"),
        ("downloads", {"a": {"url": "http://x/b", "md5": ""}}, r"'downloads\.a': b has no checksum: .*ENCODE.*UCSC"),
        ("downloads", {"a": {"url": "http://x/b", "md5": None}}, r"'downloads\.a': b has no checksum"),
        ("downloads", {"a": {"url": "http://x/a", "md5": "0" * 32, "sha256": "0" * 64}}, "two checksums: keep one"),
        ("downloads", {"a": {"url": "http://x/a", "md5": "0" * 64}}, r"'downloads\.a\.md5'.*pattern"),
        ("downloads", {"a": {"url": "http://x/a", "sha265": "0" * 64}}, r"unknown key 'downloads\.a\.sha265'"),
    ],
)
def test_a_wrong_setting_is_named_with_its_remedy(dotted, value, message):
    values = with_value(dotted, value)
    if value == 10:
        values["genome"]["downstream"] = 10
    with pytest.raises(ConfigError, match=message):
        cfg.parse_config(values, "my.yaml")


def test_a_missing_key_is_named():
    with pytest.raises(ConfigError, match=r"my\.yaml: the key 'genome' is missing"):
        cfg.parse_config({"name": "x"}, "my.yaml")


def test_broken_yaml_names_the_line(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("name: x\ngenome: [\n")
    with pytest.raises(ConfigError, match=r"c\.yaml, line 3: not YAML"):
        cfg.load_config(path)


def test_variables_in_paths(monkeypatch):
    monkeypatch.setenv("GENOCONTRAST_TEST_FOLDER", "/data")
    assert cfg.expand("${GENOCONTRAST_TEST_FOLDER:-x}/a") == "/data/a"
    monkeypatch.delenv("GENOCONTRAST_TEST_FOLDER")
    assert cfg.expand("${GENOCONTRAST_TEST_FOLDER:-x}/a") == "x/a"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\ngenome:\n  fasta: a\n  upstrem: 3\n", r"c\.yaml, line 4: unknown key 'genome\.upstrem'"),
        (
            "name: x\ngenome:\n  fasta: a\n  promoters: p\n  signal: [s]\n  evidence:\n"
            "    - path: e\n      upstrem: 1\n",
            r"line 8: unknown key 'genome\.evidence\.0\.upstrem'[\s\S]*only_without_tss, path, threshold, upstream",
        ),
        ("name: x\ngenome:\n  fasta: a\n  promoters: p\n  signal: [s]\n  upstream: -4\n", r"line 6: .*-4"),
    ],
)
def test_a_wrong_setting_is_named_with_its_line(tmp_path, text, message):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        cfg.load_config(path)


def test_schema_and_readme_agree_with_the_model():
    schema = json.loads((ROOT / "workflow/schemas/config.schema.json").read_text())
    assert schema == json.loads(json.dumps(cfg.json_schema())), "run `make schema`"
    assert (ROOT / "config/README.md").read_text().endswith(cfg.markdown()), "run `make schema`"


def test_every_section_of_the_schema_is_closed():
    schema = cfg.json_schema()
    for section in [schema, *schema["$defs"].values()]:
        assert section["additionalProperties"] is False


@pytest.mark.parametrize("path", sorted((ROOT / "config" / "tables").glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_recipes_for_tables_are_valid(path):
    assert cfg.load_table_config(path).training != cfg.TrainingConfig()
    assert set(yaml.safe_load(path.read_text())) <= set(cfg.TableConfig.model_fields)


@pytest.mark.parametrize(
    "splits",
    [
        {"by": "block", "gap": 40, "sealed": ["chrM"]},
        {"gap": 0},  # by chromosome there is no gap to keep
        {"folds": 3, "fold": 2, "sealed": ["chrM"]},
    ],
)
def test_blocks_and_folds_may_be_asked_for(splits):
    assert cfg.parse_config(with_value("genome.splits", splits)).genome.splits.model_dump().items() >= splits.items()


@pytest.mark.parametrize(
    ("content", "message"), [(b"name: caf\xe9\n", "not UTF-8"), (b"name: x\nseed: 2024-13-45\n", "put text in quotes")]
)
def test_what_yaml_cannot_read_is_a_named_error(tmp_path, content, message):
    (tmp_path / "c.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        cfg.load_config(tmp_path / "c.yaml")
