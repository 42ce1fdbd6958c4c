"""Windows as text, and any view: what the tests of views share. Soft-masked letters are lower-case."""

import numpy as np
import torch
from hypothesis import strategies as st

from genocontrast.encoders.views import (
    Choice,
    Compose,
    Crop,
    Deletion,
    Insertion,
    Inversion,
    Mutation,
    RepeatDropout,
    ReverseComplement,
    Rotation,
    SequencingNoise,
    Shift,
    Translocation,
)

LETTERS = "ACGTN???acgtn"
PAIRED = str.maketrans("ACGTacgt", "TGCAtgca")


def mirrored(text):
    return text[::-1].translate(PAIRED)


def codes_of(*texts):
    return torch.tensor([[LETTERS.index(letter) for letter in text] for text in texts], dtype=torch.uint8)


def text_of(codes):
    """Text of each window; a code outside of the alphabet fails."""
    assert codes.dtype == torch.uint8
    texts = ["".join(LETTERS[code] for code in row) for row in codes.tolist()]
    assert not any("?" in text for text in texts)
    return texts


def random_codes(n, length, seed, alphabet="ACGTNacgtn"):
    codes = np.array([LETTERS.index(letter) for letter in alphabet], dtype=np.uint8)
    return torch.from_numpy(np.random.default_rng(seed).choice(codes, (n, length)))


_bp = st.integers(0, 6)
_rates = st.sampled_from([0, 0.1, 0.5, 1])
_bounds = st.tuples(_bp, _bp).map(sorted)
_plain = st.one_of(
    st.builds(ReverseComplement, _rates),
    st.builds(Shift, _bp),
    st.builds(Crop, st.integers(1, 6)),
    st.builds(Mutation, _rates),
    st.builds(Insertion, _bp),
    st.builds(Deletion, _bp),
    st.builds(Translocation, _bp),
    _bounds.map(lambda bounds: Inversion(*bounds)),
    st.builds(RepeatDropout, _rates),
    st.builds(SequencingNoise, _rates, _rates, _rates),
    st.just(Rotation()),
)


@st.composite
def choices(draw, members):
    chosen = draw(st.lists(members, min_size=1, max_size=4))
    number = draw(st.integers(1, len(chosen)))
    return Choice(chosen, number, draw(st.none() | st.integers(0, number)))


def views():
    """Any view: plain, cutting off flanks, or made of other views."""
    unflanked = _plain | st.lists(_plain, max_size=3).map(Compose)
    any_length = _plain | st.builds(Shift, _bp, _bp) | choices(unflanked)
    return any_length | st.lists(any_length, max_size=4).map(Compose)
