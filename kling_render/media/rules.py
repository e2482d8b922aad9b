"""The model's hard limits, checked against facts before anything is paid. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import PurePosixPath
from typing import Final, Literal

from kling_render.media.facts import FIX, ClipFacts, ImageFacts
from kling_render.models import Kinds, Limit, Model

Orientation = Literal["image", "video"]

MISLABELLED: Final = "KR0205"
IMAGE_KIND: Final = "KR0206"
CLIP_KIND: Final = "KR0208"
DURATION: Final = "KR0209"
TRIM: Final = "KR0213"
EDGES: Final = "KR0214"
BYTES: Final = "KR0215"
ASPECT: Final = "KR0216"

CODEC: Final = "KR0228"
LOCATION: Final = "KR0229"

_STATED = {"vendor": "", "sellers": " (stated by sellers of this model)"}
_MILLION = Decimal(1_000_000)
#: A length is measured in whole frames: this much over or under a limit is rounding, not a violation.
_SLACK_S = Decimal("0.001")
_NAMES: Final = {
    "png": (".png",),
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "webp": (".webp",),
    "mp4": (".mp4", ".m4v"),
    "mov": (".mov", ".qt"),
}


@dataclass(frozen=True, slots=True)
class Violation:
    """A limit that an input breaks: the figure, the limit, and what to do."""

    code: str
    message: str
    help: str
    severity: Literal["error", "warning"] = "error"
    #: What to do where a corrected copy can be made: of a file at hand, not of a remote one; empty: it cannot.
    by_fix: str = ""


def clip_seconds(facts: ClipFacts, start: Decimal | None, end: Decimal | None) -> Decimal:
    """Seconds that are left after the trim; never negative."""
    last = facts.duration_s if end is None else min(end, facts.duration_s)
    return max(Decimal(0), last - (start or Decimal(0)))


def check_name(name: str, facts: ImageFacts | ClipFacts) -> list[Violation]:
    """A warning when the file's name claims another type than its content has."""
    kind = facts.kind if isinstance(facts, ImageFacts) else facts.container
    suffix = PurePosixPath(name).suffix.lower()
    known = {ending for endings in _NAMES.values() for ending in endings}
    if suffix not in known or suffix in _NAMES[kind]:
        return []
    message = f"named '{suffix}' but is {kind.upper()} inside; it is sent as {facts.mime}"
    return [Violation(MISLABELLED, message, f"rename it to '{_NAMES[kind][0]}' to avoid confusion", "warning")]


def check_private(facts: ImageFacts | ClipFacts) -> list[Violation]:
    """A warning when the file says where it was taken: it is uploaded as it is."""
    if not facts.location:
        return []
    message = "it says where it was taken (GPS), and would be uploaded with that"
    help_ = f"{FIX} writes a copy without it; or, if it is meant so, write 'allow: [location]' beside the file"
    return [Violation(LOCATION, message, help_, "warning")]


def check_image(facts: ImageFacts, model: Model) -> list[Violation]:
    """Every limit of the model that the image breaks."""
    limits = model.limits
    found = [
        *_kind("image", facts.kind, limits.image_kinds),
        *_edges("image", facts.width, facts.height, limits.image_short_edge, limits.image_long_edge),
        *_bytes("image", facts.bytes, limits.image_bytes),
    ]
    aspect = Decimal(facts.width) / Decimal(facts.height)
    low, high = limits.aspect_min, limits.aspect_max
    if not low.value <= aspect <= high.value:
        message = (
            f"width:height is {aspect:.2f} ({facts.width} × {facts.height}); "
            f"must lie between {low.value} and {high.value}{_STATED[low.source]}"
        )
        by_fix = f"crop the image, or add a border with {FIX}"
        found.append(Violation(ASPECT, message, "crop the image, or add a border", by_fix=by_fix))
    return found


def check_clip(
    facts: ClipFacts, model: Model, orientation: Orientation, start: Decimal | None, end: Decimal | None
) -> list[Violation]:
    """Every limit of the model that the clip breaks with this trim and orientation."""
    limits = model.limits
    found = [
        *_kind("clip", facts.container, limits.video_containers),
        *_codec(facts, limits.video_codecs),
        *_edges("clip", facts.width, facts.height, limits.video_short_edge, limits.video_long_edge),
        *_trim(facts, start, end),
    ]
    # A trimmed copy is made anew and small; only a clip that goes out as it is can be too heavy.
    if start is None and end is None:
        found += _bytes("clip", facts.bytes, limits.video_bytes)
    if not any(v.code == TRIM for v in found):
        found += _length(facts, model, orientation, clip_seconds(facts, start, end))
    return found


def _kind(noun: str, kind: str, known: Kinds) -> Iterator[Violation]:
    if kind not in known.values:
        named = ", ".join(value.upper() for value in known.values)
        message = f"type {kind.upper()}; must be one of {named}{_STATED[known.source]}"
        yield Violation(IMAGE_KIND if noun == "image" else CLIP_KIND, message, f"convert the {noun}")


def _codec(facts: ClipFacts, known: Kinds) -> Iterator[Violation]:
    """No page names the codecs a model takes, so another one than usual is no error."""
    if facts.codec not in known.values:
        message = f"its picture is coded as {facts.codec}; nobody states that the model takes it, as it does H.264"
        meant = "if it is meant so, write 'allow: [codec]' beside the file"
        by_fix = f"{FIX} writes an H.264 copy; or, {meant}"
        yield Violation(CODEC, message, f"use an H.264 copy; or, {meant}", "warning", by_fix)


def _edges(noun: str, width: int, height: int, short: Limit, long: Limit) -> Iterator[Violation]:
    size = f"{width} × {height}"
    help_ = f"use a larger {noun}"
    if min(width, height) < short.value:
        message = (
            f"{size}: the short edge has {min(width, height)} px; at least {short.value} px{_STATED[short.source]}"
        )
        yield Violation(EDGES, message, help_, by_fix=f"{help_}, or enlarge this one with {FIX}")
    if max(width, height) > long.value:
        message = f"{size}: the long edge has {max(width, height)} px; at most {long.value:,} px{_STATED[long.source]}"
        help_ = f"scale the {noun} down"
        yield Violation(EDGES, message, help_, by_fix=f"{help_}, for instance with {FIX}")


def _bytes(noun: str, size: int, limit: Limit) -> Iterator[Violation]:
    if size > limit.value:
        message = f"{_mb(Decimal(size))} MB; at most {_mb(limit.value)} MB{_STATED[limit.source]}"
        help_ = f"compress the {noun}"
        yield Violation(BYTES, message, help_, by_fix=f"{help_}, for instance with {FIX}")


def _mb(size: Decimal) -> str:
    return f"{(size / _MILLION).quantize(Decimal('0.1')).normalize():f}"


def _trim(facts: ClipFacts, start: Decimal | None, end: Decimal | None) -> Iterator[Violation]:
    length = facts.duration_s
    if start is not None and start >= length:
        message = f"start {_s(start)} s lies beyond the clip's end ({_s(length)} s)"
        yield Violation(TRIM, message, f"use a start below {_s(length)}")
    elif end is not None and end > length + _SLACK_S:
        message = f"end {_s(end)} s lies beyond the clip's end ({_s(length)} s)"
        yield Violation(TRIM, message, f"use an end of at most {_floor(length)}, or leave 'end' out")
    if start is not None and end is not None and start >= end:
        yield Violation(TRIM, f"start {_s(start)} s is not before end {_s(end)} s", "swap start and end")


def _length(facts: ClipFacts, model: Model, orientation: Orientation, seconds: Decimal) -> Iterator[Violation]:
    low = model.limits.clip_min_s
    high = model.limits.clip_max_s_image if orientation == "image" else model.limits.clip_max_s_video
    length = f"{_s(seconds)} s"
    if seconds != facts.duration_s:
        length += f" after the trim (of {_s(facts.duration_s)} s)"
    if seconds < low.value - _SLACK_S:
        longer = "trim less" if facts.duration_s >= low.value else "use a longer clip"
        yield Violation(DURATION, f"{length}; at least {low.value} s{_STATED[low.source]}", longer)
    if seconds > high.value + _SLACK_S:
        message = f"{length}; at most {high.value} s when orientation is '{orientation}'{_STATED[high.source]}"
        turned = _turned(model, orientation, seconds)
        trim = f"trim it with start and end to {high.value} s or less"
        yield Violation(
            DURATION, message, trim + turned, by_fix=f"{trim} ({FIX} offers the part with most motion){turned}"
        )


def _turned(model: Model, orientation: Orientation, seconds: Decimal) -> str:
    """The other remedy of a clip that is too long."""
    longest = model.limits.clip_max_s_video.value
    return f", or set 'orientation: video' (up to {longest} s)" if orientation == "image" and seconds <= longest else ""


def _s(seconds: Decimal) -> str:
    """Seconds with as many places as are needed to see the difference, at least one and at most three."""
    rounded = seconds.quantize(Decimal("0.001"), ROUND_HALF_EVEN).normalize()
    return f"{rounded:.1f}" if rounded == rounded.quantize(Decimal("0.1")) else f"{rounded:f}"


def _floor(seconds: Decimal) -> str:
    return f"{Decimal(int(seconds * 100)) / 100:f}"
