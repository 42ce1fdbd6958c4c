"""Evaluate the model on held-out chromosomes."""

from genocontrast.cli.options import stage_app

app = stage_app("evaluation", "Metrics with intervals, baselines, strand audit, embeddings and motifs.")
