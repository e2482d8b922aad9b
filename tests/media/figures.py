"""Clips of a drawn figure whose place, size and lean are known at every moment."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFilter


@dataclass(frozen=True, slots=True)
class Pose:
    """Of a figure's body, in parts of the picture's width and height; lean in degrees, clockwise."""

    centre: float
    foot: float = 0.9
    height: float = 0.6
    lean: float = 0.0


Way = Callable[[float], Sequence[Pose]]
"""The figures at a time in seconds; the first is the one to follow."""


def wall(size: tuple[int, int], seed: int = 3) -> Image.Image:
    """A wall with soft stains."""
    stains = np.random.default_rng(seed).integers(60, 150, (9, 12, 3), np.uint8)
    return Image.fromarray(stains).resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(2))


def draw(canvas: Image.Image, pose: Pose) -> None:
    """A body with head, trunk and two legs, turned about its middle."""
    width, height = canvas.size
    tall = pose.height * height
    turn = np.radians(pose.lean)
    pen = ImageDraw.Draw(canvas)
    x, y = pose.centre * width, (pose.foot - pose.height / 2) * height

    def at(across: float, up: float) -> tuple[float, float]:
        across, up = across * tall, up * tall
        return x + across * np.cos(turn) + up * np.sin(turn), y + across * np.sin(turn) - up * np.cos(turn)

    trunk = [at(-0.13, 0.28), at(0.13, 0.28), at(0.11, -0.08), at(-0.11, -0.08)]
    pen.polygon(trunk, fill=(240, 235, 220))
    for side in (-1, 1):
        leg = [at(0, -0.06), at(side * 0.11, -0.06), at(side * 0.14, -0.5), at(side * 0.06, -0.5)]
        pen.polygon(leg, fill=(250, 250, 250))
    head = at(0, 0.39)
    pen.ellipse(
        [head[0] - 0.11 * tall, head[1] - 0.11 * tall, head[0] + 0.11 * tall, head[1] + 0.11 * tall],
        fill=(255, 240, 225),
    )


def pictures(
    way: Way, seconds: float, *, rate: float = 15, size: tuple[int, int] = (213, 120), noise: float = 0.0
) -> np.ndarray:
    """Brightness, moments × rows × columns, as the analysis gets it."""
    ground, chance = wall(size), np.random.default_rng(5)
    shown = []
    for index in range(round(seconds * rate)):
        canvas = ground.copy()
        for pose in way(index / rate):
            draw(canvas, pose)
        grey = np.asarray(canvas.convert("L"), np.float32)
        shown.append(np.clip(grey + chance.normal(0, noise, grey.shape), 0, 255).astype(np.uint8))
    return np.stack(shown)


def film(
    path: Path,
    way: Way,
    times: Sequence[Fraction],
    length: Fraction,
    *,
    size: tuple[int, int] = (426, 240),
    layout: str | None = None,
    rotate: int = 0,
) -> Path:
    """A clip whose frames are shown at `times` until `length`, with a tone in each channel of `layout`.

    `size` is the stored one; `rotate` says by how much players turn it to the left, after which the figure is upright.
    """
    with av.open(os.fspath(path), "w", format="mp4") as file:
        video = file.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.codec_context.time_base = Fraction(1, 90_000)
        video.options = {"preset": "ultrafast", "bf": "0"}
        if rotate:
            video.set_display_rotation(rotate)
        audio = file.add_stream("aac", rate=48_000, layout=layout) if layout else None
        if audio is not None:
            channels = audio.codec_context.layout.nb_channels
            tone = np.sin(np.arange(int(48_000 * length)) / 20).astype(np.float32) * np.float32(0.2)
            for at in range(0, len(tone), 1024):
                block = np.ascontiguousarray(np.tile(tone[at : at + 1024], (channels, 1)))
                frame = av.AudioFrame.from_ndarray(block, "fltp", layout)
                frame.sample_rate, frame.pts = 48_000, at
                file.mux(audio.encode(frame))
            file.mux(audio.encode(None))
        ground = wall(size[::-1] if rotate in (90, 270) else size)
        ends = {round(a * 90_000): round((b - a) * 90_000) for a, b in zip(times, [*times[1:], length], strict=True)}
        packets = []
        for time in times:
            canvas = ground.copy()
            for pose in way(float(time)):
                draw(canvas, pose)
            shown = av.VideoFrame.from_image(canvas.rotate(-rotate, expand=True))
            shown.pts, shown.time_base = round(time * 90_000), Fraction(1, 90_000)
            packets += video.encode(shown)
        for packet in packets + video.encode(None):
            packet.duration = ends[packet.pts]
            file.mux(packet)
    return path
