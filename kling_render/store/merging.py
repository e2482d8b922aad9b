"""Brings the attempts and results of another ledger into this one, inside one transaction.

Attempts are known by their id. Never do two live ones hold a fingerprint: the one that is further along keeps it, and
the other stays as a record that is set aside, for it may have been paid for. What was never sent is left out.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kling_render.errors import StoreFault
from kling_render.lifecycle.states import SPENT_NOTHING, State
from kling_render.store.forgetting import LIVE, insert
from kling_render.store.ledger import SqliteLedger

_PROGRESS = (
    State.RESERVED, State.INTENT, State.IN_DOUBT, State.NEEDS_USER, State.REJECTED, State.ABSENT, State.ABANDONED,
    State.ACCEPTED, State.STALLED, State.READY, State.REMOTE_FAILED, State.PAID_LOST, State.FETCHED, State.DONE,
)  # fmt: skip
"""One attempt in two ledgers: the later state knows more."""
_PROMISE = (
    State.ABANDONED, State.PAID_LOST, State.RESERVED, State.NEEDS_USER, State.IN_DOUBT, State.INTENT, State.STALLED,
    State.ACCEPTED, State.READY, State.FETCHED, State.DONE,
)  # fmt: skip
"""Two live attempts for one fingerprint: the later state is nearer to a result."""
_OF_THE_JOB = ("fingerprint", "job", "project", "folder", "output", "final", "root", "manifest", "model", "duration_s")
_SHOWN = "log-showed:"
"""Facts of this kind say which fingerprints a read of the account's log showed."""
Row = dict[str, Any]


@dataclass(slots=True)
class Merged:
    """What a merge came to."""

    #: Attempts that were not known.
    new: int = 0
    #: Attempts that are further along now.
    updated: int = 0
    #: Attempts that were known as well.
    known: int = 0
    #: Claims without a payment: nothing was sent for them.
    left_out: int = 0
    results: int = 0
    #: Ids of attempts that no longer hold their fingerprint, with the one that does.
    set_aside: list[tuple[str, str]] = field(default_factory=list)


def merge(source: SqliteLedger, target: SqliteLedger, at: float) -> Merged:
    """Bring everything over; all of it or nothing.

    Reads of an account's log do not come along and are forgotten here too: before the next payment the whole log is
    read again, since nobody knows what was paid between the two ledgers.

    Raises:
        StoreFault: the two contradict each other, or the database refused; nothing was changed.
    """
    with source.reading(), target.writing():
        merging = _Merging(source.connection, target, at)
        merging.attempts()
        merging.results()
        merging.facts()
        return merging.merged


class _Merging:
    def __init__(self, source: sqlite3.Connection, target: SqliteLedger, at: float) -> None:
        self._source = source
        self._target = target
        self._at = at
        self.merged = Merged()

    def attempts(self) -> None:
        for row in _rows(self._source, "SELECT * FROM attempts ORDER BY seq"):
            standing = self._one("SELECT * FROM attempts WHERE id = ?", row["id"])
            if standing is not None:
                self._same(row, standing)
            elif row["state"] == State.RESERVED:
                self.merged.left_out += 1
            elif self._is_known_payment(row):
                self.merged.known += 1
            else:
                self._place(row, new=True)
                self.merged.new += 1

    def results(self) -> None:
        for row in _rows(self._source, "SELECT * FROM results"):
            holder = self._one("SELECT * FROM attempts WHERE id = ?", row["attempt"])
            if holder is None:
                continue
            standing = self._one(
                "SELECT r.attempt, r.blob, a.set_aside_at FROM results AS r JOIN attempts AS a ON a.id = r.attempt "
                "WHERE r.namespace = ? AND r.fingerprint = ?",
                row["namespace"],
                row["fingerprint"],
            )
            fresher = standing is None or (
                holder["blob"] == row["blob"] != standing["blob"]
                if standing["attempt"] == row["attempt"]
                else standing["set_aside_at"] is not None and holder["set_aside_at"] is None
            )
            if fresher:
                key = (row["namespace"], row["fingerprint"])
                self._run("DELETE FROM results WHERE namespace = ? AND fingerprint = ?", *key)
                insert(self._target, "results", row)
                self.merged.results += 1

    def facts(self) -> None:
        for row in _rows(self._source, "SELECT fact FROM facts"):
            insert(self._target, "facts", row)
        self._run("DELETE FROM facts WHERE substr(fact, 1, ?) = ?", len(_SHOWN), _SHOWN)
        self._run("DELETE FROM log_reads")

    def _same(self, row: Row, standing: Row) -> None:
        """One attempt in both ledgers."""
        one, other = (_identity(each) for each in (row, standing))
        if one != other:
            raise StoreFault(
                f"attempt {row['id']} is one thing in the file and another in this store",
                help="Import it into a store of its own with --store. Nothing was changed.",
                code="archive",
            )
        if _PROGRESS.index(State(row["state"])) <= _PROGRESS.index(State(standing["state"])):
            self.merged.known += 1
            return
        job = standing if _is_unattached(row) else row
        further = {**row, **{name: job[name] for name in _OF_THE_JOB}, "set_aside_at": standing["set_aside_at"]}
        further["acknowledged_at"] = row["acknowledged_at"] or standing["acknowledged_at"]
        self._place(further, new=False)
        self.merged.updated += 1

    def _place(self, row: Row, *, new: bool) -> None:
        """Write a row so that of two live attempts for one fingerprint the one nearer to a result holds it."""
        rival = self._rival(row) if _is_live(row) else None
        loser, winner = None, None
        if rival is not None:
            wins = _PROMISE.index(State(row["state"])) > _PROMISE.index(State(rival["state"]))
            loser, winner = (rival, row) if wins else (row, rival)
            if wins:
                self._run("UPDATE attempts SET set_aside_at = ? WHERE id = ?", self._at, rival["id"])
            else:
                row = {**row, "set_aside_at": self._at}
        if new:
            insert(self._target, "attempts", row, strict=True)
        else:
            names = [name for name in row if name not in ("seq", "id")]
            values = ", ".join(f'"{name}" = ?' for name in names)
            self._run(f"UPDATE attempts SET {values} WHERE id = ?", *(row[name] for name in names), row["id"])  # noqa: S608 - our own columns
        self._history(row["id"])
        if loser is not None and winner is not None:
            self._note(loser, winner["id"])
            self.merged.set_aside.append((loser["id"], winner["id"]))

    def _is_known_payment(self, row: Row) -> bool:
        """Two machines adopted one generation for one job by hand, each under a name of its own: it is one payment."""
        if row["generation_id"] is None:
            return False
        same = "namespace = ? AND fingerprint = ? AND generation_id = ?"
        return self._one(f"SELECT 1 FROM attempts WHERE {same}", *_payment(row)) is not None  # noqa: S608 - the text above

    def _rival(self, row: Row) -> Row | None:
        return self._one(
            f"SELECT * FROM attempts WHERE namespace = ? AND fingerprint = ? AND id != ? AND {LIVE}",  # noqa: S608 - our own states
            row["namespace"],
            row["fingerprint"],
            row["id"],
        )

    def _history(self, attempt: str) -> None:
        """The steps that are not known yet."""
        for row in _rows(self._source, "SELECT * FROM transitions WHERE attempt = ? ORDER BY seq", attempt):
            same = "attempt = ? AND at = ? AND event = ? AND state = ? AND detail = ?"
            step = (row["attempt"], row["at"], row["event"], row["state"], row["detail"])
            if self._one(f"SELECT 1 FROM transitions WHERE {same}", *step) is None:  # noqa: S608 - the text above
                insert(self._target, "transitions", row, strict=True)

    def _note(self, loser: Row, winner: str) -> None:
        detail = json.dumps({"by": "import", "holder": winner}, sort_keys=True)
        step = {"attempt": loser["id"], "at": self._at, "event": "set-aside", "state": loser["state"], "detail": detail}
        insert(self._target, "transitions", step, strict=True)

    def _one(self, query: str, *values: Any) -> Row | None:
        return next(_rows(self._target.connection, query, *values), None)

    def _run(self, statement: str, *values: Any) -> None:
        self._target.connection.execute(statement, values)


def _rows(connection: sqlite3.Connection, query: str, *values: Any) -> Iterator[Row]:
    found = connection.execute(query, values)
    names = [column[0] for column in found.description]
    for row in found:
        yield dict(zip(names, row, strict=True))


def _is_live(row: Row) -> bool:
    return row["set_aside_at"] is None and State(row["state"]) not in SPENT_NOTHING


def _is_unattached(row: Row) -> bool:
    return not row["folder"] and not row["manifest"]


def _payment(row: Row) -> tuple[Any, ...]:
    return row["namespace"], row["fingerprint"], row["generation_id"]


def _identity(row: Row) -> tuple[Any, ...]:
    """What one attempt is in every ledger.

    Its fingerprint may be known in part only; see `Attempt`. A machine that adopted it from the account's log knows
    when it was accepted, and not when it was reserved.
    """
    return row["namespace"], row["client_request_id"], row["fingerprint"][:32]
