"""Vectors of k-mers: fit, look up, pool over windows, save and load."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from genocontrast.artefacts import PathLike, atomic, existing
from genocontrast.config import KmersConfig
from genocontrast.errors import ConfigError, FileFormatError, ModelError, ShapeError, SplitError
from genocontrast.kmers.counting import (
    Chromosomes,
    CooccurrenceCounts,
    check_memory,
    check_settings,
    count_genome,
)
from genocontrast.kmers.objectives import SkipGram, Table, best_constant_loss, fit_tables, zero_loss
from genocontrast.sequence import Codes, canonical_table, canonical_tokens, encode, kmer_name

_DEFAULT = KmersConfig()
_EMBED_ROWS = 4096  # windows pooled at once, which bounds the memory
_FORMAT = "genocontrast k-mer vectors"


@dataclass(eq=False)
class KmerEmbedding:
    """One vector for each k-mer and its reverse complement.

    Parameters
    ----------
    k : int
        Length of the k-mers, bp.
    vectors : float32, shape=(n_tokens, dim)
        Vectors in token order (see `sequence.canonical_table`); zero for a k-mer that training did not see.
    contexts : float32, shape=(n_tokens, dim)
        The context table that `loss` needs beside them.
    tokens : int64, shape=(n_tokens,)
        Occurrences in training.
    record : dict
        What made it: settings, chromosomes and losses; plain JSON values.
    """

    k: int
    vectors: Table
    contexts: Table
    tokens: NDArray[np.int64]
    record: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        genome: Chromosomes,
        regions: pd.DataFrame | None = None,
        chroms: Sequence[str] | None = None,
        k: int = _DEFAULT.k,
        dim: int = _DEFAULT.dim,
        window: int = _DEFAULT.window,
        negatives: float = _DEFAULT.negatives,
        seed: int = 1,
        validation_chroms: Sequence[str] | None = None,
        iterations: int = _DEFAULT.iterations,
        memory: float = _DEFAULT.memory,
        validation_regions: pd.DataFrame | None = None,
    ) -> Self:
        """Fit vectors to the co-occurrence of k-mers.

        Parameters
        ----------
        genome : Genome
        regions : DataFrame, optional
            Regions (chrom, start, end) to count in; default: whole chromosomes.
        chroms : sequence of str, optional
            Chromosomes to train on; default: those of the regions, or all, but the validation chromosomes.
        k, dim, window, negatives, iterations, memory
            See the `kmers` section of the configuration, which holds their defaults.
        seed : int
            Seed of the start.
        validation_chroms : sequence of str, optional
            Chromosomes that tell when to stop; default: those of the validation regions, or none: all iterations are
            run.
        validation_regions : DataFrame, optional
            Regions to count in on the validation chromosomes, which may then be training chromosomes too; default:
            `regions`.

        Raises
        ------
        ConfigError
            At a setting out of range, or one that needs more memory than allowed.
        SplitError
            Where a chromosome, or with `validation_regions` a base, is both for training and for validation.
        NamingError, RegionError
            At a chromosome or region that the genome does not have, or too short to hold a pair of k-mers.
        """
        apart = regions is not None and validation_regions is not None
        watched_in = regions if validation_regions is None else validation_regions
        held_out = list(_chroms_of(validation_regions) if validation_chroms is None else validation_chroms)
        offered = genome.sizes if regions is None else _chroms_of(regions)
        trained = [chrom for chrom in offered if apart or chrom not in held_out] if chroms is None else list(chroms)
        settings = {"k": k, "dim": dim, "window": window, "negatives": negatives, "iterations": iterations}
        _check_settings(settings)
        _check_apart(trained, held_out, regions, validation_regions)
        bases = sum(genome.sizes.get(chrom, 0) for chrom in trained)
        check_memory(k, window, bases, memory)
        counts = count_genome(genome, trained, k, window, regions)
        watched = SkipGram(count_genome(genome, held_out, k, window, watched_in), negatives) if held_out else None
        fitted = fit_tables(SkipGram(counts, negatives), watched, dim, seed, iterations)
        seen = counts.tokens[:, None] > 0
        record = {
            "settings": {**settings, "seed": seed},
            "chromosomes": {"train": trained, "validation": held_out},
            "regions": {"train": _places(regions, trained), "validation": _places(watched_in, held_out)},
            "kmers": {"seen": int(seen.sum()), "unseen": int((~seen).sum()), "occurrences": int(counts.tokens.sum())},
            "losses": _losses(fitted.history, negatives),
            "history": fitted.history,
        }
        return cls(k, fitted.words * seen, fitted.contexts * seen, counts.tokens, record)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.vectors.shape[1]

    @property
    def names(self) -> list[str]:
        """The canonical k-mer of each token."""
        return [kmer_name(int(kmer), self.k) for kmer in canonical_table(self.k)[1]]

    def vector(self, kmer: str) -> Table:
        """The vector of a k-mer, which is that of its reverse complement; shape=(dim,).

        Raises
        ------
        ShapeError
            Where `kmer` is not k letters of A, C, G, T.
        ModelError
            Where training did not see it.
        """
        return self.vectors[self._token(kmer)]

    def nearest(self, kmer: str, n: int = 10) -> pd.DataFrame:
        """The `n` k-mers with the largest cosine similarity to `kmer`: kmer, similarity, count; best first."""
        token = self._token(kmer)
        length = np.linalg.norm(self.vectors, axis=1)
        similarity = self.vectors @ self.vectors[token] / np.maximum(length * length[token], 1e-12)
        others = np.flatnonzero((self.tokens > 0) & (np.arange(len(length)) != token))
        best = others[np.argsort(-similarity[others], kind="stable")[:n]]
        names = self.names
        columns = {"kmer": [names[i] for i in best], "similarity": similarity[best], "count": self.tokens[best]}
        return pd.DataFrame(columns)

    def loss(self, counts: CooccurrenceCounts) -> float:
        """Expected loss per positive pair on counts of the same k, with the number of negatives of training."""
        if counts.k != self.k:
            raise ShapeError(f"the counts are of {counts.k}-mers, the vectors of {self.k}-mers", value=counts.k)
        return SkipGram(counts, self.record["settings"]["negatives"]).loss(self.vectors, self.contexts)

    def embed(self, codes: Codes) -> NDArray[np.float64]:
        """Mean vector of the k-mers of each window, the same for both strands.

        Parameters
        ----------
        codes : uint8, shape=(n, length)
            Base codes.

        Returns
        -------
        float64, shape=(n, dim)
            K-mers that hold an N, or that training did not see, are left out of the mean; zero where none is left.

        Raises
        ------
        ShapeError
            Where codes are not two-dimensional, or shorter than k.
        """
        if codes.ndim != 2 or codes.shape[1] < self.k:
            raise ShapeError(f"codes must have the shape (n, length), length >= {self.k}", value=codes.shape)
        pooled = np.zeros((len(codes), self.dim))
        for first in range(0, len(codes), _EMBED_ROWS):
            pooled[first : first + _EMBED_ROWS] = self._pool(codes[first : first + _EMBED_ROWS])
        return pooled

    def _pool(self, codes: Codes) -> NDArray[np.float64]:
        tokens = canonical_tokens(codes, self.k)
        known = (tokens >= 0) & (self.tokens[tokens] > 0)
        rows, found = np.nonzero(known)[0], tokens[known]
        # summed in token order, not in order of position, so that both strands agree to the last bit
        counts = sparse.coo_array((np.ones(len(found)), (rows, found)), shape=(len(codes), len(self.tokens))).tocsr()
        counts.sum_duplicates()
        return counts @ self.vectors.astype(np.float64) / np.maximum(counts.sum(1), 1)[:, None]

    def save(self, path: PathLike) -> None:
        """Write an AnnData file (.h5ad): X = vectors, obs = canonical k-mers with count and GC, uns = the record."""
        import anndata

        names = self.names
        gc = [sum(letter in "GC" for letter in name) / self.k for name in names]
        obs = pd.DataFrame({"count": self.tokens, "gc": gc}, index=pd.Index(names, dtype=object))
        data = anndata.AnnData(self.vectors, obs=obs, obsm={"context": self.contexts})
        data.uns["format"] = _FORMAT
        data.uns["provenance"] = json.dumps(self.record, sort_keys=True, allow_nan=False)
        with atomic(path) as temporary:
            data.write_h5ad(temporary)

    @classmethod
    def load(cls, path: PathLike) -> Self:
        """Read vectors that `save` wrote; a FileFormatError where it is another or a damaged file."""
        import anndata

        remedy = "give a file written by KmerEmbedding.save, or run the kmers stage again"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", anndata.OldFormatWarning)  # its files are refused below
                data = anndata.read_h5ad(existing(path))
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise FileFormatError(f"not a readable h5ad file: {error}", path=path, remedy=remedy) from None
        if data.uns.get("format") != _FORMAT:
            raise FileFormatError("an h5ad file, but not of k-mer vectors", path=path, remedy=remedy)
        record = json.loads(data.uns["provenance"])
        tokens, contexts = data.obs["count"].to_numpy(), data.obsm["context"]
        return cls(len(data.obs_names[0]), np.asarray(data.X), np.asarray(contexts), tokens, record)

    def to_word2vec(self, path: PathLike) -> None:
        """Write word2vec text: a line "n_kmers dim", then the canonical form of each seen k-mer and its vector."""
        seen = np.flatnonzero(self.tokens > 0)
        names = self.names
        lines = [f"{names[i]} " + " ".join(f"{value:.6g}" for value in self.vectors[i].tolist()) for i in seen]
        with atomic(path) as temporary:
            Path(temporary).write_text("\n".join([f"{len(seen)} {self.dim}", *lines]) + "\n")

    def _token(self, kmer: str) -> int:
        codes = encode(kmer)
        if len(codes) != self.k or (codes > 3).any():
            raise ShapeError(f"not a k-mer of {self.k} letters A, C, G, T", value=kmer)
        token = int(canonical_tokens(codes, self.k)[0])
        if not self.tokens[token]:
            raise ModelError(
                "the k-mer does not occur in the training sequence, so it has no vector",
                value=kmer,
                remedy="train on more sequence or with a smaller k",
            )
        return token


def _chroms_of(regions: pd.DataFrame | None) -> list[str]:
    return [] if regions is None else list(dict.fromkeys(regions["chrom"]))


def _places(regions: pd.DataFrame | None, chroms: list[str]) -> list[list[Any]] | None:
    """The regions on some chromosomes as plain values, chrom, start and end; None: the whole chromosomes."""
    if regions is None:
        return None
    columns = regions.loc[regions["chrom"].isin(chroms), ["chrom", "start", "end"]].to_dict("list")
    return [list(place) for place in zip(*columns.values(), strict=True)]


def _check_settings(settings: dict[str, float]) -> None:
    check_settings(**settings)
    n_tokens = len(canonical_table(int(settings["k"]))[1])
    if settings["dim"] > n_tokens:
        raise ConfigError(
            f"'dim' is larger than the number of strand-tied {settings['k']}-mers, {n_tokens}",
            value=settings["dim"],
            remedy=f"choose dim <= {n_tokens}, or a larger k",
        )


def _check_apart(
    trained: list[str], held_out: list[str], regions: pd.DataFrame | None, validation_regions: pd.DataFrame | None
) -> None:
    """Refuse (SplitError) sequence for both training and validation, and nothing to train on."""
    from genocontrast.genome.intervals import overlaps

    remedy = "name each chromosome for one of the two only"
    if not trained:
        raise SplitError("no chromosome is left to train on", remedy=remedy)
    both = sorted(set(trained) & set(held_out))
    if not both:
        return
    if regions is None or validation_regions is None:
        raise SplitError("chromosomes for both training and validation", value=both, remedy=remedy)
    shared = overlaps(validation_regions, regions[regions["chrom"].isin(both)])
    if shared.any():
        raise SplitError(
            f"{shared.sum():,} validation regions overlap a training region", remedy="leave a gap between the two"
        )


def _losses(history: list[dict[str, Any]], negatives: float) -> dict[str, Any]:
    """Losses per positive pair at the start and of the fit that was kept, beside what they must beat."""
    watched = "train" if history[0]["validation"] is None else "validation"
    kept = min(history, key=lambda look: look[watched])
    return {
        "start": history[0],
        "final": kept,
        "best_constant": best_constant_loss(negatives),
        "zero": zero_loss(negatives),
    }
