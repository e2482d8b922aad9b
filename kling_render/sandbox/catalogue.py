"""The models the sandbox knows, their parameters and their quotes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from kling_render.sandbox.config import WorldSettings
from kling_render.sandbox.records import CREDITS_PER_USD

VIDEO_ENDPOINT = "/v2/video/generations"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueModel:
    """One entry of the catalogue."""

    id: str
    aliases: tuple[str, ...]
    type: str
    name: str
    developer: str
    tags: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    capabilities: tuple[str, ...]
    #: Parameter `mode` and its share of the price; empty: the model has no such parameter.
    modes: Mapping[str, Decimal] | None = None
    #: Default of `character_orientation`.
    orientation: str = "image"
    #: Whether the sandbox renders it.
    renders: bool = True


def _motion_control(name: str, title: str, modes: Mapping[str, Decimal] | None, orientation: str) -> CatalogueModel:
    return CatalogueModel(
        id=f"klingai/{name}",
        aliases=(name, f"sandbox/{name}"),
        type="video/generations",
        name=title,
        developer="Kling AI",
        tags=("playground:video",),
        inputs=("image", "text", "video"),
        outputs=("video",),
        capabilities=("image_to_video", "video_to_video"),
        modes=modes,
        orientation=orientation,
    )


_MODES = {"std": Decimal("0.75"), "pro": Decimal(1)}
MODELS: tuple[CatalogueModel, ...] = (
    _motion_control("video-v2-6-pro-motion-control", "Kling 2.6 Pro motion control", None, "image"),
    _motion_control("video-v2-6-motion-control", "Kling 2.6 motion control", _MODES, "video"),
    _motion_control("video-v3-motion-control", "Kling 3 motion control", _MODES, "video"),
    CatalogueModel(
        id="sandbox/chat",
        aliases=("chat",),
        type="openai/chat-completions",
        name="A model of another kind",
        developer="Sandbox",
        tags=("playground:chat",),
        inputs=("text",),
        outputs=("text",),
        capabilities=("streaming",),
        renders=False,
    ),
)


def find(name: str) -> CatalogueModel | None:
    """The model with that id or alias."""
    return next((model for model in MODELS if name == model.id or name in model.aliases), None)


def credits_for(model: CatalogueModel, mode: str | None, seconds: Fraction, settings: WorldSettings) -> int:
    """The charge for `seconds` of output, in whole credits."""
    share = (model.modes or {}).get(mode or "std", Decimal(1))
    exact = seconds * Fraction(settings.price_per_s * share) * CREDITS_PER_USD
    return int(exact + Fraction(1, 2))


def listing(query: Sequence[tuple[str, str]], settings: WorldSettings) -> dict[str, Any]:
    """The body of the catalogue call. Names match an id or an alias; unknown sections are ignored."""
    wanted = {name: _words(query, name) for name in ("id", "tags", "capabilities", "include", "type")}
    sections = wanted["include"]
    if "all" in sections or _words(query, "details") & {"true", "1"}:
        sections = {"pricing", "modalities", "capabilities"}
    modalities = (("modalities", True, True), ("input_modalities", True, False), ("output_modalities", False, True))
    data = []
    for model in MODELS:
        has: list[tuple[set[str], set[str]]] = [
            (wanted["id"], {model.id, *model.aliases}),
            (wanted["tags"], set(model.tags)),
            (wanted["capabilities"], set(model.capabilities)),
            (wanted["type"], {model.type}),
        ]
        for name, inputs, outputs in modalities:
            own = (model.inputs if inputs else ()) + (model.outputs if outputs else ())
            has.append((_words(query, name), set(own)))
        if all(not asked or asked & own_set for asked, own_set in has):
            data.append(_entry(model, sections, settings))
    return {"object": "list", "data": data}


def etag_of(body: Mapping[str, Any]) -> str:
    """A weak validator, as the API's framework makes them."""
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return f'W/"{digest[:27]}"'


def same_etag(if_none_match: str | None, etag: str) -> bool:
    """Weak comparison against a list of validators."""
    if if_none_match is None:
        return False
    strong = etag.removeprefix("W/")
    return any(tag.strip() == "*" or tag.strip().removeprefix("W/") == strong for tag in if_none_match.split(","))


def _words(query: Sequence[tuple[str, str]], name: str) -> set[str]:
    return {word.strip() for key, value in query if key == name for word in value.split(",") if word.strip()}


def _entry(model: CatalogueModel, sections: set[str], settings: WorldSettings) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": model.id,
        "aliases": list(model.aliases),
        "type": model.type,
        "info": {
            "name": model.name,
            "developer": model.developer,
            "description": "A stand-in for local work.",
            "url": "",
        },
        "tags": list(model.tags),
    }
    if "modalities" in sections:
        entry["modalities"] = {"input": list(model.inputs), "output": list(model.outputs)}
    if "capabilities" in sections:
        entry["capabilities"] = list(model.capabilities)
    if "pricing" in sections:
        entry["pricing"] = _pricing(model, settings)
    return entry


def _pricing(model: CatalogueModel, settings: WorldSettings) -> dict[str, Any]:
    if settings.price_kind == "variable" or not model.renders:
        return {"kind": "variable", "currency": "USD"}
    price, per = settings.price_per_s * settings.price_per, settings.price_per
    if model.modes is None:
        unit = {"name": "second", "measure": "output", "price": _number(price), "per": per}
        return {"kind": "fixed", "currency": "USD", "units": [unit]}
    variants = [
        {"when": {"mode": mode}, "price": _number(price * share), "unit": "second", "measure": "output", "per": per}
        for mode, share in model.modes.items()
    ]
    return {"kind": "variants", "currency": "USD", "dimensions": ["mode"], "variants": variants}


def _number(amount: Decimal) -> float | int:
    return int(amount) if amount == amount.to_integral_value() else float(amount)
