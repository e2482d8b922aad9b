"""Takes a poster and a small moving preview from the frames of a film as they are decoded. In a child only.

Both are WebP: every browser shows it, still and moving, without a codec of the system's. The same film gives the same
bytes on the same build.
"""

from __future__ import annotations

import contextlib
import itertools
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kling_render.disk.publish import part_name

POSTER_EDGE = 480
"""Pixels of a poster's longer edge."""
PREVIEW_EDGE = 240
PREVIEW_BYTES = 250_000
"""No preview is larger."""
_MOST_FRAMES = 32
_PER_SECOND = 8
_CANDIDATES = 12
_MIDDLE = 0.15
"""How much more a frame of the middle counts than one at either end."""

Picture = NDArray[np.uint8]


class Stills:
    """Is shown every frame; keeps a few small ones, and the best for a poster."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._small, self._large = VideoReformatter(), VideoReformatter()
        self._frames: list[Picture] = []
        self._times: list[float] = []
        self._best_frame: Picture | None = None
        self._best = -1.0
        self._next_small = self._next_poster = 0.0

    def show(self, frame: Any, at: float, length: float, turn: int) -> None:
        """Look at a frame; `at` and `length` in seconds, `turn` in degrees clockwise."""
        length = max(length, at, 0.001)
        if at >= self._next_small:
            self._next_small = at + max(1 / _PER_SECOND, length / _MOST_FRAMES) * 0.999
            self._frames.append(_taken(self._small, frame, PREVIEW_EDGE, turn))
            self._times.append(at)
        if at >= self._next_poster:
            self._next_poster = at + length / _CANDIDATES
            worth = _worth(self._frames[-1], at / length)
            if worth > self._best:
                self._best, self._best_frame = worth, _taken(self._large, frame, POSTER_EDGE, turn)

    def poster(self) -> bytes:
        """The best frame.

        Raises:
            ValueError: no frame was shown.
        """
        from PIL import Image

        if self._best_frame is None:
            raise ValueError("no frame can be decoded")
        held = BytesIO()
        Image.fromarray(self._best_frame).save(held, "WEBP", quality=80, method=4)
        return held.getvalue()

    def preview(self) -> bytes:
        """A moving picture within its limit: coarser, then with fewer frames, then a single one."""
        for quality, every in ((55, 1), (30, 1), (30, 2), (20, 4)):
            data = _animation(self._frames[::every], self._times[::every], quality)
            if len(data) <= PREVIEW_BYTES:
                return data
        return _animation(self._frames[:1], self._times[:1], 30)


def _taken(scaler: Any, frame: Any, edge: int, turn: int) -> Picture:
    scale = min(1.0, edge / max(frame.width, frame.height))
    size = max(2, round(frame.width * scale / 2) * 2), max(2, round(frame.height * scale / 2) * 2)
    picture: Picture = scaler.reformat(frame, *size, "rgb24", interpolation="AREA").to_ndarray()
    return np.ascontiguousarray(np.rot90(picture, -(turn // 90))) if turn else picture


def _worth(picture: Picture, share: float) -> float:
    """How good a poster is: light and dark, detail, and rather from the middle than from an end."""
    grey = picture.mean(axis=2)
    spread = min(float(grey.std()), 64.0)
    detail = float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean())
    return (spread + 2 * min(detail, 16.0)) * (1 + _MIDDLE * (1 - abs(2 * share - 1)))


def _animation(frames: list[Picture], times: list[float], quality: int) -> bytes:
    from PIL import Image

    images = [Image.fromarray(frame) for frame in frames]
    steps = [round(1000 * (b - a)) for a, b in itertools.pairwise(times)]
    held = BytesIO()
    images[0].save(
        held,
        "WEBP",
        save_all=True,
        append_images=images[1:],
        duration=[*steps, steps[-1] if steps else 1000],
        loop=0,
        quality=quality,
        method=1,
    )
    return held.getvalue()


def put(path: Path, data: bytes) -> None:
    """Publish a picture; without a sync, for it can be made again, and a torn one is told by its length.

    Raises:
        OSError: as usual; nothing is left behind.
    """
    part = path.with_name(part_name())
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
