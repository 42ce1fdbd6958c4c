"""Files of k-mer vectors: AnnData, and word2vec text."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike, atomic, existing
from genocontrast.errors import FileFormatError

_FORMAT = "genocontrast k-mer vectors"


def write_h5ad(
    path: PathLike,
    names: Sequence[str],
    vectors: NDArray[np.float32],
    contexts: NDArray[np.float32],
    tokens: NDArray[np.int64],
    record: dict[str, Any],
) -> None:
    """Write an AnnData file: X = vectors, obs = canonical k-mers with count, GC fraction and CpG count."""
    import anndata

    gc = [sum(letter in "GC" for letter in name) / len(name) for name in names]
    columns = {"count": tokens, "gc": gc, "cpg": [name.count("CG") for name in names]}
    obs = pd.DataFrame(columns, index=pd.Index(list(names), dtype=object))
    data = anndata.AnnData(vectors, obs=obs, obsm={"context": contexts})
    data.uns["format"] = _FORMAT
    data.uns["provenance"] = json.dumps(record, sort_keys=True, allow_nan=False)
    with atomic(path) as temporary:
        data.write_h5ad(temporary)


def read_h5ad(path: PathLike) -> dict[str, Any]:
    """What `write_h5ad` wrote: k, vectors, contexts, tokens and record; a FileFormatError at any other file."""
    import anndata

    remedy = "give a file written by KmerEmbedding.save, or run the kmers stage again"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", anndata.OldFormatWarning)  # its files are refused below
            data = anndata.read_h5ad(existing(path))
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise FileFormatError(f"not a readable h5ad file: {error}", path=path, remedy=remedy) from None
    if data.uns.get("format") != _FORMAT:
        raise FileFormatError("an h5ad file, but not of k-mer vectors", path=path, remedy=remedy)
    try:
        return {
            "k": len(data.obs_names[0]),
            "vectors": np.asarray(data.X),
            "contexts": np.asarray(data.obsm["context"]),
            "tokens": data.obs["count"].to_numpy(),
            "record": json.loads(data.uns["provenance"]),
        }
    except (KeyError, IndexError, json.JSONDecodeError) as error:
        raise FileFormatError(f"k-mer vectors, but damaged: {error}", path=path, remedy=remedy) from None


def write_word2vec(path: PathLike, names: Sequence[str], vectors: NDArray[np.float32]) -> None:
    """Write word2vec text: a line "n_kmers dim", then each k-mer and its vector."""
    lines = [
        f"{name} " + " ".join(f"{value:.6g}" for value in vector.tolist())
        for name, vector in zip(names, vectors, strict=True)
    ]
    with atomic(path) as temporary:
        Path(temporary).write_text("\n".join([f"{len(vectors)} {vectors.shape[1]}", *lines]) + "\n")
