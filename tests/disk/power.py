"""A disk that remembers every call, and every state in which a power loss may leave it.

What is assumed of a disk is little: bytes are safe once the file was synced, a folder's entries once the folder was.
Until then each write may be lost, cut at a sector or a page, or leave zeros of its length, and each change of a folder
may be lost or come before an older one. A rename is one change: whoever loses the old name has got the new one.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import NamedTuple, TypeVar

from kling_render.disk.filesystem import FileSystem, Folder

#: Path relative to the recorded folder → its bytes; None for a folder.
Tree = dict[str, bytes | None]

T = TypeVar("T")

SECTOR, PAGE = 512, 4096
#: More states than this of one moment are not all looked at, but so many of them, chosen by a seed.
MOST = 3_000
_ROOT = 0


class Link(NamedTuple):
    """A new file or folder got a name."""

    folder: int
    name: str
    node: int


class Unlink(NamedTuple):
    """A name went away."""

    folder: int
    name: str


class Rename(NamedTuple):
    """A name became another one."""

    folder: int
    name: str
    goal: int
    new: str
    node: int


class Write(NamedTuple):
    """Bytes of a file."""

    node: int
    offset: int
    data: bytes


class Sync(NamedTuple):
    """A file or a folder was synced."""

    node: int


class Promise(NamedTuple):
    """From here on, this holds after a power loss."""

    check: Callable[[Tree], None]


Change = Link | Unlink | Rename
Step = Link | Unlink | Rename | Write | Sync | Promise


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
        self._folders: dict[int, dict[str, int]] = {_ROOT: {}}
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
        node, walked = _ROOT, self.root
        for part in path.parent.resolve().joinpath(path.name).relative_to(self.root).parts:
            walked /= part
            if part not in self._folders[node]:
                self._appear(node, walked)
            node = self._folders[node][part]
        return node

    def _appear(self, folder: int, path: Path) -> None:
        node = self._folders[folder][path.name] = next(self._nodes)
        self.journal.append(Link(folder, path.name, node))
        if path.is_dir():
            self._folders[node] = {}
        else:
            self.journal.append(Write(node, 0, path.read_bytes()))

    def _gone(self, folder: int, name: str) -> None:
        self._folders[folder].pop(name, None)
        self.journal.append(Unlink(folder, name))


@dataclass(slots=True)
class _Disk:
    """What is durable for sure, and what may be."""

    entries: dict[int, dict[str, int]] = field(default_factory=lambda: {_ROOT: {}})
    contents: dict[int, bytes] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    writes: dict[int, list[Write]] = field(default_factory=dict)

    def take(self, step: Step) -> None:
        if isinstance(step, Write):
            self.contents.setdefault(step.node, b"")
            if step.data:
                self.writes.setdefault(step.node, []).append(step)
        elif isinstance(step, Sync):
            self._synced(step.node)
        elif not isinstance(step, Promise):
            self.changes.append(step)

    def _synced(self, node: int) -> None:
        for write in self.writes.pop(node, []):
            self.contents[node] = _written(self.contents[node], write)
        rest: list[Change] = []
        for change in self.changes:
            if isinstance(change, Rename) and change.goal == node != change.folder:
                self.entries.setdefault(node, {})[change.new] = change.node
                rest.append(change)  # the new name is safe, the old one may still be there
            elif node in (change.folder, getattr(change, "goal", -1)):
                _apply(self.entries, change, both=True)
            else:
                rest.append(change)
        self.changes = rest

    def trees(self, chance: random.Random) -> Iterator[Tree]:
        """Every state after a power loss now, or many of them."""
        options = [(0, 1, 2) if isinstance(change, Rename) else (0, 1) for change in self.changes]
        for choice in _some(options, chance):
            nodes = _named(self._folded(choice))
            files = [node for node in nodes if node in self.contents]
            for versions in _some([self._versions(node) for node in files], chance):
                found = dict(zip(files, versions, strict=True))
                yield {path: found.get(node) for node, paths in nodes.items() for path in paths}

    def _folded(self, choice: Iterable[int]) -> dict[int, dict[str, int]]:
        """The folders when these changes came through: 0 not, 1 altogether, 2 a rename that left the old name too."""
        entries = {folder: dict(names) for folder, names in self.entries.items()}
        for change, chosen in zip(self.changes, choice, strict=True):
            if chosen:
                _apply(entries, change, both=chosen == 1)
        return entries

    def _versions(self, node: int) -> list[bytes]:
        """The contents a file may have."""
        base, writes = self.contents[node], self.writes.get(node, [])
        found = {base}
        for choice in _choices(writes):
            content = base
            for part in choice:
                content = _written(content, part)
            found.add(content)
        return sorted(found)


def _choices(writes: list[Write]) -> Iterator[Iterable[Write]]:
    """Which writes came through, whole or in part; of more than three, one is lost or one alone came through."""
    if len(writes) <= 3:
        yield from (filter(None, choice) for choice in itertools.product(*([None, *_parts(w)] for w in writes)))
        return
    yield writes
    for number in range(len(writes)):
        yield writes[:number]
        yield writes[:number] + writes[number + 1 :]
        for part in _parts(writes[number]):
            yield [part]
            yield [*writes[:number], part]


def _parts(write: Write) -> list[Write]:
    size = len(write.data)
    cuts = {cut for cut in (SECTOR, PAGE, (size - 1) // SECTOR * SECTOR, (size - 1) // PAGE * PAGE) if 0 < cut < size}
    zeros = write._replace(data=bytes(size))
    return [write, zeros, *(write._replace(data=write.data[:cut]) for cut in sorted(cuts))]


def _written(content: bytes, write: Write) -> bytes:
    padded = content.ljust(write.offset, b"\0")
    return padded[: write.offset] + write.data + padded[write.offset + len(write.data) :]


def _apply(entries: dict[int, dict[str, int]], change: Change, *, both: bool) -> None:
    if isinstance(change, Link):
        entries.setdefault(change.folder, {})[change.name] = change.node
        return
    if isinstance(change, Rename):
        entries.setdefault(change.goal, {})[change.new] = change.node
    moved_away = both or isinstance(change, Unlink)
    standing = entries.setdefault(change.folder, {}).get(change.name)
    if moved_away and (isinstance(change, Unlink) or standing == change.node):
        entries[change.folder].pop(change.name, None)


def _named(entries: dict[int, dict[str, int]]) -> dict[int, list[str]]:
    """Every node that can be reached, with its paths."""
    found: dict[int, list[str]] = {}
    todo = [(_ROOT, "")]
    while todo:
        folder, prefix = todo.pop()
        for name, node in entries.get(folder, {}).items():
            found.setdefault(node, []).append(prefix + name)
            todo.append((node, f"{prefix}{name}/"))
    return found


def _some(choices: Sequence[Sequence[T]], chance: random.Random) -> Iterator[tuple[T, ...]]:
    if prod(map(len, choices)) <= MOST:
        yield from itertools.product(*choices)
    else:
        yield from (tuple(map(chance.choice, choices)) for _ in range(MOST))


@dataclass(slots=True)
class Proof:
    """How much was looked at."""

    moments: int = 0
    states: int = 0


def prove(recorded: RecordingFiles, always: Callable[[Tree], None]) -> Proof:
    """Cut the power before and after every step, in every way: `always` holds, and what was promised by then."""
    proof, disk, chance = Proof(), _Disk(), random.Random(1)
    promises: list[Promise] = []
    seen: set[int] = set()
    for number, step in enumerate(recorded.journal):
        disk.take(step)
        if number < recorded.given - 1:
            continue
        if isinstance(step, Promise):
            promises.append(step)
        proof.moments += 1
        for tree in disk.trees(chance):
            key = hash((len(promises), tuple(sorted(tree.items(), key=lambda item: item[0]))))
            if key in seen:
                continue
            seen.add(key)
            proof.states += 1
            always(tree)
            for promise in promises:
                promise.check(tree)
    return proof


def lay(tree: Tree, folder: Path) -> Path:
    """Make a state real, for the programs that read it."""
    folder.mkdir(parents=True)
    for path, content in sorted(tree.items()):
        if content is None:
            (folder / path).mkdir(parents=True, exist_ok=True)
        else:
            (folder / path).write_bytes(content)
    return folder
