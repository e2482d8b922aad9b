"""The system's own announcements of changes, through watchdog."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Protocol

from kling_render.watch.settle import What
from kling_render.watch.stamps import identity

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers.api import BaseObserver, ObservedWatch

CLOSES = sys.platform.startswith("linux")
"""Whether a writer's close is announced."""

Seen = Callable[[str, What], None]
"""Called in a thread with a real path and what was seen of it."""

_WHAT = {
    "created": What.APPEARED,
    "modified": What.WRITTEN,
    "closed": What.CLOSED,
    "deleted": What.GONE,
    "attrib": What.CHANGED,
}
_LIMITS = frozenset({errno.ENOSPC, errno.EMFILE, errno.ENFILE})


class LimitReached(Exception):
    """The system refuses more watches."""


class Observing(Protocol):
    """Whoever announces changes."""

    def arm(self, wanted: Mapping[str, bool], gone: Collection[str]) -> list[str]:
        """See `NativeObserver.arm`."""
        ...

    def alive(self) -> bool:
        """See `NativeObserver.alive`."""
        ...

    def close(self) -> None:
        """End."""
        ...


Observe = Callable[[Seen, Callable[[], None]], Observing]
"""Begins to observe; gets whom to tell what was seen, and that something was lost."""


class NativeObserver:
    """Watches folders, without or with what lies below them."""

    def __init__(self, seen: Seen, lost: Callable[[], None]) -> None:
        """`lost` is called in a thread when the system dropped announcements.

        Raises:
            LimitReached: the system has no watches left.
        """
        from watchdog.observers import Observer

        self._log = _Log(lost)
        self._handler = _handler(seen)
        self._filter = _events()
        self._armed: dict[str, tuple[ObservedWatch, bool, tuple[int, int] | None]] = {}
        try:
            self._observer: BaseObserver = Observer()
            self._observer.start()
        except OSError as fault:
            self._log.close()
            raise LimitReached(fault.strerror or str(fault)) from fault

    def arm(self, wanted: Mapping[str, bool], gone: Collection[str]) -> list[str]:
        """Watch exactly these: folder → whether all that lies below too. Returns those that cannot be watched.

        A folder that was replaced by another one since is watched anew; `gone` are folders that were seen to go, for
        the next one may get the same number. Only one thread at a time may call this.

        Raises:
            LimitReached: the system has no watches left; some folders are not watched.
        """
        deaf = self._deaf()
        for folder, (watch, deep, known) in list(self._armed.items()):
            stale = watch in deaf or any(folder == name or folder.startswith(name + os.sep) for name in gone)
            if stale or wanted.get(folder) != deep or identity(folder) != known:
                del self._armed[folder]
                self._observer.unschedule(watch)
        # Trees first: what they cannot get is not told, but the next one fails then.
        missing = sorted(wanted.keys() - self._armed.keys(), key=lambda folder: (not wanted[folder], folder))
        return [folder for folder in missing if not self._add(folder, wanted[folder])]

    def alive(self) -> bool:
        """Whether all that was armed is still heard: a folder that is deleted is not, nor is its successor."""
        return not self._deaf()

    def _deaf(self) -> set[ObservedWatch]:
        return {emitter.watch for emitter in self._observer.emitters if not emitter.is_alive()}

    def _add(self, folder: str, deep: bool) -> bool:
        known = identity(folder)
        if known is None or not os.access(folder, os.R_OK):
            return False
        try:
            watch = self._observer.schedule(self._handler, folder, recursive=deep, event_filter=self._filter)
        except OSError as fault:
            if fault.errno in _LIMITS:
                raise LimitReached(fault.strerror or str(fault)) from fault
            return False
        except RuntimeError as fault:  # no more threads
            raise LimitReached(str(fault)) from fault
        self._armed[folder] = (watch, deep, known)
        return True

    def close(self) -> None:
        """End all threads and give back all handles."""
        self._observer.stop()
        self._observer.join()
        self._log.close()
        self._armed.clear()


def _events() -> list[type[FileSystemEvent]]:
    """What is asked for. Without opened and closed-unwritten: our own reading of a tree would fill the queue."""
    from watchdog import events

    return [
        events.FileCreatedEvent,
        events.FileModifiedEvent,
        events.FileAttribEvent,
        events.FileClosedEvent,
        events.FileMovedEvent,
        events.FileDeletedEvent,
        events.DirCreatedEvent,
        events.DirMovedEvent,
        events.DirDeletedEvent,
    ]


def _handler(seen: Seen) -> FileSystemEventHandler:
    from watchdog.events import FileSystemEventHandler

    class Handler(FileSystemEventHandler):
        def dispatch(self, event: FileSystemEvent) -> None:
            what = _WHAT.get(event.event_type)
            if what is not None:
                seen(os.fsdecode(event.src_path), what)
            if event.event_type != "moved":
                return
            if event.src_path:
                seen(os.fsdecode(event.src_path), What.GONE)
            if event.dest_path:
                seen(os.fsdecode(event.dest_path), What.RENAMED)

    return Handler()


class _Log(logging.Handler):
    """watchdog says only in its log that announcements were lost; and its log is nobody's on the terminal."""

    def __init__(self, lost: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._lost = lost
        logging.getLogger("watchdog").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self._lost()

    def close(self) -> None:
        logging.getLogger("watchdog").removeHandler(self)
        super().close()
