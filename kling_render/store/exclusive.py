"""Having the store to oneself: for what moves or merges files that a run could be using.

Runs register as owners first and look at this lock afterwards; who takes the lock looks at the owners afterwards. Of
two that meet, at least one sees the other.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterator

from kling_render.disk import locks
from kling_render.disk.filesystem import REAL, FileSystem
from kling_render.errors import StoreFault
from kling_render.store import faults, owners
from kling_render.store.layout import Layout

_TRIES = 5
_PAUSE_S = 0.02
_HELP = "Wait for the other kling-render to finish, or end it, then run the command again."


@contextlib.contextmanager
def exclusive(layout: Layout, *, keep: Collection[str] = (), fs: FileSystem = REAL) -> Iterator[None]:
    """While inside, no run starts on the store; `keep` are tokens of this process.

    Raises:
        StoreFault: another process works on the store, or the disk refused.
    """
    try:
        with fs.folder(layout.root) as root:
            fd = fs.open(root, layout.exclusive.name, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as fault:
        raise faults.of_os(fault, "take the store for this command alone", layout.root) from fault
    try:
        if not _locked(fd):
            raise StoreFault("another command has the store to itself", help=_HELP, code="store-locked")
        living = owners.living(layout.owners, keep=keep)
        if living:
            count = f"{len(living)} other kling-render process{'es' if len(living) > 1 else ''}"
            raise StoreFault(f"{count} at work on this store", help=_HELP, code="store-locked")
        yield
    finally:
        os.close(fd)


def _locked(fd: int) -> bool:
    """Who only looks holds the lock for a moment too."""
    for _ in range(_TRIES):
        if locks.try_lock(fd):
            return True
        time.sleep(_PAUSE_S)
    return False


def refuse_if_taken(layout: Layout) -> None:
    """For a run that begins.

    Raises:
        StoreFault: a command has the store to itself right now.
    """
    try:
        fd = os.open(layout.exclusive, os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return  # never taken, or a disk that nobody can write to
    try:
        if locks.is_locked(fd):
            raise StoreFault("another command has the store to itself right now", help=_HELP, code="store-locked")
    finally:
        os.close(fd)
