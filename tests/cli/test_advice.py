"""Warnings about what clips and pictures show, as `check` and `plan` tell them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.golden_check import called
from tests.media.labelled import drawn
from tests.media.makers import picture

LIST = """version: 1
provider: {provider}
characters: {{fox: {{image: fox.png{fox}}}}}
motions:
  walk: {{video: walk.mp4{walk}}}
shots: [{{id: sc010}}]
"""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small picture and a clip of two takes."""
    folder = tmp_path_factory.mktemp("advice") / "film"
    folder.mkdir()
    picture(folder / "fox.png", (400, 420))
    drawn.cut(folder / "walk.mp4", 3.2, 1.2)
    return folder


def put(film: Path, provider: str = "aimlapi", fox: str = "", walk: str = "") -> None:
    (film / "shotlist.yaml").write_text(LIST.format(provider=provider, fox=fox, walk=walk), encoding="utf-8")


def warnings(film: Path) -> dict[str, dict[str, object]]:
    return {found["code"]: found for found in json.loads(called(film, "check", "--json").out)["warnings"]}


def test_a_warning_has_its_place_and_the_picture_that_shows_it(film: Path) -> None:
    """In JSON, with `-v` and as an annotation of a pull request."""
    put(film)
    found = warnings(film)
    assert set(found) == {"KR0220", "KR0224"}
    strip = str(found["KR0220"]["picture"])
    assert strip.startswith("/store/warnings/")
    assert strip.endswith("-cuts.png")
    assert (film.parent / strip[1:]).is_file()
    assert found["KR0224"]["picture"] is None
    assert f"  picture: {strip}\n" in called(film, "check", "-v").out
    assert "picture:" not in called(film, "check").out
    assert "::warning file=shotlist.yaml,line=5,col=17,title=KR0220::walk.mp4: 1 cut at 3.21 s" in called(
        film, "check", "--format", "github"
    ).out  # fmt: skip


def test_what_was_watched_is_not_decoded_again(film: Path) -> None:
    """Only where a strip was deleted the clip is opened, and the strip drawn, once more; and for another part of it."""
    put(film)
    strip = film.parent / str(warnings(film)["KR0220"]["picture"])[1:]
    drawn_at = strip.stat().st_mtime_ns
    warnings(film)
    assert strip.stat().st_mtime_ns == drawn_at
    strip.unlink()
    assert warnings(film)["KR0220"]["picture"] == "/" + strip.relative_to(film.parent).as_posix()
    assert strip.exists()
    put(film, walk=", start: 1.0")
    part = str(warnings(film)["KR0220"]["picture"])
    assert part.endswith("-1--cuts.png")


def test_strips_of_clips_that_are_gone_are_garbage_and_are_drawn_again_for_those_that_come_back(film: Path) -> None:
    """As long as the clip stands there, `gc` leaves its strip alone; a fresh one too."""
    put(film)
    strip = film.parent / str(warnings(film)["KR0220"]["picture"])[1:]
    for path in strip.parent.iterdir():
        os.utime(path, (1000.0, 1000.0))
    listed = {item["path"] for item in json.loads(called(film, "gc", "--json").out)["items"]}
    assert f"warnings/{strip.name}" not in listed
    clip = (film / "walk.mp4").rename(film / "elsewhere.mp4")
    moved = json.loads(called(film, "gc", "--json", "--yes").out)
    assert ("strip", f"warnings/{strip.name}") in {(item["kind"], item["path"]) for item in moved["items"]}
    assert not strip.exists()
    clip.rename(film / "walk.mp4")
    assert warnings(film)["KR0220"]["picture"]
    assert strip.exists()


def test_what_is_allowed_beside_a_file_is_not_said(film: Path) -> None:
    """Each file for itself."""
    put(film, fox=", allow: [size]")
    assert set(warnings(film)) == {"KR0220"}
    put(film, fox=", allow: [size]", walk=", allow: [cuts]")
    assert called(film, "check").out == "1 job, no errors\n"


def test_a_clip_of_which_all_is_allowed_is_not_watched(film: Path) -> None:
    """It would cost time to no end."""
    put(film, walk=", allow: [cuts, camera, speed, silence], start: 0.1")
    assert "KR0220" not in warnings(film)
    folder = film.parent / "store" / "warnings"
    before = set(folder.iterdir()) if folder.exists() else set()
    put(film, walk=", allow: [camera, speed, silence], start: 0.1")
    assert "KR0220" in warnings(film)
    assert set(folder.iterdir()) - before


def test_a_plan_counts_them_in_one_line(film: Path) -> None:
    """With `-v` it shows them."""
    put(film)
    said = called(film, "plan", "--offline").err
    assert said == "2 warnings about inputs (cuts 1, size 1); `kling-render check` shows them\n"
    assert "warning[KR0220]" in called(film, "plan", "--offline", "-v").err
    assert called(film, "plan", "--offline", "-q").err == ""


def test_rehearsals_cost_nothing_so_a_plan_of_them_says_nothing(film: Path) -> None:
    """`check` does: what is rehearsed is rendered one day."""
    put(film, provider="previz")
    assert called(film, "plan").err == ""
    assert set(warnings(film)) == {"KR0220", "KR0224"}


def test_allowing_a_warning_changes_no_request(film: Path) -> None:
    """Nothing is rendered again for it."""
    keys = []
    for fox, walk in (("", ""), (", allow: [size]", ", allow: [cuts, camera]")):
        put(film, fox=fox, walk=walk)
        document = json.loads(called(film, "plan", "--offline", "--json").out)
        keys.append([job["fingerprint"] for job in document["jobs"]])
    assert keys[0] == keys[1]


def test_a_clip_that_is_refused_is_not_watched(film: Path) -> None:
    """Errors come first; the picture is still looked at."""
    put(film, walk=", end: 1.0")
    found = json.loads(called(film, "check", "--json").out)
    assert [one["code"] for one in found["errors"]] == ["KR0209"]
    assert [one["code"] for one in found["warnings"]] == ["KR0224"]


def test_a_clip_that_cannot_be_decoded_is_told_each_time(film: Path) -> None:
    """Its index is whole, so no limit is broken; a file that was not copied to its end looks like that."""
    whole = (film / "walk.mp4").read_bytes()
    at = whole.index(b"mdat") + 64
    try:
        (film / "walk.mp4").write_bytes(whole[:at] + bytes(20_000) + whole[at + 20_000 :])
        put(film, fox=", allow: [size]")
        first, again = warnings(film), warnings(film)
        put(film, fox=", allow: [size]", walk=", allow: [cuts, camera, speed, silence]")
        assert warnings(film) == {}
    finally:
        (film / "walk.mp4").write_bytes(whole)
    assert first == again
    assert "cannot be watched to its end" in str(first["KR0204"]["message"])
