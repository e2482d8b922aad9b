"""Budget sums inside one ledger transaction."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from kling_render.lifecycle.records import Attempt, Cap, OverBudget
from kling_render.lifecycle.states import HOLDING, OPEN, State
from kling_render.store.rows import Spent

DOUBTFUL = frozenset({State.IN_DOUBT, State.NEEDS_USER, State.ABANDONED})
"""States whose hold may or may not have been charged, as far as anybody knows."""

_Scope = tuple[str, str | None, str | None, float | None]


def _listed(states: frozenset[State]) -> str:
    return ", ".join(f"'{state.value}'" for state in sorted(states))


_SUM = f"""
SELECT COALESCE(SUM(charge), 0),
       COALESCE(SUM(CASE WHEN charge IS NULL AND state IN ({_listed(HOLDING)}) THEN hold END), 0),
       COALESCE(SUM(CASE WHEN charge IS NULL AND state IN ({_listed(DOUBTFUL)}) THEN hold END), 0),
       COALESCE(SUM(charge IS NULL AND hold IS NULL AND state IN ({_listed(OPEN)})), 0)
FROM attempts WHERE namespace = ?"""  # noqa: S608 - the names of our own states


def total(
    connection: sqlite3.Connection, namespace: str, folder: str | None, run: str | None, since: float | None
) -> Spent:
    """What the matching attempts have cost or may still cost."""
    text, values = _SUM, [namespace]
    bounds: list[float] = []
    if folder is not None:
        text, values = text + " AND folder = ?", [*values, folder]
    if run is not None:
        text, values = text + " AND run = ?", [*values, run]
    if since is not None:
        text, bounds = text + " AND reserved_at >= ?", [since]
    charged, held, in_doubt, unpriced = connection.execute(text, [*values, *bounds]).fetchone()
    return Spent(charged=charged, held=held, in_doubt=in_doubt, unpriced=unpriced)


class Sums:
    """The sums of one database transaction: read once per scope, then carried on with each reservation.

    Many reservations share a transaction, and a sum reads every attempt of its scope.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[_Scope, Spent] = {}

    def forget(self) -> None:
        """Something else than a reservation was written, or one was rolled back."""
        self._known.clear()

    def without_room(self, new: Attempt, caps: tuple[Cap, ...]) -> OverBudget | None:
        """The first cap that the new hold does not fit under."""
        for cap in caps:
            if not _matches(new, cap.project_folder, cap.run, cap.since):
                continue
            spent = self._sum((new.namespace, cap.project_folder, cap.run, cap.since))
            fits = new.hold is not None and not spent.unpriced and spent.committed + new.hold <= cap.limit
            if not fits:
                return OverBudget(
                    cap=cap,
                    committed=spent.committed,
                    in_doubt=spent.in_doubt,
                    asked=new.hold,
                    unpriced=spent.unpriced,
                )
        return None

    def add(self, new: Attempt) -> None:
        """Carry the known sums on by a reservation that was just written."""
        for scope, spent in self._known.items():
            namespace, folder, run, since = scope
            if namespace == new.namespace and _matches(new, folder, run, since):
                self._known[scope] = replace(
                    spent, held=spent.held + (new.hold or 0), unpriced=spent.unpriced + (new.hold is None)
                )

    def _sum(self, scope: _Scope) -> Spent:
        if scope not in self._known:
            self._known[scope] = total(self._connection, *scope)
        return self._known[scope]


def _matches(attempt: Attempt, folder: str | None, run: str | None, since: float | None) -> bool:
    """Whether an attempt lies in a scope."""
    return (
        (folder is None or attempt.folder == folder)
        and (run is None or attempt.run == run)
        and (since is None or attempt.reserved_at >= since)
    )
