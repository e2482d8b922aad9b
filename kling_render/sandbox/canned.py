"""Makes a plain MP4 of a given length: `python -m kling_render.sandbox.canned TARGET SECONDS`. Runs in a child only."""

from __future__ import annotations

import sys
from pathlib import Path

_FRAMES_PER_S = 25
_SIZE = (180, 320)


def make(target: Path, seconds: float) -> None:
    """Write a clip of grey frames, its brightness rising once a second."""
    import av
    import numpy as np

    av.logging.set_level(None)
    part = target.with_suffix(".part")
    with av.open(str(part), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=_FRAMES_PER_S)
        stream.width, stream.height, stream.pix_fmt = *_SIZE, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "40"}
        for index in range(max(1, round(seconds * _FRAMES_PER_S))):
            shade = 40 + 180 * (index % _FRAMES_PER_S) // _FRAMES_PER_S
            pixels = np.full((_SIZE[1], _SIZE[0], 3), shade, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    part.replace(target)


if __name__ == "__main__":
    make(Path(sys.argv[1]), float(sys.argv[2]))
