"""Evaluation of a model on held-out chromosomes: metrics, calibration, baselines, probes, audits, oracle."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.config import SPLITS, EvaluationConfig, Split
from genocontrast.errors import ShapeError
from genocontrast.evaluation.attention import attention_profile
from genocontrast.evaluation.audits import strand_audit
from genocontrast.evaluation.baselines import fit_baselines
from genocontrast.evaluation.calibration import temperature_effect
from genocontrast.evaluation.embedding import embedding_table
from genocontrast.evaluation.leakage import leakage_audit
from genocontrast.evaluation.metrics import Assessment, assess_tuned, auroc, check_classes, curves, difference
from genocontrast.evaluation.probes import VIEW_SHIFT, probe
from genocontrast.evaluation.resamples import Floats, PairResamples, promoter_blocks
from genocontrast.evaluation.truth import oracle_scores, oracle_share, read_elements
from genocontrast.examples import HARD, check_examples
from genocontrast.genome.regions import resize
from genocontrast.sequence import Codes
from genocontrast.training.calibration import calibrated

if TYPE_CHECKING:
    from anndata import AnnData

    from genocontrast.genome.fasta import Genome
    from genocontrast.kmers import KmerEmbedding
    from genocontrast.training.model import Model

_log = logging.getLogger(__name__)
_PREDICTION_COLUMNS = ["chrom", "start", "end", "name", "strand", "label", "pair_id", "split"]
_DRAWN = ("4-mer", "GC only")
"""Baselines whose curves are kept beside the model's."""


@dataclass(frozen=True)
class Evaluation:
    """What evaluation found.

    Attributes
    ----------
    metrics : dict
        What metrics.json holds, less its provenance.
    predictions : DataFrame
        Validation and test examples with `score`, the calibrated promoter probability.
    embeddings : AnnData
        Embeddings of the test examples.
    """

    metrics: dict[str, Any]
    predictions: pd.DataFrame
    embeddings: AnnData


def evaluate(
    model: Model,
    examples: pd.DataFrame,
    genome: Genome,
    config: EvaluationConfig | None = None,
    seed: int = 1,
    dropped: pd.DataFrame | None = None,
    embedding: KmerEmbedding | None = None,
) -> Evaluation:
    """Measure a model on the test split, beside baselines that never saw a motif.

    Parameters
    ----------
    model : Model
        The trained model.
    examples : DataFrame
        Examples table of one tier, with whole pairs in all three splits; a pair may hold several decoys.
    genome : Genome
        The genome that the examples lie on.
    config : EvaluationConfig, optional
        Bootstraps and their blocks, the prevalence of a scan, and the planted truth where there is one.
    seed : int
        Seed of the bootstrap.
    dropped : DataFrame, optional
        Promoters without a decoy (chrom, start, end, strand, split): those of the test split are scored, and reported
        apart from all other figures.
    embedding : KmerEmbedding, optional
        Vectors fitted on the training split's sequence: pooled over windows they are two more baselines.

    Raises
    ------
    FileFormatError, SplitError
        Where a column is missing, a pair is torn or a split holds a single class.
    ShapeError
        Where the examples are of several tiers, each of which has the same promoters.
    """
    config = config or EvaluationConfig()
    scored = _score(model, _of_one_tier(check_examples(examples)).reset_index(drop=True), genome, config, seed)
    measured = _measured(scored, config, embedding)
    test, split, threshold = scored.test, scored.split, measured["test"]["mcc"]["threshold"]
    _log.info("embedding %d windows", len(scored.examples))
    vectors, audits = _embedded(model, scored), _audits(model, scored)
    views = _moved(model, test, genome)
    probes = probe(vectors, scored.labels, split, views, scored.resamples, config.prevalence)
    metrics = {
        "splits": {name: _class_counts(scored.examples[rows]) for name, rows in split.items()},
        **measured,
        "calibration": _calibration(model, scored),
        "oracle": _oracle(scored, config, seed),
        "dropped": _dropped_promoters(model, dropped, genome, scored, threshold),
        **audits,
        "probes": {**probes.as_dict(), "strand_cosine": audits["strand"]["mean_embedding_cosine"]},
        "attention": attention_profile(model, scored.codes[split["test"]], scored.labels[split["test"]]),
        "per_chromosome": _per_chromosome(test, scored.test_scores),
    }
    held_out = scored.examples[_PREDICTION_COLUMNS].assign(score=scored.scores)[~split["train"]]
    return Evaluation(
        metrics,
        held_out.reset_index(drop=True),
        embedding_table(test, scored.test_scores, vectors[split["test"]], vectors[split["train"]]),
    )


@dataclass(frozen=True, eq=False)
class _Scored:
    """n examples with what a model says of those of validation and test; the others have NaN.

    Attributes
    ----------
    examples : DataFrame
    codes : uint8, shape=(n, width)
    split : dict of str to bool, shape=(n,)
    logits, scores : float64, shape=(n,)
        Log odds, and calibrated probabilities.
    blocks : int64, shape=(test examples,)
        The stretches of `block` bp that hold the promoters.
    resamples : PairResamples
        Of these blocks.
    """

    examples: pd.DataFrame
    codes: Codes
    split: dict[Split, np.ndarray]
    logits: Floats
    scores: Floats
    blocks: np.ndarray
    block: int
    resamples: PairResamples

    @property
    def labels(self) -> NDArray[np.int8]:
        """1 for a promoter, 0 for a decoy, of all examples."""
        return self.examples["label"].to_numpy()

    @property
    def test(self) -> pd.DataFrame:
        """The test examples."""
        return self.examples[self.split["test"]]

    @property
    def test_scores(self) -> Floats:
        """Calibrated probabilities of the test examples."""
        return self.scores[self.split["test"]]


def _score(model: Model, examples: pd.DataFrame, genome: Genome, config: EvaluationConfig, seed: int) -> _Scored:
    codes = genome.codes(examples, model.width)
    split: dict[Split, np.ndarray] = {name: (examples["split"] == name).to_numpy() for name in SPLITS}
    _log.info("scoring %d test and %d validation windows", split["test"].sum(), split["validation"].sum())
    held_out = split["validation"] | split["test"]
    logits = np.full(len(examples), np.nan)
    logits[held_out] = model.logits_codes(codes[held_out])
    for name in ("validation", "test"):
        check_classes(examples["label"][split[name]], logits[split[name]])
    test = examples[split["test"]]
    blocks, block = promoter_blocks(test, config.bootstrap_block)
    resamples = PairResamples(test["pair_id"], config.bootstraps, seed, blocks)
    # in double precision: of scores near 0 and 1 none become equal
    scores = calibrated(logits, model.temperature)
    return _Scored(examples, codes, split, logits, scores, blocks, block, resamples)


def _embedded(model: Model, scored: _Scored) -> NDArray[np.float32]:
    """Embeddings of all examples, shape=(n, dim)."""
    parts = {name: model.embed_codes(scored.codes[rows]) for name, rows in scored.split.items()}
    vectors = np.empty((len(scored.codes), parts["test"].shape[1]), np.float32)
    for name, rows in scored.split.items():
        vectors[rows] = parts[name]
    return vectors


def _moved(model: Model, test: pd.DataFrame, genome: Genome) -> NDArray[np.float32]:
    """Embeddings of the test windows, moved downstream; what then lies outside the chromosome reads as N."""
    from genocontrast.training.data import flanked_codes

    wide = flanked_codes(resize(test, model.width), genome, VIEW_SHIFT)
    return model.embed_codes(wide[:, 2 * VIEW_SHIFT :])


def _calibration(model: Model, scored: _Scored) -> dict[str, Any]:
    test = scored.split["test"]
    return temperature_effect(scored.labels[test], scored.logits[test], model.temperature, scored.resamples)


def _audits(model: Model, scored: _Scored) -> dict[str, Any]:
    test, train = scored.split["test"], scored.split["train"]
    examples, codes = scored.examples, scored.codes
    return {
        "strand": strand_audit(model, codes[test]).as_dict(),
        "leakage": leakage_audit(
            examples[test], examples[train], codes[test], codes[train], model.pretrained_on
        ).as_dict(),
    }


def _of_one_tier(examples: pd.DataFrame) -> pd.DataFrame:
    """Refuse a mixture of tiers: a promoter would count once for each, and the intervals would be too narrow."""
    tiers = sorted(set(examples["tier"]))
    if len(tiers) > 1:
        raise ShapeError(
            f"the examples are of several tiers: {', '.join(tiers)}",
            remedy=f'evaluate one of them, such as examples[examples["tier"] == "{HARD}"]',
        )
    return examples


def _dropped_promoters(
    model: Model, dropped: pd.DataFrame | None, genome: Genome, scored: _Scored, threshold: float
) -> dict[str, Any] | None:
    """Scores of the test split's promoters without a decoy, beside those of the promoters with one; None without any.

    They were left out because nothing is like them, so the test figures say nothing of them. There is no decoy to
    rank them against: only their scores, and how many are called at the threshold of the MCC, can be given.
    """
    if dropped is None or not (dropped["split"] == "test").any():
        return None
    scores = model.score_codes(genome.codes(dropped[dropped["split"] == "test"], model.width))
    kept = scored.test_scores[scored.test["label"] == 1]
    return {
        "promoters": len(scores),
        "mean_score": float(np.mean(scores, dtype=np.float64)),
        "recall": float(np.mean(scores >= threshold)),
        "kept_mean_score": float(kept.mean()),
        "kept_recall": float(np.mean(kept >= threshold)),
    }


def _measured(scored: _Scored, config: EvaluationConfig, embedding: KmerEmbedding | None) -> dict[str, Any]:
    """Figures of the model and of the baselines on the test split."""
    labels, split, resamples = scored.labels, scored.split, scored.resamples
    test = split["test"]

    def assessed(values: Floats) -> Assessment:
        return assess_tuned(labels, values, split, resamples, config.prevalence)

    ours = assessed(scored.scores)
    drawn = {"model": curves(labels[test], scored.test_scores)}
    baselines: list[dict[str, Any]] = []
    _log.info("fitting baselines on %d training windows", split["train"].sum())
    for baseline in fit_baselines(scored.examples, scored.codes, embedding):
        theirs = assessed(baseline.scores)
        apart = difference(ours, theirs).as_dict()
        tuned = {"difference": apart, "regularisation": baseline.regularisation}
        baselines.append({"name": baseline.name, **theirs.as_dict(), **tuned})
        if baseline.name in _DRAWN:
            drawn[baseline.name] = curves(labels[test], baseline.scores[test])
    drawn_from = {"pairs": resamples.pairs, "blocks": resamples.blocks, "block": scored.block}
    return {
        "test": {**drawn_from, "prevalence": ours.prevalence, **ours.as_dict()},
        "signal": ours.auroc.low > 0.5,
        "baselines": baselines,
        "curves": {kind: {name: found[kind] for name, found in drawn.items()} for kind in ("roc", "pr")},
    }


def _class_counts(examples: pd.DataFrame) -> dict[str, int]:
    return {"promoters": int((examples["label"] == 1).sum()), "decoys": int((examples["label"] == 0).sum())}


def _oracle(scored: _Scored, config: EvaluationConfig, seed: int) -> dict[str, Any] | None:
    if config.truth is None:
        return None
    test = scored.test
    best, pairs = oracle_scores(test, read_elements(config.truth)), test["pair_id"].to_numpy()
    labels = test["label"].to_numpy()
    return oracle_share(labels, scored.test_scores, best, pairs, config.bootstraps, seed, scored.blocks)


def _per_chromosome(test: pd.DataFrame, scores: Floats) -> list[dict[str, Any]]:
    """AUROC of the pairs whose promoter lies on a chromosome; their decoys may lie on another one."""
    pairs = test["pair_id"].to_numpy()
    promoter = (test["label"] == 1).to_numpy()
    rows = []
    for chrom in sorted(set(test.loc[promoter, "chrom"])):
        here = np.isin(pairs, pairs[promoter & (test["chrom"] == chrom).to_numpy()])
        figure = auroc(test["label"].to_numpy()[here], scores[here])
        rows.append({"chrom": chrom, "pairs": len(np.unique(pairs[here])), "auroc": figure})
    return rows
