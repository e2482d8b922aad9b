"""One watcher per project: a file that the operating system locks for the watcher's life, and that says who it is."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from kling_render.disk import locks
from kling_render.disk.publish import make_folders
from kling_render.errors import StoreFault, UsageError
from kling_render.store import faults
from kling_render.store.layout import Layout

_LIMIT = 4096
_LOCKED_BYTES = 1
"""Windows locks the first byte against reading, so what the file says begins after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """Who watches a project."""

    process: int
    user: str
    host: str
    #: ISO 8601, UTC.
    since: str


@contextmanager
def only_watcher(layout: Layout, shot_list: Path, since: str, *, users: Path | None = None) -> Iterator[None]:
    """While inside, nobody else watches the shot list on this store, nor this user on another store.

    Args:
        layout: the store's.
        shot_list: the file, as it was named; symlinks lead to the same project.
        since: ISO 8601, UTC; told to whoever else tries.
        users: a folder of this user, whatever the store; nothing is held there if it cannot be written.

    Raises:
        UsageError: somebody watches it already.
        StoreFault: the disk refused.
    """
    with _locked(layout.watchers, shot_list, since), ExitStack() as stack:
        if users is not None:
            with contextlib.suppress(StoreFault):
                stack.enter_context(_locked(users, shot_list, since))
        yield


@contextmanager
def _locked(folder: Path, shot_list: Path, since: str) -> Iterator[None]:
    name = hashlib.sha256(os.fsencode(os.path.realpath(shot_list))).hexdigest()[:32]
    path = folder / f"{name}.lock"
    try:
        make_folders(folder, mode=0o700)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError as fault:
        raise faults.of_os(fault, "register the watcher in the store", path) from fault
    try:
        if not locks.try_lock(fd):
            raise _taken(_read(fd), shot_list)
        try:
            _write(fd, Watched(process=os.getpid(), user=_user(), host=socket.gethostname(), since=since))
            yield
        finally:
            locks.unlock(fd)
    finally:
        os.close(fd)


def _taken(by: Watched | None, shot_list: Path) -> UsageError:
    who = f" by {by.user} on {by.host} (process {by.process}, since {by.since})" if by else ""
    return UsageError(
        f"{shot_list.name} is being watched already{who}",
        help="use that session, or end it first; `kling-render render` works beside it",
        code="watched-already",
    )


def _write(fd: int, watched: Watched) -> None:
    text = json.dumps(asdict(watched)).encode()
    os.lseek(fd, 0, os.SEEK_SET)
    os.write(fd, b" " * _LOCKED_BYTES + text)
    os.ftruncate(fd, _LOCKED_BYTES + len(text))


def _read(fd: int) -> Watched | None:
    try:
        os.lseek(fd, _LOCKED_BYTES, os.SEEK_SET)
        return Watched(**json.loads(os.read(fd, _LIMIT)))
    except (OSError, ValueError, TypeError):  # it is just being written
        return None


def _user() -> str:
    with contextlib.suppress(OSError, KeyError, ImportError):  # no name for this user id
        return getpass.getuser()
    return "somebody"
