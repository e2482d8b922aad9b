"""Reads a clip once, in small pictures, with FFmpeg's measure of how much each frame breaks with the one before.

Runs in a child only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kling_render.media.window import TICKS, Window, even

Luma = NDArray[np.uint8]

LONG_EDGE = 320
"""Pixels of the longer edge: enough to tell cuts and moves, and cheap."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One frame, small."""

    #: Seconds of the file.
    at: float
    luma: Luma
    #: FFmpeg's scene change score against the frame before, 0 to 100.
    score: float
    #: The small frame itself, for pictures.
    frame: Any


def samples(window: Window) -> Iterator[Sample]:
    """Every frame of the window."""
    graph: _Shrinker | None = None
    for shown in window.frames():
        if graph is None:
            graph = _Shrinker(shown.frame)
        at = round(float(window.start) + shown.start / TICKS, 3)
        yield from graph.push(shown.frame, at)


class _Shrinker:
    """Scales frames down and has FFmpeg's `scdet` look at them."""

    def __init__(self, first: Any) -> None:
        from av.filter import Graph

        scale = LONG_EDGE / max(first.width, first.height)
        width, height = (max(16, even(round(edge * scale))) for edge in (first.width, first.height))
        self._graph = Graph()
        chain = [
            self._graph.add_buffer(
                width=first.width, height=first.height, format=first.format, time_base=first.time_base
            ),
            self._graph.add("scale", f"{width}:{height}:flags=fast_bilinear"),
            self._graph.add("format", "yuv420p"),
            self._graph.add("scdet", "threshold=10"),
            self._graph.add("buffersink"),
        ]
        self._graph.link_nodes(*chain).configure()
        self._times: list[float] = []

    def push(self, frame: Any, at: float) -> Iterator[Sample]:
        self._times.append(at)
        self._graph.vpush(frame)
        for small in pulled(self._graph):
            score = float(dict(small.metadata).get("lavfi.scd.score", 0))
            yield Sample(self._times.pop(0), luma_of(small), score, small)


def pulled(graph: Any) -> Iterator[Any]:
    """The frames that a filter graph has ready."""
    import av

    while True:
        try:
            yield graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def luma_of(frame: Any) -> Luma:
    """The brightness of a YUV frame, as a view."""
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width]
