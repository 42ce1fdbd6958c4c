"""DNA windows as tensors: one-hot, both strands, and the soft mask that codes can carry.

Codes are those of `genocontrast.sequence` (A, C, G, T = 0 .. 3, N = 4). A soft-masked base carries the bit 8 beside its
code, as in the genome's cache: whatever moves a base moves its mask with it, without knowing that there is one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genocontrast.errors import ShapeError
from genocontrast.sequence import CODE_BITS, MASKED, N_CODE

_MASKED, _CODE_BITS = int(MASKED), int(CODE_BITS)


def one_hot(codes: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """One-hot of codes on their device, shape=(n, length) -> (n, 4, length); N is zeros; masks are not read."""
    channels = torch.arange(4, dtype=codes.dtype, device=codes.device)
    return (without_mask(codes)[:, None, :] == channels[:, None]).to(dtype)


def reverse_complement(windows: Tensor) -> Tensor:
    """Reverse complement of one-hot windows, shape=(n, 4, length)."""
    return windows.flip(1, 2)


def reverse_complement_codes(codes: Tensor) -> Tensor:
    """Reverse complement of codes, shape=(n, length); each base keeps its mask."""
    return complement(codes).flip(1)


def complement(codes: Tensor) -> Tensor:
    """Complement of each base, in its place; N and masks stay."""
    return torch.where(is_base(codes), codes ^ 3, codes)  # 3 - base, and the bit of the mask is let alone


def is_base(codes: Tensor) -> Tensor:
    """Which codes are a base rather than N, masked or not."""
    return (codes & N_CODE) == 0


def with_mask(codes: Tensor, mask: Tensor) -> Tensor:
    """Codes that carry a soft mask.

    Parameters
    ----------
    codes : torch.Tensor of uint8, shape=(n, length)
    mask : torch.Tensor of bool, shape=(n, length)
        Which bases are soft-masked (`Genome.soft_mask`).

    Returns
    -------
    torch.Tensor of uint8, shape=(n, length)

    Raises
    ------
    ShapeError
        Where the mask is not bool, or not of the shape of the codes.
    """
    if mask.dtype != torch.bool or mask.shape != codes.shape:
        problem = f"the mask must be bool of the shape of the codes, {tuple(codes.shape)}"
        raise ShapeError(problem, value=(str(mask.dtype), tuple(mask.shape)))
    return without_mask(codes) | mask.to(codes.dtype) * _MASKED


def mask_of(codes: Tensor) -> Tensor:
    """Which bases are soft-masked, bool of the shape of the codes."""
    return (codes & _MASKED) != 0


def without_mask(codes: Tensor) -> Tensor:
    """Codes 0 .. 4, whatever mask they carried."""
    return codes & _CODE_BITS
