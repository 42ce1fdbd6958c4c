"""Evaluation of a model on held-out chromosomes: metrics, baselines, audits, oracle, predictions, embeddings."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genocontrast.config import SPLITS, EvaluationConfig, Split
from genocontrast.errors import ShapeError
from genocontrast.evaluation.audits import strand_audit
from genocontrast.evaluation.baselines import fit_baselines
from genocontrast.evaluation.embedding import embedding_table
from genocontrast.evaluation.leakage import leakage_audit
from genocontrast.evaluation.metrics import (
    Floats,
    PairResamples,
    assess,
    auroc,
    best_threshold,
    check_classes,
    curves,
    difference,
)
from genocontrast.evaluation.truth import oracle_scores, oracle_share, read_elements
from genocontrast.examples import HARD, check_examples
from genocontrast.sequence import Codes

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
        Validation and test examples with `score`, the promoter probability.
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
        Number of bootstraps, and the planted truth where there is one.
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
    examples = _of_one_tier(check_examples(examples)).reset_index(drop=True)
    codes = genome.codes(examples, model.width)
    split: dict[Split, np.ndarray] = {name: (examples["split"] == name).to_numpy() for name in SPLITS}
    _log.info("scoring %d test and %d validation windows", split["test"].sum(), split["validation"].sum())
    held_out = split["validation"] | split["test"]
    scores = np.full(len(examples), np.nan)
    scores[held_out] = model.score_codes(codes[held_out])
    measured = _measured(examples, codes, scores, split, config, seed, embedding)
    kept = scores[split["test"] & (examples["label"] == 1).to_numpy()]
    metrics = {
        "splits": {name: _class_counts(examples[rows]) for name, rows in split.items()},
        **measured,
        "dropped": _dropped_promoters(model, dropped, genome, kept, measured["test"]["mcc"]["threshold"]),
        "strand": strand_audit(model, codes[split["test"]]).as_dict(),
        "leakage": leakage_audit(
            examples[split["test"]], examples[split["train"]], codes[split["test"]], codes[split["train"]]
        ).as_dict(),
        "per_chromosome": _per_chromosome(examples[split["test"]], scores[split["test"]]),
    }
    _log.info("embedding %d windows", (split["train"] | split["test"]).sum())
    return Evaluation(
        metrics,
        examples.loc[held_out, _PREDICTION_COLUMNS].assign(score=scores[held_out]).reset_index(drop=True),
        embedding_table(
            examples[split["test"]],
            scores[split["test"]],
            model.embed_codes(codes[split["test"]]),
            model.embed_codes(codes[split["train"]]),
        ),
    )


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
    model: Model, dropped: pd.DataFrame | None, genome: Genome, kept: Floats, threshold: float
) -> dict[str, Any] | None:
    """Scores of the test split's promoters without a decoy, beside those of the promoters with one; None without any.

    They were left out because nothing is like them, so the test figures say nothing of them. There is no decoy to
    rank them against: only their scores, and how many are called at the threshold of the MCC, can be given.
    """
    if dropped is None or not (dropped["split"] == "test").any():
        return None
    scores = model.score_codes(genome.codes(dropped[dropped["split"] == "test"], model.width))
    return {
        "promoters": len(scores),
        "mean_score": float(np.mean(scores, dtype=np.float64)),
        "recall": float(np.mean(scores >= threshold)),
        "kept_mean_score": float(kept.mean()),
        "kept_recall": float(np.mean(kept >= threshold)),
    }


def _measured(
    examples: pd.DataFrame,
    codes: Codes,
    scores: Floats,
    split: Mapping[Split, np.ndarray],
    config: EvaluationConfig,
    seed: int,
    embedding: KmerEmbedding | None,
) -> dict[str, Any]:
    """Figures of the model, of the baselines and of the oracle on the test split."""
    labels, pairs = examples["label"].to_numpy(), examples["pair_id"].to_numpy()
    validation, test = split["validation"], split["test"]
    for rows in (validation, test):
        check_classes(labels[rows], scores[rows])
    resamples = PairResamples(pairs[test], config.bootstraps, seed)

    def assessed(values: Floats) -> Any:
        threshold = best_threshold(labels[validation], values[validation])
        return assess(labels[test], values[test], threshold, resamples)

    ours = assessed(scores)
    drawn = {"model": curves(labels[test], scores[test])}
    baselines: list[dict[str, Any]] = []
    _log.info("fitting baselines on %d training windows", split["train"].sum())
    for baseline in fit_baselines(examples, codes, embedding):
        theirs = assessed(baseline.scores)
        apart = difference(ours, theirs).as_dict()
        tuned = {"difference": apart, "regularisation": baseline.regularisation}
        baselines.append({"name": baseline.name, **theirs.as_dict(), **tuned})
        if baseline.name in _DRAWN:
            drawn[baseline.name] = curves(labels[test], baseline.scores[test])
    return {
        "test": {"pairs": resamples.pairs, "prevalence": float(labels[test].mean()), **ours.as_dict()},
        "signal": ours.auroc.low > 0.5,
        "baselines": baselines,
        "oracle": _oracle(examples[test], scores[test], pairs[test], config, seed),
        "curves": {kind: {name: found[kind] for name, found in drawn.items()} for kind in ("roc", "pr")},
    }


def _class_counts(examples: pd.DataFrame) -> dict[str, int]:
    return {"promoters": int((examples["label"] == 1).sum()), "decoys": int((examples["label"] == 0).sum())}


def _oracle(
    test: pd.DataFrame, scores: Floats, pairs: np.ndarray, config: EvaluationConfig, seed: int
) -> dict[str, Any] | None:
    if config.truth is None:
        return None
    best = oracle_scores(test, read_elements(config.truth))
    return oracle_share(test["label"].to_numpy(), scores, best, pairs, config.bootstraps, seed)


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
