"""Vectors of k-mers: fit, look up, compare, pool over windows."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from genocontrast.artefacts import PathLike
from genocontrast.config import KmersConfig
from genocontrast.display import Described, listed
from genocontrast.errors import ModelError, ShapeError, SplitError
from genocontrast.kmers import storage
from genocontrast.kmers.counting import count_kmers
from genocontrast.kmers.counts import CooccurrenceCounts, CountSettings
from genocontrast.kmers.learning import LEARNED, Learning, check_dim
from genocontrast.kmers.limits import affordable_share, check_memory, check_settings
from genocontrast.kmers.objectives import Table
from genocontrast.kmers.sets import Sets
from genocontrast.kmers.sources import Chromosomes, bases_of, opened
from genocontrast.sequence import Codes, canonical_table, canonical_tokens, encode, kmer_name, seed_offsets

if TYPE_CHECKING:
    from genocontrast.genome.reads import Reads

Pool = Literal["mean", "sif"]
SIF_CONSTANT = 1e-3
"""Of smooth inverse frequency: a k-mer of this frequency weighs half (Arora et al., ICLR 2017, advise 1e-3 to 1e-4)."""
_DEFAULT = KmersConfig()
_EMBED_BASES = 1 << 20  # bases of windows that are pooled at once, which bounds the memory
_LOG = logging.getLogger(__name__)


@dataclass(eq=False, repr=False)
class KmerEmbedding(Described):
    """One vector for each k-mer and its reverse complement.

    Parameters
    ----------
    k : int
        Letters of the k-mers.
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
        genome: Chromosomes | Reads | PathLike,
        regions: pd.DataFrame | None = None,
        chroms: Sequence[str] | None = None,
        k: int = _DEFAULT.k,
        dim: int = _DEFAULT.dim,
        window: int = _DEFAULT.window,
        objective: str = _DEFAULT.objective,
        *,
        skip: int = _DEFAULT.skip,
        spaced: str | None = _DEFAULT.spaced,
        soft_masked: bool = _DEFAULT.soft_masked,
        share: float | None = _DEFAULT.share,
        log_q: bool = _DEFAULT.log_q,
        negatives: float = _DEFAULT.negatives,
        subsample: float = _DEFAULT.subsample,
        iterations: int = _DEFAULT.iterations,
        memory: float = _DEFAULT.memory,
        device: str = _DEFAULT.device,
        seed: int = 1,
        validation_chroms: Sequence[str] | None = None,
        validation_regions: pd.DataFrame | None = None,
    ) -> Self:
        """Fit vectors to the co-occurrence of k-mers.

        Parameters
        ----------
        genome : Genome, Reads or path
            A path of FASTA, 2bit, FASTQ or BAM is opened by its name. Reads have no chromosomes, regions and
            validation.
        regions : DataFrame, optional
            Regions (chrom, start, end) to count in; default: whole chromosomes.
        chroms : sequence of str, optional
            Chromosomes to train on; default: those of the regions, or all, but the validation chromosomes.
        k, dim, window, objective, skip, spaced, soft_masked, share, log_q, negatives, subsample, iterations, memory, \
device
            See the `kmers` section of the configuration, which holds their defaults.
        seed : int
            Seed of the start, and of the draws above k = 8.
        validation_chroms : sequence of str, optional
            Chromosomes that tell when to stop; default: those of the validation regions, or none: the training loss
            tells.
        validation_regions : DataFrame, optional
            Regions to count in on the validation chromosomes, which may then be training chromosomes too; default:
            `regions`.

        Raises
        ------
        ConfigError
            At a setting out of range, or one that needs more memory than allowed; at a chromosome named twice.
        SplitError
            Where a chromosome, or with `validation_regions` a base, is both for training and for validation.
        NamingError, RegionError
            At a chromosome or region that the genome does not have, or too short to hold a pair of k-mers.
        """
        checked = check_settings(
            k=k, dim=dim, window=window, skip=skip, spaced=spaced, soft_masked=soft_masked, share=share,
            objective=objective, log_q=log_q, negatives=negatives, subsample=subsample, iterations=iterations,
            memory=memory, device=device,
        )  # fmt: skip
        learning = Learning(seed=seed, **{name: checked[name] for name in LEARNED})
        check_dim(dim, k)
        source = opened(genome)
        sets = Sets.of(source, regions, chroms, validation_regions, validation_chroms)
        if share is None:
            share = affordable_share(k, window, bases_of(source, sets.trained, regions), memory)
        if not CountSettings(k, window, share=share).sparse:
            check_memory(k, dim, memory, watched=bool(sets.held_out))
        elif share < 1:
            _LOG.info("k-mer vectors: of the pairs of %d-mers, a share of %.3g is counted", k, share)
        around: dict[str, Any] = {
            "k": k, "window": window, "skip": skip, "spaced": spaced, "soft_masked": soft_masked, "share": share,
            "memory": memory,
        }  # fmt: skip
        counts = count_kmers(source, chroms=sets.trained, regions=regions, **around)
        watched = None
        if sets.held_out:
            watched = count_kmers(source, chroms=sets.held_out, regions=sets.watched_in, **around)
        fitted = cls._learned(learning, counts, watched)
        fitted.record |= sets.record(regions)
        return fitted

    @classmethod
    def from_counts(
        cls,
        counts: CooccurrenceCounts,
        validation: CooccurrenceCounts | None = None,
        dim: int = _DEFAULT.dim,
        objective: str = _DEFAULT.objective,
        *,
        log_q: bool = _DEFAULT.log_q,
        negatives: float = _DEFAULT.negatives,
        subsample: float = _DEFAULT.subsample,
        iterations: int = _DEFAULT.iterations,
        device: str = _DEFAULT.device,
        seed: int = 1,
    ) -> Self:
        """Fit vectors to counts; those of `validation`, counted with the same settings, tell when to stop.

        Parameters as in `fit`, but for those of counting, which the counts hold.

        Raises
        ------
        SplitError
            Where a sequence of that name was counted for both.
        ShapeError
            Where the two were counted with different settings.
        ConfigError
            At a setting out of range.
        """
        checked = check_settings(
            dim=dim, objective=objective, log_q=log_q, negatives=negatives, subsample=subsample,
            iterations=iterations, device=device,
        )  # fmt: skip
        check_dim(dim, counts.k)
        both = sorted(set(counts.sequences) & set({} if validation is None else validation.sequences))
        if both:
            raise SplitError(
                "a sequence was counted both for training and for validation",
                value=both[0],
                remedy="leave it out of one of the two",
            )
        return cls._learned(Learning(seed=seed, **checked), counts, validation)

    @classmethod
    def _learned(cls, learning: Learning, counts: CooccurrenceCounts, validation: CooccurrenceCounts | None) -> Self:
        fitted, losses, device = learning.fit(counts, validation)
        seen = counts.tokens[:, None] > 0
        record = {
            "settings": {**asdict(counts.settings), **asdict(learning), "device": device},
            "sequences": {"train": counts.sequences, "validation": {} if validation is None else validation.sequences},
            "kmers": {"seen": int(seen.sum()), "unseen": int((~seen).sum()), "occurrences": int(counts.tokens.sum())},
            "losses": losses,
            "history": fitted.history,
        }
        return cls(counts.k, fitted.words * seen, fitted.contexts * seen, counts.tokens, record)

    def facts(self) -> dict[str, str]:
        """What a notebook shows."""
        settings, trained = self.record.get("settings", {}), self.record.get("sequences", {}).get("train", ())
        return {
            "k": str(self.k) if self.spaced is None else f"{self.k} ({self.spaced})",
            "dim": str(self.dim),
            "k-mers": f"{int((self.tokens > 0).sum()):,} of {len(self.tokens):,}",
            **({"objective": str(settings["objective"])} if "objective" in settings else {}),
            **({"trained on": listed(trained)} if trained else {}),
        }

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.vectors.shape[1]

    @property
    def spaced(self) -> str | None:
        """The spaced seed; None: k neighbouring bases."""
        return self.record.get("settings", {}).get("spaced")

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
        """The `n` (1 or more) k-mers of largest cosine similarity to `kmer`: kmer, similarity, count; best first."""
        token = self._token(kmer)
        return self._closest(self._unit()[token], [token], n)

    def analogy(self, one: str, other: str, third: str, n: int = 10) -> pd.DataFrame:
        """K-mers that are to `third` as `other` is to `one`: those nearest to other - one + third, as unit vectors.

        Returns
        -------
        DataFrame
            As `nearest`, without the three.

        Notes
        -----
        The 3CosAdd rule of Mikolov et al., NAACL 2013.
        """
        tokens = [self._token(kmer) for kmer in (one, other, third)]
        unit = self._unit()
        target = unit[tokens[1]] - unit[tokens[0]] + unit[tokens[2]]
        return self._closest(target / max(float(np.linalg.norm(target)), 1e-12), tokens, n)

    def loss(self, counts: CooccurrenceCounts) -> float:
        """Expected loss per positive pair, by the objective of training; each set of counts brings its own negatives.

        Of counts that are lists (above k = 8) it is estimated from draws, the same ones each time.

        Parameters
        ----------
        counts : CooccurrenceCounts
            Of the same k and spaced seed; other windows are allowed, and are another question.

        Raises
        ------
        ShapeError
            At counts of other k-mers.
        """
        mine, theirs = (self.k, self.spaced), (counts.k, counts.settings.spaced)
        if mine != theirs:
            raise ShapeError(
                f"the counts are of {_described(*theirs)}, the vectors of {_described(*mine)}",
                remedy="count with the k and the spaced seed of the vectors",
            )
        settings = {name: self.record["settings"][name] for name in (*LEARNED, "seed")} | {"device": "cpu"}
        return Learning(**settings).loss(counts, self.vectors, self.contexts)

    def embed(self, codes: Codes, pool: Pool = "mean") -> NDArray[np.float64]:
        """Pooled vectors of the k-mers of each window, the same for both strands.

        Parameters
        ----------
        codes : uint8, shape=(n, length)
            Base codes.
        pool : {"mean", "sif"}
            Mean, or mean weighted by smooth inverse frequency, a / (a + frequency in training), a = 0.001 (Arora et
            al., ICLR 2017; their common component, which would be fitted to the windows, is not removed).

        Returns
        -------
        float64, shape=(n, dim)
            K-mers that hold an N, or that training did not see, are left out of the mean; zero where none is left.

        Raises
        ------
        ShapeError
            Where codes are not two-dimensional, or shorter than a k-mer; or at an unknown pool.
        """
        span = seed_offsets(self.spaced, self.k)[-1] + 1
        if codes.ndim != 2 or codes.shape[1] < span:
            raise ShapeError(f"codes must have the shape (n, length), length >= {span}", value=codes.shape)
        if pool not in ("mean", "sif"):
            raise ShapeError("pool is neither mean nor sif", value=pool)
        weights = (self.tokens > 0).astype(np.float64)
        if pool == "sif":
            weights *= SIF_CONSTANT / (SIF_CONSTANT + self.tokens / max(self.tokens.sum(), 1))
        pooled = np.zeros((len(codes), self.dim))
        rows = max(1, _EMBED_BASES // codes.shape[1])
        for first in range(0, len(codes), rows):
            pooled[first : first + rows] = self._pool(codes[first : first + rows], weights)
        return pooled

    def _pool(self, codes: Codes, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        tokens = canonical_tokens(codes, self.k, self.spaced)
        known = (tokens >= 0) & (self.tokens[tokens] > 0)
        rows, found = np.nonzero(known)[0], tokens[known]
        # summed in token order, not in order of position, so that both strands agree to the last bit
        counts = sparse.coo_array((np.ones(len(found)), (rows, found)), shape=(len(codes), len(self.tokens))).tocsr()
        counts.sum_duplicates()
        total = counts @ weights
        return counts @ (self.vectors * weights[:, None]) / np.where(total > 0, total, 1)[:, None]

    def save(self, path: PathLike) -> None:
        """Write an AnnData file (.h5ad): X = vectors; obs = canonical k-mers, count, GC and CpG; uns = the record."""
        storage.write_h5ad(path, self.names, self.vectors, self.contexts, self.tokens, self.record)

    @classmethod
    def load(cls, path: PathLike) -> Self:
        """Read vectors that `save` wrote; a FileFormatError where it is another or a damaged file."""
        return cls(**storage.read_h5ad(path))

    def to_word2vec(self, path: PathLike) -> None:
        """Write word2vec text: a line "n_kmers dim", then the canonical form of each seen k-mer and its vector."""
        seen, names = np.flatnonzero(self.tokens > 0), self.names
        storage.write_word2vec(path, [names[i] for i in seen], self.vectors[seen])

    def _unit(self) -> Table:
        return self.vectors / np.maximum(np.linalg.norm(self.vectors, axis=1, keepdims=True), 1e-12)

    def _closest(self, target: Table, without: list[int], n: int) -> pd.DataFrame:
        similarity = self._unit() @ target
        others = np.setdiff1d(np.flatnonzero(self.tokens > 0), without)
        best = others[np.argsort(-similarity[others], kind="stable")[:n]]
        names = self.names
        columns = {"kmer": [names[i] for i in best], "similarity": similarity[best], "count": self.tokens[best]}
        return pd.DataFrame(columns)

    def _token(self, kmer: str) -> int:
        codes = encode(kmer)
        if len(codes) != self.k or (codes > 3).any():
            raise ShapeError(
                f"not a k-mer of {self.k} letters A, C, G, T",
                value=kmer,
                remedy=f"the vectors are of {_described(self.k, self.spaced)}",
            )
        token = int(canonical_tokens(codes, self.k)[0])
        if not self.tokens[token]:
            raise ModelError(
                "the k-mer does not occur in the training sequence, so it has no vector",
                value=kmer,
                remedy="train on more sequence or with a smaller k",
            )
        return token


def _described(k: int, spaced: str | None) -> str:
    return f"{k}-mers" if spaced is None else f"{k}-mers, the letters under the ones of {spaced}"
