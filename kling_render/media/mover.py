"""Finds the moving figure of a clip: what differs from the picture's usual look. Pure arithmetic on small pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LEAST_CONTRAST = 14
_LEAST_SHARE, _GREATEST_SHARE = 0.0015, 0.45
_OUTLIERS = 0.02


@dataclass(frozen=True, slots=True)
class Track:
    """Where the figure stands in each frame, in parts of the picture's width and height."""

    centre: Floats
    foot: Floats
    height: Floats
    #: False when no figure was found and the middle is assumed.
    found: bool


def centred(frames: int) -> Track:
    """The assumption without evidence: somebody in the middle, seen from head to foot."""
    ones = np.ones(frames)
    return Track(ones * 0.5, ones * 0.94, ones * 0.8, found=False)


def find_mover(pictures: NDArray[np.uint8], rate: float) -> Track:
    """Follow the figure.

    Args:
        pictures: brightness, frames × rows × columns; about 100 to 200 rows are enough.
        rate: frames per second.
    """
    frames, rows, columns = pictures.shape
    unusual = _cleaned(_unusual(pictures))
    share = unusual.mean(axis=(1, 2))
    seen = share > _LEAST_SHARE
    if seen.mean() < 0.3 or np.median(share[seen]) > _GREATEST_SHARE:
        return centred(frames)
    # A dancer on the spot leaves a ghost in the usual picture; what has just come and will soon go has none.
    moving = _cleaned(_passing(pictures, max(1, round(rate * 0.3))))
    passing = moving.mean(axis=(1, 2)) > _LEAST_SHARE
    clear = moving if passing.mean() > 0.3 else unusual
    middle = _bulk(clear.sum(axis=1), passing if clear is moving else seen, (0.5,))[0]
    top, bottom = _bulk(unusual.sum(axis=2), seen, (_OUTLIERS, 1 - _OUTLIERS))
    centre = _smooth(middle, 0.12 * rate) / columns
    foot = _smooth(bottom, 0.15 * rate) / rows
    height = _body_height((bottom - top) / rows, 1.2 * rate)
    return _stand(Track(centre, foot, height, found=True))


def _unusual(pictures: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which pixels differ clearly from the clip's median picture."""
    sample = np.linspace(0, len(pictures) - 1, min(len(pictures), 31)).astype(int)
    usual = np.median(pictures[sample], axis=0).astype(np.int16)
    difference = np.abs(pictures.astype(np.int16) - usual)
    return np.asarray(difference > max(_LEAST_CONTRAST, int(6 * np.median(difference))))


def _passing(pictures: NDArray[np.uint8], step: int) -> NDArray[np.bool_]:
    """Which pixels differ both from a moment before and from a moment after."""
    index = np.arange(len(pictures))
    before = pictures[np.abs(index - step)].astype(np.int16)
    after = pictures[len(index) - 1 - np.abs(len(index) - 1 - index - step)].astype(np.int16)
    now = pictures.astype(np.int16)
    return np.asarray((np.abs(now - before) > _LEAST_CONTRAST) & (np.abs(now - after) > _LEAST_CONTRAST))


def _cleaned(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Without specks: most of a pixel's neighbours must agree."""
    rows, columns = mask.shape[1:]
    raw = np.pad(mask.astype(np.uint8), ((0, 0), (1, 1), (1, 1)))
    neighbours = np.zeros(mask.shape, np.uint8)
    for dy in range(3):
        for dx in range(3):
            neighbours += raw[:, dy : dy + rows, dx : dx + columns]
    return np.asarray(neighbours >= 5)


def _bulk(profile: NDArray[np.int_], seen: NDArray[np.bool_], shares: tuple[float, ...]) -> list[Floats]:
    """Where each frame's profile has reached these shares of its sum; frames without any are interpolated."""
    reached = np.cumsum(profile, axis=1) / np.maximum(profile.sum(axis=1, keepdims=True), 1)
    index = np.arange(len(profile))
    return [np.interp(index, index[seen], np.argmax(reached >= share, axis=1)[seen] + 0.5) for share in shares]


def _body_height(height: Floats, window: float) -> Floats:
    # Raised arms and bent knees must not make the whole figure breathe: the usual height rules, change is slow.
    usual = float(np.quantile(height, 0.8))
    return _smooth(np.clip(height, 0.85 * usual, 1.1 * usual), window)


def _stand(track: Track) -> Track:
    """When only a part of the body moves (a waving arm), assume the rest of it down to the ground."""
    low = float(np.median(track.height)) < 0.45
    height = np.clip(track.height, 0.72 if low else 0.3, 0.98)
    foot = np.clip(np.maximum(track.foot, 0.94) if low else track.foot, height, 1.0)
    return Track(np.clip(track.centre, 0.05, 0.95), foot, height, track.found)


def _smooth(values: Floats, sigma: float) -> Floats:
    """Gaussian smoothing over time; the ends are held."""
    reach = max(1, min(int(3 * sigma), 4 * len(values)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 0.5)) ** 2)
    return np.convolve(np.pad(values, reach, mode="edge"), kernel / kernel.sum(), mode="valid")
