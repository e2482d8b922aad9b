"""Follows one figure among several through a clip's evidence of movement. Pure arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_BLUR_SHARE = 0.02
_REACH_SHARE = 0.06
"""How far a figure may go from one moment to the next, in picture widths."""
_HASTE = 2.0
_EDGE_SHARE = 0.1


def follow(evidence: NDArray[Any]) -> NDArray[np.int_]:
    """The way through moments × columns that gathers most evidence without leaping (dynamic programming)."""
    gain = _blurred(evidence)
    gain /= max(float(gain.max()), 1e-9)
    moments, columns = gain.shape
    reach = max(1, round(columns * _REACH_SHARE))
    steps = np.arange(-reach, reach + 1)
    cost = _HASTE * (steps / columns) ** 2 * columns / reach
    best = gain[0]
    came = np.zeros((moments, columns), np.int32)
    sources = np.arange(columns)[:, None] + steps
    for moment in range(1, moments):
        reachable = np.pad(best, reach, constant_values=-np.inf)[sources + reach] - cost
        choice = np.argmax(reachable, axis=1)
        came[moment] = np.arange(columns) + steps[choice]
        best = reachable[np.arange(columns), choice] + gain[moment]
    path = np.empty(moments, int)
    path[-1] = int(np.argmax(best))
    for moment in range(moments - 1, 0, -1):
        path[moment - 1] = came[moment, path[moment]]
    return path


def window_around(path: NDArray[np.int_], evidence: NDArray[Any]) -> tuple[Floats, Floats]:
    """The columns (first, end) of the figure on the path: as far as its evidence goes without a gap."""
    profile = _blurred(evidence)
    columns = profile.shape[1]
    near = np.clip(path[:, None] + np.arange(-2, 3), 0, columns - 1)
    crest = np.take_along_axis(profile, near, 1).max(axis=1)
    gap = profile <= np.maximum(crest, 1e-9)[:, None] * _EDGE_SHARE
    place = np.arange(columns)
    before = np.where(gap & (place <= path[:, None]), place, -1).max(axis=1)
    after = np.where(gap & (place >= path[:, None]), place, columns).min(axis=1)
    return (before + 1).astype(np.float64), after.astype(np.float64)


def _blurred(evidence: NDArray[Any]) -> Floats:
    """Neighbouring columns added up: a body is one, gaps between its limbs do not part it."""
    values = evidence.astype(np.float64)
    reach = max(1, round(values.shape[1] * _BLUR_SHARE))
    whole = np.pad(values, ((0, 0), (reach + 1, reach)))
    added = np.cumsum(whole, axis=1)
    return np.asarray((added[:, 2 * reach + 1 :] - added[:, : -2 * reach - 1]) / (2 * reach + 1))
