"""Reading and checking files: the genome, regions, signal."""

from genocontrast.genome.fasta import Genome
from genocontrast.genome.regions import read_regions
from genocontrast.genome.signal import Signal

__all__ = ["Genome", "Signal", "read_regions"]
