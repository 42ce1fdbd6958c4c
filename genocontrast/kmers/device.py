"""Blocks of the exact losses on a device of torch, in float32 or float64; torch is imported only then."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray


class OnDevice:
    """Arrays on a device, and the losses of blocks of scores there.

    Parameters
    ----------
    device : str
        A device of torch, or "torch:" before it.
    dtype : {"float32", "float64"}
    """

    def __init__(self, device: str, dtype: str) -> None:
        import torch

        self.device, self.dtype = torch.device(device.removeprefix("torch:")), getattr(torch, dtype)

    def array(self, values: Any) -> Any:
        """An array or tensor as a tensor on the device."""
        import torch

        return torch.as_tensor(values, dtype=self.dtype, device=self.device)

    def plain(self, values: Any) -> NDArray[Any]:
        """A tensor as an array; an array as it is."""
        return values.cpu().numpy() if hasattr(values, "cpu") else values

    def skip_gram(self, scores: Any, positive: Any, rows: Any, columns: Any) -> float:
        """Loss of a block of skip-gram, whose scores are overwritten by its slopes."""
        from torch.nn.functional import softplus

        weight = positive + rows[:, None] * columns
        loss = (weight * softplus(scores, threshold=80) - positive * scores).double().sum()
        scores.sigmoid_().mul_(weight).sub_(positive)
        return float(loss)

    def info_nce(self, scores: Any, positive: Any, centre: Any, columns: Any) -> float:
        """Loss of a block of InfoNCE, whose scores are overwritten by its slopes."""
        attraction = (positive * scores).double().sum()
        scores += columns
        partition = scores.logsumexp(1)
        loss = (centre * partition).double().sum() - attraction
        scores.sub_(partition[:, None]).exp_().mul_(centre[:, None]).sub_(positive)
        return float(loss)
