import math
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit

from genocontrast import artefacts
from genocontrast.config import TrainingConfig, parse_config
from genocontrast.errors import FileFormatError, GenocontrastWarning, ModelError, RegionError, ShapeError, SplitError
from genocontrast.examples import COLUMNS
from genocontrast.genome import Genome
from genocontrast.sequence import encode, reverse_complement
from genocontrast.training import callbacks, embed, fit, fitting, load_model, mine_negatives, module, predict, stage
from genocontrast.training.calibration import calibrated_loss, fit_temperature
from genocontrast.training.callbacks import CHECKPOINT
from genocontrast.training.data import EpochDraws, PairCodes, flanked_codes, pair_codes, training_batches
from genocontrast.training.fitting import fit_pairs
from genocontrast.training.model import Model
from genocontrast.training.module import PromoterModule
from genocontrast.training.surrogates import surrogates

TINY = TrainingConfig(width=8, depth=1, dim=4, epochs=4, patience=4, batch_pairs=8, max_shift=3, device="cpu")


def random_pairs(n, seed, width=60, flank=3):
    rng = np.random.default_rng(seed)
    promoters, decoys = rng.integers(0, 4, (2, n, width + 2 * flank), dtype=np.uint8)
    return PairCodes(promoters, decoys, flank)


def grammar_pairs(n, seed, length=106, flank=3):
    """Both classes hold TATAAAGG and GCCATCTT, 12 bp apart and on one strand; only their order differs."""
    rng = np.random.default_rng(seed)
    first, second = encode("TATAAAGG"), encode("GCCATCTT")
    rows = rng.integers(0, 4, (2, n, length), dtype=np.uint8)
    for i in range(n):
        for label in (0, 1):
            left, right = (first, second) if label else (second, first)
            at = int(rng.integers(10, length - 50))
            rows[label, i, at : at + 8] = left
            rows[label, i, at + 20 : at + 28] = right
            if rng.random() < 0.5:
                rows[label, i] = reverse_complement(rows[label, i])
    return PairCodes(rows[1], rows[0], flank)


@pytest.fixture(scope="module")
def sequences():
    rng = np.random.default_rng(7)
    return {f"chr{i}": "".join("ACGT"[code] for code in rng.integers(0, 4, 3000)) for i in (1, 2, 3)}


@pytest.fixture
def genome(sequences, tmp_path, monkeypatch):
    monkeypatch.setenv("GENOCONTRAST_CACHE", str(tmp_path / "cache"))
    fasta = tmp_path / "genome.fa"
    fasta.write_text("".join(f">{name}\n{letters}\n" for name, letters in sequences.items()))
    return Genome(fasta)


def example_table(pairs=12):
    rows = []
    for number, split in enumerate(("train", "validation", "test")):
        chrom = f"chr{number + 1}"
        for pair in range(pairs):
            for label in (0, 1):
                start = (2 * pair + label) * 100
                rows.append(
                    (
                        chrom,
                        start,
                        start + 60,
                        f"{chrom}_{start}",
                        "+-"[pair % 2],
                        label,
                        number * pairs + pair,
                        "hard",
                        split,
                    )
                )
    columns = ["chrom", "start", "end", "name", "strand", "label", "pair_id", "tier", "split"]
    return pd.DataFrame(rows, columns=columns).assign(log_q=0.0, evidence="", gc=0.5)


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_each_setting_of_the_encoder_reaches_it():
    changes = {"strand": "twin", "width": 6, "depth": 2, "pool": "summary", "orientation": "stranded", "dim": 6}
    changes |= {"stride": 2, "heads": 3, "knots": 5, "merge": "logsumexp", "dropout": 0.5}
    assert all(value != getattr(TINY, name) for name, value in changes.items())
    pairs = random_pairs(8, 1)
    network, _ = fit_pairs(pairs, pairs, TINY.model_copy(update=changes | {"epochs": 1}))
    assert network.architecture == changes | {"arch": "gated"}


# --- data


def test_windows_are_read_on_their_strand_and_padded_outside_the_chromosome(genome, sequences):
    regions = pd.DataFrame(
        {"chrom": "chr1", "start": [100, 0, 2940, 2], "end": [160, 60, 3000, 62], "strand": ["+", "-", "+", "."]}
    )
    found = flanked_codes(regions, genome, 5)
    padded = "N" * 5 + sequences["chr1"] + "N" * 5
    for row, start, strand in ((0, 100, "+"), (1, 0, "-"), (2, 2940, "+"), (3, 2, "+")):
        expected = encode(padded[start : start + 70])
        assert (found[row] == (reverse_complement(expected) if strand == "-" else expected)).all()


def test_rows_of_promoters_and_decoys_belong_together(genome):
    examples = example_table().sample(frac=1, random_state=0)
    pairs = pair_codes(examples, genome, "train", 0)
    for pair in range(12):
        for label, codes in ((1, pairs.promoters), (0, pairs.decoys)):
            row = examples.query(f"split == 'train' and pair_id == {pair} and label == {label}")
            assert (codes[pair] == genome.codes(row)[0]).all()


def test_torn_pairs_and_empty_splits_are_named(genome):
    whole = example_table()
    one_more_promoter = whole.query("pair_id == 3 and label == 1").assign(start=2900, end=2960)
    for torn in (
        whole.drop(index=0),  # a promoter only
        whole.drop(index=1),  # a decoy only
        whole.assign(pair_id=whole["pair_id"].where(whole.index != 3, 0)),  # two promoters, and a decoy only
        pd.concat([whole, one_more_promoter]),
    ):
        with pytest.raises(FileFormatError, match=r"'train' has \d pairs that are not one promoter and its"):
            pair_codes(torn, genome, "train", 0)
    with pytest.raises(SplitError, match="'validation' holds no example"):
        pair_codes(example_table().query("split == 'train'"), genome, "validation", 0)


def test_a_promoter_with_several_decoys_has_a_row_for_each_of_them(genome):
    second = example_table().query("label == 0 and pair_id < 4")
    second = second.assign(start=second["start"] + 20, end=second["end"] + 20)
    examples = pd.concat([example_table(), second], ignore_index=True).sample(frac=1, random_state=0)
    pairs = pair_codes(examples, genome, "train", 0)
    assert len(pairs) == 12 + 4
    found = {(one.tobytes(), other.tobytes()) for one, other in zip(pairs.promoters, pairs.decoys, strict=True)}
    train = examples[examples["split"] == "train"].reset_index(drop=True)
    codes = [row.tobytes() for row in genome.codes(train)]
    promoter = {train["pair_id"][i]: codes[i] for i in range(len(train)) if train["label"][i] == 1}
    expected = {(promoter[train["pair_id"][i]], codes[i]) for i in range(len(train)) if train["label"][i] == 0}
    assert found == expected
    assert len(expected) == 16
    fit(examples, genome, TINY.model_copy(update={"epochs": 1}))


def test_each_epoch_draws_every_pair_once_and_repeats_itself():
    epochs = [list(EpochDraws(random_pairs(21, 0), 8, 5, epoch)) for epoch in (0, 1, 0)]
    assert [len(draw.promoters) for draw in epochs[0]] == [7, 7, 7]
    assert sorted(torch.cat([draw.promoters for draw in epochs[0]]).tolist()) == list(range(21))
    for one, again in zip(epochs[0], epochs[2], strict=True):
        assert torch.equal(one.promoters, one.decoys)
        assert all(torch.equal(part, other) for part, other in zip(one, again, strict=True))
    assert any(not torch.equal(one.promoters, other.promoters) for one, other in zip(*epochs[:2], strict=True))


def test_classes_without_pairs_are_put_together_anew_and_each_row_is_seen():
    codes = np.zeros((21, 9), np.uint8), np.zeros((8, 9), np.uint8)
    pairs = PairCodes(*codes, 0, matched=False)
    epochs = [list(EpochDraws(pairs, 8, 5, epoch)) for epoch in (0, 1)]
    promoters, decoys = (torch.cat([draw[part] for draw in epochs[0]]) for part in (0, 1))
    assert sorted(promoters.tolist()) == list(range(21))
    assert torch.bincount(decoys).tolist() == pytest.approx([21 / 8] * 8, abs=1)
    partner = [dict(zip(*(torch.cat([d[i] for d in e]).tolist() for i in (0, 1)), strict=True)) for e in epochs]
    assert partner[0] != partner[1]


def test_processes_share_the_batches_of_one():
    pairs = random_pairs(21, 0)
    whole = list(EpochDraws(pairs, 8, 5, 0))
    parts = [list(EpochDraws(pairs, 8, 5, 0, rank, 2)) for rank in (0, 1)]
    for draw, *shares in zip(whole, *parts, strict=True):
        for field in range(2):
            assert sorted(torch.cat([share[field] for share in shares]).tolist()) == sorted(draw[field].tolist())
        assert torch.equal(torch.cat([share.starts for share in shares], 1).sort().values, draw.starts.sort().values)


def test_views_of_both_classes_move_and_stay_within_what_was_read():
    pairs = random_pairs(16, 0)
    starts = torch.cat([draw.starts for draw in EpochDraws(pairs, 8, 1, 0)], dim=1)
    assert starts.min() == 0
    assert starts.max() == 2 * pairs.flank
    assert (starts[0] != starts[1]).any()
    for batch, draw in zip(training_batches(pairs, 8, 1, 0), EpochDraws(pairs, 8, 1, 0), strict=True):
        sources = (pairs.promoters, pairs.promoters, pairs.decoys)
        for codes, source, start in zip(batch[:3], sources, draw.starts, strict=True):
            row, at = int(draw.promoters[0]), int(start[0])
            assert (codes[0].numpy() == source[row, at : at + pairs.width]).all()


def test_surrogates_keep_the_dinucleotides_and_lose_the_order():
    rng = np.random.default_rng(0)
    windows = rng.choice(4, (3, 4000), p=[0.4, 0.3, 0.2, 0.1]).astype(np.uint8)
    windows[1, ::2], windows[1, 1::2] = 1, 2  # CGCGCG: no other dinucleotide may appear
    windows[2, 1000:2000] = 4
    drawn = surrogates(windows, rng)

    def dinucleotides(codes):
        before, after = codes[:-1].astype(int), codes[1:]
        called = (before < 4) & (after < 4)
        return np.bincount((before * 4 + after)[called], minlength=16) / called.sum()

    for window, surrogate in zip(windows, drawn, strict=True):
        np.testing.assert_allclose(dinucleotides(surrogate), dinucleotides(window), atol=0.03)
        assert ((surrogate == 4) == (window == 4)).all()
    assert 0.2 < (drawn[0] == windows[0]).mean() < 0.4
    assert (surrogates(windows, np.random.default_rng(3)) == surrogates(windows, np.random.default_rng(3))).all()


def test_surrogates_of_windows_with_few_bases_are_windows_too():
    windows = np.array([[4, 4, 4, 4], [4, 2, 4, 4], [0, 0, 0, 0]], np.uint8)
    drawn = surrogates(windows, np.random.default_rng(0))
    assert (drawn[0] == 4).all()
    assert drawn[1, 1] < 4
    assert (drawn[2] == 0).all()


def test_classes_of_different_shape_are_named():
    with pytest.raises(ShapeError, match="one shape"):
        PairCodes(np.zeros((3, 9), np.uint8), np.zeros((2, 9), np.uint8), 0)


# --- fit


def test_learns_which_order_two_motifs_have_when_composition_is_equal():
    config = TrainingConfig(
        width=32, depth=2, dim=16, epochs=12, patience=12, batch_pairs=32, max_shift=3, dropout=0.0, device="cpu"
    )
    _, history = fit_pairs(grammar_pairs(512, 1), grammar_pairs(128, 2), config)
    assert max(row["validation_auroc"] for row in history) > 0.95


def test_the_best_epoch_is_kept_and_patience_ends_training():
    config = TINY.model_copy(update={"epochs": 30, "patience": 2, "learning_rate": 0.05})
    validation = random_pairs(16, 1)
    network, history = fit_pairs(random_pairs(24, 0), validation, config)
    losses = [row["validation_loss"] for row in history]
    assert len(history) == int(np.argmin(losses)) + 1 + 2 < 30
    model = Model(network, 60, {}, {})
    windows = np.concatenate([validation.promoters, validation.decoys])[:, 3:-3]
    logits, labels = model.logits_codes(windows).astype(float), np.repeat([1, 0], 16)
    scores = expit(logits / fit_temperature(logits, labels))
    found = -np.log(np.where(labels, scores, 1 - scores)).mean()
    assert found == pytest.approx(min(losses), rel=1e-4)


def test_an_epoch_that_is_only_too_sure_of_itself_is_no_worse():
    rng = np.random.default_rng(0)
    labels = np.repeat([1, 0], 60)
    logits = rng.normal(2.0 * labels - 1, 2)
    modest = calibrated_loss(logits, labels)
    assert calibrated_loss(8 * logits, labels) == pytest.approx(modest, rel=1e-4)
    assert calibrated_loss(rng.permutation(8 * logits), labels) > modest
    # at the best of many temperatures, classes counting alike
    tried = [
        np.mean([np.logaddexp(0, -logits[labels == 1] / t).mean(), np.logaddexp(0, logits[labels == 0] / t).mean()])
        for t in np.geomspace(0.1, 10, 200)
    ]
    assert min(tried) - 1e-9 <= modest <= min(tried) + 0.02


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), "DefaultCPUAllocator: not enough memory"]
)
def test_memory_that_runs_out_names_what_to_lower(monkeypatch, error):
    def full(self, batch, batch_idx):
        raise error if isinstance(error, Exception) else RuntimeError(error)

    monkeypatch.setattr(PromoterModule, "training_step", full)
    with pytest.raises(ModelError, match=r"memory ran out[\s\S]*training.batch_pairs[\s\S]*cached_backward"):
        fit_pairs(random_pairs(8, 0), random_pairs(8, 1), TINY)


def test_the_same_seed_gives_the_same_model_and_another_seed_another():
    pairs, validation = random_pairs(20, 0), random_pairs(8, 1)
    before = torch.random.get_rng_state()
    networks = [fit_pairs(pairs, validation, TINY, seed=seed)[0] for seed in (1, 1, 2)]
    assert same(*networks[:2])
    assert not same(*networks[1:])
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("batch", [0, 2])
def test_an_interrupted_training_resumes_to_the_same_weights(tmp_path, monkeypatch, stop, batch):
    pairs, validation = random_pairs(24, 0), random_pairs(8, 1)
    whole, whole_history = fit_pairs(pairs, validation, TINY)
    step = PromoterModule.training_step

    def interrupted(self, views, batch_idx):
        if (self.current_epoch, batch_idx) == (2, batch):
            raise stop
        return step(self, views, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(PromoterModule, "training_step", interrupted)
        with pytest.raises(stop):
            fit_pairs(pairs, validation, TINY, checkpoints=tmp_path)
    resumed, history = fit_pairs(pairs, validation, TINY, checkpoints=tmp_path)
    assert same(whole, resumed)
    assert history == whole_history
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]


def test_a_training_that_had_ended_is_not_trained_again(tmp_path, monkeypatch):
    pairs, validation = random_pairs(24, 0), random_pairs(8, 1)
    config = TINY.model_copy(update={"epochs": 30, "patience": 1, "learning_rate": 0.05})
    first, history = fit_pairs(pairs, validation, config, checkpoints=tmp_path)
    assert len(history) < 30
    monkeypatch.setattr(PromoterModule, "training_step", lambda *_: pytest.fail("it was trained again"))
    again, same_history = fit_pairs(pairs, validation, config, checkpoints=tmp_path)
    assert same(first, again)
    assert same_history == history


@pytest.mark.parametrize("damage", ["other seed", "torn"])
def test_a_checkpoint_of_something_else_is_left_alone(tmp_path, damage):
    pairs, validation = random_pairs(20, 0), random_pairs(8, 1)
    expected, _ = fit_pairs(pairs, validation, TINY)
    fit_pairs(pairs, validation, TINY, seed=2, checkpoints=tmp_path)
    if damage == "torn":
        path = tmp_path / CHECKPOINT
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.warns(GenocontrastWarning, match="training begins again"):
        found, _ = fit_pairs(pairs, validation, TINY, checkpoints=tmp_path)
    assert same(expected, found)


def test_a_loss_that_is_no_number_stops_and_names_the_batch(monkeypatch):
    monkeypatch.setattr(module.PromoterModule, "_classify", lambda self, encoded, label: encoded.logit.sum() * math.nan)
    with pytest.raises(ModelError, match="the classification loss is not a finite number at epoch 1, batch 1"):
        fit_pairs(random_pairs(16, 0), random_pairs(8, 1), TINY)


def test_weights_that_overflow_stop_training_too():
    config = TINY.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(ModelError, match=r"loss is not a finite number at epoch \d+, batch \d+"):
        fit_pairs(random_pairs(16, 0), random_pairs(8, 1), config)


def test_an_absent_device_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="no CUDA device"):
        fit_pairs(random_pairs(8, 0), random_pairs(8, 1), TINY.model_copy(update={"device": "cuda"}))


def test_one_line_an_epoch_and_no_folders_are_left(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fit_pairs(random_pairs(16, 0), random_pairs(8, 1), TINY)
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split("  ")[0] for line in err.splitlines()] == [f"epoch {i}/4" for i in (1, 2, 3, 4)]
    assert not list(tmp_path.iterdir())


def test_in_a_notebook_a_line_is_replaced_and_says_how_far_it_is(monkeypatch, capsys):
    shown = []
    monkeypatch.setattr(callbacks, "in_notebook", lambda: True)
    monkeypatch.setattr(callbacks.CELL_LINE, "show", shown.append)
    monkeypatch.setattr(callbacks.CELL_LINE, "tick", shown.append)
    fit_pairs(random_pairs(16, 0), random_pairs(8, 1), TINY)
    assert capsys.readouterr().err == ""
    epochs = [line for line in shown if " train " in line and "batches" not in line]
    assert [line.split("  ")[0] for line in epochs] == [f"epoch {i}/4" for i in (1, 2, 3, 4)]
    second = [line for line in shown if line.startswith("epoch 2/4 [")]
    batches = len(second)
    assert batches > 0
    assert all(f"] {done}/{batches} batches" in line for done, line in enumerate(second, 1))
    assert second[-1].startswith(f"epoch 2/4 [{'#' * 20}] ")
    assert second[0].endswith(epochs[0].removeprefix("epoch 1/4")), "the figures of the epoch before are gone"


# --- model


@pytest.fixture
def model():
    network, _ = fit_pairs(random_pairs(16, 0), random_pairs(8, 1), TINY)
    return Model(network, 60, {"train": ["chr1"], "validation": ["chr2"]}, {"stage": "training"})


def test_a_saved_model_says_the_same(model, tmp_path):
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    codes = random_pairs(9, 3).promoters
    assert (loaded.score_codes(codes) == model.score_codes(codes)).all()
    assert (loaded.embed_codes(codes, batch_size=9) == model.embed_codes(codes, batch_size=9)).all()
    assert (loaded.width, loaded.chromosomes, loaded.provenance) == (60, model.chromosomes, model.provenance)
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["config.json", "model.safetensors"]
    first = [path.read_bytes() for path in sorted((tmp_path / "model").iterdir())]
    model.save(tmp_path / "model")
    assert [path.read_bytes() for path in sorted((tmp_path / "model").iterdir())] == first


def test_no_call_depends_on_the_strand_at_all(model):
    codes = np.concatenate([random_pairs(200, 3).promoters, np.full((1, 66), 4, np.uint8)])
    mirrored = reverse_complement(codes)
    assert (model.score_codes(codes) == model.score_codes(mirrored)).all()
    assert (model.embed_codes(codes) == model.embed_codes(mirrored)).all()


def test_inference_leaves_the_mode_as_it_was(model):
    model.network.train()
    one, two = (model.score_codes(random_pairs(4, 0).promoters) for _ in range(2))
    assert model.network.training
    assert (one == two).all()


def test_wrong_codes_are_named(model):
    with pytest.raises(ShapeError, match="codes must be uint8"):
        model.score_codes(np.zeros((3, 60)))


def edited(folder, **changes):
    description = artefacts.read_json(folder / "config.json")
    artefacts.write_json(folder / "config.json", {**description, **changes})


def test_models_that_cannot_be_read_are_named(model, tmp_path):
    folder = tmp_path / "model"
    architecture = model.network.architecture
    for changes, problem in (
        ({"format": 99}, "has format 99"),
        ({"architecture": {**architecture, "width": 10}}, "do not fit the architecture"),
        ({"architecture": {**architecture, "tails": 2}}, "unknown architecture"),
        ({"architecture": {**architecture, "strand": "both"}}, "strand is none of"),
    ):
        model.save(folder)
        edited(folder, **changes)
        with pytest.raises(ModelError, match=problem):
            load_model(folder)
    model.save(folder)
    (folder / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(FileFormatError, match="not readable as safetensors"):
        load_model(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileFormatError, match="no such file"):
        load_model(folder)


# --- on a genome


def test_fit_embed_and_predict_on_a_genome(genome):
    model = fit(example_table(), genome, TINY, seed=3)
    assert model.width == 60
    assert model.chromosomes == {"train": ["chr1"], "validation": ["chr2"]}
    validation = pair_codes(example_table(), genome, "validation", 0)
    logits = model.logits_codes(np.concatenate([validation.promoters, validation.decoys]))
    assert model.temperature == fit_temperature(logits, np.repeat([1, 0], len(validation)))
    regions = pd.DataFrame({"chrom": ["chr3", "chr3"], "start": [100, 500], "end": [160, 700], "strand": ["+", "-"]})
    predicted = predict(model, regions, genome)
    assert predicted["probability"].between(0, 1).all()
    vectors = embed(model, regions, genome)
    assert vectors.shape == (2, 4)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_a_region_at_the_chromosomes_end_reads_n_beyond_it(genome):
    model = fit(example_table(), genome, TINY, seed=3)
    regions = pd.DataFrame({"chrom": ["chr3", "chr3"], "start": [0, 500], "end": [10, 560]})
    window = np.full((1, 60), 4, np.uint8)
    window[0, 25:] = genome.chromosome("chr3")[:35]  # centre 5, from -25 to 35
    predicted = predict(model, regions, genome)
    assert predicted["probability"][0] == pytest.approx(model.score_codes(window)[0], abs=1e-6)
    with pytest.raises(RegionError, match="chr3"):
        predict(model, regions.assign(end=10**9), genome)


def stage_config(genome, **training):
    return parse_config(
        {
            "name": "tiny",
            "seed": 4,
            "genome": {
                "fasta": str(genome.path),
                "promoters": "x.bed",
                "signal": ["x.bw"],
                "upstream": 40,
                "downstream": 20,
            },
            "training": TINY.model_dump() | training,
        }
    )


def test_the_stage_writes_a_model_and_its_history(genome, tmp_path):
    results = tmp_path / "results"
    other = example_table().assign(tier="random", label=lambda frame: 1 - frame["label"])
    artefacts.write_parquet(results / "negatives" / "examples.parquet", pd.concat([example_table(), other]))
    config = stage_config(genome)
    stage.run(config, results)
    folder = results / "training"
    assert sorted(path.name for path in folder.iterdir()) == ["history.json", "model"]
    history = artefacts.read_json(folder / "history.json")
    assert [row["epoch"] for row in history["epochs"]] == [1, 2, 3, 4]
    assert min(history["epochs"], key=lambda row: row["validation_loss"])["epoch"] == history["best_epoch"]
    model = load_model(folder / "model")
    assert model.provenance == history["provenance"]
    assert set(model.provenance["inputs"]) == {"examples", "genome"}
    assert set(history) == {"provenance", "epochs", "best_epoch"}
    assert history["provenance"]["config"]["mined_rounds"] == 0
    # the random tier has its labels swapped: a model that had seen it would differ
    expected = fit(example_table(), genome, TINY, seed=4)
    assert same(model.network, expected.network)
    assert model.temperature == expected.temperature != 1
    first = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    stage.run(config, results)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == first


def write_negatives(results):
    """What the negatives stage leaves: pairs, and a pool of their decoys and as many other windows."""
    examples = example_table()
    examples["gc"] = np.random.default_rng(0).normal(size=len(examples)) / 100
    decoys = examples[examples["label"] == 0]
    others = decoys.assign(start=decoys["start"] + 500, end=decoys["end"] + 500, gc=decoys["gc"][::-1].to_numpy())
    others = others[others["start"] > 2400]
    pool = pd.concat([decoys, others])[["chrom", "start", "end", "name", "strand", "split", "gc"]]
    artefacts.write_parquet(results / "negatives" / "examples.parquet", examples)
    artefacts.write_parquet(results / "negatives" / "pool.parquet", pool)
    balance = {"matching": {"scale": {"gc": 0.1}}, "table": [{"covariate": "gc", "matched": True}]}
    artefacts.write_json(results / "negatives" / "balance.json", balance)
    return examples, pool


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_further_rounds_train_on_what_the_model_before_confuses(genome, tmp_path, monkeypatch):
    results, config = tmp_path / "results", stage_config(genome, mined_rounds=2, epochs=2)
    examples, pool = write_negatives(results)
    stage.run(config, results)
    history = artefacts.read_json(results / "training" / "history.json")
    assert set(history["provenance"]["inputs"]) == {"examples", "genome", "pool", "balance"}
    assert history["provenance"]["config"]["mined_rounds"] == 2

    validation, models, records = examples[examples["split"] == "validation"], [], []
    for table in range(3):
        trained_on = examples
        if table:
            mined = mine_negatives(models[-1], examples, pool, genome, {"gc": 0.1}, 0.5, seed=4)
            trained_on = pd.concat([mined.examples, validation])
            assert mined.record["new"] > 0
        records.append(mined.record if table else None)
        models.append(fit(trained_on, genome, config.training, seed=4))
    losses = [min(row["validation_loss"] for row in model.history) for model in models]
    assert len(set(losses)) == 3
    best = int(np.argmin(losses))
    rounds = history["rounds"]
    assert [row["round"] for row in rounds] == [0, 1, 2]
    assert [row["validation_loss"] for row in rounds] == losses
    assert [row["mining"] for row in rounds] == records
    assert [row["chosen"] for row in rounds] == [number == best for number in range(3)]
    assert same(load_model(results / "training" / "model").network, models[best].network)
    assert history["epochs"] == models[best].history
    assert history["best_epoch"] == rounds[best]["best_epoch"]
    assert sorted(path.name for path in (results / "training").iterdir()) == ["history.json", "model"]

    # interrupted in the second training, it goes on there: the first one is not trained again
    whole, step, seen = contents(results / "training"), PromoterModule.training_step, []

    def interrupted(self, batch, batch_idx):
        seen.append((self.current_epoch, batch_idx))
        if seen.count((1, 0)) == 2:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    shutil.rmtree(results / "training")
    with monkeypatch.context() as patched:
        patched.setattr(PromoterModule, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            stage.run(config, results)
    seen.clear()
    with monkeypatch.context() as patched:
        patched.setattr(
            PromoterModule,
            "training_step",
            lambda *given: (seen.append((given[0].current_epoch, given[2])), step(*given))[1],
        )
        stage.run(config, results)
    assert seen[0] == (1, 0)
    assert seen.count((0, 0)) == 1  # of the third training
    assert contents(results / "training") == whole


@pytest.mark.parametrize(("losses", "best"), [((0.5, 0.6), 0), ((0.6, 0.5), 1), ((0.5, 0.5), 0)])
def test_the_model_of_lowest_validation_loss_is_kept_whatever_its_round(genome, tmp_path, monkeypatch, losses, best):
    results, config = tmp_path / "results", stage_config(genome, mined_rounds=1, epochs=1)
    write_negatives(results)
    models, left = [], list(losses)

    def scored(*given, **options):
        models.append(fit(*given, **options))
        models[-1].history[0]["validation_loss"] = left.pop(0)
        return models[-1]

    monkeypatch.setattr(fitting, "fit", scored)
    stage.run(config, results)
    history = artefacts.read_json(results / "training" / "history.json")
    assert [row["chosen"] for row in history["rounds"]] == [number == best for number in range(2)]
    assert same(load_model(results / "training" / "model").network, models[best].network)
    assert not same(models[0].network, models[1].network)


def test_what_promoter_and_decoy_had_to_share_they_share_after_mining(genome, tmp_path):
    results, bed = tmp_path / "results", tmp_path / "arm.bed"
    bed.write_text("chr1\t0\t1200\tleft\nchr1\t1200\t3000\tright\n")
    examples, pool = write_negatives(results)
    pool["exact_2"] = np.where(pool["start"] < 1200, "left", "right")
    artefacts.write_parquet(results / "negatives" / "pool.parquet", pool)
    config = stage_config(genome, mined_rounds=1, epochs=1)
    model = fit(examples, genome, config.training)
    torn = []
    for exact in ([], ["chrom", str(bed)]):
        shared = config.model_copy(update={"negatives": config.negatives.model_copy(update={"exact": exact})})
        mined = stage.miner(shared, results, examples, genome)(model).examples
        assert list(mined.columns) == [*COLUMNS, "gc"]
        torn.append(int((mined.assign(left=mined["start"] < 1200).groupby("pair_id")["left"].nunique() > 1).sum()))
    assert torn[0] > 0
    assert torn[1] == 0


def test_mining_says_what_it_lacks_before_anything_is_trained(genome, tmp_path, monkeypatch):
    results, config = tmp_path / "results", stage_config(genome, mined_rounds=1)
    write_negatives(results)
    monkeypatch.setattr(PromoterModule, "training_step", lambda *_: pytest.fail("it was trained"))
    artefacts.write_json(results / "negatives" / "balance.json", {"table": []})
    with pytest.raises(FileFormatError, match="'matching', which mining needs"):
        stage.run(config, results)
    (results / "negatives" / "pool.parquet").unlink()
    with pytest.raises(FileFormatError, match="no such file"):
        stage.run(config, results)


def test_the_stage_needs_hard_examples(genome, tmp_path):
    artefacts.write_parquet(tmp_path / "negatives" / "examples.parquet", example_table().assign(tier="random"))
    config = parse_config(
        {"name": "x", "genome": {"fasta": str(genome.path), "promoters": "x.bed", "signal": ["x.bw"]}}
    )
    with pytest.raises(SplitError, match="no examples of the tier"):
        stage.run(config, tmp_path)
