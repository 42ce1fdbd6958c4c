"""What is refused before any work: settings out of range, and what would not fit into memory."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from genocontrast.config import KmersConfig
from genocontrast.errors import ConfigError
from genocontrast.kmers.counts import DENSE_K, HELD_TOKENS, CountSettings
from genocontrast.sequence import canonical_table

_TABLES = 70  # float32 numbers per dimension and token: tables, gradients, ten steps of each, parts of sums
_BYTES_PER_PAIR = 64  # of a pair that occurs, while lists of them are merged


def check_settings(**settings: Any) -> dict[str, Any]:
    """The settings, as the `kmers` section of the configuration takes them; a ConfigError where it does not."""
    try:
        checked = KmersConfig.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        meaning = KmersConfig.model_fields[name].description
        raise ConfigError(f"'{name}': {first['msg']}", value=first["input"], remedy=f"{name}: {meaning}") from None
    return {name: getattr(checked, name) for name in settings}


def affordable_share(k: int, window: int, bases: int, memory: float) -> float:
    """Share of the pairs of so many bases whose lists fit into `memory`, GiB; 1 up to k = 8."""
    if k <= DENSE_K:
        return 1.0
    return min(1.0, memory * 2**30 / (_BYTES_PER_PAIR * window * max(bases, 1)))


def check_counts_memory(settings: CountSettings, bases: int, limit: float) -> None:
    """Refuse counts that may need more than `limit` GiB (ConfigError), naming what would fit."""
    if settings.sparse:
        needed = _BYTES_PER_PAIR * settings.window * settings.share * bases / 2**30
        fits = settings.share * limit / max(needed, 1e-12)
        remedy = f"raise 'memory', choose a smaller k, or count a share of the pairs: {fits:.2g} or less"
    else:
        needed = 4 * settings.n_cells / 2**30
        remedy = "raise 'memory', choose a smaller k, or count a share of the pairs, in lists: 0.1, for instance"
    if needed > limit:
        raise ConfigError(
            f"counting {settings.k}-mers needs about {needed:.1f} GiB of memory; the limit is {limit:g} GiB",
            value=f"k = {settings.k}, share = {settings.share:g}",
            remedy=remedy,
        )


def check_memory(k: int, dim: int, limit: float, *, watched: bool) -> None:
    """Refuse, before any work, exact counts and vectors that need more than `limit` GiB (ConfigError).

    `watched` is whether validation counts are held beside those of training.
    """
    n = len(canonical_table(k)[1])
    held = 4 * n * n if n <= HELD_TOKENS else 0
    counts = (2 * n * (n + 1) + held) * (1 + watched)
    needed = (counts + held + 4 * n * dim * _TABLES) / 2**30
    if needed > limit:
        raise ConfigError(
            f"exact {k}-mer counts with vectors of {dim} dimensions need about {needed:.1f} GiB of memory; the limit "
            f"is {limit:g} GiB",
            value=f"k = {k}",
            remedy="raise 'memory' in the kmers section, choose a smaller k, or count a share of the pairs in lists of "
            "those that occur, share: 0.1, for instance",
        )


def checked_share(share: float) -> float:
    """The share as a number above 0 and at most 1; a ConfigError where it is none."""
    if not 0 < share <= 1:
        raise ConfigError("'share' must be above 0 and at most 1", value=share)
    return float(share)
