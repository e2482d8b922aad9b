"""Very fast motion: how fast what moves crosses the picture. Runs in a child only."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from kling_render.media.footage import blocks
from kling_render.media.footage.findings import Moment
from kling_render.media.footage.samples import Luma, Sample

_EVERY_S = 0.1
_STEP_PX = 48
_CHANGED = 6.0
_LEAST_BLOCKS = 2
#: Longer edges a second. Brisk gestures stay below a half.
FAST = 0.5
_LEAST_STEPS = 3
_WINDOW_S = 1.0


@dataclass(slots=True)
class SpeedWatch:
    """Takes the samples one after the other."""

    #: Time and speed of what moves against the frame before, every tenth of a second.
    speeds: list[tuple[float, float]] = field(default_factory=list)
    _before: tuple[float, Luma] | None = None
    _due: float = -1.0

    def add(self, sample: Sample) -> None:
        """The next frame."""
        if self._before is not None and sample.at >= self._due and sample.at > self._before[0]:
            at, luma = self._before
            self.speeds.append((sample.at, speed(luma, sample.luma, sample.at - at)))
            self._due = sample.at + _EVERY_S
        self._before = sample.at, sample.luma

    def end(self, cuts: tuple[Moment, ...]) -> tuple[Moment, ...]:
        """Every stretch with several fast steps within a second."""
        near = {at for at, _ in self.speeds if any(abs(at - cut.start) < _EVERY_S for cut in cuts)}
        fast = [at for at, value in self.speeds if value >= FAST and at not in near]
        found: list[list[float]] = []
        for at in fast:
            if found and at - found[-1][-1] <= _WINDOW_S:
                found[-1].append(at)
            else:
                found.append([at])
        return tuple(Moment(run[0], run[-1]) for run in found if len(run) >= _LEAST_STEPS)


def speed(before: Luma, after: Luma, seconds: float) -> float:
    """Longer edges a second of what moves against the background; 0 when nothing can be followed."""
    found = blocks.shifts(before, after, _STEP_PX)
    moving = found.clear & (found.change > _CHANGED)
    if moving.sum() < _LEAST_BLOCKS:
        return 0.0
    move = blocks.drift(found)
    own = found.shift if move is None else found.shift - move.expected
    lengths = np.hypot(own[moving, 0], own[moving, 1])
    return float(np.percentile(lengths, 75)) / float(max(before.shape)) / seconds
