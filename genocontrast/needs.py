"""What each stage reads, as a configuration has it: the workflow's inputs, stated once."""

from __future__ import annotations

from genocontrast.config import Config


def files(config: Config, stage: str) -> list[str]:
    """Files of the user that a stage reads, besides what earlier stages wrote.

    Parameters
    ----------
    config : Config
    stage : {"genome", "negatives", "kmers", "training", "evaluation"}
    """
    genome, negatives, evaluation = config.genome, config.negatives, config.evaluation
    annotation = [genome.annotation.path] if genome.annotation else []
    evidence = [entry.path for entry in genome.evidence]
    keys = [path for path in negatives.exact if path != "chrom"]
    optional = [path for path in (evaluation.truth, evaluation.motif_database) if path]
    read = {
        "genome": [genome.promoters, *genome.open_chromatin, *genome.signal, *genome.exclude, *evidence, *annotation],
        "negatives": [
            *genome.signal,
            *negatives.tracks.values(),
            *keys,
        ],
        "evaluation": [*evaluation.binding_sites.values(), *optional],
    }
    return list(dict.fromkeys([genome.fasta, *read.get(stage, [])]))


def artefacts(config: Config, stage: str) -> list[str]:
    """Artefacts of earlier stages that some settings of a stage need, inside the folder of results.

    Parameters
    ----------
    config : Config
    stage : {"training", "training_tier"}
        The training on the matched decoys, which has lessons before it and mines, and the plain one on a tier.
    """
    training = config.training
    vectors = ["kmers/kmers.h5ad"] if training.encoder == "kmers" else []
    if stage == "training_tier":
        return vectors
    needed = {
        # what mining chooses from, and within which limits
        ("negatives/pool.parquet", "negatives/balance.json"): bool(training.mined_rounds),
        # all promoters and all candidates
        ("negatives/pool.parquet", "negatives/dropped.parquet"): "pool" in training.curriculum,
        # what may be seen without labels
        ("genome/genome.json", "genome/open_chromatin.parquet"): training.pretraining.windows != "none",
    }
    return list(dict.fromkeys(vectors + [name for names, wanted in needed.items() if wanted for name in names]))
