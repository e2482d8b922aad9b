"""Camera moves: the whole background goes one way, for a while. Runs in a child only."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from kling_render.media.footage import blocks
from kling_render.media.footage.findings import Moment
from kling_render.media.footage.samples import Luma, Sample

STEP_S = 0.2
"""Seconds between the two pictures that are compared: long enough for a slow pan to be a whole pixel."""

_STEP_PX = 32
#: Shares of the blocks: with texture (of all), explained by the move, and at rest against it (of those with texture).
_LEAST_TEXTURE, _LEAST_AGREEING, _MOST_RESTING = 0.2, 0.5, 0.15
_LEAST_PX = 1.0
#: How many steps in a row make a move, and how far it must go in all, in parts of the picture's longer edge.
_LEAST_STEPS, _LEAST_TRAVEL = 3, 0.015
_REST_S = 0.5


@dataclass(frozen=True, slots=True)
class _Step:
    start: float
    end: float
    #: Parts of the longer edge that the background travelled; 0: none, or it cannot be told.
    travel: float


@dataclass(slots=True)
class CameraWatch:
    """Takes the samples one after the other."""

    steps: list[_Step] = field(default_factory=list)
    _before: tuple[float, Luma] | None = None

    def add(self, sample: Sample) -> None:
        """The next frame."""
        if self._before is None:
            self._before = sample.at, sample.luma
        elif sample.at - self._before[0] >= STEP_S - 0.005:
            at, luma = self._before
            self.steps.append(_Step(at, sample.at, travel(luma, sample.luma)))
            self._before = sample.at, sample.luma

    def end(self, cuts: tuple[Moment, ...]) -> tuple[Moment, ...]:
        """Every stretch in which the camera moves; a step across a cut says nothing."""
        runs: list[list[_Step]] = [[]]
        for step in self.steps:
            across = any(step.start < cut.start <= step.end for cut in cuts)
            if step.travel and not across:
                runs[-1].append(step)
            elif runs[-1]:
                runs.append([])
        moves = [run for run in runs if len(run) >= _LEAST_STEPS and sum(s.travel for s in run) >= _LEAST_TRAVEL]
        return _joined([Moment(run[0].start, run[-1].end) for run in moves])


def _joined(moves: list[Moment]) -> tuple[Moment, ...]:
    """Moves with a short rest between them are one."""
    found: list[Moment] = []
    for move in moves:
        if found and move.start - found[-1].end <= _REST_S:
            found[-1] = Moment(found[-1].start, move.end)
        else:
            found.append(move)
    return tuple(found)


def travel(before: Luma, after: Luma) -> float:
    """How far the background moved, in parts of the longer edge; 0 when it rests or cannot be told from a figure."""
    found = blocks.shifts(before, after, _STEP_PX)
    if found.textured.mean() < _LEAST_TEXTURE:
        return 0.0
    move = blocks.drift(found)
    if move is None:
        return 0.0
    textured = int(found.textured.sum())
    distance = np.abs(move.expected).max(1)
    median = float(np.median(distance[move.agreeing])) if move.agreeing.any() else 0.0
    resting = found.textured & (np.abs(found.shift).max(1) <= 0.5) & (distance >= 1.5)
    if (
        median < _LEAST_PX
        or move.agreeing.sum() < _LEAST_AGREEING * textured
        or resting.sum() > _MOST_RESTING * textured
        or not _surrounds(found.centre, move.agreeing, before.shape)
    ):
        return 0.0
    return median / float(max(before.shape))


def _surrounds(centre: blocks.Floats, agreeing: blocks.Flags, shape: tuple[int, ...]) -> bool:
    """Whether the blocks lie left and right in the upper half, where a single figure in the middle does not reach."""
    x, y = centre[agreeing, 0] / shape[1], centre[agreeing, 1] / shape[0]
    upper = y <= 0.0
    return bool((upper & (x < -0.2)).any() and (upper & (x > 0.2)).any())
