"""The shortcut audit on models whose answer is known: composition works on random decoys and on no others."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from genocontrast.artefacts import read_json, write_json, write_parquet
from genocontrast.config import parse_config
from genocontrast.encoders import StrandEncoder
from genocontrast.errors import ConfigError, FileFormatError, ShapeError
from genocontrast.evaluation import shortcut
from genocontrast.evaluation.shortcut import shortcut_audit
from genocontrast.examples import read_examples, sort_examples
from genocontrast.genome import Genome
from genocontrast.sequence import decode, encode, gc_fraction
from genocontrast.training.model import Model, load_model
from genocontrast.training.tiers import MIN_PAIRS, run_tier

WIDTH = 60
SITE = encode("CACGTGAC")
PAIRS = {"train": 40, "validation": 20, "test": 60}


@pytest.fixture(autouse=True)
def _few_fits(monkeypatch):
    monkeypatch.setattr("genocontrast.evaluation.baselines.REGULARISATION", (0.01, 1.0))


def composed(rng, n, gc):
    return rng.choice(4, (n, WIDTH), p=[(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2]).astype(np.uint8)


@pytest.fixture
def tiers(tmp_path, make_examples):
    """Promoters of much GC with a site; random decoys have little GC, those of the tiers gc and hard as much."""
    rng = np.random.default_rng(0)
    base = make_examples(PAIRS, WIDTH)
    promoter, n = (base["label"] == 1).to_numpy(), len(base) // 2
    promoters = composed(rng, n, 0.7)
    for row in promoters:
        place = rng.integers(0, WIDTH - len(SITE))
        row[place : place + len(SITE)] = SITE
    letters, parts = {}, []
    for tier, gc in (("random", 0.35), ("gc", 0.7), ("hard", 0.7)):
        codes = np.empty((2 * n, WIDTH), np.uint8)
        codes[promoter], codes[~promoter] = promoters, composed(rng, n, gc)
        letters[tier] = decode(codes.ravel())
        parts.append(base.assign(tier=tier, chrom=tier, gc=gc_fraction(codes)))
    (tmp_path / "genome.fa").write_text("".join(f">{tier}\n{text}\n" for tier, text in letters.items()))
    return sort_examples(pd.concat(parts)), Genome(tmp_path / "genome.fa")


def has_site(codes):
    windows = np.lib.stride_tricks.sliding_window_view(codes, len(SITE), axis=1)
    return (windows == SITE).all(2).any(1) * 1.0


def table(found, name="model"):
    return {(r["trained"], r["tested"]): r["auroc"] for r in found["figures"] if r["name"] == name}


def test_a_model_of_composition_shines_on_random_decoys_only(tiers, known_model):
    examples, genome = tiers
    models = {"random": known_model(gc_fraction, WIDTH), "gc": known_model(has_site, WIDTH)}
    models["hard"] = known_model(has_site, WIDTH)
    found = shortcut_audit(models, examples, genome, bootstraps=200)
    assert found["tiers"] == ["random", "gc", "hard"]
    model = table(found)
    assert len(model) == 9
    assert model["random", "random"]["value"] > 0.98
    for tested in ("gc", "hard"):
        assert model["random", tested]["low"] < 0.6
        assert model["random", tested]["value"] < 0.65
        assert model["hard", tested]["value"] > 0.95
    for (trained, tested), figure in model.items():
        rows = examples[(examples["tier"] == tested) & (examples["split"] == "test")]
        scores = models[trained].score(genome.codes(rows))
        assert figure["value"] == pytest.approx(roc_auc_score(rows["label"], scores))
        assert figure["low"] <= figure["value"] <= figure["high"]
    gains = {row["trained"]: row["difference"] for row in found["gains"]}
    assert gains["random"]["low"] > 0.2
    assert gains["gc"] == {"value": 0, "low": 0, "high": 0}
    assert gains["random"]["value"] == pytest.approx(model["hard", "hard"]["value"] - model["random", "hard"]["value"])


def test_baselines_are_fitted_on_the_tier_that_the_model_was_trained_on(tiers, known_model):
    examples, genome = tiers
    # every hard promoter has a higher value than its decoy, every random one a lower one
    tier_sign = np.where(examples["tier"] == "hard", 1.0, -1.0)
    examples = examples.assign(accessibility=tier_sign * (2.0 * examples["label"] - 1))
    models = {tier: known_model(has_site, WIDTH) for tier in ("random", "hard")}
    found = shortcut_audit(models, examples, genome, bootstraps=100)
    openness, gc = table(found, "accessibility only"), table(found, "GC only")
    assert openness["random", "random"]["value"] == openness["hard", "hard"]["value"] == 1
    assert openness["random", "hard"]["value"] == openness["hard", "random"]["value"] == 0
    assert gc["random", "random"]["value"] > 0.98
    assert gc["hard", "hard"]["value"] < 0.65
    names = list(dict.fromkeys(row["name"] for row in found["figures"]))
    assert names == ["model", "GC only", "CpG only", "accessibility only", "covariates", "4-mer"]
    assert all(row["pairs"] == PAIRS["test"] for row in found["figures"])


def test_models_of_other_widths_are_refused(tiers, known_model):
    examples, genome = tiers
    models = {"random": known_model(has_site, WIDTH), "hard": known_model(has_site, WIDTH - 2)}
    with pytest.raises(ShapeError, match="one width"):
        shortcut_audit(models, examples, genome)


def settings(genome, **evaluation):
    files = {"fasta": str(genome.path), "promoters": "p.bed", "signal": ["s.bw"], "upstream": 40, "downstream": 20}
    training = {"epochs": 3, "width": 4, "depth": 0, "dim": 4, "max_shift": 0, "surrogate_weight": 0, "mined_rounds": 1}
    training["curriculum"] = ["pool"]
    values = {"name": "x", "genome": files, "training": training}
    return parse_config({**values, "evaluation": {"bootstraps": 100, "shortcut_epochs": 1, **evaluation}})


@pytest.fixture
def results(tiers, tmp_path):
    """Results with examples and a model of the matched decoys; of the tier gc only a few pairs."""
    examples, _ = tiers
    few = examples["pair_id"].isin(examples.loc[examples["split"] == "test", "pair_id"].unique()[: MIN_PAIRS - 1])
    kept = (examples["tier"] != "gc") | (examples["split"] != "test") | few
    write_parquet(tmp_path / "r/negatives/examples.parquet", examples[kept])
    torch.manual_seed(0)
    network = StrandEncoder("tied", width=4, depth=0, dim=4).eval()
    Model(network, WIDTH, {}, {"config": {"epochs": 3}}).save(tmp_path / "r/training/model")
    return tmp_path / "r"


def test_tiers_are_trained_and_tested_and_too_few_pairs_are_told(tiers, results):
    _, genome = tiers
    config = settings(genome)
    with pytest.raises(FileFormatError, match=r"history\.json: no such file\n.*training tier --tier random"):
        shortcut.run(config, results)
    for tier in config.shortcut_tiers:
        run_tier(config, results, tier)
    folder = results / "training/tiers"
    assert sorted(path.name for path in (folder / "random").iterdir()) == ["history.json", "model"]
    history = read_json(folder / "random/history.json")
    assert len(history["epochs"]) == 1
    made_by = load_model(folder / "random/model").provenance["config"]
    assert (made_by["tier"], made_by["epochs"], made_by["mined_rounds"]) == ("random", 1, 0)
    assert [path.name for path in (folder / "gc").iterdir()] == ["history.json"]
    shortcut.run(config, results)
    found = read_json(results / "evaluation/shortcut.json")
    assert found["tiers"] == ["random", "hard"]
    assert found["absent"]["gc"] == f"too few pairs (test {MIN_PAIRS - 1}; each split needs {MIN_PAIRS})"
    assert found["absent"]["open"] == f"too few pairs (train 0, validation 0, test 0; each split needs {MIN_PAIRS})"
    assert found["epochs"] == {"random": 1, "hard": 3}
    assert found["lessons_before"] == ["pool"]
    assert set(found["provenance"]["inputs"]) == {"examples", "fasta", "model_random", "model_hard"}
    expected = load_model(folder / "random/model").score_codes
    rows = read_examples(results / "negatives/examples.parquet").query("tier == 'hard' and split == 'test'")
    auroc = roc_auc_score(rows["label"], expected(genome.codes(rows)))
    assert table(found)["random", "hard"]["value"] == pytest.approx(auroc, abs=1e-6)


def test_a_tier_that_has_lost_its_pairs_loses_its_model(tiers, results):
    _, genome = tiers
    (results / "training/tiers/gc/model").mkdir(parents=True)
    run_tier(settings(genome), results, "gc")
    assert not (results / "training/tiers/gc/model").exists()


def test_a_killed_training_of_a_tier_goes_on(tiers, results, monkeypatch):
    _, genome = tiers
    config = settings(genome, shortcut_epochs=3)
    run_tier(config, results, "random")
    whole = load_model(results / "training/tiers/random/model").score_codes
    from genocontrast.training import callbacks

    save = callbacks.BestWeights.on_train_epoch_end

    def killed(self, trainer, module):
        save(self, trainer, module)
        if trainer.current_epoch == 1:
            raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.BestWeights, "on_train_epoch_end", killed)
        write_json(results / "training/tiers/random/history.json", {})
        with pytest.raises(MemoryError):
            run_tier(config, results, "random")
    assert (results / "training/tiers/random/checkpoints/last.ckpt").is_file()
    epochs = []
    monkeypatch.setattr(
        callbacks.EpochProgress, "on_train_epoch_start", lambda self, trainer, _: epochs.append(trainer.current_epoch)
    )
    run_tier(config, results, "random")
    assert epochs == [2]
    codes = composed(np.random.default_rng(1), 20, 0.5)
    resumed = load_model(results / "training/tiers/random/model").score_codes
    np.testing.assert_array_equal(whole(codes), resumed(codes))
    assert not (results / "training/tiers/random/checkpoints").exists()


def test_an_unknown_tier_is_named(tiers, results):
    _, genome = tiers
    with pytest.raises(ConfigError, match=r"'hard'\)\n.*random, gc, open, nearby.*training run"):
        run_tier(settings(genome), results, "hard")


def test_tiers_of_the_audit(tiers):
    _, genome = tiers
    config = settings(genome)
    assert config.shortcut_tiers == ["random", "gc", "open"]
    assert settings(genome, shortcut_audit=False).shortcut_tiers == []
    fewer = config.negatives.model_copy(update={"tiers": ["nearby", "gc", "random"]})
    assert config.model_copy(update={"negatives": fewer}).shortcut_tiers == ["random", "gc"]
