"""Films with a known fate, made on the spot: which parts move, stand still, are black, and what is to be heard."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np

Part = tuple[Literal["moving", "still", "black", "noisy", "breathing"], float]
"""What a part shows, and for how many seconds. `noisy` and `breathing` are still lives as a camera sees them."""


def film(
    path: Path,
    parts: Sequence[Part],
    *,
    size: tuple[int, int] = (320, 240),
    fps: int = 20,
    sound: Literal["none", "silent", "sound"] = "none",
) -> Path:
    """Write a film of these parts, one after the other."""
    with av.open(os.fspath(path), "w", format="mp4") as file:
        video = file.add_stream("libx264", rate=fps)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.options = {"preset": "ultrafast", "crf": "23", "g": str(fps)}
        audio = file.add_stream("aac", rate=44_100, layout="mono") if sound != "none" else None
        if audio is not None:
            _play(file, audio, sum(seconds for _, seconds in parts), loud=sound == "sound")
        index, at = 0, 0.0
        for kind, seconds in parts:
            for step in range(round(seconds * fps)):
                at += kind == "moving"
                frame = av.VideoFrame.from_ndarray(_picture(size, kind, at, step), "rgb24")
                frame.pts, frame.time_base = index, Fraction(1, fps)
                file.mux(video.encode(frame))
                index += 1
        file.mux(video.encode(None))
    return path


def _picture(size: tuple[int, int], kind: str, at: float, step: int) -> np.ndarray:
    width, height = size
    if kind == "black":
        return np.zeros((height, width, 3), np.uint8)
    pixels = np.linspace(60, 120, width, dtype=np.uint8)[None, :, None].repeat(height, 0).repeat(3, 2).copy()
    left = int(at * 5) % (width * 4 // 5)
    if kind == "breathing":
        left += round(np.sin(step / 5))
    pixels[height // 5 : height * 9 // 10, left : left + width // 5] = (220, 180, 140)
    if kind in ("noisy", "breathing"):
        noise = np.random.default_rng(step).normal(0, 5, pixels.shape)
        pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    return pixels


def _play(file: av.container.OutputContainer, audio: av.AudioStream, seconds: float, *, loud: bool) -> None:
    tone = np.sin(np.arange(int(44_100 * seconds)) / 20).astype(np.float32)[None] * np.float32(0.2 if loud else 0)
    for at in range(0, tone.shape[1], 1024):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(tone[:, at : at + 1024]), "fltp", "mono")
        frame.sample_rate, frame.pts = 44_100, at
        file.mux(audio.encode(frame))
    file.mux(audio.encode(None))
