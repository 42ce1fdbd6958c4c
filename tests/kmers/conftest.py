import numpy as np
import pytest


class StandInGenome:
    """Chromosomes in memory, with the members of Genome that the k-mer stage uses."""

    def __init__(self, chromosomes, masks=None):
        self._codes, self._masks = dict(chromosomes), masks or {}
        self.sizes = {chrom: len(codes) for chrom, codes in self._codes.items()}

    def chromosome(self, chrom):
        return self._codes[chrom]

    def soft_mask(self, chrom):
        return self._masks.get(chrom, np.zeros(self.sizes[chrom], bool))


@pytest.fixture(scope="session")
def genome_of():
    return StandInGenome


@pytest.fixture(scope="session")
def markov_codes():
    """Two chromosomes in which one base depends on the one before, so that there is something to learn."""
    rng = np.random.default_rng(7)
    steps = np.array([[0.5, 0.1, 0.3, 0.1], [0.3, 0.3, 0.05, 0.35], [0.1, 0.4, 0.2, 0.3], [0.1, 0.2, 0.2, 0.5]])
    chromosomes = {}
    for chrom, size in {"chrA": 60_000, "chrB": 30_000}.items():
        codes, draws = np.zeros(size, np.uint8), rng.random(size)
        bounds = steps.cumsum(1)
        for i in range(1, size):
            codes[i] = np.searchsorted(bounds[codes[i - 1], :3], draws[i])
        chromosomes[chrom] = codes
    chromosomes["chrA"][1000:1050] = 4
    return chromosomes
