"""How the ledger takes in what the lock file names: paid before, by somebody, under a known id."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from kling_render.lifecycle.identity import ulid
from kling_render.lifecycle.records import Attempt, credits_of
from kling_render.lifecycle.states import State
from kling_render.planning.lock import Locked
from kling_render.planning.records import PlannedJob
from kling_render.ports import Clock
from kling_render.shotlist.records import Project
from kling_render.store.opening import Store
from kling_render.store.transaction import SqliteTransaction
from kling_render.workspace.account.wanted import wanted_attempt
from kling_render.workspace.doubts.resolving import who
from kling_render.workspace.lockfile.locked_claims import contradiction, seconds_of

_DAY_S = 86_400.0
_WHY = "the lock file names it"
_WHOLE = 64
"""Hex digits of a fingerprint."""


@dataclass(frozen=True, slots=True)
class LockedRecords:
    """Writes into the ledger for one project. Every answer is why it could not be done; empty when it was."""

    store: Store
    clock: Clock
    project: Project
    namespace: str

    def of_store(self, planned: PlannedJob, entry: Locked, known: Attempt) -> str:
        """The store has the bytes as those of the generation's own request: somebody kept them, elsewhere."""
        with self.store.ledger.writing() as ledger:
            return self._of_known(ledger, planned, entry, known)

    def done(self, planned: PlannedJob, entry: Locked, *, size: int, credits: int | None, proof: str) -> str:  # noqa: A002 - the vendor's word
        """The locked bytes are in the store: the plan puts them in their place.

        Args:
            planned: the job.
            entry: what the file says.
            size: of the bytes.
            credits: what the provider says it cost, if it was asked.
            proof: what says, besides the file, what they were paid for; empty: nothing.
        """
        made, now = self._paid(planned, entry)
        charge = _credits(entry) if credits is None else credits
        found = replace(made, state=State.DONE, blob=entry.sha256, size=size, charge=charge, ended_at=now)
        return self._adopted(planned, entry, found, proof)

    def running(self, planned: PlannedJob, entry: Locked, *, proof: str) -> str:
        """The generation is there, its bytes are not: whoever runs next goes on with it. Its age counts from now."""
        made, now = self._paid(planned, entry)
        return self._adopted(planned, entry, replace(made, state=State.ACCEPTED, accepted_at=now), proof)

    def _adopted(self, planned: PlannedJob, entry: Locked, found: Attempt, proof: str) -> str:
        with self.store.ledger.writing() as ledger:
            known = ledger.by_generation(self.namespace, entry.generation_id) if entry.generation_id else None
            if known is not None:
                return self._of_known(ledger, planned, entry, known)
            claim = ledger.adopt(found, self.clock.now(), by=who(), why=_WHY, proof=proof)
            if claim.attempt.id != found.id:
                return "another attempt for it is open (`kling-render pull`)"
            if found.fingerprint != planned.key and found.state is State.DONE:
                self._keep(ledger, planned, entry, found.fingerprint)
            return ""

    def _of_known(self, ledger: SqliteTransaction, planned: PlannedJob, entry: Locked, known: Attempt) -> str:
        """A generation that the store knows already may be this job's too: its own, or kept for it."""
        if why := contradiction(ledger, entry, known):
            return why
        if ledger.result(self.namespace, planned.key) is not None:
            return ""  # another job of the plan brought it meanwhile
        free = ledger.standing(self.namespace, planned.key) is None
        if free and known.is_unattached and known.is_paid and entry.kept is None:
            wanted = wanted_attempt(planned, self.project, self.namespace)
            ledger.give(known.id, wanted, self.clock.now(), by=who(), why=_WHY)
            return ""
        if free and known.blob is not None and self._keep(ledger, planned, entry, known.fingerprint):
            return ""
        return f"this store knows it as that of {known.job or 'no job'} ({known.state.value})"

    def _keep(self, ledger: SqliteTransaction, planned: PlannedJob, entry: Locked, origin: str) -> bool:
        """By the word of whoever kept it, at their time: every clone tells the same."""
        told: dict[str, Any] = {"by": who(), "why": _WHY}
        at = self.clock.now()
        if entry.kept is not None:
            told = {"by": entry.kept.by, "why": entry.kept.why, "told_by": _WHY}
            at = seconds_of(entry.kept.at) or at
        told |= {"job": planned.job.id, "manifest": planned.manifest_json, "decided_at": at}
        return ledger.keep(self.namespace, planned.key, origin, at, **told) is not None

    def _paid(self, planned: PlannedJob, entry: Locked) -> tuple[Attempt, float]:
        """The attempt, and the time. When it was paid is not known, but that was no spending of today.

        One that was kept was paid for another request, of which only the fingerprint is known here.
        """
        wanted, now = wanted_attempt(planned, self.project, self.namespace), self.clock.now()
        if entry.kept is not None and len(entry.kept.origin) == _WHOLE:
            wanted = replace(wanted, fingerprint=entry.kept.origin, manifest="")
        paid, before = _credits(entry), now - _DAY_S - 1.0
        made = replace(
            wanted,
            id=ulid(now, random.SystemRandom()),
            hold=wanted.hold if paid is None else paid,
            generation_id=entry.generation_id,
            reserved_at=before,
            intent_at=before,
            accepted_at=before,
        )
        return made, now


def _credits(entry: Locked) -> int | None:
    return None if entry.usd is None else credits_of(Decimal(entry.usd))
