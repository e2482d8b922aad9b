"""Pictures with transparency as YUV planes, and laying them over frames. Runs in a child only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kling_render.media.window import Plane, Planes

Floats = NDArray[np.float32]

# 256ths: brightness 26 + 0.46 × (y - 16), colour 128 + 0.28 × (c - 128), each rounded.
_BRIGHT_GAIN, _BRIGHT_BASE = 118, 26 * 256 - 16 * 118 + 128
_COLOUR_GAIN, _COLOUR_BASE = 72, 128 * 256 - 128 * 72 + 128


@dataclass(frozen=True, slots=True)
class Layer:
    """Y, U and V, each multiplied by its share of opacity, and that opacity, at full and half size; edges are even."""

    y: Plane
    u: Plane
    v: Plane
    alpha: Plane
    half_alpha: Plane


def layer(picture: Image.Image) -> Layer:
    """RGBA (even edges) as limited-range BT.709 4:2:0."""
    rgba = np.asarray(picture.convert("RGBA"), np.float32)
    red, green, blue = rgba[..., 0], rgba[..., 1], rgba[..., 2]
    alpha = rgba[..., 3]
    opacity = np.asarray(alpha / 255, np.float32)
    half = _half(opacity)
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    u = _half((blue - y) / 1.8556 * opacity)
    v = (red - y) / 1.5748
    return Layer(
        _bytes((16 + y * (219 / 255)) * opacity),
        _bytes(128 * half + u * (224 / 255)),
        _bytes(128 * half + _half(v * opacity) * (224 / 255)),
        _bytes(alpha),
        _bytes(half * 255),
    )


def _bytes(plane: Floats) -> Plane:
    return np.rint(plane).astype(np.uint8)


def _half(plane: Floats) -> Floats:
    rows, columns = plane.shape
    blocks = plane.reshape(rows // 2, 2, columns // 2, 2)
    return np.asarray(blocks.mean(axis=(1, 3)), np.float32)


def push_back(shown: Planes, target: Planes) -> None:
    """Write a picture as a background: darker and nearly without colour."""
    _scale(shown[0], target[0], _BRIGHT_GAIN, _BRIGHT_BASE)
    for colour in (1, 2):
        _scale(shown[colour], target[colour], _COLOUR_GAIN, _COLOUR_BASE)


def _scale(source: Plane, target: Plane, gain: int, base: int) -> None:
    """In 16-bit integers, which take a fifth of the time of looking each value up."""
    wide = np.multiply(source, gain, dtype=np.uint16)
    np.add(wide, base, out=wide)
    np.right_shift(wide, 8, out=wide)
    target[:] = wide


def lay(planes: Planes, top: Layer, x: int, y: int) -> None:
    """Lay a layer over a picture's planes in place, its left upper corner at x, y; what is outside is left out."""
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
    under = np.multiply(part, 255 - alpha[top:bottom, left:right], dtype=np.uint16)
    # A division by 255, rounded, that stays within 16 bits.
    under += 128
    under += under >> 8
    under >>= 8
    under += source[top:bottom, left:right]
    part[:] = under
