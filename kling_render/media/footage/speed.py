"""Very fast motion: how fast what moves crosses the picture, by FFmpeg's motion estimation. Runs in a child only."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kling_render.media.footage.findings import Moment
from kling_render.media.footage.samples import Sample, luma_of, pulled

_BLOCK, _LONG_EDGE, _SEARCH = 16, 240, 24
#: A block counts when it has texture, changed, and is found again elsewhere with less than half of that change.
_TEXTURE, _CHANGED, _EXPLAINED, _LEAST_BLOCKS = 6.0, 5.0, 0.5, 2
FAST = 0.8
"""Longer edges a second, of the fastest fifth of what moves. Brisk gestures stay below a half."""
_SHARE, _WINDOW_S, _LEAST_FRAMES = 0.3, 1.0, 4
"""So large a part of the frames of a second must be fast."""
_NEAR_CUT_S = 0.1

Ints = NDArray[np.int16]


@dataclass(slots=True)
class SpeedWatch:
    """Takes the samples one after the other."""

    #: Time and speed of what moves against the frame before, in longer edges a second.
    speeds: list[tuple[float, float]] = field(default_factory=list)
    _graph: Any = None
    _times: deque[float] = field(default_factory=deque)
    _before: tuple[float, Ints] | None = None

    def add(self, sample: Sample) -> None:
        """The next frame."""
        if self._graph is None:
            self._graph = _estimator(sample.frame)
        self._times.append(sample.at)
        self._graph.vpush(sample.frame)
        for frame in pulled(self._graph):  # the estimator is one frame behind
            at, luma = self._times.popleft(), luma_of(frame).astype(np.int16)
            vectors = frame.side_data.get("MOTION_VECTORS")
            if self._before is not None and vectors is not None and at > self._before[0]:
                then, before = self._before
                self.speeds.append((at, _shift(vectors.to_ndarray(), before, luma) / (at - then)))
            self._before = at, luma

    def end(self, cuts: tuple[Moment, ...]) -> tuple[Moment, ...]:
        """Every stretch in which a good part of each second is fast."""
        times = np.array([at for at, _ in self.speeds])
        fast = np.array([value >= FAST for _, value in self.speeds], bool)
        for cut in cuts:
            fast &= np.abs(times - cut.start) > _NEAR_CUT_S
        marked = np.zeros(len(times), bool)
        for at in times[fast]:
            second = (times >= at) & (times < at + _WINDOW_S)
            hits = second & fast
            enough = max(_LEAST_FRAMES, _SHARE * _frames_in_a_second(times))
            if hits.sum() >= enough:
                marked |= hits
        return _stretches(times[marked])


def _frames_in_a_second(times: NDArray[np.float64]) -> float:
    return float(1 / max(1e-3, np.median(np.diff(times)))) if len(times) > 1 else 1.0


def _stretches(times: NDArray[np.float64]) -> tuple[Moment, ...]:
    found: list[Moment] = []
    for at in times.tolist():
        if found and at - found[-1].end <= _WINDOW_S:
            found[-1] = Moment(found[-1].start, at)
        else:
            found.append(Moment(at, at))
    return tuple(found)


def _estimator(first: Any) -> Any:
    from av.filter import Graph

    scale = _LONG_EDGE / max(first.width, first.height)
    width, height = (max(_BLOCK, int(edge * scale) // _BLOCK * _BLOCK) for edge in (first.width, first.height))
    graph = Graph()
    chain = [
        graph.add_buffer(width=first.width, height=first.height, format=first.format, time_base=first.time_base),
        graph.add("scale", f"{width}:{height}:flags=area"),
        graph.add("mestimate", f"method=epzs:mb_size={_BLOCK}:search_param={_SEARCH}"),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*chain).configure()
    return graph


def _shift(vectors: Any, before: Ints, now: Ints) -> float:
    """How far what moves has come, in longer edges; 0 when nothing can be followed."""
    past = vectors[vectors["source"] == -1]
    rows, columns = now.shape
    x, y = past["dst_x"] // _BLOCK * _BLOCK, past["dst_y"] // _BLOCK * _BLOCK
    dx = past["dst_x"].astype(np.int32) - past["src_x"]
    dy = past["dst_y"].astype(np.int32) - past["src_y"]
    inside = (x - dx >= 0) & (y - dy >= 0) & (x - dx <= columns - _BLOCK) & (y - dy <= rows - _BLOCK)
    inside &= (x <= columns - _BLOCK) & (y <= rows - _BLOCK)
    if not inside.any():
        return 0.0
    own = np.hypot(dx - np.median(dx), dy - np.median(dy))[inside]
    x, y, dx, dy = x[inside], y[inside], dx[inside], dy[inside]
    here, there, from_ = _blocks(now, x, y), _blocks(before, x, y), _blocks(before, x - dx, y - dy)
    change, left = (np.abs(here - one).mean((1, 2)) for one in (there, from_))
    followed = (here.std((1, 2)) > _TEXTURE) & (change > _CHANGED) & (left < _EXPLAINED * change)
    if followed.sum() < _LEAST_BLOCKS:
        return 0.0
    return float(np.percentile(own[followed], 80)) / float(max(rows, columns))


def _blocks(picture: Ints, x: NDArray[np.int32], y: NDArray[np.int32]) -> Ints:
    reach = np.arange(_BLOCK)
    blocks: Ints = picture[y[:, None, None] + reach[None, :, None], x[:, None, None] + reach[None, None, :]]
    return blocks
