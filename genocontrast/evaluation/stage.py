"""The evaluation stage: the trained model on the held-out chromosomes of one data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from genocontrast.artefacts import provenance, read_parquet, write_json, write_parquet
from genocontrast.config import Config
from genocontrast.evaluation import shortcut
from genocontrast.evaluation.database import read_motifs, shipped_database, shipped_selection
from genocontrast.evaluation.embedding import write_embeddings
from genocontrast.evaluation.errors import confident_errors
from genocontrast.evaluation.held_out import Evaluation, evaluate
from genocontrast.evaluation.kmer_sets import KmerSet, motif_kmers, site_kmers
from genocontrast.evaluation.kmer_space import composition_of, kmer_space, sources_of, why_not
from genocontrast.evaluation.planted import sites_beside
from genocontrast.evaluation.reading_stage import write_reading
from genocontrast.evaluation.scan_stage import write_scan
from genocontrast.evaluation.seeds import seed_figures
from genocontrast.evaluation.tracks import write_predictions_bed
from genocontrast.examples import HARD, read_examples
from genocontrast.extras import require
from genocontrast.genome.fasta import Genome
from genocontrast.genome.regions import read_regions
from genocontrast.genome.splits import Splits, read_splits
from genocontrast.training.stage import seed_folder

if TYPE_CHECKING:
    from genocontrast.kmers import KmerEmbedding
    from genocontrast.training.model import Model

_LANDMARKS = ("evidence", "annotation")
"""Tables of the genome stage that say what lies near an example; without them it is not said."""


def run(config: Config, results: Path) -> None:
    """Evaluate the model of `results`/training on the examples of `results`/negatives into `results`/evaluation.

    Vectors of `results`/kmers, where there are any, are two baselines more and have their space measured.

    Parameters
    ----------
    config : Config
    results : Path
        Folder of the data set, results/<name>.
    """
    require("report")  # motifs come last, and are named by one of its packages
    from genocontrast.training.model import load_model

    folder = results / "evaluation"
    examples = read_examples(results / "negatives" / "examples.parquet")
    examples = examples[examples["tier"] == HARD]
    dropped = read_parquet(results / "negatives" / "dropped.parquet")[0]
    record = _record(config, results)
    genome, model = Genome(config.genome.fasta), load_model(results / "training" / "model")
    embedding = _vectors(results)
    found = evaluate(model, examples, genome, config.evaluation, config.seed, dropped, embedding)
    seeds = _seeds(model, examples[examples["split"] == "test"], genome, config, results)
    write_json(folder / "metrics.json", {"provenance": record, **found.metrics, "seeds": seeds})
    write_parquet(folder / "predictions.parquet", found.predictions, record)
    write_predictions_bed(folder / "predictions.bed", found.predictions[found.predictions["split"] == "test"])
    write_embeddings(folder / "embeddings.h5ad", found.embeddings, record)
    write_json(folder / "errors.json", {"provenance": record, **_errors(model, examples, found, genome, results)})
    write_reading(folder, model, examples[examples["split"] == "test"], genome, config, record)
    write_scan(folder, model, examples, genome, config, record)
    unaudited = shortcut.why_not_run(config, results)
    if unaudited is None:
        shortcut.run(config, results)
    else:
        write_json(folder / "shortcut.json", {"provenance": record, "run": False, "reason": unaudited})
    space = _space(embedding, genome, config, results)
    write_json(folder / "kmer_space.json", {"provenance": record, **space})


def _seeds(model: Model, test: pd.DataFrame, genome: Genome, config: Config, results: Path) -> dict[str, Any] | None:
    """Figures of the trainings with other seeds, None where there are none."""
    from genocontrast.training.model import load_model

    others = {seed: load_model(seed_folder(results, seed) / "model") for seed in config.evaluation.seeds}
    return seed_figures({config.seed: model, **others}, test, genome)


def _errors(model: Model, examples: pd.DataFrame, found: Evaluation, genome: Genome, results: Path) -> dict[str, Any]:
    """What errors.json holds: the most confident errors on the test split."""
    scores = found.predictions.loc[found.predictions["split"] == "test", "score"].to_numpy()
    files = [results / "genome" / f"{name}.parquet" for name in _LANDMARKS]
    evidence, annotation = (read_parquet(file)[0] if file.is_file() else None for file in files)
    return confident_errors(model, examples[examples["split"] == "test"], scores, genome, evidence, annotation)


def _vectors(results: Path) -> KmerEmbedding | None:
    from genocontrast.kmers import KmerEmbedding

    source = results / "kmers" / "kmers.h5ad"
    return KmerEmbedding.load(source) if source.is_file() else None


def _space(embedding: KmerEmbedding | None, genome: Genome, config: Config, results: Path) -> dict[str, Any]:
    """What kmer_space.json holds: the figures, or why there are none."""
    reason = why_not(embedding, config.evaluation.kmer_space)
    if reason is not None or embedding is None:
        return {"run": False, "reason": reason}
    splits = read_splits(results / "genome" / "genome.json")
    sources = sources_of(embedding, genome, splits, config.kmers, config.seed)
    truths = _truths(embedding, genome, splits, config)
    return kmer_space(sources, truths, embedding.k, embedding.tokens, seed=config.seed)


def _truths(embedding: KmerEmbedding, genome: Genome, splits: Splits, config: Config) -> dict[str, list[KmerSet]]:
    """K-mers that belong together: of each motif of the database, and at the binding sites of each factor."""
    k, train = embedding.k, splits.segments("train")
    # of each family of factors one motif: relatives have the same k-mers
    database = read_motifs(config.evaluation.motif_database or shipped_selection())
    found = {"motifs": motif_kmers(database, k, composition_of(k, embedding.tokens))}
    files = config.evaluation.binding_sites.items()
    if files:
        sites = {name: read_regions(path, genome) for name, path in files}
        found["sites"] = [site_kmers(name, regions, genome, train, k) for name, regions in sites.items()]
    return found


def _record(config: Config, results: Path) -> dict[str, Any]:
    settings = config.evaluation
    inputs = {
        "examples": results / "negatives" / "examples.parquet",
        "dropped": results / "negatives" / "dropped.parquet",
        "fasta": Path(config.genome.fasta),
        "model": results / "training" / "model" / "model.safetensors",
        "model_config": results / "training" / "model" / "config.json",
        "motif_database": Path(settings.motif_database or shipped_database()),
    }
    for seed in settings.seeds:
        inputs[f"model_seed_{seed}"] = seed_folder(results, seed) / "model" / "model.safetensors"
    if settings.truth is not None:
        inputs["truth"] = Path(settings.truth)
        if (planted := sites_beside(settings.truth)) is not None:
            inputs["planted_sites"] = planted
    inputs |= {f"binding_sites_{name}": Path(path) for name, path in settings.binding_sites.items()}
    vectors = results / "kmers" / "kmers.h5ad"
    if vectors.is_file():
        inputs |= {"kmers": vectors, "genome": results / "genome" / "genome.json"}
    landmarks = {name: results / "genome" / f"{name}.parquet" for name in _LANDMARKS}
    inputs |= {name: file for name, file in landmarks.items() if file.is_file()}
    if settings.scan:
        places = ("genome.json", "evidence.parquet", "open_chromatin.parquet")
        inputs |= {Path(name).stem: results / "genome" / name for name in places}
    # the paths stand among the inputs, by name and checksum
    options = settings.model_dump(exclude={"motif_database", "truth", "binding_sites"})
    return provenance("evaluation", {**options, "seed": config.seed}, inputs)
