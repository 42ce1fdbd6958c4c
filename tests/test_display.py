"""What objects show in a notebook: every fact, as text that no name can turn into markup."""

import logging
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import genocontrast as gct
from genocontrast import display
from genocontrast.display import Described, bar, bases, card, listed
from genocontrast.encoders import StrandEncoder
from genocontrast.training import Model

NASTY = "<script>alert('&\"x\"')</script>"


class Page(HTMLParser):
    """The tags of a page, and its text as a browser shows it."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.cells = [], [""]
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.cells.append("")

    def handle_data(self, data):
        self.cells[-1] += data


ALLOWED = {"div", "strong", "table", "thead", "tbody", "tr", "th", "td"}
printable = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1)


@given(printable, st.dictionaries(printable, printable, max_size=4), printable)
def test_no_text_becomes_markup(title, facts, cell):
    page = Page(card(title, facts, pd.DataFrame({cell: [cell]})))
    assert set(page.tags) <= ALLOWED
    assert [text for text in page.cells if text] == [title, *(x for fact in facts.items() for x in fact), cell, cell]


@given(st.text())
def test_a_line_stays_a_line(text):
    class Thing(Described):
        def facts(self):
            return {"name": text}

    assert len(repr(Thing()).splitlines()) == 1
    assert set(Page(Thing()._repr_html_()).tags) <= ALLOWED


def test_long_lists_and_sizes_are_short():
    assert listed("abc") == "a, b, c"
    assert listed(map(str, range(1_010)), most=2) == "0, 1 and 1,008 more"
    assert [bases(n) for n in (44, 9_999, 10_000, 2_000_000)] == ["44 bp", "9,999 bp", "10.0 kb", "2.00 Mb"]


@pytest.fixture
def genome(tmp_path):
    path = tmp_path / "<b>&.fa"
    path.write_text("".join(f">{name}\n{'ACGTTGCA' * 40}\n" for name in ("<i>one</i>", "two")))
    return gct.Genome(path)


def test_a_genome(genome):
    assert repr(genome) == "Genome(file <b>&.fa, size 640 bp, sequences 2: <i>one</i>, two)"
    assert Page(genome._repr_html_()).cells.count("<b>&.fa") == 1


def test_a_known_assembly_is_named(genome, monkeypatch):
    monkeypatch.setattr(genome, "sizes", {"chrI": 230_218, "chrII": 813_184, "chrM": 85_779})
    assert genome.facts() == {
        "file": "<b>&.fa",
        "assembly": "sacCer3",
        "size": "1.13 Mb",
        "sequences": "3: chrI, chrII, chrM",
    }


def test_a_signal_says_what_was_left_out_and_renamed(tmp_path):
    (tmp_path / "g.fa").write_text(f">chr1\n{'ACGT' * 50}\n")
    (tmp_path / "<u>.bedgraph").write_text("1\t0\t100\t2.5\n")
    signal = gct.Signal(tmp_path / "<u>.bedgraph", gct.Genome(tmp_path / "g.fa"))
    assert repr(signal) == "Signal(files 1: <u>.bedgraph, renamed 1 -> chr1)"
    assert set(Page(signal._repr_html_()).tags) <= ALLOWED
    signal.files[0]["removed"] = {"unmapped": 1_200, "duplicate": 34}
    assert signal.facts()["removed"] == "1,234"


def balance(accessibility_smd, pairs=200, apart=0.0):
    rng = np.random.default_rng(1)
    examples = pd.DataFrame({"pair_id": np.repeat(np.arange(pairs), 2), "label": np.tile([1, 0], pairs)})
    examples["gc"] = rng.normal(size=2 * pairs) + apart * examples["label"]
    table = pd.DataFrame(
        {
            "covariate": ["gc", NASTY, "shown"],
            "smd_before": [1.0, 2.0, 3.0],
            "smd_after": [0.0123, accessibility_smd, 9.0],
            "ks_after": [0.01, 0.02, 0.9],
            "matched": [True, True, False],
            "passed": [True, abs(accessibility_smd) <= 0.1, False],
        }
    )
    return gct.Balance(table, 0.875, examples)


def test_a_balance_shows_its_worst_covariate_of_those_matched_on():
    facts = balance(-0.0456).facts()
    assert facts["balance"] == "passed"
    assert facts["retention"] == "87.5%"
    assert facts["largest |SMD|"] == f"0.046 ({NASTY})"
    value, low, high = balance(0.0).two_sample_auroc
    assert facts["two-sample AUROC"] == f"{value:.3f} ({low:.3f} to {high:.3f})"
    assert balance(0.3).facts()["balance"] == "failed"
    assert balance(0.0, apart=2.0).facts()["balance"] == "failed"
    assert balance(0.0, pairs=3).facts()["two-sample AUROC"] == "too few pairs"


def test_matched_shows_pairs_those_dropped_and_the_table():
    measured = balance(0.05)
    examples = measured.examples.assign(name=NASTY)
    matched = gct.Matched(examples, examples[:7], measured)
    assert repr(matched).startswith(
        "Matched(pairs 200, dropped 7, balance passed, retention 87.5%, largest |SMD| 0.050"
    )
    page = Page(matched._repr_html_())
    assert set(page.tags) <= ALLOWED
    shown = [text for text in page.cells if text]
    assert shown[shown.index("smd_after") - 2 : shown.index("smd_after") + 4] == [
        "covariate", "smd_before", "smd_after", "ks_after", "matched", "passed"
    ]  # fmt: skip
    assert shown.count(NASTY) == 1
    twice = pd.concat([examples, examples[examples["label"] == 0]])
    assert repr(gct.Matched(twice, examples[:0], measured)).startswith("Matched(pairs 200, decoys 400, dropped 0, ")


def test_a_model():
    network = StrandEncoder(width=8, depth=1)
    model = Model(network, 300, {"train": [NASTY, "chr2"], "validation": ["chr3"]}, {}, temperature=1.23456)
    count = sum(part.numel() for part in network.parameters())
    assert model.facts() == {
        "encoder": "StrandEncoder",
        "strand": "tied",
        "width": "300 bp",
        "parameters": f"{count:,}",
        "temperature": "1.23",
        "trained on": f"{NASTY}, chr2",
        "stopped on": "chr3",
    }
    assert "Parameter containing" not in repr(model)
    assert set(Page(model._repr_html_()).tags) <= ALLOWED


def test_kmer_vectors(tmp_path):
    path = tmp_path / "g.fa"
    path.write_text(f">chr1\n{'ACGTTGCATTAGC' * 100}\n>chr2\nACGTACGTACGTACGTT\n")
    kmers = gct.KmerEmbedding.fit(gct.Genome(path), k=3, dim=2, objective="infonce", chroms=["chr1"])
    seen = int((kmers.tokens > 0).sum())
    assert 0 < seen < 32
    assert repr(kmers) == f"KmerEmbedding(k 3, dim 2, k-mers {seen} of 32, objective infonce, trained on chr1)"
    bare = gct.KmerEmbedding(3, kmers.vectors, kmers.contexts, kmers.tokens)
    assert repr(bare) == f"KmerEmbedding(k 3, dim 2, k-mers {seen} of 32)"


def test_a_data_set_from_its_configuration(simulated, tmp_path):
    config = gct.simulate(tmp_path / "small", seed=7, megabases=2.0)
    data = gct.load_data(config)
    assert data.genome.sizes == gct.Genome(simulated / "genome.fa.gz").sizes, "the files are not those that it names"
    assert data.facts()["open promoters"] == f"{len(data.promoters):,}"
    assert [*data.facts()][-3:] == ["train", "validation", "test"]
    matched = gct.match_negatives(data.promoters, data.pool, data.genome, signal=data.signal, splits=data.splits)
    starts = data.promoters.set_index("name")["tss"]
    promoters = matched.examples[matched.examples["label"] == 1]
    assert starts[promoters["name"]].between(promoters["start"].to_numpy(), promoters["end"].to_numpy()).all()


def test_a_data_set_from_a_file(tmp_path):
    config = gct.simulate(tmp_path / "small", seed=7, megabases=1.0)
    path = tmp_path / "my.json"
    path.write_text(config.model_dump_json(exclude_unset=True))
    assert repr(gct.load_data(path)) == repr(gct.load_data(config))


def test_outside_of_a_notebook_nothing_is_shown(monkeypatch):
    monkeypatch.setattr(display, "_shell", lambda: SimpleNamespace(kernel=None))
    assert not display.in_notebook()
    monkeypatch.setattr(display, "_shell", lambda: None)
    assert not display.in_notebook()
    assert not any(isinstance(handler, display.CellLog) for handler in logging.getLogger("genocontrast").handlers)


class Cells:
    """What IPython's display is told: a list of outputs, each a list of its states."""

    def __init__(self):
        self.outputs = []

    def display(self, data, raw, display_id):
        assert raw
        assert display_id
        mine = [data["text/plain"]]
        self.outputs.append(mine)
        return SimpleNamespace(update=lambda data, raw: mine.append(data["text/plain"]))


def test_a_line_is_replaced_within_its_cell_and_not_too_often(monkeypatch):
    cells, shell, clock = Cells(), SimpleNamespace(execution_count=1), [100.0]
    monkeypatch.setattr(display, "_shell", lambda: shell)
    monkeypatch.setattr(display, "import_module", lambda name: cells)
    monkeypatch.setattr(display.time, "monotonic", lambda: clock[0])
    line = display.CellLine()
    for text in ("a", "too soon"):
        line.tick(text)
    clock[0] += 1
    line.tick("b")
    line.show("at once")
    shell.execution_count = 2
    line.show("the next cell")
    assert cells.outputs == [["a", "b", "at once"], ["the next cell"]]


@pytest.mark.parametrize(("done", "filled"), [(0, 0), (5, 10), (10, 20), (12, 20)])
def test_a_bar(done, filled):
    assert bar(done, 10) == f"[{'#' * filled}{'.' * (20 - filled)}] {done}/10"


def test_a_bar_of_nothing():
    assert bar(0, 0).endswith("0/0")
