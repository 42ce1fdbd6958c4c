"""Does the space of k-mers mean something? Sets that belong together, in our vectors and in what they must beat.

Every similarity meets the same sets, controls and permutations (see `cohesion`): our vectors, the rows of co-occurrence
that they were fitted to, and the letters alone (edit distance). Neighbouring k-mers share bases, so whatever is learned
from neighbours knows the letters, too. Vectors and rows are therefore measured a second time from counts whose window
begins where no base is shared: what is left there, among pairs that do not overlap, is more than overlap.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genocontrast.evaluation.cohesion import VIEWS, Cohesion, cohesion, composition_classes, relations
from genocontrast.evaluation.kmer_sets import KmerSet, distinct
from genocontrast.evaluation.kmer_similarity import Similarity, cosine, edit_distance, letters, ppmi_cosine
from genocontrast.sequence import canonical_table, kmer_name

if TYPE_CHECKING:
    from genocontrast.config import KmersConfig
    from genocontrast.genome.fasta import Genome
    from genocontrast.genome.splits import Splits
    from genocontrast.kmers import KmerEmbedding

LARGEST_K = 7
"""Above, the tables of all pairs of k-mers would take many GB."""
VECTORS, ROWS, LETTERS = "k-mer vectors", "rows of co-occurrence", "edit distance"
PERMUTATIONS = 999
SIGNIFICANT = 0.05
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A similarity of k-mers: what it is, how many nearest positions its window leaves out, and how to make it."""

    name: str
    skip: int | None
    similarity: Callable[[], Similarity]


def kmer_space(
    sources: Sequence[Source],
    truths: Mapping[str, Sequence[KmerSet]],
    k: int,
    occurrences: NDArray[np.int64],
    permutations: int = PERMUTATIONS,
    seed: int = 1,
) -> dict[str, Any]:
    """Measure every similarity on every collection of sets.

    Parameters
    ----------
    sources : sequence of Source
        Each is compared with the first one of the same `skip`, or with the first of all where there is none.
    truths : mapping of str to sequence of KmerSet
        Sets that belong together, by where that is known from: "motifs", "sites".
    k : int
        Letters of a k-mer, at most 7.
    occurrences : int64, shape=(n_tokens,)
        How often each token occurs in the training sequence; those that do not are left out.
    permutations : int
        Random sets for the p-values.
    seed : int
        Seed of the permutations and of the bootstrap over sets.

    Returns
    -------
    dict
        Plain JSON: for each truth the counts of sets, for each source and view the mean AUROC with its interval over
        sets, p and what the source that it is compared with gains on it, and for each set its k-mers and figures.
    """
    relation, classes = relations(k), composition_classes(k, occurrences)
    chosen = {truth: distinct(sets) for truth, sets in truths.items()}
    found: dict[str, list[Cohesion]] = {truth: [] for truth in truths}
    for source in sources:
        _log.info("k-mer space: %s, skipping %s", source.name, source.skip)
        similarity = source.similarity()
        for truth, (sets, _) in chosen.items():
            tokens = [one.tokens for one in sets]
            found[truth].append(cohesion(similarity, tokens, classes, relation, permutations, seed))
    described = {
        truth: {
            "counts": counts,
            "sources": [
                {"name": source.name, "skip": source.skip, "views": _views(one, found[truth][beside], seed)}
                for source, one, beside in zip(sources, found[truth], _references(sources), strict=True)
            ],
            "sets": _sets(sets, found[truth], k),
        }
        for truth, (sets, counts) in chosen.items()
    }
    return {"run": True, "k": k, "permutations": permutations, "truths": described}


def _references(sources: Sequence[Source]) -> list[int]:
    """The source that each one is compared with."""
    skips = [source.skip for source in sources]
    return [skips.index(skip) if skip is not None else 0 for skip in skips]


def _views(one: Cohesion, reference: Cohesion, seed: int) -> dict[str, Any]:
    """The figures of a source in each view; `gain`: what the reference reaches above it on the same sets."""
    views = {}
    for number, view in enumerate(VIEWS):
        mean, gain = one.mean(number, seed), reference.gain(one, number, seed) if one is not reference else None
        views[view] = {
            "auroc": mean and mean.as_dict(),
            "p": _plain(one.pooled_p[number]),
            "gain": gain and gain.as_dict(),
            "sets": int(np.isfinite(one.auroc[:, number]).sum()),
            "significant": int((one.p[:, number] <= SIGNIFICANT).sum()),
            "pairs": int(one.pairs[:, number].sum()),
            "pairs_without_control": int(one.without_control[:, number].sum()),
        }
    return views


def _sets(sets: Sequence[KmerSet], found: Sequence[Cohesion], k: int) -> list[dict[str, Any]]:
    """Each set with its k-mers, and its figures by view, in the order of the sources."""
    canonical = canonical_table(k)[1]
    return [
        {
            "identifier": one.identifier,
            "name": one.label,
            "kmers": [kmer_name(int(canonical[token]), k) for token in one.tokens],
            "auroc": {view: [_plain(each.auroc[i, v]) for each in found] for v, view in enumerate(VIEWS)},
            "p": {view: [_plain(each.p[i, v]) for each in found] for v, view in enumerate(VIEWS)},
        }
        for i, one in enumerate(sets)
    ]


def _plain(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None


def why_not(embedding: KmerEmbedding | None, wanted: bool) -> str | None:
    """Why the space cannot or shall not be measured; None where it can."""
    if not wanted:
        return "evaluation.kmer_space is false"
    if embedding is None:
        return "there are no k-mer vectors: the kmers stage has not run"
    if embedding.spaced:
        return "the vectors are of spaced k-mers, whose letters are no neighbours in a motif"
    if embedding.k > LARGEST_K:
        return f"k is {embedding.k}: the tables of all pairs of k-mers are made for k <= {LARGEST_K}"
    return None


def composition_of(k: int, occurrences: NDArray[np.int64]) -> NDArray[np.float64]:
    """Frequencies of A, C, G, T on both strands of the sequence that was counted, shape=(4,)."""
    share = float(occurrences @ (letters(k) % 3 > 0).mean(1)) / max(int(occurrences.sum()), 1)  # G and C
    return np.array([1 - share, share, share, 1 - share]) / 2


def sources_of(
    embedding: KmerEmbedding, genome: Genome, splits: Splits, settings: KmersConfig, seed: int
) -> list[Source]:
    """Our vectors, rows of co-occurrence and edit distance; the first two also without the positions that share bases.

    Parameters
    ----------
    embedding : KmerEmbedding
        The vectors of the workflow.
    genome : Genome
    splits : Splits
        Counts are of the training segments; the validation segments stop the fit.
    settings, seed
        What `embedding` was fitted with: the vectors of the window without overlap are fitted here.
    """
    from genocontrast.kmers import KmerEmbedding, count_kmers

    k, beyond = settings.k, settings.k - 1
    train, validation = splits.segments("train"), splits.segments("validation")

    def rows(skip: int) -> Similarity:
        counts = count_kmers(
            genome,
            k,
            settings.window,
            regions=train,
            skip=skip,
            soft_masked=settings.soft_masked,
            share=settings.share or 1,
        )
        return ppmi_cosine(counts.dense())

    def fitted() -> Similarity:
        options = {**settings.model_dump(), "skip": beyond, "seed": seed}
        return cosine(KmerEmbedding.fit(genome, train, validation_regions=validation, **options).vectors)

    found = [
        Source(VECTORS, settings.skip, lambda: cosine(embedding.vectors)),
        Source(ROWS, settings.skip, lambda: rows(settings.skip)),
        Source(LETTERS, None, lambda: -edit_distance(k).astype(np.float32)),
    ]
    if settings.skip < beyond:
        found += [Source(VECTORS, beyond, fitted), Source(ROWS, beyond, lambda: rows(beyond))]
    return found
