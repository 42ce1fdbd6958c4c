# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201
"""The fused kernels: tiles of logits that exist in registers only.

A program owns a block of anchors (`a`) and passes over all of their candidates (`b`). Exponents are of base 2. Where
all of them are small (`SHARED`), no maximum is taken off, so that one power serves both directions. Whether they are
only the device knows, so both variants are launched, and one of them returns at once.
"""

from __future__ import annotations

import triton
import triton.language as tl

from genocontrast.contrast.backends.triton_tiles import (
    LIMIT,
    LOG2E,
    finite,
    members,
    plus,
    products,
    slopes,
    special,
    tile_at,
    turns,
    values,
    vectors,
)


@triton.jit
def sweep(
    a_ptr,  # anchors, shape=(na, DP)
    b_ptr,  # candidates, shape=(nb, DP)
    found,  # of each anchor: top, total, its rounding, best logit, and with MASKS logit sum, bias sum and count
    partial,  # sums over the anchors of each program, shape=(programs, nb); None: the candidates are no anchors
    gauge,  # factor of the products, and a bound of the exponents
    bias_a,  # added where a is the candidate, shape=(na,), or None
    bias_b,  # added where b is the candidate, shape=(nb,), or None
    shift,  # the pair of anchor i is candidate i + shift; None without pairs
    labels_a,
    labels_b,
    ids_a,
    ids_b,
    given,
    width,
    na,
    nb,
    SCALE: tl.constexpr,
    POSITIVE: tl.constexpr,  # sum over the positives, not the negatives
    MASKS: tl.constexpr,  # more than pairs may have to be left out
    GIVEN_BY_A: tl.constexpr,
    SHARED: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    DP: tl.constexpr,
    DK: tl.constexpr,
    UPCAST: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Log-sums of the anchors over their candidates, and with `partial` of the candidates over the anchors."""
    if (tl.load(gauge + 1) <= LIMIT) != SHARED:
        return
    masks = (na, nb, shift, labels_a, labels_b, ids_a, ids_b, given, width)
    factor = tl.load(gauge)
    scale = factor * (SCALE * LOG2E)
    programs = tl.num_programs(0)
    for block in range(tl.program_id(0), tl.cdiv(na, BM), programs):
        first = block * BM
        a = first + tl.arange(0, BM)
        left = vectors(a_ptr, first, na, 0, BM, DP, DP, True, UPCAST)
        own_bias = None if bias_a is None else values(bias_a, a, na)
        top = tl.full([BM], float("-inf"), tl.float32)
        best = tl.full([BM], float("-inf"), tl.float32)
        total = tl.zeros([BM], tl.float32)
        lost = tl.zeros([BM], tl.float32)
        logit_sum = tl.zeros([BM], tl.float32)
        bias_sum = tl.zeros([BM], tl.float32)
        count = tl.zeros([BM], tl.float32)
        whole, low, high = special(first, shift, na, nb, MASKS, BM, BN)
        for masked in tl.static_range(2):
            for turn in range(0, turns(masked, whole, low, high, nb, BN)):
                start = tile_at(turn, masked, whole, low, high) * BN
                b = start + tl.arange(0, BN)
                if partial is not None:
                    # asked for before the products, to be there when they are
                    cells = partial + tl.program_id(0).to(tl.int64) * nb + b
                    known = tl.where(block < programs, 0, nb)
                    before = tl.load(cells, mask=b < known, other=0.0 if SHARED else float("-inf"))
                bias = None if bias_b is None else values(bias_b, b, nb)
                if SCALE != 0:
                    right = vectors(b_ptr, start, nb, 0, BN, DP, DP, masked, UPCAST)
                    logits = products(
                        left, right, a_ptr, b_ptr, first, start, na, nb, BM, BN, DP, DK, UPCAST, PRECISION
                    )
                else:
                    logits = tl.zeros([BM, BN], tl.float32)
                exponents = logits * scale
                if masked:
                    counted = members(a, b, masks, POSITIVE, GIVEN_BY_A)
                    exponents = tl.where(counted, exponents, float("-inf"))
                    if MASKS:
                        logit_sum += tl.sum(tl.where(counted, logits, 0.0), 1)
                        count += tl.sum(counted.to(tl.float32), 1)
                        if bias_b is not None:
                            bias_sum += tl.sum(tl.where(counted, bias[None, :], 0.0), 1)
                    logits = tl.where(counted, logits, float("-inf"))
                if SCALE != 0:
                    best = tl.maximum(best, tl.max(logits, 1))
                if SHARED:
                    powers = tl.exp2(exponents)
                    new = tl.sum(powers if bias_b is None else powers * tl.exp2(bias)[None, :], 1)
                    if partial is not None:
                        mirrored = powers if bias_a is None else powers * tl.exp2(own_bias)[:, None]
                        tl.store(cells, before + tl.sum(mirrored, 0), mask=b < nb)
                else:
                    forward = exponents if bias_b is None else exponents + bias[None, :]
                    higher = tl.maximum(top, tl.max(forward, 1))
                    fade = tl.exp2(top - finite(higher))
                    total, lost, top = total * fade, lost * fade, higher
                    new = tl.sum(tl.exp2(forward - finite(higher)[:, None]), 1)
                    if partial is not None:
                        mirrored = exponents if bias_a is None else exponents + own_bias[:, None]
                        peak = finite(tl.maximum(before, tl.max(mirrored, 0)))
                        after = tl.exp2(before - peak) + tl.sum(tl.exp2(mirrored - peak[None, :]), 0)
                        tl.store(cells, peak + tl.log2(after), mask=b < nb)
                total, lost = plus(total, lost, new)
        here = a < na
        tl.store(found + a, tl.zeros([BM], tl.float32) if SHARED else top, mask=here)
        tl.store(found + na + a, total, mask=here)
        tl.store(found + 2 * na + a, lost, mask=here)
        tl.store(found + 3 * na + a, best * factor, mask=here)
        if MASKS:
            tl.store(found + 4 * na + a, logit_sum * factor, mask=here)
            tl.store(found + 5 * na + a, bias_sum / LOG2E, mask=here)
            tl.store(found + 6 * na + a, count, mask=here)


@triton.jit
def merge(partial, found, gauge, programs, n, BN: tl.constexpr):
    """Sum what the programs of `sweep` found for each candidate, in a fixed order: top, total and its rounding."""
    b = tl.program_id(0) * BN + tl.arange(0, BN)
    shared = tl.load(gauge + 1) <= LIMIT
    top = tl.full([BN], float("-inf"), tl.float32)
    total = tl.zeros([BN], tl.float32)
    lost = tl.zeros([BN], tl.float32)
    for program in range(0, programs):
        value = tl.load(partial + tl.cast(program, tl.int64) * n + b, mask=b < n, other=0.0)
        # sums as they are, or their logarithms
        higher = tl.where(shared, 0.0, tl.maximum(top, value))
        fade = tl.where(shared, 1.0, tl.exp2(top - finite(higher)))
        new = tl.where(shared, value, tl.exp2(value - finite(higher)))
        total, lost = plus(total * fade, lost * fade, new)
        top = higher
    tl.store(found + b, top, mask=b < n)
    tl.store(found + n + b, total, mask=b < n)
    tl.store(found + 2 * n + b, lost, mask=b < n)


@triton.jit
def gradient(
    a_ptr,  # as in `sweep`, as all that has the same name
    b_ptr,
    out,  # added to, shape=(na, d)
    stride,  # of its rows
    gain,  # what is added is multiplied with it
    gauge,
    pull_a,  # of the anchors: per term the top and the coefficient, then the positives' pull; None: a are no anchors
    pull_b,  # the same of the candidates
    bias_a,
    bias_b,
    shift,
    labels_a,
    labels_b,
    ids_a,
    ids_b,
    given,
    width,
    na,
    nb,
    d,
    FIRST: tl.constexpr,  # scales of the terms of negatives
    SECOND: tl.constexpr,  # 0: there is one
    CORRECT: tl.constexpr,  # whether the bias is added to positives too
    MASKS: tl.constexpr,
    GIVEN_BY_A: tl.constexpr,
    SHARED: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    DP: tl.constexpr,
    DK: tl.constexpr,
    UPCAST: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Add the gradient of the anchors' vectors: the gradient of the logits times the candidates' vectors."""
    if (tl.load(gauge + 1) <= LIMIT) != SHARED:
        return
    masks = (na, nb, shift, labels_a, labels_b, ids_a, ids_b, given, width)
    scale = tl.load(gauge) * LOG2E
    first = tl.program_id(0) * BM
    a = first + tl.arange(0, BM)
    left = vectors(a_ptr, first, na, 0, BM, DP, DP, True, UPCAST)
    own_bias = None if bias_a is None else values(bias_a, a, na)
    total = tl.zeros([BM, DP], tl.float32)
    whole, low, high = special(first, shift, na, nb, MASKS, BM, BN)
    for masked in tl.static_range(2):
        for turn in range(0, turns(masked, whole, low, high, nb, BN)):
            start = tile_at(turn, masked, whole, low, high) * BN
            b = start + tl.arange(0, BN)
            right = vectors(b_ptr, start, nb, 0, BN, DP, DP, masked, UPCAST)
            logits = products(left, right, a_ptr, b_ptr, first, start, na, nb, BM, BN, DP, DK, UPCAST, PRECISION)
            logits *= scale
            bias = None if bias_b is None else values(bias_b, b, nb)
            negatives = logits
            if masked:
                counted = members(a, b, masks, False, GIVEN_BY_A)
                negatives = tl.where(counted, logits, float("-inf"))
            change = slopes(negatives * FIRST, pull_a, pull_b, 0, a, b, na, nb, own_bias, bias, SHARED)
            if SECOND != 0:
                change += slopes(negatives * SECOND, pull_a, pull_b, 2, a, b, na, nb, own_bias, bias, SHARED)
            if labels_a is not None:
                counted = members(a, b, masks, True, GIVEN_BY_A)
                positives = tl.where(counted, logits, float("-inf"))
                row = 2 if SECOND == 0 else 4
                if CORRECT:
                    change += slopes(positives, pull_a, pull_b, row, a, b, na, nb, own_bias, bias, SHARED)
                else:
                    change += slopes(positives, pull_a, pull_b, row, a, b, na, nb, None, None, SHARED)
                if pull_a is not None:
                    change += tl.where(counted, values(pull_a + (row + 2) * na, a, na)[:, None], 0.0)
                if pull_b is not None:
                    change += tl.where(counted, values(pull_b + (row + 2) * nb, b, nb)[None, :], 0.0)
            change = change.to(b_ptr.dtype.element_ty)
            if UPCAST:
                change = change.to(tl.float32)
            if b_ptr.dtype.element_ty == tl.float32:
                # a sum of its own first: products added to a long sum one by one would each round it
                total += tl.dot(change, right, input_precision=PRECISION)
            else:
                total = tl.dot(change, right, total)
    columns = tl.arange(0, DP)
    cells = out + a.to(tl.int64)[:, None] * stride + columns[None, :]
    inside = (a < na)[:, None] & (columns < d)[None, :]
    tl.store(cells, tl.load(cells, mask=inside, other=0.0) + total * tl.load(gain), mask=inside)
