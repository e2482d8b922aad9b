"""What to say of a result after a look at all of it: warnings, never a reason to pay again. Pure.

A result is held against its clip: a pose that the clip itself holds is no frozen picture, and a clip without sound
leaves nothing to miss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kling_render.media.look import Look, Sound, Stretch, moved, without

SHORTER_S = 0.25
"""Seconds that may be missing at the end unsaid."""
FROZEN_S = 1.5
"""A picture that stands still this long, while the clip moves, is said."""
BLACK_S = 0.5
"""A black picture this long, while the clip's is not, is said."""
_MARGIN_S = 0.4
"""How much a pose of the clip may be held longer in the result."""
_WHOLE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a result was to be. Times are seconds."""

    #: The length that was sent; None when it is not known.
    expected_s: float | None
    #: Where the result's beginning lies in the clip.
    start_s: float
    keep_audio: bool
    #: Whether the clip has a sound track.
    clip_has_audio: bool


def shorter(by_s: float) -> str | None:
    """What to say of a result that ends early."""
    return f"{by_s:.1f} s shorter than its clip" if by_s > SHORTER_S else None


def needs_clip(look: Look, wanted: Wanted) -> Literal["no", "sound", "whole"]:
    """How much of the clip must be known to tell if something is wrong; its sound costs little, its picture much."""
    if _long(look.black, BLACK_S) or _long(look.still, FROZEN_S):
        return "whole"
    return "sound" if wanted.keep_audio and wanted.clip_has_audio and look.sound != "sound" else "no"


def warnings_of(look: Look, clip: Look | None, sound: Sound | None, wanted: Wanted) -> list[str]:
    """Everything that is wrong with a result, the gravest first.

    Args:
        look: what the result shows.
        clip: what its clip shows; None when nobody could look at it, or nobody needed to.
        sound: the same of the clip's sound.
        wanted: what the result was to be.
    """
    said = [_damage(look), _black(look, clip, wanted), _frozen(look, clip, wanted), _missing(look, wanted)]
    said.append(_silence(look, sound, wanted))
    return [text for text in said if text]


def _damage(look: Look) -> str | None:
    if look.damaged_s is not None:
        return f"damaged at {_at(look.damaged_s)}: not every frame can be decoded"
    if look.duration_s - look.decoded_s > SHORTER_S:
        return f"its picture ends at {_at(look.decoded_s)} of {_at(look.duration_s)}"
    return None


def _black(look: Look, clip: Look | None, wanted: Wanted) -> str | None:
    own = moved(clip.black, -wanted.start_s) if clip else []
    return _told("black", _long(without(look.black, own, _MARGIN_S), BLACK_S), look, clip)


def _frozen(look: Look, clip: Look | None, wanted: Wanted) -> str | None:
    own = moved([*clip.calm, *clip.black], -wanted.start_s) if clip else []
    still = without(without(look.still, look.black), own, _MARGIN_S)
    return _told("frozen", _long(still, FROZEN_S), look, clip)


def _told(word: str, found: Sequence[Stretch], look: Look, clip: Look | None) -> str | None:
    if not found:
        return None
    length = max(look.decoded_s, 0.001)
    if sum(end - start for start, end in found) >= _WHOLE * length:
        return f"{word} from beginning to end"
    if clip is None:
        return None  # the clip may hold still there itself
    return f"{word} at {', '.join(f'{_at(start)[:-2]}–{_at(end)}' for start, end in found)}"


def _missing(look: Look, wanted: Wanted) -> str | None:
    return None if wanted.expected_s is None else shorter(wanted.expected_s - look.duration_s)


def _silence(look: Look, clip: Sound | None, wanted: Wanted) -> str | None:
    if not wanted.keep_audio or not wanted.clip_has_audio or look.sound == "sound" or clip in {"silent", "none"}:
        return None
    if look.sound == "none":
        return "no sound, although its clip has some"
    return "silent, although its clip is not" if clip == "sound" else None


def _long(stretches: Sequence[Stretch], least_s: float) -> list[Stretch]:
    return [each for each in stretches if each[1] - each[0] >= least_s]


def _at(seconds: float) -> str:
    return f"{seconds:.1f} s"
