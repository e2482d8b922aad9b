"""Claim: inputs that were looked at once are neither opened nor decoded again."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kling_render.errors import Place
from kling_render.models import DEFAULT_MODEL
from kling_render.shotlist.records import InputRef, Request
from kling_render.store.opening import Store
from kling_render.workspace.inputs.inspect import Inspection, inspect
from tests.media import makers, odd_makers

_WATCHED: list[list[tuple[str, str]]] = []


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if _WATCHED and event in ("subprocess.Popen", "open"):
        _WATCHED[-1].append((event, os.fspath(arguments[0]) if isinstance(arguments[0], str | Path) else ""))


sys.addaudithook(_hook)


@contextmanager
def watched() -> Iterator[list[tuple[str, str]]]:
    """Every file that this process opens and every child that it starts."""
    seen: list[tuple[str, str]] = []
    _WATCHED.append(seen)
    try:
        yield seen
    finally:
        _WATCHED.pop()


def project(folder: Path, pictures: int, clips: int) -> list[Request]:
    """Requests that use so many files, each of its own content."""
    photo = makers.picture(folder / "photo", (320, 400), "JPEG").read_bytes()
    clip = makers.clip(folder / "clip", 3.0, fps=4, size=(340, 340), sound=False).read_bytes()
    refs = []
    for number in range(pictures + clips):
        note = f"{number:06}".encode()
        if number < pictures:
            data = photo[:2] + b"\xff\xfe" + struct.pack(">H", len(note) + 2) + note + photo[2:]
        else:
            data = clip + struct.pack(">I4s", 8 + len(note), b"free") + note
        path = folder / f"{number}.bin"
        path.write_bytes(data)
        refs.append(InputRef(shown=path.name, path=path, place=Place("shotlist.yaml", number + 1, 1)))
    images, videos = refs[:pictures], refs[pictures:]
    return [
        Request(
            model=DEFAULT_MODEL, image=image, video=videos[number % clips], start=None, end=None, prompt="",
            orientation="image", keep_audio=True, params=(), take=1,
        )
        for number, image in enumerate(images)
    ]  # fmt: skip


def look(store: Store, folder: Path, requests: list[Request], told: list[tuple[str, int, int]]) -> Inspection:
    digests = store.digests(folder)
    found = inspect(
        requests, digests=digests, cache=store.cache, fetch=lambda _refs, _problems: {},
        progress=lambda *said: told.append(said),
    )  # fmt: skip
    digests.save()
    store.cache.save()
    return found


def test_a_thousand_inputs_looked_at_before_start_no_child_and_open_no_file(tmp_path: Path) -> None:
    """Cold: in parallel, with progress. Warm: a stat each."""
    folder = tmp_path / "project"
    folder.mkdir()
    requests = project(folder, 900, 100)
    cold: list[tuple[str, int, int]] = []
    with Store.open(tmp_path / "store") as store:
        first = look(store, folder, requests, cold)
    assert len(first.facts) == 1000
    assert first.broken == frozenset()
    assert cold.count(("looking at media", 1000, 1000)) == 1
    assert len([said for said in cold if said[0] == "looking at media"]) == 1000
    warm: list[tuple[str, int, int]] = []
    with Store.open(tmp_path / "store") as store, watched() as seen:
        again = look(store, folder, requests, warm)
    assert again.facts == first.facts
    assert [name for event, name in seen if event == "subprocess.Popen"] == []
    assert [name for event, name in seen if name.endswith(".bin")] == []
    assert not [said for said in warm if said[0] == "looking at media"]


def test_a_changed_input_alone_is_opened_again(tmp_path: Path) -> None:
    """One child for one file."""
    folder = tmp_path / "project"
    folder.mkdir()
    requests = project(folder, 5, 1)
    with Store.open(tmp_path / "store") as store:
        look(store, folder, requests, [])
        makers.picture(folder / "3.bin", (333, 444))
        told: list[tuple[str, int, int]] = []
        with watched() as seen:
            found = look(store, folder, requests, told)
    assert [event for event, _ in seen if event == "subprocess.Popen"] == ["subprocess.Popen"]
    assert [said for said in told if said[0] == "looking at media"] == [("looking at media", 1, 1)]
    (changed,) = [facts for ref, facts in found.facts.items() if ref.shown == "3.bin"]
    assert getattr(changed, "width", None) == 333


def test_warnings_about_a_place_or_a_codec_can_be_allowed_beside_the_file(tmp_path: Path) -> None:
    """By file; errors cannot be allowed away."""
    photo = odd_makers.gps(tmp_path / "a.jpg", size=(500, 200))
    clip = odd_makers.see_through(tmp_path / "a.mov")
    for allow, codes in (
        ((), ["KR0214", "KR0228", "KR0229"]),
        (("location", "codec"), ["KR0214"]),
    ):
        image, video = (
            InputRef(shown=path.name, path=path, allow=allow, place=Place("shotlist.yaml", line, 1))
            for line, path in enumerate((photo, clip), 1)
        )
        asked = Request(
            model=DEFAULT_MODEL, image=image, video=video, start=None, end=None, prompt="",
            orientation="image", keep_audio=True, params=(), take=1,
        )  # fmt: skip
        with Store.open(tmp_path / "store") as store:
            found = look(store, tmp_path, [asked], [])
        assert sorted(d.code for d in found.diagnostics) == codes
        assert [d.code for d in found.refused(asked)] == ["KR0214"]
