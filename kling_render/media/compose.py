"""Renders a rehearsal: the dimmed clip, the character on the moving figure, the words. Runs in a child only."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from kling_render.media.captions import overlay
from kling_render.media.cutout import cut_out
from kling_render.media.encode import Mp4Writer
from kling_render.media.mover import Track, find_mover
from kling_render.media.planes import Layer, lay, layer, push_back
from kling_render.media.rehearsal import RehearsalSpec
from kling_render.media.window import BT709, EmptyWindowError, Plane, Window, even, split, upright

_CACHED_CLIPS = 3
_CACHED_BYTES = 128 << 20
_ANALYSIS_ROWS = 120
_REC709, _LIMITED = 1, 1

#: A picture and the ticks at which it is shown.
Timed = tuple[Plane, int, int]


@dataclass(slots=True)
class Background:
    """A clip's window, scaled down, dimmed and analysed."""

    size: tuple[int, int]
    rate: Fraction
    track: Track
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
        kept: list[Timed] | None = []
        small: list[Plane] = []
        total = 0
        for picture, start, end in _dimmed(window, size, small):
            total += picture.nbytes
            if kept is not None and total <= _CACHED_BYTES:
                kept.append((picture, start, end))
            else:
                kept = None
        if not small:
            raise EmptyWindowError("the clip has no frame between start and end")
        track = find_mover(np.stack(small), float(window.rate))
        return Background(size, window.rate, track, window.sound(), kept)


def _dimmed(window: Window, size: tuple[int, int], small: list[Plane] | None) -> Iterator[Timed]:
    """The window's frames, scaled and pushed back; brightness for the analysis goes to `small`."""
    stored = size[::-1] if window.rotation in (90, 270) else size
    step = max(1, size[1] // _ANALYSIS_ROWS)
    for shown in window.frames():
        frame = shown.frame.reformat(
            *stored, format="yuv420p", dst_colorspace=_REC709, dst_color_range=_LIMITED, interpolation="AREA"
        )
        if small is not None:
            grey = frame.reformat(stored[0] // step, stored[1] // step, format="gray", interpolation="FAST_BILINEAR")
            small.append(np.rot90(grey.to_ndarray(), -(window.rotation // 90)))
        yield push_back(upright(frame.to_ndarray(), window.rotation)), shown.start, shown.end


def _frames(background: Background, spec: RehearsalSpec) -> Iterator[Timed]:
    if background.kept is not None:
        yield from ((picture.copy(), start, end) for picture, start, end in background.kept)
        return
    with Window(spec.clip, spec.start, spec.end) as window:
        yield from _dimmed(window, background.size, None)


class Sprite:
    """The character with a shadow under it, at any height; each height is scaled once."""

    def __init__(self, path: Path, max_height: int) -> None:
        self._master = _with_shadow(cut_out(path, max_height))
        self._scaled: dict[int, Layer] = {}

    def at(self, height: int) -> Layer:
        """The layer whose height is `height` (even)."""
        if height not in self._scaled:
            width = even(round(self._master.width * height / self._master.height))
            self._scaled[height] = layer(self._master.resize((width, height), Image.Resampling.BICUBIC))
        return self._scaled[height]


def _with_shadow(character: Image.Image) -> Image.Image:
    width, height = character.size
    drop = max(2, height // 40)
    canvas = Image.new("RGBA", (width, height + drop), (0, 0, 0, 0))
    shadow = Image.new("L", canvas.size, 0)
    box = (width * 0.12, height - drop * 2, width * 0.88, height + drop - 1)
    ImageDraw.Draw(shadow).ellipse(box, fill=120)
    canvas.putalpha(shadow.filter(ImageFilter.GaussianBlur(drop / 2)))
    canvas.alpha_composite(character)
    return canvas


def compose(spec: RehearsalSpec, target: Path, backgrounds: Backgrounds) -> None:
    """Write the rehearsal to `target`."""
    background = backgrounds.get(spec)
    width, height = background.size
    words = layer(overlay(background.size, spec.lines))
    strip = _used_rows(words.alpha)
    sprite = Sprite(spec.image, height)
    sound = background.sound if spec.keep_audio else None
    with Mp4Writer(
        target,
        background.size,
        background.rate,
        BT709,
        sound_rate=sound[1] if sound else None,
        sound_channels=sound[0].shape[0] if sound else 2,
        preset="veryfast",
        crf=25,
    ) as writer:
        if sound:
            writer.play(*sound)
        for index, (picture, start, end) in enumerate(_frames(background, spec)):
            planes = split(picture)
            _put(planes, sprite, background.track, index, (width, height))
            for first, part in strip:
                lay(planes, part_of(words, first, part), 0, first)
            writer.show(picture, start, end)


def _put(planes: tuple[Plane, Plane, Plane], sprite: Sprite, track: Track, index: int, size: tuple[int, int]) -> None:
    at = min(index, len(track.centre) - 1)
    figure = sprite.at(even(round(float(track.height[at]) * size[1] * 1.12)))
    rows, columns = figure.y.shape
    x = round(float(track.centre[at]) * size[0] - columns / 2)
    y = round(float(track.foot[at]) * size[1] + size[1] * 0.015 - rows)
    lay(planes, figure, x // 2 * 2, y // 2 * 2)


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
