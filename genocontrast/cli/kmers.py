"""Fit strand-tied k-mer vectors."""

from genocontrast.cli.options import stage_app

app = stage_app("kmers", "Count co-occurring k-mers on the training chromosomes and fit their vectors.")
