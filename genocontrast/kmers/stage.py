"""The `kmers` stage: vectors of k-mers, fitted on the training chromosomes."""

from __future__ import annotations

from pathlib import Path

from genocontrast.artefacts import provenance, read_json, write_json
from genocontrast.config import Config
from genocontrast.errors import FileFormatError
from genocontrast.kmers.embedding import KmerEmbedding


def run(config: Config, results: Path) -> None:
    """Fit on the training chromosomes, watch the validation chromosomes, and write results/kmers/.

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

    summary = results / "genome" / "genome.json"
    splits = read_json(summary).get("splits", {})
    if not splits.get("train") or not splits.get("validation"):
        raise FileFormatError("no training or no validation chromosomes", path=summary, remedy="run the genome stage")
    made_by = provenance(
        "kmers",
        {"kmers": config.kmers.model_dump(mode="json"), "seed": config.seed},
        {"fasta": config.genome.fasta, "genome": summary},
    )
    embedding = KmerEmbedding.fit(
        Genome(config.genome.fasta),
        chroms=splits["train"],
        validation_chroms=splits["validation"],
        seed=config.seed,
        **config.kmers.model_dump(),
    )
    embedding.record["provenance"] = made_by
    folder = results / "kmers"
    embedding.save(folder / "kmers.h5ad")
    embedding.to_word2vec(folder / "kmers.word2vec.txt")
    write_json(folder / "kmers.json", embedding.record)
