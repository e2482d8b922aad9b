"""A strip of four frames with their times, as a small PNG that shows what a warning means. Runs in a child only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from kling_render.media.footage.cuts import SCORE
from kling_render.media.footage.findings import Moment
from kling_render.media.footage.samples import Sample

_EVERY_S = 0.2
_FRAMES, _GAP = 4, 6
_PAPER, _INK, _MARK = (24, 24, 28), (255, 255, 255), (230, 60, 40)
_AROUND_S = 0.25


@dataclass(slots=True)
class Reel:
    """Keeps ten small frames a second, and those on both sides of a possible cut."""

    kept: dict[float, Any] = field(default_factory=dict)
    _before: Sample | None = None
    _due: float = -1.0

    def add(self, sample: Sample) -> None:
        """The next frame."""
        if self._before is not None and sample.score >= SCORE:
            self.kept[self._before.at] = self._before.frame
            self.kept[sample.at] = sample.frame
        if sample.at >= self._due:
            self.kept[sample.at] = sample.frame
            self._due = sample.at + _EVERY_S
        self._before = sample

    def around(self, cut: Moment) -> list[float]:
        """Two frames before a cut and two after it."""
        times = sorted(self.kept)
        before, after = [t for t in times if t < cut.start], [t for t in times if t >= cut.start]
        earlier = [t for t in before if t <= cut.start - _AROUND_S][-1:]
        later = [t for t in after if t >= cut.start + _AROUND_S][:1]
        return sorted({*earlier, *before[-1:], *after[:1], *later})

    def along(self, moment: Moment) -> list[float]:
        """Four frames from its beginning to its end."""
        times = sorted(self.kept)
        wanted = [moment.start + (moment.end - moment.start) * part / (_FRAMES - 1) for part in range(_FRAMES)]
        return sorted({min(times, key=lambda t: abs(t - one)) for one in wanted})

    def draw(self, times: Sequence[float], rotation: int, target: Path, cut: Moment | None = None) -> None:
        """Write the strip; the seam of a cut is marked."""
        pictures = [_upright(self.kept[at], rotation) for at in times]
        width, height = pictures[0].size
        font = ImageFont.load_default(14)
        strip = Image.new("RGB", ((width + _GAP) * len(pictures) + _GAP, height + 2 * _GAP + 18), _PAPER)
        pen = ImageDraw.Draw(strip)
        for index, (at, picture) in enumerate(zip(times, pictures, strict=True)):
            left = _GAP + index * (width + _GAP)
            strip.paste(picture, (left, _GAP))
            pen.text((left, height + _GAP + 1), f"{at:.2f} s", _INK, font)
            if cut is not None and index and times[index - 1] < cut.start <= at:
                pen.rectangle((left - _GAP + 1, 0, left - 2, strip.height), _MARK)
        part = target.with_name(target.name + ".part")
        strip.save(part, "PNG", optimize=False)
        part.replace(target)


def _upright(frame: Any, rotation: int) -> Image.Image:
    picture: Image.Image = frame.to_image()
    return picture.rotate(-rotation, expand=True) if rotation else picture
