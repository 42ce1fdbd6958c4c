"""Views of a window for training: shifted along the genome, or read from the other strand."""

from __future__ import annotations

import torch
from torch import Tensor

from genocontrast.errors import ShapeError


def one_hot(codes: Tensor) -> Tensor:
    """One-hot float32 of codes on their device, shape=(n, length) -> (n, 4, length); N is a column of zeros."""
    return (codes[:, None, :] == torch.arange(4, dtype=codes.dtype, device=codes.device)[:, None]).float()


def reverse_complement(windows: Tensor) -> Tensor:
    """Reverse complement of one-hot windows, shape=(n, 4, length)."""
    return windows.flip(1, 2)


def shift(codes: Tensor, starts: Tensor, width: int) -> Tensor:
    """Cut one window out of each row of wider codes.

    Parameters
    ----------
    codes : torch.Tensor, shape=(n, length)
        Windows with flanks.
    starts : torch.Tensor of int64, shape=(n,)
        First position of each cut, 0 <= start <= length - width.
    width : int
        bp of the cuts.

    Returns
    -------
    torch.Tensor, shape=(n, width)

    Raises
    ------
    ShapeError
        Where a cut would leave its row.
    """
    if starts.shape != codes.shape[:1]:
        raise ShapeError("shift needs one start for each row", value=tuple(starts.shape))
    if len(starts) and not 0 <= int(starts.min()) <= int(starts.max()) <= codes.shape[1] - width:
        raise ShapeError(f"a window of {width} bp leaves its row of {codes.shape[1]} bp", value=starts.tolist()[:5])
    positions = starts[:, None] + torch.arange(width, device=codes.device)
    return codes.gather(1, positions)
