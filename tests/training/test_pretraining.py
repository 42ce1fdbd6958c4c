"""Pretraining sees the training split only, tells loci from their neighbourhoods, and gives training its start."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from test_training_fit import TINY, example_table, random_pairs, same

from genocontrast.config import PretrainingConfig, parse_config
from genocontrast.contrast import info_nce
from genocontrast.encoders import StrandEncoder
from genocontrast.errors import ConfigError, PoolError, SplitError
from genocontrast.genome import Genome
from genocontrast.training import fitting, load_model, pretraining, stage
from genocontrast.training.data import flanked_codes
from genocontrast.training.fitting import fit_pairs, pretrain
from genocontrast.training.pretraining import LocusBatch, LocusDraws, PretrainingModule, held_out, lay_out

PRETRAINING = PretrainingConfig(windows="genome", epochs=2, batch=16)
CONFIG = TINY.model_copy(update={"max_shift": 4, "pretraining": PRETRAINING})


@pytest.fixture
def genome(tmp_path, monkeypatch):
    monkeypatch.setenv("GENOCONTRAST_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(3)
    letters = {name: "".join("ACGT"[code] for code in rng.integers(0, 4, 6000)) for name in ("chr1", "chr2", "chr3")}
    letters["chr1"] = letters["chr1"][:3000] + "N" * 200 + letters["chr1"][3200:]
    path = tmp_path / "genome.fa"
    path.write_text("".join(f">{name}\n{text}\n" for name, text in letters.items()))
    return Genome(path)


SEGMENTS = pd.DataFrame({"chrom": ["chr1", "chr3"], "start": [0, 1000], "end": [6000, 5000]})


def test_every_window_and_neighbour_lies_in_the_segments(genome, monkeypatch):
    loci = lay_out(genome, SEGMENTS, 60, 4 + 30)
    read = []
    monkeypatch.setattr(
        Genome, "codes", lambda self, windows: read.append(windows) or np.zeros((len(windows), 60), "u1")
    )
    for epoch in range(20):
        for draw in LocusDraws(loci, 16, 4, [1, epoch]):
            for moved in draw[1:]:
                loci.codes(draw.rows, moved)
    seen = pd.concat(read)
    assert set(seen["chrom"]) == {"chr1", "chr3"}
    for segment in SEGMENTS.itertuples():
        here = seen[seen["chrom"] == segment.chrom]
        assert here["start"].min() >= segment.start
        assert here["end"].max() <= segment.end
    assert seen["start"].nunique() > 3000  # windows come to lie everywhere


def test_neighbours_do_not_overlap_where_the_locus_lies_and_are_near(genome):
    loci = lay_out(genome, SEGMENTS, 60, 4 + 30)
    away = np.concatenate([np.abs(d.neighbour - (d.first + d.second) // 2) for d in LocusDraws(loci, 16, 4, [1, 0])])
    assert away.min() >= 60 - 5
    assert away.max() <= 180 + 5


def test_loci_with_n_are_left_out_and_open_ones_lie_at_their_centres(genome):
    loci = lay_out(genome, SEGMENTS, 60, 0)
    on_chr1 = loci.start[loci.chrom == "chr1"]
    assert not ((on_chr1 < 3200 - 3) & (on_chr1 + 60 > 3000 + 3)).any()
    centres = pd.DataFrame({"chrom": "chr3", "start": np.arange(20, 5900, 40), "end": np.arange(30, 5910, 40)})
    found = lay_out(genome, SEGMENTS, 60, 0, centres)
    assert set(found.chrom) == {"chr3"}
    assert set(found.start + 30) <= set((centres["start"] + 5).tolist())
    assert found.start.min() >= 1000 + 240
    with pytest.raises(PoolError, match="too few loci"):
        lay_out(genome, SEGMENTS, 60, 0, centres.head(3))


def test_held_out_loci_are_blocks_of_the_same_segments(genome):
    loci = lay_out(genome, SEGMENTS, 60, 0)
    train, apart = held_out(loci)
    assert len(train) + len(apart) == len(loci)
    assert len(apart) >= 20
    assert np.diff(apart.start[:20]).max() <= 4 * 60
    assert not set(zip(train.chrom, train.start, strict=True)) & set(zip(apart.chrom, apart.start, strict=True))


@pytest.mark.parametrize("length", [60, 63])
def test_hidden_bases_are_asked_on_both_strands_and_never_shown(length):
    network = StrandEncoder(width=8, depth=1, dim=4)
    module = PretrainingModule.__new__(PretrainingModule)
    torch.nn.Module.__init__(module)
    module.hidden_head = torch.nn.Linear(8, 16)
    codes = torch.randint(0, 4, (3, length), dtype=torch.uint8)
    hidden = torch.rand(3, length) < 0.3
    given = network.along(torch.randn(3, 4, length))[0]
    strands = [given, given.flip(1, 2)]
    found = module._masked(strands, LocusBatch(codes, codes, codes, hidden, torch.arange(3)))
    expected = []
    for strand, bases, asked in zip(strands, (codes, 3 - codes.flip(1)), (hidden, hidden.flip(1)), strict=True):
        logits = module.hidden_head(strand.transpose(1, 2)).unflatten(2, (4, 4)).flatten(1, 2)
        each = [
            -logits[row, at].log_softmax(0)[bases[row, at].long()]
            for row, at in asked[:, : logits.shape[1]].nonzero().tolist()
        ]
        expected.append(torch.stack(each).mean())
    torch.testing.assert_close(found, torch.stack(expected).mean())


def test_pretraining_learns_to_find_loci_and_is_a_start(genome, capsys):
    longer = PRETRAINING.model_copy(update={"epochs": 10})
    config = CONFIG.model_copy(update={"pretraining": longer, "learning_rate": 0.01, "width": 16, "dim": 16})
    network = pretrain(genome, SEGMENTS, 60, config, seed=2)
    lines = capsys.readouterr().err.splitlines()
    losses = [float(line.split("validation ")[1].split()[0]) for line in lines if "locus found" in line]
    assert len(losses) == 10
    assert losses[-1] < losses[0] - 0.3, lines
    pairs, validation = random_pairs(16, 0), random_pairs(8, 1)
    once = config.model_copy(update={"epochs": 1, "learning_rate": 1e-9, "average": 0.0})
    begun, _ = fit_pairs(pairs, validation, once, start=network)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(begun.state_dict()[name], value, rtol=0, atol=1e-6)


QUEUED = CONFIG.model_copy(update={"pretraining": PRETRAINING.model_copy(update={"queue": 24})})


@pytest.mark.parametrize("config", [CONFIG, QUEUED], ids=["batch", "queue"])
def test_an_interrupted_pretraining_resumes_to_the_same_weights(genome, tmp_path, monkeypatch, config):
    whole = pretrain(genome, SEGMENTS, 60, config)
    step = PretrainingModule.training_step

    def interrupted(self, batch, batch_idx):
        if self.current_epoch == 1:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(PretrainingModule, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pretrain(genome, SEGMENTS, 60, config, checkpoints=tmp_path / "kept")
    assert same(whole, pretrain(genome, SEGMENTS, 60, config, checkpoints=tmp_path / "kept"))


def test_the_queue_holds_earlier_loci_as_further_negatives(genome, monkeypatch):
    seen = []

    def spied(one, other, **options):
        if options.get("bank") is not None:
            seen.append((other.detach(), options["bank"], options["ids"]))
        return info_nce(one, other, **options)

    monkeypatch.setattr(pretraining, "info_nce", spied)
    pretrain(genome, SEGMENTS, 60, QUEUED)
    keys, banks, ids = zip(*seen, strict=True)
    assert [len(bank) for bank in banks[:3]] == [0, len(keys[0]), 24]
    earlier = torch.nn.functional.normalize(torch.cat(keys[:4]), dim=1)[-24:]
    torch.testing.assert_close(banks[4], earlier)
    # a locus of the batch that is in the queue, too, is known by its id, and no negative
    assert all(len(row) == len(key) + len(bank) for key, bank, row in zip(keys, banks, ids, strict=True))
    assert (
        ids[4][len(keys[4]) :].tolist()
        == torch.cat([row[: len(key)] for key, row in zip(keys, ids, strict=True)][:4])[-24:].tolist()
    )


def test_a_queue_needs_the_moving_average(genome):
    with pytest.raises(ConfigError, match=r"moving average[\s\S]*training.average"):
        pretrain(genome, SEGMENTS, 60, QUEUED.model_copy(update={"average": 0.0}))


def test_kmers_are_not_pretrained(genome):
    with pytest.raises(ConfigError, match="only an encoder of convolutions"):
        pretrain(genome, SEGMENTS, 60, CONFIG.model_copy(update={"encoder": "kmers"}))


# --- in the stage


@pytest.fixture
def results(genome, tmp_path):
    folder = tmp_path / "results"
    (folder / "genome").mkdir(parents=True)
    (folder / "negatives").mkdir()
    table = example_table()
    table = pd.concat([table, table.assign(tier="random")], ignore_index=True)
    table.to_parquet(folder / "negatives" / "examples.parquet")
    segments = [
        {"chrom": f"chr{number}", "start": 0, "end": 6000, "split": split}
        for number, split in enumerate(("train", "validation", "test"), 1)
    ]
    (folder / "genome" / "genome.json").write_text(json.dumps({"segments": segments}))
    return folder


def config_of(genome, **training):
    settings = {**TINY.model_dump(), "epochs": 1, **training}
    section = {"fasta": str(genome.path), "promoters": str(genome.path), "signal": [str(genome.path)]}
    return parse_config({"name": "tiny", "genome": section, "training": settings})


def test_the_stage_pretrains_on_the_training_split_and_records_it(genome, results, monkeypatch):
    read = []
    whole = pretraining.Loci.codes
    monkeypatch.setattr(
        pretraining.Loci, "codes", lambda self, *given: read.append(set(self.chrom)) or whole(self, *given)
    )
    stage.run(config_of(genome, pretraining={"windows": "genome", "epochs": 1, "batch": 16}), results)
    assert set().union(*read) == {"chr1"}
    assert load_model(results / "training" / "model").pretrained_on == [("chr1", 0, 6000)]


def test_the_pool_is_all_promoters_and_all_candidates_of_the_training_split(genome, results, monkeypatch):
    table = example_table()
    other = table.assign(start=table["start"] + 3000, end=table["end"] + 3000)
    other[other["label"] == 1].to_parquet(results / "negatives" / "dropped.parquet")
    other[other["label"] == 0].assign(strand=".").to_parquet(results / "negatives" / "pool.parquet")
    seen = []
    whole = fitting.fit_pairs
    monkeypatch.setattr(fitting, "fit_pairs", lambda *given, **named: seen.append(given[0]) or whole(*given, **named))
    stage.run(config_of(genome, curriculum=["pool"], curriculum_epochs=1), results)
    lesson, matched = seen
    train = table[table["split"] == "train"]
    promoters, decoys = train[train["label"] == 1], other[(other["label"] == 0) & (other["split"] == "train")]
    every = pd.concat([promoters, other[(other["label"] == 1) & (other["split"] == "train")]])
    flank = TINY.max_shift
    assert not lesson.matched
    assert matched.matched
    assert lesson.oriented
    np.testing.assert_array_equal(lesson.promoters, flanked_codes(every, genome, flank))
    np.testing.assert_array_equal(lesson.decoys, flanked_codes(decoys.assign(strand="."), genome, flank))
    np.testing.assert_array_equal(matched.promoters, flanked_codes(promoters, genome, flank))
    record = json.loads((results / "training" / "history.json").read_text())["provenance"]
    assert {"pool", "dropped"} <= set(record["inputs"])


def test_the_curriculum_goes_before_the_matched_decoys(genome, results, capsys):
    stage.run(config_of(genome), results)
    plain = load_model(results / "training" / "model").network
    capsys.readouterr()
    stage.run(config_of(genome, curriculum=["random"], curriculum_epochs=2), results)
    assert [line.split("  ")[0] for line in capsys.readouterr().err.splitlines()] == [
        "epoch 1/2",
        "epoch 2/2",
        "epoch 1/1",
    ]
    assert not same(plain, load_model(results / "training" / "model").network)
    with pytest.raises(SplitError, match=r"no examples of the tier 'open'[\s\S]*add open to negatives.tiers"):
        stage.run(config_of(genome, curriculum=["open"]), results)
