"""Publishing on a disk that loses power at any moment: complete or absent, and there once it was reported."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kling_render.disk.publish import is_part, make_folders, publish_bytes, publish_copy, publish_move
from tests.disk.power import Tree, lay, prove
from tests.disk.recording import Died, RecordingFiles

OLD, NEW = b"old" * 2_000, bytes(range(256)) * 37
NAME = "a.mp4"


def complete(old: bytes | None) -> Callable[[Tree], None]:
    """The name holds what stood there, or everything that was published; or nothing, when nothing stood there."""

    def check(tree: Tree) -> None:
        assert tree.get(NAME) in ({NEW, None} if old is None else {NEW, old}), sorted(tree)

    return check


def there(tree: Tree) -> None:
    assert tree.get(NAME) == NEW


@pytest.fixture(params=[None, OLD], ids=["new", "over an old file"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> bytes | None:
    standing: bytes | None = request.param
    if standing is not None:
        (tmp_path / NAME).write_bytes(standing)
    return standing


@pytest.mark.parametrize("chunk", [4096, 1 << 30], ids=["short writes", "one write"])
def test_published_bytes_are_complete_or_absent_and_then_there(tmp_path: Path, old: bytes | None, chunk: int) -> None:
    """The bytes are safe before the name is, and the name before the caller hears of it."""
    fs = RecordingFiles(tmp_path, chunk=chunk)
    with fs.folder(tmp_path) as folder:
        publish_bytes(folder, NAME, NEW, fs=fs)
    fs.promise(there)
    assert prove(fs, complete(old)).states > 10


def test_a_published_copy_is_complete_or_absent_and_then_there(tmp_path: Path, old: bytes | None) -> None:
    """The same for takes and finals, which are copies of blobs."""
    source = tmp_path.parent / f"{tmp_path.name}-source"
    source.write_bytes(NEW)
    fs = RecordingFiles(tmp_path)
    with fs.folder(tmp_path) as folder:
        publish_copy(folder, NAME, source, fs=fs)
    fs.promise(there)
    assert prove(fs, complete(old)).states > 10


def test_a_moved_download_is_complete_or_absent_and_then_there(tmp_path: Path, old: bytes | None) -> None:
    """Its bytes were written without a sync; they are synced before they get their name."""
    (tmp_path / "tmp").mkdir()
    fs = RecordingFiles(tmp_path)
    temporary = tmp_path / "tmp" / "download"
    temporary.write_bytes(NEW)
    publish_move(temporary, tmp_path / NAME, mode=0o400, fs=fs)
    fs.promise(there)
    assert prove(fs, complete(old)).states > 10


def test_made_folders_are_there_with_their_parents(tmp_path: Path) -> None:
    """A file in a folder that vanishes would vanish with it."""
    fs = RecordingFiles(tmp_path)
    make_folders(tmp_path / "a" / "b" / "c", fs=fs)

    def made(tree: Tree) -> None:
        assert "a/b/c" in tree

    fs.promise(made)
    prove(fs, lambda _tree: None)


def test_a_publisher_that_dies_leaves_parts_at_most(tmp_path: Path) -> None:
    """Killed before each change in turn, then the power goes: no part ever stands under the name."""
    for at in range(1, 30):
        folder = tmp_path / str(at)
        folder.mkdir()
        fs = RecordingFiles(folder, die_at=at)
        try:
            with fs.folder(folder) as opened:
                publish_bytes(opened, NAME, NEW, fs=fs)
        except Died:
            prove(fs, complete(None))
            assert [name for name in os.listdir(folder) if name != NAME and not is_part(name)] == []
        else:
            break
    assert at > 5


def test_the_proof_notices_what_is_left_out(tmp_path: Path) -> None:
    """Without the sync of the file, or of the folder, it finds a state that breaks the promise."""

    class NoSync(RecordingFiles):
        def fsync(self, fd: int) -> None:
            del fd

    class NoFolderSync(RecordingFiles):
        def fsync_folder(self, folder: object) -> None:
            del folder

    for number, kind in enumerate((NoSync, NoFolderSync)):
        (tmp_path / str(number)).mkdir()
        fs = kind(tmp_path / str(number))
        with fs.folder(tmp_path / str(number)) as folder:
            publish_bytes(folder, NAME, NEW, fs=fs)
        fs.promise(there)
        with pytest.raises(AssertionError):
            prove(fs, complete(None))


def test_a_state_can_be_made_real(tmp_path: Path) -> None:
    """What a program finds there is what was recorded."""
    made = lay({"a": None, "a/b": b"x"}, tmp_path / "real")
    assert (made / "a" / "b").read_bytes() == b"x"
