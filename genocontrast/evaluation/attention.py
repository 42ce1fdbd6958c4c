"""Where along the window a model looks: the mean attention on promoters and on decoys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genocontrast.encoders import StrandEncoder
from genocontrast.sequence import Codes

if TYPE_CHECKING:
    from genocontrast.training.model import Model

_LABELS = {"promoters": 1, "decoys": 0}


def attention_profile(model: Model, codes: Codes, labels: NDArray[np.int8]) -> dict[str, Any] | None:
    """Mean attention of each class along the window, times what it would be if all positions counted alike.

    Parameters
    ----------
    model : Model
    codes : numpy.ndarray of uint8, shape=(n, width)
        Windows of both classes, on their strand.
    labels : numpy.ndarray, shape=(n,)

    Returns
    -------
    dict or None
        position: the middle of each bin, bp from the start of the window; promoters, decoys. None where the model has
        no attention over positions.
    """
    network = model.network
    if not isinstance(network, StrandEncoder) or network.architecture["pool"] == "summary":
        return None
    weights = model.attention_codes(codes)
    bins = weights.shape[1]
    position = (np.arange(bins) + 0.5) * model.width / bins
    means = {name: weights[labels == label].mean(0, dtype=np.float64) for name, label in _LABELS.items()}
    return {"position": position.tolist(), **{name: (mean * bins).tolist() for name, mean in means.items()}}
