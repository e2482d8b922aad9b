"""Claim: what is wrong with a film is told with its times, and a film that does what its clip does is left in peace."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from kling_render.media.look import Look, from_json, to_json, without
from kling_render.media.measure import measure
from kling_render.media.probe import Prober
from kling_render.media.study import Studies
from kling_render.media.verdict import Wanted, needs_clip, warnings_of
from tests.media.films import Part, film

MOVES: list[Part] = [("moving", 4)]


def judged(
    tmp_path: Path,
    result: list[Part],
    clip: list[Part] | None,
    *,
    expected_s: float | None = None,
    start_s: float = 0,
    sounds: tuple[str, str] = ("none", "none"),
    keep_audio: bool = True,
) -> list[str]:
    look = measure(film(tmp_path / "result.mp4", result, sound=sounds[0]))  # type: ignore[arg-type]
    seen = None
    if clip is not None:
        seen = measure(film(tmp_path / "clip.mp4", clip, sound=sounds[1]), calm=True)  # type: ignore[arg-type]
    wanted = Wanted(expected_s=expected_s, start_s=start_s, keep_audio=keep_audio, clip_has_audio=sounds[1] != "none")
    return warnings_of(look, seen, seen and seen.sound, wanted)


def test_a_film_that_moves_to_its_end_is_left_in_peace(tmp_path: Path) -> None:
    """Nothing is said, and nobody needs to look at the clip."""
    assert judged(tmp_path, MOVES, MOVES, expected_s=4) == []
    look = measure(tmp_path / "result.mp4")
    assert (look.black, look.still, look.damaged_s, look.duration_s, look.decoded_s) == ((), (), None, 4.0, 4.0)
    assert needs_clip(look, Wanted(expected_s=4, start_s=0, keep_audio=True, clip_has_audio=False)) == "no"


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ([("still", 4)], "frozen from beginning to end"),
        ([("moving", 2), ("still", 2)], "frozen at 2.0–4.0 s"),
        ([("moving", 1), ("still", 2), ("moving", 1)], "frozen at 1.0–3.0 s"),
        ([("black", 4)], "black from beginning to end"),
        ([("moving", 3), ("black", 1)], "black at 3.0–4.0 s"),
        ([("black", 1), ("moving", 3)], "black at 0.0–1.0 s"),
    ],
)
def test_black_and_frozen_parts_are_told_with_their_times(result: list[Part], said: str, tmp_path: Path) -> None:
    """Each within a quarter second; a black picture is not called frozen as well."""
    (text,) = judged(tmp_path, result, MOVES)
    assert _rough(text) == _rough(said)


def _rough(text: str) -> list[object]:
    """Words as they are, times to the half second."""
    words = text.replace("–", " ").split()
    return [round(float(word) * 2) / 2 if word[0].isdigit() else word for word in words]


@pytest.mark.parametrize("kind", ["still", "noisy", "breathing"])
def test_a_pose_that_the_clip_holds_too_is_not_called_frozen(kind: str, tmp_path: Path) -> None:
    """A camera's picture of somebody who stands still is never quite the same: noise and breath count as calm."""
    assert judged(tmp_path, [("moving", 1), ("still", 3)], [("moving", 1), (kind, 3)]) == []  # type: ignore[list-item]


def test_a_pose_is_looked_for_where_the_trim_put_it(tmp_path: Path) -> None:
    """The times of the clip are those before the trim."""
    clip: list[Part] = [("moving", 3), ("noisy", 3)]
    assert judged(tmp_path, [("moving", 1), ("still", 3)], clip, start_s=2) == []
    assert judged(tmp_path, [("still", 2), ("moving", 2)], clip, start_s=0) == ["frozen at 0.0–2.0 s"]


def test_short_holds_are_no_fault(tmp_path: Path) -> None:
    """A second without movement, or a black blink, happens."""
    result: list[Part] = [("moving", 2), ("still", 1), ("black", 0.3), ("moving", 2)]
    assert judged(tmp_path, result, MOVES) == []


def test_without_the_clip_only_a_film_that_stands_still_throughout_is_called_frozen(tmp_path: Path) -> None:
    """A part of it may be the clip's own pose: nobody can tell."""
    assert judged(tmp_path, [("moving", 2), ("still", 2)], None) == []
    assert judged(tmp_path, [("still", 3)], None) == ["frozen from beginning to end"]


def test_a_shorter_film_says_by_how_much(tmp_path: Path) -> None:
    """A quarter second is unsaid."""
    assert judged(tmp_path, MOVES, MOVES, expected_s=5.5) == ["1.5 s shorter than its clip"]
    assert judged(tmp_path, MOVES, MOVES, expected_s=4.2) == []


@pytest.mark.parametrize(
    ("result", "clip", "keep", "said"),
    [
        ("none", "sound", True, ["no sound, although its clip has some"]),
        ("silent", "sound", True, ["silent, although its clip is not"]),
        ("silent", "silent", True, []),
        ("none", "silent", True, []),
        ("none", "none", True, []),
        ("none", "sound", False, []),
        ("sound", "sound", True, []),
    ],
)
def test_sound_is_missed_only_where_the_clip_has_some(
    result: str, clip: str, keep: bool, said: list[str], tmp_path: Path
) -> None:
    """And only where it was asked for."""
    assert judged(tmp_path, MOVES, MOVES, sounds=(result, clip), keep_audio=keep) == said


def test_damage_in_the_middle_is_a_warning_with_its_time(tmp_path: Path, prober: Prober) -> None:
    """The end decodes, so the film is believed; what cannot be seen is said."""
    path = film(tmp_path / "a.mp4", [("moving", 4)])
    with av.open(str(path)) as container:
        packets = [(p.pos or 0, p.size) for p in container.demux(video=0) if p.size]
    at, size = packets[30]  # of 80 at 20 a second
    data = bytearray(path.read_bytes())
    data[at : at + size] = bytes(size)
    path.write_bytes(data)
    check = prober.verify_result(path, 4.0)
    assert check.ok
    assert check.look is not None
    (text,) = warnings_of(
        check.look, None, None, Wanted(expected_s=4, start_s=0, keep_audio=False, clip_has_audio=False)
    )
    assert text.startswith("damaged at 1.")


def test_a_small_film_is_watched_when_it_arrives_and_a_large_one_is_not(tmp_path: Path, prober: Prober) -> None:
    """The large one would hold the run up."""
    small = prober.verify_result(film(tmp_path / "a.mp4", [("moving", 1)]), 1.0)
    assert small.look == measure(tmp_path / "a.mp4")
    large = prober.verify_result(film(tmp_path / "b.mp4", [("moving", 1)], size=(1920, 1088)), 1.0)
    assert (large.ok, large.look) == (True, None)


def test_looks_come_back_from_a_child_and_from_a_cache_as_they_were(tmp_path: Path) -> None:
    """JSON keeps every field."""
    path = film(tmp_path / "a.mp4", [("moving", 1), ("still", 2)], sound="sound")
    look = measure(path)
    assert from_json(to_json(look)) == look
    with Studies() as studies:
        assert studies.look(path) == look
        assert studies.sound(path) == "sound"


@pytest.mark.parametrize("data", [{}, {"duration_s": 1}, {"black": 3, "still": [], "calm": []}])
def test_a_foreign_look_is_refused(data: dict[str, object]) -> None:
    """A cache may hold anything."""
    with pytest.raises(ValueError, match="not a look"):
        from_json(data)


def test_a_file_that_is_no_film_has_no_look(tmp_path: Path) -> None:
    """Nothing is said of it, and the next one is looked at all the same."""
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0nonsense")
    with Studies() as studies:
        assert studies.look(tmp_path / "a.mp4") is None
        assert studies.sound(tmp_path / "a.mp4") is None
        assert isinstance(studies.look(film(tmp_path / "b.mp4", [("moving", 1)])), Look)


def test_taking_stretches_away_leaves_what_lies_beside_them() -> None:
    """With a margin on both sides."""
    assert without([(0, 10)], [(2, 3), (5, 6)], 0.5) == [(0, 1.5), (3.5, 4.5), (6.5, 10)]
    assert without([(1, 2)], [(0, 3)]) == []
    assert without([(1, 2)], []) == [(1, 2)]
