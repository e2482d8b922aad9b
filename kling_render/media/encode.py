"""Writes H.264 and AAC in MP4: the same input gives the same bytes on the same build. Runs in a child only."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kling_render.media.window import TICKS, Colours, Plane


class Mp4Writer:
    """An MP4 under construction at `path`; complete and on disk when the `with` block ends without an error."""

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        rate: Fraction,
        colours: Colours,
        *,
        sound_rate: int | None,
        sound_channels: int = 2,
        preset: str,
        crf: int,
        tuning: str = "",
    ) -> None:
        import av

        av.logging.set_level(None)
        self._path = path
        self._container = av.open(os.fspath(path), "w", format="mp4", options={"movflags": "+faststart"})
        self._video = self._container.add_stream("libx264", rate=rate)
        codec = self._video.codec_context
        codec.width, codec.height, codec.pix_fmt = *size, "yuv420p"
        codec.time_base = Fraction(1, TICKS)
        codec.colorspace, codec.color_primaries = colours.space, colours.primaries
        codec.color_trc, codec.color_range = colours.transfer, colours.range
        # A fixed number of threads: the encoder's choices depend on it.
        codec.thread_count = 2
        # Without B-frames the stored length is exactly the sum of what is shown.
        codec.options = {"preset": preset, "crf": str(crf), "g": str(max(1, round(rate * 2))), "bf": "0"}
        if tuning:
            codec.options = {**codec.options, "x264-params": tuning}
        self._durations: dict[int, int] = {}
        self._sound = self._add_sound(sound_rate, sound_channels) if sound_rate else None

    def _add_sound(self, rate: int, channels: int) -> Any:
        stream = self._container.add_stream("aac", rate=rate, layout="mono" if channels == 1 else "stereo")
        stream.codec_context.bit_rate = 64_000 * channels
        return stream

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._store(None)
        self._container.close()
        if error is None:
            with self._path.open("rb+") as file:
                os.fsync(file.fileno())

    def show(self, picture: Plane, start: int, end: int) -> None:
        """Show a stacked 4:2:0 picture from tick `start` to tick `end`."""
        from av import VideoFrame

        self.show_frame(VideoFrame.from_ndarray(picture, format="yuv420p"), start, end)

    def show_frame(self, frame: Any, start: int, end: int) -> None:
        """Show a 4:2:0 frame that nobody changes any more."""
        frame.pts, frame.duration, frame.time_base = start, end - start, Fraction(1, TICKS)
        self._durations[start] = end - start
        self._store(frame)

    def _store(self, frame: Any) -> None:
        for packet in self._video.encode(frame):
            # The encoder assumes the average duration; the last one decides how long the file lasts.
            assert packet.pts is not None
            packet.duration = self._durations.pop(packet.pts)
            self._container.mux(packet)

    def play(self, track: NDArray[np.float32], rate: int) -> None:
        """Add the whole sound: channels × samples."""
        from av import AudioFrame

        assert self._sound is not None
        layout = "mono" if track.shape[0] == 1 else "stereo"
        for at in range(0, track.shape[1], 1024):
            block = np.ascontiguousarray(track[:, at : at + 1024])
            frame = AudioFrame.from_ndarray(block, format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            self._container.mux(self._sound.encode(frame))
        self._container.mux(self._sound.encode(None))
