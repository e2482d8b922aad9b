"""The calls that change the disk, as one small object: the real thing here, a failing one in `disk.faults`.

Names are resolved against an open folder, so that swapping a parent for a symlink cannot redirect a write.
Windows has no such calls; there the folder's path is joined instead.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kling_render.disk import reflink

_CLOEXEC = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_SHARING_RETRIES = 20
_SHARING_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Folder:
    """An open folder. `fd` is None where the platform cannot open folders."""

    path: Path
    fd: int | None

    def place(self, name: str) -> str:
        """What to pass to a call besides `fd`."""
        return name if self.fd is not None else os.fspath(self.path / name)


class FileSystem:
    """The real disk. Every method raises OSError as the system call does."""

    def open_folder(self, path: Path) -> Folder:
        """Open a folder by its path, symlinks followed."""
        if sys.platform == "win32":
            return Folder(path, None)
        return Folder(path, os.open(path, _FOLDER | _CLOEXEC))

    def open_child(self, folder: Folder, name: str) -> Folder:
        """Open a folder inside an open one; a symlink is an error (ELOOP or ENOTDIR)."""
        if folder.fd is None:
            path = folder.path / name
            if path.is_symlink() or not path.is_dir():
                raise NotADirectoryError(20, os.strerror(20), os.fspath(path))
            return Folder(path, None)
        fd = os.open(name, _FOLDER | _NOFOLLOW | _CLOEXEC, dir_fd=folder.fd)
        return Folder(folder.path / name, fd)

    def close_folder(self, folder: Folder) -> None:
        """Close it."""
        if folder.fd is not None:
            os.close(folder.fd)

    @contextlib.contextmanager
    def folder(self, path: Path) -> Iterator[Folder]:
        """An open folder for the length of a block."""
        opened = self.open_folder(path)
        try:
            yield opened
        finally:
            self.close_folder(opened)

    def open(self, folder: Folder, name: str, flags: int, mode: int = 0o600) -> int:
        """Open a file in the folder; a symlink in its place is an error."""
        return os.open(folder.place(name), flags | _NOFOLLOW | _CLOEXEC, mode, dir_fd=folder.fd)

    def close(self, fd: int) -> None:
        """Close a file."""
        os.close(fd)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        """Write; may be short."""
        return os.write(fd, data)

    def clone(self, target: int, source: int) -> bool:
        """Share the blocks of `source` with the empty file `target`; False where the disk cannot."""
        return reflink.clone(target, source)

    def copy_range(self, target: int, source: int, count: int) -> int | None:
        """Copy up to `count` bytes inside the kernel; None where that is not possible, 0 at the end."""
        return reflink.copy_range(target, source, count)

    def chmod(self, fd: int, mode: int) -> None:
        """Set the permissions of an open file."""
        if sys.platform != "win32":
            os.fchmod(fd, mode)

    def fsync(self, fd: int) -> None:
        """Bring an open file to the platter. Never call it twice after a failure: the second call may lie."""
        if sys.platform == "darwin":
            import fcntl

            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # plain fsync leaves the data in the drive's cache
        else:
            os.fsync(fd)

    def fsync_folder(self, folder: Folder) -> None:
        """Bring the folder's entries to the platter."""
        if folder.fd is not None:
            os.fsync(folder.fd)

    def replace(self, source: Folder, name: str, target: Folder, new_name: str) -> None:
        """Rename; a file in the target's place is replaced in one step."""
        for attempt in range(_SHARING_RETRIES + 1):
            try:
                os.replace(
                    source.place(name),
                    target.place(new_name),
                    src_dir_fd=source.fd,
                    dst_dir_fd=target.fd,
                )
            except PermissionError:
                # Windows refuses while a scanner or a player has the file open for a moment.
                if sys.platform != "win32" or attempt == _SHARING_RETRIES:
                    raise
                time.sleep(_SHARING_PAUSE_S)
            else:
                return

    def unlink(self, folder: Folder, name: str) -> None:
        """Remove a file."""
        os.unlink(folder.place(name), dir_fd=folder.fd)

    def mkdir(self, folder: Folder, name: str, mode: int = 0o777) -> None:
        """Make a folder."""
        os.mkdir(folder.place(name), mode, dir_fd=folder.fd)

    def rmdir(self, folder: Folder, name: str) -> None:
        """Remove an empty folder."""
        os.rmdir(folder.place(name), dir_fd=folder.fd)

    def lstat(self, folder: Folder, name: str) -> os.stat_result | None:
        """What stands at the name, symlinks not followed; None when nothing does."""
        try:
            return os.stat(folder.place(name), dir_fd=folder.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None


REAL = FileSystem()
"""The real disk, the default everywhere."""
