"""The ledger on SQLite: one connection per process, durable commits, readable faults.

The rollback journal with `synchronous=EXTRA` is used on purpose: a commit that returned survives a power loss, and the
write-ahead log of the system's SQLite may carry a defect that resets it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from kling_render.errors import StoreFault
from kling_render.store import faults
from kling_render.store.layout import FORMAT
from kling_render.store.transaction import SqliteTransaction

APPLICATION_ID = 0x6B6C7231
"""`klr1`: tells our ledger from any other database."""
BUSY_TIMEOUT_S = 10.0


class SqliteLedger:
    """An open ledger. Use it from any thread; transactions of one process take turns."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        #: For the store's own modules.
        self.connection = connection
        self._lock = threading.RLock()
        self._process = os.getpid()
        #: How many write transactions were committed.
        self.commits = 0

    @contextlib.contextmanager
    def writing(self) -> Iterator[SqliteTransaction]:
        """A write transaction: all of it is on disk when the block ends.

        Raises:
            StoreFault: the disk or the database refused. Nothing is there then, or all of it: a disk that fails at the
                very end of a commit leaves it in force.
        """
        with self.translated("write the ledger"), self._taken():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield SqliteTransaction(self.connection)
                self.connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
            self.commits += 1

    @contextlib.contextmanager
    def reading(self) -> Iterator[SqliteTransaction]:
        """A consistent view, without writing. Keep it short: writers of other processes wait for it."""
        with self.translated("read the ledger"), self._taken():
            self.connection.execute("BEGIN")
            try:
                yield SqliteTransaction(self.connection)
            finally:
                self._roll_back()

    @contextlib.contextmanager
    def savepoint(self, transaction: SqliteTransaction) -> Iterator[None]:
        """A part of a write transaction that can fail alone."""
        self.connection.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            if self.connection.in_transaction:  # a full disk ends the whole transaction
                self.connection.execute("ROLLBACK TO part")
                self.connection.execute("RELEASE part")
                transaction.forget_sums()
            raise
        self.connection.execute("RELEASE part")

    def check(self, *, thorough: bool = False) -> None:
        """Read the file's structure.

        Raises:
            StoreFault: it is damaged.
        """
        pragma = "integrity_check" if thorough else "quick_check"
        with self.translated("check the ledger"), self._taken():
            found = [str(row[0]) for row in self.connection.execute(f"PRAGMA {pragma}(5)")]
        if found != ["ok"]:
            raise faults.corrupt(self.path, "; ".join(found))

    def back_up(self, target: Path) -> None:
        """Write a consistent copy of the ledger; the caller syncs it."""
        with self.translated("back the ledger up"), self._taken():
            copy = sqlite3.connect(target)
            try:
                self.connection.backup(copy)
            finally:
                copy.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self.connection.close()

    @contextlib.contextmanager
    def _taken(self) -> Iterator[None]:
        assert os.getpid() == self._process, "a ledger cannot be used across fork()"
        with self._lock:
            if self.connection.in_transaction:
                raise RuntimeError("a ledger transaction is already open in this thread")
            yield

    @contextlib.contextmanager
    def translated(self, doing: str) -> Iterator[None]:
        """Turn faults of the database into `StoreFault`; `doing` completes "cannot …"."""
        try:
            yield
        except sqlite3.IntegrityError:
            raise  # a broken constraint is a bug of ours, not of the disk
        except sqlite3.ProgrammingError as fault:
            if "closed" in str(fault):
                raise StoreFault("the store is already closed", code="store-closed") from fault
            raise
        except UnicodeDecodeError as fault:
            raise faults.corrupt(self.path, "it holds text that is none") from fault
        except sqlite3.Error as fault:
            raise faults.of_sqlite(fault, doing, self.path) from fault

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")


def connect(path: Path, *, timeout_s: float = BUSY_TIMEOUT_S, max_pages: int | None = None) -> SqliteLedger:
    """Open (or create, private to the user) the ledger's file, whatever its format.

    Args:
        path: the file.
        timeout_s: how long to wait for another process's lock.
        max_pages: a size limit in database pages; beyond it the disk counts as full.

    Raises:
        StoreFault: it cannot be opened, or is not a database.
    """
    try:
        _create_private(path)
        connection = sqlite3.connect(path, timeout=timeout_s, isolation_level=None, check_same_thread=False)
    except OSError as fault:
        raise faults.of_os(fault, "open the ledger", path) from fault
    except sqlite3.Error as fault:
        raise faults.of_sqlite(fault, "open the ledger", path) from fault
    try:
        _configure(connection, max_pages)
    except UnicodeDecodeError as fault:
        connection.close()
        raise faults.corrupt(path, "it holds text that is none") from fault
    except sqlite3.Error as fault:
        connection.close()
        raise faults.of_sqlite(fault, "open the ledger", path) from fault
    return SqliteLedger(path, connection)


def version_of(ledger: SqliteLedger) -> int:
    """The format version of the file; 0 for an empty one.

    Raises:
        StoreFault: the file is the database of another program.
    """
    with ledger.translated("read the ledger"):
        connection = ledger.connection
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        application = int(connection.execute("PRAGMA application_id").fetchone()[0])
        tables = int(connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0])
    if application != APPLICATION_ID and (application or version or tables):
        raise StoreFault(
            f"{ledger.path} is the database of another program",
            help="Name another folder with --store or KLING_RENDER_STORE.",
            code="store-foreign",
        )
    return version


def create_schema(ledger: SqliteLedger) -> None:
    """Write the tables of the current format into an empty file; two processes may do so at once."""
    script = schema_script()
    with ledger.writing():
        connection = ledger.connection
        if connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
            return  # another process was faster
        for statement in statements(script):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")


def schema_script() -> str:
    """The tables of the current format, as SQL."""
    return Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")


def statements(script: str) -> Iterator[str]:
    """The single statements of an SQL script (`executescript` would commit first)."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip():
        yield pending


def _create_private(path: Path) -> None:
    """Create the file for the user alone; an existing one is never opened here.

    Closing a plain descriptor of a database drops the locks that SQLite holds on it in this process.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _configure(connection: sqlite3.Connection, max_pages: int | None) -> None:
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA mmap_size = 0")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = TRUNCATE")
    connection.execute("PRAGMA synchronous = EXTRA")
    connection.execute("PRAGMA fullfsync = ON")  # for macOS; elsewhere SQLite has no other sync to choose
    if max_pages is not None:
        connection.execute(f"PRAGMA max_page_count = {int(max_pages)}")
