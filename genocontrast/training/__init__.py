"""Training: promoters against their matched decoys; `fit`, `mine_negatives`, `load_model`, `embed` and `predict`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genocontrast.training.fitting import fit
    from genocontrast.training.mining import Mined, mine_negatives
    from genocontrast.training.model import Model, embed, load_model, predict

__all__ = ["Mined", "Model", "embed", "fit", "load_model", "mine_negatives", "predict"]


def __getattr__(name: str) -> Any:
    # torch and lightning take seconds to import: only those who train or predict pay for them
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "fit":
        from genocontrast.training.fitting import fit

        return fit
    from genocontrast.training import mining, model

    return getattr(mining if name in ("Mined", "mine_negatives") else model, name)
