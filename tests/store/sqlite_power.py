"""SQLite on a disk that remembers every call: a layer between it and the system, with a journal for a power loss.

As SQLite's own layer for Unix does, the first sync of a rollback journal also syncs the folder.
`python -m tests.store.sqlite_power --most 200` looks at more states than the test does.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import apsw

from kling_render.lifecycle.states import Event
from kling_render.store.ledger import SqliteLedger, _configure, connect, create_schema, version_of
from kling_render.store.transaction import SqliteTransaction
from tests.disk.power import ROOT, Cut, Link, Promise, Proof, Step, Sync, Tree, Unlink, Write, lay, prove
from tests.store.support import NAMESPACE, attempt

FILE = "ledger.sqlite3"


@dataclass
class Journal:
    """What SQLite did; from the `fails_at`-th changing call (from 1) its disk fails, once or for good."""

    journal: list[Step] = field(default_factory=list)
    given: int = 0
    fails_at: int = 0
    lasting: bool = False
    calls: list[str] = field(default_factory=list)
    nodes: dict[str, int] = field(default_factory=dict)

    def call(self, name: str) -> None:
        """Count a call that changes the disk; it may fail."""
        self.calls.append(name)
        count = len(self.calls)
        if self.fails_at and (count == self.fails_at or (self.lasting and count > self.fails_at)):
            raise apsw.FullError if name == "write" else apsw.IOError

    def node(self, name: str) -> int:
        """The number of a file; a new one gets its name, not safely."""
        if name not in self.nodes:
            node = self.nodes[name] = max(self.nodes.values(), default=ROOT) + 1
            self.journal += [Write(node, 0, b""), Link(ROOT, name, node)]
        return self.nodes[name]

    def promise(self, check: Callable[[Tree], None]) -> None:
        """State what has to survive from now on."""
        self.journal.append(Promise(check))


class _File(apsw.VFSFile):
    def __init__(self, base: str, filename: Any, flags: list[int], kept: Journal) -> None:
        super().__init__(base, filename, flags)
        path = filename if isinstance(filename, str) else filename.filename()
        self._kept = kept
        self._name = Path(path).name
        self._node = kept.node(self._name)
        self._syncs_folder = bool(flags[0] & apsw.SQLITE_OPEN_MAIN_JOURNAL)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._kept.call("write")
        super().xWrite(data, offset)
        self._kept.journal.append(Write(self._node, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        self._kept.call("truncate")
        super().xTruncate(newsize)
        self._kept.journal.append(Cut(self._node, newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        self._kept.call("sync")
        self._kept.journal.append(Sync(self._node))
        if self._syncs_folder:
            self._kept.journal.append(Sync(ROOT))
            self._syncs_folder = False


class Disk(apsw.VFS):
    """The layer; SQLite uses it by its name."""

    _numbers = itertools.count()

    def __init__(self, kept: Journal) -> None:
        self.name = f"recorded-{next(self._numbers)}"
        self._kept = kept
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> _File:  # noqa: N802 - SQLite's name
        return _File("", name, flags, self._kept)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's name
        self._kept.call("delete")
        super().xDelete(filename, syncdir)
        self._kept.journal.append(Unlink(ROOT, Path(filename).name))
        self._kept.nodes.pop(Path(filename).name, None)
        if syncdir:
            self._kept.journal.append(Sync(ROOT))


class Connection:
    """What the ledger wants of a connection, by the other library."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._inner = apsw.Connection(str(path), vfs=disk.name)

    def execute(self, text: str, values: Iterable[Any] = ()) -> Any:
        try:
            return self._inner.execute(text, tuple(values))
        except apsw.Error as fault:
            raise sqlite3.OperationalError(str(fault)) from fault

    @property
    def in_transaction(self) -> bool:
        return self._inner.in_transaction

    def close(self) -> None:
        self._inner.close()


def open_ledger(folder: Path, kept: Journal) -> SqliteLedger:
    """The product's ledger with the product's settings, on a recorded disk."""
    connection = cast("sqlite3.Connection", Connection(folder / FILE, Disk(kept)))
    _configure(connection, None)
    return SqliteLedger(folder / FILE, connection)


def deeds() -> list[Callable[[SqliteTransaction], object]]:
    """Transactions of a paid job's life; after each, `seen` counts one more."""
    return [
        lambda ledger: ledger.reserve(attempt(1), ()),
        lambda ledger: ledger.record("A00001", Event.SEND, 1.0),
        lambda ledger: ledger.record("A00001", Event.ACCEPT, 2.0, generation_id="gen-1", raw_answer="x" * 9_000),
        lambda ledger: [ledger.reserve(attempt(number), ()) for number in range(2, 12)],
    ]


def seen(tree: Tree, folder: Path) -> int:
    """How many deeds a fresh process finds: 0 is the schema alone, -1 an empty file, or none."""
    lay(tree, folder)
    try:
        with closing(connect(folder / FILE)) as ledger:
            if version_of(ledger) == 0:
                return -1
            ledger.check(thorough=True)
            with ledger.reading() as view:
                found = view.attempts(NAMESPACE)
                steps = 0 if not found else len(view.history("A00001"))
            assert len(found) in {0, 1, 11}
            return 4 if len(found) == 11 else steps
    finally:
        shutil.rmtree(folder)


def cut_everywhere(scratch: Path, most: int) -> Proof:
    """Record a life, then cut the power at every call of SQLite: what returned is there, and the next one or not."""
    kept, proof, names = Journal(), Proof(), itertools.count()
    (scratch / "real").mkdir()
    with closing(open_ledger(scratch / "real", kept)) as ledger:
        create_schema(ledger)
        kept.promise(lambda tree: None)
        for deed in deeds():
            with ledger.writing() as transaction:
                deed(transaction)
            kept.promise(lambda tree: None)

    def always(tree: Tree) -> None:
        found = seen(tree, scratch / str(next(names)))
        assert found + 1 in {proof.promised, proof.promised + 1}, (found, proof.promised)

    return prove(kept, always, proof=proof, most=most)


def main() -> int:
    """Print how much was looked at."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--most", type=int, default=200, help="states of one moment")
    with tempfile.TemporaryDirectory() as scratch:
        proof = cut_everywhere(Path(scratch), parser.parse_args().most)
    print(f"{proof.moments} moments, {proof.states} states: every transaction that returned is there")
    return 0


if __name__ == "__main__":
    sys.exit(main())
