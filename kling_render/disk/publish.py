"""Publication: a file under its final name is complete, whatever dies in between.

Temporary file in the same folder → fill → fsync → rename → fsync of the folder. A failed fsync is never
retried: the kernel may have dropped the pages and marked them clean, so the temporary file is removed and the
error goes to the caller.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

from kling_render.disk.filesystem import REAL, FileSystem, Folder

R = TypeVar("R")
CopyKind = Literal["reflink", "copy"]

PART_PREFIX = ".kling-render-"
PART_SUFFIX = ".part"
_CHUNK = 1 << 20


@functools.cache
def umask() -> int:
    """The process's umask. Reading it means setting it, so it is read once, and set to the private side."""
    old = os.umask(0o077)
    os.umask(old)
    return old


def part_name() -> str:
    """A fresh name for a temporary file, recognisable as ours."""
    return f"{PART_PREFIX}{os.urandom(8).hex()}{PART_SUFFIX}"


def is_part(name: str) -> bool:
    """Whether a file name is that of a temporary file of ours."""
    return name.startswith(PART_PREFIX) and name.endswith(PART_SUFFIX)


def publish(
    folder: Folder,
    name: str,
    fill: Callable[[int], R],
    *,
    mode: int | None = None,
    settle: bool = True,
    fs: FileSystem = REAL,
) -> R:
    """Publish what `fill` writes to the descriptor it gets; returns what `fill` returns.

    `mode` defaults to what the umask leaves of 0666. Without `settle` the caller syncs the folder: once for several
    files, before any of them counts as published.

    Raises:
        OSError: nothing stands under the name that did not stand there before, unless the very last
            step (fsync of the folder) failed: then the file is complete, but may vanish at a power loss.
    """
    part = part_name()
    descriptor = fs.open(folder, part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        try:
            outcome = fill(descriptor)
            fs.chmod(descriptor, 0o666 & ~umask() if mode is None else mode)
            fs.fsync(descriptor)
        finally:
            fs.close(descriptor)
        fs.replace(folder, part, folder, name)
    except BaseException:
        with contextlib.suppress(OSError):
            fs.unlink(folder, part)
        raise
    if settle:
        fs.fsync_folder(folder)
    return outcome


def publish_bytes(
    folder: Folder, name: str, data: bytes, *, mode: int | None = None, settle: bool = True, fs: FileSystem = REAL
) -> None:
    """Publish a small file."""
    publish(folder, name, lambda fd: write_all(fd, data, fs=fs), mode=mode, settle=settle, fs=fs)


def publish_copy(
    folder: Folder, name: str, source: Path, *, mode: int | None = None, settle: bool = True, fs: FileSystem = REAL
) -> CopyKind:
    """Publish a copy of a file, sharing its blocks where the disk can."""
    with source.open("rb", buffering=0) as reader:
        origin = reader.fileno()
        return publish(folder, name, lambda fd: copy_into(fd, origin, fs=fs), mode=mode, settle=settle, fs=fs)


def publish_move(temporary: Path, target: Path, *, mode: int, fs: FileSystem = REAL) -> None:
    """Sync a finished temporary file and move it to its name on the same file system.

    Raises:
        OSError: the temporary file is gone; nothing new stands under the name (see `publish`).
    """
    with fs.folder(temporary.parent) as origin, fs.folder(target.parent) as goal:
        try:
            descriptor = fs.open(origin, temporary.name, os.O_RDWR)
            try:
                fs.chmod(descriptor, mode)
                fs.fsync(descriptor)
            finally:
                fs.close(descriptor)
            fs.replace(origin, temporary.name, goal, target.name)
        except BaseException:
            with contextlib.suppress(OSError):
                fs.unlink(origin, temporary.name)
            raise
        fs.fsync_folder(goal)


def move(source: Path, target: Path, *, fs: FileSystem = REAL) -> None:
    """Rename a file to another folder of the same file system, durably; a file in the target's place is replaced."""
    with fs.folder(source.parent) as origin, fs.folder(target.parent) as goal:
        fs.replace(origin, source.name, goal, target.name)
        fs.fsync_folder(goal)
        fs.fsync_folder(origin)


def write_all(fd: int, data: bytes, *, fs: FileSystem = REAL) -> None:
    """Write every byte."""
    rest = memoryview(data)
    while rest:
        rest = rest[fs.write(fd, rest) :]


def copy_into(target: int, source: int, *, fs: FileSystem = REAL) -> CopyKind:
    """Fill the empty open file `target` with the bytes of `source`."""
    if fs.clone(target, source):
        return "reflink"
    size = os.fstat(source).st_size
    done = 0
    while done < size and (count := fs.copy_range(target, source, _CHUNK << 6)):
        done += count
    if done < size:
        done += _copy_by_hand(target, source, fs)
    if done != size:
        raise OSError(errno.EIO, f"copied {done} of {size} bytes")
    return "copy"


def _copy_by_hand(target: int, source: int, fs: FileSystem) -> int:
    done = 0
    while chunk := os.read(source, _CHUNK):
        write_all(target, chunk, fs=fs)
        done += len(chunk)
    return done


def make_folders(path: Path, *, mode: int = 0o777, fs: FileSystem = REAL) -> None:
    """Make a folder and its missing parents, each entry synced; symlinks in the existing part are followed."""
    missing: list[Path] = []
    while not path.is_dir():
        missing.append(path)
        if path.parent == path:
            break
        path = path.parent
    for each in reversed(missing):
        with fs.folder(each.parent) as parent:
            with contextlib.suppress(FileExistsError):
                fs.mkdir(parent, each.name, mode)
            fs.fsync_folder(parent)
