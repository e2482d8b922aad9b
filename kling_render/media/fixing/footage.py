"""What is wrong with a clip and how its copy is made. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from kling_render.media.facts import ClipFacts
from kling_render.media.fixing.records import BLUR, PLAIN, ClipSpec, Correction, Shape, Unfixable, Wish
from kling_render.media.fixing.sizes import Bounds, Fit, fit
from kling_render.media.fixing.windows import Window
from kling_render.media.rules import BYTES, CODEC, DURATION, EDGES, LOCATION, TRIM, Orientation, Violation, check_clip
from kling_render.models import Model

#: What is no error any more once the shot list trims the clip.
_BY_TRIM = frozenset({DURATION, BYTES, ""})


@dataclass(frozen=True, slots=True)
class Use:
    """How jobs use a clip."""

    model: Model
    orientation: Orientation
    start: Decimal | None = None
    end: Decimal | None = None

    @property
    def longest_s(self) -> Decimal:
        """Seconds it may last."""
        limits = self.model.limits
        return (limits.clip_max_s_image if self.orientation == "image" else limits.clip_max_s_video).value

    @property
    def shortest_s(self) -> Decimal:
        """Seconds it must last."""
        return self.model.limits.clip_min_s.value


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is wrong with a clip, and how a copy without that is made."""

    corrections: tuple[Correction, ...]
    unfixable: tuple[Unfixable, ...]
    spec: ClipSpec

    @property
    def trim_is_enough(self) -> bool:
        """Whether `start` and `end` in the shot list do the same, without another copy."""
        return (
            bool(self.corrections) and {one.code for one in self.corrections} <= _BY_TRIM and self.spec.end is not None
        )


def strictest(uses: Iterable[Use]) -> Use:
    """The use that allows the least."""
    return min(uses, key=lambda use: (use.longest_s, -use.shortest_s))


def is_too_long(facts: ClipFacts, use: Use, wish: Wish) -> bool:
    """Whether a part has to be chosen."""
    found = check_clip(facts, use.model, use.orientation, use.start, use.end)
    long = any(v.code == DURATION for v in found) and _seconds(facts, use) > use.longest_s
    return long and wish.start is None and wish.end is None


def judge_clip(facts: ClipFacts, use: Use, wish: Wish, window: Window | None, shape: Shape = PLAIN) -> Judgement:
    """What is wrong with it when it is used that way.

    Args:
        facts: of the clip.
        use: how jobs use it.
        wish: what the user asked for.
        window: the part to keep; None: all of it.
        shape: what its header says of how it is shown.
    """
    limits = use.model.limits
    bounds = Bounds(int(limits.video_short_edge.value), int(limits.video_long_edge.value), even=True)
    size = fit(*_square(facts, shape), bounds)
    start, end = (window.start, window.end) if window is not None else (None, None)
    spec = ClipSpec(
        picture=size.picture,
        canvas=size.canvas,
        start=start,
        end=end,
        pad=wish.pad,
        background=wish.background,
        most=int(limits.video_bytes.value),
    )
    trimmed = start is not None or end is not None
    violations = check_clip(facts, use.model, use.orientation, use.start, use.end)
    corrections, unfixable = _sorted(violations, facts, size, spec, trimmed=trimmed)
    if trimmed:
        chosen = replace(use, start=start, end=end)
        wrong = check_clip(facts, use.model, use.orientation, chosen.start, chosen.end)
        left = [v for v in wrong if v.code not in (EDGES, BYTES, CODEC) and v.severity == "error"]
        # Times beyond the end break several rules at once: the first says it.
        unfixable += [_unfixable(v) for v in left if v.code != TRIM or v is left[0]]
        if not any(one.code == DURATION for one in corrections):
            corrections.insert(0, Correction("", "it lasts longer than wanted", _trimmed(facts, spec)))
    odd = [*_shapes(facts, shape, size), *_odd(facts, spec)]
    corrections += odd
    as_is = bool(corrections) and not trimmed and all(one.done in _LOSSLESS for one in corrections)
    return Judgement(tuple(corrections), tuple(unfixable), replace(spec, as_is=as_is))


def _sorted(
    violations: Iterable[Violation], facts: ClipFacts, size: Fit, spec: ClipSpec, *, trimmed: bool
) -> tuple[list[Correction], list[Unfixable]]:
    """What a copy mends, and what it cannot."""
    corrections, unfixable = [], []
    edges = _padded(size, spec.pad) if size.is_padded else _scaled(facts, size)
    done = {EDGES: edges, BYTES: "encoded smaller", CODEC: "encoded as H.264"}
    for violation in violations:
        if violation.code == DURATION and trimmed:
            corrections.append(Correction(violation.code, violation.message, _trimmed(facts, spec)))
        elif violation.code in done:
            corrections.append(Correction(violation.code, violation.message, done[violation.code]))
        else:
            unfixable.append(_unfixable(violation))
    return corrections, unfixable


_STREAMS = "one picture and one sound kept"
_METADATA = "metadata left out"
_LOSSLESS = frozenset({_STREAMS, _METADATA})


def _square(facts: ClipFacts, shape: Shape) -> tuple[int, int]:
    """Pixels of the picture as it is shown, once they are square."""
    wide = shape.wide if facts.rotation in (0, 180) else 1 / shape.wide
    # Rather more pixels than fewer: nothing is lost then.
    if wide >= 1:
        return round(facts.width * wide), facts.height
    return facts.width, round(facts.height / wide)


def _shapes(facts: ClipFacts, shape: Shape, size: Fit) -> Iterator[Correction]:
    """Ways to be shown that not every program knows."""
    if shape.wide != 1:
        wide = f"{shape.wide.numerator}:{shape.wide.denominator}"
        yield Correction("", f"its pixels are not square ({wide})", f"scaled to {_size(size.picture)}")
    if shape.slant:
        wrong = f"it asks to be turned by {shape.slant}°, which hardly any program does"
        yield Correction("", wrong, "left as it is stored")
    if shape.is_mirrored:
        yield Correction("", "a player has to exchange its left and right", "exchanged")


def _odd(facts: ClipFacts, spec: ClipSpec) -> Iterator[Correction]:
    """What no rule forbids, and what programs understand in different ways."""
    if facts.rotation:
        yield Correction("", f"a player has to turn it by {facts.rotation}°", "turned upright")
    if facts.codec == "hevc":
        yield Correction("", "it is coded as HEVC, which not every program reads", "encoded as H.264")
    if facts.alpha:
        yield Correction("", "parts of it may be see-through", f"laid on {spec.background}")
    elif facts.pixels not in ("yuv420p", "yuvj420p", ""):
        yield Correction("", f"its pixels are {facts.pixels}", "8 bits, 4:2:0")
    if facts.variable_rate:
        yield Correction("", "its frame rate varies", "constant frame rate")
    if facts.edited:
        yield Correction(
            "", "an edit list says what is shown, which not every program reads", "only what is shown kept"
        )
    if facts.video_streams > 1 or facts.audio_streams > 1 or facts.other_streams > 0:
        count = facts.video_streams + facts.audio_streams + facts.other_streams
        yield Correction("", f"it has {count} streams", _STREAMS)
    if facts.location:
        yield Correction(LOCATION, "it says where it was taken (GPS)", _METADATA)


def _unfixable(violation: Violation) -> Unfixable:
    return Unfixable(violation.code, violation.message, violation.help)


def _seconds(facts: ClipFacts, use: Use) -> Decimal:
    last = facts.duration_s if use.end is None else min(use.end, facts.duration_s)
    return last - (use.start or Decimal(0))


def _trimmed(facts: ClipFacts, spec: ClipSpec) -> str:
    end = facts.duration_s if spec.end is None else spec.end
    return f"trimmed to {text_of(spec.start or Decimal(0))}-{text_of(end)} s"


def text_of(seconds: Decimal) -> str:
    """Seconds as a shot list says them."""
    return f"{seconds.quantize(Decimal('0.001')).normalize():f}"


def _scaled(facts: ClipFacts, size: Fit) -> str:
    larger = size.picture[0] > facts.width and size.picture[1] > facts.height
    return f"scaled to {_size(size.picture)}{' (which adds no detail)' if larger else ''}"


def _padded(size: Fit, pad: str) -> str:
    return f"padded to {_size(size.canvas)} with {'its blurred edge' if pad == BLUR else pad}"


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"
