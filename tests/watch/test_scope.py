"""What a plan looked at is remembered, all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kling_render.disk.project_files import DiskFiles
from kling_render.watch.scope import RecordedFiles, Scope
from kling_render.watch.stamps import MISSING, stamp


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path.resolve()
    for name in ("shotlist.yaml", "clips/a.mp4", "clips/one/b.mp4", "clips/one/two/c.mp4", "clips/.hidden/d.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"bytes")
    return folder


def recorded(folder: Path, pattern: str) -> tuple[Scope, list[Path]]:
    files = RecordedFiles(DiskFiles())
    found = files.glob(folder, pattern)
    return files.scope(), found


def test_whatever_is_asked_for_is_in_the_scope(folder: Path) -> None:
    """Read, looked at or resolved; there or not; and how it looked then."""
    files = RecordedFiles(DiskFiles())
    assert files.read_text_bytes(folder / "shotlist.yaml", 3) == b"byte"
    assert files.kind(folder / "no.png") == "missing"
    assert files.resolve(folder / "clips/../no.j2") == folder / "no.j2"
    with pytest.raises(FileNotFoundError):
        files.read_text_bytes(folder / "gone.j2", 3)
    scope = files.scope()
    names = {folder / "shotlist.yaml", folder / "no.png", folder / "clips/../no.j2", folder / "gone.j2"}
    assert scope == Scope(frozenset(names))
    assert scope.stamps[folder / "shotlist.yaml"] == stamp(folder / "shotlist.yaml")
    assert scope.stamps[folder / "no.png"] == MISSING


def test_the_first_look_at_a_file_counts(folder: Path) -> None:
    """What was read was not newer than that."""
    files = RecordedFiles(DiskFiles())
    before = stamp(folder / "shotlist.yaml")
    files.kind(folder / "shotlist.yaml")
    (folder / "shotlist.yaml").write_bytes(b"longer bytes")
    files.read_text_bytes(folder / "shotlist.yaml", 100)
    assert files.scope().stamps[folder / "shotlist.yaml"] == before


@pytest.mark.parametrize(
    ("pattern", "folders"),
    [
        ("clips/*.mp4", {"clips"}),
        ("clips/**/*.mp4", {"clips", "clips/one", "clips/one/two"}),
        ("**/*.mp4", {".", "clips", "clips/one", "clips/one/two"}),
        ("clips/*/*.mp4", {"clips", "clips/one", "clips/a.mp4"}),
        ("clips/*/two/*.mp4", {"clips", "clips/one/two", "clips/a.mp4/two"}),
        ("none/*.mp4", {"none"}),
        ("clips/a.mp4", set()),
    ],
)
def test_each_folder_that_a_glob_looks_into_is_in_the_scope(folder: Path, pattern: str, folders: set[str]) -> None:
    """Also those that are empty or not there yet; the answer is that of the files themselves."""
    scope, found = recorded(folder, pattern)
    assert scope.folders == {folder / name for name in folders}
    assert found == DiskFiles().glob(folder, pattern)
    assert scope.listed.keys() == scope.folders


def test_names_that_a_glob_would_match_are_awaited(folder: Path) -> None:
    """A fixed name below a wildcard, and a link that leads nowhere; what was found is for others to ask for."""
    (folder / "clips/link.mp4").symlink_to("nowhere.mp4")
    scope, _ = recorded(folder, "clips/*/ref.mp4")
    assert folder / "clips/one/ref.mp4" in scope.files
    scope, found = recorded(folder, "clips/*.mp4")
    assert scope.files == {folder / "clips/link.mp4"}
    assert found == [folder / "clips/a.mp4"]


def test_two_scopes_become_one(folder: Path) -> None:
    """With what each knows of how things looked."""
    one, _ = recorded(folder, "clips/*.mp4")
    files = RecordedFiles(DiskFiles())
    files.kind(folder / "shotlist.yaml")
    both = one | files.scope() | Scope(frozenset({folder / "lock"}))
    assert both.files == {folder / "shotlist.yaml", folder / "lock"}
    assert both.folders == {folder / "clips"}
    assert set(both.stamps) == {folder / "shotlist.yaml"}
    assert set(both.listed) == {folder / "clips"}
