"""The motion clips: a dancer on a stage at night, with a beat."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from studio.beat import RATE, beat
from studio.body import Pose, draw_body
from studio.cast import DANCER
from studio.moves import dance, spin, stroll, wave
from studio.pen import Pen
from studio.stage import night_street

_OVERSAMPLING = 2


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip: a move (seconds → where the dancer stands, and the pose), its length, and its tempo."""

    path: str
    move: Callable[[float], tuple[float, Pose]]
    seconds: Fraction
    fps: int
    bpm: int
    size: tuple[int, int] = (360, 640)
    #: Height of the dancer as a part of the picture's height.
    tall: float = 0.72
    crf: int = 29


CLIPS = (
    Clip("street-dance/clips/wave.mp4", wave, Fraction(4), 24, 90, (432, 768), 0.68),
    Clip("street-dance/clips/spin.mp4", spin, Fraction(9, 2), 30, 112, (432, 768), 0.6),
    Clip("street-dance/clips/dance.mp4", dance, Fraction(6), 30, 120, (768, 432), 0.82),
    Clip("minimal/clips/wave.mp4", wave, Fraction(7, 2), 24, 90, (360, 640), 0.68, crf=31),
    Clip("minimal/clips/walk.mp4", stroll, Fraction(7, 2), 24, 100, (640, 360), 0.78, crf=31),
)


def shoot_clip(clip: Clip, target: Path) -> None:
    """Draw every frame and write H.264 with AAC."""
    width, height = clip.size
    stage = night_street((width * _OVERSAMPLING, height * _OVERSAMPLING))
    with av.open(os.fspath(target), "w", options={"movflags": "+faststart"}) as container:
        video = container.add_stream("libx264", rate=clip.fps)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        codec = video.codec_context
        codec.colorspace = codec.color_primaries = codec.color_trc = codec.color_range = 1
        codec.thread_count = 2
        codec.options = {"preset": "veryslow", "crf": str(clip.crf), "tune": "animation", "g": str(clip.fps * 2)}
        audio = container.add_stream("aac", rate=RATE, layout="mono")
        audio.codec_context.bit_rate = 64_000
        _record(container, audio, beat(float(clip.seconds), clip.bpm))
        for index in range(int(clip.seconds * clip.fps)):
            frame = av.VideoFrame.from_image(_frame(clip, stage, index / clip.fps))
            frame = frame.reformat(format="yuv420p", dst_colorspace=1, dst_color_range=1)
            frame.pts, frame.time_base = index, Fraction(1, clip.fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))


def _frame(clip: Clip, stage: Image.Image, at: float) -> Image.Image:
    picture = stage.copy()
    place, pose = clip.move(at)
    scale = picture.height * clip.tall
    feet = (picture.width * place, picture.height * 0.93)
    shadow = Image.new("L", (round(scale * 0.6), round(scale * 0.08)), 0)
    ImageDraw.Draw(shadow).ellipse((scale * 0.05, scale * 0.01, scale * 0.55, scale * 0.07), fill=120)
    shadow = shadow.filter(ImageFilter.GaussianBlur(scale * 0.008))
    corner = (round(feet[0] + pose.hip[0] * scale - shadow.width / 2), round(feet[1] - shadow.height / 2))
    picture.paste((8, 8, 20), corner, shadow)
    draw_body(Pen(ImageDraw.Draw(picture), scale, feet), DANCER, pose)
    return picture.resize(clip.size, Image.Resampling.BOX)


def _record(container: av.container.OutputContainer, stream: av.AudioStream, track: np.ndarray) -> None:
    for at in range(0, len(track), 1024):
        frame = av.AudioFrame.from_ndarray(track[None, at : at + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
