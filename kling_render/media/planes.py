"""Pictures with transparency as YUV planes, and laying them over frames. Runs in a child only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kling_render.media.window import Plane

Floats = NDArray[np.float32]

_BACKGROUND_LIFT, _BACKGROUND_GAIN, _COLOUR_GAIN = 26, 0.46, 0.28


@dataclass(frozen=True, slots=True)
class Layer:
    """Y, U, V and alpha at full and half size; edges are even."""

    y: Plane
    u: Plane
    v: Plane
    alpha: Plane
    half_alpha: Plane


def layer(picture: Image.Image) -> Layer:
    """RGBA (even edges) as limited-range BT.709 4:2:0."""
    rgba = np.asarray(picture.convert("RGBA"), np.float32)
    red, green, blue = rgba[..., 0], rgba[..., 1], rgba[..., 2]
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    u = (blue - y) / 1.8556
    v = (red - y) / 1.5748
    alpha = rgba[..., 3]
    return Layer(
        np.rint(16 + y * (219 / 255)).astype(np.uint8),
        np.rint(128 + _half(u) * (224 / 255)).astype(np.uint8),
        np.rint(128 + _half(v) * (224 / 255)).astype(np.uint8),
        np.rint(alpha).astype(np.uint8),
        np.rint(_half(alpha)).astype(np.uint8),
    )


def _half(plane: Floats) -> Floats:
    rows, columns = plane.shape
    blocks = plane.reshape(rows // 2, 2, columns // 2, 2)
    return np.asarray(blocks.mean(axis=(1, 3)), np.float32)


def _dimming() -> tuple[bytes, bytes]:
    """Tables for brightness and colour: darker, nearly grey."""
    values = np.arange(256, dtype=np.float32)
    bright = _BACKGROUND_LIFT + (values - 16) * _BACKGROUND_GAIN
    colour = 128 + (values - 128) * _COLOUR_GAIN
    return np.clip(np.rint(bright), 16, 235).astype(np.uint8).tobytes(), np.rint(colour).astype(np.uint8).tobytes()


_BRIGHT, _COLOUR = _dimming()


def push_back(picture: Plane) -> Plane:
    """A stacked 4:2:0 picture as a background: darker and nearly without colour."""
    rows = picture.shape[0] * 2 // 3
    # bytes.translate is several times as fast as indexing a table.
    dimmed = bytearray(picture[:rows].tobytes().translate(_BRIGHT))
    dimmed += picture[rows:].tobytes().translate(_COLOUR)
    return np.frombuffer(dimmed, np.uint8).reshape(picture.shape)


def lay(planes: tuple[Plane, Plane, Plane], top: Layer, x: int, y: int) -> None:
    """Blend a layer into a picture's planes in place, its left upper corner at the even position x, y; clipped."""
    _blend(planes[0], top.y, top.alpha, x, y)
    _blend(planes[1], top.u, top.half_alpha, x // 2, y // 2)
    _blend(planes[2], top.v, top.half_alpha, x // 2, y // 2)


def _blend(target: Plane, source: Plane, alpha: Plane, x: int, y: int) -> None:
    rows, columns = source.shape
    top, left = max(0, -y), max(0, -x)
    bottom, right = min(rows, target.shape[0] - y), min(columns, target.shape[1] - x)
    if top >= bottom or left >= right:
        return
    part = target[y + top : y + bottom, x + left : x + right]
    under = part.astype(np.int16)
    weight = alpha[top:bottom, left:right].astype(np.int32)
    part[:] = under + ((source[top:bottom, left:right] - under) * weight + 127) // 255
