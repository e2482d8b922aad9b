"""One watcher per project: who it is, and when it is over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kling_render.errors import StoreFault, UsageError
from kling_render.store.layout import Layout
from kling_render.store.watchers import only_watcher

SINCE = "2026-08-01T12:00:00.000Z"


@pytest.fixture
def shot_list(tmp_path: Path) -> Path:
    """A list in a project."""
    path = tmp_path / "film" / "shotlist.yaml"
    path.parent.mkdir()
    path.touch()
    return path


def test_a_second_watcher_is_told_who_watches(tmp_path: Path, shot_list: Path) -> None:
    """Process, host and time."""
    layout = Layout(tmp_path / "store")
    with (
        only_watcher(layout, shot_list, SINCE),
        pytest.raises(UsageError, match=f"process {os.getpid()}, since {SINCE}") as refused,
        only_watcher(layout, shot_list, SINCE),
    ):
        pass
    assert refused.value.code == "watched-already"


def test_another_list_of_the_same_folder_is_another_project(tmp_path: Path, shot_list: Path) -> None:
    """And so is another store."""
    layout = Layout(tmp_path / "store")
    with (
        only_watcher(layout, shot_list, SINCE),
        only_watcher(layout, shot_list.with_name("b.yaml"), SINCE),
        only_watcher(Layout(tmp_path / "other"), shot_list, SINCE),
    ):
        pass


def test_one_user_does_not_watch_a_project_on_two_stores(tmp_path: Path, shot_list: Path) -> None:
    """Each would pay for the same save."""
    users = tmp_path / "cache"
    with (
        only_watcher(Layout(tmp_path / "store"), shot_list, SINCE, users=users),
        pytest.raises(UsageError, match="being watched already"),
        only_watcher(Layout(tmp_path / "other"), shot_list, SINCE, users=users),
    ):
        pass


def test_a_users_folder_that_cannot_be_written_does_not_matter(tmp_path: Path, shot_list: Path) -> None:
    """The store's lock holds all the same."""
    (tmp_path / "cache").write_text("in the way")
    with only_watcher(Layout(tmp_path / "store"), shot_list, SINCE, users=tmp_path / "cache"):
        pass


def test_the_project_is_free_again_afterwards(tmp_path: Path, shot_list: Path) -> None:
    """Whatever ended the session."""
    layout = Layout(tmp_path / "store")
    with pytest.raises(ZeroDivisionError), only_watcher(layout, shot_list, SINCE):
        raise ZeroDivisionError
    with only_watcher(layout, shot_list, SINCE):
        pass


def test_what_a_torn_file_says_of_its_watcher_is_left_out(tmp_path: Path, shot_list: Path) -> None:
    """The lock counts, not the text."""
    layout = Layout(tmp_path / "store")
    with only_watcher(layout, shot_list, SINCE):
        (path,) = layout.watchers.iterdir()
        path.write_bytes(b" {")
        with pytest.raises(UsageError, match=r"being watched already$"), only_watcher(layout, shot_list, SINCE):
            pass


def test_a_place_that_cannot_be_written_is_a_fault_of_the_store(tmp_path: Path, shot_list: Path) -> None:
    """With its path."""
    layout = Layout(tmp_path / "store")
    layout.root.mkdir()
    layout.watchers.write_text("in the way")
    with pytest.raises(StoreFault, match="register the watcher"), only_watcher(layout, shot_list, SINCE):
        pass
