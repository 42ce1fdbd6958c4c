"""Metrics, baselines, audits, motifs and embeddings of a trained model on held-out chromosomes."""

from importlib import import_module
from typing import Any

_HOME = {"Evaluation": "held_out", "evaluate": "held_out", "strand_audit": "audits", "find_motifs": "reading"}
__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'genocontrast.evaluation' has no attribute '{name}'")
    return getattr(import_module(f"genocontrast.evaluation.{_HOME[name]}"), name)
