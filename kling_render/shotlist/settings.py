"""The settings of a cell: defaults, then the shot's own, then its axes, then its overrides; later ones win."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from kling_render.errors import Place, did_you_mean
from kling_render.models import DEFAULT_MODEL, MODELS, Model
from kling_render.shotlist.cells import Point
from kling_render.shotlist.declarations import Axis, AxisValue, ShotFields, Template
from kling_render.shotlist.records import Orientation
from kling_render.shotlist.reports import Report, listed

#: Parameters of any model: an axis of that name sets the parameter.
PARAMS = frozenset(name for model in MODELS.values() for name in model.params)
_FIELDS = ("model", "orientation", "keep_audio", "takes", "prompt", "priority", "tags")
_said = attrgetter(*_FIELDS)
_ALIASES = {"character_orientation": "orientation", "prompt_file": "prompt"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that a shot's fields say about one cell."""

    model: str = DEFAULT_MODEL
    #: Only those that differ from the model's defaults, sorted.
    params: tuple[tuple[str, Any], ...] = ()
    orientation: Orientation = "image"
    keep_audio: bool = True
    takes: int = 1
    prompt: Template | None = None
    priority: int = 0
    tags: tuple[str, ...] = ()
    #: Where each of them is said, `params` by `params.NAME`; what is said nowhere is missing.
    places: Mapping[str, Place] = field(default_factory=dict)


def resolve(layers: Iterable[ShotFields], fallback: Place, report: Report) -> Settings | None:
    """Merge the layers, weakest first; None when a parameter does not fit the model (which is reported).

    `params` are merged name by name; every other field, tags too, is taken whole from the strongest layer that says
    it. `fallback` is the place of what is said nowhere. The parameters of an unknown model are taken as they are.
    """
    said: dict[str, Any] = {}
    places: dict[str, Place] = {}
    written: dict[str, Place] = {}
    params: dict[str, Any] = {}
    for layer in layers:
        written |= layer.places
        said |= {name: value for name, value in zip(_FIELDS, _said(layer), strict=True) if value is not None}
        for name, value in (layer.params or {}).items():
            params[name] = value
            places[name] = layer.places.get(f"params.{name}") or layer.places.get("params") or fallback
    model = MODELS.get(said.get("model", DEFAULT_MODEL))
    if model is not None:
        wrong = [_wrong(model, name, value, places[name], report) for name, value in params.items()]
        if any(wrong):
            return None
        params = {name: value for name, value in params.items() if value != model.params[name].default}
    return Settings(**said, params=tuple(sorted(params.items())), places=written)


def _wrong(model: Model, name: str, value: Any, place: Place, report: Report) -> bool:
    """Whether a parameter does not fit the model; says so."""
    known = model.params.get(name)
    if known is None:
        others = [each.id for each in MODELS.values() if name in each.params]
        known_here = listed(model.params) or "none"
        hint = f"models that have it: {listed(others)}" if others else f"parameters of this model: {known_here}"
        message = f"{model.id} has no parameter '{name}'{did_you_mean(name, PARAMS - {name})}"
        report.error("KR0108", message, place, help=hint)
    elif value not in known.choices:
        message = f"'{name}': expected one of {', '.join(known.choices)}, got {_quoted(value)}"
        hint = f"write one of them as it stands here, or leave '{name}' out for {known.default}"
        report.error("KR0108", f"{message}{did_you_mean(str(value), known.choices)}", place, help=hint)
    else:
        return False
    return True


def axis_fields(point: Point, axes: Iterable[Axis], report: Report) -> ShotFields:
    """What the axes that are named like shot fields or parameters of a model set at one point."""
    said: dict[str, Any] = {}
    params: dict[str, Any] = {}
    places: dict[str, Place] = {}
    for axis, value in zip(axes, point.values, strict=True):
        name = _ALIASES.get(axis.name, axis.name)
        if name in PARAMS:
            params[name] = value.value
            places[f"params.{name}"] = value.place
        elif name in _CHECKS and _checked(axis.name, value, report):
            places[name] = value.place
            if name == "params":
                params |= value.value
            else:
                said[name] = _field_value(name, value)
    return ShotFields(**said, params=params or None, places=places)


def sets_field(axis: Axis) -> bool:
    """Whether the axis sets a shot field or a parameter."""
    name = _ALIASES.get(axis.name, axis.name)
    return name in PARAMS or name in _CHECKS


def _field_value(name: str, value: AxisValue) -> object:
    if name == "prompt" and isinstance(value.value, str):
        lines = value.value.split("\n")
        return Template(value.value, value.place.file, None, tuple([value.place] * len(lines)))
    return tuple(value.value) if name == "tags" else value.value


def _checked(name: str, value: AxisValue, report: Report) -> bool:
    good, expected = _CHECKS[_ALIASES.get(name, name)]
    if not good(value.value):
        message = f"'{name}': expected {expected}, got {_quoted(value.value)}"
        report.error("KR0108", message, value.place, help=f"the axis sets the shot field '{name}'; correct this value")
        return False
    if name == "model" and value.value not in MODELS:
        message = f"unknown model '{value.value}'{did_you_mean(value.value, MODELS)}"
        hint = "its parameters and input limits cannot be checked here; the provider may know it"
        report.warning("KR0119", message, value.place, help=hint)
    return True


def _quoted(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "model": (lambda v: isinstance(v, str), "the name of a model"),
    "params": (lambda v: isinstance(v, dict), "a mapping of parameters"),
    "orientation": (lambda v: isinstance(v, str) and v in {"image", "video"}, "one of image, video"),
    "keep_audio": (lambda v: isinstance(v, bool), "true or false"),
    "takes": (lambda v: _is_whole(v) and v >= 1, "a whole number from 1"),
    "prompt": (lambda v: isinstance(v, str | Template), "a text"),
    "priority": (_is_whole, "a whole number"),
    "tags": (lambda v: isinstance(v, list | tuple) and all(isinstance(t, str) for t in v), "a list of texts"),
}
