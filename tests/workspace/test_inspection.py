"""Claim: inputs that were looked at once are neither opened nor decoded again."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kling_render.disk.project_files import DiskFiles
from kling_render.errors import Place
from kling_render.models import DEFAULT_MODEL
from kling_render.shotlist.reader import read
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


def test_reading_a_shot_list_opens_none_of_its_media(tmp_path: Path) -> None:
    """Only a file as small as a Git LFS pointer is looked into."""
    makers.picture(tmp_path / "fox.png", (540, 600))
    makers.clip(tmp_path / "wave.mp4", 1.0)
    (tmp_path / "owl.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    listed = tmp_path / "shotlist.yaml"
    listed.write_text(
        "version: 1\ncharacters: {fox: fox.png, owl: owl.png}\nmotions: {wave: wave.mp4}\nshots: [{id: sc010}]\n"
    )
    with watched() as seen:
        _, found = read(listed, files=DiskFiles(), shown=str)
    assert [d.code for d in found] == ["KR0212"]
    assert [Path(name).name for event, name in seen if name.endswith((".png", ".mp4"))] == ["owl.png"]


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


def request(image: InputRef, video: InputRef) -> Request:
    return Request(
        model=DEFAULT_MODEL, image=image, video=video, start=None, end=None, prompt="",
        orientation="image", keep_audio=True, params=(), take=1,
    )  # fmt: skip


def ref(path: Path, line: int = 1, url: str | None = None) -> InputRef:
    return InputRef(shown=url or path.name, path=None if url else path, url=url, place=Place("shotlist.yaml", line, 1))


def test_one_broken_file_of_a_glob_refuses_its_own_jobs_only(tmp_path: Path) -> None:
    """All files of a glob share the place where it stands."""
    good, bad = makers.picture(tmp_path / "fox.png", (540, 600)), tmp_path / "owl.png"
    bad.write_bytes(b"GIF89a" + bytes(40))
    clip = ref(makers.clip(tmp_path / "wave.mp4", 3.0, fps=4, size=(340, 340)), 2)
    asked = [request(ref(good), clip), request(ref(bad), clip)]
    with Store.open(tmp_path / "store") as store:
        found = look(store, tmp_path, asked, [])
    assert [[d.code for d in found.refused(one)] for one in asked] == [[], ["KR0206"]]


class Meanwhile:
    """Digests of a folder in which something happens right after all have been read."""

    def __init__(self, store: Store, folder: Path, happens: Callable[[], object]) -> None:
        self._digests = store.digests(folder)
        self._happens = happens

    def sha256(self, path: Path) -> str:
        return self._digests.sha256(path)

    def sha256_many(
        self, paths: Iterable[Path], progress: Callable[[int, int], None] | None = None
    ) -> Mapping[Path, str | OSError]:
        found = self._digests.sha256_many(paths, progress)
        self._happens()
        return found


def test_a_file_that_changes_while_it_is_looked_at_is_refused_and_nothing_of_it_remembered(tmp_path: Path) -> None:
    """What the new bytes show would else be believed of the old ones."""
    image = makers.picture(tmp_path / "fox.png", (540, 600))
    before = image.read_bytes()
    asked = [request(ref(image), ref(makers.clip(tmp_path / "wave.mp4", 3.0, fps=4, size=(340, 340), sound=False), 2))]
    with Store.open(tmp_path / "store") as store:
        late = Meanwhile(store, tmp_path, lambda: makers.picture(image, (20, 20)))
        found = inspect(asked, digests=late, cache=store.cache, fetch=lambda _refs, _problems: {})
        assert [d.message for d in found.diagnostics] == ["fox.png: the image changed while it was looked at"]
        image.write_bytes(before)
        assert look(store, tmp_path, asked, []).diagnostics == ()


def test_a_file_that_cannot_be_read_is_one_error_and_not_remembered(tmp_path: Path) -> None:
    """It vanished after the shot list was read; another one that vanishes has a message of its own."""
    image = makers.picture(tmp_path / "fox.png", (540, 600))
    clip = ref(makers.clip(tmp_path / "wave.mp4", 3.0, fps=4, size=(340, 340)), 2)
    gone = ref(tmp_path / "gone.png")
    with Store.open(tmp_path / "store") as store:
        found = look(store, tmp_path, [request(gone, clip)], [])
        assert [(d.code, d.message) for d in found.diagnostics] == [
            ("KR0201", "gone.png: cannot be read: No such file or directory")
        ]
        assert [d.code for d in found.refused(request(gone, clip))] == ["KR0201"]
        assert look(store, tmp_path, [request(ref(image), clip)], []).diagnostics == ()


def test_the_correcting_command_is_named_where_it_can_correct_and_only_there(tmp_path: Path) -> None:
    """A copy stands beside the original: of a remote input there is none."""
    clip = makers.clip(tmp_path / "wave.mp4", 12.0, fps=2, size=(340, 340))
    image = tmp_path / "fox.gif"
    image.write_bytes(b"GIF89a" + bytes(40))
    here = request(ref(image), ref(clip, 2))
    away = request(ref(image, 1, "https://example.com/fox.gif"), ref(clip, 2, "https://example.com/wave.mp4"))
    with Store.open(tmp_path / "store") as store:
        local = look(store, tmp_path, [here], [])
        fetched = {away.image: image, away.video: clip}
        remote = inspect([away], digests=store.digests(tmp_path), cache=store.cache, fetch=lambda _r, _p: fetched)
    assert [(d.code, "kling-render fix" in d.help) for d in local.diagnostics] == [("KR0206", True), ("KR0209", True)]
    assert [(d.code, "kling-render fix" in d.help) for d in remote.diagnostics] == [
        ("KR0206", False),
        ("KR0209", False),
    ]
