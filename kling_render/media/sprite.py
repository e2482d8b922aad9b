"""The character as it is laid over the clip: any height, any lean, with a shadow under it. Runs in a child only."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from kling_render.media.cutout import cut_out
from kling_render.media.planes import Layer, layer
from kling_render.media.window import Plane, even

_SAME_SCALE, _SAME_DEGREES = 0.0015, 0.2
"""Smaller changes than these are not drawn anew: nobody sees them."""
_FINER = 2
_WIDEST_CARD = 0.9
_WIDEST_SHARE = 0.9
"""The width of a whole picture, in heights of the figure that it stands for, and in a tall frame in widths of that."""


class Sprite:
    """The character of one rehearsal.

    Args:
        path: its picture.
        size: of the frames, in pixels.
    """

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        cutout = cut_out(path, size[1])
        #: What stands in the picture's stead, or None when the figure was cut out.
        self.note = cutout.note
        self._master = _with_shadow(cutout.picture)
        width, height = cutout.picture.size
        # A photograph across would hide what happens.
        widest = min(_WIDEST_CARD, _WIDEST_SHARE * size[0] / size[1])
        fit = min(1.0, widest * height / width) if cutout.note else 1.0
        self._frame = fit * self._master.height / height
        self._smaller: dict[int, _Source] = {}
        self._drawn: tuple[float, float, Layer] | None = None

    def at(self, height: float, degrees: float) -> Layer:
        """The character `height` pixels tall, turned clockwise about its middle, which is the layer's middle too."""
        last = self._drawn
        if last and abs(last[0] / height - 1) < _SAME_SCALE and abs(last[1] - degrees) < _SAME_DEGREES:
            return last[2]
        drawn = self._source(height * self._frame).turned(height * self._frame, degrees)
        self._drawn = (height, degrees, drawn)
        return drawn

    def _source(self, height: float) -> _Source:
        """The master at the next larger of a few heights: reading must not skip pixels."""
        step = max(0, math.floor(2 * math.log2(self._master.height / max(height, 2))))
        if step not in self._smaller:
            scale = 2 ** (-step / 2)
            size = (even(round(self._master.width * scale)), even(round(self._master.height * scale)))
            self._smaller[step] = _Source(layer(self._master.resize(size, Image.Resampling.LANCZOS)))
        return self._smaller[step]


class _Source:
    """A layer to read turned and scaled copies from."""

    def __init__(self, flat: Layer) -> None:
        self._rows, self._columns = flat.y.shape
        self._full = [_finer(plane) for plane in (flat.y, flat.alpha)]
        self._half = [_finer(plane) for plane in (flat.u, flat.v, flat.half_alpha)]

    def turned(self, height: float, degrees: float) -> Layer:
        scale = height / self._rows
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        wide = scale * (self._columns * cosine + self._rows * abs(sine))
        tall = scale * (self._rows * cosine + self._columns * abs(sine))
        size = (even(math.ceil(wide) + 2), even(math.ceil(tall) + 2))
        step = (_FINER * cosine / scale, _FINER * sine / scale)
        y, alpha = (_read(plane, size, step) for plane in self._full)
        u, v, half_alpha = (_read(plane, (size[0] // 2, size[1] // 2), step) for plane in self._half)
        return Layer(y, u, v, alpha, half_alpha)


def _finer(plane: Plane) -> Image.Image:
    """Enlarged, so that the nearest pixel is near enough: reading it takes a tenth of the time of blending four."""
    rows, columns = plane.shape
    return Image.fromarray(plane).resize((columns * _FINER, rows * _FINER), Image.Resampling.BILINEAR)


def _read(plane: Image.Image, size: tuple[int, int], step: tuple[float, float]) -> Plane:
    """A plane of `size` around the source's middle; `step` is what one pixel to the right is in the source."""
    across, down = step
    x, y = size[0] / 2, size[1] / 2
    matrix = (
        across, down, plane.width / 2 - across * x - down * y,
        -down, across, plane.height / 2 + down * x - across * y,
    )  # fmt: skip
    return np.asarray(plane.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST))


def _with_shadow(character: Image.Image) -> Image.Image:
    """With a margin alike on opposite sides, so that the middle of the whole is that of the character."""
    width, height = character.size
    drop = max(2, height // 40)
    canvas = Image.new("RGBA", (width + 4, height + 2 * drop), (0, 0, 0, 0))
    shadow = Image.new("L", canvas.size, 0)
    box = (width * 0.12, height - drop, width * 0.88, height + drop * 2 - 1)
    ImageDraw.Draw(shadow).ellipse(box, fill=120)
    canvas.putalpha(shadow.filter(ImageFilter.GaussianBlur(drop / 2)))
    canvas.alpha_composite(character, (2, drop))
    return canvas
