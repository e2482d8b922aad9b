"""Makes the corrected copy of a clip, and measures how much one moves. Runs in a child only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from kling_render.media.clips import open_clip
from kling_render.media.encode import Mp4Writer
from kling_render.media.fixing.records import BLUR
from kling_render.media.footage.cuts import CutFinder
from kling_render.media.footage.samples import Luma, samples
from kling_render.media.window import BT709, TICKS, EmptyWindowError, Plane, Window, split, stack

Progress = Callable[[float], None]

STEP_S = Decimal("0.1")
_QUALITIES = (17, 21, 25, 29)
"""Constant rate factors of x264, tried until the copy is small enough; 17 is hard to tell from the original."""
_PRESET = "fast"
_STEADY = (24, 25, 30, 50, 60)
_TOLERATED = Fraction(98, 100)
#: One in so many frames may come faster than the rate that is chosen.
_FEW = 10
_TOLD_EVERY = 25
#: Sound codings that MP4 holds as they are.
_SOUNDS = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus"})


def motion(path: Path, progress: Progress) -> dict[str, Any]:
    """How much the clip moves, step by step, and where its cuts are."""
    cutter, sums, counts = CutFinder(), dict[int, float](), dict[int, int]()
    before: tuple[float, Luma] | None = None
    with Window(path, None, None) as window:
        seconds = float(window.seconds)
        for number, sample in enumerate(samples(window)):
            cutter.add(sample)
            if before is not None and sample.at > before[0]:
                step = int(Decimal(str(sample.at)) / STEP_S)
                change = float(np.abs(sample.luma.astype(np.int16) - before[1]).mean()) / (sample.at - before[0])
                sums[step], counts[step] = sums.get(step, 0.0) + change, counts.get(step, 0) + 1
            before = sample.at, sample.luma
            if number % _TOLD_EVERY == 0 and seconds:
                progress(min(1.0, sample.at / seconds))
    cuts = [cut.start for cut in cutter.end()]
    for cut in cuts:  # the break itself is no motion
        sums[int(Decimal(str(cut)) / STEP_S)] = 0.0
    steps = max(sums, default=-1) + 1
    changes = [round(sums.get(step, 0.0) / max(1, counts.get(step, 0)), 2) for step in range(steps)]
    return {"step_s": str(STEP_S), "changes": changes, "cuts": [str(cut) for cut in cuts]}


def shape(path: Path) -> dict[str, Any]:
    """The fields of `records.Shape`."""
    with Window(path, None, None) as window:
        return {"wide": str(window.pixel_width), "slant": window.slant, "is_mirrored": window.is_mirrored}


def recode(
    source: Path, part: Path, spec: dict[str, Any], *, see_through: bool, steady: bool, progress: Progress
) -> dict[str, Any]:
    """Write the copy to `part`; answers its size and how it was encoded."""
    if spec["as_is"] and _copied(source, part, spec["most"]):
        return {
            "kind": "mp4",
            "width": spec["canvas"][0],
            "height": spec["canvas"][1],
            "how": "taken over as it is, nothing encoded",
        }
    rate = Fraction(25)
    for quality in _QUALITIES:
        rate = _write(source, part, spec, quality, see_through=see_through, steady=steady, progress=progress)
        if part.stat().st_size <= spec["most"]:
            how = f"H.264 CRF {quality} 4:2:0, {float(rate):.5g} frames a second"
            return {"kind": "mp4", "width": spec["canvas"][0], "height": spec["canvas"][1], "how": how}
    raise EmptyWindowError("it cannot be made small enough")


def _copied(source: Path, part: Path, most: int) -> bool:
    """Take the first picture and the first sound over; False when MP4 cannot hold them."""
    import av

    with source.open("rb") as file, open_clip(file) as given:
        kept = [stream for streams in (given.streams.video, given.streams.audio) for stream in streams[:1]]
        if any(s.type == "audio" and s.codec_context.name not in _SOUNDS for s in kept):
            return False
        with av.open(os.fspath(part), "w", format="mp4", options={"movflags": "+faststart"}) as made:
            streams = {stream.index: made.add_stream_from_template(stream) for stream in kept}
            for packet in given.demux(kept):
                if packet.dts is not None:
                    packet.stream = streams[packet.stream.index]
                    made.mux(packet)
    _sync(part)
    return part.stat().st_size <= most


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _write(
    source: Path, part: Path, spec: dict[str, Any], quality: int, *, see_through: bool, steady: bool, progress: Progress
) -> Fraction:
    start, end = (None if spec[name] is None else Decimal(spec[name]) for name in ("start", "end"))
    with Window(source, start, end) as window:
        if window.seconds <= 0:
            raise EmptyWindowError("nothing lies between the two times")
        rate = window.rate if steady else _steady(source, window.rate)
        count = max(1, int(window.seconds * rate + Fraction(1, 100)))
        sound = window.sound()
        track = None if sound is None else sound[0][:, : int(count / rate * sound[1])]
        painter = _Painter(window, spec, see_through=see_through)
        with Mp4Writer(
            part,
            tuple(spec["canvas"]),
            rate,
            painter.colours,
            sound_rate=sound[1] if sound else None,
            sound_channels=sound[0].shape[0] if sound else 2,
            preset=_PRESET,
            crf=quality,
        ) as writer:
            if sound is not None and track is not None:
                writer.play(track, sound[1])
            for number, picture in enumerate(_evenly(window, painter, rate, count)):
                writer.show(picture, round(number * TICKS / rate), round((number + 1) * TICKS / rate))
                if number % _TOLD_EVERY == 0:
                    progress(number / count)
    return rate


def _steady(source: Path, average: Fraction) -> Fraction:
    """The usual rate that shows every frame of a clip whose rate varies, but for a few that come too fast."""
    with source.open("rb") as file, open_clip(file) as given:
        stream = given.streams.video[0]
        times = sorted(packet.pts for packet in given.demux(stream) if packet.pts is not None)
        ticks = sorted(later - one for one, later in pairwise(times) if later > one)
        quick = 1 / (ticks[len(ticks) // _FEW] * stream.time_base) if ticks else average
    wanted = max(average, quick) * _TOLERATED
    return Fraction(next((usual for usual in _STEADY if usual >= wanted), _STEADY[-1]))


def _evenly(window: Window, painter: _Painter, rate: Fraction, count: int) -> Iterator[Plane]:
    """The picture that is seen at each beat."""
    beat, last = 0, None
    for shown in window.frames():
        if beat >= count or round(beat * TICKS / rate) >= shown.end:
            continue
        last = painter.paint(shown.frame)
        while beat < count and round(beat * TICKS / rate) < shown.end:
            yield last
            beat += 1
    if last is None:
        raise EmptyWindowError("no frame can be decoded")
    for _ in range(beat, count):  # the clip says that it is longer than its frames
        yield last


def _smooth(plane: Plane) -> Plane:
    """The picture with soft outermost rows and columns: they are drawn out over the border."""
    soft = plane.copy()
    for line in (soft[0], soft[-1], soft[:, 0], soft[:, -1]):
        reach = max(1, len(line) // 30)
        kernel = np.ones(2 * reach + 1) / (2 * reach + 1)
        line[:] = np.convolve(np.pad(line.astype(np.float64), reach, mode="edge"), kernel, "valid").round()
    return soft


class _Painter:
    """Turns a frame into the picture of the copy."""

    def __init__(self, window: Window, spec: dict[str, Any], *, see_through: bool) -> None:
        from av.video.reformatter import Colorspace, Interpolation

        self._window, self._rotation = window, window.rotation
        self._size, self._canvas = tuple(spec["picture"]), tuple(spec["canvas"])
        self._pad, self._ground = spec["pad"], spec["background"] if see_through else None
        self.colours = BT709 if see_through else window.colours
        self._smooth, self._bt709 = Interpolation.LANCZOS, Colorspace.ITU709

    def paint(self, frame: Any) -> Plane:
        """An upright 4:2:0 picture of the canvas' size."""
        if self._ground is not None:
            frame = self._laid(frame)
        picture = self._scaled(frame, self._size)
        return picture if self._size == self._canvas else self._framed(picture)

    def _scaled(self, frame: Any, size: tuple[int, ...]) -> Plane:
        width, height = size[::-1] if self._rotation in (90, 270) else size
        made = frame.reformat(width, height, format="yuv420p", interpolation=self._smooth)
        return self._window.upright(made.to_ndarray())

    def _laid(self, frame: Any) -> Any:
        """A see-through frame on its ground."""
        from av import VideoFrame
        from PIL import ImageColor

        rgba = frame.to_ndarray(format="rgba").astype(np.uint16)
        alpha, ground = rgba[..., 3:], np.array(ImageColor.getrgb(str(self._ground))[:3], np.uint16)
        flat = (rgba[..., :3] * alpha + ground * (255 - alpha) + 127) // 255
        made = VideoFrame.from_ndarray(np.ascontiguousarray(flat.astype(np.uint8)), format="rgb24")
        return made.reformat(format="yuv420p", dst_colorspace=self._bt709)

    def _framed(self, picture: Plane) -> Plane:
        left, top = ((whole - part) // 4 * 2 for whole, part in zip(self._canvas, self._size, strict=True))
        ground = None if self._pad == BLUR else self._plain()
        planes = []
        for number, plane in enumerate(split(picture)):
            share = 1 if number == 0 else 2
            x, y = left // share, top // share
            width, height = self._canvas[0] // share, self._canvas[1] // share
            if ground is None:
                around = ((y, height - plane.shape[0] - y), (x, width - plane.shape[1] - x))
                made = np.pad(_smooth(plane), around, mode="edge")
            else:
                made = split(ground)[number].copy()
            made[y : y + plane.shape[0], x : x + plane.shape[1]] = plane
            planes.append(made)
        return stack(*planes)

    def _plain(self) -> Plane:
        from av import VideoFrame
        from PIL import ImageColor

        width, height = self._canvas
        colour = np.full((2, 2, 3), ImageColor.getrgb(self._pad)[:3], np.uint8)
        dot = VideoFrame.from_ndarray(colour, format="rgb24").reformat(format="yuv420p", dst_colorspace=self._bt709)
        y, u, v = (int(plane[0, 0]) for plane in split(dot.to_ndarray().astype(np.uint8)))
        half = (height // 2, width // 2)
        return stack(np.full((height, width), y, np.uint8), np.full(half, u, np.uint8), np.full(half, v, np.uint8))
