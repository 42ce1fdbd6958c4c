"""Strand-tied vectors of k-mers: counting, the exact objectives, the fitted embedding."""

from genocontrast.kmers.counting import count_kmers
from genocontrast.kmers.counts import CooccurrenceCounts, merge
from genocontrast.kmers.embedding import KmerEmbedding

__all__ = ["CooccurrenceCounts", "KmerEmbedding", "count_kmers", "merge"]
