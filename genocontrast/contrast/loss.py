"""InfoNCE and its kin under one checked entrance; the arithmetic is in the backends."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from genocontrast.contrast import backends
from genocontrast.contrast.arguments import Arguments
from genocontrast.contrast.backends import Backend
from genocontrast.contrast.comparison import Comparison
from genocontrast.contrast.diagnostics import Diagnostics, diagnose
from genocontrast.contrast.geometry import unit
from genocontrast.contrast.objective import Anchors, Hard


class ContrastiveLoss(NamedTuple):
    """What `info_nce` returns."""

    loss: Tensor
    """Mean loss over the anchors, a scalar that carries gradients."""
    diagnostics: Diagnostics
    """Detached scalars by name, and the name of the backend."""


def info_nce(
    queries: Tensor,
    keys: Tensor,
    *,
    temperature: float | Tensor,
    hard: Tensor | None = None,
    hard_weight: Tensor | None = None,
    bank: Tensor | None = None,
    log_q: Tensor | None = None,
    correct_positive: bool = True,
    ids: Tensor | None = None,
    labels: Tensor | None = None,
    positives: Tensor | None = None,
    debias: float = 0.0,
    hardness: float = 0.0,
    symmetric: bool = True,
    backend: Backend = "auto",
) -> ContrastiveLoss:
    """InfoNCE: each query must find its key among the keys of the batch, its hard negatives and the bank.

    Vectors are normalised here (a zero vector stays zero: it is similar to nothing), half precision is computed
    in float32, and the loss of query i with positives P(i) and candidates A(i) is
    ``log sum_{a in A(i)} exp(logit_ia) - mean_{p in P(i)} logit_ip`` with ``logit = cosine / temperature``
    (van den Oord et al., 2018). All vectors and the temperature get gradients, once: no gradients of gradients.

    Parameters
    ----------
    queries, keys : torch.Tensor, shape=(n, d)
        Embeddings of two views; row i of `keys` is the positive of row i of `queries`.
    temperature : float or torch.Tensor with one element
        Divides the cosine similarities, > 0; a tensor may be learned.
    hard : torch.Tensor, shape=(n, h, d), optional
        Negatives of one query each, in the space of the keys.
    hard_weight : torch.Tensor, shape=(n, h), optional
        How many negatives each of `hard` stands for, >= 0: adds ``log(weight)`` to its logit; 0 leaves it out.
    bank : torch.Tensor, shape=(m, d), optional
        Further keys that all queries share; may be empty. See `MemoryBank`.
    log_q : torch.Tensor, shape=(n + m,) or (n + m + n * h,), optional
        Log of the expected count of each key, of each row of the bank, and of each hard negative (row by row), among
        a query's negatives: subtracted from its logit, so that candidates that are drawn often do not count for
        more (Yi et al., RecSys 2019). Trained so, ``cosine / temperature`` tends to ``log p(key | query)``; trained
        without, it tends to that minus log q, so that scoring needs ``+ log q``. Hard negatives without it have 0.
    correct_positive : bool, optional
        Whether `log_q` is subtracted from a positive's logit too. True (default): the softmax over a batch is the
        exact posterior of which candidate is the positive, so a batch of any size has the right optimum. False: the
        candidates' sum estimates the partition function, right for many negatives only.
    ids : torch.Tensor of integers, shape=(n,) or (n + m,), optional
        Keys with the query's id are the same thing (one locus, windows that overlap, the two strands of a sequence)
        and never its negatives. -1: none, equal to nothing. A bank without ids has none.
    labels : torch.Tensor of integers, shape=(n,) or (n + m,), optional
        Keys with the query's label are all its positives (Khosla et al., NeurIPS 2020, the 'out' form). -1: none;
        only the pair is a positive.
    positives : torch.Tensor of integers, shape=(n, p), optional
        The positives of each query as rows of keys, then bank; -1 where it has fewer. Instead of pairs. A query
        without any is left out of the mean.
    debias : float, optional
        Probability in [0, 1) that a negative drawn at random is a false one; its expected share is taken off the
        negatives (Chuang et al., NeurIPS 2020). Default 0.
    hardness : float, optional
        Negatives weigh in proportion to ``exp(hardness * logit)``, with a mean weight of 1 (beta of Robinson et al.,
        ICLR 2021). Default 0: all alike.
    symmetric : bool, optional
        Average with the loss of the keys that look for their queries. `hard` and `bank` are keys, so that direction
        has the queries of the batch as its only candidates, with the `log_q` of their pairs. Default True.
    backend : {"auto", "eager", "chunked", "triton"}, optional
        "eager": the reference in plain torch operations, with the whole matrix of logits; "chunked": tiles of it,
        memory linear in n; "triton": the same in fused CUDA kernels. "auto" takes eager for small batches, else
        triton where it is to be had, else chunked. The diagnostics say which.

    Returns
    -------
    ContrastiveLoss
        ``loss`` and ``diagnostics``.

    Raises
    ------
    ShapeError
        Where shapes, types or ranges are wrong. A value that is not finite is an error on the CPU; on other devices
        it makes the loss NaN, because looking for it would stall the device.
    ConfigError
        At an unknown backend, or one that cannot do what is asked.
    """
    Arguments(
        queries, keys, temperature, hard, hard_weight, bank, log_q, ids, labels, positives, debias, hardness
    ).check()
    kind = torch.promote_types(queries.dtype, torch.float32)
    with torch.autocast(queries.device.type, enabled=False):
        cold = 1 / torch.as_tensor(temperature, dtype=kind, device=queries.device).reshape(())
        shared = keys.to(kind) if bank is None else torch.cat([keys.to(kind), bank.to(kind)])
        rows, columns = unit(queries.to(kind), cold), unit(shared)
        biases, hard_bias = _biases(rows, columns, log_q, hard_weight)
        comparison = Comparison(
            rows,
            columns,
            pairs=0 if labels is None and positives is None else None,
            labels=None if labels is None else _pair_up(labels, len(rows), len(columns), same=True),
            ids=None if ids is None else _pair_up(ids, len(rows), len(columns), same=False),
            given=None if positives is None else positives.long(),
            bias=biases,
            row_bias=biases[: len(rows)] if symmetric and biases is not None else None,
            mirrored=len(rows) if symmetric else 0,
            debias=debias,
            hardness=hardness,
            correct_positive=correct_positive,
        )
        own = None if hard is None else Hard(torch.einsum("nd,nhd->nh", rows, unit(hard.to(kind))), hard_bias)
        outcome, name = backends.run(backend, comparison, own, -cold, _anchors(comparison))
        return ContrastiveLoss(outcome.loss, diagnose(comparison, outcome, own, 1 / cold, name))


def _biases(
    rows: Tensor, columns: Tensor, log_q: Tensor | None, hard_weight: Tensor | None
) -> tuple[Tensor | None, Tensor | None]:
    """What is added to the logits of the columns, and of the hard negatives."""
    hard = None if hard_weight is None else hard_weight.detach().to(rows.dtype).log()
    if log_q is None:
        return None, hard
    log_q = log_q.detach().to(rows.dtype)
    shared, own = log_q[: len(columns)], log_q[len(columns) :].reshape(len(rows), -1)
    if own.shape[1]:
        hard = -own if hard is None else hard - own
    return -shared, hard


def _pair_up(names: Tensor, n: int, c: int, *, same: bool) -> tuple[Tensor, Tensor]:
    """Names of rows and columns, where -1 equals nothing else; with `same`, a row and its pair are equal."""
    columns = torch.full((c,), -1, dtype=torch.long, device=names.device)
    columns[: len(names)] = names
    rows = columns[:n]
    nameless = torch.arange(-2, -2 - c, -1, device=names.device)
    others = nameless[:n] if same else nameless[:n] - c
    return torch.where(rows < 0, others, rows), torch.where(columns < 0, nameless, columns)


def _anchors(comparison: Comparison) -> Anchors:
    n = len(comparison.rows)
    if comparison.given is None:
        return n, n
    # one column more takes the -1; those of the bank are no anchors
    found = comparison.rows.new_zeros(len(comparison.columns) + 1)
    found[comparison.given.flatten()] = 1
    return (comparison.given >= 0).any(1).sum(), found[:n].sum().clamp(min=1)
