"""The k-mer encoder: a window is the pool of its k-mers' vectors, which both strands of a window share."""

from __future__ import annotations

from typing import Literal, Protocol, Self, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from genocontrast.encoders.encoder import Encoder
from genocontrast.errors import ConfigError, ModelError, ShapeError
from genocontrast.kmers.embedding import SIF_CONSTANT
from genocontrast.sequence import canonical_table

Pooling = Literal["mean", "sif", "attention"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


class KmerVectors(Protocol):
    """What the encoder takes of fitted vectors; `KmerEmbedding` has it."""

    @property
    def k(self) -> int:
        """Length of the k-mers, bp."""

    @property
    def vectors(self) -> NDArray[np.float32]:
        """One vector for a k-mer and its reverse complement, shape=(n_tokens, vector_dim)."""

    @property
    def tokens(self) -> NDArray[np.int64]:
        """Occurrences in training, shape=(n_tokens,)."""


class KmerEncoder(Encoder):
    """Encoder that sees which k-mers a window of k bp or more holds, and not where.

    Parameters
    ----------
    k : int
        Length of the k-mers, bp.
    vector_dim : int
        Dimensions of the k-mers' vectors, which start at random here and as fitted in `from_vectors`.
    pooling : {"mean", "sif", "attention"}
        How the vectors of a window become one: by a mean in which all k-mers weigh the same ("mean"), or a / (a + p)
        each, p its share of the training sequence ("sif"; Arora et al., ICLR 2017, who divide by the number of words
        and remove the first principal component, both of which is left to the layers above), or by the softmax over
        positions of a score that is learned for each k-mer ("attention", which starts as the mean).
    dim : int
        Dimensions of the embedding.
    dropout : float
        Dropout of the features, before the heads.
    smoothing : float
        The a of "sif".

    Notes
    -----
    K-mers that hold an N, or that training did not see, are left out; a window without any has features of zero.
    Windows are summed in the order of their tokens, so that both strands have the same answer to the last bit.

    A k-mer is in a window by the product of its bases' columns, which makes weights and their sum multilinear in the
    one-hot window. The gradient with respect to the window is that of this extension: for "mean" the difference of
    two bases' gradients is exactly what exchanging them does to the pool. It cannot be differentiated twice.
    """

    token_of: Tensor
    counts: Tensor
    centre: Tensor
    spread: Tensor

    reads_mixtures = False

    def __init__(
        self,
        k: int,
        vector_dim: int = 32,
        pooling: Pooling = "mean",
        dim: int = 64,
        dropout: float = 0.0,
        smoothing: float = SIF_CONSTANT,
    ) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise ModelError(f"pooling is none of {', '.join(POOLINGS)}", value=pooling)
        if not smoothing > 0:
            raise ModelError("the smoothing of SIF weights must be positive", value=smoothing)
        self.k, self.pooling, self.smoothing, self.strand = k, pooling, smoothing, "tied"
        given = {"k": k, "vector_dim": vector_dim, "pooling": pooling, "dim": dim, "dropout": dropout}
        self.architecture = {"encoder": "kmers", **given, "smoothing": smoothing}
        token_of, canonical = canonical_table(k)
        self.vectors = nn.Parameter(torch.randn(len(canonical), vector_dim) / vector_dim**0.5)
        if pooling == "attention":
            self.scores = nn.Parameter(torch.zeros(len(canonical)))
        self.register_buffer("token_of", torch.tensor(token_of), persistent=False)
        self.register_buffer("counts", torch.ones(len(canonical), dtype=torch.int64))
        self.feature_dim = 2 * dim
        self.reading = nn.Sequential(nn.Linear(vector_dim, self.feature_dim), nn.GELU())
        self._add_heads(dim, dropout)
        self._standardise()

    @classmethod
    def from_vectors(
        cls,
        kmers: KmerVectors,
        pooling: Pooling = "mean",
        dim: int = 64,
        dropout: float = 0.0,
        smoothing: float = SIF_CONSTANT,
    ) -> Self:
        """An encoder that starts with fitted vectors and knows how frequent their k-mers are; see the class.

        Raises
        ------
        ConfigError
            Where the vectors are of spaced seeds.
        ShapeError
            Where vectors and counts are not one for each token of k.
        ModelError
            Where a vector is not finite, or no k-mer was seen.
        """
        vectors, counts = _checked(kmers)
        encoder = cls(kmers.k, vectors.shape[1], pooling, dim, dropout, smoothing)
        with torch.no_grad():
            encoder.vectors.copy_(vectors)
            encoder.counts.copy_(counts)
        encoder._standardise()
        return encoder

    def features(self, x: Tensor) -> Tensor:
        """Features of one-hot windows, shape=(n, 4, length) -> (n, 1, feature_dim): a reading of their pools.

        A pool is read as its distance from the training sequence's, in standard errors of a mean of as many k-mers.
        """
        tokens = self.tokens(x)
        n_kmers = (tokens >= 0).sum(1, keepdim=True, dtype=x.dtype)
        read = self.reading((self._pool(x, tokens) - self.centre) * n_kmers.sqrt() / self.spread)
        return self.dropout(torch.where(n_kmers > 0, read, 0.0))[:, None]

    def pooled(self, x: Tensor) -> Tensor:
        """Weighted mean vector of the k-mers of one-hot windows, shape=(n, 4, length) -> (n, vector_dim)."""
        return self._pool(x, self.tokens(x))

    def weights(self, x: Tensor) -> Tensor:
        """Weight of each position in its window's pool, shape=(n, 4, length) -> (n, length - k + 1); 0: left out."""
        tokens = self.tokens(x)
        mass = self._mass(tokens, tokens)
        return mass / _norm(mass)

    def tokens(self, x: Tensor) -> Tensor:
        """Tokens of a window's k-mers, int64, shape=(n, 4, length) -> (n, length - k + 1); -1: left out."""
        codes, absent = _kmers(x, self.k)
        ids = (codes * self._powers(x)).sum(-1)  # (n, positions)
        return self._seen(ids, ~absent.any(-1))

    def _pool(self, x: Tensor, tokens: Tensor) -> Tensor:
        ordered = tokens.sort(1).values
        mass = self._mass(ordered, ordered)
        read = ordered
        if x.requires_grad:
            others, change = self._substitutions(x)
            read = torch.cat([read, others], dim=1)
            mass = torch.cat([mass, self._mass(others, ordered) * change], dim=1)
        total = functional.embedding_bag(read.clamp(min=0), self.vectors, mode="sum", per_sample_weights=mass)
        return total / _norm(mass)

    def _substitutions(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """K-mers that differ from a window's in at most one base, and 0 with the gradient of having them instead.

        Both of shape=(n, positions * k * 4): every base at every place of every k-mer.
        """
        codes, absent = _kmers(x, self.k)
        powers, bases = self._powers(x), torch.arange(4, device=x.device)
        here = (codes * powers).sum(-1)[..., None, None]  # (n, positions, 1, 1)
        ids = here + (bases - codes[..., None]) * powers[:, None]  # (n, positions, k, 4)
        others_called = (absent.sum(-1, keepdim=True) - absent.long() == 0)[..., None]
        change = (x - x.detach()).unfold(2, self.k, 1).permute(0, 2, 3, 1)  # (n, positions, k, 4)
        return self._seen(ids, others_called).flatten(1), change.flatten(1)

    def _seen(self, ids: Tensor, whole: Tensor) -> Tensor:
        """Tokens of k-mer ids; -1 where a k-mer is not whole, or training did not see it."""
        tokens = self.token_of[ids]
        return torch.where(whole & (self.counts[tokens] > 0), tokens, -1)

    def _powers(self, x: Tensor) -> Tensor:
        return 4 ** torch.arange(self.k - 1, -1, -1, device=x.device)

    def _mass(self, tokens: Tensor, own: Tensor) -> Tensor:
        """Weight of k-mers before it is divided by the sum of a window's, shape=(n, m); `own` are the window's."""
        kept, index = tokens >= 0, tokens.clamp(min=0)
        if self.pooling != "attention":
            return kept * self._fixed_weights()[index]
        # less the window's highest score: the ratio is the same and the exponentials stay finite
        highest = self.scores.detach()[own.clamp(min=0)].masked_fill(own < 0, -torch.inf).amax(1, keepdim=True)
        scores = self.scores[index] - torch.where(highest > -torch.inf, highest, 0)
        return scores.masked_fill(~kept, -torch.inf).exp()

    def _fixed_weights(self) -> Tensor:
        """Weight of each token that no window changes, shape=(n_tokens,)."""
        share = self._share()
        return self.smoothing / (self.smoothing + share) if self.pooling == "sif" else torch.ones_like(share)

    def _share(self) -> Tensor:
        """Share of each token in the training sequence, shape=(n_tokens,)."""
        counts = self.counts.to(self.vectors.dtype)
        return counts / counts.sum()

    @torch.no_grad()
    def _standardise(self) -> None:
        """The pool of the training sequence, and the standard error of a pool times the root of its k-mers' number.

        Pools of hundreds of k-mers lie close together: read as they are, they would teach the layers above slowly.
        """
        weights = self._fixed_weights()
        mass = (self._share() * weights)[:, None]
        centre = (mass * self.vectors).sum(0) / mass.sum()
        # the error of a ratio of two sums, of weighted vectors and of weights
        spread = (mass * weights[:, None] * (self.vectors - centre) ** 2).sum(0).sqrt() / mass.sum()
        self.register_buffer("centre", centre)
        self.register_buffer("spread", torch.where(spread > 0, spread, 1.0))


def _norm(mass: Tensor) -> Tensor:
    """Sum of each window's weights, shape=(n, m) -> (n, 1); 1 where there is none."""
    total = mass.sum(1, keepdim=True)
    return torch.where(total > 0, total, 1)


def _kmers(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Codes of a window's k-mers, N read as 0, and where N is; both of shape=(n, length - k + 1, k)."""
    if x.ndim != 3 or x.shape[1] != 4 or x.shape[2] < k:
        raise ShapeError(f"windows must have shape (n, 4, length >= {k})", value=tuple(x.shape))
    called, (_, c, g, t) = x.sum(1), x.unbind(1)
    # a mixture of bases has no k-mers, and the largest of its parts would be a silent guess
    if not torch.equal(x * x, x) or (called > 1).any():
        raise ShapeError("windows must be one-hot: in a column one 1, or none where N is; a mixture has no k-mers")
    return (c + 2 * g + 3 * t).long().unfold(1, k, 1), (called == 0).unfold(1, k, 1)


def _checked(kmers: KmerVectors) -> tuple[Tensor, Tensor]:
    """Vectors and counts as tensors, or an error that names what is wrong with them."""
    spaced = getattr(kmers, "spaced", None)
    if spaced is not None:
        raise ConfigError(
            "the k-mer encoder reads contiguous k-mers, the vectors are of spaced seeds",
            value=spaced,
            remedy="fit the vectors without a spaced seed",
        )
    vectors, counts = np.asarray(kmers.vectors, np.float32), np.asarray(kmers.tokens, np.int64)
    n_tokens = len(canonical_table(kmers.k)[1])
    if vectors.ndim != 2 or vectors.shape[0] != n_tokens or vectors.shape[1] < 1:
        raise ShapeError(f"vectors of {kmers.k}-mers must have shape ({n_tokens}, vector_dim)", value=vectors.shape)
    if counts.shape != (n_tokens,):
        raise ShapeError(f"counts of {kmers.k}-mers must have shape ({n_tokens},)", value=counts.shape)
    if not np.isfinite(vectors).all():
        raise ModelError("a k-mer's vector is not finite", remedy="fit the vectors again")
    if counts.min() < 0 or not counts.any():
        raise ModelError("counts of k-mers must not be negative, nor all 0", value=int(counts.min()))
    return torch.tensor(vectors), torch.tensor(counts)
