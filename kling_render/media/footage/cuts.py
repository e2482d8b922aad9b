"""Cuts: where a frame breaks with the one before and the picture does not come back. Runs in a child only."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from kling_render.media.footage.findings import Moment
from kling_render.media.footage.samples import Luma, Sample

#: FFmpeg's own threshold: below it lie fast moves, above it cuts.
SCORE = 10.0
#: A flash lights a picture up and lets it go: after so many seconds it looks as it did.
_FLASH_S = 0.25
_COMES_BACK = 0.4
#: Frames further apart than this differ anyway.
_GAP_S = 0.2


@dataclass(slots=True)
class CutFinder:
    """Takes the samples one after the other."""

    found: list[Moment] = field(default_factory=list)
    _before: Sample | None = None
    #: Time of the break, the picture before it, how far the first picture after it was away, the last one seen.
    _open: tuple[float, Luma, float, Luma] | None = None

    def add(self, sample: Sample) -> None:
        """The next frame."""
        if self._open is not None:
            at, before, away, _ = self._open
            self._open = (at, before, away, sample.luma)
            if sample.at - at >= _FLASH_S:
                self._decide()
        # A second break while one is open belongs to the same flash or to a cut that follows too fast to tell.
        last = self._before
        if last is not None and sample.score >= SCORE and self._open is None and sample.at - last.at <= _GAP_S:
            self._open = (sample.at, last.luma, _distance(last.luma, sample.luma), sample.luma)
        self._before = sample

    def end(self) -> tuple[Moment, ...]:
        """Every cut."""
        if self._open is not None:
            self._decide()
        return tuple(self.found)

    def _decide(self) -> None:
        assert self._open is not None
        at, before, away, later = self._open
        self._open = None
        if _distance(before, later) >= _COMES_BACK * away:
            self.found.append(Moment(at, at))


def _distance(one: Luma, other: Luma) -> float:
    return float(np.abs(one.astype(np.int16) - other).mean())
