"""Whether the space of k-mers means something: real yeast, our vectors beside gensim's, rows of counts, edit distance.

K-mers of one motif (JASPAR matrices), and those enriched at ChIP-exo sites, against k-mers of the same composition; see
genocontrast/evaluation/cohesion.py for the figure. Everything is fitted on the training chromosomes of
config/yeast.yaml. gensim runs in an interpreter of its own (`--gensim python`), where it is installed; without, its
row is left out. `--probe` also makes decoys for the promoters, and tells the two apart by pooled vectors.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from timing import environment, show, write
from yeast_decoys import CONFIG, run_stages

from genocontrast import Genome, KmerEmbedding
from genocontrast.artefacts import read_parquet
from genocontrast.config import Config, load_config
from genocontrast.evaluation.baselines import fit_baselines
from genocontrast.evaluation.cohesion import VIEWS
from genocontrast.evaluation.database import read_motifs
from genocontrast.evaluation.kmer_sets import KmerSet, motif_kmers, site_kmers
from genocontrast.evaluation.kmer_similarity import cosine
from genocontrast.evaluation.kmer_space import PERMUTATIONS, Source, composition_of, kmer_space, sources_of
from genocontrast.evaluation.metrics import auroc
from genocontrast.genome.regions import read_regions
from genocontrast.genome.splits import Splits
from genocontrast.sequence import canonical_tokens

SENTENCE = 10_000  # gensim's largest
_PEER = """
import sys
import numpy as np
from gensim.models import Word2Vec

tokens, vectors, dim, window, epochs, n, sentence = (*sys.argv[1:3], *map(int, sys.argv[3:]))
runs = np.load(tokens)
names = [str(token) for token in range(n)]

class Sentences:
    def __iter__(self):
        for run in np.split(runs, np.flatnonzero(runs < 0)):
            run = run[run >= 0]
            for first in range(0, len(run), sentence):
                yield [names[token] for token in run[first : first + sentence]]

model = Word2Vec(Sentences(), vector_size=dim, window=window, epochs=epochs, sg=1, negative=5, min_count=1, sample=0,
                 workers=2, seed=1)
table = np.zeros((n, dim), np.float32)
for name, row in model.wv.key_to_index.items():
    table[int(name)] = model.wv.vectors[row]
np.save(vectors, table)
"""


def yeast_splits(config: Config, genome: Genome) -> Splits:
    """The splits that the configuration names."""
    named = config.genome.splits
    chosen = {chrom: split for split in ("train", "validation", "test") for chrom in getattr(named, split)}
    return Splits.of_chromosomes(chosen, genome.sizes)


def gensim_vectors(python: str, genome: Genome, splits: Splits, config: Config, epochs: int, n: int) -> np.ndarray:
    """Vectors of the same tokens by gensim's skip-gram with 5 negative samples, shape=(n_tokens, dim)."""
    k, settings = config.kmers.k, config.kmers
    places = splits.segments("train").itertuples(index=False)
    runs = [np.append(canonical_tokens(genome.chromosome(chrom)[start:end], k), -1) for chrom, start, end in places]
    with tempfile.TemporaryDirectory() as folder:
        tokens, vectors = Path(folder) / "tokens.npy", Path(folder) / "vectors.npy"
        np.save(tokens, np.concatenate(runs))
        numbers = [settings.dim, settings.window, epochs, n, SENTENCE]
        subprocess.run([python, "-c", _PEER, str(tokens), str(vectors), *map(str, numbers)], check=True)
        return np.load(vectors)


def truths_of(config: Config, genome: Genome, splits: Splits, occurrences: np.ndarray) -> dict[str, list[KmerSet]]:
    """K-mers of the motifs, and of the binding sites on the training chromosomes."""
    k, train = config.kmers.k, splits.segments("train")
    files = config.evaluation.binding_sites.items()
    assert config.evaluation.motif_database is not None
    return {
        "motifs": motif_kmers(read_motifs(config.evaluation.motif_database), k, composition_of(k, occurrences)),
        "sites": [site_kmers(name, read_regions(path, genome), genome, train, k) for name, path in files],
    }


def space(config: Config, genome: Genome, gensim: str | None, epochs: int, permutations: int) -> dict[str, Any]:
    """Fit, collect the similarities and measure them."""
    splits, settings, seed = yeast_splits(config, genome), config.kmers, config.seed
    train, validation = splits.segments("train"), splits.segments("validation")
    start = time.process_time()
    ours = KmerEmbedding.fit(genome, train, validation_regions=validation, seed=seed, **settings.model_dump())
    print(f"k-mer vectors: {time.process_time() - start:.1f} CPU-s with counting")
    wider = settings.model_dump() | {"window": settings.window + settings.k - 1}

    def wide() -> Any:
        return cosine(KmerEmbedding.fit(genome, train, validation_regions=validation, seed=seed, **wider).vectors)

    both = ours.vectors + ours.contexts  # as GloVe does it
    sources = [
        *sources_of(ours, genome, splits, settings, seed),
        Source("words + contexts", 0, lambda: cosine(both)),
        Source(f"k-mer vectors, window {wider['window']}", 0, wide),
    ]
    if gensim:
        theirs = gensim_vectors(gensim, genome, splits, config, epochs, len(ours.tokens))
        sources.append(Source(f"gensim, epochs: {epochs}", 0, lambda: cosine(theirs)))
    truths = truths_of(config, genome, splits, ours.tokens)
    return kmer_space(sources, truths, settings.k, ours.tokens, permutations, seed)


def probe(config: Config, genome: Genome) -> list[dict[str, Any]]:
    """Test AUROC of promoters against matched decoys, of every baseline."""
    splits, seed = yeast_splits(config, genome), config.seed
    train, validation = splits.segments("train"), splits.segments("validation")
    ours = KmerEmbedding.fit(genome, train, validation_regions=validation, seed=seed, **config.kmers.model_dump())
    with tempfile.TemporaryDirectory() as folder:
        run_stages(config, Path(folder))
        examples = read_parquet(Path(folder) / "negatives" / "examples.parquet")[0]
    examples = examples[examples["tier"] == "hard"].reset_index(drop=True)
    test, labels = (examples["split"] == "test").to_numpy(), examples["label"].to_numpy()
    found = fit_baselines(examples, genome.codes(examples), ours)
    return [
        {"baseline": one.name, "auroc": auroc(labels[test], one.scores[test]), "regularisation": one.regularisation}
        for one in found
    ]


def table(found: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each similarity: mean AUROC (95 % interval over sets), p, and share of sets with p <= 0.05."""
    rows = []
    for source in found["sources"]:
        row: dict[str, Any] = {
            "similarity": source["name"],
            "skipped": "-" if source["skip"] is None else source["skip"],
        }
        for view in VIEWS:
            figure = source["views"][view]
            interval = figure["auroc"]
            text = f"{interval['value']:.3f} ({interval['low']:.3f}-{interval['high']:.3f})" if interval else "-"
            row |= {view: text, f"p {view}": figure["p"], f"{view} sets": f"{figure['significant']}/{figure['sets']}"}
        rows.append(row)
    return rows


def main() -> None:
    """Print the tables."""
    formatter = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=formatter)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds yeast/")
    parser.add_argument("--gensim", help="interpreter that has gensim, such as another environment's bin/python")
    parser.add_argument("--epochs", type=int, default=1, help="gensim's epochs")
    parser.add_argument("--permutations", type=int, default=PERMUTATIONS, help="random choices for each p")
    parser.add_argument("--probe", action="store_true", help="also tell promoters from decoys (a minute)")
    options = parser.parse_args()
    os.environ["GENOCONTRAST_DATA"] = str(options.data.resolve())
    config = load_config(CONFIG)
    config = config.model_copy(update={"negatives": config.negatives.model_copy(update={"gate": "warn"})})
    genome = Genome(config.genome.fasta)
    figures: dict[str, Any] = {"environment": environment(["numpy", "genocontrast"])}
    figures["space"] = space(config, genome, options.gensim, options.epochs, options.permutations)
    for truth, found in figures["space"]["truths"].items():
        show(f"{truth}: {found['counts']}; sets: with p <= 0.05 of those with a figure", table(found))
    if options.probe:
        figures["probe"] = probe(config, genome)
        show("Promoters against matched decoys, test chromosomes", figures["probe"])
    write(options.json, figures)


if __name__ == "__main__":
    main()
