"""Genomic contrastive models: matched hard negatives, strand-true encoders, and reports that prove it.

Names load on first use, so that `import genocontrast` is quick and needs no torch.
"""

from importlib import import_module
from typing import Any

from genocontrast.version import __version__

_HOME = {
    "Genome": "genome",
    "Reads": "genome",
    "Signal": "genome",
    "read_regions": "genome",
    "Balance": "negatives",
    "Matched": "negatives",
    "candidate_pool": "negatives",
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
    "write_report": "report",
}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'genocontrast' has no attribute '{name}'")
    value = getattr(import_module(f"genocontrast.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
