"""The `kmers` stage: vectors of k-mers, fitted on the training split's sequence."""

from __future__ import annotations

from pathlib import Path

from genocontrast.artefacts import provenance, write_json
from genocontrast.config import Config
from genocontrast.kmers.embedding import KmerEmbedding


def run(config: Config, results: Path) -> None:
    """Fit on the segments of the training split, watch those of validation, and write results/kmers/.

    Parameters
    ----------
    config : Config
    results : Path
        Folder of the data set; the genome stage has written its genome/genome.json.

    Raises
    ------
    FileFormatError
        Where genome.json is missing or names no splits.
    """
    from genocontrast.genome.fasta import Genome
    from genocontrast.genome.splits import read_splits

    summary = results / "genome" / "genome.json"
    splits = read_splits(summary)
    made_by = provenance(
        "kmers",
        {"kmers": config.kmers.model_dump(mode="json"), "seed": config.seed},
        {"fasta": config.genome.fasta, "genome": summary},
    )
    embedding = KmerEmbedding.fit(
        Genome(config.genome.fasta),
        splits.segments("train"),
        validation_regions=splits.segments("validation"),
        seed=config.seed,
        **config.kmers.model_dump(),
    )
    embedding.record["provenance"] = made_by
    folder = results / "kmers"
    embedding.save(folder / "kmers.h5ad")
    embedding.to_word2vec(folder / "kmers.word2vec.txt")
    write_json(folder / "kmers.json", embedding.record)
