"""Real files that programs understand in different ways, made on the spot."""

from __future__ import annotations

import os
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from tests.media import makers


def _frame(size: tuple[int, int], left: int) -> np.ndarray:
    pixels = np.full((size[1], size[0], 3), 40, np.uint8)
    pixels[size[1] // 5 : size[1] * 9 // 10, left : left + size[0] // 5] = 220
    return pixels


def uneven(path: Path, seconds: float = 4.0, size: tuple[int, int] = (360, 360)) -> Path:
    """A clip whose frames last 1/30 s and 1/10 s by turns of a second, as a screen recorder writes them."""
    with av.open(os.fspath(path), "w", format="mp4") as file:
        video = file.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.options = {"preset": "ultrafast", "bf": "0"}
        video.codec_context.time_base = Fraction(1, 90_000)
        at, durations = 0, dict[int, int]()
        while at < seconds * 90_000:
            length = 3_000 if (at // 90_000) % 2 == 0 else 9_000
            left = round((size[0] - size[0] // 5) * at / (seconds * 90_000))
            frame = av.VideoFrame.from_ndarray(_frame(size, left), "rgb24")
            frame.pts, frame.time_base, durations[at] = at, Fraction(1, 90_000), length
            for packet in video.encode(frame):
                packet.duration = durations[packet.pts or 0]
                file.mux(packet)
            at += length
        for packet in video.encode(None):
            packet.duration = durations[packet.pts or 0]
            file.mux(packet)
    return path


def crowded(path: Path, seconds: float = 4.0) -> Path:
    """Two pictures and two sounds in one file."""
    with av.open(os.fspath(path), "w", format="mp4") as file:
        videos = [file.add_stream("libx264", rate=24) for _ in range(2)]
        audios = [file.add_stream("aac", rate=44_100, layout="mono") for _ in range(2)]
        for video in videos:
            video.width, video.height, video.pix_fmt = 400, 400, "yuv420p"
            video.options = {"preset": "ultrafast"}
        for number, video in enumerate(videos):
            for index in range(round(seconds * 24)):
                frame = av.VideoFrame.from_ndarray(_frame((400, 400), (index if number == 0 else 0) * 2), "rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 24)
                file.mux(video.encode(frame))
            file.mux(video.encode(None))
        for audio in audios:
            for at in range(0, int(44_100 * seconds), 1024):
                sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                sound.sample_rate, sound.pts = 44_100, at
                file.mux(audio.encode(sound))
            file.mux(audio.encode(None))
    return path


def see_through(path: Path, seconds: float = 3.5, size: tuple[int, int] = (360, 360)) -> Path:
    """A MOV whose left half is see-through and whose right half is red."""
    with av.open(os.fspath(path), "w", format="mov") as file:
        video = file.add_stream("qtrle", rate=10)
        video.width, video.height, video.pix_fmt = *size, "argb"
        pixels = np.zeros((size[1], size[0], 4), np.uint8)
        pixels[:, size[0] // 2 :] = (255, 0, 0, 255)
        for index in range(round(seconds * 10)):
            frame = av.VideoFrame.from_ndarray(pixels, "rgba").reformat(format="argb")
            frame.pts, frame.time_base = index, Fraction(1, 10)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
    return path


def edited(path: Path, left_out_s: float = 1.0) -> Path:
    """Has the edit list of a clip's picture leave out its beginning."""
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 4
    assert data[at] == 0
    length, first = struct.unpack(">Ii", data[at + 8 : at + 16])
    moov = data.index(b"mvhd") + 4
    movie_scale = struct.unpack(">I", data[moov + 12 : moov + 16])[0]
    mdhd = data.index(b"mdhd") + 4
    scale = struct.unpack(">I", data[mdhd + 12 : mdhd + 16])[0]
    data[at + 8 : at + 16] = struct.pack(">Ii", length - int(left_out_s * movie_scale), first + int(left_out_s * scale))
    path.write_bytes(data)
    return path


def located(path: Path) -> Path:
    """Adds the place to an MP4, as a phone does: `udta` at the end of `moov`, which is the last box."""
    data = bytearray(path.read_bytes())
    text = b"+52.5200+013.4050/"
    note = struct.pack(">I4sHH", 12 + len(text), b"\xa9xyz", len(text), 0x15C7) + text
    box = struct.pack(">I4s", 8 + len(note), b"udta") + note
    at = data.index(b"moov") - 4
    (size,) = struct.unpack(">I", data[at : at + 4])
    assert at + size == len(data), "the index must be the last box"
    data[at : at + 4] = struct.pack(">I", size + len(box))
    path.write_bytes(data + box)
    return path


def encrypted(path: Path) -> Path:
    """Renames the coding of a clip's picture to that of an encrypted one."""
    data = path.read_bytes()
    path.write_bytes(data.replace(b"avc1", b"encv"))
    return path


def gps(path: Path, orientation: int = 1, size: tuple[int, int] = (800, 600)) -> Path:
    """A photo with a place, and turned as the camera was held."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    return makers.picture(path, size, "JPEG", exif=exif)
