"""What all encoders have in common: features of windows, and the heads that read them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from genocontrast.encoders.layers import at_least_single


class Encoded(NamedTuple):
    """What an encoder says of n windows."""

    embedding: Tensor
    """Vectors of length 1, shape=(n, dim)."""
    logit: Tensor
    """Log odds that the window is a promoter, shape=(n,)."""
    directed: Tensor
    """Log odds of a promoter on the given strand, and on the other one, against none, shape=(n, 2): reverse
    complementing the window swaps them. shape=(n, 1) where the encoder has no say in directions: the logit."""


class Encoder(nn.Module, ABC):
    """One-hot windows in, embedding and promoter logit out.

    Attributes
    ----------
    strand : {"tied", "twin", "free"}
        How the two strands are treated; "free" alone answers them differently.
    architecture : dict
        What builds the encoder again, without its weights; plain JSON values.
    feature_dim : int
        Dimensions of the features.
    reads_mixtures : bool
        Whether windows that lie between one-hot ones can be read, as gradients along a path need it.
    """

    strand: str
    architecture: dict[str, Any]
    feature_dim: int
    reads_mixtures: bool = True

    def _add_heads(self, dim: int, dropout: float) -> None:
        """Heads for embeddings of `dim` dimensions and for the logit; the last layers that a subclass makes."""
        self.dropout = nn.Dropout(dropout)
        self.embedding_head = nn.Linear(self.feature_dim, dim)
        self.logit_head = nn.Linear(self.feature_dim, 1)

    def forward(self, x: Tensor) -> Encoded:
        """Encode one-hot windows, shape=(n, 4, length), channels ACGT, N all zeros.

        Raises
        ------
        ShapeError
            At any other shape, or at windows too short for the encoder.
        """
        return self.heads(self.features(x))

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """Features of one-hot windows, shape=(n, 4, length) -> (n, readings, feature_dim).

        Two readings, of the given strand and of the other one, where directions matter; otherwise one.
        """

    def heads(self, features: Tensor) -> Encoded:
        """What the features, shape=(n, readings, feature_dim), say.

        No promoter, one on the given strand and one on the other are three outcomes with log odds 0, a and b: some
        promoter or other has log odds log(exp(a) + exp(b)).
        """
        embedding = functional.normalize(at_least_single(self.embedding_head(features)).mean(1), dim=-1)
        directed = at_least_single(self.logit_head(features).squeeze(-1))
        return Encoded(embedding, directed.logsumexp(1), directed)
