"""Every state in which a power loss may leave a disk, from a journal of what was done to it.

What is assumed of a disk is little: bytes are safe once the file was synced, a folder's entries once the folder was.
Until then each write may be lost, cut at a sector or a page, or leave zeros of its length, and each change of a folder
may be lost or come before an older one. A rename is one change: whoever loses the old name has got the new one.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

#: Path relative to the recorded folder → its bytes; None for a folder.
Tree = dict[str, bytes | None]

T = TypeVar("T")

SECTOR, PAGE = 512, 4096
#: More states than this of one moment are not all looked at, but so many of them, chosen by a seed.
MOST = 3_000
#: How many mixtures of more than three lost and kept writes are looked at.
_MIXTURES = 8
#: The number of the folder that everything lies in.
ROOT = 0


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


class Cut(NamedTuple):
    """A file was made shorter."""

    node: int
    size: int


class Sync(NamedTuple):
    """A file or a folder was synced."""

    node: int


class Promise(NamedTuple):
    """From here on, this holds after a power loss."""

    check: Callable[[Tree], None]


Change = Link | Unlink | Rename
Content = Write | Cut
Step = Link | Unlink | Rename | Write | Cut | Sync | Promise


@dataclass(slots=True)
class _Disk:
    """What is durable for sure, and what may be."""

    entries: dict[int, dict[str, int]] = field(default_factory=lambda: {ROOT: {}})
    contents: dict[int, bytes] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    writes: dict[int, list[Content]] = field(default_factory=dict)

    def take(self, step: Step) -> None:
        if isinstance(step, Write | Cut):
            self.contents.setdefault(step.node, b"")
            if step != Write(step.node, 0, b""):
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
                rest.append(Unlink(change.folder, change.name))  # the new name is safe, the old one may still be there
            elif node in (change.folder, getattr(change, "goal", -1)):
                _apply(self.entries, change, both=True)
            else:
                rest.append(change)
        self.changes = rest

    def trees(self, chance: random.Random, most: int) -> Iterator[Tree]:
        """Every state after a power loss now, or many of them."""
        options = [(0, 1, 2) if isinstance(change, Rename) else (0, 1) for change in self.changes]
        for choice in _some(options, chance, most):
            nodes = _named(self._folded(choice))
            files = [node for node in nodes if node in self.contents]
            for versions in _some([self._versions(node, chance) for node in files], chance, most):
                found = dict(zip(files, versions, strict=True))
                yield {path: found.get(node) for node, paths in nodes.items() for path in paths}

    def _folded(self, choice: Iterable[int]) -> dict[int, dict[str, int]]:
        """The folders when these changes came through: 0 not, 1 altogether, 2 a rename that left the old name too."""
        entries = {folder: dict(names) for folder, names in self.entries.items()}
        for change, chosen in zip(self.changes, choice, strict=True):
            if chosen:
                _apply(entries, change, both=chosen == 1)
        return entries

    def _versions(self, node: int, chance: random.Random) -> list[bytes]:
        """The contents a file may have."""
        base, writes = self.contents[node], self.writes.get(node, [])
        found = {base}
        for choice in _choices(writes, chance):
            content = base
            for part in choice:
                content = _written(content, part)
            found.add(content)
        return sorted(found)


def _choices(writes: list[Content], chance: random.Random) -> Iterator[Iterable[Content]]:
    """Which writes came through, whole or in part."""
    if len(writes) <= 3:
        options: list[list[Content | None]] = [[None, *_parts(write)] for write in writes]
        for choice in itertools.product(*options):
            yield [part for part in choice if part is not None]
        return
    yield writes
    for number, write in enumerate(writes):
        yield writes[:number]
        yield writes[:number] + writes[number + 1 :]
        for part in _parts(write):
            yield [part]
            yield [*writes[:number], part]
    for _ in range(_MIXTURES):
        yield [chance.choice(_parts(write)) for write in writes if chance.random() < 0.5]


def _parts(write: Content) -> list[Content]:
    if isinstance(write, Cut):
        return [write]
    size = len(write.data)
    cuts = {cut for cut in (SECTOR, PAGE, (size - 1) // SECTOR * SECTOR, (size - 1) // PAGE * PAGE) if 0 < cut < size}
    zeros = write._replace(data=bytes(size))
    return [write, zeros, *(write._replace(data=write.data[:cut]) for cut in sorted(cuts))]


def _written(content: bytes, write: Content) -> bytes:
    if isinstance(write, Cut):
        return content[: write.size].ljust(write.size, b"\0")
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
    todo = [(ROOT, "")]
    while todo:
        folder, prefix = todo.pop()
        for name, node in entries.get(folder, {}).items():
            found.setdefault(node, []).append(prefix + name)
            todo.append((node, f"{prefix}{name}/"))
    return found


def _some(choices: Sequence[Sequence[T]], chance: random.Random, most: int) -> Iterator[tuple[T, ...]]:
    if prod(map(len, choices)) <= most:
        yield from itertools.product(*choices)
    else:
        yield from (tuple(map(chance.choice, choices)) for _ in range(most))


class Recorded(Protocol):
    """A journal and how much of it is what was there before."""

    journal: list[Step]
    given: int


@dataclass(slots=True)
class Proof:
    """How much was looked at."""

    moments: int = 0
    states: int = 0
    #: Promises made by the moment that is looked at.
    promised: int = 0


def prove(recorded: Recorded, always: Callable[[Tree], None], *, proof: Proof | None = None, most: int = MOST) -> Proof:
    """Cut the power before and after every step, in every way: `always` holds, and what was promised by then."""
    proof, disk, chance = proof or Proof(), _Disk(), random.Random(1)
    promises: list[Promise] = []
    seen: set[int] = set()
    for number, step in enumerate(recorded.journal):
        disk.take(step)
        if number < recorded.given - 1:
            continue
        if isinstance(step, Promise):
            promises.append(step)
        proof.promised = len(promises)
        proof.moments += 1
        for tree in disk.trees(chance, most):
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
