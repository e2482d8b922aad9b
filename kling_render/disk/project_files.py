"""Reads the user's project: the real `ProjectFiles`."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from kling_render.ports import FileKind

_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL})


class DiskFiles:
    """The project on disk. Reads only; never blocks on a FIFO or a device."""

    def read_text_bytes(self, path: Path, limit: int) -> bytes:
        """At most `limit` + 1 bytes of a regular file.

        Raises:
            OSError: it cannot be read, or it is not a regular file.
        """
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
        flags |= getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", str(path))
            return stream.read(limit + 1)

    def read_small(self, path: Path, limit: int) -> bytes | None:
        """See `ports.ProjectFiles`."""
        if path.stat().st_size <= limit:
            return self.read_text_bytes(path, limit)
        if not os.access(path, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return None

    def kind(self, path: Path) -> FileKind:
        """What stands at the path, symlinks followed."""
        try:
            mode = path.stat().st_mode
        except OSError as fault:
            if fault.errno == errno.ELOOP:
                return "circle"
            return "missing" if fault.errno in _MISSING else "other"
        except ValueError:  # a NUL in the name
            return "missing"
        if stat.S_ISREG(mode):
            return "file"
        return "folder" if stat.S_ISDIR(mode) else "other"

    def resolve(self, path: Path) -> Path:
        """The path with all symlinks resolved; need not exist."""
        return Path(os.path.realpath(path))

    def glob(self, folder: Path, pattern: str) -> list[Path]:
        """Regular files below `folder` that match the POSIX glob, sorted by their POSIX path.

        `*`, `?` and `[…]` stay inside one component, `**` stands for any number of folders. Case counts on every
        system; names with a leading dot are matched only by a pattern that says the dot; folders behind symlinks are
        entered only where the pattern names them.
        """
        found = {path for path in _matches(folder, _parts(pattern), _entries) if self.kind(path) == "file"}
        return sorted(found, key=lambda path: path.as_posix())


@dataclass(frozen=True, slots=True)
class Searched:
    """Where a glob looked: a change there may change what it finds."""

    #: Folders whose entries it went through, there or not.
    folders: frozenset[Path]
    #: Paths that match, whatever stands there: also links that lead nowhere, and names that are not there.
    candidates: frozenset[Path]


def searched(folder: Path, pattern: str) -> Searched:
    """What `DiskFiles.glob` looks at for the same folder and pattern."""
    folders: set[Path] = set()

    def noting(path: Path) -> list[os.DirEntry[str]]:
        folders.add(path)
        return _entries(path)

    candidates = frozenset(_matches(folder, _parts(pattern), noting))
    return Searched(frozenset(folders), candidates)


def _parts(pattern: str) -> list[str]:
    return [part for part in pattern.split("/") if part not in ("", ".")]


def _matches(folder: Path, parts: list[str], entries: Callable[[Path], list[os.DirEntry[str]]]) -> Iterator[Path]:
    if not parts:
        return
    head, rest = parts[0], parts[1:]
    if head == "**":
        yield from _matches(folder, rest or ["*"], entries)
        for entry in entries(folder):
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                yield from _matches(Path(entry.path), parts, entries)
        return
    if not any(sign in head for sign in "*?["):
        path = folder / head
        yield from _matches(path, rest, entries) if rest else iter([path])
        return
    for entry in entries(folder):
        if fnmatchcase(entry.name, head) and (head.startswith(".") or not entry.name.startswith(".")):
            yield from _matches(Path(entry.path), rest, entries) if rest else iter([Path(entry.path)])


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:  # not a folder, or not ours to read: nothing matches there
        return []
