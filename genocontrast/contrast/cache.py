"""Gradient caching: the gradient of a huge batch with the memory of a small chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from genocontrast.errors import ConfigError, ModelError, ShapeError

_RandomState = tuple[Tensor, dict[int, Tensor]]


class CachedLoss(NamedTuple):
    """What `cached_backward` returns."""

    loss: Tensor
    """The loss of the whole batch, a detached scalar."""
    extra: tuple[Any, ...]
    """What the loss function returned after the loss, e.g. the diagnostics of `info_nce`."""


def cached_backward(
    encoder: nn.Module,
    inputs: Tensor | Sequence[Tensor],
    loss: Callable[..., Tensor | tuple[Any, ...]],
    *,
    chunk: int,
) -> CachedLoss:
    """Forward and backward of a loss over a whole batch, with the encoder's graph of one chunk at a time.

    Gradient caching (GradCache; Gao et al., RepL4NLP 2021): embed all chunks without a graph, take the loss and its
    gradient at the embeddings, then embed each chunk again and carry that gradient on. ``.grad`` of all parameters,
    also of the loss function's own, comes out as from one backward over the whole batch. Costs a second forward.

    The second forward replays the random numbers of the first (dropout masks agree) and leaves the generators as
    one forward over the chunks and the loss would. Forward hooks see each chunk twice, and so does a module that
    changes its own state in forward.

    Parameters
    ----------
    encoder : torch.nn.Module
        Takes a tensor, shape=(b, ...), and returns one tensor of embeddings, shape=(b, ...), each row from its own
        input row only. If it has a ``no_sync()`` (DistributedDataParallel), only the last chunk synchronises.
    inputs : torch.Tensor or sequence of torch.Tensor, shape=(n_i, ...)
        One or more views, e.g. queries, keys and hard negatives; their first dimensions may differ. Leaves that
        require a gradient get one.
    loss : callable
        Gets the embeddings of each view as its positional arguments; returns a scalar, or a tuple that begins with
        it, as `info_nce` does. Called once, in the autocast state of the caller (backward runs without autocast).
    chunk : int
        Rows that the encoder sees at a time, >= 1; the last chunk of a view may be smaller.

    Returns
    -------
    CachedLoss
        ``loss`` and ``extra``.

    Raises
    ------
    ConfigError
        If `chunk` is below 1.
    ShapeError
        If `inputs` are not non-empty tensors, or the loss is not a scalar.
    ModelError
        If a module of the encoder mixes the rows of a batch (batch normalisation in training mode), if the encoder
        returns anything but one tensor with a row for each input row, if `inputs` come with a graph, or if there
        is no gradient to take.
    """
    views = _views(inputs)
    if chunk < 1:
        raise ConfigError("chunk must be at least 1", value=chunk)
    _check_rows_apart(encoder)
    pieces = [view.split(chunk) for view in views]
    devices = _cuda_devices(encoder, views)
    states, embeddings = _embed(encoder, pieces, devices)
    result, gradients = _at_embeddings(loss, embeddings)
    work = [
        step
        for own, gradient, state in zip(pieces, gradients, states, strict=True)
        if gradient is not None
        for step in zip(own, gradient.split(chunk), state, strict=True)
    ]
    for i, (piece, gradient, state) in enumerate(work):
        with _replayed(state), _sync_only(encoder, last=i == len(work) - 1):
            _carry_on(encoder(piece), gradient)
    return result


def _embed(
    encoder: nn.Module, pieces: Sequence[Sequence[Tensor]], devices: Sequence[int]
) -> tuple[list[list[_RandomState]], list[Tensor]]:
    """Embeddings of each view without a graph, and the random state before each of its chunks."""
    states: list[list[_RandomState]] = []
    embeddings = []
    with torch.no_grad():
        for own in pieces:
            states.append([])
            parts = []
            for piece in own:
                states[-1].append(_random_state(devices))
                parts.append(_checked(encoder(piece), len(piece)))
            embeddings.append(torch.cat(parts))
    return states, embeddings


def _at_embeddings(
    loss: Callable[..., Tensor | tuple[Any, ...]], embeddings: Sequence[Tensor]
) -> tuple[CachedLoss, list[Tensor | None]]:
    """The loss, and its gradient at the embeddings of each view; None for a view that it does not use."""
    leaves = [embedding.requires_grad_() for embedding in embeddings]
    returned = loss(*leaves)
    value, extra = (returned[0], tuple(returned[1:])) if isinstance(returned, tuple) else (returned, ())
    if not isinstance(value, Tensor) or value.ndim:
        got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ShapeError("the loss function must return a scalar tensor, alone or first in a tuple", value=got)
    if not value.requires_grad:
        raise ModelError("the loss carries no gradient", remedy="do not detach it, nor call this in torch.no_grad()")
    _backward(value)
    gradients = [leaf.grad for leaf in leaves]
    if all(gradient is None for gradient in gradients):
        raise ModelError("the loss does not depend on the embeddings", remedy="use the arguments of the loss function")
    return CachedLoss(value.detach(), extra), gradients


def _carry_on(embedding: Tensor, gradient: Tensor) -> None:
    if not embedding.requires_grad:
        raise ModelError("the embeddings carry no gradient: nothing of the encoder is trained", remedy="unfreeze it")
    _backward(embedding, gradient)


def _backward(tensor: Tensor, gradient: Tensor | None = None) -> None:
    # as torch advises: autocast would round the matrix products of backward once more
    with torch.autocast(tensor.device.type, enabled=False):
        torch.autograd.backward(tensor, gradient)


def _sync_only(encoder: nn.Module, *, last: bool) -> AbstractContextManager[Any]:
    """The encoder's `no_sync()` for all chunks but the last, which sends the sum of all their gradients."""
    no_sync: Callable[[], AbstractContextManager[Any]] | None = getattr(encoder, "no_sync", None)
    return nullcontext() if last or no_sync is None else no_sync()


def _cuda_devices(encoder: nn.Module, views: Sequence[Tensor]) -> list[int]:
    tensors = [*encoder.parameters(), *views]
    return sorted({tensor.get_device() for tensor in tensors if tensor.is_cuda})


def _random_state(devices: Sequence[int]) -> _RandomState:
    return torch.get_rng_state(), {device: torch.cuda.get_rng_state(device) for device in devices}


@contextmanager
def _replayed(state: _RandomState) -> Iterator[None]:
    """Random numbers as from `state` on; afterwards, also after an exception, as before."""
    cpu, cuda = state
    with torch.random.fork_rng(devices=list(cuda)):
        torch.set_rng_state(cpu)
        for device, own in cuda.items():
            torch.cuda.set_rng_state(own, device)
        yield


def _views(inputs: Tensor | Sequence[Tensor]) -> list[Tensor]:
    if not isinstance(inputs, (Tensor, list, tuple)):
        raise ShapeError("inputs must be a tensor or a sequence of tensors", value=type(inputs).__name__)
    views = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if not views:
        raise ShapeError("inputs must hold at least one view")
    for i, view in enumerate(views):
        if not isinstance(view, Tensor):
            raise ShapeError(f"view {i} of inputs must be a tensor", value=type(view).__name__)
        if view.ndim == 0 or len(view) == 0:
            raise ShapeError(f"view {i} of inputs must have shape (n, ...) with n >= 1", value=tuple(view.shape))
        if view.requires_grad and not view.is_leaf:
            remedy = "detach it, or make what computes it a part of the encoder"
            raise ModelError(f"view {i} of inputs has a graph, which each chunk would go through again", remedy=remedy)
    return views


def _checked(embedding: object, rows: int) -> Tensor:
    if not isinstance(embedding, Tensor):
        remedy = "wrap it in a module that returns the embeddings only"
        raise ModelError("the encoder must return one tensor", value=type(embedding).__name__, remedy=remedy)
    if embedding.ndim == 0 or len(embedding) != rows or not embedding.is_floating_point():
        got = f"{tuple(embedding.shape)}, {embedding.dtype}"
        raise ModelError(f"the encoder must return floating-point numbers of shape ({rows}, ...)", value=got)
    return embedding


def _check_rows_apart(encoder: nn.Module) -> None:
    for path, module in encoder.named_modules():
        if isinstance(module, _BatchNorm):
            mixes = module.training or module.running_mean is None
        else:
            # instance normalisation never mixes rows, but the second forward would count each chunk once more
            mixes = isinstance(module, _InstanceNorm) and module.training and module.track_running_stats
        if mixes:
            where = f"{type(module).__name__} at {path!r}" if path else type(module).__name__
            remedy = "use GroupNorm or LayerNorm, or set the module to eval mode"
            raise ModelError(f"{where} takes statistics of each chunk, not of the batch", remedy=remedy)
