"""How the ledger takes in what the lock file names: paid before, by somebody, under a known id."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from decimal import Decimal

from kling_render.lifecycle.identity import ulid
from kling_render.lifecycle.records import Attempt, credits_of
from kling_render.lifecycle.states import State
from kling_render.planning.lock import Locked
from kling_render.planning.records import PlannedJob
from kling_render.ports import Clock
from kling_render.shotlist.records import Project
from kling_render.store.opening import Store
from kling_render.store.transaction import SqliteTransaction
from kling_render.workspace.resolving import who
from kling_render.workspace.wanted import wanted_attempt

_DAY_S = 86_400.0
_WHY = {"why": "the lock file names it"}


@dataclass(frozen=True, slots=True)
class LockedRecords:
    """Writes into the ledger for one project. Every answer is why it could not be done; empty when it was."""

    store: Store
    clock: Clock
    project: Project
    namespace: str

    def link(self, key: str, fingerprint: str) -> bool:
        """Let a result of the store be that of another request too, as the file says: somebody kept it, elsewhere."""
        with self.store.ledger.writing() as ledger:
            return self._linked(ledger, key, fingerprint)

    def done(self, planned: PlannedJob, entry: Locked, size: int, credits: int | None) -> str:  # noqa: A002 - the vendor's word
        """The locked bytes are in the store: the plan puts them in their place.

        Args:
            planned: the job.
            entry: what the file says.
            size: of the bytes.
            credits: what the provider says it cost, if it was asked.
        """
        made, now = self._paid(planned, entry)
        charge = _credits(entry) if credits is None else credits
        found = replace(made, state=State.DONE, blob=entry.sha256, size=size, charge=charge, ended_at=now)
        return self._adopted(planned, entry, found)

    def running(self, planned: PlannedJob, entry: Locked) -> str:
        """The generation is there, its bytes are not: whoever runs next goes on with it. Its age counts from now."""
        made, now = self._paid(planned, entry)
        return self._adopted(planned, entry, replace(made, state=State.ACCEPTED, accepted_at=now))

    def _adopted(self, planned: PlannedJob, entry: Locked, found: Attempt) -> str:
        with self.store.ledger.writing() as ledger:
            known = ledger.by_generation(self.namespace, entry.generation_id) if entry.generation_id else None
            if known is not None:
                return self._of_known(ledger, planned, entry, known)
            claim = ledger.adopt(found, self.clock.now(), by=who(), **_WHY)
        return "" if claim.attempt.id == found.id else "another attempt for it is open (`kling-render pull`)"

    def _of_known(self, ledger: SqliteTransaction, planned: PlannedJob, entry: Locked, known: Attempt) -> str:
        """A generation that the store knows already may be this job's too, if its bytes are the locked ones."""
        if known.is_unattached and known.is_paid and ledger.standing(self.namespace, planned.key) is None:
            wanted = wanted_attempt(planned, self.project, self.namespace)
            ledger.give(known.id, wanted, self.clock.now(), by=who(), **_WHY)
            return ""
        if known.blob == entry.sha256 and self._linked(ledger, planned.key, known.fingerprint):
            return ""
        return f"this store knows it as that of {known.job} ({known.state.value})"

    def _linked(self, ledger: SqliteTransaction, key: str, fingerprint: str) -> bool:
        if ledger.standing(self.namespace, key) is not None:
            return False
        return ledger.keep(self.namespace, key, fingerprint, self.clock.now(), by=who(), **_WHY) is not None

    def _paid(self, planned: PlannedJob, entry: Locked) -> tuple[Attempt, float]:
        """The attempt, and the time. When it was paid is not known, but that was no spending of today."""
        wanted, now = wanted_attempt(planned, self.project, self.namespace), self.clock.now()
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
