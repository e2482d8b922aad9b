"""The body's reader, the clip's measure and the world without a wire."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_render.sandbox.body import BodyReader, Malformed
from kling_render.sandbox.config import WorldSettings
from kling_render.sandbox.mp4 import clip_seconds
from kling_render.sandbox.polling import poll
from kling_render.sandbox.records import Answer, Call, Upload
from kling_render.sandbox.spool import MediaSink, Spool
from kling_render.sandbox.submitting import submit
from kling_render.sandbox.world import World

_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.lists(st.text()),
)


def read(body: bytes, sizes: list[int]) -> dict[str, Any]:
    reader = BodyReader(lambda field: None)
    position = 0
    for size in [*sizes, len(body)]:
        reader.feed(body[position : position + size])
        position += size
    return reader.close()


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(st.text(), _VALUES, max_size=5), st.lists(st.integers(1, 9), max_size=40), st.booleans())
def test_a_body_in_any_pieces_reads_as_json_does(value: dict[str, Any], sizes: list[int], ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert read(body, sizes) == value


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=40).map(lambda tail: b'{"a": "b", ' + tail), st.lists(st.integers(1, 9), max_size=20))
def test_a_damaged_body_is_malformed_or_equals_what_json_reads(body: bytes, sizes: list[int]) -> None:
    try:
        got = read(body, sizes)
    except Malformed:
        return
    assert got == json.loads(body)


@pytest.mark.parametrize("step", [1, 3, 4, 7, 1000])
def test_an_inline_image_is_decoded_and_hashed_in_any_pieces(tmp_path: Path, step: int) -> None:
    import hashlib

    data = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 5
    text = ("data:image/png;base64," + base64.b64encode(data).decode()).replace("/", "\\/").encode()
    spool = Spool(tmp_path)
    reader = BodyReader(lambda field: MediaSink(spool, is_video=False))
    body = b'{"image_url":"' + text + b'"}'
    for at in range(0, len(body), step):
        reader.feed(body[at : at + step])
    upload = reader.close()["image_url"]
    sha256 = hashlib.sha256(data).hexdigest()
    assert upload == Upload(mime="image/png", sha256=sha256, size=len(data), is_image=True)
    assert spool.path(sha256).read_bytes() == data


@pytest.mark.parametrize("text", ["AAAA=AAA", "AAA", "AA==AAAA", "AA\\nAA", "A-_A"])
def test_damaged_base64_is_a_problem_not_an_upload(tmp_path: Path, text: str) -> None:
    reader = BodyReader(lambda field: MediaSink(Spool(tmp_path), is_video=False))
    reader.feed(b'{"image_url":"data:image/png;base64,' + text.encode() + b'"}')
    assert reader.close()["image_url"].problem
    assert list(tmp_path.iterdir()) == []


def test_a_clip_is_measured_by_its_video_track(tmp_path: Path, clip: bytes) -> None:
    path = tmp_path / "clip"
    path.write_bytes(clip)
    assert clip_seconds(path) == Fraction(4)


@pytest.mark.parametrize("keep", [0, 4, 20, 500])
def test_a_clip_cut_short_has_no_length_and_never_hangs(tmp_path: Path, clip: bytes, keep: int) -> None:
    path = tmp_path / "clip"
    path.write_bytes(clip[:keep])
    assert clip_seconds(path) is None


@pytest.mark.parametrize("at", range(0, 60, 3))
def test_a_damaged_clip_is_measured_or_not_but_never_breaks(tmp_path: Path, clip: bytes, at: int) -> None:
    moov = clip.index(b"moov") - 4
    path = tmp_path / "clip"
    path.write_bytes(clip[: moov + at] + b"\xff\x00" + clip[moov + at + 2 :])
    seconds = clip_seconds(path)
    assert seconds is None or seconds > 0


def body_of(answer: Answer) -> Mapping[str, Any]:
    assert isinstance(answer.body, Mapping)
    return answer.body


def test_the_world_runs_on_any_clock_without_a_wire() -> None:
    world = World(WorldSettings(generation_seconds=600, queued_seconds=60), seed=1)
    image = Upload(mime="image/png", sha256="a" * 64, size=1, is_image=True)
    video = Upload(mime="video/mp4", sha256="b" * 64, size=1, duration=Fraction(5))
    fields = {"model": "klingai/video-v2-6-pro-motion-control", "image_url": image, "video_url": video}
    generation_id = body_of(submit(world, Call(now=1000.0, path="/", key="k"), fields))["id"]
    query = (("generation_id", generation_id),)
    seen = [
        body_of(poll(world, Call(now=now, path="/", key="k", query=query)))["status"]
        for now in (1001.0, 1061.0, 1600.0)
    ]
    assert seen == ["queued", "generating", "completed"]
    assert [m.credits for m in world.movements if m.type == "MODEL_USAGE"] == [1_120_000]


def test_the_same_seed_gives_the_same_ids() -> None:
    ids = [[World(WorldSettings(), seed=seed).new_id() for _ in range(1)] for seed in (1, 1, 2)]
    assert ids[0] == ids[1] != ids[2]
