# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, RET505
"""The parts that the fused kernels are made of: what is loaded, which tiles there are, and what counts in them."""

from __future__ import annotations

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
# up to this natural exponent neither a sum over a million candidates nor a gradient spread over them leaves float32
LIMIT = tl.constexpr(50.0)


@triton.jit
def slopes(exponents, pull_a, pull_b, row: tl.constexpr, a, b, na, nb, bias_a, bias_b, SHARED: tl.constexpr):
    """Gradient of each logit through one term, of both directions."""
    change = tl.zeros_like(exponents)
    if SHARED:
        powers = tl.exp2(exponents)
        weights = None
        if pull_a is not None:
            weights = weight(pull_a, row, a, na)[:, None]
            if bias_b is not None:
                weights *= tl.exp2(bias_b)[None, :]
        if pull_b is not None:
            mirrored = weight(pull_b, row, b, nb)[None, :]
            if bias_a is not None:
                mirrored *= tl.exp2(bias_a)[:, None]
            weights = mirrored if weights is None else weights + mirrored
        change = powers * weights
    else:
        if pull_a is not None:
            forward = exponents if bias_b is None else exponents + bias_b[None, :]
            top, coefficient = pull_of(pull_a, row, a, na)
            change += tl.exp2(forward - top[:, None]) * coefficient[:, None]
        if pull_b is not None:
            backward = exponents if bias_a is None else exponents + bias_a[:, None]
            top, coefficient = pull_of(pull_b, row, b, nb)
            change += tl.exp2(backward - top[None, :]) * coefficient[None, :]
    return change


@triton.jit
def weight(pull, row: tl.constexpr, i, n):
    """What powers without a top are multiplied with."""
    top, coefficient = pull_of(pull, row, i, n)
    return coefficient * tl.exp2(-top)


@triton.jit
def pull_of(pull, row: tl.constexpr, i, n):
    """Top and coefficient of a term; of what lies past the end, such that powers become 0."""
    top = tl.load(pull + row * n + i, mask=i < n, other=float("inf"))
    return top, values(pull + (row + 1) * n, i, n)


@triton.jit
def values(ptr, i, n):
    """One number of each vector, 0 past the end."""
    return tl.load(ptr + i, mask=i < n, other=0.0)


@triton.jit
def vectors(
    ptr,
    first,
    n,
    column,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
    DP: tl.constexpr,
    EDGE: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """Some vectors, or a part of their length; zeros past the last one."""
    rows = tl.arange(0, ROWS)
    # only the start may lie beyond what 32 bits count
    start = ptr + tl.cast(first, tl.int64) * DP + column
    cells = start + rows[:, None] * DP + tl.arange(0, WIDTH)[None, :]
    values = tl.load(cells, mask=(first + rows < n)[:, None], other=0.0) if EDGE else tl.load(cells)
    return values.to(tl.float32) if UPCAST else values


@triton.jit
def products(
    left,
    right,
    a_ptr,
    b_ptr,
    first,
    start,
    na,
    nb,
    BM: tl.constexpr,
    BN: tl.constexpr,
    DP: tl.constexpr,
    DK: tl.constexpr,
    UPCAST: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Products of all anchors with all candidates of a tile, float32."""
    if DK == DP:
        result = tl.dot(left, tl.trans(right), input_precision=PRECISION)
    else:
        # without tensor cores both operands lie in registers, which hold a part of them only
        result = tl.zeros([BM, BN], tl.float32)
        for column in range(0, DP, DK):
            some_a = vectors(a_ptr, first, na, column, BM, DK, DP, True, UPCAST)
            some_b = vectors(b_ptr, start, nb, column, BN, DK, DP, True, UPCAST)
            result += tl.dot(some_a, tl.trans(some_b), input_precision=PRECISION)
    return result


@triton.jit
def special(first, shift, na, nb, MASKS: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr):
    """How many tiles are whole, and which of those, from `low` to before `high`, have candidates to leave out."""
    whole = nb // BN
    low, high = 0, 0
    if shift is not None:
        low = tl.minimum(tl.maximum(first + shift, 0) // BN, whole)
        high = tl.minimum(tl.cdiv(tl.maximum(first + BM + shift, 0), BN), whole)
    if MASKS or first + BM > na:
        low, high = 0, whole
    return whole, low, high


@triton.jit
def turns(masked: tl.constexpr, whole, low, high, nb, BN: tl.constexpr):
    """How many tiles need masks, or none."""
    return high - low + tl.cdiv(nb, BN) - whole if masked else whole - (high - low)


@triton.jit
def tile_at(turn, masked: tl.constexpr, whole, low, high):
    """The number of a tile: first those that need no masks, so that they do not pay for any."""
    if masked:
        return tl.where(turn < high - low, low + turn, whole - (high - low) + turn)
    else:
        return tl.where(turn < low, turn, high - low + turn)


@triton.jit
def members(a, b, masks, POSITIVE: tl.constexpr, GIVEN_BY_A: tl.constexpr):
    """Which candidates are positives, or negatives, of which anchors."""
    na, nb, shift, labels_a, labels_b, ids_a, ids_b, given, width = masks
    inside = (a < na)[:, None] & (b < nb)[None, :]
    positive = inside & (a < 0)[:, None]
    if labels_a is not None:
        positive = same(labels_a, labels_b, a, b, na, nb)
    elif given is not None:
        for i in range(0, width):
            if GIVEN_BY_A:
                positive |= tl.load(given + a.to(tl.int64) * width + i, mask=a < na, other=-1)[:, None] == b[None, :]
            else:
                positive |= tl.load(given + b.to(tl.int64) * width + i, mask=b < nb, other=-1)[None, :] == a[:, None]
    elif shift is not None:
        positive = (a + shift)[:, None] == b[None, :]
    if POSITIVE:
        return inside & positive
    else:
        if ids_a is not None:
            positive |= same(ids_a, ids_b, a, b, na, nb)
        return inside & ~positive


@triton.jit
def same(names_a, names_b, a, b, na, nb):
    """Where the names of both are equal."""
    return tl.load(names_a + a, mask=a < na, other=0)[:, None] == tl.load(names_b + b, mask=b < nb, other=0)[None, :]


@triton.jit
def finite(top):
    """The same with 0 for the top of nothing, so that its powers become 0 rather than no number."""
    return tl.where(top == float("-inf"), 0.0, top)


@triton.jit
def plus(total, lost, new):
    """A sum and what its rounding lost (Knuth's two-sum): long sums keep all digits."""
    result = total + new
    part = result - total
    return result, lost + ((total - (result - part)) + (new - part))
