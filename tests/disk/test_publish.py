"""Publication: complete or absent, whatever fails and whenever the process dies."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kling_render.disk.faults import FaultyFiles
from kling_render.disk.filesystem import REAL, FileSystem
from kling_render.disk.publish import is_part, make_folders, publish_bytes, publish_copy, publish_move, umask

OLD, NEW = b"old bytes", b"new bytes " * 100_000

CHILD = """
import os, signal, sys
from pathlib import Path
from kling_render.disk.faults import FaultyFiles
from kling_render.disk.publish import publish_copy

class Dying(FaultyFiles):
    def strike(self):
        os.kill(os.getpid(), signal.SIGKILL)

fs = Dying(int(sys.argv[1]), 0)
with fs.folder(Path(sys.argv[2])) as folder:
    publish_copy(folder, "take.mp4", Path(sys.argv[3]), fs=fs)
"""


def publish_new(folder: Path, source: Path, fs: FileSystem) -> None:
    with fs.folder(folder) as opened:
        publish_copy(opened, "take.mp4", source, fs=fs)


def outcome_of(folder: Path, source: Path, fs: FileSystem) -> int | None:
    try:
        publish_new(folder, source, fs)
    except OSError as fault:
        return fault.errno
    return None


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "blob"
    path.write_bytes(NEW)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.mkdir()
    return path


def test_a_copy_has_the_bytes_and_the_permissions_the_umask_leaves(folder: Path, source: Path) -> None:
    """Output files are the user's: readable as any file they make."""
    source.chmod(0o400)
    publish_new(folder, source, REAL)
    target = folder / "take.mp4"
    assert target.read_bytes() == NEW
    assert target.stat().st_mode & 0o777 == 0o666 & ~umask()


def test_publishing_takes_the_steps_in_the_order_that_survives_a_power_loss(folder: Path, source: Path) -> None:
    """The file is synced before the rename and the folder after it."""
    fs = FaultyFiles(0, 0)
    publish_new(folder, source, fs)
    steps = [call for call in fs.calls if call in {"open", "fsync", "replace", "fsync_folder"}]
    assert steps == ["open", "fsync", "replace", "fsync_folder"]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT, errno.EMFILE])
def test_any_failing_call_leaves_the_old_file_or_the_new_one_and_no_litter(
    folder: Path, source: Path, error: int
) -> None:
    """Every single call of a publication fails once; a reader never sees a part of a file."""
    failed = 0
    for at in range(1, 30):
        (folder / "take.mp4").write_bytes(OLD)
        fs = FaultyFiles(at, error)
        failed += outcome_of(folder, source, fs) == error
        assert (folder / "take.mp4").read_bytes() in {OLD, NEW}
        assert [name for name in os.listdir(folder) if is_part(name)] == []
        if len(fs.calls) < at:
            break
    else:
        pytest.fail("a publication takes fewer than 30 calls")
    assert failed >= 6


def test_a_failed_sync_is_never_tried_again(folder: Path, source: Path) -> None:
    """After a failed fsync the kernel may call lost pages clean, so the file is dropped."""
    fs = FaultyFiles(1, errno.EIO, only={"fsync"})
    with pytest.raises(OSError, match="Input/output"):
        publish_new(folder, source, fs)
    assert fs.calls == ["fsync"]
    assert os.listdir(folder) == []


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_process_killed_at_any_step_leaves_no_partial_file_under_the_name(folder: Path, source: Path) -> None:
    """SIGKILL before each call in turn: the name holds the old bytes or the new ones."""
    seen = set()
    for at in range(1, 30):
        (folder / "take.mp4").write_bytes(OLD)
        done = subprocess.run([sys.executable, "-c", CHILD, str(at), str(folder), str(source)], check=False)
        seen.add((folder / "take.mp4").read_bytes())
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert done.returncode == 0
    assert seen == {OLD, NEW}


def test_moving_a_temporary_file_drops_it_when_the_sync_fails(tmp_path: Path) -> None:
    """Fetching again costs nothing; believing unsynced bytes may cost everything."""
    temporary, target = tmp_path / "a", tmp_path / "b"
    temporary.write_bytes(NEW)
    with pytest.raises(OSError, match="Input/output"):
        publish_move(temporary, target, mode=0o400, fs=FaultyFiles(1, errno.EIO, only={"fsync"}))
    assert os.listdir(tmp_path) == []


def test_a_disk_without_reflinks_and_kernel_copies_copies_by_hand(folder: Path, source: Path) -> None:
    """The bytes are the same on every disk."""

    class Plain(FileSystem):
        def clone(self, target: int, source: int) -> bool:
            return False

        def copy_range(self, target: int, source: int, count: int) -> int | None:
            return None

    publish_new(folder, source, Plain())
    assert (folder / "take.mp4").read_bytes() == NEW


def test_a_symlink_under_the_name_is_replaced_and_not_followed(folder: Path, tmp_path: Path) -> None:
    """Renaming replaces the link itself."""
    victim = tmp_path / "victim"
    victim.write_bytes(OLD)
    (folder / "a.json").symlink_to(victim)
    with REAL.folder(folder) as opened:
        publish_bytes(opened, "a.json", b"{}")
    assert victim.read_bytes() == OLD
    assert (folder / "a.json").read_bytes() == b"{}"


def test_missing_folders_are_made_private_when_asked(tmp_path: Path) -> None:
    """A store's folders are for the user alone."""
    make_folders(tmp_path / "a" / "b", mode=0o700)
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
