"""The real disk below a folder, with a journal for `tests.disk.power`; a process on it can be made to die."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

from kling_render.disk.filesystem import FileSystem, Folder
from tests.disk.power import ROOT, Link, Promise, Rename, Step, Sync, Tree, Unlink, Write


class Died(BaseException):
    """The process is gone: nothing it still does has any effect."""


class RecordingFiles(FileSystem):
    """The real disk below a folder, with a journal; what lies there already is taken for durable.

    `chunk` makes writes short. At the `die_at`-th change (from 1) the process is gone, until `revive`.
    """

    def __init__(self, root: Path, *, chunk: int = 1 << 30, die_at: int = 0) -> None:
        self.root = root.resolve()
        self.journal: list[Step] = []
        self.chunk = chunk
        self.die_at = die_at
        self.changes = 0
        self.dead = False
        self._folders: dict[int, dict[str, int]] = {ROOT: {}}
        self._nodes = itertools.count(1)
        self._open: dict[int, int] = {}
        self._look_around()
        #: How much of the journal is what was there before.
        self.given = len(self.journal)

    def promise(self, check: Callable[[Tree], None]) -> None:
        """State what has to survive from now on."""
        self.journal.append(Promise(check))

    def revive(self) -> None:
        """The next process begins."""
        self.dead, self.die_at = False, 0

    # -- calls ---------------------------------------------------------------------------------------------

    def open(self, folder: Folder, name: str, flags: int, mode: int = 0o600) -> int:
        self._live()
        known = super().lstat(folder, name) is not None
        if not known:
            self._change()
        fd = super().open(folder, name, flags, mode)
        node = self._node(folder.path / name)
        self._open[fd] = node
        return fd

    def close(self, fd: int) -> None:
        self._open.pop(fd, None)
        super().close(fd)
        self._live()

    def write(self, fd: int, data: bytes | memoryview) -> int:
        self._change()
        offset = os.lseek(fd, 0, os.SEEK_CUR)
        written = super().write(fd, memoryview(data)[: self.chunk])
        self.journal.append(Write(self._open[fd], offset, bytes(data[:written])))
        return written

    def clone(self, target: int, source: int) -> bool:
        self._live()
        return False

    def copy_range(self, target: int, source: int, count: int) -> int | None:
        self._live()
        return None

    def fsync(self, fd: int) -> None:
        self._change()
        self.journal.append(Sync(self._open[fd]))

    def fsync_folder(self, folder: Folder) -> None:
        self._change()
        if self._inside(folder.path):
            self.journal.append(Sync(self._node(folder.path)))

    def replace(self, source: Folder, name: str, target: Folder, new_name: str) -> None:
        self._change()
        node = self._node(source.path / name)
        super().replace(source, name, target, new_name)
        origin, goal = self._node(source.path), self._node(target.path)
        del self._folders[origin][name]
        self._folders[goal][new_name] = node
        self.journal.append(Rename(origin, name, goal, new_name, node))

    def unlink(self, folder: Folder, name: str) -> None:
        self._change()
        self._node(folder.path / name)
        super().unlink(folder, name)
        self._gone(self._node(folder.path), name)

    def rmdir(self, folder: Folder, name: str) -> None:
        self._change()
        super().rmdir(folder, name)
        self._gone(self._node(folder.path), name)

    def mkdir(self, folder: Folder, name: str, mode: int = 0o777) -> None:
        self._change()
        super().mkdir(folder, name, mode)
        if self._inside(folder.path):
            self._node(folder.path / name)

    # -- bookkeeping ---------------------------------------------------------------------------------------

    def _live(self) -> None:
        if self.dead:
            raise Died

    def _change(self) -> None:
        self._live()
        self.changes += 1
        if self.changes == self.die_at:
            self.dead = True
            raise Died

    def _inside(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self.root)

    def _look_around(self) -> None:
        """Everything that is there already, durable."""
        for path in sorted(self.root.rglob("*")):
            self._node(path)
        self.journal += [Sync(node) for node in self._folders]
        self.journal += [Sync(step.node) for step in self.journal if isinstance(step, Write)]

    def _node(self, path: Path) -> int:
        """The number of what stands at a path; what was made past this object is found only now, and not durable."""
        node, walked = ROOT, self.root
        for part in path.parent.resolve().joinpath(path.name).relative_to(self.root).parts:
            walked /= part
            if part not in self._folders[node]:
                self._appear(node, walked)
            node = self._folders[node][part]
        return node

    def _appear(self, folder: int, path: Path) -> None:
        node = self._folders[folder][path.name] = next(self._nodes)
        if path.is_dir():
            self._folders[node] = {}
        else:
            self.journal.append(Write(node, 0, path.read_bytes()))
        self.journal.append(Link(folder, path.name, node))

    def _gone(self, folder: int, name: str) -> None:
        self._folders[folder].pop(name, None)
        self.journal.append(Unlink(folder, name))
