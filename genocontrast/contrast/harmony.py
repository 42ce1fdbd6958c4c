"""Gradient harmony: several losses on shared parameters, combined so that none undoes another's work."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, reduce
from itertools import combinations, combinations_with_replacement
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from scipy.optimize import minimize, nnls
from torch import Tensor, nn

from genocontrast.errors import ConfigError, ModelError, ShapeError

Method = Literal["sum", "pcgrad", "upgrad", "cagrad"]
Engine = Literal["own", "torchjd"]


class Harmony(NamedTuple):
    """What `harmonise` returns; all of it detached and on the device of the losses."""

    loss: Tensor
    """The weighted sum of the losses, a scalar."""
    coefficients: Tensor
    """What each weighted gradient was multiplied by before they were added, shape=(k,); ones for "sum"."""
    cosines: dict[str, Tensor]
    """Cosine between the losses' gradients by layer, shape=(k (k - 1) / 2,): pairs of losses in the order of
    `itertools.combinations`. Below 0 they conflict; 0 also where one of the two does not reach the layer."""


def harmonise(
    losses: Mapping[str, Tensor],
    parameters: Iterable[tuple[str, nn.Parameter]],
    *,
    method: Method = "sum",
    weights: Mapping[str, float] | None = None,
    strength: float = 0.5,
    engine: Engine = "own",
    log_cosines: bool = False,
    generator: torch.Generator | None = None,
) -> Harmony:
    """Backward for several losses at once: adds their combined gradient to ``.grad`` and frees the graph.

    Every method has the scale of the SUM of the weighted gradients, so a change of method keeps the learning rate.
    "pcgrad" and "upgrad" are that sum when no two gradients conflict. "cagrad" is divided by ``1 + strength``: it is
    the sum when the gradients are parallel, and never longer than the sum. A factor on all losses (a gradient
    scaler's) changes no coefficient; a loss whose gradient is zero has no say in them. Hooks on parameters run once
    for each backward. DistributedDataParallel's do not bear that: use its ``no_sync()``, then average ``.grad``.

    Parameters
    ----------
    losses : mapping of str to torch.Tensor, shape=()
        Losses with gradients, e.g. ``{"contrastive": ..., "supervised": ...}``; k of them.
    parameters : iterable of (str, torch.nn.Parameter)
        What the losses share, as ``encoder.named_parameters()`` gives it; a layer is a module's own parameters, named
        by its path ("" for the module itself). All other leaves (heads, temperatures) get the plain gradient of the
        weighted sum, whatever the method.
    method : {"sum", "pcgrad", "upgrad", "cagrad"}, optional
        "sum" (default) is one plain backward. The others cost one backward for each loss:
        "pcgrad" takes from each gradient what points against another, in random order (Yu et al., NeurIPS 2020);
        "upgrad" moves each to the nearest vector that harms no loss (Quinton & Rey 2024, Jacobian descent), which is
        "pcgrad" for two; "cagrad" helps the worst-off loss most, in a ball around the sum (Liu et al., NeurIPS 2021).
    weights : mapping of str to float, optional
        Each loss is multiplied by its weight, >= 0, before all else. Default 1.
    strength : float, optional
        Radius of CAGrad's ball as a share of the length of the sum (the paper's c), in [0, 1); 0 is the sum.
    engine : {"own", "torchjd"}, optional
        Who computes the coefficients; "torchjd" is the peer, with its regularisation, scaled as said above.
    log_cosines : bool, optional
        Ask "sum" for cosines too: it then costs one backward for each loss. The other methods always give them.
    generator : torch.Generator on the CPU, optional
        Draws the orders of "pcgrad" with three losses or more; torch's own by default, and always for torchjd.

    Returns
    -------
    Harmony
        ``loss``, ``coefficients`` and ``cosines``, the latter empty for one loss.

    Raises
    ------
    ShapeError
        If a loss is not a scalar.
    ConfigError
        At an option that is unknown or out of range, or if torchjd is asked for and not installed.
    ModelError
        If a loss carries no gradient or no parameter is trained; on the CPU also if a gradient is not finite. Off
        the CPU (where looking would stall the device) and with plain "sum" it reaches ``.grad`` as with `backward`.
    """
    shared = _shared(parameters)
    weighted = _weighted(losses, weights or {})
    solve = _solver(len(losses), method, strength, engine, generator)
    total = reduce(torch.add, weighted)
    if len(losses) == 1 or (method == "sum" and not log_cosines):
        total.backward()
        return Harmony(total.detach(), torch.ones_like(total.detach()).expand(len(losses)), {})
    gradients = _gradients(weighted, list(shared))
    layers = _layer_grams(shared.values(), gradients)
    gram = reduce(torch.add, layers.values(), total.new_zeros((len(losses), len(losses))))
    _check_finite(gram, list(losses))
    coefficients = solve(gram)
    _accumulate(list(shared), gradients, coefficients)
    return Harmony(total.detach(), coefficients, {name: _cosines(own) for name, own in layers.items()})


def _gradients(losses: Sequence[Tensor], shared: Sequence[nn.Parameter]) -> list[list[Tensor | None]]:
    """One backward for each loss; `.grad` of the shared parameters is as before, other leaves accumulate."""
    # not torch.autograd.grad: it would leave the heads that only one loss reaches without a gradient
    before = [parameter.grad for parameter in shared]
    gradients = []
    try:
        for i, loss in enumerate(losses):
            for parameter in shared:
                parameter.grad = None
            loss.backward(retain_graph=i < len(losses) - 1)
            gradients.append([parameter.grad for parameter in shared])
    finally:
        for parameter, gradient in zip(shared, before, strict=True):
            parameter.grad = gradient
    return gradients


def _accumulate(shared: Sequence[nn.Parameter], gradients: list[list[Tensor | None]], coefficients: Tensor) -> None:
    for parameter, *rows in zip(shared, *gradients, strict=True):
        terms = [scale * row for scale, row in zip(coefficients, rows, strict=True) if row is not None]
        if terms:
            combined = reduce(torch.add, terms)
            # in place, as backward does: optimisers and gradient buckets may hold on to the tensor
            parameter.grad = combined if parameter.grad is None else parameter.grad.add_(combined)


def _layer_grams(names: Iterable[str], gradients: list[list[Tensor | None]]) -> dict[str, Tensor]:
    """Inner products of the losses' gradients, shape=(k, k), for each layer that any loss reaches."""
    grams: dict[str, Tensor] = {}
    for name, *rows in zip(names, *gradients, strict=True):
        if any(row is not None for row in rows):
            layer, gram = name.rpartition(".")[0], _gram(rows)
            grams[layer] = grams[layer] + gram if layer in grams else gram
    return grams


def _gram(rows: Sequence[Tensor | None]) -> Tensor:
    known = next(row for row in rows if row is not None)
    kind = torch.promote_types(known.dtype, torch.float32)
    gram = known.new_zeros((len(rows), len(rows)), dtype=kind)
    for i, j in combinations_with_replacement(range(len(rows)), 2):
        left, right = rows[i], rows[j]
        if left is not None and right is not None:
            # dot, not a matrix product: autocast and TF32 would round that one
            gram[i, j] = gram[j, i] = torch.dot(left.flatten().to(kind), right.flatten().to(kind))
    return gram


def _cosines(gram: Tensor) -> Tensor:
    length = gram.diagonal().sqrt().masked_fill(gram.diagonal() == 0, torch.inf)
    cosines = (gram / length / length[:, None]).clamp(-1, 1)
    # one by one: an index made of lists is copied to the device, and the host waits for that
    return torch.stack([cosines[i, j] for i, j in combinations(range(len(gram)), 2)])


def _solver(
    count: int, method: Method, strength: float, engine: Engine, generator: torch.Generator | None
) -> Callable[[Tensor], Tensor]:
    """A function from inner products, shape=(k, k), to coefficients of the weighted gradients, shape=(k,)."""
    for name, value, known in (("method", method, get_args(Method)), ("engine", engine, get_args(Engine))):
        if value not in known:
            raise ConfigError(f"no such {name} of harmonise", value=value, remedy=f"use one of {', '.join(known)}")
    if not 0 <= strength < 1:
        raise ConfigError("strength must lie in [0, 1)", value=strength)
    if method == "sum":
        return lambda gram: torch.ones_like(gram[0])
    if engine == "torchjd":
        return partial(_on_cpu, solve=_torchjd(method, strength))
    if method == "pcgrad" or (method == "upgrad" and count == 2):
        return partial(_pcgrad, generator=generator)
    if method == "cagrad" and count == 2:
        return partial(_cagrad_of_two, strength=strength)
    return partial(_on_cpu, solve=_upgrad if method == "upgrad" else partial(_cagrad, strength=strength))


def _pcgrad(gram: Tensor, generator: torch.Generator | None) -> Tensor:
    shares = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    for i, own in enumerate(shares):
        # with two gradients there is one order only, and nothing to draw
        order = [1, 0] if len(gram) == 2 else torch.randperm(len(gram), generator=generator).tolist()
        for j in order:
            if j != i:
                conflict = (gram[j] * own).sum().clamp(max=0)
                own[j] -= conflict / gram[j, j].clamp(min=torch.finfo(gram.dtype).tiny)
    return shares.sum(0)


def _cagrad_of_two(gram: Tensor, strength: float) -> Tensor:
    # CAGrad minimises <g_w, s> + strength |s| |g_w| over w in [0, 1], with g_w = w g_1 + (1 - w) g_2 and the sum s:
    # a straight line plus the square root of a parabola in w, so the lowest point has a closed form
    alive = (gram.diagonal() > 0).all()
    gram = gram / torch.where(alive, gram.trace(), 1)
    radius = strength * gram.sum().clamp(min=0).sqrt()
    line = gram[0].sum() - gram[1].sum()
    curve = gram[0, 0] - 2 * gram[0, 1] + gram[1, 1]
    lowest = (gram[1, 1] - gram[0, 1]) / curve
    floor = (gram[0, 0] * gram[1, 1] - gram[0, 1].square()).clamp(min=0).sqrt() / curve
    slope = -line / (radius * curve.sqrt())
    inside = lowest + floor * slope / (1 - slope.square()).sqrt()
    # from |slope| = 1 on an end is lowest; a slope of 0/0 means equal gradients or no radius, where any w will do
    first = torch.where(slope.abs() < 1, inside, (slope > 0).to(gram.dtype)).clamp(0, 1)
    share = torch.stack([first, 1 - first])
    length = (share * (gram * share).sum(1)).sum().clamp(min=0).sqrt()
    push = torch.where(length > 0, radius / length, 0) * share
    return torch.where(alive, (1 + push) / (1 + strength), 1)


def _on_cpu(gram: Tensor, solve: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """Coefficients from a solver that is given unit trace and no gradient that is zero or not finite: those get 1."""
    own = gram.cpu().double().numpy()
    size, coefficients = own.diagonal(), np.ones(len(own))
    alive = np.isfinite(size) & (size > 0)
    if alive.any():
        coefficients[alive] = solve(own[np.ix_(alive, alive)] / size[alive].sum())
    return torch.from_numpy(coefficients).to(gram)


def _upgrad(gram: np.ndarray) -> np.ndarray:
    # min |J'v| with v >= e_i, in units of each gradient's length: losses may differ by orders of magnitude
    length = np.sqrt(gram.diagonal())
    values, vectors = np.linalg.eigh(gram / np.outer(length, length))
    root = np.sqrt(values.clip(min=0))[:, None] * vectors.T
    extra = sum(length[i] * nnls(root, -root[:, i])[0] for i in range(len(gram)))
    return np.asarray(1 + extra / length)


def _cagrad(gram: np.ndarray, strength: float) -> np.ndarray:
    line, radius = gram.sum(1), strength * math.sqrt(max(gram.sum(), 0))

    def objective(share: np.ndarray) -> tuple[float, np.ndarray]:
        length = max(share @ gram @ share, 1e-30) ** 0.5
        return line @ share + radius * length, line + radius * gram @ share / length

    start, bounds = np.full(len(gram), 1 / len(gram)), [(0, 1)] * len(gram)
    simplex = {"type": "eq", "fun": lambda share: share.sum() - 1, "jac": np.ones_like}
    share = minimize(objective, start, jac=True, bounds=bounds, constraints=simplex, options={"ftol": 1e-12}).x
    length = math.sqrt(max(share @ gram @ share, 0))
    # where some gradients cancel out exactly, the ball has no best direction: stay at its centre
    return np.asarray((1 + (radius / length if length > 1e-6 else 0) * share) / (1 + strength))


def _torchjd(method: Method, strength: float) -> Callable[[np.ndarray], np.ndarray]:
    try:
        peer = importlib.import_module("torchjd.aggregation")
        make = {"pcgrad": peer.PCGradWeighting, "upgrad": peer.UPGradWeighting, "cagrad": peer.CAGradWeighting}[method]
        weighting = make(strength) if method == "cagrad" else make()
    except ImportError as error:
        raise ConfigError(f"torchjd cannot do {method}: {error}", remedy="pip install torchjd[full]") from error

    # torchjd's UPGrad and CAGrad have the scale of the mean, its PCGrad that of the sum
    def solve(gram: np.ndarray) -> np.ndarray:
        scale = {"pcgrad": 1, "upgrad": len(gram), "cagrad": len(gram) / (1 + strength)}[method]
        return np.asarray(scale * weighting(torch.from_numpy(gram)).numpy())

    return solve


def _weighted(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> list[Tensor]:
    if not losses:
        raise ConfigError("there is no loss to harmonise")
    if unknown := sorted(weights.keys() - losses.keys()):
        raise ConfigError("a weight belongs to no loss", value=unknown, remedy=f"losses are {', '.join(losses)}")
    for name, loss in losses.items():
        if loss.ndim:
            raise ShapeError(f"loss {name!r} must be a scalar", value=tuple(loss.shape))
        if not loss.requires_grad:
            raise ModelError(f"loss {name!r} carries no gradient", remedy="leave it out, or do not detach it")
        if not 0 <= weights.get(name, 1) < math.inf:
            raise ConfigError(f"weight of loss {name!r} must be a finite number >= 0", value=weights[name])
    return [loss * weights[name] if name in weights else loss for name, loss in losses.items()]


def _shared(parameters: Iterable[tuple[str, nn.Parameter]]) -> dict[nn.Parameter, str]:
    shared: dict[nn.Parameter, str] = {}
    for entry in parameters:
        if isinstance(entry, Tensor):
            raise ConfigError("parameters have no names", remedy="pass module.named_parameters()")
        if entry[1].requires_grad:
            shared.setdefault(entry[1], entry[0])  # a tied parameter counts once
    if not shared:
        raise ModelError("no shared parameter is trained", remedy="pass those of an unfrozen module")
    return shared


def _check_finite(gram: Tensor, names: Sequence[str]) -> None:
    squared = gram.diagonal()
    if squared.device.type == "cpu" and not bool(squared.isfinite().all()):
        bad = [name for name, own in zip(names, squared.isfinite().tolist(), strict=True) if not own]
        remedy = "lower the learning rate, or look for overflow and division by zero in that loss"
        raise ModelError(f"the gradient of {', '.join(bad)} is not finite", remedy=remedy)
