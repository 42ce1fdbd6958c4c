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
from genocontrast.contrast.geometry import full_precision
from genocontrast.contrast.objective import Anchors
from genocontrast.contrast.preparation import prepare


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
    in float32 (by "triton" after products of half precision), and the loss of query i with positives P(i) and
    candidates A(i) is ``log sum_{a in A(i)} exp(logit_ia) - mean_{p in P(i)} logit_ip``, where a logit is a cosine
    divided by the temperature (van den Oord et al., 2018). All vectors and the temperature get gradients, once: no
    gradients of gradients.

    Parameters
    ----------
    queries, keys : torch.Tensor, shape=(n, d)
        Embeddings of two views; row i of `keys` is the positive of row i of `queries`.
    temperature : float or torch.Tensor with one element
        Divides the cosine similarities, 1e-8 to 1e8; a tensor may be learned.
    hard : torch.Tensor, shape=(n, h, d), optional
        Negatives of one query each, in the space of the keys.
    hard_weight : torch.Tensor, shape=(n, h), optional
        How many negatives each of `hard` stands for, >= 0: adds ``log(weight)`` to its logit; 0 leaves it out.
    bank : torch.Tensor, shape=(m, d), optional
        Further keys that all queries share; may be empty. See `MemoryBank`.
    log_q : torch.Tensor, shape=(n + m,) or (n + m + n * h,), optional
        Log of the expected count of each key, of each row of the bank, and of each hard negative (row by row), among
        a query's negatives; of draws by probability p, p times their number. Subtracted from its logit, so that
        candidates that are drawn often do not count for more (Yi et al., RecSys 2019). Trained so,
        ``cosine / temperature`` tends to ``log p(key | query)``; trained without, it tends to that minus log q, so
        that scoring needs ``+ log q``. Hard negatives without it have 0.
    correct_positive : bool, optional
        Whether `log_q` is subtracted from a positive's logit too. True (default): the softmax over a batch is the
        exact posterior of which candidate is the positive, so a batch of any size has the right optimum. False: the
        candidates' sum estimates the partition function, right for many negatives only.
    ids : torch.Tensor of integers, shape=(n,) or (n + m,), optional
        Keys with the query's id are the same thing (one locus, windows that overlap, the two strands of a sequence)
        and never its negatives. -1: none, equal to nothing. A bank without ids has none; `hard` is never masked but
        by a `hard_weight` of 0.
    labels : torch.Tensor of integers, shape=(n,) or (n + m,), optional
        Keys with the query's label are all its positives (Khosla et al., NeurIPS 2020, the 'out' form), so that no
        loss is lower than the log of their number. -1: none; only the pair is a positive.
    positives : torch.Tensor of integers, shape=(n, p), optional
        The positives of each query as rows of keys, then bank; -1 where it has fewer. Instead of pairs: a query's own
        key is a negative unless it is named. A query without any is left out of the mean, and in the other direction
        a key that is nobody's.
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
        memory linear in n; "triton": the same in fused CUDA kernels. "auto" takes eager for small batches that fit
        into memory, else triton for half precision on a CUDA device, else chunked. The diagnostics say which.

    Returns
    -------
    ContrastiveLoss
        ``loss`` and ``diagnostics``.

    Raises
    ------
    ShapeError
        Where shapes, types or ranges are wrong. Values are looked at on the CPU only, because that would stall another
        device: there one that is not finite makes the loss NaN, and other wrong values go unnoticed.
    ConfigError
        At an unknown backend, or one that cannot do what is asked.
    """
    arguments = Arguments(
        queries, keys, temperature, hard, hard_weight, bank, log_q, ids, labels, positives, debias, hardness
    )
    arguments.check()
    return solve(arguments, symmetric, correct_positive, backend)


def solve(
    arguments: Arguments,
    symmetric: bool,
    correct_positive: bool,
    backend: Backend,
    operands: torch.dtype | None = None,
) -> ContrastiveLoss:
    """`info_nce` of checked arguments; `operands` is the type that vectors had before they were converted."""
    queries = arguments.queries
    kind = torch.promote_types(queries.dtype, torch.float32)
    with full_precision(queries.device.type):
        cold = 1 / torch.as_tensor(arguments.temperature, dtype=kind, device=queries.device).reshape(())
        comparison, own = prepare(arguments, cold, symmetric, correct_positive)
        comparison = comparison._replace(operands=_half(operands or queries.dtype))
        outcome, name = backends.run(backend, comparison, own, -cold, _anchors(comparison))
        return ContrastiveLoss(outcome.loss, diagnose(comparison, outcome, own, 1 / cold, name))


def _half(kind: torch.dtype) -> torch.dtype | None:
    """The type, if it is one of half precision."""
    return kind if kind in (torch.float16, torch.bfloat16) else None


def _anchors(comparison: Comparison) -> Anchors:
    n = len(comparison.rows)
    if comparison.given is None:
        return n, n
    # one column more takes the -1; those of the bank are no anchors
    found = comparison.rows.new_zeros(len(comparison.columns) + 1)
    found[comparison.given.flatten()] = 1
    return (comparison.given >= 0).any(1).sum(), found[:n].sum()
