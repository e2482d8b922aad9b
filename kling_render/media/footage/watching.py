"""One pass over a clip: every detector sees every frame. Runs in a child only."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from kling_render.media.footage.camera import CameraWatch
from kling_render.media.footage.cuts import CutFinder
from kling_render.media.footage.findings import Footage, Moment
from kling_render.media.footage.loudness import loudest_db
from kling_render.media.footage.samples import samples
from kling_render.media.footage.speed import SpeedWatch
from kling_render.media.footage.strips import Reel
from kling_render.media.window import Window


def watch(path: Path, start: Decimal | None, end: Decimal | None, pictures: Path | None, stem: str) -> Footage:
    """What the clip shows between two times.

    Args:
        path: the clip.
        start: seconds; None: its beginning.
        end: seconds; None: its end.
        pictures: where strips are written; None: nowhere.
        stem: what their names begin with.

    Raises:
        Exception: whatever a decoder makes of a file that is damaged or hostile.
    """
    cutter, camera, speed, reel = CutFinder(), CameraWatch(), SpeedWatch(), Reel()
    with Window(path, start, end) as window:
        for sample in samples(window):
            for one in (cutter, camera, speed, reel):
                one.add(sample)
        track = window.sound()
        rotation = window.rotation
    cuts = cutter.end()
    found: dict[str, tuple[Moment, ...]] = {"cuts": cuts, "camera": camera.end(cuts), "speed": speed.end(cuts)}
    drawn = [] if pictures is None else _drawn(reel, found, rotation, pictures, stem)
    loudest = None if track is None else loudest_db(*track)
    return Footage(cuts=cuts, camera=found["camera"], speed=found["speed"], loudest_db=loudest, pictures=tuple(drawn))


def _drawn(
    reel: Reel, found: dict[str, tuple[Moment, ...]], rotation: int, folder: Path, stem: str
) -> list[tuple[str, str]]:
    """A strip for each kind of finding, of its first moment, or of its longest one."""
    drawn = []
    for subject, moments in found.items():
        if not moments or not reel.kept:
            continue
        shown = moments[0] if subject == "cuts" else max(moments, key=lambda one: one.end - one.start)
        name = f"{stem}-{subject}.png"
        times = reel.around(shown) if subject == "cuts" else reel.along(shown)
        reel.draw(times, rotation, folder / name, shown if subject == "cuts" else None)
        drawn.append((subject, name))
    return drawn
