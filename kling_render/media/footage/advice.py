"""What is said about inputs that the model will take and spoil. Pure.

=======  ===========================================================
KR0220   cuts in a clip
KR0221   the camera moves
KR0222   very fast motion
KR0223   silence where `keep_audio` is on
KR0224   a picture much smaller than the output
=======  ===========================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Final

from kling_render.media.facts import ClipFacts, ImageFacts
from kling_render.media.footage.findings import Footage, Moment
from kling_render.models import Limit, Model

CODES: Final = {"cuts": "KR0220", "camera": "KR0221", "speed": "KR0222", "silence": "KR0223", "size": "KR0224"}
"""The name that `allow` takes → the warning's code."""

#: Below this, the loudest tenth of a second is noise of the recording.
SILENT_DB = -60.0
_MUCH_SMALLER = Decimal("0.5")
_NAMED = 5
_SOUND = "use the copy of the clip that has its sound, or say 'keep_audio: false' (which makes a new request)"
_STATED = {"vendor": "the vendor's documentation", "sellers": "sellers of this model"}


@dataclass(frozen=True, slots=True)
class Advice:
    """One warning: what is seen and why it costs money, and what to do."""

    #: As `allow` takes it.
    name: str
    message: str
    help: str

    @property
    def code(self) -> str:
        """Of the diagnostic."""
        return CODES[self.name]


def about_clip(
    facts: ClipFacts, footage: Footage, start: Decimal | None, end: Decimal | None, least: Decimal
) -> list[Advice]:
    """What is wrong with the movement in the part of a clip that is used.

    Args:
        facts: of the whole clip.
        footage: of the part.
        start: where the part begins, in seconds of the file; None: at its beginning.
        end: where it ends; None: at its end.
        least: the seconds that the model wants at least.
    """
    found = []
    if footage.cuts:
        what = f"{_count(footage.cuts, 'cut')} at {_times([f'{cut.start:.2f} s' for cut in footage.cuts])}"
        why = "the vendor's guidelines ask for one take without cuts, and the movement breaks where the clip does"
        longest = _longest(footage.cuts, float(start or 0), float(facts.duration_s if end is None else end))
        hint = f"use the longest part without a cut (start: {longest.start:.2f}, end: {longest.end:.2f})"
        if longest.end - longest.start < least:
            hint = f"use a clip in one take (no part without a cut lasts {least} s)"
        found.append(Advice("cuts", f"{what}; {why}", _or_allow(hint, "cuts")))
    if footage.camera:
        what = f"the camera moves {_spans(footage.camera)}"
        why = "the vendor's guidelines ask for a camera that stands still, for its moves are taken for the figure's"
        hint = "use a part or a clip from a camera that stands still"
        found.append(Advice("camera", f"{what}; {why}", _or_allow(hint, "camera")))
    if footage.speed:
        what = f"very fast motion {_spans(footage.speed)}"
        why = "the vendor's guidelines ask for moderate speed, for limbs blur and break where it is too fast"
        hint = "use a slower part, or slow the clip down"
        found.append(Advice("speed", f"{what}; {why}", _or_allow(hint, "speed")))
    return found


def about_sound(footage: Footage) -> list[Advice]:
    """A warning when the clip's sound is to be kept and there is nothing to hear."""
    if footage.loudest_db is None:
        what = "keep_audio is on, but the clip has no sound track: the paid video will be silent"
    elif footage.loudest_db < SILENT_DB:
        what = (
            f"keep_audio is on, but the clip is silent (at most {footage.loudest_db:.0f} dB): so will be the paid video"
        )
    else:
        return []
    return [Advice("silence", what, _or_allow(_SOUND, "silence"))]


def about_image(facts: ImageFacts, model: Model, mode: str) -> list[Advice]:
    """A warning when the picture has less than half of the output's pixels on its short edge.

    Args:
        facts: of the picture.
        model: that is to render it.
        mode: value of the parameter `mode`; "" when the model has none.
    """
    edge: Limit | None = model.short_edges.get(mode)
    short = min(facts.width, facts.height)
    if edge is None or short >= edge.value * _MUCH_SMALLER:
        return []
    what = f"{facts.width} × {facts.height}: the short edge has {short} px, the output's {edge.value:,}"
    why = f"(stated by {_STATED[edge.source]}); details that the picture lacks are made up, and paid for"
    hint = f"use a picture with {edge.value:,} px or more on its short edge"
    return [Advice("size", f"{what} {why}", _or_allow(hint, "size"))]


def _longest(cuts: Sequence[Moment], start: float, end: float) -> Moment:
    """The longest part without a cut."""
    edges = [start, *(cut.start for cut in cuts), end]
    return max((Moment(one, other) for one, other in pairwise(edges)), key=lambda m: m.end - m.start)


def _or_allow(hint: str, name: str) -> str:
    return f"{hint}; or, if it is meant so, write 'allow: [{name}]' beside the file"


def _count(items: Sequence[object], noun: str) -> str:
    return f"{len(items)} {noun}{'s' if len(items) != 1 else ''}"


def _spans(moments: Sequence[Moment]) -> str:
    return _times([f"from {one.start:.1f} s to {one.end:.1f} s" for one in moments])


def _times(texts: Sequence[str]) -> str:
    if len(texts) > _NAMED:
        return f"{', '.join(texts[:_NAMED])} and {len(texts) - _NAMED} more"
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
