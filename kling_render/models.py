"""What is known about each model: its parameters, their defaults and its hard input limits.

Values only; every limit names its source. `vendor` is the AI/ML API's own documentation; `sellers` is what other
sellers of the same model state where the vendor is silent; `nobody` is what no page states: it only ever warns.
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
class Page:
    """Where a limit is written."""

    title: str
    url: str
    #: Year and month in which it was read.
    read: str


PAGES: Mapping[str, Page] = MappingProxyType(
    {
        "limits": Page(
            "AI/ML API: v2.6 pro motion control, limits of `image_url` and `video_url`",
            "https://docs.aimlapi.com/",
            "August 2026",
        ),
        "orientation": Page(
            "AI/ML API: v2.6 pro motion control, `character_orientation`",
            "https://docs.aimlapi.com/",
            "August 2026",
        ),
        "files": Page(
            "Novita: Kling V2.6 Pro Motion Control, request body",
            "https://novita.ai/docs/api-reference/model-apis-kling-v2.6-pro-motion-control",
            "November 2026",
        ),
        "sizes": Page(
            "Higgsfield: Kling 2.6 Motion Control Pro, usage notes",
            "https://docs.higgsfield.ai/docs/models/kling-2-6-motion-control/pro.md",
            "November 2026",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Limit:
    """One figure and who states it."""

    value: Decimal
    source: str
    #: A key of `PAGES`; empty where no page states it.
    page: str = ""


@dataclass(frozen=True, slots=True)
class Kinds:
    """What something may be, and who states it."""

    values: tuple[str, ...]
    source: str
    page: str = ""


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """Hard limits of a model's inputs; a violation is refused before anything is paid."""

    image_short_edge: Limit = Limit(Decimal(300), "vendor", "limits")
    image_long_edge: Limit = Limit(Decimal(65_536), "vendor", "limits")
    video_short_edge: Limit = Limit(Decimal(340), "vendor", "limits")
    video_long_edge: Limit = Limit(Decimal(3_850), "vendor", "limits")
    clip_min_s: Limit = Limit(Decimal(3), "vendor", "limits")
    clip_max_s_image: Limit = Limit(Decimal(10), "vendor", "orientation")
    clip_max_s_video: Limit = Limit(Decimal(30), "vendor", "orientation")
    image_bytes: Limit = Limit(Decimal(10_000_000), "sellers", "files")
    video_bytes: Limit = Limit(Decimal(100_000_000), "sellers", "sizes")
    aspect_min: Limit = Limit(Decimal("0.4"), "sellers", "sizes")
    aspect_max: Limit = Limit(Decimal("2.5"), "sellers", "sizes")
    image_kinds: Kinds = Kinds(("png", "jpeg", "webp"), "sellers", "files")
    video_containers: Kinds = Kinds(("mp4", "mov"), "sellers", "files")
    #: Names of FFmpeg. No page names codecs; these two are what phones and browsers write.
    video_codecs: Kinds = Kinds(("h264", "hevc"), "nobody")


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
