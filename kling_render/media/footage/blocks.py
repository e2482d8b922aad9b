"""How blocks of a picture moved between two frames, by phase correlation. Pure arithmetic; runs in a child only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from kling_render.media.footage.samples import Luma

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

SIZE = 64
_TEXTURE = 3.0
_PEAK = 0.06
_TRIES = 64
_AGREE_PX = 1.0
_MAX_ZOOM = 0.15


@dataclass(frozen=True, slots=True)
class Shifts:
    """One entry per block."""

    #: The block's middle, in pixels from the picture's middle.
    centre: Floats
    #: Where its content went, in pixels.
    shift: Floats
    #: Whether there is anything in it that could be followed.
    textured: Flags
    #: Whether it was followed.
    clear: Flags
    #: Mean change of its pixels.
    change: Floats


@dataclass(frozen=True, slots=True)
class Drift:
    """One move (and zoom) of the whole picture that explains many blocks."""

    move: Floats
    zoom: float
    #: Which blocks it explains.
    agreeing: Flags
    #: Where it would take each block.
    expected: Floats


def shifts(before: Luma, after: Luma, step: int) -> Shifts:
    """Follow blocks that stand `step` pixels apart."""
    one, centre = _cut(before, step)
    other, _ = _cut(after, step)
    texture = np.abs(np.diff(one, axis=2)).mean((1, 2)) + np.abs(np.diff(one, axis=1)).mean((1, 2))
    window = _window(one.shape[1:])
    a = np.fft.rfft2((one - one.mean((1, 2), keepdims=True)) * window)
    b = np.fft.rfft2((other - other.mean((1, 2), keepdims=True)) * window)
    cross = b * np.conj(a)
    strength = np.abs(cross)
    cross /= strength + 1e-3 * strength.max(axis=(1, 2), keepdims=True) + 1e-9
    found = np.fft.irfft2(cross, one.shape[1:])
    flat = found.reshape(len(found), -1)
    rows, columns = one.shape[1:]
    dy, dx = np.divmod(flat.argmax(1), columns)
    shift = np.stack([np.where(dx > columns // 2, dx - columns, dx), np.where(dy > rows // 2, dy - rows, dy)], 1)
    textured = texture > _TEXTURE
    return Shifts(
        centre, shift.astype(np.float32), textured, textured & (flat.max(1) > _PEAK), np.abs(one - other).mean((1, 2))
    )


def drift(found: Shifts) -> Drift | None:
    """The move that most clear blocks share; None when fewer than eight are clear."""
    centre, shift = found.centre[found.clear], found.shift[found.clear]
    count = len(shift)
    if count < 8:
        return None
    one, other = np.random.default_rng(0).integers(0, count, (2, _TRIES))  # always the same pairs
    apart, differ = centre[other] - centre[one], shift[other] - shift[one]
    zoom = (apart * differ).sum(1) / np.maximum((apart**2).sum(1), 1)
    zoom = np.where(np.abs(zoom) > _MAX_ZOOM, 0, zoom)
    move = shift[one] - zoom[:, None] * centre[one]
    expected = move[:, None] + zoom[:, None, None] * centre[None]
    votes = (np.abs(shift[None] - expected).max(2) <= _AGREE_PX).sum(1)
    best = int(votes.argmax())
    everywhere = (move[best] + zoom[best] * found.centre).astype(np.float32)
    agreeing = found.clear & (np.abs(found.shift - everywhere).max(1) <= _AGREE_PX)
    return Drift(move[best].astype(np.float32), float(zoom[best]), agreeing, everywhere)


def _cut(picture: Luma, step: int) -> tuple[Floats, Floats]:
    height, width = picture.shape
    size = min(SIZE, height, width)
    tops, lefts = range(0, height - size + 1, step), range(0, width - size + 1, step)
    blocks = np.stack([picture[y : y + size, x : x + size] for y in tops for x in lefts]).astype(np.float32)
    middles = [(x + size / 2 - width / 2, y + size / 2 - height / 2) for y in tops for x in lefts]
    return blocks, np.array(middles, np.float32)


@lru_cache
def _window(shape: tuple[int, int]) -> Floats:
    return np.outer(np.hanning(shape[0]), np.hanning(shape[1])).astype(np.float32)
