"""Genomic contrastive models: matched hard negatives, strand-true encoders, and reports that prove it.

Names load on first use, so that `import genocontrast` is quick and needs no torch.
"""

import sys as _sys
from importlib import import_module as _import_module
from typing import Any as _Any

from genocontrast.version import __version__

_HOME = {
    "Genome": "genome",
    "Reads": "genome",
    "Signal": "genome",
    "read_regions": "genome",
    "simulate": "genome.simulate",
    "Balance": "negatives",
    "Matched": "negatives",
    "candidate_pool": "negatives",
    "load_data": "negatives",
    "match_negatives": "negatives",
    "KmerEmbedding": "kmers",
    "count_kmers": "kmers",
    "info_nce": "contrast",
    "KmerEncoder": "encoders",
    "StrandEncoder": "encoders",
    "embed": "training",
    "fit": "training",
    "load_model": "training",
    "predict": "training",
    "evaluate": "evaluation",
    "load_config": "config",
    "write_report": "report",
}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> _Any:
    if name not in _HOME:
        raise AttributeError(f"module 'genocontrast' has no attribute '{name}'")
    value = getattr(_import_module(f"genocontrast.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


if "ipykernel" in _sys.modules:
    from genocontrast.display import show_progress as _show_progress

    _show_progress()
