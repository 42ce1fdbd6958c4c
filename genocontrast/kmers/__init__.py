"""Strand-tied vectors of k-mers: counting, the skip-gram objective, the fitted embedding."""

from genocontrast.kmers.counting import CooccurrenceCounts, count_cooccurrences, count_genome
from genocontrast.kmers.embedding import KmerEmbedding

__all__ = ["CooccurrenceCounts", "KmerEmbedding", "count_cooccurrences", "count_genome"]
