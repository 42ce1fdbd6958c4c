"""Which implementation does the work: the reference, tiles, or fused kernels."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from genocontrast.contrast import eager
from genocontrast.contrast.chunked import Chunked
from genocontrast.contrast.comparison import Comparison
from genocontrast.contrast.fused import Outcome, fused
from genocontrast.contrast.objective import Anchors, Hard, mean_loss
from genocontrast.errors import ConfigError

Backend = Literal["auto", "eager", "chunked", "triton"]
# logits up to which the whole matrix stays in the cache, so that tiles win nothing
SMALL = 1 << 19


def run(
    backend: Backend, comparison: Comparison, hard: Hard | None, least: Tensor, anchors: Anchors
) -> tuple[Outcome, str]:
    """The loss of a comparison, and the name of the backend that found it; arguments as in `mean_loss`."""
    if backend not in get_args(Backend):
        raise ConfigError(
            "no such backend of info_nce", value=backend, remedy=f"use one of {', '.join(get_args(Backend))}"
        )
    name = _choose(comparison) if backend == "auto" else backend
    given = None
    if comparison.given is not None:
        # the -1 of a query with fewer takes the last column, and is left out later
        given = torch.einsum("nd,npd->np", comparison.rows, comparison.columns[comparison.given])
    if name == "eager":
        return _eager(comparison, given, hard, least, anchors), name
    if name == "triton":
        raise ConfigError("no Triton yet")
    return fused(Chunked, comparison, given, hard, least, anchors), name


def _choose(comparison: Comparison) -> str:
    return "eager" if len(comparison.rows) * len(comparison.columns) <= SMALL else "chunked"


def _eager(comparison: Comparison, edges: Tensor | None, hard: Hard | None, least: Tensor, anchors: Anchors) -> Outcome:
    if comparison.pairs is not None:
        edges = torch.einsum("nd,nd->n", comparison.rows, comparison.columns[: len(comparison.rows)])[:, None]
    rows = eager.rows(comparison)
    columns = eager.columns(comparison) if comparison.mirrored else None
    loss, share = mean_loss(comparison, rows, columns, edges, hard, least, anchors)
    edges = None if edges is None else edges.detach()
    return Outcome(loss.to(comparison.rows.dtype), rows.masses, edges, share)
