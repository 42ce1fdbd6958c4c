"""Evaluation of a model on held-out chromosomes: metrics, baselines, audits, oracle, predictions, embeddings."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genocontrast.config import SPLITS, EvaluationConfig, Split
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
from genocontrast.examples import check_examples
from genocontrast.sequence import Codes

if TYPE_CHECKING:
    from anndata import AnnData

    from genocontrast.genome.fasta import Genome
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
    model: Model, examples: pd.DataFrame, genome: Genome, config: EvaluationConfig | None = None, seed: int = 1
) -> Evaluation:
    """Measure a model on the test split, beside baselines that never saw a motif.

    Parameters
    ----------
    model : Model
        The trained model.
    examples : DataFrame
        Examples table with whole pairs in all three splits.
    genome : Genome
        The genome that the examples lie on.
    config : EvaluationConfig, optional
        Number of bootstraps, and the planted truth where there is one.
    seed : int
        Seed of the bootstrap.

    Raises
    ------
    FileFormatError, SplitError
        Where a column is missing, a pair is torn or a split holds a single class.
    """
    config = config or EvaluationConfig()
    examples = check_examples(examples).reset_index(drop=True)
    codes = genome.codes(examples, model.width)
    split: dict[Split, np.ndarray] = {name: (examples["split"] == name).to_numpy() for name in SPLITS}
    _log.info("scoring %d test and %d validation windows", split["test"].sum(), split["validation"].sum())
    held_out = split["validation"] | split["test"]
    scores = np.full(len(examples), np.nan)
    scores[held_out] = model.score_codes(codes[held_out])
    metrics = {
        "splits": {name: _class_counts(examples[rows]) for name, rows in split.items()},
        **_measured(examples, codes, scores, split, config, seed),
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


def _measured(
    examples: pd.DataFrame,
    codes: Codes,
    scores: Floats,
    split: Mapping[Split, np.ndarray],
    config: EvaluationConfig,
    seed: int,
) -> dict[str, Any]:
    """Figures of the model, of the baselines and of the oracle on the test split."""
    labels, pairs = examples["label"].to_numpy(), pair_numbers(examples)
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
    for baseline in fit_baselines(examples, codes):
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


def pair_numbers(examples: pd.DataFrame) -> np.ndarray:
    """A number for each pair: pair ids are unique within a tier only."""
    return examples.groupby(["tier", "pair_id"], sort=True).ngroup().to_numpy()


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
    pairs = pair_numbers(test)
    promoter = (test["label"] == 1).to_numpy()
    rows = []
    for chrom in sorted(set(test.loc[promoter, "chrom"])):
        here = np.isin(pairs, pairs[promoter & (test["chrom"] == chrom).to_numpy()])
        figure = auroc(test["label"].to_numpy()[here], scores[here])
        rows.append({"chrom": chrom, "pairs": len(np.unique(pairs[here])), "auroc": figure})
    return rows
