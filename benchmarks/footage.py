"""What watching a clip costs the first time: `python -m benchmarks.footage`; 10 s of drawn 720p, 30 frames a second."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kling_render.media.footage.viewer import Part, watch_many
from tests.media.labelled.derive import Picture, noise, write
from tests.media.labelled.drawn import ground

SECONDS, RATE = 10, 30


def _clip(target: Path) -> None:
    wall, figure = ground(1, 720, 1280), 255 - ground(2, 360, 200)

    def pictures() -> Iterator[Picture]:
        for index in range(SECONDS * RATE):
            picture = wall.copy()
            x = round(500 + 300 * np.sin(index / RATE))
            picture[240:600, x : x + 200] = figure
            yield picture

    write(target, pictures(), RATE, noise(SECONDS, -20))


def main() -> None:
    """Watch one clip, then five; the difference is what a further clip costs."""
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "clip.mp4"
        _clip(path)
        spent = []
        for count in (1, 5):
            before, begun = _cpu(), time.perf_counter()
            watch_many([Part(path, None, None, f"{number}") for number in range(count)], Path(made))
            spent.append(_cpu() - before)
            print(f"{count} × {SECONDS} s of 720p: {spent[-1]:.1f} s CPU, {time.perf_counter() - begun:.1f} s wall")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        print(f"a further clip: {(spent[1] - spent[0]) / 4:.1f} s CPU; peak of a child: {peak} MiB")


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
