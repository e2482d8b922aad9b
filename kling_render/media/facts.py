"""What is known about an image or a clip after looking inside. Values only, JSON in and out (for caches)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from kling_render.media.look import Look
from kling_render.media.look import from_json as look_from_json

ImageKind = Literal["png", "jpeg", "webp"]
ClipContainer = Literal["mp4", "mov"]

FIX: Final = "`kling-render fix`"
"""How texts name the command that writes corrected copies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """An image the model may take, by its content."""

    kind: ImageKind
    #: Pixels, after the EXIF orientation is applied.
    width: int
    height: int
    bytes: int
    mime: str
    #: How pixels are stored, in Pillow's words (`RGB`, `CMYK`, `L`, …); `16-bit`: more than 8 bits a colour.
    colours: str = "RGB"
    #: Whether pixels may be see-through.
    alpha: bool = False
    #: More than one: it is animated.
    frames: int = 1
    #: Whether a viewer has to turn or mirror it (EXIF).
    turned: bool = False
    #: Whether it says where it was taken (GPS).
    location: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFacts:
    """A clip the model may take, by its content."""

    container: ClipContainer
    #: FFmpeg's name of the video codec (`h264`, `hevc`, …).
    codec: str
    #: Pixels, after the rotation is applied.
    width: int
    height: int
    #: Degrees clockwise that a player turns the stored picture: 0, 90, 180 or 270.
    rotation: int
    #: Frames per second, on average.
    fps: float
    #: Seconds of the video stream, the exact fraction rounded to 6 places.
    duration_s: Decimal
    has_audio: bool
    #: Number of video frames; None when the file does not say.
    frames: int | None
    bytes: int
    mime: str
    #: FFmpeg's name of how its pixels are stored; empty when it is not known.
    pixels: str = "yuv420p"
    #: Whether pixels may be see-through.
    alpha: bool = False
    #: Whether frames are shown for different lengths of time.
    variable_rate: bool = False
    #: Whether an edit list leaves something out, repeats it, or shows nothing for a while.
    edited: bool = False
    #: How many streams of each kind there are; the model gets one picture and one sound.
    video_streams: int = 1
    audio_streams: int = 0
    other_streams: int = 0
    #: Whether it says where it was taken (GPS).
    location: bool = False


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a file is not usable at all; what a diagnostic needs except the place."""

    code: str
    message: str
    help: str
    #: The remedy where a corrected copy can be made; empty when none can.
    by_fix: str = ""
    #: Whether it may read well another time (it took too long, the reader died): not to be remembered.
    passing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultCheck:
    """Whether a downloaded video is whole."""

    ok: bool
    #: What is wrong; empty when `ok`.
    problem: str
    #: Seconds of the video stream; None when it cannot be told.
    duration_s: Decimal | None
    has_audio: bool
    #: Seconds that are missing against the expected length; 0 when it is as long as expected (± a quarter second).
    shorter_by_s: Decimal
    #: What a small one shows, and the SHA-256 of the bytes that were looked at.
    look: Look | None = None
    sha256: str | None = None
    #: Where it is not `ok`: the file is there to its last byte all the same, so it may have been made like this.
    complete: bool = False


Facts = ImageFacts | ClipFacts | Unreadable
_RECORDS = {"image": ImageFacts, "clip": ClipFacts, "unreadable": Unreadable, "result": ResultCheck}
_DECIMALS = ("duration_s", "shorter_by_s")


def to_json(facts: Facts | ResultCheck) -> dict[str, Any]:
    """Plain values for `json.dumps`; seconds become decimal strings."""
    name = next(key for key, record in _RECORDS.items() if type(facts) is record)
    plain = asdict(facts)
    for key in _DECIMALS:
        if plain.get(key) is not None:
            plain[key] = str(plain[key])
    return {"is": name, **plain}


def _from_json(data: Mapping[str, Any]) -> Any:
    fields = {key: value for key, value in data.items() if key != "is"}
    if fields.get("look") is not None:
        fields["look"] = look_from_json(fields["look"])
    for key in _DECIMALS:
        if fields.get(key) is not None:
            fields[key] = Decimal(fields[key])
    return _RECORDS[data["is"]](**fields)


def from_json(data: Mapping[str, Any]) -> Facts:
    """The inverse of `to_json` for facts.

    Raises:
        ValueError: the data is not what `to_json` of this version writes.
    """
    try:
        facts = _from_json(data)
    except (KeyError, TypeError, ArithmeticError) as error:
        raise ValueError(f"not facts about media: {error}") from error
    if not isinstance(facts, ImageFacts | ClipFacts | Unreadable):
        raise ValueError("not facts about media")  # noqa: TRY004 - the data is wrong, not the caller's types
    return facts


def result_from_json(data: Mapping[str, Any]) -> ResultCheck:
    """The inverse of `to_json` for a result check."""
    check = _from_json(data)
    assert isinstance(check, ResultCheck)
    return check
