"""The frames and the sound of a clip between two times, upright. Runs in a child only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from kling_render.media import boxes
from kling_render.media.clips import open_clip

if TYPE_CHECKING:
    from decimal import Decimal

Plane = NDArray[np.uint8]
Planes = tuple[Plane, Plane, Plane]
"""Y, U and V; the edges of the latter two are half as long."""

TICKS = 90_000
"""Ticks per second of every time in here, and of the files written."""

_LONGEST = 3_840
"""Pixels that no model refuses; an edge is not drawn out over it."""
_SLIVER = Fraction(1, 1000)


class EmptyWindowError(ValueError):
    """No frame lies between the two times."""


@dataclass(frozen=True, slots=True)
class Colours:
    """The numbers by which a stream says what its YUV values mean (ITU-T H.273)."""

    space: int
    primaries: int
    transfer: int
    range: int


BT709 = Colours(1, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame and the ticks at which it is shown, counted from the window's start."""

    frame: Any
    start: int
    end: int


def even(size: int) -> int:
    """The nearest even number below, at least 2: 4:2:0 pictures have even edges."""
    return max(2, size // 2 * 2)


class Window:
    """A clip opened for reading between `start` and `end` (seconds; None: its beginning or end)."""

    def __init__(self, path: Path, start: Decimal | None, end: Decimal | None) -> None:
        self._file = path.open("rb")
        try:
            whole = boxes.walk(self._file)
            self.rotation = boxes.rotation(self._file, whole)
            self.is_mirrored = boxes.is_mirrored(self._file, whole)
            self.slant = boxes.slant(self._file, whole)
            self._container = open_clip(self._file)
            self._stream = self._container.streams.video[0]
        except BaseException:
            self._file.close()
            raise
        self._stream.thread_type = "AUTO"
        self._stream.thread_count = 2
        codec = self._stream.codec_context
        self.colours = Colours(codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range)
        stored = (codec.width, codec.height)
        self.width, self.height = stored[::-1] if self.rotation in (90, 270) else stored
        self.pixel_width = _pixel_width(self._stream.sample_aspect_ratio)
        self.rate = Fraction(self._stream.average_rate or self._stream.guessed_rate or 25)
        self._origin = Fraction((self._stream.start_time or 0) * self._stream.time_base)
        length = Fraction((self._stream.duration or 0) * self._stream.time_base)
        self.start = Fraction(start or 0)
        self.end = length if end is None else min(Fraction(end), length)
        self.audio = self._container.streams.audio[0] if self._container.streams.audio else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()
        self._file.close()

    @property
    def seconds(self) -> Fraction:
        """The window's length."""
        return self.end - self.start

    def upright(self, picture: Plane) -> Plane:
        """A stacked 4:2:0 picture of this clip as a player shows it: turned, and mirrored where it says so."""
        if not self.rotation and not self.is_mirrored:
            return picture
        return stack(*(self.turned(plane) for plane in split(picture)))

    def turned(self, plane: Plane) -> Plane:
        """The same of a single plane, as a view."""
        shown = np.rot90(plane, -(self.rotation // 90))
        return shown[:, ::-1] if self.is_mirrored else shown

    @property
    def square(self) -> tuple[int, int]:
        """Upright width and height once every pixel is square: one edge becomes longer, or else the other shorter."""
        wide = self.pixel_width if self.rotation in (0, 180) else 1 / self.pixel_width
        wider, taller = (round(self.width * wide), self.height), (self.width, round(self.height / wide))
        larger, smaller = (wider, taller) if wide >= 1 else (taller, wider)
        return larger if max(larger) <= max(_LONGEST, self.width, self.height) else smaller

    def skim(self) -> None:
        """Leave out frames that no other frame builds on: each that is left is shown until the next."""
        self._stream.codec_context.skip_frame = "NONREF"

    def frames(self) -> Iterator[Shown]:
        """Every frame that is seen in the window; the first and the last are shown only as long as they lie in it."""
        self._seek(self._stream)
        waiting: tuple[Any, Fraction] | None = None
        for frame in self._container.decode(self._stream):
            if frame.pts is None:
                continue
            at = Fraction(frame.pts * self._stream.time_base) - self._origin
            if waiting is not None and at - self.start > _SLIVER:
                yield self._shown(*waiting, at)
            waiting = (frame, at)
            if at >= self.end - _SLIVER:
                return
        if waiting is not None and waiting[1] < self.end - _SLIVER:
            yield self._shown(*waiting, self.end)

    def _shown(self, frame: Any, at: Fraction, until: Fraction) -> Shown:
        first = max(at, self.start) - self.start
        last = min(until, self.end) - self.start
        return Shown(frame, round(first * TICKS), round(last * TICKS))

    def _seek(self, stream: Any) -> None:
        target = int((self.start + self._origin) / stream.time_base)
        self._container.seek(max(0, target), stream=stream, backward=True)

    def sound(self) -> tuple[NDArray[np.float32], int] | None:
        """The sound of the window, as channels × samples, padded with silence to its length; and its rate in Hz."""
        if self.audio is None:
            return None
        from av.audio.resampler import AudioResampler

        rate = min(48_000, self.audio.codec_context.sample_rate or 44_100)
        channels = 1 if self.audio.codec_context.layout.nb_channels == 1 else 2
        track = np.zeros((channels, int(self.seconds * rate)), np.float32)
        resampler = AudioResampler("fltp", "mono" if channels == 1 else "stereo", rate)
        self._seek(self.audio)
        for frame in self._container.decode(self.audio):
            if frame.time is not None and frame.time > self.end + 1:
                break
            for piece in resampler.resample(frame):
                self._lay(track, piece, rate)
        return track, rate

    def _lay(self, track: NDArray[np.float32], piece: Any, rate: int) -> None:
        if piece.pts is None:
            return
        offset = round((Fraction(piece.pts * piece.time_base) - self.start) * rate)
        samples = piece.to_ndarray()
        first, last = max(0, offset), min(track.shape[1], offset + samples.shape[1])
        if first < last:
            track[:, first:last] = samples[:, first - offset : last - offset]


def _pixel_width(said: Fraction | None) -> Fraction:
    """Width of a pixel as a multiple of its height; what differs by a hundredth, or fourfold, is somebody's mistake."""
    wide = Fraction(said or 1)
    return wide if Fraction(1, 100) < abs(wide - 1) and Fraction(1, 4) <= wide <= 4 else Fraction(1)


def planes_of(frame: Any) -> Planes:
    """Y, U and V of a 4:2:0 frame, as views of its memory."""
    y, u, v = (
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        for plane in frame.planes
    )
    return y, u, v


def split(picture: Plane) -> Planes:
    """The planes Y, U and V of a stacked 4:2:0 picture, as views."""
    height = picture.shape[0] * 2 // 3
    width = picture.shape[1]
    half = (height // 2, width // 2)
    flat = picture[height:].reshape(2, *half)
    return picture[:height], flat[0], flat[1]


def stack(y: Plane, u: Plane, v: Plane) -> Plane:
    """The inverse of `split`, as a copy."""
    height, width = y.shape
    picture = np.empty((height * 3 // 2, width), np.uint8)
    whole = split(picture)
    for target, source in zip(whole, (y, u, v), strict=True):
        target[:] = source
    return picture
