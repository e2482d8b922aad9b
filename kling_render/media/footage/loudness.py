"""How loud the sound of a clip gets. Runs in a child only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SLICE_S = 0.1
FLOOR_DB = -120.0


def loudest_db(track: NDArray[np.float32], rate: int) -> float:
    """The loudest tenth of a second (root mean square over all channels), in dB below full scale."""
    size = max(1, int(rate * _SLICE_S))
    whole = track[:, : track.shape[1] // size * size] if track.shape[1] >= size else track
    slices = whole.reshape(track.shape[0], -1, min(size, max(1, whole.shape[1])))
    if not slices.size:
        return FLOOR_DB
    power = float(np.square(slices, dtype=np.float64).mean(axis=(0, 2)).max())
    return round(max(FLOOR_DB, 10 * float(np.log10(max(power, 1e-12)))), 1)
