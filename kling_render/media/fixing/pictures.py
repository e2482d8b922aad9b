"""What is wrong with a picture and how its copy is made. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kling_render.media.facts import ImageFacts, ImageKind
from kling_render.media.fixing.records import BLUR, Correction, ImageSpec, Kept, Wish
from kling_render.media.fixing.sizes import Bounds, Fit, fit
from kling_render.media.images import MAX_MEGAPIXELS
from kling_render.media.refusals import IMAGE_TYPE, TOO_MANY_PIXELS
from kling_render.media.rules import ASPECT, BYTES, EDGES, LOCATION, check_image
from kling_render.models import Model

_KINDS: dict[str, ImageKind] = {"PNG": "png", "JPEG": "jpeg", "WEBP": "webp"}
#: Pixels by which rounded edges may come out over the area that was aimed at.
_ROUNDING = 200_000
_PLAIN = frozenset({"RGB", "RGBA", "L", "LA", "P", "PA", "1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What a picture is once it is decoded, whatever its type."""

    #: A name of `sniff`: `PNG`, `GIF`, …
    type: str
    #: Pixels, upright.
    width: int
    height: int
    bytes: int
    #: As in `ImageFacts`.
    colours: str
    #: Whether something is really see-through.
    see_through: bool
    frames: int
    turned: bool
    location: bool
    #: Whether it has colours of another kind than sRGB.
    foreign_colours: bool
    #: Whether its type loses nothing.
    lossless: bool


def picture_from_json(data: Mapping[str, Any]) -> Picture:
    """What the child saw."""
    return Picture(**data)


def judge_picture(found: Picture, model: Model, wish: Wish) -> tuple[list[Correction], ImageSpec]:
    """What is wrong with it, and how a copy without that is made."""
    limits = model.limits
    bounds = Bounds(
        int(limits.image_short_edge.value),
        int(limits.image_long_edge.value),
        limits.aspect_min.value,
        limits.aspect_max.value,
        MAX_MEGAPIXELS * 1_000_000 - _ROUNDING,
    )
    size = fit(found.width, found.height, bounds)
    kept: Kept = "png" if found.lossless else "jpeg"
    most = int(limits.image_bytes.value)
    spec = ImageSpec(
        picture=size.picture, canvas=size.canvas, kind=kept, pad=wish.pad, background=wish.background, most=most
    )
    return list(_corrections(found, model, size, spec)), spec


def _corrections(found: Picture, model: Model, size: Fit, spec: ImageSpec) -> Iterator[Correction]:
    if found.type not in _KINDS:
        yield Correction(IMAGE_TYPE, f"image type '{found.type}'", f"saved as {spec.kind.upper()}")
    pixels = found.width * found.height / 1_000_000
    if pixels > MAX_MEGAPIXELS:
        wrong = f"{found.width} × {found.height} are {pixels:,.0f} Mpx, limit {MAX_MEGAPIXELS}"
        yield Correction(TOO_MANY_PIXELS, wrong, _scaled(found, size))
    edges = _scaled(found, size) if size.picture != (found.width, found.height) else _padded(size, spec.pad)
    done = {EDGES: edges, ASPECT: _padded(size, spec.pad), BYTES: "saved smaller"}
    for violation in check_image(_facts(found), model):
        if violation.code in done:
            yield Correction(violation.code, violation.message, done[violation.code])
    yield from _odd(found, spec)


def _odd(found: Picture, spec: ImageSpec) -> Iterator[Correction]:
    """What no rule forbids, and what programs understand in different ways."""
    if found.turned:
        yield Correction("", "it is upright only for viewers that read EXIF", "turned upright")
    if found.see_through:
        yield Correction("", "parts of it are see-through", f"laid on {spec.background}")
    if found.colours not in _PLAIN or found.foreign_colours:
        named = found.colours if found.colours not in _PLAIN else "of another profile than sRGB"
        yield Correction("", f"its colours are {named}", "converted to 8-bit sRGB")
    if found.frames > 1:
        pages = found.type == "TIFF"
        wrong = f"it has {found.frames} pages" if pages else f"it is animated ({found.frames} frames)"
        yield Correction("", wrong, "the first page" if pages else "the first frame")
    if found.location:
        yield Correction(LOCATION, "it says where it was taken (GPS)", "metadata left out")


def _facts(found: Picture) -> ImageFacts:
    kind = _KINDS.get(found.type, "png")  # another type is reported by itself
    return ImageFacts(kind=kind, width=found.width, height=found.height, bytes=found.bytes, mime="")


def _scaled(found: Picture, size: Fit) -> str:
    larger = size.picture[0] > found.width
    return f"scaled to {_size(size.picture)}" + (" (which adds no detail)" if larger else "")


def _padded(size: Fit, pad: str) -> str:
    return f"padded to {_size(size.canvas)} with {'its blurred edge' if pad == BLUR else pad}"


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"
