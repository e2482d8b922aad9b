"""How loud the sound of a clip gets. Runs in a child only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SLICE_S = 0.1
FLOOR_DB = -120.0


def loudest_db(track: NDArray[np.float32], rate: int) -> float:
    """The loudest tenth of a second (root mean square over all channels), in dB below full scale."""
    size = max(1, int(rate * _SLICE_S))
    # Slice by slice, and no copy of a whole track in twice the precision.
    whole = range(0, max(1, track.shape[1] - size + 1), size)
    powers = (float(np.square(track[:, at : at + size], dtype=np.float64).mean()) for at in whole if track.size)
    return round(max(FLOOR_DB, 10 * float(np.log10(max(1e-12, max(powers, default=0.0))))), 1)
