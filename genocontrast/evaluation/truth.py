"""How close a model comes to the best possible one, where the truth is known: the oracle of a simulated genome.

The simulator knows the log likelihood ratio (promoter against distal grammar) of each element that it wrote. No model
that sees sequence alone can rank the elements better on average, so its AUROC is the ceiling.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from genocontrast.artefacts import PathLike, existing
from genocontrast.errors import FileFormatError, RegionError
from genocontrast.evaluation.metrics import assess, auroc
from genocontrast.evaluation.resamples import Floats, PairResamples

_COLUMNS = ("chrom", "start", "end", "log_likelihood_ratio")


def read_elements(path: PathLike) -> pd.DataFrame:
    """Read the elements of a simulated genome (tab-separated, 0-based half-open).

    Raises
    ------
    FileFormatError
        Where a needed column is absent or holds something else than numbers.
    """
    elements = pd.read_csv(existing(path), sep="\t", comment="#", dtype={"chrom": str})
    missing = [column for column in _COLUMNS if column not in elements]
    if missing:
        raise FileFormatError(f"not a table of elements: no column {', '.join(missing)}", path=path)
    for column in _COLUMNS[1:]:
        numbers = pd.to_numeric(elements[column], errors="coerce")
        if numbers.isna().any():
            row = int(numbers.isna().to_numpy().argmax())
            raise FileFormatError(f"'{column}' is not a number", path=path, line=row + 2, value=elements[column][row])
    return elements


def oracle_scores(examples: pd.DataFrame, elements: pd.DataFrame) -> Floats:
    """The log likelihood ratio of each example's element, NaN where it lies on none, shape=(n,).

    An example belongs to the element that holds its centre, else to the one that it overlaps most.
    """
    scores = np.full(len(examples), np.nan)
    for chrom, rows in examples.reset_index(drop=True).groupby("chrom"):
        here = elements[elements["chrom"] == chrom]
        if here.empty:
            continue
        start, end = (here[column].to_numpy(np.int64) for column in ("start", "end"))
        ratio = here["log_likelihood_ratio"].to_numpy(np.float64)
        for index, low, high in zip(rows.index, rows["start"], rows["end"], strict=True):
            centre = (low + high) // 2
            # holding the centre outranks any overlap, which is at most the window's width
            holds = np.where((start <= centre) & (centre < end), high - low, 0)
            overlap = np.minimum(end, high) - np.maximum(start, low) + holds
            best = int(np.argmax(overlap))
            if overlap[best] > 0:
                scores[index] = ratio[best]
    return scores


def oracle_share(
    labels: np.ndarray,
    scores: Floats,
    oracle: Floats,
    pair_ids: np.ndarray,
    bootstraps: int,
    seed: int,
    blocks: np.ndarray | None = None,
) -> dict[str, Any]:
    """The oracle's AUROC, and the model's share of it above chance, on the pairs that the oracle can score whole.

    Parameters
    ----------
    labels, scores, oracle, pair_ids : arrays, shape=(n,)
        Of the test examples; the oracle's score is NaN where an example lies on no element.
    bootstraps, seed : int
        Of the interval.
    blocks : array, shape=(n,), optional
        Blocks of pairs to draw; default: pairs.

    Returns
    -------
    dict
        auroc (with interval); share = (model - 0.5) / (oracle - 0.5), None where the oracle does not beat chance;
        the number of pairs compared and of examples without an element.

    Raises
    ------
    RegionError
        Where no pair lies on elements: truth and genome are not of one simulation.
    """
    unknown = np.isnan(oracle)
    known = ~np.isin(pair_ids, pair_ids[unknown])
    if not known.any():
        raise RegionError(
            f"none of {len(np.unique(pair_ids))} test pairs lies on elements of evaluation.truth",
            remedy="give the elements.tsv that was written with this genome, or remove evaluation.truth",
        )
    resamples = PairResamples(pair_ids[known], bootstraps, seed, None if blocks is None else blocks[known])
    ceiling = assess(labels[known], oracle[known], 0.0, resamples).auroc
    reached = auroc(labels[known], scores[known])
    return {
        "auroc": ceiling.as_dict(),
        "share": (reached - 0.5) / (ceiling.value - 0.5) if ceiling.low > 0.5 else None,
        "pairs": resamples.pairs,
        "without_element": int(unknown.sum()),
    }
