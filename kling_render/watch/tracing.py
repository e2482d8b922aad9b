"""Follows a name through its symlinks to where it really stands, and says what could change that."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field

_MOST_LINKS = 40


@dataclass(frozen=True, slots=True)
class Trace:
    """Where a name leads."""

    #: The real folder that holds the last thing reached: the file itself, or the first thing that is missing.
    folder: str
    #: The path of that thing.
    real: str
    #: It is the file or folder that was asked for, there or not; False when a folder on the way is missing.
    reached: bool
    #: Everything the way goes through, as real paths: folders, links, and the last thing.
    steps: tuple[str, ...]
    #: Those of the steps that are links.
    links: tuple[str, ...]


@dataclass(slots=True)
class Tracer:
    """Remembers what it found until told to forget."""

    _folders: dict[str, Trace] = field(default_factory=dict)
    _entries: dict[str, Trace] = field(default_factory=dict)
    #: Real folders that are there.
    _there: set[str] = field(default_factory=set)

    def forget(self) -> None:
        """Something moved: look again."""
        self._folders.clear()
        self._entries.clear()
        self._there.clear()

    def forget_entries(self, paths: Iterable[str]) -> None:
        """These were changed: a file may have become a link."""
        for path in paths:
            self._entries.pop(path, None)

    def folder(self, path: str) -> Trace:
        """Where a folder leads."""
        found = self._folders.get(path)
        if found is None:
            found = self._folders[path] = _walk(path)
        return found

    def entry(self, path: str) -> Trace:
        """Where a file leads."""
        found = self._entries.get(path)
        if found is None:
            found = self._entries[path] = self._entry(path)
        return found

    def _entry(self, path: str) -> Trace:
        """Most are no links, and stand in a folder that is known by now."""
        parent, name = os.path.split(path)
        above = self.folder(parent)
        if name in ("", ".", "..") or not self._is_there(above):
            return _walk(path)
        here = os.path.join(above.real, name)
        try:
            if stat.S_ISLNK(os.lstat(here).st_mode):
                return _walk(path)
        except (OSError, ValueError):
            pass
        return Trace(above.real, here, True, above.steps, above.links)

    def _is_there(self, folder: Trace) -> bool:
        if folder.real not in self._there:
            if not folder.reached or not os.path.isdir(folder.real):
                return False
            self._there.add(folder.real)
        return True


def _walk(path: str) -> Trace:
    """One component after the other, as the system does it."""
    drive, rest = os.path.splitdrive(path)
    root = drive + os.sep
    real, left = root, _components(rest)
    steps: list[str] = []
    links: list[str] = []
    while left:
        name = left.pop()
        if name == "..":
            real = os.path.dirname(real)
            continue
        here = os.path.join(real, name)
        steps.append(here)
        target = _link(here)
        if target is not None and len(links) < _MOST_LINKS:
            links.append(here)
            drive, rest = os.path.splitdrive(target)
            left += _components(rest)
            real = (drive or os.path.splitdrive(real)[0]) + os.sep if os.path.isabs(target) else real
        elif left and not os.path.isdir(here):
            return Trace(real, here, False, tuple(steps), tuple(links))
        else:
            real = here
    return Trace(os.path.dirname(real), real, True, tuple(steps), tuple(links))


def _components(rest: str) -> list[str]:
    if os.altsep:
        rest = rest.replace(os.altsep, os.sep)
    return [name for name in reversed(rest.split(os.sep)) if name not in ("", ".")]


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except (OSError, ValueError):  # not a link, or not there
        return None
