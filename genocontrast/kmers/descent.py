"""Limited-memory BFGS in float32: the library's takes as long for its own bookkeeping as one of our losses does.

Source: Liu and Nocedal, Math Program 1989.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
_MEMORY = 10  # steps that tell the curvature
_SUFFICIENT = 1e-4  # share of the expected fall that a step must reach
_LEAST_FALL = 1e-8  # of the value; below, it is rounding that falls
_HALVINGS = 20


def descend(value: Callable[[Vector], tuple[float, Vector]], x: Vector) -> Iterator[tuple[Vector, float]]:
    """Points of falling value, one per iteration, until no step makes it fall noticeably.

    Parameters
    ----------
    value : callable
        Gives the value at a point and its gradient, float32, shape=(n,).
    x : float32, shape=(n,)
        Where to start.

    Yields
    ------
    x : float32, shape=(n,)
        A new array each time.
    value : float
    """
    memory: deque[tuple[Vector, Vector, float]] = deque(maxlen=_MEMORY)
    loss, gradient = value(x)
    first = 1 / max(float(np.linalg.norm(gradient)), 1e-30)
    while True:
        direction = _direction(gradient, memory)
        slope = float(direction @ gradient)
        if slope >= 0:  # rounding
            return
        size = 1.0 if memory else first
        for _ in range(_HALVINGS):
            step = np.float32(size) * direction
            further = x + step
            reached, there = value(further)
            if reached <= loss + _SUFFICIENT * size * slope:
                break
            size /= 2
        else:
            return
        change = there - gradient
        curvature = float(step @ change)
        if curvature > 1e-8 * float(change @ change):
            memory.append((step, change, curvature))
        first = 4 * size  # of no use once a curvature is known
        fall = loss - reached
        x, loss, gradient = further, reached, there
        yield x, loss
        if fall <= _LEAST_FALL * abs(loss):
            return


def _direction(gradient: Vector, memory: deque[tuple[Vector, Vector, float]]) -> Vector:
    """Minus the gradient times the inverse curvature that the last steps tell."""
    direction = -gradient
    shares = []
    for step, change, curvature in reversed(memory):
        share = np.float32(step @ direction / curvature)
        direction -= share * change
        shares.append(share)
    if memory:
        _, change, curvature = memory[-1]
        direction *= np.float32(curvature / float(change @ change))
    for (step, change, curvature), share in zip(memory, reversed(shares), strict=True):
        direction += (share - np.float32(change @ direction / curvature)) * step
    return direction
