"""Which bases speak for a promoter: integrated gradients, and the exact effect of every substitution.

Both strands of a window are one thing here: a window and its reverse complement get attributions that mirror each
other exactly. An encoder that treats strands alike is read from the strand that sorts first; of one that does not
(free) the logits of both strands are averaged, and that mean is what is attributed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genocontrast.artefacts import PathLike, write_arrays
from genocontrast.evaluation.dinucleotides import shuffle
from genocontrast.sequence import N_CODE, Codes, one_hot, one_strand, reverse_complement

if TYPE_CHECKING:
    import torch

    from genocontrast.training.model import Model

Floats = NDArray[np.float32]

GRADIENTS, MUTAGENESIS = "integrated gradients", "mutagenesis"
REFERENCES = 12
"""Shuffles of each window that its logit is compared with."""
STEPS = 3
"""Points on the straight path from each shuffle to the window, one in each of equal parts."""
BATCH = 128


@dataclass(frozen=True)
class Attribution:
    """What the bases of n windows add to the promoter logit.

    Attributes
    ----------
    effects : numpy.ndarray of float32, shape=(n, 4, length)
        What each base would contribute at each position, had it stood there; in logits.
    contributions : numpy.ndarray of float32, shape=(n, length)
        What the base that stands there contributes, against the shuffles.
    logits, reference_logits : numpy.ndarray of float32, shape=(n,)
        Of the windows, and the mean over their shuffles.
    method : {"integrated gradients", "mutagenesis"}
        Mutagenesis, of encoders that read no mixtures of bases: a base's contribution is the logit less its mean over
        the four bases at that place. These do not add up to a difference of logits.
    """

    effects: Floats
    contributions: Floats
    logits: Floats
    reference_logits: Floats
    method: str = GRADIENTS

    def mirrored(self, rows: NDArray[np.bool_]) -> Attribution:
        """The same, with the windows of these rows, shape=(n,), read from the other strand."""
        effects, contributions = self.effects.copy(), self.contributions.copy()
        effects[rows], contributions[rows] = effects[rows, ::-1, ::-1], contributions[rows, ::-1]
        return replace(self, effects=effects, contributions=contributions)

    @property
    def error(self) -> Floats:
        """Completeness: sum of contributions less what they should sum to (logit less references'), shape=(n,)."""
        return self.contributions.sum(1) - (self.logits - self.reference_logits)

    @property
    def relative_error(self) -> float:
        """Root mean square of the completeness error as a share of that of what is explained."""
        explained = float(np.sqrt(np.mean((self.logits - self.reference_logits).astype(np.float64) ** 2)))
        return float(np.sqrt(np.mean(self.error.astype(np.float64) ** 2))) / max(explained, 1e-12)


def attribute(
    model: Model, codes: Codes, references: int = REFERENCES, steps: int = STEPS, seed: int = 0
) -> Attribution:
    """Integrated gradients of the promoter logit against shuffles that keep each window's dinucleotides.

    Of an encoder that reads k-mers, which mixtures of bases have none of: the effect of every substitution.

    Parameters
    ----------
    model : Model
        Its `network` takes one-hot windows, shape=(n, 4, length), and gives their `.logit`. Its mode
        and its parameters are left as they were.
    codes : numpy.ndarray of uint8, shape=(n, length)
        Windows.
    references : int
        Shuffles of each window.
    steps : int
        Points on the path from each shuffle to the window.
    seed : int
        Seed of the shuffles.

    Returns
    -------
    Attribution

    Notes
    -----
    Source: Sundararajan et al., ICML 2017; shuffles as references, and effects of bases that are not there: Shrikumar
    et al., ICML 2017.
    """
    canonical, mirrored = one_strand(codes)
    n, length = codes.shape
    rng = np.random.default_rng(seed)
    if not getattr(model.network, "reads_mixtures", True):
        found = _by_substitution(model, canonical, [shuffle(canonical, rng) for _ in range(references)])
        return found.mirrored(mirrored)
    windows = one_hot(canonical)
    effects, contributions = np.zeros((n, 4, length), np.float32), np.zeros((n, length), np.float32)
    reference_logits = np.zeros(n, np.float32)
    for reference in range(references):
        shuffled = shuffle(canonical, rng)
        start = one_hot(shuffled)
        reference_logits += mean_logits(model, shuffled) / references
        gradient = np.zeros_like(windows)
        for step in range(steps):
            # each reference has points of its own: together they cover the path more densely
            share = np.float32((step + (reference + 0.5) / references) / steps)
            gradient += _gradients(model, start + share * (windows - start)) / steps
        expected = (gradient * start).sum(1)
        effects += (gradient - expected[:, None]) / references
        contributions += ((gradient * windows).sum(1) - expected) / references
    return Attribution(effects, contributions, mean_logits(model, canonical), reference_logits).mirrored(mirrored)


def _by_substitution(model: Model, codes: Codes, shuffles: list[Codes]) -> Attribution:
    """Attribution of windows on the strand that sorts first."""
    change = mutagenesis(model, codes)
    effects = change - change.mean(1, keepdims=True)
    references = np.stack([mean_logits(model, shuffled) for shuffled in shuffles]).mean(0)
    contributions = (effects * one_hot(codes)).sum(1)
    return Attribution(effects, contributions, mean_logits(model, codes), references, MUTAGENESIS)


def mutagenesis(model: Model, codes: Codes) -> Floats:
    """Change of the promoter logit by every substitution, exactly: 3 * length windows are scored for each.

    Parameters
    ----------
    model : Model
    codes : numpy.ndarray of uint8, shape=(n, length)
        Windows.

    Returns
    -------
    numpy.ndarray of float32, shape=(n, 4, length)
        Logit with the base at the position, less the window's own; 0 for the base that is there, and at N.
    """
    canonical, mirrored = one_strand(codes)
    n, length = codes.shape
    own = mean_logits(model, canonical)
    change = np.zeros((n, 4, length), np.float32)
    rows, bases = np.indices((n, 4)).reshape(2, -1)
    for position in range(length):
        present = canonical[rows, position]
        told = (present < N_CODE) & (present != bases)
        mutant = canonical[rows[told]]
        mutant[:, position] = bases[told]
        change[rows[told], bases[told], position] = mean_logits(model, mutant) - own[rows[told]]
    change[mirrored] = change[mirrored, ::-1, ::-1]
    return change


def write_attributions(
    path: PathLike, names: NDArray[np.str_], found: Attribution, record: Mapping[str, Any] | None = None
) -> None:
    """Write attributions of named windows as a NumPy archive, with the record of what made them.

    Arrays: `name` (str, n), `contribution` (float16, n x length, logits), `logit`, `reference_logit` (float32, n).
    """
    write_arrays(
        path,
        {
            "name": names,
            "contribution": found.contributions.astype(np.float16),
            "logit": found.logits,
            "reference_logit": found.reference_logits,
        },
        record,
    )


def mean_logits(model: Model, codes: Codes) -> Floats:
    """Promoter logits of windows, of a free encoder the mean of both strands, shape=(n, length) -> (n,)."""
    if not len(codes):
        return np.zeros(0, np.float32)
    if not _reads_one_strand(model):
        return model.logits_codes(codes)
    both = [model.logits_codes(strand) for strand in (codes, reverse_complement(codes))]
    return np.asarray((both[0] + both[1]) / 2, dtype=np.float32)


def _reads_one_strand(model: Model) -> bool:
    return model.network.strand == "free"


def _gradients(model: Model, windows: Floats) -> Floats:
    """Gradient of `mean_logits` to windows between one-hot ones, shape=(n, 4, length)."""
    network = model.network
    was_training = network.training
    network.eval()
    try:
        forward = _backward(network, windows)
        if not _reads_one_strand(model):
            return forward
        # reversing channels and positions turns the other strand's columns into this strand's
        backward = _backward(network, windows[:, ::-1, ::-1].copy())[:, ::-1, ::-1]
        return np.asarray((forward + backward) / 2, dtype=np.float32)
    finally:
        network.train(was_training)


def _backward(network: torch.nn.Module, windows: Floats) -> Floats:
    import torch

    device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
    found = []
    for first in range(0, len(windows), BATCH):
        batch = torch.from_numpy(windows[first : first + BATCH]).to(device).requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(network(batch).logit.sum(), batch)
        found.append(gradient.cpu().numpy())
    return np.concatenate(found) if found else np.zeros_like(windows)
