"""What a file looks like from outside: enough to see that it changed, and cheap enough for ten thousand."""

from __future__ import annotations

import os
import stat
from pathlib import Path

Stamp = tuple[int, int, int]
"""Mode, size and modification time in ns, links followed; of a folder only the mode.

Inode and device are left out: some network drives make them up anew at each look.
"""

MISSING: Stamp = (0, 0, 0)


def stamp(path: str | Path) -> Stamp:
    """The stamp of what stands at the path; `MISSING` when nothing does, or when nobody may look."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return MISSING
    if stat.S_ISDIR(status.st_mode):
        return (status.st_mode, 0, 0)
    return (status.st_mode, status.st_size, status.st_mtime_ns)


def is_folder(seen: Stamp) -> bool:
    """Whether a folder stands there."""
    return stat.S_ISDIR(seen[0])


def is_empty_file(seen: Stamp) -> bool:
    """Whether a regular file without bytes stands there."""
    return stat.S_ISREG(seen[0]) and seen[1] == 0


def listed_at(folder: str | Path) -> int:
    """When an entry of the folder was last made, renamed or removed, in ns; 0 when it is not there."""
    try:
        return os.stat(folder).st_mtime_ns
    except (OSError, ValueError):
        return 0


def names_in(folder: str | Path) -> frozenset[str]:
    """The names of the folder's entries; none when it cannot be read."""
    try:
        return frozenset(os.listdir(folder))
    except (OSError, ValueError):
        return frozenset()


def identity(folder: str) -> tuple[int, int] | None:
    """Which folder stands there: another one with the same name has another identity."""
    try:
        status = os.stat(folder)
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino)
