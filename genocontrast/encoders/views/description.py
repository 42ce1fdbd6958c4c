"""Views as plain JSON and back, so that a configuration names them and a saved model records them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from genocontrast.encoders.views.changing import Mutation, RepeatDropout, ReverseComplement, SequencingNoise
from genocontrast.encoders.views.combining import Choice, Compose
from genocontrast.encoders.views.moving import Crop, Deletion, Insertion, Inversion, Rotation, Shift, Translocation
from genocontrast.encoders.views.view import View
from genocontrast.errors import ConfigError

VIEWS: dict[str, type[View]] = {
    "choice": Choice,
    "compose": Compose,
    "crop": Crop,
    "deletion": Deletion,
    "insertion": Insertion,
    "inversion": Inversion,
    "mutation": Mutation,
    "repeat_dropout": RepeatDropout,
    "reverse_complement": ReverseComplement,
    "rotation": Rotation,
    "sequencing_noise": SequencingNoise,
    "shift": Shift,
    "translocation": Translocation,
}
"""Every view by its name in a configuration."""


def to_config(view: View) -> dict[str, dict[str, Any]]:
    """A view as plain JSON: its name and all its parameters, such as ``{"mutation": {"rate": 0.05}}``.

    Raises
    ------
    ConfigError
        Where the view is none of `VIEWS`, so that it could not be read again.
    """
    names = {kind: name for name, kind in VIEWS.items()}
    if type(view) not in names:
        raise ConfigError("only the package's own views can be recorded", value=view, remedy=_known(VIEWS))
    parameters = {name: getattr(view, name) for name in _parameters(type(view))}
    if isinstance(view, Compose | Choice):
        parameters["views"] = [to_config(member) for member in view.views]
    return {names[type(view)]: parameters}


def from_config(config: Mapping[str, Mapping[str, Any] | None]) -> View:
    """The view that `to_config` gave, or that a configuration names, such as ``{"mutation": {"rate": 0.05}}``.

    Raises
    ------
    ConfigError
        Where no such view exists, or it has not these parameters, or does not take their values.
    """
    if not isinstance(config, Mapping) or len(config) != 1:
        raise ConfigError("a view is one name with its parameters, such as {mutation: {rate: 0.05}}", value=config)
    ((name, given),) = config.items()
    if name not in VIEWS:
        raise ConfigError("there is no such view", value=name, remedy=_known(VIEWS))
    parameters = _checked(name, {} if given is None else given)
    if isinstance(parameters.get("views"), list | tuple):
        parameters["views"] = tuple(from_config(member) for member in parameters["views"])
    return VIEWS[name](**parameters)


def _checked(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a view, all of them known and none of them lacking."""
    needed = _parameters(VIEWS[name])
    remedy = f"its parameters are: {', '.join(needed)}" if needed else "it has no parameters"
    if not isinstance(given, Mapping):
        raise ConfigError(f"the parameters of the view {name} must be named", value=given, remedy=remedy)
    unknown = [each for each in given if each not in needed]
    if unknown:
        raise ConfigError(f"the view {name} has no such parameter", value=unknown[0], remedy=remedy)
    lacking = [each for each, is_needed in needed.items() if is_needed and each not in given]
    if lacking:
        raise ConfigError(f"the view {name} lacks {', '.join(lacking)}", value=dict(given), remedy=remedy)
    return dict(given)


def _parameters(kind: type[View]) -> dict[str, bool]:
    """Names of a view's parameters, and whether each must be given."""
    return {each.name: each.default is MISSING for each in fields(kind)}  # type: ignore[arg-type]  # all are dataclasses


def _known(names: Mapping[str, type[View]]) -> str:
    return f"the views are: {', '.join(names)}"
