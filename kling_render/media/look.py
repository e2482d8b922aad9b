"""What a whole film shows and sounds like: values only, JSON in and out (for caches)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Stretch = tuple[float, float]
"""A part of a film: from and to, in seconds."""

Sound = Literal["none", "silent", "sound"]
SOUNDS: tuple[Sound, ...] = ("none", "silent", "sound")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A film that was decoded from its first frame to its last. Times are seconds from its beginning."""

    #: Of the video stream, as its header says.
    duration_s: float
    #: Where what can be decoded ends.
    decoded_s: float
    #: Where decoding failed first; None: nowhere.
    damaged_s: float | None
    #: Where the picture is black.
    black: tuple[Stretch, ...]
    #: Where nothing moves at all.
    still: tuple[Stretch, ...]
    #: Where nothing moves but noise and a body that stands; contains `still`.
    calm: tuple[Stretch, ...]
    sound: Sound
    #: Pixels, upright.
    width: int
    height: int


def to_json(look: Look) -> dict[str, Any]:
    """Plain values for `json.dumps`."""
    return {
        "duration_s": look.duration_s,
        "decoded_s": look.decoded_s,
        "damaged_s": look.damaged_s,
        "black": [list(each) for each in look.black],
        "still": [list(each) for each in look.still],
        "calm": [list(each) for each in look.calm],
        "sound": look.sound,
        "width": look.width,
        "height": look.height,
    }


def from_json(data: Mapping[str, Any]) -> Look:
    """The inverse of `to_json`.

    Raises:
        ValueError: the data is not what `to_json` of this version writes.
    """
    try:
        parts = {name: tuple((float(a), float(b)) for a, b in data[name]) for name in ("black", "still", "calm")}
        return Look(
            duration_s=float(data["duration_s"]),
            decoded_s=float(data["decoded_s"]),
            damaged_s=None if data["damaged_s"] is None else float(data["damaged_s"]),
            sound=data["sound"],
            width=int(data["width"]),
            height=int(data["height"]),
            **parts,
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a look at a film: {error}") from error


def without(stretches: Sequence[Stretch], others: Sequence[Stretch], margin_s: float = 0.0) -> list[Stretch]:
    """What is left of stretches after others, widened by a margin, were taken away."""
    left = list(stretches)
    for start, end in others:
        begin, until = start - margin_s, end + margin_s
        left = [part for a, b in left for part in ((a, min(b, begin)), (max(a, until), b)) if part[1] > part[0]]
    return left


def moved(stretches: Sequence[Stretch], by_s: float) -> list[Stretch]:
    """The same stretches on another clock."""
    return [(start + by_s, end + by_s) for start, end in stretches]
