"""What is known about each model: its parameters, their defaults and its hard input limits.

Values only; every limit names its source. `vendor` is the AI/ML API's own documentation (state: August 2026);
`sellers` is what other sellers of the same model state where the vendor is silent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

DEFAULT_MODEL = "klingai/video-v2-6-pro-motion-control"
PROMPT_LIMIT = 2500
"""Characters; stated by other sellers of the same model."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One figure and who states it."""

    value: Decimal
    source: str


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """Hard limits of a model's inputs; a violation is refused before anything is paid."""

    image_short_edge: Limit = Limit(Decimal(300), "vendor")
    image_long_edge: Limit = Limit(Decimal(65_536), "vendor")
    video_short_edge: Limit = Limit(Decimal(340), "vendor")
    video_long_edge: Limit = Limit(Decimal(3_850), "vendor")
    clip_min_s: Limit = Limit(Decimal(3), "vendor")
    clip_max_s_image: Limit = Limit(Decimal(10), "vendor")
    clip_max_s_video: Limit = Limit(Decimal(30), "vendor")
    image_bytes: Limit = Limit(Decimal(10_000_000), "sellers")
    video_bytes: Limit = Limit(Decimal(100_000_000), "sellers")
    aspect_min: Limit = Limit(Decimal("0.4"), "sellers")
    aspect_max: Limit = Limit(Decimal("2.5"), "sellers")


@dataclass(frozen=True, slots=True)
class Param:
    """A further parameter of a model, settable under `params:`."""

    choices: tuple[str, ...]
    default: str


@dataclass(frozen=True, slots=True)
class Model:
    """One model behind the API."""

    id: str
    params: Mapping[str, Param]
    limits: MediaLimits = MediaLimits()
    #: Value of the parameter `mode` ("": there is none) → the output's short edge, in pixels.
    short_edges: Mapping[str, Limit] = field(default_factory=lambda: {"": Limit(Decimal(1080), "sellers")})


_MODE = MappingProxyType({"mode": Param(("std", "pro"), "std")})
_EDGES = MappingProxyType({"std": Limit(Decimal(720), "sellers"), "pro": Limit(Decimal(1080), "sellers")})

MODELS: Mapping[str, Model] = MappingProxyType(
    {
        model.id: model
        for model in (
            Model(DEFAULT_MODEL, MappingProxyType({})),
            Model("klingai/video-v2-6-motion-control", _MODE, short_edges=_EDGES),
            Model("klingai/video-v3-motion-control", _MODE, short_edges=_EDGES),
        )
    }
)
