"""Who drives an attempt: a file per process, locked by the operating system for the process's life.

A dead owner is noticed at once, because its lock is gone; no time-out and no process id decides anything. Every process
takes a fresh token, so a token never comes back to life.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Collection
from pathlib import Path

from kling_render.disk import locks
from kling_render.disk.filesystem import REAL, FileSystem
from kling_render.disk.publish import part_name, write_all
from kling_render.store import faults

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Owner:
    """The lock of this process. Held until `release` or the end of the process, however it ends.

    The descriptor is not inherited by programs that are started; do not `fork` without `exec` while it is held.
    """

    def __init__(self, folder: Path, token: str, fd: int, fs: FileSystem) -> None:
        self.token = token
        self._folder = folder
        self._fd: int | None = fd
        self._fs = fs

    def release(self) -> None:
        """Drop the lock and remove the file."""
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        if sys.platform == "win32":  # an open file cannot be removed there
            self._fs.close(fd)
            _remove(self._folder, self.token, self._fs)
        else:
            _remove(self._folder, self.token, self._fs)
            with contextlib.suppress(OSError):  # the lock is gone all the same
                self._fs.close(fd)


def register(folder: Path, token: str, *, fs: FileSystem = REAL) -> Owner:
    """Create and lock the file of a fresh token.

    Raises:
        StoreFault: the disk refused.
        ValueError: the token is none, or was taken before.
    """
    _checked(token)
    try:
        with fs.folder(folder) as opened:
            if fs.lstat(opened, token) is not None:
                raise ValueError(f"the owner's token {token} was taken before")
            # Locked under another name first: nobody can see the file unlocked and take the owner for dead.
            early = token if sys.platform == "win32" else part_name()
            fd = fs.open(opened, early, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                locks.try_lock(fd)
                write_all(fd, f" process {os.getpid()}\n".encode(), fs=fs)
                if early != token:
                    fs.replace(opened, early, opened, token)
            except BaseException:
                fs.close(fd)
                with contextlib.suppress(OSError):
                    fs.unlink(opened, early)
                raise
    except OSError as fault:
        raise faults.of_os(fault, "register this process in the store", folder) from fault
    return Owner(folder, token, fd, fs)


def is_alive(folder: Path, token: str) -> bool:
    """Whether the process that took the token still runs. An unknown token is dead."""
    if not _TOKEN.fullmatch(token):
        return False
    try:
        fd = os.open(folder / token, os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return False
    except OSError as fault:
        raise faults.of_os(fault, "look at another process of the store", folder / token) from fault
    try:
        return locks.is_locked(fd)
    finally:
        os.close(fd)


def process_of(folder: Path, token: str) -> int | None:
    """The process id that an owner wrote down, to be shown; None when it is not known. It decides nothing."""
    if not _TOKEN.fullmatch(token):
        return None
    with contextlib.suppress(OSError, ValueError):
        return int((folder / token).read_bytes().split()[-1])
    return None


def living(folder: Path, *, keep: Collection[str] = ()) -> list[str]:
    """The tokens of every process that runs, except `keep`; sorted."""
    with contextlib.suppress(FileNotFoundError):
        names = sorted(path.name for path in folder.iterdir() if path.name not in keep)
        return [name for name in names if is_alive(folder, name)]
    return []


def clean(folder: Path, *, keep: Collection[str] = (), fs: FileSystem = REAL) -> list[str]:
    """Remove the files of dead owners, except `keep`; returns their tokens, sorted."""
    dead = []
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(folder.iterdir()):
            if path.name not in keep and _TOKEN.fullmatch(path.name) and not is_alive(folder, path.name):
                _remove(folder, path.name, fs)
                dead.append(path.name)
    return dead


def _checked(token: str) -> None:
    if not _TOKEN.fullmatch(token):
        raise ValueError(f"not an owner's token: {token!r}")


def _remove(folder: Path, name: str, fs: FileSystem) -> None:
    with contextlib.suppress(OSError), fs.folder(folder) as opened:
        fs.unlink(opened, name)
