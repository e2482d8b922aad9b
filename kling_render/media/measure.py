"""Decodes a whole film and notes where it is black, where it stands still, and whether it sounds. In a child only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from kling_render.media import boxes
from kling_render.media.clips import open_clip
from kling_render.media.look import Look, Sound, Stretch

Grey = NDArray[np.uint8]
Show = Callable[[Any, float, float, int], None]
"""Is told of every frame: the frame, its time, the film's length (both in seconds), the degrees it is turned by."""

_EDGE = 96
"""Pixels of the longer edge of what is compared: noise is averaged away, a moving finger is not."""
_COARSE = 4
"""Of those, pixels along the edge of a block that is compared for calm."""
_EVERY_S = 0.19
_STILL = 2
"""Grey levels by which no pixel may change."""
_CALM = 8
"""Grey levels by which no block may change within half a second."""
_CALM_S = 0.5
_SMALL = 640 * 480
_BLACK, _BLACK_LIMITED = 16, 30
_FULL = 2  # ITU-T H.273: luma from 0 to 255, and not from 16 to 235
_PLANAR = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuv444p", "nv12"})
_SAMPLES = 128
"""Pixels along the longer edge where single ones are compared: quicker than an average, and only ever stricter."""
_BLACK_SHARE = 0.985
_SHORTEST_S = 0.4
_LOUD = 0.003
"""The loudest sample of what counts as silence: -50 dB of full scale."""


def measure(path: Path, show: Show | None = None, *, calm: bool = False) -> Look:
    """Everything there is to know of a film that can be opened.

    Args:
        path: the film.
        show: is shown every frame.
        calm: whether calm is looked for too, which is for clips.

    Raises:
        Exception: whatever a demuxer makes of a hostile file.
    """
    with path.open("rb") as file:
        turn = boxes.rotation(file, boxes.walk(file))
        with open_clip(file) as container:
            watched, sounds = watch(container, turn, show, calm=calm), bool(container.streams.audio)
        return watched.look(sound_of(file) if sounds else "none")


def watch(container: Any, turn: int, show: Show | None = None, *, calm: bool = False) -> Watched:
    """Decode every frame of an open film."""
    stream = container.streams.video[0]
    codec = stream.codec_context
    # Threads cost more than they bring for a small picture.
    stream.thread_type, stream.thread_count = "AUTO", 2 if codec.width * codec.height > _SMALL else 1
    watched = Watched(stream, turn, calm=calm)
    for frame, at in watched.frames(container):
        watched.compare(frame, at)
        if show is not None:
            show(frame, at, watched.length, turn)
    return watched


class Watched:
    """The stretches of a film that are being found."""

    def __init__(self, stream: Any, turn: int, *, calm: bool) -> None:
        from av.video.reformatter import VideoReformatter

        codec = stream.codec_context
        self._stream = stream
        self._size = (codec.height, codec.width) if turn in (90, 270) else (codec.width, codec.height)
        self._small = _within(codec.width, codec.height, _EDGE)
        self._scaler = VideoReformatter()
        self._origin = float((stream.start_time or 0) * stream.time_base)
        self._step = 1 / float(stream.average_rate or 25)
        #: Seconds, as the header says; 0 when it does not.
        self.length = float((stream.duration or 0) * stream.time_base)
        #: Seconds at which decoding failed first.
        self.damaged: float | None = None
        self._end = 0.0
        self._next = 0.0
        #: Whether the last group of frames cannot be decoded to its end.
        self.end_damaged = False
        self.shown = 0
        self._black, self._still, self._calm = _Stretches(), _Stretches(), _Stretches()
        self._closely = calm
        self._anchor: Grey | None = None
        self._blocks: Grey | None = None
        self._since = 0.0

    def frames(self, container: Any) -> Iterator[tuple[Any, float]]:
        """Every frame that can be decoded, with its time; where one cannot be, that is noted."""
        base = float(self._stream.time_base)
        for packet in container.demux(self._stream):
            if packet.is_keyframe:
                self.end_damaged = False
            try:
                decoded = packet.decode()
            except Exception:  # damage raises whatever the codec calls it
                self._harm()
                self.end_damaged = True
                continue
            for frame in decoded:
                if frame.pts is None:
                    continue
                at = frame.pts * base - self._origin
                if frame.is_corrupt:
                    self._harm()
                self.shown += 1
                self._end = max(self._end, at + self._step)
                yield frame, at

    def _harm(self) -> None:
        self.damaged = self._end if self.damaged is None else self.damaged

    def compare(self, frame: Any, at: float) -> None:
        """Hold a frame against those before it, a few times a second."""
        if at < self._next:
            return
        self._next = at + _EVERY_S
        grey, dark = self._seen(frame)
        self._black.note(at, holds=int(np.count_nonzero(grey < dark)) >= _BLACK_SHARE * grey.size, before=False)
        same = self._anchor is not None and _change(grey, self._anchor) <= _STILL
        self._still.note(at, holds=same)
        if not same:
            self._anchor = grey
        if self._closely:
            self._compare_blocks(_coarse(grey), at, same=same)

    def _seen(self, frame: Any) -> tuple[Grey, int]:
        """The frame, small and grey, and below which level its pixels are black."""
        if frame.format.name in _PLANAR and not self._closely:
            plane = frame.planes[0]
            rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]
            every = max(1, max(frame.width, frame.height) // _SAMPLES)
            # A copy: the frame's memory is the decoder's.
            return rows[::every, ::every].copy(), _BLACK if frame.color_range == _FULL else _BLACK_LIMITED
        picture = self._scaler.reformat(frame, *self._small, "gray", interpolation="AREA").to_ndarray()
        return picture.astype(np.uint8, copy=False), _BLACK

    def _compare_blocks(self, blocks: Grey, at: float, *, same: bool) -> None:
        calm = self._blocks is not None and _change(blocks, self._blocks) <= _CALM
        self._calm.note(at, holds=calm or same)
        if not calm or at - self._since >= _CALM_S:
            self._blocks, self._since = blocks, at

    def look(self, sound: Sound) -> Look:
        """What was found."""
        end = round(self._end, 3)
        black, still, calm = (found.until(end) for found in (self._black, self._still, self._calm))
        return Look(
            duration_s=round(self.length, 3) or end,
            decoded_s=end,
            damaged_s=None if self.damaged is None else round(self.damaged, 3),
            black=black,
            still=still,
            calm=calm,
            sound=sound,
            width=self._size[0],
            height=self._size[1],
        )


class _Stretches:
    """Collects the times between which something held."""

    def __init__(self) -> None:
        self._found: list[Stretch] = []
        self._begin: float | None = None
        self._last = 0.0

    def note(self, at: float, *, holds: bool, before: bool = True) -> None:
        """What holds at a time holds since the frame `before` it, when it says that both look the same."""
        if holds and self._begin is None:
            self._begin = self._last if before else at
        elif not holds and self._begin is not None:
            self._found.append((self._begin, at))
            self._begin = None
        self._last = at

    def until(self, end: float) -> tuple[Stretch, ...]:
        """All of them, the last one open until the end."""
        found = self._found if self._begin is None else [*self._found, (self._begin, end)]
        return tuple((round(a, 3), round(b, 3)) for a, b in found if b - a >= _SHORTEST_S)


def _change(one: Grey, other: Grey) -> int:
    """By how many levels the most different pixels differ."""
    return int((np.maximum(one, other) - np.minimum(one, other)).max())


def _coarse(grey: Grey) -> Grey:
    height, width = (size // _COARSE * _COARSE for size in grey.shape)
    if not height or not width:
        return grey
    cut = grey[:height, :width].reshape(height // _COARSE, _COARSE, width // _COARSE, _COARSE)
    blocks: Grey = cut.mean(axis=(1, 3)).astype(np.uint8)
    return blocks


def _within(width: int, height: int, edge: int) -> tuple[int, int]:
    """The size of a picture whose longer edge is at most so long; even, at least 2."""
    scale = min(1.0, edge / max(width, height))
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def sound_of(file: BinaryIO) -> Sound:
    """Whether there is a sound track, and anything on it; a damaged one counts as sound up to its damage."""
    with open_clip(file) as container:
        if not container.streams.audio:
            return "none"
        try:
            for frame in container.decode(container.streams.audio[0]):
                if _loudest(frame.to_ndarray()) > _LOUD:
                    return "sound"
        except Exception:  # damage raises whatever the codec calls it
            return "sound"
    return "silent"


def _loudest(samples: NDArray[Any]) -> float:
    if not samples.size:
        return 0.0
    peak = float(np.abs(samples.astype(np.float64)).max())
    return peak if samples.dtype.kind == "f" else peak / float(np.iinfo(samples.dtype).max)
