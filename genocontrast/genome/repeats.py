"""Exact repeats: the same bases on either strand, within a set of windows and between two."""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from genocontrast.errors import SplitError
from genocontrast.examples import window_codes
from genocontrast.sequence import N_CODE, Codes, reverse_complement

_log = logging.getLogger(__name__)
_N = bytes([N_CODE])

Flags = NDArray[np.bool_]


class Repeats(NamedTuple):
    """Which windows of a set repeat another one of it; both shape=(n,)."""

    repeated: Flags
    """All copies, the first one too."""
    contradictory: Flags
    """Those of which a copy has another label."""


def repeat_keys(codes: Codes) -> list[bytes]:
    """What windows have in common that repeat each other: the bases of the strand that sorts first.

    N at the ends is none of a window, so that windows of several lengths can be compared.

    Parameters
    ----------
    codes : numpy.ndarray of uint8, shape=(n, length)

    Returns
    -------
    list of bytes
        Empty for a window of N alone: it repeats nothing.
    """
    strands = zip(codes, reverse_complement(codes), strict=True)
    return [min(one.tobytes().strip(_N), other.tobytes().strip(_N)) for one, other in strands]


def repeats_between(codes: Codes, others: Codes) -> Flags:
    """Whether each window repeats one of the others, codes of shape=(n, length) and (m, length) -> (n,)."""
    known = set(repeat_keys(others)) - {b""}
    return np.array([key in known for key in repeat_keys(codes)], dtype=bool)


def repeats_within(codes: Codes, labels: ArrayLike) -> Repeats:
    """Which windows of a set repeat another one of it, and which of those contradict it.

    Parameters
    ----------
    codes : numpy.ndarray of uint8, shape=(n, length)
    labels : array, shape=(n,)
    """
    table = pd.DataFrame({"key": repeat_keys(codes), "label": np.asarray(labels)})
    copies = table.groupby("key")["label"]
    known = table["key"] != b""
    repeated, contradictory = copies.transform("size") > 1, copies.transform("nunique") > 1
    return Repeats((repeated & known).to_numpy(bool), (contradictory & known).to_numpy(bool))


def drop_repeats(train: pd.DataFrame, dev: pd.DataFrame) -> pd.DataFrame:
    """The training examples that repeat no development example on either strand; how many do is logged.

    Parameters
    ----------
    train, dev : pandas.DataFrame
        Examples that carry their sequence.

    Raises
    ------
    SplitError
        Where that leaves fewer than two classes to train on.
    """
    repeated = repeats_between(window_codes(train), window_codes(dev))
    kept = train[~repeated].reset_index(drop=True)
    if kept["label"].nunique() < 2:
        raise SplitError(
            f"{int(repeated.sum()):,} of {len(train):,} training sequences repeat in the development set, which leaves "
            f"{'a single class' if len(kept) else 'none'}",
            remedy="give the two tables different sequences",
        )
    if repeated.any():
        message = "%d of %d training sequences repeat in the development set and are left out of training"
        _log.info(message, repeated.sum(), len(train))
    return kept
