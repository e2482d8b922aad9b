"""Which part of a clip to keep when it is too long: the one with most motion and no cut inside. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import pairwise
from typing import Any

_CENT = Decimal("0.01")
_OFFERED = 3
_TOO_ALIKE = Decimal("0.5")


@dataclass(frozen=True, slots=True)
class Motion:
    """How much a clip moves."""

    #: Seconds of one step.
    step_s: Decimal
    #: Mean change of the pixels (0 to 255) a second, step by step from the clip's beginning.
    changes: tuple[float, ...]
    #: Seconds at which there is a cut.
    cuts: tuple[Decimal, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """A part that may be kept; seconds of the file."""

    start: Decimal
    end: Decimal
    #: Mean change of the pixels (0 to 255) a second.
    motion: float
    #: How many cuts lie inside.
    cuts: int

    @property
    def seconds(self) -> Decimal:
        """Its length."""
        return self.end - self.start


def motion_from_json(data: Mapping[str, Any]) -> Motion:
    """What the child saw."""
    return Motion(
        Decimal(data["step_s"]), tuple(map(float, data["changes"])), tuple(Decimal(at) for at in data["cuts"])
    )


def best_windows(motion: Motion, start: Decimal, end: Decimal, shortest: Decimal, longest: Decimal) -> list[Window]:
    """Up to three parts between two times, the best first, which overlap by less than a half.

    One without a cut always beats one with a cut; among these the one with most motion in all wins.

    Args:
        motion: of the whole clip.
        start: seconds; where the part may begin.
        end: seconds; where it may end.
        shortest: seconds it must last.
        longest: seconds it may last.
    """
    edges = [start, *(cut for cut in motion.cuts if start < cut < end), end]
    takes = [pair for one, other in pairwise(edges) if (pair := _inside(one, other)) and pair[1] - pair[0] >= shortest]
    found = [window for take in takes for window in _slides(motion, *take, longest)]
    if not found:  # every take between two cuts is too short
        found = _slides(motion, start, end, longest)
    found.sort(key=lambda w: (w.cuts, -w.motion * float(w.seconds), w.start))
    chosen: list[Window] = []
    for window in found:
        if len(chosen) < _OFFERED and all(_overlap(window, other) < _TOO_ALIKE for other in chosen):
            chosen.append(window)
    return chosen


def measured(motion: Motion, start: Decimal, end: Decimal) -> Window:
    """A part that was chosen by somebody else."""
    first, last = int(start / motion.step_s), max(int(start / motion.step_s) + 1, int(end / motion.step_s))
    steps: Sequence[float] = motion.changes[first:last]
    mean = sum(steps) / len(steps) if steps else 0.0
    return Window(start, end, round(mean, 2), sum(start < cut < end for cut in motion.cuts))


def _inside(start: Decimal, end: Decimal) -> tuple[Decimal, Decimal] | None:
    """The hundredths of a second between two times."""
    first, last = start.quantize(_CENT, ROUND_CEILING), end.quantize(_CENT, ROUND_FLOOR)
    return (first, last) if first < last else None


def _slides(motion: Motion, start: Decimal, end: Decimal, longest: Decimal) -> list[Window]:
    """Every window of the longest length, a step apart."""
    length = min(longest, end - start)
    starts, at = [], start
    while at + length <= end:
        starts.append(at)
        at += motion.step_s
    return [measured(motion, at, at + length) for at in starts]


def _overlap(one: Window, other: Window) -> Decimal:
    shared = min(one.end, other.end) - max(one.start, other.start)
    return max(Decimal(0), shared) / max(min(one.seconds, other.seconds), _CENT)
