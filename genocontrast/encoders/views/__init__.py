"""Views of DNA windows for contrastive training: random changes that a model should see through.

A view is called as `view(codes, generator)`; what it does is drawn first and done by a pure kernel then.
"""

from genocontrast.encoders.views.changing import Mutation, RepeatDropout, ReverseComplement, SequencingNoise
from genocontrast.encoders.views.codes import (
    mask_of,
    one_hot,
    reverse_complement,
    reverse_complement_codes,
    with_mask,
    without_mask,
)
from genocontrast.encoders.views.combining import Choice, Compose
from genocontrast.encoders.views.description import VIEWS, from_config, to_config
from genocontrast.encoders.views.kernels import shift
from genocontrast.encoders.views.moving import Crop, Deletion, Insertion, Inversion, Rotation, Shift, Translocation
from genocontrast.encoders.views.view import View

__all__ = [
    "VIEWS",
    "Choice",
    "Compose",
    "Crop",
    "Deletion",
    "Insertion",
    "Inversion",
    "Mutation",
    "RepeatDropout",
    "ReverseComplement",
    "Rotation",
    "SequencingNoise",
    "Shift",
    "Translocation",
    "View",
    "from_config",
    "mask_of",
    "one_hot",
    "reverse_complement",
    "reverse_complement_codes",
    "shift",
    "to_config",
    "with_mask",
    "without_mask",
]
