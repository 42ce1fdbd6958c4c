"""The trained model: scores and embeddings of windows, saved as safetensors beside a readable description."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from genocontrast.artefacts import PathLike, atomic_folder, existing, read_json
from genocontrast.display import Described, listed
from genocontrast.encoders import Encoded, Encoder, KmerEncoder, StrandEncoder
from genocontrast.encoders.views import one_hot
from genocontrast.errors import FileFormatError, ModelError, ShapeError
from genocontrast.genome.regions import check_within, resize
from genocontrast.sequence import Codes, one_strand
from genocontrast.training.calibration import calibrated, check_prevalence
from genocontrast.training.data import flanked_codes
from genocontrast.version import __version__

if TYPE_CHECKING:
    from genocontrast.genome import Genome

FORMAT = 2
"""Raised when a saved model can no longer be read by older versions, or older ones by this."""
_CONFIG, _WEIGHTS = "config.json", "model.safetensors"


@dataclass(repr=False)
class Model(Described):
    """A trained promoter model.

    Parameters
    ----------
    network : Encoder
        Takes one-hot windows, float32, shape=(n, 4, length), on its own device.
    width : int
        bp of the windows that it was trained on.
    chromosomes : dict of str to list of str
        The chromosomes that it has seen: "train" fitted it, "validation" stopped it and set its temperature.
    provenance : dict
        What made it.
    history : list of dict, optional
        Figures of each epoch, where it has just been trained; not saved with the model.
    temperature : float, optional
        Divides the network's logits, so that its probabilities are as frequent as they say; see `fit_temperature`.
    pretrained_on : list of (chrom, start, end), optional
        Segments whose sequence it has seen without labels before.
    """

    network: Encoder
    width: int
    chromosomes: dict[str, list[str]]
    provenance: dict[str, Any]
    history: list[dict[str, Any]] = field(default_factory=list, repr=False)
    temperature: float = 1.0
    pretrained_on: list[tuple[str, int, int]] = field(default_factory=list, repr=False)

    def facts(self) -> dict[str, str]:
        """What a notebook shows."""
        seen = {"trained on": "train", "stopped on": "validation"}
        pretrained = dict.fromkeys(chrom for chrom, _, _ in self.pretrained_on)
        return {
            "encoder": type(self.network).__name__,
            "strand": self.network.strand,
            "width": f"{self.width:,} bp",
            "parameters": f"{sum(part.numel() for part in self.network.parameters()):,}",
            "temperature": f"{self.temperature:.3g}",
            **{how: listed(self.chromosomes[split]) for how, split in seen.items() if self.chromosomes.get(split)},
            **({"pretrained on": listed(pretrained)} if pretrained else {}),
        }

    def score_codes(
        self, codes: Codes, batch_size: int = 256, *, prevalence: float | None = None
    ) -> NDArray[np.float32]:
        """Calibrated probability that each window is a promoter, codes of shape=(n, length) -> (n,).

        Parameters
        ----------
        codes : numpy.ndarray of uint8, shape=(n, length)
        batch_size : int
        prevalence : float, optional
            Share of promoters among the windows, between 0 and 1. Default: one half, as in training. See `rescale`.

        Raises
        ------
        ShapeError
            Where codes or prevalence are out of range.
        """
        if prevalence is not None:
            check_prevalence(prevalence)  # before the windows are read, which takes its time
        return calibrated(self.logits_codes(codes, batch_size), self.temperature, prevalence)

    def logits_codes(self, codes: Codes, batch_size: int = 256) -> NDArray[np.float32]:
        """Log odds as the network gives them, not calibrated, codes of shape=(n, length) -> (n,)."""
        return self._encode(codes, batch_size).logit.numpy()

    def embed_codes(self, codes: Codes, batch_size: int = 256) -> NDArray[np.float32]:
        """Embeddings of length 1, codes of shape=(n, length) -> (n, dim)."""
        return self._encode(codes, batch_size).embedding.numpy()

    def attention_codes(self, codes: Codes, batch_size: int = 256) -> NDArray[np.float32]:
        """How much each position counts, shape=(n, length) -> (n, bins), sums 1; see `StrandEncoder.attention`.

        Raises
        ------
        ModelError
            Where the encoder has no attention over positions.
        """
        if not isinstance(self.network, StrandEncoder):
            raise ModelError("the encoder has no attention over positions", value=type(self.network).__name__)
        _check_codes(codes)
        # as the windows are given, whose positions are asked for
        parts = self._batches(self.network.attention, codes, batch_size)
        return torch.cat(parts).float().cpu().numpy()

    def _encode(self, codes: Codes, batch_size: int) -> Encoded:
        _check_codes(codes)
        if self.network.strand != "free":
            # such an encoder says the same of both strands but for rounding; read from one, exactly the same
            codes, _ = one_strand(codes)
        parts = self._batches(self.network, codes, batch_size)
        return Encoded(*(torch.cat(tensors).float().cpu() for tensors in zip(*parts, strict=True)))

    @torch.inference_mode()
    def _batches(self, read: Callable[[Tensor], Any], codes: Codes, batch_size: int) -> list[Any]:
        """What the network says of windows, batch by batch."""
        device, training = next(self.network.parameters()).device, self.network.training
        self.network.eval()
        try:
            return [read(one_hot(batch.to(device))) for batch in torch.from_numpy(codes).split(batch_size)]
        finally:
            self.network.train(training)

    def save(self, path: PathLike) -> None:
        """Write the model to a folder, whole or not at all."""
        description = {
            "format": FORMAT,
            "genocontrast": __version__,
            "architecture": self.network.architecture,
            "width": self.width,
            "chromosomes": self.chromosomes,
            "pretrained_on": self.pretrained_on,
            "provenance": self.provenance,
            "temperature": self.temperature,
        }
        with atomic_folder(path) as folder:
            text = json.dumps(description, indent=2, sort_keys=True, allow_nan=False)
            (folder / _CONFIG).write_text(text + "\n")
            weights = {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}
            save_file(weights, folder / _WEIGHTS)


def _check_codes(codes: Codes) -> None:
    if codes.ndim != 2 or codes.dtype != np.uint8:
        raise ShapeError("codes must be uint8 of shape (n, length)", value=(str(codes.dtype), codes.shape))


def load_model(path: PathLike) -> Model:
    """Read a model that `Model.save` wrote; it is on the CPU.

    Raises
    ------
    FileFormatError
        Where a file is missing or damaged.
    ModelError
        Where the model is of another format version, its weights do not fit its architecture, or its temperature is
        not a positive number. A model without one is of a version that did not calibrate, and has 1.
    """
    description_path, weights_path = Path(path) / _CONFIG, existing(Path(path) / _WEIGHTS)
    description = read_json(description_path)
    missing = {"format", "architecture", "width", "chromosomes", "provenance"} - set(description)
    if missing:
        raise FileFormatError(f"not a model: no {', '.join(sorted(missing))}", path=description_path)
    if description["format"] != FORMAT:
        raise ModelError(
            f"the model has format {description['format']}, this version ({__version__}) reads format {FORMAT}",
            path=description_path,
            remedy=f"use genocontrast {description.get('genocontrast', '')} or train it again",
        )
    temperature = _temperature(description.get("temperature", 1.0), description_path)
    network = _network(description["architecture"], description_path)
    try:
        network.load_state_dict(load_file(weights_path))
    except SafetensorError as error:
        raise FileFormatError(f"not readable as safetensors: {error}", path=weights_path) from None
    except RuntimeError as error:
        first = str(error).splitlines()[1:2]
        raise ModelError(
            f"the weights do not fit the architecture: {' '.join(first).strip()}",
            path=weights_path,
            remedy=f"{_CONFIG} and {_WEIGHTS} must come from one training",
        ) from None
    width, chromosomes, record = (description[name] for name in ("width", "chromosomes", "provenance"))
    seen = [tuple(segment) for segment in description.get("pretrained_on", [])]
    return Model(network.eval(), width, chromosomes, record, temperature=temperature, pretrained_on=seen)


def _temperature(value: object, path: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ModelError("the temperature must be a positive number", path=path, value=value, remedy="train it again")
    return float(value)


def _network(architecture: dict[str, Any], path: Path) -> Encoder:
    # a convolution bears no name: there was a time when nothing else was saved
    kind, settings = architecture.get("encoder"), {**architecture}
    settings.pop("encoder", None)
    if kind not in (None, "kmers"):
        raise ModelError("unknown encoder", path=path, value=kind, remedy="use the version that made it")
    try:
        return StrandEncoder(**settings) if kind is None else KmerEncoder(**settings)
    except (TypeError, ModelError) as error:
        raise ModelError(f"unknown architecture: {error}", path=path, remedy="use the version that made it") from None


def embed(model: Model, regions: pd.DataFrame, genome: Genome) -> NDArray[np.float32]:
    """Embeddings of the windows around the regions' centres, shape=(n, dim); see `predict`."""
    return model.embed_codes(_window_codes(model, regions, genome))


def predict(model: Model, regions: pd.DataFrame, genome: Genome, prevalence: float | None = None) -> pd.DataFrame:
    """The regions with a column `probability`: that of a promoter in the window around each centre.

    Parameters
    ----------
    model : Model
    regions : pandas.DataFrame
        chrom, start, end[, strand]; resized to the model's width. What lies beyond a chromosome's end reads as N,
        as it did in training.
    genome : Genome
    prevalence : float, optional
        Share of promoters among the regions, between 0 and 1. Default: one half, as in training.

    Raises
    ------
    RegionError
        Where a region lies outside its chromosome.
    ShapeError
        Where the prevalence is out of range.
    """
    codes = _window_codes(model, regions, genome)
    return regions.assign(probability=model.score_codes(codes, prevalence=prevalence))


def _window_codes(model: Model, regions: pd.DataFrame, genome: Genome) -> Codes:
    check_within(regions, genome.sizes)
    windows = resize(regions, model.width)
    return flanked_codes(windows if "strand" in windows else windows.assign(strand="+"), genome, flank=0)
