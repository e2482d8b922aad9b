"""Free attempts that are forgotten, so that their jobs are drawn again; and brought back.

Only what cost nothing is ever forgotten: the record of an attempt that was paid for stays for good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kling_render.lifecycle.states import SPENT_NOTHING
from kling_render.store.ledger import SqliteLedger

Rows = dict[str, list[dict[str, Any]]]
"""Table → rows by column name."""

_NAMED_BY = {"attempts": "id", "results": "attempt", "transitions": "attempt"}
#: Given anew at each insert.
_NUMBERED = "seq"
LIVE = f"set_aside_at IS NULL AND state NOT IN ({', '.join(repr(state.value) for state in sorted(SPENT_NOTHING))})"
"""What excludes another attempt for the same fingerprint, as the ledger's own constraint says it."""


def remembered(ledger: SqliteLedger, attempts: Iterable[str]) -> Rows:
    """Everything the ledger holds about some attempts."""
    found: Rows = {table: [] for table in _NAMED_BY}
    with ledger.reading():
        for attempt in attempts:
            for table, column in _NAMED_BY.items():
                rows = ledger.connection.execute(f"SELECT * FROM {table} WHERE {column} = ?", (attempt,))  # noqa: S608 - our own names
                names = [description[0] for description in rows.description]
                found[table] += [dict(zip(names, row, strict=True)) for row in rows]
    return found


def forget(ledger: SqliteLedger, attempts: Sequence[str]) -> None:
    """Delete attempts that are done, that nobody paid for, with their results and history."""
    if not attempts:
        return
    with ledger.writing() as transaction:
        for attempt in attempts:
            transaction.forget(attempt)


def bring_back(ledger: SqliteLedger, rows: Rows, at: float, *, has: Callable[[str], bool]) -> int:
    """Insert forgotten attempts whose bytes are there; returns how many. Those that stand already are left alone.

    One whose job was drawn again meanwhile comes back as a record only: it holds its fingerprint no more.
    """
    if not rows["attempts"]:
        return 0
    back: set[str] = set()
    with ledger.writing():
        for row in rows["attempts"]:
            known = ledger.connection.execute("SELECT 1 FROM attempts WHERE id = ?", (row["id"],)).fetchone()
            if known or not has(row["blob"]):
                continue
            taken = ledger.connection.execute(
                f"SELECT 1 FROM attempts WHERE namespace = ? AND fingerprint = ? AND {LIVE}",  # noqa: S608 - our own states
                (row["namespace"], row["fingerprint"]),
            ).fetchone()
            insert(ledger, "attempts", {**row, "set_aside_at": at} if taken else row)
            back.add(row["id"])
        for table in ("results", "transitions"):
            for row in rows[table]:
                if row["attempt"] in back:
                    insert(ledger, table, row)
    return len(back)


def insert(ledger: SqliteLedger, table: str, row: dict[str, Any], *, strict: bool = False) -> None:
    """Insert a row; its number is given anew. One whose key stands already is passed over, unless that is wrong."""
    named = {name: value for name, value in row.items() if name != _NUMBERED and name.isidentifier()}
    columns, marks = ", ".join(f'"{name}"' for name in named), ", ".join("?" * len(named))
    ledger.connection.execute(
        f"INSERT {'' if strict else 'OR IGNORE '}INTO {table} ({columns}) VALUES ({marks})",  # noqa: S608 - our own names
        tuple(named.values()),
    )
