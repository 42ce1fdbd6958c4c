"""Training: promoters against their matched decoys; `fit`, `load_model`, `embed` and `predict`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genocontrast.training.fitting import fit
    from genocontrast.training.model import Model, embed, load_model, predict

__all__ = ["Model", "embed", "fit", "load_model", "predict"]


def __getattr__(name: str) -> Any:
    # torch and lightning take seconds to import: only those who train or predict pay for them
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "fit":
        from genocontrast.training.fitting import fit

        return fit
    from genocontrast.training import model

    return getattr(model, name)
