"""Small real pictures and clips for the tests, made on the spot."""

from __future__ import annotations

import os
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw


def picture(path: Path, size: tuple[int, int] = (320, 400), kind: str = "PNG", **options: object) -> Path:
    """A figure on a plain ground."""
    image = Image.new("RGB", size, (230, 230, 235))
    ImageDraw.Draw(image).ellipse(
        (size[0] // 4, size[1] // 10, size[0] * 3 // 4, size[1] * 9 // 10), fill=(200, 60, 40)
    )
    image.save(path, kind, **options)
    return path


def clip(
    path: Path,
    seconds: float = 1.0,
    *,
    fps: int = 24,
    size: tuple[int, int] = (160, 120),
    sound: bool = True,
    container: str = "mp4",
    rotate: int = 0,
    codec: str = "libx264",
) -> Path:
    """A white block that walks from left to right, and a tone."""
    with av.open(os.fspath(path), "w", format=container) as file:
        video = file.add_stream(codec, rate=fps)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.options = {"preset": "ultrafast"} if codec == "libx264" else {}
        if rotate:
            video.set_display_rotation(rotate)
        audio = file.add_stream("aac", rate=44_100, layout="mono") if sound else None
        if audio is not None:
            tone = np.sin(np.arange(int(44_100 * seconds)) / 20).astype(np.float32)[None] * np.float32(0.2)
            for at in range(0, tone.shape[1], 1024):
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(tone[:, at : at + 1024]), "fltp", "mono")
                frame.sample_rate, frame.pts = 44_100, at
                file.mux(audio.encode(frame))
            file.mux(audio.encode(None))
        count = round(seconds * fps)
        for index in range(count):
            pixels = np.full((size[1], size[0], 3), 40, np.uint8)
            left = round((size[0] - size[0] // 5) * index / max(1, count - 1))
            pixels[size[1] // 5 : size[1] * 9 // 10, left : left + size[0] // 5] = 220
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
    return path


def sound_only(path: Path) -> Path:
    """An MP4 without a picture."""
    with av.open(os.fspath(path), "w", format="mp4") as file:
        audio = file.add_stream("aac", rate=44_100, layout="mono")
        for at in range(0, 44_100, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 44_100, at
            file.mux(audio.encode(frame))
        file.mux(audio.encode(None))
    return path


def png_claiming(path: Path, width: int, height: int) -> Path:
    """A tiny PNG whose header claims any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def play(path: Path) -> tuple[list[np.ndarray], float]:
    """Every frame as RGB, and the length of the video stream in seconds."""
    with av.open(os.fspath(path)) as file:
        stream = file.streams.video[0]
        length = float(stream.duration * stream.time_base)
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(stream)], length
