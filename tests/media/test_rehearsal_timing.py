"""Claim: a rehearsal has its clip's frames, times and sound, however the clip was made, and is whole or not there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from kling_render.media import limits
from kling_render.media.rehearsal import RehearsalSpec, render_rehearsal
from tests.media import figures, makers
from tests.media.figures import Pose

RED = np.array([200, 60, 40])


def walk(time: float) -> list[Pose]:
    return [Pose(0.25 + 0.25 * time, lean=10 * np.sin(3 * time))]


def spec(folder: Path, clip: Path, *, keep_audio: bool = True) -> RehearsalSpec:
    if not (folder / "hero.png").exists():
        makers.picture(folder / "hero.png")
    return RehearsalSpec(
        image=folder / "hero.png",
        clip=clip,
        start=None,
        end=None,
        orientation="video",
        keep_audio=keep_audio,
        lines=("id", "café 日本 🦊 שלום", "take"),
        max_edge=1920,
    )


def times_of(path: Path) -> tuple[list[Fraction], Fraction]:
    """When each frame is shown, and how long the picture lasts."""
    with av.open(os.fspath(path)) as file:
        stream = file.streams.video[0]
        assert stream.duration is not None
        assert stream.time_base is not None
        shown = [Fraction(f.pts or 0) * stream.time_base for f in file.decode(stream)]
        return shown, stream.duration * stream.time_base


def sound_of(path: Path) -> tuple[int, float] | None:
    """Channels and seconds of the sound."""
    with av.open(os.fspath(path)) as file:
        if not file.streams.audio:
            return None
        stream = file.streams.audio[0]
        samples = sum(frame.samples for frame in file.decode(stream))
        return stream.codec_context.layout.nb_channels, samples / stream.codec_context.sample_rate


STEADY = {
    rate: [Fraction(i) / Fraction(rate) for i in range(int(Fraction(rate)))]
    for rate in ("24", "25", "30000/1001", "60")
}


@pytest.mark.parametrize("rate", list(STEADY))
def test_every_frame_keeps_its_time_at_every_rate(tmp_path: Path, rate: str) -> None:
    times = STEADY[rate]
    clip = figures.film(tmp_path / "c.mp4", walk, times, times[-1] + 1 / Fraction(rate), layout="stereo")
    render_rehearsal(spec(tmp_path, clip), tmp_path / "out.mp4")
    before, after = times_of(clip), times_of(tmp_path / "out.mp4")
    assert len(after[0]) == len(before[0])
    assert max(abs(a - b) for a, b in zip(before[0], after[0], strict=True)) <= Fraction(1, 45_000)
    assert abs(before[1] - after[1]) < Fraction(1, 1000)
    sound = sound_of(tmp_path / "out.mp4")
    assert sound is not None
    assert sound[1] == pytest.approx(float(before[1]), abs=0.05)


def test_frames_at_uneven_times_keep_them(tmp_path: Path) -> None:
    steps = np.random.default_rng(4).choice([1, 1, 2, 5], 20)
    times = [Fraction(int(at), 30) for at in np.concatenate([[0], np.cumsum(steps)])]
    clip = figures.film(tmp_path / "c.mp4", walk, times, times[-1] + Fraction(1, 10))
    render_rehearsal(spec(tmp_path, clip), tmp_path / "out.mp4")
    before, after = times_of(clip), times_of(tmp_path / "out.mp4")
    assert max(abs(a - b) for a, b in zip(before[0], after[0], strict=True)) <= Fraction(1, 45_000)
    assert abs(before[1] - after[1]) < Fraction(1, 1000)
    assert sound_of(tmp_path / "out.mp4") is None


@pytest.mark.parametrize(("layout", "channels"), [("mono", 1), ("stereo", 2), ("5.1", 2)])
def test_sound_is_kept_or_left_out_as_asked(tmp_path: Path, layout: str, channels: int) -> None:
    clip = figures.film(tmp_path / "c.mp4", walk, STEADY["24"][:12], Fraction(1, 2), layout=layout)
    render_rehearsal(spec(tmp_path, clip), tmp_path / "with.mp4")
    render_rehearsal(spec(tmp_path, clip, keep_audio=False), tmp_path / "without.mp4")
    sound = sound_of(tmp_path / "with.mp4")
    assert sound is not None
    assert sound[0] == channels
    assert sound[1] == pytest.approx(0.5, abs=0.05)
    assert sound_of(tmp_path / "without.mp4") is None


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_the_character_covers_the_figure_however_the_clip_is_stored(tmp_path: Path, rotate: int) -> None:
    clip = figures.film(tmp_path / "c.mp4", walk, STEADY["24"], Fraction(1), rotate=rotate, size=(322, 242))
    render_rehearsal(spec(tmp_path, clip), tmp_path / "out.mp4")
    frames, _ = makers.play(tmp_path / "out.mp4")
    assert frames[0].shape[:2] == ((322, 242) if rotate in (90, 270) else (242, 322))
    for number in (5, 12, 19):
        red = np.abs(frames[number].astype(int) - RED).max(axis=2) < 50
        rows, columns = np.nonzero(red)
        assert columns.mean() / frames[0].shape[1] == pytest.approx(walk(number / 24)[0].centre, abs=0.07)
        assert rows.mean() / frames[0].shape[0] == pytest.approx(0.6, abs=0.08)


def test_a_worker_that_is_killed_leaves_no_result(tmp_path: Path) -> None:
    makers.clip(tmp_path / "long.mp4", 12, sound=False)
    child = subprocess.Popen(
        limits.command("kling_render.media.work_child"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=limits.environment(),
    )
    assert child.stdin is not None
    assert child.stdout is not None
    asked = spec(tmp_path, tmp_path / "long.mp4").to_json()
    question = {"do": "rehearse", "spec": asked, "target": str(tmp_path / "out.mp4")}
    child.stdin.write(json.dumps(question).encode() + b"\n")
    child.stdin.flush()
    while not (tmp_path / "out.mp4.part").exists():
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait(20)
    child.stdin.close()
    child.stdout.close()
    assert not (tmp_path / "out.mp4").exists()
    render_rehearsal(spec(tmp_path, tmp_path / "long.mp4"), tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4.part").exists()
