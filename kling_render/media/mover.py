"""Finds the moving figure of a clip: what differs from the picture's usual look. Pure arithmetic on small pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kling_render.media.following import follow, window_around

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_LEAST_CONTRAST = 14
_LEAST_SHARE, _GREATEST_SHARE = 0.0015, 0.45
_OUTLIERS = 0.02
_GREATEST_LEAN, _ONE_SIDED = 25.0, 8.0
_OUTSIDE = 0.3
"""How far beyond the picture's edge a figure that has left it stands, in picture widths."""


@dataclass(frozen=True, slots=True)
class Track:
    """Where the figure stands at each moment, in parts of the picture's width and height."""

    #: Of the body; below 0 or above 1 when it has left the picture.
    centre: Floats
    foot: Floats
    height: Floats
    #: Degrees from upright, clockwise.
    lean: Floats
    #: False when no figure was found and the middle is assumed.
    found: bool


def centred(moments: int) -> Track:
    """The assumption without evidence: somebody in the middle, seen from head to foot."""
    ones = np.ones(moments)
    return Track(ones * 0.5, ones * 0.94, ones * 0.8, ones * 0.0, found=False)


def find_mover(pictures: NDArray[np.uint8], rate: float) -> Track:
    """Follow the figure; of several the one that moves most.

    Args:
        pictures: brightness, moments × rows × columns, evenly spaced; about 100 to 200 rows are enough.
        rate: pictures per second.
    """
    moments, rows, columns = pictures.shape
    unusual = _cleaned(_unusual(pictures))
    share = unusual.mean(axis=(1, 2))
    if (share > _LEAST_SHARE).mean() < 0.2 or np.median(share[share > _LEAST_SHARE]) > _GREATEST_SHARE:
        return centred(moments)
    # A dancer on the spot leaves a ghost in the usual picture; what has just come and will soon go has none.
    passing = _cleaned(_passing(pictures, max(1, round(rate * 0.3))))
    evidence = unusual.sum(axis=1) + 2.0 * passing.sum(axis=1)
    path = follow(evidence)
    left, right = window_around(path, evidence)
    inside = (np.arange(columns) >= left[:, None]) & (np.arange(columns) < right[:, None])
    figure = unusual & inside[:, None, :]
    seen = figure.mean(axis=(1, 2)) > _LEAST_SHARE
    if seen.mean() < 0.2:
        return centred(moments)
    # Where nothing passes (a turning point), what is unusual decides, and that has a ghost only of who stood there.
    clear = evidence * inside
    middle = _bulk(clear, seen & (clear.sum(axis=1) > 0), (0.5,))[0] / columns
    top, bottom = _bulk(figure.sum(axis=2), seen, (_OUTLIERS, 1 - _OUTLIERS))
    height = (bottom - top) / (rows * (1 - 2 * _OUTLIERS))
    middle = _beyond_the_edges(middle, left / columns, right / columns, seen)
    body = _body_height(height, rate)
    whole = float(np.median(body)) >= 0.45 or _travels(middle[seen] * columns, float(np.median(body)) * rows)
    lean = _calm(_lean(figure, seen) if whole else np.zeros(moments), 0.14 * rate, 1.0 * rate, 2.5)
    centre = _calm(middle, 0.12 * rate, 0.8 * rate, 0.006)
    foot = _calm(bottom / rows + height * _OUTLIERS, 0.15 * rate, 0.8 * rate, 0.008)
    return _stand(Track(centre, foot, body, lean, found=True), whole=whole)


def _unusual(pictures: NDArray[np.uint8]) -> Mask:
    """Which pixels differ clearly from the clip's median picture."""
    sample = np.linspace(0, len(pictures) - 1, min(len(pictures), 31)).astype(int)
    usual = np.median(pictures[sample], axis=0).astype(np.int16)
    difference = pictures.astype(np.int16) - usual
    # The camera's exposure drifts: what the whole picture does is not the figure's doing.
    difference -= np.median(difference[:, ::3, ::3], axis=(1, 2)).astype(np.int16)[:, None, None]
    np.abs(difference, out=difference)
    return np.asarray(difference > max(_LEAST_CONTRAST, int(6 * np.median(difference[:, ::3, ::3]))))


def _passing(pictures: NDArray[np.uint8], step: int) -> Mask:
    """Which pixels differ both from a moment before and from a moment after."""
    index = np.arange(len(pictures))
    last = len(index) - 1
    before = pictures[np.minimum(np.abs(index - step), last)].astype(np.int16)
    after = pictures[np.maximum(last - np.abs(last - index - step), 0)].astype(np.int16)
    now = pictures.astype(np.int16)
    return np.asarray((np.abs(now - before) > _LEAST_CONTRAST) & (np.abs(now - after) > _LEAST_CONTRAST))


def _cleaned(mask: Mask) -> Mask:
    """Without specks: most of a pixel's neighbours must agree."""
    rows, columns = mask.shape[1:]
    raw = np.pad(mask.astype(np.uint8), ((0, 0), (1, 1), (1, 1)))
    across = raw[:, :, :columns] + raw[:, :, 1 : columns + 1] + raw[:, :, 2:]
    return np.asarray(across[:, :rows] + across[:, 1 : rows + 1] + across[:, 2:] >= 5)


def _bulk(profile: NDArray[np.int_] | Floats, seen: Mask, shares: tuple[float, ...]) -> list[Floats]:
    """Where each moment's profile has reached these shares of its sum; moments without any are interpolated."""
    cells = profile.shape[1]
    reached = np.cumsum(profile, axis=1) / np.maximum(profile.sum(axis=1, keepdims=True), 1)
    index = np.arange(len(profile))
    found = []
    for share in shares:
        cell = np.argmax(reached >= share, axis=1)
        until = np.take_along_axis(reached, cell[:, None], 1)[:, 0]
        since = np.where(cell > 0, np.take_along_axis(reached, np.maximum(cell - 1, 0)[:, None], 1)[:, 0], 0.0)
        exact = np.clip(cell + (share - since) / np.maximum(until - since, 1e-9), 0, cells)
        found.append(np.interp(index, index[seen], exact[seen]))
    return found


def _beyond_the_edges(middle: Floats, left: Floats, right: Floats, seen: Mask) -> Floats:
    """A body that is half out of the picture stands where its hidden part is; one that has gone, outside."""
    at_left, at_right = seen & (left <= 0.004), seen & (right >= 0.996)
    free = seen & ~at_left & ~at_right
    if not free.any():
        return middle
    half = float(np.median((right - left)[free])) / 2
    middle = np.where(at_left, np.minimum(middle, right - half), middle)
    middle = np.where(at_right, np.maximum(middle, left + half), middle)
    known = seen.copy()
    for first, end in _runs(~seen):
        beside = [at for at in (first - 1, end) if 0 <= at < len(seen)]
        if any(at_left[at] for at in beside):
            middle[first:end], known[first:end] = -_OUTSIDE, True
        elif any(at_right[at] for at in beside):
            middle[first:end], known[first:end] = 1 + _OUTSIDE, True
    index = np.arange(len(middle))
    return np.interp(index, index[known], middle[known])


def _runs(mask: Mask) -> list[tuple[int, int]]:
    """The runs of true values: first and end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _body_height(height: Floats, rate: float) -> Floats:
    # Raised arms and bent knees must not make the whole figure breathe, coming nearer must make it grow: what lasts
    # for a second counts.
    usual = _smooth(height, 1.2 * rate)
    lasting = _smooth(np.clip(height, 0.93 * usual, 1.07 * usual), 0.5 * rate)
    usually = float(np.median(lasting))
    return np.asarray(np.clip(lasting, 0.65 * usually, 1.6 * usually))


def _travels(middle: Floats, height: float) -> bool:
    """A small figure that goes places is seen whole; one that stays is the moving part of a larger one."""
    first, last = np.quantile(middle, (0.05, 0.95))
    return bool(last - first > 0.7 * height)


def _lean(figure: Mask, seen: Mask) -> Floats:
    """Degrees clockwise: the slope of the line through each row's middle, arms aside."""
    count = figure.sum(axis=2)
    middle = np.argmax(np.cumsum(figure, axis=2, dtype=np.int16) * 2 >= np.maximum(count, 1)[:, :, None], axis=2)
    weight = np.minimum(count, np.maximum(1, np.median(count, axis=1, keepdims=True))).astype(np.float64)
    total = np.maximum(weight.sum(axis=1, keepdims=True), 1)
    rows = np.arange(figure.shape[1], dtype=np.float64)[None]
    row = rows - (weight * rows).sum(axis=1, keepdims=True) / total
    column = middle - (weight * middle).sum(axis=1, keepdims=True) / total
    slope = (weight * row * column).sum(axis=1) / np.maximum((weight * row * row).sum(axis=1), 1)
    degrees = np.clip(-np.degrees(np.arctan(slope)), -_GREATEST_LEAN, _GREATEST_LEAN)
    low, usual, high = np.quantile(degrees[seen], (0.25, 0.5, 0.75))
    if high - low < abs(usual):
        # A raised arm pulls all moments to its side; only what is more than that is a figure that leans throughout.
        degrees -= np.clip(usual, -_ONE_SIDED, _ONE_SIDED)
    index = np.arange(len(degrees))
    return np.asarray(np.interp(index, index[seen], degrees[seen]))


def _stand(track: Track, *, whole: bool) -> Track:
    """When only a part of the body moves (a waving arm), assume the rest of it down to the ground."""
    height = np.clip(track.height, 0.06, 0.98) if whole else np.clip(track.height, 0.72, 0.98)
    foot = track.foot if whole else np.maximum(track.foot, 0.94)
    return Track(track.centre, np.clip(foot, 0.05, 1.0), height, track.lean, track.found)


def _calm(values: Floats, quick: float, slow: float, still: float) -> Floats:
    """Smoothed lightly where much happens and strongly where it stays within `still`: standing is not trembling."""
    lightly, strongly = _smooth(values, quick), _smooth(values, slow)
    moved = _smooth(np.clip(np.abs(lightly - strongly) / still - 0.5, 0.0, 1.0), quick)
    return np.asarray(strongly + (lightly - strongly) * moved)


def _smooth(values: Floats, sigma: float) -> Floats:
    """Gaussian smoothing over time; the ends are held."""
    reach = max(1, min(int(3 * sigma), 4 * len(values)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 0.5)) ** 2)
    return np.asarray(np.convolve(np.pad(values, reach, mode="edge"), kernel / kernel.sum(), mode="valid"))
