"""A ledger that came in a file: opened and held against everything that our own is, before a row of it is believed."""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

from kling_render.errors import StoreFault
from kling_render.lifecycle.states import State
from kling_render.store.ledger import SqliteLedger, connect, schema_script, version_of
from kling_render.store.migrations import Migration
from kling_render.store.opening import migrate

_TYPES: dict[str, tuple[type, ...]] = {"TEXT": (str,), "INTEGER": (int,), "REAL": (float, int)}
_STATES = frozenset(state.value for state in State) - {State.PLANNED.value}
_PATTERNS = {
    "id": re.compile(r"[A-Za-z0-9_-]{1,64}"),
    "fingerprint": re.compile(r"[0-9a-f]{32,64}"),
    "blob": re.compile(r"[0-9a-f]{64}"),
    "owner": re.compile(r"[A-Za-z0-9_-]{0,64}"),
}
_AMOUNTS = ("hold", "charge", "size")
_TEXT_LIMIT = 16 << 20


class Refused(Exception):
    """Why a ledger is not believed."""


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    type: str
    required: bool


_Schema = dict[str, tuple[_Column, ...]]


def foreign_ledger(path: Path, version: int, migrations: Mapping[int, Migration]) -> SqliteLedger:
    """The ledger in a file, brought to our format. It is only ever read afterwards; close it.

    Raises:
        Refused: it is damaged, or not what one of ours would be.
        StoreFault: its format is newer than ours.
    """
    try:
        ledger = connect(path)
    except StoreFault as fault:
        raise Refused(fault.message) from fault
    try:
        _vet(ledger, version, migrations)
    except BaseException as fault:
        ledger.close()
        unsound = isinstance(fault, StoreFault) and fault.code != "store-newer"
        if unsound or isinstance(fault, sqlite3.Error | UnicodeError):
            raise Refused(str(fault)) from fault
        raise
    return ledger


def _vet(ledger: SqliteLedger, version: int, migrations: Mapping[int, Migration]) -> None:
    found = version_of(ledger)
    if found > version:
        raise StoreFault(
            f"the ledger in the file has format {found}; this kling-render knows formats up to {version}",
            help="Upgrade kling-render, then import it.",
            code="store-newer",
        )
    if found == 0:
        raise Refused("its ledger is empty")
    ledger.check(thorough=True)
    _refuse_programs(ledger.connection)
    if found < version:
        migrate(ledger, version, migrations)
    _check(ledger)


def _refuse_programs(connection: sqlite3.Connection) -> None:
    """Nothing in the file may run: a trigger or a view would."""
    kinds = {str(row[0]) for row in connection.execute("SELECT DISTINCT type FROM sqlite_master")}
    if kinds - {"table", "index"}:
        raise Refused("its ledger holds more than tables")
    if connection.execute("SELECT 1 FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL%'").fetchone():
        raise Refused("its ledger holds a virtual table")


def _check(ledger: SqliteLedger) -> None:
    with closing(sqlite3.connect(":memory:")) as ours:
        ours.executescript(schema_script())
        expected = _schema(ours)
    with ledger.reading():
        connection = ledger.connection
        found = _schema(connection)
        if {table: {c.name for c in columns} for table, columns in found.items()} != {
            table: {c.name for c in columns} for table, columns in expected.items()
        }:
            raise Refused("its ledger has other tables than ours")
        if connection.execute("PRAGMA foreign_key_check").fetchone():
            raise Refused("its ledger names attempts that it does not hold")
        for table, columns in expected.items():
            for row in _rows(connection, table, columns):
                _check_row(table, row, columns)


def _schema(connection: sqlite3.Connection) -> _Schema:
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found: _Schema = {}
    for table in names:
        if not str(table).startswith("sqlite_"):
            rows = connection.execute('SELECT name, type, "notnull" FROM pragma_table_info(?)', (table,))
            found[table] = tuple(_Column(name, kind, bool(required)) for name, kind, required in rows)
    return found


def _rows(connection: sqlite3.Connection, table: str, columns: tuple[_Column, ...]) -> Iterator[dict[str, Any]]:
    names = ", ".join(f'"{column.name}"' for column in columns)
    for row in connection.execute(f"SELECT {names} FROM {table}"):  # noqa: S608 - our own names
        yield dict(zip((column.name for column in columns), row, strict=True))


def _check_row(table: str, row: dict[str, Any], columns: tuple[_Column, ...]) -> None:
    for column in columns:
        _check_value(table, column, row[column.name])
    for name, pattern in _PATTERNS.items():
        if isinstance(row.get(name), str) and not pattern.fullmatch(row[name]):
            raise Refused(f"its ledger holds '{row[name][:80]}' as {name}")
    if row.get("state") is not None and row["state"] not in _STATES:
        raise Refused(f"its ledger holds the state '{row['state'][:80]}'")
    if any((row.get(name) or 0) < 0 for name in _AMOUNTS):
        raise Refused("its ledger holds a negative amount")
    if table == "attempts":
        _check_attempt(row)
    elif table == "transitions" and not isinstance(_parsed(row["detail"]), dict):
        raise Refused("its ledger holds a history that cannot be read")


def _check_value(table: str, column: _Column, value: Any) -> None:
    if value is None and not column.required:
        return
    wrong = not isinstance(value, _TYPES[column.type])
    if wrong or (isinstance(value, float) and not math.isfinite(value)):
        raise Refused(f"its ledger holds a wrong value as {table}.{column.name}")
    if isinstance(value, str) and len(value) > _TEXT_LIMIT:
        raise Refused(f"its ledger holds a text of {len(value):,} characters as {table}.{column.name}")


def _check_attempt(row: dict[str, Any]) -> None:
    """Results may only ever be published inside the output folder of a project."""
    finished = row["state"] in (State.FETCHED, State.DONE)
    if finished and (row["blob"] is None or row["size"] is None):
        raise Refused(f"attempt {row['id']} holds a result without naming its bytes")
    if not any(row[name] for name in ("folder", "output", "final", "root")):
        return  # paid for, and no job is known for it
    folder, root = _path(row["folder"]), _path(row["root"])
    inside = root.is_relative_to(folder) and all(_path(row[name]).is_relative_to(root) for name in ("output", "final"))
    if not inside or not all(row[name].endswith(".mp4") for name in ("output", "final")):
        raise Refused(f"attempt {row['id']} has a file outside of its project's output folder")


def _path(text: str) -> PurePath:
    """A path as the machine meant it that wrote it down; absolute and without detours."""
    path: PurePath = PurePosixPath(text) if text.startswith("/") else PureWindowsPath(text)
    if not path.is_absolute() or ".." in path.parts or "\0" in text:
        raise Refused(f"its ledger holds the path '{text[:80]}'")
    return path


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
