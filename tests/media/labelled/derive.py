"""Labelled clips out of others, by real operations: cut, join, crop, play faster, mute, flash."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
Crop = Callable[[float], tuple[float, float, float]]
"""Part of the clip that is over (0 to 1) → centre x, centre y and width of the crop, in parts of the picture."""

LONG_EDGE = 640
_RATE = 44_100


def read(path: Path, start: float = 0, end: float = 1e9, every: int = 1) -> Iterator[Picture]:
    """Each `every`-th frame between two times, at most 640 pixels long."""
    with av.open(os.fspath(path)) as file:
        for index, frame in enumerate(f for f in file.decode(video=0) if f.time is not None and f.time >= start):
            if frame.time >= end:
                return
            if index % every == 0:
                scale = min(1.0, LONG_EDGE / max(frame.width, frame.height))
                size = [max(2, round(edge * scale) // 2 * 2) for edge in (frame.width, frame.height)]
                yield frame.reformat(width=size[0], height=size[1], format="rgb24").to_ndarray()


def rate_of(path: Path) -> Fraction:
    """Frames per second."""
    with av.open(os.fspath(path)) as file:
        return Fraction(file.streams.video[0].average_rate).limit_denominator(1001)


def write(
    path: Path, pictures: Iterable[Picture], rate: Fraction | int, sound: NDArray[np.float32] | None = None
) -> None:
    """An MP4 of these pictures; all are brought to the size of the first."""
    with av.open(os.fspath(path), "w", format="mp4") as file:
        video = file.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "20"})
        video.pix_fmt = "yuv420p"
        audio = None if sound is None else file.add_stream("aac", rate=_RATE, layout="mono")
        for index, picture in enumerate(pictures):
            if index == 0:
                video.height, video.width = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            frame = frame.reformat(width=video.width, height=video.height)
            frame.pts, frame.time_base = index, 1 / Fraction(rate)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        if audio is not None and sound is not None:
            for at in range(0, len(sound), 1024):
                samples = av.AudioFrame.from_ndarray(sound[None, at : at + 1024].copy(), "fltp", "mono")
                samples.sample_rate, samples.pts = _RATE, at
                file.mux(audio.encode(samples))
            file.mux(audio.encode(None))


def noise(seconds: float, db: float) -> NDArray[np.float32]:
    """Sound of that loudness (root mean square, dB below full scale); -inf is digital silence."""
    level = 10 ** (db / 20) if db > -200 else 0.0
    drawn = np.random.default_rng(1).normal(0, 1, round(seconds * _RATE))
    return (drawn * level).clip(-1, 1).astype(np.float32)


def cropped(pictures: Sequence[Picture], crop: Crop) -> Iterator[Picture]:
    """A camera that moves over what was recorded by one that stood still."""
    for index, picture in enumerate(pictures):
        x, y, width = crop(index / max(1, len(pictures) - 1))
        rows, columns = picture.shape[:2]
        half_w, half_h = width * columns / 2, width * rows / 2
        box = (x * columns - half_w, y * rows - half_h, x * columns + half_w, y * rows + half_h)
        size = (columns * 7 // 10 // 2 * 2, rows * 7 // 10 // 2 * 2)
        yield np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC, box))


def there_and_back(pictures: Sequence[Picture]) -> list[Picture]:
    """Forwards and backwards: a longer clip without a cut."""
    return [*pictures, *pictures[-2:0:-1]]


def flashed(pictures: Sequence[Picture], at: int, frames: int) -> Iterator[Picture]:
    """A photographer's flash."""
    for index, picture in enumerate(pictures):
        lit = at <= index < at + frames
        yield (255 - (255 - picture.astype(np.int16)) // 4).astype(np.uint8) if lit else picture


def dimmed(pictures: Sequence[Picture]) -> Iterator[Picture]:
    """Light that slowly goes down by half and comes back."""
    for index, picture in enumerate(pictures):
        share = 0.75 + 0.25 * np.cos(2 * np.pi * index / len(pictures))
        yield (picture * share).astype(np.uint8)
