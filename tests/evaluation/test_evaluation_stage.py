import json

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logit
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from genocontrast.artefacts import checksum, read_json, read_parquet, write_json, write_parquet
from genocontrast.config import EvaluationConfig, parse_config
from genocontrast.encoders import StrandEncoder
from genocontrast.errors import FileFormatError, ShapeError, SplitError
from genocontrast.evaluation import evaluate, stage
from genocontrast.evaluation.database import read_motifs, shipped_database
from genocontrast.evaluation.probes import promoters_retrieved
from genocontrast.evaluation.scan import log_odds
from genocontrast.examples import sort_examples
from genocontrast.genome import Genome
from genocontrast.kmers import stage as kmers_stage
from genocontrast.sequence import decode
from genocontrast.training.model import Model

WIDTH = 60
FILES = [
    "attributions.npz",
    "embeddings.h5ad",
    "errors.json",
    "kmer_space.json",
    "metrics.json",
    "motifs.json",
    "motifs.meme",
    "predictions.bed",
    "predictions.parquet",
    "scan.json",
    "shortcut.json",
]


@pytest.fixture
def data(tmp_path, monkeypatch, make_examples):
    """What `example_data` makes, for this test alone."""
    monkeypatch.setenv("GENOCONTRAST_CACHE", str(tmp_path / "cache"))
    return example_data(tmp_path, make_examples)


def example_data(folder, make_examples):
    """Examples on chromosomes c (training) and d (validation, test); promoters hold a site of USF1."""
    rng = np.random.default_rng(0)
    examples = make_examples({"train": 40, "validation": 30, "test": 60}, WIDTH)
    examples["accessibility"] = rng.normal(size=len(examples))
    site = next(motif.matrix for motif in read_motifs(shipped_database()) if motif.name == "USF1").argmax(1)
    codes = rng.integers(0, 4, (len(examples), WIDTH)).astype(np.uint8)
    for row in np.flatnonzero(examples["label"] == 1):
        place = rng.integers(0, WIDTH - len(site))
        codes[row, place : place + len(site)] = site
    held_out = examples["split"] != "train"
    examples.loc[held_out, "chrom"] = "d"
    fasta = folder / "genome.fa"
    letters = decode(codes.ravel())
    fasta.write_text(f">c\n{letters}\n>d\n{letters}\n")
    return sort_examples(examples), fasta


def scanning_model(stand_in):
    usf1 = next(motif.matrix for motif in read_motifs(shipped_database()) if motif.name == "USF1")
    return stand_in(log_odds(usf1, np.full(4, 0.25)) / 4, WIDTH, threshold=1.5)


def test_metrics_hold_what_the_report_reads(data, stand_in):
    examples, fasta = data
    found = evaluate(scanning_model(stand_in), examples, Genome(fasta))
    metrics = found.metrics
    assert metrics["splits"]["train"] == {"promoters": 40, "decoys": 40}
    assert metrics["test"]["pairs"] == 60
    assert metrics["test"]["prevalence"] == 0.5
    assert metrics["test"]["auroc"]["value"] > 0.9
    assert metrics["signal"] is True
    assert metrics["oracle"] is None
    assert [b["name"] for b in metrics["baselines"]] == [
        "GC only",
        "CpG only",
        "accessibility only",
        "covariates",
        "4-mer",
    ]
    for baseline in metrics["baselines"]:
        apart = metrics["test"]["auroc"]["value"] - baseline["auroc"]["value"]
        assert baseline["difference"]["value"] == pytest.approx(apart)
        assert baseline["difference"]["low"] <= apart <= baseline["difference"]["high"]
    assert metrics["baselines"][2]["difference"]["low"] > 0
    assert metrics["strand"]["flips"] == 0
    assert metrics["strand"]["min_embedding_cosine"] == pytest.approx(1, abs=1e-5)
    assert metrics["per_chromosome"] == [{"chrom": "d", "pairs": 60, "auroc": metrics["test"]["auroc"]["value"]}]
    assert set(metrics["curves"]["roc"]) == {"model", "4-mer", "GC only"}
    json.dumps(metrics, allow_nan=False)
    assert list(found.predictions["split"].unique()) == ["validation", "test"]
    assert found.predictions["score"].between(0, 1).all()
    assert len(found.predictions) == 2 * 90


@pytest.fixture(scope="module")
def twice(tmp_path_factory, make_examples, stand_in):
    """A model, the genome, and two evaluations that differ in temperature and blocks."""
    examples, fasta = example_data(tmp_path_factory.mktemp("twice"), make_examples)
    model, genome = scanning_model(stand_in), Genome(fasta)
    found = []
    for temperature, block in ((1.0, 120), (4.0, 100_000)):
        model.temperature = temperature
        settings = EvaluationConfig(bootstraps=100, bootstrap_block=block, prevalence=0.05)
        found.append(evaluate(model, examples, genome, settings))
    return model, genome, *found


def test_intervals_are_of_blocks_of_the_chromosome(twice):
    _, _, fine, coarse = (getattr(each, "metrics", None) for each in twice)
    counts = [tuple(each["test"][key] for key in ("pairs", "blocks", "block")) for each in (fine, coarse)]
    # the test windows lie in 7200 bp: blocks are halved until 30 of them hold a promoter
    assert counts == [(60, 60, 120), (60, 37, 195)]
    one, other = (each["baselines"][-1]["auroc"] for each in (fine, coarse))
    assert one["value"] == other["value"]
    assert one["low"] != other["low"]


def test_figures_at_the_prevalence_of_a_scan_stand_beside_those_of_the_test_split(twice):
    metrics = twice[2].metrics
    for found in (metrics["test"], *metrics["baselines"], metrics["probes"]["linear"], metrics["probes"]["knn"]):
        assert found["auprc"]["prevalence"] == 0.5
        assert found["expected"]["prevalence"] == 0.05
        assert found["expected"]["auprc"]["low"] <= found["expected"]["auprc"]["value"] <= found["auprc"]["value"]
    composition = metrics["baselines"][0]
    assert composition["expected"]["auprc"]["value"] < 0.3 < composition["auprc"]["value"]


def test_the_temperature_changes_probabilities_and_no_rank(twice):
    _, _, plain, cooled = twice
    assert plain.metrics["test"]["auroc"]["value"] == cooled.metrics["test"]["auroc"]["value"]
    assert plain.metrics["test"]["mcc"]["value"] == cooled.metrics["test"]["mcc"]["value"]
    np.testing.assert_allclose(logit(cooled.predictions["score"]), logit(plain.predictions["score"]) / 4)
    before, after = (found.metrics["calibration"] for found in (plain, cooled))
    assert (after["temperature"], after["prevalence"]) == (4.0, 0.5)
    assert before["before"] == before["after"]
    assert before["before"]["curve"] == after["before"]["curve"] != after["after"]["curve"]
    test = cooled.predictions.query("split == 'test'")
    assert after["after"]["log_loss"]["value"] == pytest.approx(log_loss(test["label"], test["score"]))
    assert after["after"]["brier"]["value"] == pytest.approx(brier_score_loss(test["label"], test["score"]))


def test_probes_are_of_the_embeddings_that_are_written(twice):
    model, genome, found, _ = twice
    probes, table = found.metrics["probes"], found.embeddings
    assert probes["linear"]["auroc"]["value"] > 0.9
    assert probes["knn"]["auroc"]["value"] > 0.9
    promoter = table.obs["label"].to_numpy() == 1
    retrieved = promoters_retrieved(table.X, promoter, 10)[promoter].mean()
    assert probes["retrieval"]["value"] == pytest.approx(retrieved)
    assert probes["strand_cosine"] == pytest.approx(1, abs=1e-5)
    # windows moved by 20 bp, read from the genome; the last one would leave it
    inside = (table.obs["end"] + 20 <= genome.sizes["d"]).to_numpy()
    moved = table.obs[inside].assign(start=table.obs["start"] + 20, end=table.obs["end"] + 20)
    distance = ((table.X[inside] - model.embed_codes(genome.codes(moved))) ** 2).sum(1)
    assert inside.sum() >= 119
    assert probes["alignment"] == pytest.approx(distance.sum() / len(inside), abs=2 / len(inside))
    assert distance.mean() > 5 / len(inside)


def with_second_decoys(examples):
    """Every second pair gives its decoy to the pair before it, but for the last two pairs of each split."""
    pair = examples["pair_id"]
    gives = (pair % 2 == 1) & ~pair.isin([39, 69, 129])
    kept = examples[~(gives & (examples["label"] == 1))]
    return kept.assign(pair_id=kept["pair_id"] - gives[kept.index]).astype({"pair_id": "int32"})


def test_pairs_of_one_or_two_decoys_are_measured_whole(data, stand_in):
    examples, fasta = data
    ragged = with_second_decoys(examples)
    found = evaluate(scanning_model(stand_in), ragged, Genome(fasta))
    test, predicted = found.metrics["test"], found.predictions
    assert found.metrics["splits"]["test"] == {"promoters": 31, "decoys": 60}
    assert test["pairs"] == 31
    assert test["prevalence"] == pytest.approx(31 / 91)
    predicted = predicted[predicted["split"] == "test"]
    assert test["auroc"]["value"] == pytest.approx(roc_auc_score(predicted["label"], predicted["score"]))
    assert found.metrics["per_chromosome"][0]["pairs"] == 31
    assert all(
        baseline["difference"]["low"] <= baseline["difference"]["high"] for baseline in found.metrics["baselines"]
    )


def test_a_mixture_of_tiers_is_refused(data, stand_in):
    examples, fasta = data
    mixed = pd.concat([examples, examples.assign(tier="gc")])
    with pytest.raises(ShapeError, match="several tiers: gc, hard"):
        evaluate(scanning_model(stand_in), mixed, Genome(fasta))


def test_promoters_without_a_decoy_are_scored_apart(data, stand_in):
    examples, fasta = data
    model, genome = scanning_model(stand_in), Genome(fasta)
    alone = evaluate(model, examples, genome)
    assert alone.metrics["dropped"] is None
    # of the test split three windows with a site and one without; windows of other splits don't count
    chosen = [examples[(examples["split"] == "test") & (examples["label"] == label)] for label in (1, 0)]
    dropped = pd.concat([chosen[0].head(3), chosen[1].head(1), examples[examples["split"] != "test"]])
    found = evaluate(model, examples, genome, dropped=dropped)
    apart = found.metrics.pop("dropped")
    promoters = found.predictions.query("split == 'test' and label == 1")["score"]
    threshold = found.metrics["test"]["mcc"]["threshold"]
    scores = model.score_codes(genome.codes(dropped.head(4)))
    assert apart["promoters"] == 4
    assert apart["mean_score"] == pytest.approx(scores.mean())
    assert apart["recall"] == np.mean(scores >= threshold)
    assert apart["kept_mean_score"] == pytest.approx(promoters.mean())
    assert apart["kept_recall"] == np.mean(promoters >= threshold)
    assert 0 < apart["recall"] < 1
    assert found.metrics == {key: value for key, value in alone.metrics.items() if key != "dropped"}
    pd.testing.assert_frame_equal(found.predictions, alone.predictions)
    nobody = evaluate(model, examples, genome, dropped=dropped[dropped["split"] != "test"])
    assert nobody.metrics["dropped"] is None


def test_permuted_labels_give_no_signal(data, stand_in):
    examples, fasta = data
    swap = np.random.default_rng(3).random(130) < 0.5
    examples["label"] = np.where(swap[examples["pair_id"]], 1 - examples["label"], examples["label"]).astype("int8")
    found = evaluate(scanning_model(stand_in), examples, Genome(fasta)).metrics
    assert found["signal"] is False
    assert found["test"]["auroc"]["low"] < 0.5 < found["test"]["auroc"]["high"]


def test_principal_components_are_those_of_the_training_examples(data, stand_in):
    examples, fasta = data
    model, genome = scanning_model(stand_in), Genome(fasta)
    table = evaluate(model, examples, genome).embeddings
    test, train = (examples[examples["split"] == split] for split in ("test", "train"))
    np.testing.assert_allclose(table.X, model.embed_codes(genome.codes(test)))
    training = model.embed_codes(genome.codes(train)).astype(np.float64)
    axes = np.linalg.svd(training - training.mean(0), full_matrices=False)[2]
    expected = (table.X - training.mean(0)) @ axes.T
    np.testing.assert_allclose(np.abs(table.obsm["X_pca"]), np.abs(expected), atol=1e-5)
    assert list(table.obs["label"]) == list(test["label"])
    assert {"chrom", "start", "end", "split", "score", "accessibility"} <= set(table.obs)


def test_oracle_is_measured_where_there_is_truth(data, stand_in, tmp_path):
    examples, fasta = data
    elements = examples[["chrom", "start", "end"]].assign(log_likelihood_ratio=examples["label"] * 2.0)
    elements.to_csv(tmp_path / "elements.tsv", sep="\t", index=False)
    settings = config(fasta, truth=str(tmp_path / "elements.tsv")).evaluation
    oracle = evaluate(scanning_model(stand_in), examples, Genome(fasta), settings).metrics["oracle"]
    assert oracle["auroc"]["value"] == 1
    assert 0.8 < oracle["share"] <= 1
    assert (oracle["pairs"], oracle["without_element"]) == (60, 0)


def test_single_class_and_missing_columns_are_named_errors(data, stand_in):
    examples, fasta = data
    with pytest.raises(SplitError, match="'test'"):
        evaluate(scanning_model(stand_in), examples[examples["split"] != "test"], Genome(fasta))
    with pytest.raises(FileFormatError, match="pair_id"):
        evaluate(scanning_model(stand_in), examples.drop(columns="pair_id"), Genome(fasta))


def config(fasta, **evaluation):
    genome = {"fasta": str(fasta), "promoters": "genes.gtf", "signal": ["atac.bw"], "upstream": 40, "downstream": 20}
    return parse_config({"name": "x", "genome": genome, "evaluation": {"bootstraps": 100, "scan": False, **evaluation}})


def test_stage_writes_its_files_and_the_same_bytes_again(data, tmp_path):
    examples, fasta = data
    torch.manual_seed(0)
    model = Model(StrandEncoder("tied", width=8, depth=1, dim=6), WIDTH, {"train": ["c"], "validation": ["d"]}, {})
    runs = []
    for run in ("one", "two"):
        results = tmp_path / run / "results"
        random = examples.assign(tier="random")  # not what the model was trained against
        write_parquet(results / "negatives" / "examples.parquet", pd.concat([examples, random]))
        write_parquet(results / "negatives" / "dropped.parquet", examples.query("split == 'test'").head(5))
        model.save(results / "training" / "model")
        stage.run(config(fasta), results)
        assert sorted(path.name for path in (results / "evaluation").iterdir()) == FILES
        runs.append([checksum(results / "evaluation" / name) for name in FILES])
    assert runs[0] == runs[1]
    folder = results / "evaluation"
    metrics, motifs = read_json(folder / "metrics.json"), read_json(folder / "motifs.json")
    assert metrics["test"]["pairs"] == 60
    assert str(tmp_path) not in json.dumps(metrics) + json.dumps(motifs)
    assert metrics["dropped"]["promoters"] == 5
    space = read_json(folder / "kmer_space.json")
    assert (space["run"], space["reason"]) == (False, "there are no k-mer vectors: the kmers stage has not run")
    inputs = {"examples", "dropped", "fasta", "model", "model_config", "motif_database"}
    assert set(metrics["provenance"]["inputs"]) == inputs
    assert motifs["database"] == {
        "file": "jaspar_vertebrates.meme",
        "motifs": 1020,
        "sha256": checksum(shipped_database()),
    }
    predictions, record = read_parquet(folder / "predictions.parquet")
    assert record == metrics["provenance"]
    assert len(predictions) == 180
    table = anndata.read_h5ad(folder / "embeddings.h5ad")
    assert table.shape == (120, 6)
    assert json.loads(table.uns["provenance"]) == record


def test_vectors_are_baselines_and_have_their_space_measured(data, tmp_path):
    examples, fasta = data
    settings = config(fasta, binding_sites={"USF": str(tmp_path / "sites.bed")})
    settings = settings.model_copy(update={"kmers": settings.kmers.model_copy(update={"k": 4, "dim": 4, "window": 3})})
    results = tmp_path / "results"
    write_parquet(results / "negatives" / "examples.parquet", examples)
    write_parquet(results / "negatives" / "dropped.parquet", examples.head(0))
    torch.manual_seed(0)
    Model(StrandEncoder("tied", width=8, depth=1, dim=6), WIDTH, {"train": ["c"], "validation": ["d"]}, {}).save(
        results / "training" / "model"
    )
    segments = [{"chrom": "c", "start": 0, "end": 12_000, "split": "train"}]
    segments.append({"chrom": "d", "start": 0, "end": 6_000, "split": "validation"})
    write_json(results / "genome" / "genome.json", {"segments": segments})
    (tmp_path / "sites.bed").write_text("".join(f"c\t{place}\t{place + 1}\n" for place in range(200, 12_000, 200)))
    kmers_stage.run(settings, results)
    stage.run(settings, results)
    metrics, space = (read_json(results / "evaluation" / name) for name in ("metrics.json", "kmer_space.json"))
    assert [b["name"] for b in metrics["baselines"]][-2:] == ["4-mer vectors (mean)", "4-mer vectors (SIF)"]
    assert space["run"]
    assert [(one["name"], one["skip"]) for one in space["truths"]["motifs"]["sources"]] == [
        ("k-mer vectors", 0),
        ("rows of co-occurrence", 0),
        ("edit distance", None),
        ("k-mer vectors", 3),
        ("rows of co-occurrence", 3),
    ]
    assert space["truths"]["motifs"]["counts"]["of"] == 24
    assert space["truths"]["sites"]["counts"]["of"] == 1
    assert {"kmers", "genome", "binding_sites_USF"} <= set(space["provenance"]["inputs"])
    assert str(tmp_path) not in json.dumps(space)
