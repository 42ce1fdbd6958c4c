"""The first convolution's filters as motifs: the stretches of sequence that activate each of them most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genocontrast.sequence import N_CODE, Codes, one_hot

if TYPE_CHECKING:
    from genocontrast.training.model import Model

SHARE_OF_MAXIMUM = 0.5
"""A stretch belongs to a filter's motif where it activates the filter by at least this share of the largest value."""
LEAST = 20
"""Stretches that make a matrix, at least."""
SHOWN = 8
BATCH = 256


def filter_motifs(model: Model, promoters: Codes, decoys: Codes) -> list[dict[str, Any]]:
    """Matrices of the filters that tell promoters and decoys apart best, the best first.

    Parameters
    ----------
    model : Model
        Another encoder than the convolution has no filters.
    promoters, decoys : numpy.ndarray of uint8, shape=(n, width)

    Returns
    -------
    list of dict
        filter (index), sites, difference (of the mean maximum activation, promoters less decoys, in standard
        deviations) and matrix, shape=(kernel, 4). Of a tied encoder's filters, which are pairs of reverse
        complements, one each. Source: Alipanahi et al., Nat Biotechnol 2015.
    """
    from genocontrast.encoders.strand import Stem, StrandEncoder, Trunk

    network = model.network
    if not isinstance(network, StrandEncoder) or not isinstance(network.trunk, Trunk):
        return []
    stem = network.trunk[0]
    if not isinstance(stem, Stem):
        return []
    activations = _activations(stem, np.concatenate([promoters, decoys]))
    if network.strand == "tied":
        half = activations.shape[1] // 2
        activations = activations[:, :half]
    largest = activations.max(2)  # (n, filters)
    spread = np.maximum(largest.std(0), 1e-12)
    difference = (largest[: len(promoters)].mean(0) - largest[len(promoters) :].mean(0)) / spread
    found = []
    for index in np.argsort(-np.abs(difference), kind="stable").tolist():
        matrix, sites = _matrix(np.concatenate([promoters, decoys]), activations[:, index])
        if sites >= LEAST:
            row = {"filter": index, "sites": sites, "difference": float(difference[index])}
            found.append({**row, "matrix": matrix})
        if len(found) == SHOWN:
            break
    return found


def _activations(stem: Any, codes: Codes) -> NDArray[np.float32]:
    import torch

    from genocontrast.encoders.layers import by_position

    device = next(stem.parameters()).device
    with torch.inference_mode():
        parts = [
            stem.convolution(by_position(torch.from_numpy(one_hot(codes[first : first + BATCH])).to(device))).cpu()
            for first in range(0, len(codes), BATCH)
        ]
    return torch.cat(parts).numpy()


def _matrix(codes: Codes, activation: NDArray[np.float32]) -> tuple[NDArray[np.float64], int]:
    """Base shares of the stretches that activate a filter, shape=(kernel, 4), and how many there are."""
    from genocontrast.encoders.strand import STEM_KERNEL

    half = STEM_KERNEL // 2
    inner = activation[:, half : activation.shape[1] - half]
    best = float(inner.max()) if inner.size else 0.0
    rows, places = np.nonzero(inner >= max(SHARE_OF_MAXIMUM * best, 1e-9))
    stretches = codes[rows[:, None], places[:, None] + np.arange(STEM_KERNEL)]
    stretches = stretches[(stretches < N_CODE).all(1)]
    counts = one_hot(stretches, np.float64).sum(0).T + 0.25
    return counts / counts.sum(1, keepdims=True), len(stretches)
