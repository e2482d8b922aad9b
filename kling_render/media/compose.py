"""Renders a rehearsal: the dimmed clip, the character on the moving figure, the words. Runs in a child only."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from kling_render.media.ahead import ahead
from kling_render.media.captions import overlay
from kling_render.media.encode import Mp4Writer
from kling_render.media.mover import Track, find_mover
from kling_render.media.planes import Layer, lay, layer, push_back
from kling_render.media.rehearsal import RehearsalSpec
from kling_render.media.sprite import Sprite
from kling_render.media.window import BT709, TICKS, EmptyWindowError, Plane, Planes, Shown, Window, even, planes_of

_CACHED_CLIPS = 3
_CACHED_BYTES = 128 << 20
_ANALYSIS_ROWS, _ANALYSIS_RATE = 120, 15.0
_LIMITED, _FULL = 1, 2
_TUNING = "cabac=1:deblock=1"
"""What makes the quickest preset's files a fifth smaller for next to nothing."""
_TALLER, _LOWER = 1.12, 0.015
"""By how much the character is taller than the figure it covers, and stands lower (a part of the picture's height)."""

#: A 4:2:0 frame and the ticks at which it is shown.
Timed = tuple[Any, int, int]


@dataclass(slots=True)
class Background:
    """A clip's window, scaled down, dimmed and analysed."""

    size: tuple[int, int]
    rate: Fraction
    #: The figure's way, `track_rate` moments a second.
    track: Track
    track_rate: float
    sound: tuple[NDArray[np.float32], int] | None
    #: The dimmed frames; None when they are too many to keep and are decoded again.
    kept: list[Timed] | None


@dataclass(slots=True)
class Backgrounds:
    """The clips used last, since a matrix uses each of them many times."""

    known: OrderedDict[tuple[object, ...], Background] = field(default_factory=OrderedDict)

    def get(self, spec: RehearsalSpec) -> Background:
        """The spec's clip, from memory or freshly read."""
        stat = spec.clip.stat()
        key = (spec.clip, stat.st_size, stat.st_mtime_ns, stat.st_ino, spec.start, spec.end, spec.max_edge)
        background = self.known.pop(key, None) or _read(spec)
        self.known[key] = background
        while len(self.known) > _CACHED_CLIPS:
            self.known.popitem(last=False)
        return background


def _scaled(width: int, height: int, max_edge: int) -> tuple[int, int]:
    scale = min(1.0, max_edge / max(width, height))
    return even(round(width * scale)), even(round(height * scale))


def _read(spec: RehearsalSpec) -> Background:
    with Window(spec.clip, spec.start, spec.end) as window:
        if window.seconds <= 0:
            raise EmptyWindowError("nothing of the clip lies between start and end")
        size = _scaled(window.width, window.height, spec.max_edge)
        pictures = window.seconds * window.rate
        keep = size[0] * size[1] * 3 // 2 * (pictures + 2) <= _CACHED_BYTES
        kept: list[Timed] | None = [] if keep else None
        if not keep:
            window.skim()
        small, scaler = _Small(window, size), VideoReformatter()
        for shown in window.frames():
            small.add(shown)
            if kept is not None:
                kept.append(_dimmed(shown, window, scaler, size))
        if not small.pictures:
            raise EmptyWindowError("the clip has no frame between start and end")
        track = find_mover(np.stack(small.pictures), small.rate)
        return Background(size, window.rate, track, small.rate, window.sound(), kept)


class _Small:
    """Evenly spaced small pictures of a clip's brightness."""

    def __init__(self, window: Window, size: tuple[int, int]) -> None:
        self.rate = min(float(window.rate), _ANALYSIS_RATE)
        self.pictures: list[Plane] = []
        self._window = window
        step = max(1, min(size) // _ANALYSIS_ROWS)
        self._width, self._height = (max(8, edge // step) for edge in _stored(size, window.rotation))
        self._scaler: Any = VideoReformatter()

    def add(self, shown: Shown) -> None:
        """The next frame, as often as it is shown at the pictures' times."""
        until = shown.end * self.rate / TICKS
        if len(self.pictures) >= until:
            return
        grey = self._scaler.reformat(shown.frame, self._width, self._height, "gray", interpolation="FAST_BILINEAR")
        picture = self._window.turned(grey.to_ndarray())
        while len(self.pictures) < until:
            self.pictures.append(picture)


def _stored(size: tuple[int, int], rotation: int) -> tuple[int, int]:
    return size[::-1] if rotation in (90, 270) else size


def _dimmed(shown: Shown, window: Window, scaler: Any, size: tuple[int, int]) -> Timed:
    """The frame, scaled and pushed back. Its colours are nearly gone, so which matrix they had does not matter."""
    limited = _LIMITED if shown.frame.color_range == _FULL else None
    stored = _stored(size, window.rotation)
    frame = scaler.reformat(shown.frame, *stored, "yuv420p", dst_color_range=limited, interpolation="AREA")
    made = VideoFrame(*size, "yuv420p")
    y, u, v = (window.turned(plane) for plane in planes_of(frame))
    push_back((y, u, v), planes_of(made))
    return made, shown.start, shown.end


def _frames(background: Background, spec: RehearsalSpec) -> Iterator[Timed]:
    if background.kept is not None:
        yield from ((_copy(frame), start, end) for frame, start, end in background.kept)
        return
    scaler = VideoReformatter()
    with Window(spec.clip, spec.start, spec.end) as window:
        for shown in window.frames():
            yield _dimmed(shown, window, scaler, background.size)


def _copy(frame: Any) -> Any:
    copy = VideoFrame(frame.width, frame.height, "yuv420p")
    for target, source in zip(planes_of(copy), planes_of(frame), strict=True):
        target[:] = source
    return copy


def compose(spec: RehearsalSpec, target: Path, backgrounds: Backgrounds) -> None:
    """Write the rehearsal to `target`."""
    background = backgrounds.get(spec)
    sprite = Sprite(spec.image, background.size)
    lines = (*spec.lines, sprite.note) if sprite.note else spec.lines
    words = layer(overlay(background.size, lines, heads(background.track)))
    bands = _used_rows(words.alpha)
    sound = background.sound if spec.keep_audio else None
    with Mp4Writer(
        target,
        background.size,
        background.rate,
        BT709,
        sound_rate=sound[1] if sound else None,
        sound_channels=sound[0].shape[0] if sound else 2,
        preset="ultrafast",
        crf=26,
        tuning=_TUNING,
    ) as writer:
        if sound:
            writer.play(*sound)
        for frame, start, end in ahead(_frames(background, spec)):
            planes = planes_of(frame)
            _put(planes, sprite, background, start / TICKS)
            for first, part in bands:
                lay(planes, part_of(words, first, part), 0, first)
            writer.show_frame(frame, start, end)


def _put(planes: Planes, sprite: Sprite, background: Background, time: float) -> None:
    """Lay the character over the figure as it stands at that time."""
    track = background.track
    centre, foot, tall, lean = (
        _at(values, time * background.track_rate) for values in (track.centre, track.foot, track.height, track.lean)
    )
    width, height = background.size
    figure = sprite.at(max(8.0, tall * height * _TALLER), lean)
    rows, columns = figure.y.shape
    middle = (foot + _LOWER - tall * _TALLER / 2) * height
    lay(planes, figure, round(centre * width - columns / 2), round(middle - rows / 2))


def _at(values: NDArray[np.float64], moment: float) -> float:
    """The value between two moments."""
    last = len(values) - 1
    before = min(int(moment), last)
    share = min(moment, last) - before
    return float(values[before] * (1 - share) + values[min(before + 1, last)] * share)


def heads(track: Track) -> NDArray[np.float64]:
    """Where the character's head is at each moment: left, top, right and bottom, in parts of the picture."""
    tall = track.height * _TALLER
    top = track.foot + _LOWER - tall
    middle = track.centre + np.sin(np.radians(track.lean)) * tall * 0.35
    return np.stack([middle - tall * 0.1, top, middle + tall * 0.1, top + tall * 0.3], axis=1)


def _used_rows(alpha: Plane) -> list[tuple[int, int]]:
    """The bands of rows (first, end; even) in which anything is drawn."""
    used = np.asarray(alpha.any(axis=1))
    pairs = np.asarray(used.reshape(-1, 2).any(axis=1))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], pairs, [False]]).astype(np.int8)))
    return [(int(a) * 2, int(b) * 2) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def part_of(whole: Layer, first: int, end: int) -> Layer:
    """The rows `first` to `end` (even) of a layer, as views."""
    half = slice(first // 2, end // 2)
    rows = slice(first, end)
    return Layer(whole.y[rows], whole.u[half], whole.v[half], whole.alpha[rows], whole.half_alpha[half])
