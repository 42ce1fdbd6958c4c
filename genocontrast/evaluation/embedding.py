"""The embeddings of the test examples as AnnData, with principal components fitted on the training examples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike, atomic
from genocontrast.examples import covariate_columns

if TYPE_CHECKING:
    from anndata import AnnData

COMPONENTS = 10
_COLUMNS = ["chrom", "start", "end", "strand", "label", "pair_id", "split"]


def embedding_table(
    examples: pd.DataFrame, scores: NDArray, embeddings: NDArray[np.float32], training: NDArray[np.float32]
) -> AnnData:
    """Embeddings with what is known of each example.

    Parameters
    ----------
    examples : DataFrame
        n rows of the examples table.
    scores : array, shape=(n,)
        Promoter probability of each.
    embeddings : array of float32, shape=(n, dim)
        Becomes X.
    training : array of float32, shape=(m, dim)
        Embeddings of the training examples: the principal components in obsm["X_pca"] are theirs, so that the map
        owes nothing to the examples that it shows.

    Returns
    -------
    AnnData
        obs holds the windows, label, pair, split, score and the covariates.
    """
    from anndata import AnnData
    from sklearn.decomposition import PCA

    components = min(COMPONENTS, *training.shape)
    axes = PCA(components, svd_solver="full").fit(training)
    obs = examples[[*_COLUMNS, *covariate_columns(examples)]].assign(score=np.asarray(scores, dtype=np.float64))
    obs.index = pd.Index(_unique_names(examples), dtype=object)
    table = AnnData(np.asarray(embeddings, dtype=np.float32), obs=obs)
    table.obsm["X_pca"] = axes.transform(embeddings).astype(np.float32)
    table.uns["pca"] = {"variance_ratio": axes.explained_variance_ratio_, "fitted_on": "train"}
    return table


def _unique_names(examples: pd.DataFrame) -> pd.Series:
    """Names of the examples, with the window where a name occurs twice."""
    window = examples["chrom"] + ":" + examples["start"].astype(str) + "-" + examples["end"].astype(str)
    return examples["name"].where(~examples["name"].duplicated(keep=False), examples["name"] + " " + window)


def write_embeddings(path: PathLike, table: AnnData, record: Mapping[str, Any]) -> None:
    """Write .h5ad, atomically, with the provenance record as JSON text in uns["provenance"]."""
    written = table.copy()
    written.uns["provenance"] = json.dumps(record, sort_keys=True)
    with atomic(path) as temporary:
        written.write_h5ad(temporary)
