"""What views do to windows once everything is drawn: pure functions of codes, shape=(n, length), and of draws.

All of them work on a whole batch at once. A draw for each window has shape=(n,), one for each base shape=(n, length).
Each has a mirror image, the draw that does to the other strand what this one does to the given strand; views draw
either with the same probability, so that they treat both strands alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from genocontrast.encoders.views.codes import complement, is_base, mask_of, reverse_complement_codes
from genocontrast.errors import ShapeError
from genocontrast.sequence import N_CODE

Change = Callable[[Tensor], Tensor]
"""A kernel with its draws: codes, shape=(n, length), to changed codes."""


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
    return codes.gather(1, starts[:, None] + _positions(width, codes))


def slide(codes: Tensor, starts: Tensor, width: int) -> Tensor:
    """As `shift`, but what lies outside the codes is N, shape=(n, width)."""
    return _taken(codes, starts[:, None] + _positions(width, codes), N_CODE)


def roll(codes: Tensor, offsets: Tensor) -> Tensor:
    """Windows as circles, read from `offsets` on."""
    length = codes.shape[1]
    return codes.gather(1, (_positions(length, codes) + offsets[:, None]) % length)


def crop(codes: Tensor, starts: Tensor, lengths: Tensor) -> Tensor:
    """Only the stretch of `lengths` bp from `starts` on, in its place; the rest is N."""
    return codes.masked_fill(~_stretch(codes, starts, lengths), N_CODE)


def invert(codes: Tensor, starts: Tensor, lengths: Tensor) -> Tensor:
    """The stretch of `lengths` bp from `starts` on is replaced by its reverse complement."""
    inside = _stretch(codes, starts, lengths)
    here = _positions(codes.shape[1], codes)
    there = (2 * starts + lengths - 1)[:, None] - here
    turned = codes.gather(1, torch.where(inside, there, here))
    return torch.where(inside, complement(turned), turned)


def insert(codes: Tensor, starts: Tensor, lengths: Tensor, trims: Tensor, bases: Tensor) -> Tensor:
    """New bases are put before a position, then the ends are trimmed to the old length.

    Parameters
    ----------
    codes : torch.Tensor, shape=(n, length)
    starts : torch.Tensor of int64, shape=(n,)
        Position before which the new bases come, 0 .. length.
    lengths : torch.Tensor of int64, shape=(n,)
        How many there are.
    trims : torch.Tensor of int64, shape=(n,)
        How many bp are cut off on the left, 0 .. lengths; the others are cut off on the right.
    bases : torch.Tensor, shape=(n, length)
        The new base of each position of the result that has one.
    """
    # position in the window before it is trimmed
    at = _positions(codes.shape[1], codes) + trims[:, None]
    behind = at >= (starts + lengths)[:, None]
    source = torch.where(behind, at - lengths[:, None], torch.where(at < starts[:, None], at, -1))
    return _taken(codes, source, bases)


def delete(codes: Tensor, starts: Tensor, lengths: Tensor, pads: Tensor, bases: Tensor) -> Tensor:
    """A stretch is taken out, and new bases at the ends make up the old length.

    Parameters
    ----------
    codes : torch.Tensor, shape=(n, length)
    starts, lengths : torch.Tensor of int64, shape=(n,)
        The stretch that is lost; it lies within the window.
    pads : torch.Tensor of int64, shape=(n,)
        How many bp are added on the left, 0 .. lengths; the others are added on the right.
    bases : torch.Tensor, shape=(n, length)
        The new base of each position of the result that has one.
    """
    # position in the window that has lost the stretch, negative in the left pad; past the window in the right one
    at = _positions(codes.shape[1], codes) - pads[:, None]
    return _taken(codes, torch.where(at < starts[:, None], at, at + lengths[:, None]), bases)


def mutate(codes: Tensor, steps: Tensor) -> Tensor:
    """Replace bases by others: steps 1, 2 and 3 lead from any base to the three others, 0 to itself; N stays."""
    return torch.where(is_base(codes), codes ^ steps, codes)


def misread(codes: Tensor, steps: Tensor, inserted: Tensor, deleted: Tensor, from_right: Tensor) -> Tensor:
    """Read windows with errors at single bases, from either end.

    Parameters
    ----------
    codes : torch.Tensor, shape=(n, length)
    steps : torch.Tensor of uint8, shape=(n, length)
        Substitutions, as in `mutate`. These and the next two are in the order of reading.
    inserted : torch.Tensor of uint8, shape=(n, length)
        Base that is read before this one; N for none.
    deleted : torch.Tensor of bool, shape=(n, length)
        Bases that are not read.
    from_right : torch.Tensor of bool, shape=(n,)
        Windows that are read from right to left. The end where reading starts stays in its place; at the other one,
        bases are cut off or N makes up the length.
    """
    true = torch.where(from_right[:, None], codes.flip(1), codes)
    copies = (~deleted).long() + (inserted != N_CODE)
    ends = copies.cumsum(1)
    at = _positions(codes.shape[1], codes).expand_as(codes).contiguous()
    source = torch.searchsorted(ends, at, right=True)  # the base that position `at` of the result comes from
    is_first = at == _taken(ends - copies, source, -1)
    new = _taken(inserted, source, N_CODE)
    read = torch.where(is_first & (new != N_CODE), new, _taken(mutate(true, steps), source, N_CODE))
    return torch.where(from_right[:, None], read.flip(1), read)


def turn(codes: Tensor, chosen: Tensor) -> Tensor:
    """The chosen windows, shape=(n,), are read from the other strand."""
    return torch.where(chosen[:, None], reverse_complement_codes(codes), codes)


def drop_masked(codes: Tensor, chosen: Tensor) -> Tensor:
    """The soft-masked bases of the chosen windows, shape=(n,), become N."""
    return codes.masked_fill(mask_of(codes) & chosen[:, None], N_CODE)


def in_turn(codes: Tensor, changes: Sequence[Change]) -> Tensor:
    """One change after the other."""
    for change in changes:
        codes = change(codes)
    return codes


def some_in_turn(codes: Tensor, changes: Sequence[Change], chosen: Tensor) -> Tensor:
    """One change after the other, each of the windows that chose it, bool, shape=(n, changes)."""
    for change, choosers in zip(changes, chosen.unbind(1), strict=True):
        codes = torch.where(choosers[:, None], change(codes), codes)
    return codes


def _positions(length: int, like: Tensor) -> Tensor:
    return torch.arange(length, device=like.device)


def _stretch(codes: Tensor, starts: Tensor, lengths: Tensor) -> Tensor:
    """Which positions lie in the stretch of `lengths` bp from `starts` on, shape=(n, length)."""
    past = _positions(codes.shape[1], codes) - starts[:, None]
    return (past >= 0) & (past < lengths[:, None])


def _taken(values: Tensor, source: Tensor, fill: Tensor | int) -> Tensor:
    """Values at the given positions of their rows; `fill` where a position lies outside."""
    last = values.shape[1] - 1
    inside = (source >= 0) & (source <= last)
    return torch.where(inside, values.gather(1, source.clamp(0, last)), fill)
