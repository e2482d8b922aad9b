"""What can be asked of the ledger inside one database transaction; nothing here writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from kling_render.lifecycle.reconcile import LogRead
from kling_render.lifecycle.records import Attempt, Result, Transition
from kling_render.lifecycle.states import OPEN, SPENT_NOTHING, State
from kling_render.store import rows
from kling_render.store.money import total
from kling_render.store.rows import Spent

_OPEN = tuple(sorted(state.value for state in OPEN))


class LedgerQueries:
    """The reading half of `SqliteTransaction`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def attempt(self, attempt_id: str) -> Attempt | None:
        """One attempt."""
        row = self._connection.execute(f"{rows.SELECT_ATTEMPT} WHERE id = ?", (attempt_id,)).fetchone()
        return None if row is None else rows.attempt_of(row)

    def result(self, namespace: str, fingerprint: str) -> Result | None:
        """The result of a fingerprint."""
        found = self._connection.execute(
            f"{rows.SELECT_RESULT} WHERE namespace = ? AND fingerprint = ?", (namespace, fingerprint)
        )
        return rows.results_of(found).get(fingerprint)

    def results(self, namespace: str) -> Mapping[str, Result]:
        """Every result by fingerprint, in one read."""
        return rows.results_of(self._connection.execute(f"{rows.SELECT_RESULT} WHERE namespace = ?", (namespace,)))

    def attempts(self, namespace: str) -> list[Attempt]:
        """Every attempt, oldest first."""
        return self._many("namespace = ?", namespace)

    def open_attempts(self, namespace: str) -> list[Attempt]:
        """Every attempt whose state is in `OPEN`, oldest first."""
        marks = ", ".join("?" * len(_OPEN))
        return self._many(f"namespace = ? AND state IN ({marks})", namespace, *_OPEN)

    def latest(self, namespace: str) -> Mapping[str, Attempt]:
        """The newest attempt of every fingerprint."""
        return {attempt.fingerprint: attempt for attempt in self.attempts(namespace)}

    def unsettled(self, namespace: str) -> Mapping[str, Attempt]:
        """`latest` without what ended well (done, and the result is there: most of them) and what was set aside."""
        # The sets of numbers come from indexes alone; the wide rows of attempts that are left out are never read.
        found = self._many(
            "seq IN (SELECT seq FROM attempts WHERE namespace = ?1 AND state <> ?2 "
            "UNION SELECT seq FROM attempts AS d WHERE namespace = ?1 AND NOT EXISTS (SELECT 1 FROM results AS r "
            "WHERE r.namespace = ?1 AND r.fingerprint = d.fingerprint)) "
            "AND set_aside_at IS NULL AND seq = (SELECT MAX(seq) FROM attempts AS a WHERE a.set_aside_at IS NULL "
            "AND a.namespace = attempts.namespace AND a.fingerprint = attempts.fingerprint)",
            namespace,
            State.DONE.value,
        )
        return {attempt.fingerprint: attempt for attempt in found}

    def finished(self, namespace: str, newest: int) -> list[Attempt]:
        """The newest attempts that are done, newest first."""
        found = self._connection.execute(
            f"{rows.SELECT_ATTEMPT} WHERE namespace = ? AND state = ? ORDER BY seq DESC LIMIT ?",
            (namespace, State.DONE.value, newest),
        )
        return [rows.attempt_of(row) for row in found]

    def newest_manifests(self, namespace: str, project_folder: str) -> Mapping[str, str]:
        """Job id → manifest of its newest fetched or done attempt, of one project."""
        return dict(
            self._connection.execute(
                "SELECT job, manifest FROM attempts WHERE namespace = ? AND folder = ? AND state IN (?, ?) "
                "AND manifest <> '' ORDER BY reserved_at, seq DESC",
                (namespace, project_folder, State.FETCHED.value, State.DONE.value),
            )
        )

    def kept(self, namespace: str) -> Mapping[str, str]:
        """Fingerprint → the fingerprint whose result it was given, where an edit was declared cosmetic."""
        return dict(
            self._connection.execute(
                "SELECT fingerprint, kept_from FROM results WHERE namespace = ? AND kept_from IS NOT NULL", (namespace,)
            )
        )

    def kept_decisions(self, namespace: str) -> Mapping[str, tuple[str, Transition]]:
        """Fingerprint → the one whose result it was given, and the decision: the newest, with who and why."""
        found = self._connection.execute(
            "SELECT r.fingerprint, r.kept_from, t.attempt, t.at, t.event, t.state, t.detail FROM results AS r "
            "JOIN transitions AS t ON t.attempt = r.attempt AND t.event = 'keep' "
            "WHERE r.namespace = ? AND r.kept_from IS NOT NULL ORDER BY t.seq",
            (namespace,),
        )
        steps = ((fingerprint, origin, rows.transition_of(step)) for fingerprint, origin, *step in found)
        return {key: (origin, step) for key, origin, step in steps if step.detail.get("fingerprint") == key}

    def unacknowledged(self, namespace: str) -> list[Attempt]:
        """Lost and abandoned attempts that the user has not acknowledged, oldest first."""
        return self._many(
            "namespace = ? AND state IN (?, ?) AND acknowledged_at IS NULL",
            namespace,
            State.PAID_LOST.value,
            State.ABANDONED.value,
        )

    def by_generation(self, namespace: str, generation_id: str) -> Attempt | None:
        """The newest attempt that holds a generation id."""
        return self._one("namespace = ? AND generation_id = ?", namespace, generation_id)

    def of_prefix(self, namespace: str, prefix: str) -> list[Attempt]:
        """Every attempt whose fingerprint begins with these hex digits, oldest first; unattached ones too."""
        return self._many("namespace = ? AND fingerprint >= ? AND fingerprint < ?", namespace, prefix, prefix + "g")

    def unattached(self, namespace: str) -> list[Attempt]:
        """Paid generations that no job is known for, oldest first; see `Attempt.is_unattached`."""
        found = self._many("namespace = ? AND folder = '' AND manifest = ''", namespace)
        return [attempt for attempt in found if attempt.is_paid]

    def known_generations(self, namespace: str) -> Mapping[str, str]:
        """Generation id → attempt id, of everything the store holds."""
        return dict(
            self._connection.execute(
                "SELECT generation_id, id FROM attempts WHERE namespace = ? AND generation_id IS NOT NULL ORDER BY seq",
                (namespace,),
            )
        )

    def namespaces(self) -> list[str]:
        """Every namespace with attempts, sorted."""
        return [row[0] for row in self._connection.execute("SELECT DISTINCT namespace FROM attempts ORDER BY 1")]

    def owners_of_open(self, namespace: str) -> set[str]:
        """The tokens of the processes that drive open attempts."""
        return {attempt.owner for attempt in self.open_attempts(namespace)} - {""}

    def spent(
        self,
        namespace: str,
        project_folder: str | None = None,
        since: float | None = None,
        run: str | None = None,
    ) -> Spent:
        """What a scope has cost or may still cost."""
        return total(self._connection, namespace, project_folder, run, since)

    def history(self, attempt_id: str) -> list[Transition]:
        """Every step of an attempt, oldest first."""
        found = self._connection.execute(
            "SELECT attempt, at, event, state, detail FROM transitions WHERE attempt = ? ORDER BY seq",
            (attempt_id,),
        )
        return [rows.transition_of(row) for row in found]

    def log_reads(self, namespace: str, account: str, since: float = 0.0) -> list[LogRead]:
        """The reads of one account's log made at or after `since`, oldest first."""
        found = self._connection.execute(
            f"{rows.SELECT_LOG_READ} WHERE namespace = ? AND account = ? AND at >= ? ORDER BY at, seq",
            (namespace, account, since),
        )
        return [LogRead(**dict(zip(rows.LOG_READ_COLUMNS, row, strict=True))) for row in found]

    def knows(self, fact: str) -> bool:
        """Whether it was ever learnt."""
        return self._connection.execute("SELECT 1 FROM facts WHERE fact = ?", (fact,)).fetchone() is not None

    def standing(self, namespace: str, fingerprint: str) -> Attempt | None:
        """The attempt that holds a fingerprint: live, or the source of its result."""
        spent_nothing = [state.value for state in SPENT_NOTHING]
        live = self._one(
            "namespace = ? AND fingerprint = ? AND set_aside_at IS NULL "
            f"AND state NOT IN ({', '.join('?' * len(spent_nothing))})",
            namespace,
            fingerprint,
            *spent_nothing,
        )
        if live is not None:
            return live
        result = self.result(namespace, fingerprint)
        return None if result is None else self.attempt(result.attempt)

    # -- inside --------------------------------------------------------------------------------------------

    def _known(self, attempt_id: str) -> Attempt:
        attempt = self.attempt(attempt_id)
        if attempt is None:
            raise KeyError(attempt_id)
        return attempt

    def _one(self, where: str, *values: Any) -> Attempt | None:
        text = f"{rows.SELECT_ATTEMPT} WHERE {where} ORDER BY seq DESC LIMIT 1"
        row = self._connection.execute(text, values).fetchone()
        return None if row is None else rows.attempt_of(row)

    def _many(self, where: str, *values: Any) -> list[Attempt]:
        text = f"{rows.SELECT_ATTEMPT} WHERE {where} ORDER BY seq"
        return [rows.attempt_of(row) for row in self._connection.execute(text, values)]
