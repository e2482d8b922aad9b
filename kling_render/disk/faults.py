"""A disk that fails: the real one, except that chosen calls raise the error of your choice.

For tests of every room that writes; nothing in a normal run imports it.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

from kling_render.disk.filesystem import FileSystem

CALLS = frozenset(
    {"open_folder", "open_child", "open", "write", "clone", "copy_range", "chmod", "fsync", "fsync_folder"}
    | {"replace", "unlink", "mkdir", "rmdir", "close"}
)
"""The calls that are counted and can fail."""


class FaultyFiles(FileSystem):
    """Fails the n-th counted call (from 1) with `errno`, once or from then on.

    `only` restricts the counting to some of `CALLS`. `calls` is the journal of counted calls.
    """

    def __init__(self, at: int, errno: int, *, only: Collection[str] = CALLS, persistent: bool = False) -> None:
        self.at = at
        self.errno = errno
        self.only = frozenset(only)
        self.persistent = persistent
        self.calls: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name not in CALLS or name not in self.only:
            return value

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            count = len(self.calls)
            if count == self.at or (self.persistent and count > self.at):
                if name == "close":
                    value(*args, **kwargs)  # close(2) frees the descriptor even when it fails
                self.strike()
            return value(*args, **kwargs)

        return counted

    def strike(self) -> None:
        """What happens at the chosen call, instead of it."""
        raise OSError(self.errno, os.strerror(self.errno))
