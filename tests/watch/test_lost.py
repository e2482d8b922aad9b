"""Announcements that never come, limits of the system, and what a watch leaves behind."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import pytest

from kling_render.watch.batches import InputWatch
from kling_render.watch.observer import LimitReached, Seen
from kling_render.watch.polling import Snapshot
from kling_render.watch.scope import Scope
from kling_render.watch.settle import What
from kling_render.watch.stamps import MISSING, names_in, stamp
from tests.watch.desk import Desk

LINUX = sys.platform.startswith("linux")


class Deaf:
    """A system that announces nothing."""

    def __init__(self, seen: Seen, lost: Callable[[], None]) -> None:
        pass

    def arm(self, wanted: Mapping[str, bool], gone: Collection[str]) -> list[str]:
        return []

    def alive(self) -> bool:
        return True

    def close(self) -> None:
        pass


class Full(Deaf):
    """A system whose watches are used up, from the start or by and by."""

    room = 1

    def arm(self, wanted: Mapping[str, bool], gone: Collection[str]) -> list[str]:
        if len(wanted) > self.room:
            raise LimitReached("inotify watch limit reached")
        return []


def no_observer(seen: Seen, lost: Callable[[], None]) -> Deaf:
    raise LimitReached("inotify instance limit reached")


def test_what_was_not_announced_is_found_by_looking(tmp_path: Path) -> None:
    """A change, a new and a missing file, and a folder that came with all in it."""
    desk = Desk(tmp_path, observe=Deaf)

    async def story(watch: InputWatch) -> None:
        desk.write("characters/fox.png", b"another one")
        desk.write("clips/more/new.mp4")
        (desk.folder / "clips/deep/b.mp4").unlink()
        assert await desk.calm(watch) >= {"characters/fox.png", "clips/more", "clips/deep/b.mp4"}
        assert desk.folder / "clips/more/new.mp4" in watch.watched.files

    desk.run(story, look_s=0.05)


def test_a_full_queue_makes_it_look_at_once(tmp_path: Path) -> None:
    """The system says so in the observer's log only. A write through another name is announced to nobody."""
    desk = Desk(tmp_path)
    os.link(desk.folder / "characters/fox.png", desk.folder.parent / "other.png")

    async def story(watch: InputWatch) -> None:
        (desk.folder.parent / "other.png").write_bytes(b"through another name")
        assert await desk.nothing(watch)
        logging.getLogger("watchdog.observers.inotify_c").warning("queue overflowed")
        assert await desk.batch(watch) == {"characters/fox.png"}

    desk.run(story)


@pytest.mark.parametrize("observe", [Full, no_observer])
def test_without_watches_it_looks_instead(tmp_path: Path, observe: Callable[..., Deaf]) -> None:
    """And says so."""
    desk = Desk(tmp_path, observe=observe)

    async def story(watch: InputWatch) -> None:
        assert watch.watched.how == "polling"
        assert "limit reached" in watch.watched.warnings[0]
        assert "looking every 2 s instead" in watch.watched.warnings[0]
        if observe is Full:
            desk.write("shotlist.yaml", b"second")
            assert await desk.batch(watch) == {"shotlist.yaml"}

    desk.run(story)


@pytest.mark.skipif(not LINUX or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    """It is looked at all the same."""
    desk = Desk(tmp_path)
    (desk.folder / "clips/deep").chmod(0o300)

    async def story(watch: InputWatch) -> None:
        assert "cannot be watched" in watch.watched.warnings[0]
        await asyncio.sleep(0)

    try:
        desk.run(story)
    finally:
        (desk.folder / "clips/deep").chmod(0o700)


def handles() -> int:
    return len(os.listdir("/proc/self/fd")) if LINUX else 0


def test_scopes_that_change_all_the_time_leave_nothing_behind(tmp_path: Path) -> None:
    """No thread, no handle; and none when it is closed."""
    desk = Desk(tmp_path)
    threads, open_before = threading.active_count(), handles()

    async def story(watch: InputWatch) -> None:
        both: list[Scope] = []
        for globs, also in (("clips/**/*.mp4",), ()), ((), ("characters/owl.png", "a/b/c.png")):
            desk.globs, desk.also = globs, also
            both.append(desk.scope())
        watch.look_at(both[1])
        used = threading.active_count(), handles()
        for n in range(60):
            watch.look_at(both[n % 2])
        assert (threading.active_count(), handles()) == used
        await asyncio.sleep(0)

    desk.run(story)
    assert threading.active_count() <= threads
    assert handles() <= open_before


def test_many_folders_share_a_watch(tmp_path: Path) -> None:
    """A thread for each would be too many; what changes is noticed as before, and while they become many too."""
    desk = Desk(tmp_path)

    async def story(watch: InputWatch) -> None:
        few = threading.active_count()
        for n in range(60):
            desk.write(f"clips/s{n}/c.mp4")
        await desk.calm(watch)
        assert {desk.folder / f"clips/s{n}/c.mp4" for n in range(60)} <= set(watch.watched.files)
        assert threading.active_count() <= few + 2  # asyncio's own looks at files
        desk.write("clips/s17/c.mp4", b"second")
        assert await desk.batch(watch) == {"clips/s17/c.mp4"}
        desk.write("clips/s17/new/d.mp4")
        assert "clips/s17/new" in await desk.calm(watch)
        desk.write("clips/s17/new/d.mp4", b"second")
        assert await desk.batch(watch) == {"clips/s17/new/d.mp4"}
        desk.write("characters/owl.png")
        assert await desk.batch(watch) == {"characters/owl.png"}

    desk.run(story)


def test_closing_twice_and_before_anything_is_harmless(tmp_path: Path) -> None:
    """Whatever went wrong before."""

    async def story() -> None:
        watch = InputWatch(AsyncioClock(), settle_s=0.05, polling_s=None, ignored=lambda _path: False)
        watch.close()
        watch.look_at(Scope(frozenset({tmp_path / "x"})))
        watch.close()
        watch.close()

    before = threading.active_count()
    asyncio.run(story())
    assert threading.active_count() == before


class AsyncioClock:
    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def test_a_look_tells_each_difference_once(tmp_path: Path) -> None:
    """Also one that was accepted from elsewhere."""
    file, gone = tmp_path / "a.png", tmp_path / "b.png"
    for path in (file, gone):
        path.write_bytes(b"1")
    snapshot = Snapshot()
    snapshot.add_files({str(path): stamp(path) for path in (file, gone)})
    snapshot.add_folders({str(tmp_path): names_in(tmp_path)})

    def look() -> set[tuple[Path, What, bool]]:
        seen = snapshot.compare(lambda path: path.suffix == ".png", lambda: 0.0)
        return {(sight.path, sight.what, sight.entry) for sight in seen}

    assert look() == set()
    file.write_bytes(b"22")
    gone.unlink()
    (tmp_path / "c.png").write_bytes(b"3")
    (tmp_path / "c.txt").write_bytes(b"3")
    assert look() == {
        (file, What.CHANGED, False),
        (gone, What.GONE, False),
        (gone, What.GONE, True),
        (tmp_path / "c.png", What.CHANGED, True),
    }
    assert look() == set()
    (tmp_path / "c.png").unlink()
    file.write_bytes(b"333")
    snapshot.accept({tmp_path / "c.png": MISSING, file: stamp(file)})
    assert look() == set()
