"""What can be worked out again, kept to be fast: a file that may vanish or rot at any time without changing an answer.

Every row carries a checksum, because a wrong digest would make a paid job look new. Whatever is wrong with the
file, it is dropped and begun anew, silently; where it cannot be written at all, nothing is remembered.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_VERSION = 2
_FACTS = """CREATE TABLE IF NOT EXISTS facts (
    kind TEXT, key TEXT, value TEXT, crc INTEGER, PRIMARY KEY (kind, key)) WITHOUT ROWID"""
_DIGESTS = """CREATE TABLE IF NOT EXISTS digests (
    path BLOB PRIMARY KEY, record BLOB) WITHOUT ROWID"""
_FOR_NOW = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY}
    | {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_INTERRUPT}
)
"""Errors that say nothing about the file's content."""

DigestRow = tuple[bytes, bytes]
"""A path, and what `store.digests` noted about the file there, with a checksum."""


class Cache:
    """An open cache. Facts are JSON values by kind and key; written by `save` in one transaction."""

    def __init__(self, path: Path, *, timeout_s: float = 2.0) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._opened = False
        self._pending: dict[tuple[str, str], str] = {}

    def get(self, kind: str, key: str) -> Any | None:
        """A fact, or None."""
        with self._lock:
            text = self._pending.get((kind, key))
            if text is None:
                found = self._rows("SELECT value, crc FROM facts WHERE kind = ? AND key = ?", (kind, key))
                text = next((value for value, crc in found if crc == _crc(kind, key, value)), None)
        return None if text is None else json.loads(text)

    def all(self, kind: str) -> dict[str, Any]:
        """Every fact of a kind by its key, in one read."""
        with self._lock:
            found = self._rows("SELECT key, value, crc FROM facts WHERE kind = ?", (kind,))
            texts = {key: value for key, value, crc in found if crc == _crc(kind, key, value)}
            texts.update({key: text for (its, key), text in self._pending.items() if its == kind})
        return {key: json.loads(text) for key, text in texts.items()}

    def put(self, kind: str, key: str, value: Any) -> None:
        """Remember a JSON value; on disk after `save`."""
        text = json.dumps(value, ensure_ascii=False, sort_keys=True)
        if not _is_text(text):  # a file's name need not be UTF-8
            text = json.dumps(value, sort_keys=True)
        with self._lock:
            self._pending[kind, key] = text

    def save(self) -> None:
        """Write what is new."""
        with self._lock:
            new = [(kind, key, text, _crc(kind, key, text)) for (kind, key), text in self._pending.items()]
            if new:
                self._write("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?)", new)
                self._pending.clear()

    def digest_rows(self, prefix: bytes = b"") -> list[DigestRow]:
        """Every remembered digest of paths that start with `prefix`, unchecked, in one read."""
        text = "SELECT path, record FROM digests WHERE typeof(record) = 'blob'"  # rot may have made it anything
        if prefix:
            return self._rows(f"{text} AND path >= ? AND path < ?", (prefix, prefix + b"\xff"))
        return self._rows(text, ())

    def put_digests(self, rows: Iterable[DigestRow]) -> None:
        """Remember digests, in one transaction."""
        self._write("INSERT OR REPLACE INTO digests VALUES (?, ?)", list(rows))

    def close(self) -> None:
        """Close the file; what was not saved is forgotten."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection, self._opened = None, True

    # -- inside --------------------------------------------------------------------------------------------

    def _rows(self, text: str, values: tuple[Any, ...]) -> list[Any]:
        with self._lock:
            connection = self._ready()
            if connection is None:
                return []
            try:
                return connection.execute(text, values).fetchall()
            except (sqlite3.Error, UnicodeError) as fault:  # a rotten schema is no text
                if not _for_now(fault):
                    self._start_anew()
                return []

    def _write(self, text: str, rows: list[Any]) -> None:
        with self._lock:
            connection = self._ready()
            if connection is None:
                return
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(text, rows)
                connection.execute("COMMIT")
            except (sqlite3.Error, UnicodeError) as fault:  # a rotten schema is no text
                with contextlib.suppress(sqlite3.Error, UnicodeError):
                    connection.execute("ROLLBACK")
                if not _for_now(fault):
                    self._start_anew()

    def _ready(self) -> sqlite3.Connection | None:
        if not self._opened:
            self._opened = True
            try:
                self._connection = self._connect()
            except (sqlite3.Error, UnicodeError) as fault:  # a rotten schema is no text
                if not _for_now(fault):
                    self._start_anew()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=self._timeout_s, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _start_anew(self) -> None:
        """Drop the file and begin an empty one; without a file nothing is remembered."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        try:
            for suffix in ("", "-journal"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            self._connection = self._connect()
        except (OSError, sqlite3.Error, UnicodeError):
            self._connection = None


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA synchronous = NORMAL")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in {0, _VERSION}:
        raise sqlite3.DatabaseError("another version's cache")
    if version == 0:
        for statement in (_FACTS, _DIGESTS, f"PRAGMA user_version = {_VERSION}"):
            connection.execute(statement)


def _for_now(fault: Exception) -> bool:
    return (getattr(fault, "sqlite_errorcode", 0) or 0) & 0xFF in _FOR_NOW


def _is_text(text: str) -> bool:
    """Whether the database takes it: one text that it refuses would cost everything else that is remembered."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _crc(kind: str, key: str, value: Any) -> int:
    return zlib.crc32(f"{kind}\0{key}\0{value}".encode("utf-8", "surrogatepass"))
