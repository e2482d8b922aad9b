"""Watching on the real file system, through the system's announcements and by polling."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from kling_render.watch.batches import InputWatch
from tests.watch.desk import SETTLE_S, Desk
from tests.watch.saves import COPIES, SAVES, performed

LINUX = sys.platform.startswith("linux")


@pytest.fixture(params=[None, 0.05], ids=["announced", "polled"])
def desk(tmp_path: Path, request: pytest.FixtureRequest) -> Desk:
    return Desk(tmp_path, polling_s=request.param)


@pytest.fixture
def announced(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_plain_save(desk: Desk) -> None:
    """The file is named, and the change was told before the batch."""

    async def story(watch: InputWatch) -> None:
        path = desk.write("characters/fox.png", b"second")
        assert await desk.batch(watch) == {"characters/fox.png"}
        assert desk.changes == [frozenset({path})]
        assert await desk.nothing(watch)

    desk.run(story)


def test_saves_as_editors_do_them(announced: Desk) -> None:
    """One batch with the file for each, on the real disk, in a folder that is a glob's too."""
    announced.also = ("clips/x.yaml",)
    announced.write("clips/x.yaml")

    async def story(watch: InputWatch) -> None:
        for way, steps in SAVES.items():
            performed(steps, announced.folder / "clips")
            assert await announced.batch(watch) - {"clips"} == {"clips/x.yaml"}, way
        assert await announced.nothing(watch)

    announced.run(story)


def test_copies_as_programs_make_them(announced: Desk) -> None:
    """One batch with the new file for each."""

    async def story(watch: InputWatch) -> None:
        for way, steps in COPIES.items():
            performed(steps, announced.folder / "clips")
            assert await announced.batch(watch) - {"clips"} == {"clips/new.mp4"}, way
            (announced.folder / "clips/new.mp4").unlink()
            assert await announced.batch(watch) == {"clips/new.mp4"}, way
        assert await announced.nothing(watch)

    announced.run(story)


def test_a_burst_is_one_batch(desk: Desk) -> None:
    """Sixty saves of each of three files, one after the other."""

    async def story(watch: InputWatch) -> None:
        for n in range(60):
            for name in ("shotlist.yaml", "characters/fox.png", "clips/a.mp4"):
                desk.write(name, str(n).encode())
        assert await desk.until(watch, {"shotlist.yaml", "characters/fox.png", "clips/a.mp4"})
        assert await desk.nothing(watch)

    desk.run(story)


def test_a_new_a_renamed_and_a_deleted_clip(desk: Desk) -> None:
    """In a folder that a glob looks into, and in one below it."""

    async def story(watch: InputWatch) -> None:
        desk.write("clips/deep/new.mp4")
        assert await desk.batch(watch) == {"clips/deep/new.mp4"}
        (desk.folder / "clips/deep/new.mp4").rename(desk.folder / "clips/moved.mp4")
        assert await desk.until(watch, {"clips/deep/new.mp4", "clips/moved.mp4"})
        (desk.folder / "clips/moved.mp4").unlink()
        assert await desk.batch(watch) == {"clips/moved.mp4"}

    desk.run(story)


def test_a_missing_file_that_appears(desk: Desk) -> None:
    """It was asked for; nobody looked into its folder."""

    async def story(watch: InputWatch) -> None:
        desk.write("characters/owl.png")
        assert await desk.batch(watch) == {"characters/owl.png"}

    desk.run(story)


def test_a_missing_file_in_a_missing_folder(desk: Desk) -> None:
    """All folders on the way appear with it."""
    desk.also = ("not/yet/there.png",)

    async def story(watch: InputWatch) -> None:
        desk.write("not/yet/there.png")
        assert await desk.batch(watch) == {"not/yet/there.png"}

    desk.run(story)


def test_a_new_folder_with_clips(desk: Desk) -> None:
    """What is in it is watched too, also some levels down."""

    async def story(watch: InputWatch) -> None:
        desk.write("clips/more/and/more/c.mp4")
        assert "clips/more" in await desk.calm(watch)
        desk.write("clips/more/and/more/c.mp4", b"second")
        assert await desk.batch(watch) == {"clips/more/and/more/c.mp4"}

    desk.run(story)


def test_a_folder_that_is_copied_slowly_is_followed(desk: Desk) -> None:
    """Its files keep arriving after the folder is there."""

    async def story(watch: InputWatch) -> None:
        for n in range(8):
            desk.write(f"clips/more/c{n}.mp4")
            await asyncio.sleep(SETTLE_S * 0.6)
        assert "clips/more" in await desk.calm(watch)
        assert {desk.folder / f"clips/more/c{n}.mp4" for n in range(8)} <= set(watch.watched.files)

    desk.run(story)


def test_a_folder_moved_away_and_back(desk: Desk) -> None:
    """All that was in it is gone, then there, then saved in as before."""
    inside = {"clips/a.mp4", "clips/deep/b.mp4"}

    async def story(watch: InputWatch) -> None:
        (desk.folder / "clips").rename(desk.folder / "away")
        assert await desk.calm(watch) >= inside
        (desk.folder / "away").rename(desk.folder / "clips")
        assert await desk.calm(watch) >= inside
        desk.write("clips/deep/b.mp4", b"second")
        assert await desk.batch(watch) == {"clips/deep/b.mp4"}

    desk.run(story)


def test_a_folder_replaced_by_another_one(desk: Desk) -> None:
    """The new one is watched from then on, the old one no more."""

    async def story(watch: InputWatch) -> None:
        (desk.folder / "clips").rename(desk.folder.parent / "old")
        desk.write("clips/a.mp4", b"another")
        assert "clips/a.mp4" in await desk.calm(watch)
        (desk.folder.parent / "old/a.mp4").write_bytes(b"nobody's")
        assert await desk.nothing(watch)
        desk.write("clips/a.mp4", b"yet another")
        assert await desk.batch(watch) == {"clips/a.mp4"}

    desk.run(story)


@pytest.mark.parametrize("which", ["clips", "clips/deep", "."])
def test_a_folder_deleted_and_made_anew_at_once(announced: Desk, which: str) -> None:
    """The new one gets the number of the old one on many file systems, and is watched all the same."""
    folder = announced.folder / which

    async def story(watch: InputWatch) -> None:
        for _ in range(3):
            held = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
            shutil.rmtree(folder)
            for name, data in held.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data + b"!")
            await announced.calm(watch)
        announced.write("clips/deep/b.mp4", b"second")
        assert "clips/deep/b.mp4" in await announced.batch(watch)

    announced.run(story)


def test_the_whole_project_moved_away_and_back(announced: Desk) -> None:
    """Nothing above it is watched, so the patrol notices."""
    away = announced.folder.with_name("away")

    async def story(watch: InputWatch) -> None:
        announced.folder.rename(away)
        assert "shotlist.yaml" in await announced.calm(watch)
        away.rename(announced.folder)
        assert "shotlist.yaml" in await announced.calm(watch)
        announced.write("shotlist.yaml", b"second")
        assert await announced.batch(watch) == {"shotlist.yaml"}

    announced.run(story)


def test_a_link_is_retargeted_and_its_target_edited(desk: Desk) -> None:
    """Under the name that the project uses; the target lies outside of it."""
    media = desk.folder.parent / "media"
    media.mkdir()
    for name in ("one.png", "two.png"):
        (media / name).write_bytes(name.encode() * 10)
    link = desk.folder / "characters/link.png"
    link.symlink_to(media / "one.png")
    desk.also = ("characters/link.png",)

    async def story(watch: InputWatch) -> None:
        (media / "one.png").write_bytes(b"edited elsewhere")
        assert "characters/link.png" in await desk.calm(watch)
        fresh = link.with_name("fresh.tmp")
        fresh.symlink_to(media / "two.png")
        fresh.replace(link)
        assert await desk.batch(watch) == {"characters/link.png"}
        (media / "two.png").write_bytes(b"edited too, and longer")
        assert "characters/link.png" in await desk.calm(watch)

    desk.run(story)


def test_a_link_to_nowhere_in_a_glob_is_awaited(desk: Desk) -> None:
    """Its target appears in a folder that nobody looked into."""
    (desk.folder / "clips/link.mp4").symlink_to("../later.mp4")

    async def story(watch: InputWatch) -> None:
        desk.write("later.mp4")
        assert "clips/link.mp4" in await desk.batch(watch)

    desk.run(story)


def test_a_new_link_to_nowhere_is_one_batch(desk: Desk) -> None:
    """Its name is there though nothing can be found under it; when it goes, that is one batch too."""

    async def story(watch: InputWatch) -> None:
        link = desk.folder / "clips/link.mp4"
        link.symlink_to("nowhere")
        assert await desk.batch(watch) == {"clips/link.mp4"}
        assert await desk.nothing(watch)
        link.unlink()
        assert await desk.batch(watch) == {"clips/link.mp4"}
        assert await desk.nothing(watch)

    desk.run(story)


@pytest.mark.skipif(not LINUX, reason="other systems refuse such names")
def test_names_that_are_no_text(desk: Desk) -> None:
    """Bytes that are no UTF-8, and a line break."""

    async def story(watch: InputWatch) -> None:
        names = {os.fsdecode(b"clips/\xff\xfe.mp4"), "clips/two\nlines.mp4"}
        for name in names:
            desk.write(name)
        assert await desk.until(watch, names)

    desk.run(story)


def test_outputs_and_other_files_are_nobodys_business(desk: Desk) -> None:
    """Neither new nor changed ones; nor files that stand beside inputs."""
    desk.globs = ("clips/**/*.mp4", "**/*.mp4")

    async def story(watch: InputWatch) -> None:
        desk.write("renders/out.mp4", b"second")
        desk.write("renders/new/more.mp4")
        desk.write("characters/.fox.png.swp")
        desk.write("clips/.DS_Store")
        (desk.folder / "characters").chmod(0o755)
        assert await desk.nothing(watch)
        assert desk.changes == []

    desk.run(story)


def test_reading_everything_changes_nothing(announced: Desk) -> None:
    """Our own plan must not wake itself."""

    async def story(watch: InputWatch) -> None:
        for path in announced.folder.rglob("*"):
            if path.is_file():
                path.read_bytes()
        assert await announced.nothing(watch)

    announced.run(story)


def test_rights_given_back_count(desk: Desk) -> None:
    """A file that could not be read can be read now."""

    async def story(watch: InputWatch) -> None:
        (desk.folder / "characters/fox.png").chmod(0o600)
        assert await desk.batch(watch) == {"characters/fox.png"}

    desk.run(story)


@pytest.mark.skipif(not LINUX, reason="only Linux says when a file is closed")
def test_a_file_that_stays_open_is_waited_for(announced: Desk) -> None:
    """Though it is silent for many settle times."""

    async def story(watch: InputWatch) -> None:
        with (announced.folder / "clips/slow.mp4").open("wb") as file:
            file.write(b"half")
            file.flush()
            assert await announced.nothing(watch)
            assert announced.folder / "clips/slow.mp4" in watch.writing
            file.write(b"the rest")
        assert await announced.batch(watch) == {"clips/slow.mp4"}

    announced.run(story)


def test_a_clip_of_50_mb_that_arrives_slowly(desk: Desk) -> None:
    """No batch has it before its last byte is there."""
    if desk.polling_s:
        desk.settle_s = 0.5  # nobody says when it is complete, so a pause must be shorter than this
    portion, count = b"x" * 1_000_000, 50
    path = desk.folder / "clips/large.mp4"

    def copy() -> None:
        with path.open("wb") as file:
            for _ in range(count):
                file.write(portion)
                file.flush()
                time.sleep(0.02)

    async def story(watch: InputWatch) -> None:
        copying = asyncio.create_task(asyncio.to_thread(copy))
        assert await desk.batch(watch) == {"clips/large.mp4"}
        assert path.stat().st_size == count * len(portion)
        await copying

    desk.run(story)


def test_what_changed_between_the_plan_and_the_watch_is_noticed(desk: Desk) -> None:
    """The plan read the old one."""

    async def story(watch: InputWatch) -> None:
        desk.also = ("characters/late.png",)
        desk.globs = ("clips/**/*.mp4", "late/*.png")
        desk.write("characters/late.png")
        desk.write("late/one.png")
        scope = desk.scope()
        desk.write("characters/late.png", b"saved once more")
        desk.write("late/two.png")
        watch.look_at(scope)
        assert await desk.until(watch, {"characters/late.png", "late"})

    desk.run(story)


def test_what_is_not_in_the_scope_any_more_is_left_alone(desk: Desk) -> None:
    """And what came into it is watched."""

    async def story(watch: InputWatch) -> None:
        desk.globs, desk.also = (), ("prompts/new.j2",)
        desk.write("prompts/new.j2")
        watch.look_at(desk.scope())
        desk.write("clips/a.mp4", b"second")
        desk.write("clips/new.mp4")
        assert await desk.nothing(watch)
        desk.write("prompts/new.j2", b"second")
        assert await desk.batch(watch) == {"prompts/new.j2"}

    desk.run(story)


def test_what_is_watched_is_shown(desk: Desk) -> None:
    """Files and folders, how, and no warning here."""

    async def story(watch: InputWatch) -> None:
        watched = watch.watched
        assert desk.folder / "characters/owl.png" in watched.files
        assert set(watched.folders) == {desk.folder / "clips", desk.folder / "clips/deep"}
        assert watched.how == ("polling" if desk.polling_s else "native")
        assert watched.warnings == ()
        await asyncio.sleep(0)

    desk.run(story)
