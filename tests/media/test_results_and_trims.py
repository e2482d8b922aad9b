"""Claim: a download is accepted only when it is whole, and a trimmed copy is exactly its window."""

from __future__ import annotations

import random
import sys
from decimal import Decimal
from pathlib import Path

import av
import numpy as np
import pytest

from kling_render.media.facts import ClipFacts
from kling_render.media.probe import Prober, verify_result
from kling_render.media.trim import trim
from kling_render.media.work import WorkError
from kling_render.sandbox.canned import make
from tests.media import makers


def test_a_whole_video_passes_with_its_length_and_sound(tmp_path: Path) -> None:
    check = verify_result(makers.clip(tmp_path / "a.mp4", 1.0), 1.0)
    assert (check.ok, check.problem, check.duration_s, check.has_audio) == (True, "", Decimal(1), True)
    assert check.shorter_by_s == 0


def test_a_shorter_result_passes_and_says_by_how_much(tmp_path: Path, prober: Prober) -> None:
    check = prober.verify_result(makers.clip(tmp_path / "a.mp4", 1.0, sound=False), 2.5)
    assert check.ok
    assert check.shorter_by_s == Decimal("1.5")
    assert check.has_audio is False


def test_every_cut_of_a_result_fails(tmp_path: Path, prober: Prober) -> None:
    whole = makers.clip(tmp_path / "a.mp4", 0.5).read_bytes()
    cut = tmp_path / "cut.mp4"
    for size in (0, 4, 20, 100, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:size])
        check = prober.verify_result(cut, 0.5)
        assert not check.ok
        assert check.problem


@pytest.mark.parametrize("body", [b"<html>busy</html>", b'{"message":"no"}', b"", b"\0\0\0\x10ftypisom\0\0\0\0"])
def test_an_error_page_is_not_a_video(body: bytes, tmp_path: Path, prober: Prober) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(body)
    assert not prober.verify_result(path, None).ok


def test_zeroes_in_place_of_the_frames_fail(tmp_path: Path, prober: Prober) -> None:
    whole = bytearray(makers.clip(tmp_path / "a.mp4", 1.0, sound=False).read_bytes())
    at = whole.index(b"mdat") + 4
    end = whole.index(b"moov") - 4 if whole.index(b"moov") > at else len(whole)
    whole[at:end] = bytes(end - at)
    (tmp_path / "a.mp4").write_bytes(whole)
    assert not prober.verify_result(tmp_path / "a.mp4", 1.0).ok


@pytest.mark.parametrize("damage", ["zeroes", "noise", "length"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_damage_inside_the_last_group_of_frames_fails(
    damage: str, share: float, tmp_path: Path, prober: Prober
) -> None:
    """A key frame that decodes says nothing about the frames after it: every one of them is decoded."""
    path = makers.clip(tmp_path / "a.mp4", 2.0, sound=False)
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size, p.is_keyframe) for p in container.demux(video=0) if p.size]
    last_key = max(number for number, (_, _, key) in enumerate(packets) if key)
    group = packets[last_key + 1 :]
    at, size, _ = group[int(len(group) * share)]
    whole = bytearray(path.read_bytes())
    bad = {"zeroes": bytes(size), "noise": random.Random(1).randbytes(size), "length": b"\xff\xff\xff\xff"}[damage]
    whole[at : at + len(bad)] = bad
    path.write_bytes(whole)
    assert not prober.verify_result(path, 2.0).ok


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_damage_in_a_film_with_a_single_key_frame_fails(share: float, tmp_path: Path, prober: Prober) -> None:
    """Its first group of frames is its last one: it is decoded once, to the end."""
    path = tmp_path / "a.mp4"
    make(path, 3.0)
    assert prober.verify_result(path, 3.0).ok
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size, p.is_keyframe) for p in container.demux(video=0) if p.size]
    assert sum(key for _, _, key in packets) == 1
    at, size, _ = packets[int(len(packets) * share)]
    whole = bytearray(path.read_bytes())
    whole[at : at + size] = bytes(size)
    path.write_bytes(whole)
    assert not prober.verify_result(path, 3.0).ok


def test_a_film_of_one_frame_is_whole(tmp_path: Path, prober: Prober) -> None:
    """Nothing comes after its first frame."""
    make(tmp_path / "a.mp4", 0.01)
    assert prober.verify_result(tmp_path / "a.mp4", None).ok


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [("0.5", "1.5", "1"), (None, "0.75", "0.75"), ("1.25", None, "0.75"), ("0.51", "1.53", "1.02")],
)
def test_a_trim_lasts_exactly_as_long_as_its_window(
    start: str | None, end: str | None, seconds: str, tmp_path: Path, prober: Prober
) -> None:
    source = makers.clip(tmp_path / "a.mp4", 2.0, fps=24)
    target = tmp_path / "b.mp4"
    trim(source, target, start and Decimal(start), end and Decimal(end))  # type: ignore[arg-type]
    facts = prober.probe(target, "clip")
    assert isinstance(facts, ClipFacts)
    assert abs(facts.duration_s - Decimal(seconds)) <= Decimal("0.0001")
    assert facts.has_audio
    assert facts.codec == "h264"
    assert not target.with_name("b.mp4.part").exists()


def test_a_trim_shows_the_frames_of_its_window(tmp_path: Path) -> None:
    source = makers.clip(tmp_path / "a.mp4", 2.0, fps=20)
    trim(source, tmp_path / "b.mp4", Decimal("0.5"), Decimal("1.5"))
    all_frames, _ = makers.play(source)
    frames, _ = makers.play(tmp_path / "b.mp4")
    assert len(frames) == 20
    for mine, theirs in zip(frames, all_frames[10:30], strict=True):
        assert np.abs(mine.astype(int) - theirs).mean() < 3


def test_a_trim_stands_upright_and_can_drop_the_sound(tmp_path: Path, prober: Prober) -> None:
    source = makers.clip(tmp_path / "a.mov", 1.0, rotate=270, container="mov")
    trim(source, tmp_path / "b.mp4", None, Decimal("0.5"), keep_audio=False)
    facts = prober.probe(tmp_path / "b.mp4", "clip")
    assert isinstance(facts, ClipFacts)
    assert (facts.width, facts.height, facts.rotation, facts.has_audio) == (120, 160, 0, False)
    # The stored block walks to the right; turned clockwise by 90 degrees it walks down.
    frames, _ = makers.play(tmp_path / "b.mp4")
    rows = [float(np.average(np.arange(160), weights=f.mean(axis=(1, 2)) - 39.0)) for f in (frames[0], frames[-1])]
    assert rows[1] > rows[0] + 20


def test_the_same_trim_gives_the_same_bytes(tmp_path: Path) -> None:
    source = makers.clip(tmp_path / "a.mp4", 1.0)
    for name in ("b.mp4", "c.mp4"):
        trim(source, tmp_path / name, Decimal("0.2"), Decimal("0.8"))
    assert (tmp_path / "b.mp4").read_bytes() == (tmp_path / "c.mp4").read_bytes()


def test_a_trim_of_nothing_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    source = makers.clip(tmp_path / "a.mp4", 1.0)
    with pytest.raises(WorkError, match="nothing lies between"):
        trim(source, tmp_path / "b.mp4", Decimal(5), Decimal(6))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4"]


@pytest.mark.parametrize("what", ["last group", "sound only", "no codec"])
def test_a_damaged_file_that_is_all_there_is_told_from_a_download_cut_off(
    what: str, tmp_path: Path, prober: Prober
) -> None:
    """Only what is all there can have been made like that."""
    path = makers.clip(tmp_path / "a.mp4", 1.0, sound=False)
    if what == "last group":
        whole = path.read_bytes()
        at = whole.index(b"mdat") + 4
        path.write_bytes(whole[:at] + bytes(whole.index(b"moov") - 4 - at) + whole[whole.index(b"moov") - 4 :])
    elif what == "sound only":
        path = makers.sound_only(tmp_path / "b.mp4")
    else:
        path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    check = prober.verify_result(path, 1.0)
    assert (check.ok, check.complete) == (False, True), check.problem
    path.write_bytes(path.read_bytes()[:-1])
    check = prober.verify_result(path, 1.0)
    assert (check.ok, check.complete) == (False, False), check.problem


@pytest.mark.parametrize(("does", "problem"), [("time.sleep(60)", "longer than"), ("sys.exit(1)", "gave up")])
def test_a_file_that_no_decoder_copes_with_may_be_complete_all_the_same(
    does: str, problem: str, tmp_path: Path
) -> None:
    """It is asked for its boxes alone, in a fresh child; nothing is decoded for that."""
    program = tmp_path / "child.py"
    program.write_text(
        "import json, sys, time\n"
        "from kling_render.media.probe_child import answer\n"
        "for line in sys.stdin:\n"
        "    request = json.loads(line)\n"
        "    if request['do'] == 'verify':\n"
        f"        {does}\n"
        "    print(json.dumps(answer(request)), flush=True)\n"
    )
    path = makers.clip(tmp_path / "a.mp4", 0.5, sound=False)
    with Prober(1, result_wall_s=2.0, command=[sys.executable, str(program)]) as unreliable:
        check = unreliable.verify_result(path, 0.5)
        assert problem in check.problem
        assert (check.ok, check.complete) == (False, True)
        path.write_bytes(path.read_bytes()[:-1])
        assert not unreliable.verify_result(path, 0.5).complete
