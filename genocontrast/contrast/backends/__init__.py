"""Which implementation does the work: the reference, tiles, or fused kernels."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal, get_args

import torch
from torch import Tensor

from genocontrast.contrast.backends import eager
from genocontrast.contrast.backends.chunked import Chunked
from genocontrast.contrast.backends.fused import Outcome, by_engine
from genocontrast.contrast.backends.triton_device import WIDEST
from genocontrast.contrast.backends.triton_engine import Triton
from genocontrast.contrast.comparison import Comparison
from genocontrast.contrast.objective import Anchors, Hard, mean_loss
from genocontrast.errors import ConfigError

Backend = Literal["auto", "eager", "chunked", "triton"]
# logits up to which the whole matrix stays in a processor's cache, so that tiles win nothing
SMALL = 1 << 16
# the same of a device, which tiles would leave idle
DEVICE_SMALL = 1 << 24
# matrices of logits that the reference and its gradients hold at once
HELD = 8


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
    engine = Triton if name == "triton" else Chunked
    return by_engine(engine, comparison, given, hard, least, anchors), name


def _choose(comparison: Comparison) -> str:
    rows = comparison.rows
    logits = len(rows) * len(comparison.columns)
    if not rows.is_cuda:
        return "eager" if logits <= SMALL else "chunked"
    free, _ = torch.cuda.mem_get_info(rows.device)
    if logits <= DEVICE_SMALL and HELD * logits * rows.element_size() <= free / 2:
        return "eager"
    # float32 has no tensor cores in the kernels: there the tiles' library products are the better choice
    half = comparison.operands is not None and rows.dtype == torch.float32 and rows.shape[1] <= WIDEST
    return "triton" if half and find_spec("triton") else "chunked"


def _eager(comparison: Comparison, edges: Tensor | None, hard: Hard | None, least: Tensor, anchors: Anchors) -> Outcome:
    if comparison.pairs is not None:
        edges = torch.einsum("nd,nd->n", comparison.rows, comparison.columns[: len(comparison.rows)])[:, None]
    rows, columns = eager.statistics(comparison)
    loss, share = mean_loss(comparison, rows, columns, edges, hard, least, anchors)
    edges = None if edges is None else edges.detach()
    return Outcome(loss.to(comparison.rows.dtype), rows.masses, edges, share)
