"""Which bases speak for a promoter: the gradient of the promoter logit at each position."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from genocontrast.sequence import Codes, one_hot, reverse_complement

if TYPE_CHECKING:
    import torch

    from genocontrast.training.model import Model

BATCH = 64


def attribute(model: Model, codes: Codes) -> NDArray[np.float32]:
    """Effect of each base at each position on the promoter logit, averaged over both strands.

    The mean over the four bases is subtracted at each position: one-hot sequences lie on a simplex, and the gradient's
    part off that simplex is arbitrary. Source: Majdandzic et al., Genome Biol 2023.

    Parameters
    ----------
    model : Model
        Its `network` takes one-hot windows, shape=(n, 4, length), and gives their `.logit`. Its mode
        and its parameters are left as they were.
    codes : numpy.ndarray of uint8, shape=(n, length)
        Windows.

    Returns
    -------
    numpy.ndarray of float32, shape=(n, 4, length)
        Columns sum to 0; multiplied by the one-hot window it gives the contribution of the bases that are there.
    """
    network = model.network
    was_training = network.training
    network.eval()
    try:
        forward = _gradients(network, one_hot(codes))
        backward = _gradients(network, one_hot(reverse_complement(codes)))
    finally:
        network.train(was_training)
    # reversing channels and positions turns the other strand's columns into this strand's
    effect = (forward + backward[:, ::-1, ::-1]) / 2
    return (effect - effect.mean(axis=1, keepdims=True)).astype(np.float32)


def _gradients(network: torch.nn.Module, windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gradient of the summed promoter logits to the one-hot windows, shape=(n, 4, length)."""
    import torch

    device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
    found = []
    for first in range(0, len(windows), BATCH):
        batch = torch.from_numpy(windows[first : first + BATCH]).to(device).requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(network(batch).logit.sum(), batch)
        found.append(gradient.cpu().numpy())
    return np.concatenate(found)
