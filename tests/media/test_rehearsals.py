"""Claim: a rehearsal is a real video as long as its clip, the character on the mover, whole or not at all."""

from __future__ import annotations

import asyncio
import subprocess
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kling_render.media.facts import ClipFacts
from kling_render.media.probe import Prober
from kling_render.media.rehearsal import RehearsalPool, RehearsalSpec, render_in_child, render_rehearsal
from kling_render.media.work import WorkError
from tests.media import makers

RED = np.array([200, 60, 40])


def spec(folder: Path, **changes: Any) -> RehearsalSpec:
    image, clip = folder / "hero.png", folder / "walk.mp4"
    if not image.exists():
        makers.picture(image)
    if not clip.exists():
        makers.clip(clip, 1.0, size=(320, 240))
    plain = RehearsalSpec(
        image=image, clip=clip, start=None, end=None, orientation="image", keep_audio=True,
        lines=("sc010/fox/wave/t01", "a prompt", "take 1", "$0.448"),
    )  # fmt: skip
    return replace(plain, **changes)


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


def place_of(frame: np.ndarray) -> float:
    """Where the red hero stands, as a part of the width."""
    near = np.abs(frame.astype(int) - RED).max(axis=2) < 40
    assert near.sum() > 500
    return float(np.nonzero(near)[1].mean()) / frame.shape[1]


def test_the_hero_follows_the_mover(tmp_path: Path) -> None:
    render_rehearsal(spec(tmp_path), tmp_path / "out.mp4")
    frames, seconds = makers.play(tmp_path / "out.mp4")
    assert seconds == pytest.approx(1.0, abs=0.001)
    assert len(frames) == 24
    assert place_of(frames[2]) < 0.3
    assert 0.35 < place_of(frames[12]) < 0.65
    assert place_of(frames[-3]) > 0.7


def test_a_rehearsal_keeps_length_rate_size_and_sound(tmp_path: Path, prober: Prober) -> None:
    async def work() -> None:
        await render_in_child(spec(tmp_path), tmp_path / "a.mp4")
        await render_in_child(
            spec(tmp_path, keep_audio=False, max_edge=200, start=Decimal("0.25"), end=Decimal("0.75")),
            tmp_path / "b.mp4",
        )

    asyncio.run(work())
    first, second = (prober.probe(tmp_path / name, "clip") for name in ("a.mp4", "b.mp4"))
    assert isinstance(first, ClipFacts)
    assert isinstance(second, ClipFacts)
    assert (first.width, first.height, first.fps, first.has_audio) == (320, 240, 24.0, True)
    assert first.duration_s == Decimal(1)
    assert (second.width, second.height, second.has_audio, second.duration_s) == (200, 150, False, Decimal("0.5"))
    assert prober.verify_result(tmp_path / "a.mp4", 1.0).ok


def test_the_same_rehearsal_gives_the_same_bytes_whatever_was_rendered_before(tmp_path: Path) -> None:
    async def work() -> None:
        pool = RehearsalPool(1)
        await pool.render(spec(tmp_path), tmp_path / "a.mp4")
        await pool.render(spec(tmp_path, lines=("other",)), tmp_path / "b.mp4")
        await pool.render(spec(tmp_path), tmp_path / "c.mp4")
        await pool.close()

    asyncio.run(work())
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "c.mp4").read_bytes()
    assert (tmp_path / "a.mp4").read_bytes() != (tmp_path / "b.mp4").read_bytes()


def test_a_clip_without_movement_and_a_picture_without_ground_still_rehearse(tmp_path: Path, prober: Prober) -> None:
    from PIL import Image

    noise = np.random.default_rng(1).integers(0, 255, (400, 320, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.jpg")
    makers.clip(tmp_path / "one.mp4", 0.05, fps=20, sound=False)
    strange = spec(
        tmp_path, image=tmp_path / "noise.jpg", clip=tmp_path / "one.mp4", lines=("日本\x1b[2J\n" * 99, "x" * 3000)
    )
    render_rehearsal(strange, tmp_path / "out.mp4")
    assert prober.verify_result(tmp_path / "out.mp4", None).ok


def test_a_rotated_odd_clip_rehearses_upright(tmp_path: Path, prober: Prober) -> None:
    makers.clip(tmp_path / "r.mp4", 0.5, rotate=90)
    render_rehearsal(spec(tmp_path, clip=tmp_path / "r.mp4", max_edge=101), tmp_path / "out.mp4")
    facts = prober.probe(tmp_path / "out.mp4", "clip")
    assert isinstance(facts, ClipFacts)
    assert (facts.width, facts.height) == (76, 100)


def test_inputs_that_cannot_be_rendered_leave_nothing_and_the_worker_lives_on(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"#EXTM3U\n")

    async def work() -> None:
        pool = RehearsalPool(1)
        with pytest.raises(WorkError):
            await pool.render(spec(tmp_path, clip=tmp_path / "bad.mp4"), tmp_path / "out" / "a.mp4")
        (tmp_path / "out").mkdir()
        with pytest.raises(WorkError):
            await pool.render(spec(tmp_path, start=Decimal(5)), tmp_path / "out" / "a.mp4")
        assert list((tmp_path / "out").iterdir()) == []
        await pool.render(spec(tmp_path), tmp_path / "out" / "a.mp4")
        await pool.close()

    asyncio.run(work())
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.mp4"]


def test_cancelling_kills_the_worker_and_leaves_nothing(tmp_path: Path) -> None:
    makers.clip(tmp_path / "long.mp4", 20, sound=False)

    async def work() -> None:
        pool = RehearsalPool(1)
        task = asyncio.create_task(pool.render(spec(tmp_path, clip=tmp_path / "long.mp4"), tmp_path / "a.mp4"))
        await asyncio.to_thread(wait_for, tmp_path / "a.mp4.part")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(WorkError, match="longer than 0"):
            await pool.render(spec(tmp_path), tmp_path / "a.mp4", timeout_s=0.01)
        await pool.close()

    asyncio.run(work())
    assert not list(tmp_path.glob("a.mp4*"))


def test_the_rehearsal_says_that_it_is_one(tmp_path: Path) -> None:
    render_rehearsal(spec(tmp_path), tmp_path / "out.mp4")
    frames, _ = makers.play(tmp_path / "out.mp4")
    yellow = np.abs(frames[0].astype(int) - [255, 196, 61]).max(axis=2) < 40
    assert yellow[:24, :130].sum() > 300


def test_a_worker_ends_with_its_parent(tmp_path: Path) -> None:
    from kling_render.media import limits

    child = subprocess.Popen(
        limits.command("kling_render.media.work_child"), stdin=subprocess.PIPE, env=limits.environment()
    )
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(20) == 0
