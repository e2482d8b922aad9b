"""The ledger's operations, inside one database transaction that somebody else begins and commits."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kling_render.lifecycle.identity import PREFIX_LENGTH
from kling_render.lifecycle.reconcile import LogRead
from kling_render.lifecycle.records import Attempt, Cap, OverBudget, Reserved, Result, Taken
from kling_render.lifecycle.states import SPENT_NOTHING, Event, IllegalTransition, State, step
from kling_render.store import rows
from kling_render.store.money import Sums
from kling_render.store.queries import LedgerQueries

_ENDED = SPENT_NOTHING | {State.DONE, State.PAID_LOST, State.ABANDONED}
_ENTERED_AT = {
    Event.SEND: "intent_at",
    Event.ACCEPT: "accepted_at",
    Event.COMPLETE: "ready_at",
}
#: What an attempt takes over from the job that it is attached to.
_OF_THE_JOB = (
    "fingerprint",
    "job",
    "project",
    "folder",
    "output",
    "final",
    "root",
    "manifest",
    "model",
    "duration_s",
)
#: Facts that the history does not repeat: long, or a signed link.
_NOT_REPEATED = frozenset({"raw_answer", "result_url"})


class SqliteTransaction(LedgerQueries):
    """`ports.LedgerTransaction` and what the command line needs besides."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._sums = Sums(connection)

    def forget_sums(self) -> None:
        """A savepoint was rolled back: sums that were carried on are read again."""
        self._sums.forget()

    # -- claims ------------------------------------------------------------------------------------------

    def reserve(self, new: Attempt, caps: Sequence[Cap]) -> Reserved | Taken | OverBudget:
        """Claim the fingerprint and hold the estimate, if nothing holds it and every cap has room."""
        if new.state is not State.RESERVED:
            raise ValueError(f"an attempt is reserved in state 'reserved', not '{new.state}'")
        new = rows.storable(new)
        standing = self.standing(new.namespace, new.fingerprint) or self.attach(new, new.reserved_at)
        if standing is not None:
            return Taken(attempt=standing)
        refusal = self._sums.without_room(new, tuple(caps))
        if refusal is not None:
            return refusal
        self._insert(new, "reserve", new.reserved_at, {"run": new.run, "owner": new.owner})
        self._sums.add(new)
        return Reserved(attempt=new)

    def adopt(self, found: Attempt, at: float, **detail: Any) -> Reserved | Taken:
        """Insert an attempt that somebody else paid for (another machine, a file), in its live state.

        Caps do not refuse it: the money is spent. `Taken` when the fingerprint has a live attempt already.
        """
        if found.state in SPENT_NOTHING or found.state is State.RESERVED:
            raise ValueError(f"nothing was paid in state '{found.state}'")
        found = rows.storable(found)
        standing = self.standing(found.namespace, found.fingerprint)
        if standing is not None:
            return Taken(attempt=standing)
        if self.attempt(found.id) is not None:
            return Reserved(attempt=self._accept_after_all(found, at))
        self._insert(found, "adopt", at, {"generation_id": found.generation_id, **detail})
        self._sums.forget()
        if found.state in {State.FETCHED, State.DONE}:
            self._put_result(found, at)
        return Reserved(attempt=found)

    def attach(self, wanted: Attempt, at: float, **detail: Any) -> Attempt | None:
        """Give a paid generation that no job was known for to this job; None when the store holds none for it.

        Such a generation carries the first 32 hex of its fingerprint only, which is all that the account's log names.
        `wanted` describes the job: its full fingerprint, manifest and paths. A fingerprint that is held already gets
        nothing: a second payment for it stays where it is.
        """
        if self.standing(wanted.namespace, wanted.fingerprint) is not None:
            return None
        prefix = wanted.fingerprint[:PREFIX_LENGTH]
        found = next((a for a in self.of_prefix(wanted.namespace, prefix) if a.is_unattached and a.is_paid), None)
        if found is None:
            return None
        return self.give(found.id, wanted, at, **detail)

    def give(self, attempt_id: str, wanted: Attempt, at: float, **detail: Any) -> Attempt:
        """Give an unattached generation to a job, whatever its prefix: `attach` by the user's word.

        The caller has seen that nothing stands for the job's fingerprint.
        """
        found = self._known(attempt_id)
        if not found.is_unattached:
            raise ValueError(f"{attempt_id} belongs to {found.job}")
        known = {name: getattr(wanted, name) for name in _OF_THE_JOB}
        attached = replace(found, **known, hold=wanted.hold if found.hold is None else found.hold)
        self._update(found, rows.storable(attached))
        self._connection.execute(
            "UPDATE results SET fingerprint = ? WHERE namespace = ? AND fingerprint = ?",
            (attached.fingerprint, found.namespace, found.fingerprint),
        )
        self._note(found.id, at, "attach", found.state, {"job": wanted.job, **detail})
        return attached

    def _accept_after_all(self, found: Attempt, at: float) -> Attempt:
        """An attempt of our own that was taken for refused or absent, and that the account's log lists as paid."""
        return self.record(
            found.id,
            Event.ACCEPT,
            at,
            owner=found.owner,
            generation_id=found.generation_id,
            accepted_at=found.accepted_at,
            ended_at=None,
            failure=None,
            message=None,
        )

    def take_over(self, attempt_id: str, owner: str, from_owner: str) -> bool:
        """Drive an attempt whose owner is gone; False when somebody else was faster."""
        changed = self._connection.execute(
            "UPDATE attempts SET owner = ? WHERE id = ? AND owner = ?", (owner, attempt_id, from_owner)
        )
        return changed.rowcount == 1

    # -- steps -------------------------------------------------------------------------------------------

    def record(self, attempt_id: str, event: Event, at: float, **facts: Any) -> Attempt:
        """Take one step of the lifecycle table and store the facts with it.

        Facts are field names of `Attempt`; `detail` is a mapping for the history alone (a proof, a question,
        who decided and why). Times of entry and the end are filled in where they are not given.

        Raises:
            IllegalTransition: the step is not in the table; nothing is changed.
            KeyError: there is no such attempt.
        """
        detail = dict(facts.pop("detail", {}))
        unknown = facts.keys() - rows.MUTABLE
        if unknown:
            raise TypeError(f"not facts of a step: {', '.join(sorted(unknown))}")
        before = self._known(attempt_id)
        state = step(before.state, event)
        if state is State.PLANNED:
            return self._release(before)
        after = rows.storable(replace(before, state=state, **{**_times(before, event, state, at), **facts}))
        if state in {State.FETCHED, State.DONE} and (after.blob is None or after.size is None):
            raise ValueError(f"state '{state}' needs the blob and its size")
        self._update(before, after)
        repeated = {name: value for name, value in facts.items() if name not in _NOT_REPEATED}
        self._note(attempt_id, at, str(event), state, {**repeated, **detail})
        self._follow_result(after, event, at)
        return after

    def set_aside(self, attempt_id: str, at: float, **detail: Any) -> Attempt:
        """The user allows another attempt for the fingerprint although this one may have been paid.

        Only a lost or abandoned attempt can be set aside; its charge or hold goes on counting.
        """
        attempt = self._known(attempt_id)
        if attempt.state not in {State.PAID_LOST, State.ABANDONED}:
            raise IllegalTransition(attempt.state, Event.ABANDON)
        self._connection.execute("UPDATE attempts SET set_aside_at = ? WHERE id = ?", (at, attempt_id))
        self._note(attempt_id, at, "set-aside", attempt.state, detail)
        return attempt

    def acknowledge(self, attempt_id: str, at: float, **detail: Any) -> Attempt:
        """The user has seen the loss: reports stop listing it."""
        attempt = self._known(attempt_id)
        self._connection.execute("UPDATE attempts SET acknowledged_at = ? WHERE id = ?", (at, attempt_id))
        self._note(attempt_id, at, "acknowledge", attempt.state, detail)
        return attempt

    def book(self, attempt_id: str, credits: int, at: float, **detail: Any) -> bool:  # noqa: A002 - the vendor's word
        """Keep what the provider's own books charged for an attempt; False when its charge is known already."""
        attempt = self._known(attempt_id)
        if attempt.charge is not None:
            return False
        self._update(attempt, rows.storable(replace(attempt, charge=credits)))
        self._connection.execute("UPDATE results SET charge = ? WHERE attempt = ?", (credits, attempt_id))
        self._note(attempt_id, at, "booked", attempt.state, {"charge": credits, **detail})
        return True

    def keep(self, namespace: str, fingerprint: str, old_fingerprint: str, at: float, **detail: Any) -> Result | None:
        """Let the result of `old_fingerprint` be that of `fingerprint` too (an edit declared cosmetic).

        None when there is nothing to keep. A fingerprint with a result of its own is left alone.
        """
        own = self.result(namespace, fingerprint)
        old = self.result(namespace, old_fingerprint)
        if own is not None or old is None:
            return own
        kept = replace(old, fingerprint=fingerprint)
        self._write_result(kept, old_fingerprint)
        state = self._known(old.attempt).state
        self._note(old.attempt, at, "keep", state, {"fingerprint": fingerprint, **detail})
        return kept

    def unkeep(self, namespace: str, fingerprint: str, at: float, **detail: Any) -> bool:
        """Undo `keep`; False when the fingerprint's result was not kept from another one."""
        row = self._connection.execute(
            "SELECT attempt FROM results WHERE namespace = ? AND fingerprint = ? AND kept_from IS NOT NULL",
            (namespace, fingerprint),
        ).fetchone()
        if row is None:
            return False
        self._connection.execute(
            "DELETE FROM results WHERE namespace = ? AND fingerprint = ?", (namespace, fingerprint)
        )
        state = self._known(row[0]).state
        self._note(row[0], at, "unkeep", state, {"fingerprint": fingerprint, **detail})
        return True

    # -- log reads and other facts -------------------------------------------------------------------------

    def add_log_read(self, read: LogRead) -> None:
        """Remember a complete read of the account's log."""
        values = [getattr(read, name) for name in rows.LOG_READ_COLUMNS]
        self._connection.execute(rows.INSERT_LOG_READ, values)

    def learn(self, fact: str) -> None:
        """Remember something for good."""
        self._connection.execute("INSERT OR IGNORE INTO facts (fact) VALUES (?)", (fact,))

    # -- inside --------------------------------------------------------------------------------------------

    def _insert(self, new: Attempt, event: str, at: float, detail: Mapping[str, Any]) -> None:
        self._connection.execute(rows.INSERT_ATTEMPT, rows.attempt_values(new))
        self._note(new.id, at, event, new.state, detail)

    def _update(self, before: Attempt, after: Attempt) -> None:
        pairs = zip(rows.ATTEMPT_COLUMNS, rows.attempt_values(before), rows.attempt_values(after), strict=True)
        changed = {name: new for name, old, new in pairs if new != old}
        if changed:
            names = ", ".join(f"{name} = ?" for name in changed)
            self._connection.execute(
                f"UPDATE attempts SET {names} WHERE id = ?",  # noqa: S608 - our own column names
                (*changed.values(), after.id),
            )
            self._sums.forget()

    def forget(self, attempt_id: str) -> None:
        """See `LedgerTransaction.forget`."""
        free = "id = ? AND state = ? AND COALESCE(charge, 0) = 0 AND generation_id IS NULL"
        found = self._connection.execute(
            f"SELECT 1 FROM attempts WHERE {free}",  # noqa: S608 - the text above
            (attempt_id, State.DONE.value),
        ).fetchone()
        if found:
            self._connection.execute("DELETE FROM results WHERE attempt = ?", (attempt_id,))
            self._connection.execute("DELETE FROM attempts WHERE id = ?", (attempt_id,))
            self._sums.forget()

    def _release(self, before: Attempt) -> Attempt:
        self._connection.execute("DELETE FROM attempts WHERE id = ?", (before.id,))
        self._sums.forget()
        return replace(before, state=State.PLANNED)

    def _note(self, attempt_id: str, at: float, event: str, state: State, detail: Mapping[str, Any]) -> None:
        self._connection.execute(
            "INSERT INTO transitions (attempt, at, event, state, detail) VALUES (?, ?, ?, ?, ?)",
            (attempt_id, at, event, state.value, rows.detail_text(detail)),
        )

    def _follow_result(self, after: Attempt, event: Event, at: float) -> None:
        if after.state in {State.FETCHED, State.DONE}:
            self._put_result(after, at)
        elif event is Event.LOSE:
            self._connection.execute("DELETE FROM results WHERE attempt = ?", (after.id,))
        elif event is Event.ACCEPT:  # found after all: what was set aside counts again
            text = "UPDATE attempts SET set_aside_at = NULL, acknowledged_at = NULL WHERE id = ?"
            self._connection.execute(text, (after.id,))

    def _put_result(self, attempt: Attempt, at: float) -> None:
        """Write the attempt's result, and carry fresh bytes to fingerprints that were kept from it."""
        assert attempt.blob is not None
        assert attempt.size is not None
        old = self.result(attempt.namespace, attempt.fingerprint)
        made_at = old.made_at if old is not None and old.blob == attempt.blob else at
        result = Result(
            namespace=attempt.namespace,
            fingerprint=attempt.fingerprint,
            blob=attempt.blob,
            size=attempt.size,
            attempt=attempt.id,
            charge=attempt.charge,
            generation_id=attempt.generation_id,
            made_at=made_at,
        )
        self._write_result(result, None)
        self._connection.execute(
            "UPDATE results SET blob = ?, size = ?, charge = ? WHERE attempt = ? AND kept_from IS NOT NULL",
            (attempt.blob, attempt.size, attempt.charge, attempt.id),
        )

    def _write_result(self, result: Result, kept_from: str | None) -> None:
        values = [getattr(result, name) for name in rows.RESULT_COLUMNS]
        self._connection.execute(rows.REPLACE_RESULT, (*values, kept_from))


def _times(before: Attempt, event: Event, state: State, at: float) -> dict[str, float | None]:
    """The times a step fills in: the first entry of each kind, and the end."""
    times: dict[str, float | None] = {"ended_at": at if state in _ENDED else None}
    entered = _ENTERED_AT.get(event)
    if entered is not None and getattr(before, entered) is None:
        times[entered] = at
    return times
