"""Reading and checking files: the genome, regions, signal, reads."""

from genocontrast.genome.fasta import Genome
from genocontrast.genome.reads import Reads
from genocontrast.genome.regions import read_regions
from genocontrast.genome.signal import Signal

__all__ = ["Genome", "Reads", "Signal", "read_regions"]
